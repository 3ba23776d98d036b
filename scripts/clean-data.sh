#!/bin/sh
# Removes a data folder and everything that its private servers stored: scripts/clean-data.sh [FOLDER]
# Refuses while annals runs there; stops servers that outlived their annals.
set -eu
data=${1:-${ANNALS_DATA_DIR:-./data}}
[ -e "$data" ] || exit 0
[ -e "$data/annals.lock" ] || { echo "$data is not a data folder of annals: nothing removed" >&2; exit 1; }
# The servers' files are in the folder, unless their user cannot enter it.
home=$(sed -n 's|^ *"home": "\(/var/lib/annals/[0-9a-f-]\{32,36\}\)",*$|\1|p' "$data/servers.json" 2>/dev/null || true)
home=${home:-$(cd "$data" && pwd -P)}
for lock in "$data/annals.lock" "$home/annals.lock"; do
    if [ -e "$lock" ] && ! flock --nonblock "$lock" true; then
        echo "annals (process $(cat "$lock")) runs in ${lock%/annals.lock}: stop it first" >&2
        exit 1
    fi
done
if [ -e "$data/servers.json" ]; then
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
    [ "$home" -ef "$data" ] || { rm -f "$home/annals.lock" && rmdir "$home"; }
fi
rm -rf "$data"
