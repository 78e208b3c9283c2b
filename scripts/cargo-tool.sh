#!/usr/bin/env bash
# Installs a cargo tool at the version written here, once, into a folder of our own.
#
#   scripts/cargo-tool.sh cargo-deny cargo-nextest
#   scripts/cargo-tool.sh --where                     the folder to put on PATH
set -euo pipefail

declare -A versions=([cargo-deny]=0.20.2 [cargo-nextest]=0.9.143 [cargo-fuzz]=0.13.2)
# A new version here is a new folder's worth of building, so older ones are kept beside it.
root="${BRAMBLE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/bramble/tools}"

if [ "${1:-}" = --where ]; then
    echo "$root/bin"
    exit 0
fi
for tool in "$@"; do
    version=${versions[$tool]:?"no version is written down for $tool"}
    [ -x "$root/bin/$tool" ] && [ -f "$root/$tool-$version" ] && continue
    # nextest's output is stable enough for any version that somebody has already.
    [ "$tool" = cargo-nextest ] && command -v cargo-nextest >/dev/null 2>&1 && continue
    echo "Building $tool $version; this happens once."
    # Lightly optimised: a full release build of a linter takes longer than it ever saves.
    env -u CARGO_TARGET_DIR -u RUSTFLAGS CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install --quiet --locked --debug --force --version "$version" --root "$root" "$tool"
    touch "$root/$tool-$version"
done
