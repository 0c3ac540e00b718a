#!/usr/bin/env bash
# Builds with Debian's mcs, into build/csharp: bindings/csharp/build.sh [library|tests|tests-async|bench|demo|peer]... (without arguments: all)
#
# The library is what netstandard2.0 gets. tests-async, in build/csharp/async, has the asynchronous enumerations of later frameworks besides:
# Mono has their types, .NET Core would not find them where mcs looks for them.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=build/csharp
flags=(-warn:4 -warnaserror -unsafe -optimize+ -debug -langversion:7.2 -d:TRACE -r:System.Core.dll)

sources() { find "$1" -name '*.cs' -not -path '*/obj/*' -not -path '*/bin/*' | LC_ALL=C sort; }

# library DIRECTORY [FLAG...]
library() {
    mkdir -p "$1"
    local files
    mapfile -t files < <(sources bindings/csharp/ClusterGossip)
    mcs "${flags[@]}" -target:library -doc:"$1/ClusterGossip.xml" -out:"$1/ClusterGossip.dll" "${@:2}" "${files[@]}"
}

# program DIRECTORY NAME SOURCES [FLAG...]
program() {
    local files
    mapfile -t files < <(sources "$3")
    mcs "${flags[@]}" -lib:"$1" -r:ClusterGossip.dll -out:"$1/$2" "${@:4}" "${files[@]}"
}

(($#)) || set -- library tests tests-async bench demo peer
[[ $* == tests-async ]] || library "$out"
for part in "$@"; do
    case $part in
    library) ;;
    tests) program "$out" ClusterGossip.Tests.exe bindings/csharp/tests ;;
    tests-async)
        library "$out/async" -d:NETSTANDARD2_1_OR_GREATER
        program "$out/async" ClusterGossip.Tests.exe bindings/csharp/tests -d:NETSTANDARD2_1_OR_GREATER
        ;;
    bench) program "$out" bench.exe bindings/csharp/bench ;;
    demo) program "$out" demo.exe examples/demo/csharp ;;
    peer) program "$out" peer.exe tests/mixed/peers/csharp ;;
    *)
        echo "usage: build.sh [library|tests|tests-async|bench|demo|peer]..." >&2
        exit 2
        ;;
    esac
done
