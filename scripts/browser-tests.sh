#!/usr/bin/env bash
# Runs the Playwright scenarios in Debian's Chromium against the programs that are built already.
# Arguments go to Playwright: scripts/browser-tests.sh --grep shell
# Without any, it fails as well if no scenario looked at some page: with axe and a camera.
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
    run=(scripts/netns.sh "${run[@]}")
fi
[ $# -eq 0 ] || exec "${run[@]}"

# All of them: then every page must have been looked at. Most scenarios wait more than they work, so that two fit on
# two cores; those that measure a time or memory come after them, alone.
rm -f "$BRAMBLE_ARTEFACTS/looked.txt"
status=0
"${run[@]}" --workers 2 --grep-invert '@alone|@readme' || status=$?
BRAMBLE_FAILURES=failures-alone "${run[@]}" --grep @alone || status=$?
node tests/browser/support/looked.mjs "$BRAMBLE_ARTEFACTS/looked.txt" || status=1
exit "$status"
