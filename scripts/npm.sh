#!/usr/bin/env bash
# Installs the npm packages of package-lock.json, unless exactly these are there. No package's own
# install script is run.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=node_modules/.bramble-lock
want=$(sha256sum package-lock.json | cut -d' ' -f1)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && exit 0
npm ci --ignore-scripts --no-audit --no-fund
echo "$want" >"$stamp"
