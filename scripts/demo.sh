#!/usr/bin/env bash
# A server and a device agent for this very machine, on a data folder of their own. Ctrl+C stops both.
#
#   DEMO_PORT=8080 scripts/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."

port=${DEMO_PORT:-7080}
relay_port=${DEMO_RELAY_PORT:-7478}
home=$PWD/.demo
server=$home/server
device=$home/device
address=http://localhost:$port
email=demo@example.org

scripts/install-deps.sh build
scripts/npm.sh
echo "Building; the first time takes some minutes."
cargo build --quiet -p bramble-server -p bramble-agent
programs=${CARGO_TARGET_DIR:-$PWD/target}/debug

mkdir -p "$server" "$device/config" "$device/run"
chmod 700 "$home" "$device/run"

pids=()
stop() {
    trap - EXIT
    # A second Ctrl+C would leave behind what is not stopped yet.
    trap '' INT TERM
    # The agent first: it says goodbye to the server.
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill -TERM "${pids[i]}" 2>/dev/null || true
        wait "${pids[i]}" 2>/dev/null || true
    done
    echo "Stopped. The data stays in .demo; 'make clean' removes it."
}
trap stop EXIT
trap 'exit 0' INT TERM

# Waits until a command succeeds, as long as the process it depends on lives.
until_it() {
    local pid=$1 what=$2
    shift 2
    for _ in {1..300}; do
        "$@" >/dev/null 2>&1 && return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "$what did not start. Its log:" >&2
    tail -n 20 "$home"/*.log >&2
    exit 1
}

bramble() { "$programs/bramble" "$@"; }
# The device lives in a home of its own, so that a real sign-in of this machine is left alone.
own_home=(env "XDG_CONFIG_HOME=$device/config" "XDG_RUNTIME_DIR=$device/run")
on_device() { "${own_home[@]}" "$@"; }
# The socket and not the port: on that somebody else may answer.
answers() { [ -S "$server/admin.sock" ] && (exec 3<>"/dev/tcp/127.0.0.1/$port"); }
agent_answers() { on_device "$programs/rpi-connect" version && [ -S "$device/run/rpi-connect.sock" ]; }

rm -f "$server/admin.sock" "$device/run/rpi-connect.sock"

# No functions here: of those `$!` would be a shell in between, and stopping it would leave the program.
# Each program in a process group of its own: Ctrl+C reaches only this script, which stops them in order.
set -m
"$programs/bramble" serve --data "$server" --listen "127.0.0.1:$port" --public-url "$address" \
    --country-database node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb \
    --relay-udp "127.0.0.1:$relay_port" --relay-tcp "127.0.0.1:$relay_port" >"$home/server.log" 2>&1 &
pids+=($!)
set +m
until_it "${pids[0]}" "The server" answers

password_file=$home/password
if [ ! -s "$password_file" ]; then
    # Under its name only once the account exists: a start that was cut short begins again.
    (umask 077 && head -c 12 /dev/urandom | base64 | tr '+/' 'xy' >"$password_file.new")
    bramble user create --data "$server" --email "$email" --name "Demo" --password-stdin --verified \
        <"$password_file.new" >/dev/null
    mv "$password_file.new" "$password_file"
fi

set -m
"${own_home[@]}" "$programs/rpi-connectd" >"$home/device.log" 2>&1 &
pids+=($!)
set +m
until_it "${pids[1]}" "The device agent" agent_answers

if ! on_device "$programs/rpi-connect" status 2>/dev/null | grep -q '^Signed in: yes'; then
    (umask 077 && bramble auth-key create --data "$server" --user "$email" --description "make demo" --json |
        grep -oE 'rpuak_[A-Za-z0-9_-]+' | head -n 1 >"$device/auth-key")
    on_device "$programs/rpi-connect" signin --server "$address" --auth-key="@$device/auth-key"
    rm -f "$device/auth-key"
fi

cat <<TEXT

  Bramble runs.

    Open      $address
    Email     $email
    Password  $(cat "$password_file")

  This machine is linked: open its shell from the Devices page.
  Logs are in .demo/server.log and .demo/device.log. Ctrl+C stops everything.

TEXT
wait -n "${pids[@]}" || true
echo "One of the programs ended by itself; its log is in .demo." >&2
exit 1
