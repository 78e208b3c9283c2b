#!/usr/bin/env bash
# Every check and every test, each named, timed and counted. The last line counts all of them.
#
#   scripts/test.sh                 what `make test` runs
#   scripts/test.sh --full          with the long ones
#   scripts/test.sh --checks        only formatting, lints and types
#   scripts/test.sh --screenshots   only the pictures for the README
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

mode=${1:-}
target=${CARGO_TARGET_DIR:-$PWD/target}
logs=$target/test-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0
report=()

# The test server must be there before the tests, and gone after them.
if [ "$mode" != --checks ] && [ -z "${BRAMBLE_TEST_POSTGRES:-}" ]; then
    purposes=(build test)
    [ "$mode" != --full ] || purposes+=(full)
    scripts/install-deps.sh "${purposes[@]}" || exit 1
    exec scripts/postgres.sh "$0" "$@"
fi
scripts/install-deps.sh build || exit 1
scripts/npm.sh || exit 1

# stage NAME COUNTER COMMAND…: runs it, keeps its output, and lets COUNTER count what was in it. A stage
# that fails without one counted failure counts as one failure.
stage() {
    local name=$1 counter=$2 log started status before=$failed
    shift 2
    log="$logs/${name// /-}.log"
    started=$SECONDS
    printf '\n── %s\n' "$name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    "$counter" "$log" "$status"
    if [ "$status" -ne 0 ] && [ "$failed" -eq "$before" ]; then
        failed=$((failed + 1))
    fi
    local word=passed
    [ "$status" -eq 0 ] || word="FAILED, see $log"
    report+=("$(printf '%-28s %4ds  %s' "$name" $((SECONDS - started)) "$word")")
    return "$status"
}

# A check that passes counts as one.
count_check() { [ "$2" -ne 0 ] || passed=$((passed + 1)); }

# "Summary [ 9.1s] 12 tests run: 11 passed (1 slow), 1 failed, 1 timed out, 2 skipped"
count_nextest() {
    local line
    line=$(sed 's/\x1b\[[0-9;]*m//g' "$1" | grep -E '^ *Summary \[' | tail -n 1)
    number() { grep -oE "[0-9]+ $1" <<<"$line" | grep -oE '^[0-9]+' || echo 0; }
    passed=$((passed + $(number passed)))
    failed=$((failed + $(number failed) + $(number 'timed out') + $(number 'exec failed')))
}

# "test result: ok. 5 passed; 0 failed; 0 ignored; …", once for every crate.
count_libtest() {
    local good bad
    read -r good bad < <(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$1")
    passed=$((passed + good))
    failed=$((failed + bad))
}

# Node's runner ends with "# pass 12" (or "ℹ pass 12") and "# fail 0".
count_node() {
    local good bad
    read -r good bad < <(awk '$2 == "pass" { p += $3 } $2 == "fail" { f += $3 } END { print p + 0, f + 0 }' "$1")
    passed=$((passed + good))
    failed=$((failed + bad))
}

# Playwright's list reporter ends with "  2 failed", "  1 skipped", "  31 passed (1.2m)", each on a line, once for each
# run.
count_playwright() {
    local line
    line=$(sed 's/\x1b\[[0-9;]*m//g' "$1")
    number() { awk -v what="$1" '/^ +[0-9]+ / && $2 " " $3 " " $4 ~ "^" what { sum += $1 } END { print sum + 0 }' <<<"$line"; }
    passed=$((passed + $(number passed)))
    failed=$((failed + $(number failed) + $(number flaky) + $(number interrupted)))
    skipped=$((skipped + $(number skipped) + $(number 'did not run')))
}

finish() {
    printf '\n'
    printf '%s\n' "${report[@]}"
    printf '\n'
    if [ "$skipped" -gt 0 ]; then
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

checks() {
    stage formatting count_check cargo fmt --all --check
    stage types count_check types
    if command -v shellcheck >/dev/null 2>&1; then
        stage "shell scripts" count_check shellcheck scripts/*.sh .ci/run
    fi
    stage lints count_check cargo clippy --quiet --workspace --all-targets -- -D warnings
    # Without the one crate that wants the agent's screen, every dependency keeps its features: only the agent
    # is looked at again.
    stage "Lite agent" count_check cargo clippy --quiet --workspace --exclude bramble-bench --all-targets \
        --no-default-features -- -D warnings
}

dependencies() {
    scripts/cargo-tool.sh cargo-deny || return 1
    # All targets' crates are looked at, and a build fetches only those of its own.
    cargo fetch --quiet --locked || return 1
    # What the advisory database says is asked by `make audit`: it needs the network, and a new
    # advisory must not turn an unchanged commit red.
    PATH="$(scripts/cargo-tool.sh --where):$PATH" cargo deny --offline check bans licenses sources
}

# The page's own code, then the browser scenarios.
types() { npm run --silent check && node_modules/.bin/tsc -p tests/browser; }

# What the Lite agent says, that the screen's code is not in it, and what it shares with the full one. With all of the
# workspace named, as above, only the agent is built again; its programs are replaced by `programs`.
lite() {
    cargo nextest run --workspace --exclude bramble-bench --no-default-features --test it --no-fail-fast \
        -E 'package(bramble-agent) and test(/^(lite|cli|session|control|local_socket)::/)'
}

documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps; }

# With --tests the same features are chosen as for the tests, so that nothing is built twice.
programs() { cargo build --workspace --bins --tests; }

# The whole browser where there is time for it.
browser() {
    [ "$mode" != --full ] || export BRAMBLE_CHROMIUM=/usr/bin/chromium
    scripts/browser-tests.sh "$@"
}

case "$mode" in
--checks)
    checks
    finish
    ;;
--screenshots)
    stage programs count_check programs || finish
    BRAMBLE_PICTURES=1 stage screenshots count_playwright browser --grep @readme
    finish
    ;;
esac

scripts/cargo-tool.sh cargo-nextest || exit 1
PATH="$PATH:$(scripts/cargo-tool.sh --where)"
export PATH

checks
stage "Lite agent: tests" count_nextest lite
stage documentation count_check documentation
stage dependencies count_check dependencies
if stage programs count_check programs; then
    profile=default
    [ "$mode" != --full ] || profile=full
    # Most tests wait more than they work.
    stage tests count_nextest cargo nextest run --workspace --no-fail-fast --profile "$profile" \
        --test-threads $((2 * $(nproc)))
    stage "documentation tests" count_libtest cargo test --quiet --workspace --doc --no-fail-fast
    stage "API from its document" count_check scripts/api-fuzz.sh
    stage "page code" count_node npm test --silent
    stage browser count_playwright browser
fi
finish
