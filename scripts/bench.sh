#!/usr/bin/env bash
# Builds release programs, measures them and records the table in bench/results.
#
#   scripts/bench.sh [start] [idle] [image] [api] [list] [told] [deployed] [screen] [page] [keystroke] [bulk] [relayed]
#
# With names only those rows are measured and shown, and nothing is recorded, except of `list` with another number of
# devices: DEVICES=1000000 scripts/bench.sh list.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-deps.sh build test bench
scripts/npm.sh
cargo build --release -p bramble-server -p bramble-agent -p bramble-bench
target=${CARGO_TARGET_DIR:-$PWD/target}

# The list is measured on both engines; the server of the tests keeps its data in memory.
run=(scripts/postgres.sh "$target/release/bramble-bench" "$@")
export BRAMBLE_BIN_DIR="$target/release"
if unshare --net true 2>/dev/null || unshare --net --map-root-user true 2>/dev/null; then
    exec scripts/netns.sh "${run[@]}"
fi
exec "${run[@]}"
