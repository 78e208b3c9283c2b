#!/usr/bin/env bash
# Runs a command in a new network namespace that has loopback and one more interface, joined to
# nothing: enough for WebRTC to find candidates on a machine without a network.
#
#   scripts/netns.sh COMMAND [ARGUMENT…]
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: scripts/netns.sh COMMAND [ARGUMENT…]" >&2; exit 2; }
alone=(unshare --net)
[ "$(id -u)" = 0 ] || alone=(unshare --net --map-root-user)
# The pair's two ends stay in the namespace and go with it. 192.0.2.0/24 is kept for documentation and
# never routed anywhere.
# shellcheck disable=SC2016 # the inner shell expands
exec "${alone[@]}" bash -c '
    ip link set lo up
    ip link add bramble0 type veth peer name bramble1
    ip addr add 192.0.2.1/24 dev bramble0
    ip link set bramble0 up
    ip link set bramble1 up
    ip route add default dev bramble0
    exec "$@"
' bash "$@"
