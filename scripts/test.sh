#!/usr/bin/env bash
# Every check there is, cheapest first; the tests themselves last. Works as root and as an ordinary user.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/usr/local/sbin:${CARGO_HOME:-$HOME/.cargo}/bin:${XDG_DATA_HOME:-$HOME/.local/share}/annals/bin
export PATH

step() {
    printf '\n== %s\n' "$*"
    "$@"
}

# Tests are about what the code does where nothing is configured: a sourced annals.env must not lead them to the
# data of a running instance.
unset "${!ANNALS_@}"

step cargo fmt --all --check
step cargo clippy --workspace --all-targets -- -D warnings
RUSTDOCFLAGS='-D warnings' step cargo doc --workspace --no-deps
step cargo test --workspace --doc
if cargo nextest --version >/dev/null 2>&1; then
    step cargo nextest run --workspace --no-fail-fast
else
    step cargo test --workspace --lib --bins --tests --no-fail-fast
fi
