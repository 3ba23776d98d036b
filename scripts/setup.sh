#!/bin/sh
# Installs what Annals needs and this machine lacks; says nothing, and needs no rights, where nothing is missing.
#   scripts/setup.sh [run|test|bench]
# PostgreSQL 15 or newer, nats-server, and a C compiler come from the system's packages (apt-get). Rust does not:
# what distributions package is mostly too old.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-run}
oldest_postgres=15
PATH=$PATH:/usr/sbin:/usr/local/sbin:${CARGO_HOME:-$HOME/.cargo}/bin

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

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "$@" >&2
}

missing=
nats_missing=
[ "$(postgres_version)" -ge $oldest_postgres ] || missing="$missing postgresql"
has psql || missing="$missing postgresql-client"
has cc || missing="$missing gcc libc6-dev"
has nats-server || nats_missing=nats-server
# Tests check what is handed out with a script for strangers, docs/integrity/check_proof.py.
[ "$purpose" != test ] || has python3 || missing="$missing python3"

if [ -n "$missing$nats_missing" ]; then
    say "missing:$missing $nats_missing"
    if ! has apt-get || { [ "$(id -u)" != 0 ] && ! has sudo; }; then
        wanted="PostgreSQL $oldest_postgres or newer with psql, nats-server, and a C compiler"
        [ -z "$missing" ] || fail "install$missing yourself (as root, with this system's package manager). Annals needs $wanted."
        say "going on without nats-server: projections will follow the log directly."
    else
        # A source of packages that cannot be reached is no reason to stop: the install below tells.
        as_root apt-get -o DPkg::Lock::Timeout=300 update -q >&2 || true
        case $missing in *postgresql*)
            # The server package would make a cluster of its own at port 5432 and start it. Annals runs a private one.
            apt_install postgresql-common || fail "apt-get could not install postgresql-common; see above."
            quiet=/etc/postgresql-common/createcluster.d/annals-setup.conf
            as_root mkdir -p "${quiet%/*}"
            printf 'create_main_cluster = false\n' | as_root tee "$quiet" >/dev/null
            trap 'as_root rm -f "$quiet"' EXIT
            ;;
        esac
        # shellcheck disable=SC2086 # a list of packages
        [ -z "$missing" ] || apt_install $missing || fail "apt-get could not install$missing; see above."
        [ -z "$nats_missing" ] || apt_install nats-server ||
            say "no nats-server package here: going on without, projections will follow the log directly."
    fi
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
