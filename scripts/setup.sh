#!/bin/sh
# Installs what Annals needs and this machine lacks; says nothing, and needs no rights, where nothing is missing.
#   scripts/setup.sh [run|test|bench]
# PostgreSQL 15 or newer, nats-server, and a C compiler come from the system's packages (apt-get). Rust does not:
# what distributions package is mostly too old. Who may not install packages gets the servers unpacked from them, into
# a folder of their own (~/.local/share/annals), where `annals` looks too.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-run}
oldest_postgres=15
own=${XDG_DATA_HOME:-$HOME/.local/share}/annals
PATH=$PATH:/usr/sbin:/usr/local/sbin:${CARGO_HOME:-$HOME/.cargo}/bin:$own/bin

say() { printf '%s\n' "setup: $*" >&2; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# The first number of the newest server on this machine, 0 if there is none.
postgres_version() {
    newest=0
    for folder in $(IFS=:; for entry in $PATH; do echo "$entry"; done) "$(pg_config --bindir 2>/dev/null || true)" \
        /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin; do
        [ -x "$folder/postgres" ] && [ -x "$folder/initdb" ] || continue
        version=$("$folder/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
        [ "$version" -gt "$newest" ] && newest=$version
    done
    echo "$newest"
}

# Whether packages can be installed: by root, or with sudo, which may ask for the password where somebody sits.
may_install() {
    has apt-get && { [ "$(id -u)" = 0 ] || { has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }; }
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "$@" >&2
}

# Unpacks packages, with all that they need and this machine lacks, under $own, and makes their servers programs of
# $own/bin. apt-get checks their signatures as ever; it only keeps its lists in another place.
unpack() (
    has apt-get && has dpkg-deb || exit 1
    say "unpacking $* into $own, as no package can be installed by $(id -un)"
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    mkdir -p "$fresh/lists/partial" "$fresh/cache/archives/partial"
    apt() { apt-get -q -o Dir::State::lists="$fresh/lists" -o Dir::Cache="$fresh/cache" "$@"; }
    apt update >&2 || true
    packages=$(apt -s -o Debug::NoLocking=1 --no-install-recommends install "$@" | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
    cd "$fresh"
    # shellcheck disable=SC2086 # a list of packages
    [ -n "$packages" ] && apt download $packages >&2 || exit 1
    mkdir -p "$own/bin"
    for package in ./*.deb; do dpkg-deb -x "$package" "$own" || exit 1; done
    libraries=$(printf '%s:' "$own"/usr/lib/*-linux-gnu "$own"/lib/*-linux-gnu)
    libraries=${libraries%:}
    for program in "$own"/usr/lib/postgresql/*/bin/* "$own/usr/sbin/nats-server"; do
        # pg_config would name the folder where they do not find their libraries.
        [ -x "$program" ] && [ "${program##*/}" != pg_config ] || continue
        printf '#!/bin/sh\nLD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "%s" "$@"\n' \
            "$libraries" "$program" >"$own/bin/${program##*/}"
        chmod +x "$own/bin/${program##*/}"
    done
)

missing=
servers=
[ "$(postgres_version)" -ge $oldest_postgres ] || servers=postgresql
has psql || servers="$servers postgresql-client"
has cc || missing="gcc libc6-dev"
# Tests check what is handed out with a script for strangers, docs/integrity/check_proof.py.
[ "$purpose" != test ] || has python3 || missing="$missing python3"
nats=
has nats-server || nats=nats-server

if [ -n "$missing$servers$nats" ]; then
    say "missing: $(echo $missing $servers $nats)"
    if may_install; then
        # A source of packages that cannot be reached is no reason to stop: the install below tells.
        as_root apt-get -o DPkg::Lock::Timeout=300 update -q >&2 || true
        case $servers in *postgresql*)
            # The server package would make a cluster of its own at port 5432 and start it. Annals runs a private one.
            apt_install postgresql-common || fail "apt-get could not install postgresql-common; see above."
            quiet=/etc/postgresql-common/createcluster.d/annals-setup.conf
            as_root mkdir -p "${quiet%/*}"
            printf 'create_main_cluster = false\n' | as_root tee "$quiet" >/dev/null
            trap 'as_root rm -f "$quiet"' EXIT
            ;;
        esac
        # shellcheck disable=SC2086 # lists of packages
        [ -z "$missing$servers" ] || apt_install $missing $servers ||
            fail "apt-get could not install $(echo $missing $servers); see above."
        [ -z "$nats" ] || apt_install $nats || true
    else
        [ -z "$missing" ] ||
            fail "install $missing yourself (as root, with this system's package manager)."
        # shellcheck disable=SC2086 # lists of packages
        [ -z "$servers$nats" ] || unpack $servers $nats || [ -z "$servers" ] || unpack $servers ||
            fail "install PostgreSQL $oldest_postgres or newer with psql yourself (as root, with this system's package manager)."
    fi
    has nats-server ||
        say "no nats-server package here: going on without, projections will follow the log directly."
    [ "$(postgres_version)" -ge $oldest_postgres ] ||
        fail "this system packages PostgreSQL $(postgres_version), and Annals needs $oldest_postgres or newer: add the packages of postgresql.org, or set ANNALS_DATABASE_URL."
fi

oldest_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
advice="Annals needs Rust $oldest_rust or newer; get it from https://rustup.rs (a distribution's cargo is mostly too old)."
has cargo || fail "there is no cargo. $advice"
found=$(cargo --version | cut -d' ' -f2)
older=$(printf '%s\n' "$oldest_rust" "${found%%-*}" | sort -t. -k1,1n -k2,2n | head -n 1)
[ "$older" = "$oldest_rust" ] || fail "cargo is $found. $advice"

if [ "$purpose" = test ]; then
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 && continue
        name=$component
        [ "$component" = fmt ] && name=rustfmt
        has rustup || fail "cargo $component is missing: install $name of this Rust."
        say "adding $name"
        rustup component add "$name" >&2
    done
fi
