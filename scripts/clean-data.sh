#!/bin/sh
# Removes a data folder and everything that its private servers stored: scripts/clean-data.sh [FOLDER]
# Refuses while annals runs there; stops servers that outlived their annals.
set -eu
data=${1:-${ANNALS_DATA_DIR:-./data}}
[ -e "$data" ] || exit 0
[ -e "$data/annals.lock" ] || { echo "$data is not a data folder of annals: nothing removed" >&2; exit 1; }
if ! flock --nonblock "$data/annals.lock" true; then
    echo "annals (process $(cat "$data/annals.lock")) runs in $data: stop it first" >&2
    exit 1
fi
home=$(sed -n 's/^ *"home": "\(.*\)",*$/\1/p' "$data/servers.json" 2>/dev/null || true)
if [ -n "$home" ]; then
    # The folder is an argument of the server's process, and of no other.
    left() {
        for process in /proc/[0-9]*; do
            { tr '\0' '\n' <"$process/cmdline"; } 2>/dev/null | grep -qxF -e "$home/postgres" -e "$home/nats/nats.conf" &&
                echo "${process#/proc/}"
        done
    }
    for process in $(left); do kill -INT "$process"; done
    while [ -n "$(left)" ]; do sleep 0.1; done
    rm -rf "$home/postgres" "$home/postgres.new" "$home/nats"
    [ "$home" -ef "$data" ] || rmdir "$home"
fi
rm -rf "$data"
