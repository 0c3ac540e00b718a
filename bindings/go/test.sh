#!/usr/bin/env bash
# Runs the tests of the Go binding and of its modules against the library in target/release: bindings/go/test.sh [ARGUMENT OF go test...]
# Prints what go test prints, and closes with "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")"
# The library of this repository, whatever is installed; and no settings of the caller's that would build something else.
export PKG_CONFIG=$PWD/repo-pkg-config CGO_ENABLED=1
unset GOFLAGS GOWORK CGO_CFLAGS CGO_LDFLAGS LD_LIBRARY_PATH

log=$(mktemp)
trap 'rm -f "$log"' EXIT
broken=0
check() {
    echo "--- $*"
    "$@" 2>&1 | tee -a "$log"
    return "${PIPESTATUS[0]}"
}

unformatted=$(gofmt -l . ../../examples/demo/go ../../tests/mixed/peers/go)
if [[ $unformatted ]]; then
    echo "not formatted (gofmt -w): $unformatted"
    broken=$((broken + 1))
fi
for module in . pb protoactor ../../examples/demo/go ../../tests/mixed/peers/go; do
    check go -C "$module" vet ./... || broken=$((broken + 1))
    failed_before=$(grep -c '^--- FAIL' "$log")
    if ! check go -C "$module" test -race -count=1 -v "$@" ./...; then
        # A failure that no test is to blame for: it did not build, or a process died.
        (($(grep -c '^--- FAIL' "$log") > failed_before)) || broken=$((broken + 1))
    fi
done
passed=$(grep -c '^--- PASS' "$log")
failed=$(grep -c '^--- FAIL' "$log")
skipped=$(grep -c '^--- SKIP' "$log")
failed=$((failed + broken))
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
