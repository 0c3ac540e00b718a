#!/usr/bin/env bash
# Runs the tests of the Go binding and of its modules against the library in target/release: bindings/go/test.sh [ARGUMENT OF go test...]
# Prints what go test prints, and closes with "N passed, N failed, N skipped"; gofmt and each go vet count as a test.
set -uo pipefail
cd "$(dirname "$0")"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
broken=0
go() {
    echo "--- go $*"
    ./repo-go "$@" 2>&1 | tee -a "$log"
    return "${PIPESTATUS[0]}"
}
count() {
    if "$@"; then passed=$((passed + 1)); else broken=$((broken + 1)); fi
}

formatted() {
    local unformatted
    unformatted=$(gofmt -l . ../../examples/demo/go ../../tests/mixed/peers/go) && [[ ! $unformatted ]] && return
    echo "not formatted (gofmt -w): $unformatted"
    return 1
}
count formatted

# tests MODULE [ARGUMENT OF go test...]
tests() {
    local failed_before
    failed_before=$(grep -c '^--- FAIL' "$log")
    if ! go test -C "$1" -count=1 -v "${@:2}" ./...; then
        # A failure that no test is to blame for: it did not build, or a process died.
        (($(grep -c '^--- FAIL' "$log") > failed_before)) || broken=$((broken + 1))
    fi
}
for module in . pb protoactor ../../examples/demo/go ../../tests/mixed/peers/go; do
    count go vet -C "$module" ./...
done
# Without the race detector where all is Proto.Actor's and one goroutine: to build that with it takes longer than all the rest.
tests . -race "$@"
tests pb -race "$@"
tests protoactor "$@"

passed=$((passed + $(grep -c '^--- PASS' "$log")))
failed=$((broken + $(grep -c '^--- FAIL' "$log")))
skipped=$(grep -c '^--- SKIP' "$log")
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
