#!/bin/sh
# Takes one backup for every recipient in BACKUP_RECIPIENTS and keeps the newest BACKUP_KEEP of them.
set -eu
directory=${BACKUP_DIRECTORY:-$STATE_DIRECTORY}
[ -n "${BACKUP_RECIPIENTS:-}" ] || {
    echo "BACKUP_RECIPIENTS in /etc/weftmesh/backup.env is empty: name the keys that may open backups" >&2
    exit 78
}
set --
for recipient in $BACKUP_RECIPIENTS; do
    set -- "$@" --recipient "$recipient"
done
weftmesh --timeout 600 backup --to "$directory/board-$(date -u +%Y%m%dT%H%M%SZ).age" "$@"
# Names begin with the time: in reverse order, all after the newest ones go.
ls -1r "$directory" | grep '^board-[0-9TZ]*\.age$' | tail -n "+$((${BACKUP_KEEP:-14} + 1))" | while read -r old; do
    rm -f -- "$directory/$old"
done
