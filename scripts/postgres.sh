#!/usr/bin/env bash
# Runs a command with a throw-away PostgreSQL server, which goes when the command ends.
#
#   scripts/postgres.sh cargo nextest run -p bramble-store
#
# The command finds the server's address in BRAMBLE_TEST_POSTGRES. If that is set already, the command
# runs with it as it is.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: scripts/postgres.sh COMMAND [ARGUMENT…]" >&2; exit 2; }
[ -z "${BRAMBLE_TEST_POSTGRES:-}" ] || exec "$@"

programs=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1 || true)
[ -n "$programs" ] || programs=$(dirname "$(command -v initdb || echo /missing/initdb)")
if [ ! -x "$programs/initdb" ]; then
    echo "PostgreSQL is not installed. Run: scripts/install-deps.sh test" >&2
    exit 1
fi

# In memory where that is possible: the data is worth nothing a minute later.
folder=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" bramble-postgres.XXXXXX)
as=()
if [ "$(id -u)" = 0 ]; then
    # PostgreSQL refuses to run as root; its package makes this user.
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    chown postgres:postgres "$folder"
fi
cleanup() {
    (cd / && "${as[@]}" "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1) || true
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cd_run() { (cd / && "${as[@]}" "$@"); }
cd_run "$programs/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null
cat >>"$folder/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
max_connections = 400
fsync = off
synchronous_commit = off
full_page_writes = off
CONF

for _ in {1..20}; do
    # Below the ports that the kernel hands out by itself.
    port=$((20000 + RANDOM % 12000))
    if cd_run "$programs/pg_ctl" -D "$folder/data" -o "-p $port" -l "$folder/log" -w -t 30 start >/dev/null 2>&1; then
        export BRAMBLE_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port"
        "$@"
        exit $?
    fi
done
cat "$folder/log" >&2
echo "PostgreSQL did not start." >&2
exit 1
