#!/usr/bin/env bash
# Asks every endpoint of the management API what schemathesis makes up from its OpenAPI document: with a
# good token and with a bad one. No answer may be 5xx, nor one that the document does not have. Device
# identities are registered with real keys and signatures (api-fuzz-hooks.py).
#
#   scripts/api-fuzz.sh [EXAMPLES]        how many requests for each endpoint (20)
set -euo pipefail
cd "$(dirname "$0")/.."
hooks=$PWD/scripts/api-fuzz-hooks.py

examples=${1:-20}
version=4.32.5
target=${CARGO_TARGET_DIR:-$PWD/target}
tools="${BRAMBLE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/bramble/tools}/schemathesis-$version"

if [ ! -x "$tools/bin/schemathesis" ]; then
    echo "Installing schemathesis $version; this happens once."
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

bramble=$target/debug/bramble
[ -x "$bramble" ] || { echo "$bramble was not built; run: cargo build --workspace" >&2; exit 1; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/bramble-api.XXXXXX")
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
"$bramble" serve --data "$folder/data" --listen "127.0.0.1:$port" --public-url "$url" --relay off \
    --api-rate-limit 0 2>"$folder/log" &
server=$!
for _ in $(seq 100); do
    curl --silent --fail "$url/ready" >/dev/null 2>&1 && break
    sleep 0.1
done

op() { "$bramble" "$@" --data "$folder/data" --json; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
printf '%s' 'correct horse battery staple 7' |
    op user create --email ada@example.org --name Ada --password-stdin --verified >/dev/null
organisation=$(op org create --name Fuzz --administrator ada@example.org | field id)
token=$(op token create --org "$organisation" --description fuzz | field secret)

# A device, so that lists have an entry.
key=$(op auth-key create --org "$organisation" --description fuzz --device-name kiosk | field auth_keys |
    grep -oE 'rpoak_[1-9A-HJ-NP-Za-km-z]{24}')
curl --silent --fail --output /dev/null --header 'Content-Type: application/json' "$url/client/auth-key-exchange" \
    --data "{\"auth_key\":\"$key\",\"serial_number\":\"s1\",\"hostname\":\"kiosk\",\"client_id\":\"fuzz\"}"

ask() {
    local phases=$1 bearer=$2
    PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS_HOOKS=$hooks "$tools/bin/schemathesis" run "$url/organisation/openapi.json" --url "$url" --phases "$phases" \
        --header "Authorization: Bearer $bearer" --max-examples "$examples" --seed 1 --no-color \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
}

cd "$folder"
failed=0
ask examples,coverage,fuzzing,stateful "$token" || failed=1
ask fuzzing "rporg_111111111111111111111111" || failed=1
registered=$(grep -c 'device identity created' "$folder/log" || true)
echo "$registered device identities were registered."
[ "$registered" -ge 5 ] || { echo "those are too few to say anything" >&2; failed=1; }
kill -0 "$server" || { echo "the server is gone" >&2; failed=1; }
if [ "$failed" -ne 0 ]; then
    grep -E 'ERROR|panic' "$folder/log" | tail -n 20 >&2 || true
fi
exit "$failed"
