#!/usr/bin/env bash
# Fuzzes every target of every crate that has some, for SECONDS_EACH seconds (60 if not said).
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo fuzz --version >/dev/null 2>&1 || ! rustup toolchain list | grep -q nightly; then
    echo "This needs cargo-fuzz and a nightly toolchain: cargo install cargo-fuzz; rustup toolchain install nightly" >&2
    exit 1
fi
found=0
for folder in crates/*/fuzz; do
    [ -d "$folder" ] || continue
    while read -r name; do
        found=1
        cargo +nightly fuzz run --fuzz-dir "$folder" "$name" -- -max_total_time="${SECONDS_EACH:-60}"
    done < <(cargo +nightly fuzz list --fuzz-dir "$folder")
done
[ "$found" = 1 ] || echo "There are no fuzz targets yet."
