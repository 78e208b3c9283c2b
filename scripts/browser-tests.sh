#!/usr/bin/env bash
# Runs the Playwright scenarios in Debian's Chromium against the programs that are built already.
# Arguments go to Playwright: scripts/browser-tests.sh --grep shell
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
export BRAMBLE_BIN_DIR="${BRAMBLE_BIN_DIR:-$target/debug}"
export BRAMBLE_ARTEFACTS="${BRAMBLE_ARTEFACTS:-$target/browser}"

run=(node_modules/.bin/playwright test --config tests/browser/playwright.config.ts "$@")

# In a network namespace of their own where that is possible: the relay's ports are then free, nothing
# leaves the machine, and Chromium finds an interface that is not loopback, without which it offers no
# candidates for WebRTC.
if unshare --net true 2>/dev/null || unshare --net --map-root-user true 2>/dev/null; then
    exec scripts/netns.sh "${run[@]}"
fi
exec "${run[@]}"
