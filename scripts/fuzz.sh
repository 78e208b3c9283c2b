#!/usr/bin/env bash
# Fuzzes every target of every crate that has some, one after another, for SECONDS_EACH seconds (60 if not said).
#
#   scripts/fuzz.sh [TARGET…]             only these
#   scripts/fuzz.sh --keep [TARGET…]      afterwards, take what reaches new code into the seeds in the tree
#
# What is found while it runs is kept beside the build and is where the next run begins. A finding ends it, with the
# input in the tree's artifacts/ folder. No sanitizer: the parsers are safe Rust, in which a fault is a panic, and
# without one the pinned toolchain does.
set -euo pipefail
cd "$(dirname "$0")/.."

keep=
if [ "${1:-}" = --keep ]; then
    keep=1
    shift
fi
# Larger inputs tell no more and make the seeds large.
longest=4096

scripts/cargo-tool.sh cargo-fuzz
PATH="$(scripts/cargo-tool.sh --where):$PATH"
export PATH
build=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')

wanted() {
    [ ${#only[@]} = 0 ] && return 0
    for name in "${only[@]}"; do [ "$name" = "$1" ] && return 0; done
    return 1
}

only=("$@")
ran=0
for folder in crates/*/fuzz; do
    [ -d "$folder" ] || continue
    names=$(cargo fuzz list --fuzz-dir "$folder")
    for name in $names; do
        wanted "$name" || continue
        ran=$((ran + 1))
        cargo fuzz build --sanitizer none --target-dir "$build" --fuzz-dir "$folder" "$name"
        seeds=$folder/seeds/$name
        found=$build/corpus/${folder//\//-}/$name
        mkdir -p "$found" "$seeds" "$folder/artifacts/$name"
        program=$build/$host/release/$name
        echo "$folder: $name, for ${SECONDS_EACH:-60} seconds"
        log=$build/$name.log
        if ! "$program" -max_total_time="${SECONDS_EACH:-60}" -max_len=$longest -timeout=10 -rss_limit_mb=1024 \
            -print_final_stats=1 -artifact_prefix="$folder/artifacts/$name/" "$found" "$seeds" >"$log" 2>&1; then
            tail -n 40 "$log" >&2
            echo "$name found something. The input is in $folder/artifacts/$name." >&2
            exit 1
        fi
        # How many inputs, and how many of them reached new code.
        grep -E '^stat::(number_of_executed_units|new_units_added)' "$log"
        # How often code is reached would make a thousand seeds of some dozens.
        [ -z "$keep" ] || "$program" -merge=1 -use_counters=0 -max_len=$longest "$seeds" "$found" 2>/dev/null
    done
done
[ "$ran" -gt 0 ] || { echo "There is no such fuzz target." >&2; exit 1; }
