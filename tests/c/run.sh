#!/bin/sh
# Builds and runs the tests of the C interface and of the C++ binding: run.sh plain|valgrind|asan
#   plain     as programs are built by users, with the installed form and the demo programs too
#   valgrind  the same programs under valgrind: invalid reads and definite leaks fail
#   asan      compiled with -fsanitize=address,undefined
# CLUSTER_GOSSIP_LIBRARY names the library; without it target/release/libcluster_gossip.so is taken. CC and CXX as usual.
# The last line counts everything. A skipped test is a failure where CI=true.
set -u

mode=${1:-}
case $mode in
    plain | valgrind | asan) ;;
    *) echo "usage: $0 plain|valgrind|asan" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
library=${CLUSTER_GOSSIP_LIBRARY:-$root/target/release/libcluster_gossip.so}
out=$root/build/c-$mode
CC=${CC:-gcc}
CXX=${CXX:-g++}
passed=0 failed=0 skipped=0

if [ ! -f "$library" ]; then
    echo "$0: there is no $library: build the release library, or set CLUSTER_GOSSIP_LIBRARY" >&2
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
library=$(cd "$(dirname "$library")" && pwd)/$(basename "$library")
rm -rf "$out"
mkdir -p "$out/lib"
# Under both names that programs look for, wherever the file itself lies.
ln -s "$library" "$out/lib/libcluster_gossip.so"
ln -s "$library" "$out/lib/libcluster_gossip.so.1"
unset CLUSTER_GOSSIP_LIBRARY
export LD_LIBRARY_PATH="$out/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export CLUSTER_GOSSIP_TEST_MODE="$mode"

warnings="-Wall -Wextra -Werror -pedantic"
debug="-g -O1"
runner=""
case $mode in
    valgrind)
        if ! command -v valgrind >/dev/null 2>&1; then
            echo "skip everything: valgrind is not installed"
            echo "0 passed, 0 failed, 1 skipped"
            [ "${CI:-}" != true ]
            exit
        fi
        runner="valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite
                --errors-for-leak-kinds=definite --num-callers=30 --suppressions=$here/valgrind.supp"
        # Each step is some 30 times slower, and one thread runs at a time.
        export CLUSTER_GOSSIP_TEST_DIVISOR=50
        ;;
    asan)
        debug="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
        export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
        export UBSAN_OPTIONS=print_stacktrace=1
        export CLUSTER_GOSSIP_TEST_DIVISOR=5
        ;;
esac
includes="-I$root/include -I$root/bindings/cpp"
c11="$CC -std=c11 -D_GNU_SOURCE $warnings $debug $includes"
cxx17="$CXX -std=c++17 -D_GNU_SOURCE $warnings $debug $includes"
plain_cxx="-fno-exceptions -fno-rtti"
link="-L$out/lib -lcluster_gossip -lpthread"

# A step that is a test by itself.
one() { # NAME COMMAND...
    name=$1
    shift
    if "$@" >"$out/$name.log" 2>&1; then
        passed=$((passed + 1))
        echo "ok   $name"
        return 0
    fi
    failed=$((failed + 1))
    echo "FAIL $name"
    sed 's/^/#    /' "$out/$name.log"
    return 1
}

# A program whose last line counts its tests. The time limit ends what hangs; nothing is measured by it.
run() { # NAME ARGUMENT...
    name=$1
    shift
    echo "== $name"
    timeout -k 10 600 $runner "$out/$name" "$@" >"$out/$name.log" 2>&1
    status=$?
    cat "$out/$name.log"
    # valgrind says nothing but faults; those of a forked child do not come with its exit status.
    if grep -aqE '^==[0-9]+== ' "$out/$name.log"; then
        echo "FAIL $name: valgrind reports faults"
        failed=$((failed + 1))
    fi
    counts=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$out/$name.log" | tail -n 1)
    if [ -z "$counts" ]; then
        echo "FAIL $name ended with status $status and without its last line"
        failed=$((failed + 1))
        return
    fi
    set -- $counts
    passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
    if [ "$status" -ne 0 ] && [ "$3" -eq 0 ]; then
        echo "FAIL $name ended with status $status"
        failed=$((failed + 1))
    fi
}

build_and_run() { # NAME "COMPILER FLAGS" SOURCE "LINK" ARGUMENT...
    program=$1 compile=$2 source=$3 with=$4
    shift 4
    one "build-$program" $compile -o "$out/$program" "$source" $with && run "$program" "$@"
}

# The tools are there and find what they are for.
finds() { # FAULT
    $runner "$out/tools" "$1"
    [ $? -eq 99 ]
}
case $mode in
    asan) build_and_run tools "$c11" "$here/tools.c" "$link" ;;
    valgrind)
        one build-tools $c11 -o "$out/tools" "$here/tools.c" $link
        one valgrind-finds-a-leak finds --leak
        one valgrind-finds-an-invalid-read finds --invalid-read
        ;;
esac

# ---- C ----
build_and_run header_alone_c11 "$c11 -Wstrict-prototypes -Wconversion" "$here/header_alone.c" "$link"
build_and_run header_alone_cxx17 "$cxx17 -Wconversion $plain_cxx -x c++" "$here/header_alone.c" "$link"
for test in macros contract state events cluster callbacks guest; do
    build_and_run $test "$c11" "$here/$test.c" "$link"
done
build_and_run scenario_c "$c11" "$here/scenario.c" "$link" "$root/tests/scenario.txt"
one build-other-abi $CC -shared -fPIC -o "$out/libother_abi.so" "$here/other_abi.c"
export CLUSTER_GOSSIP_TEST_OTHER_ABI="$out/libother_abi.so"
build_and_run dlopen_c "$c11" "$here/dlopen.c" "-ldl -lpthread" "$library"

# ---- C++ ----
build_and_run binding "$cxx17" "$here/binding.cpp" "$link"
build_and_run binding_plain "$cxx17 $plain_cxx" "$here/binding.cpp" "$link"
build_and_run scenario_cpp "$cxx17" "$here/scenario.cpp" "$link" "$root/tests/scenario.txt"
build_and_run scenario_cpp_plain "$cxx17 $plain_cxx" "$here/scenario.cpp" "$link" "$root/tests/scenario.txt"
build_and_run dlopen_cpp "$cxx17" "$here/dlopen.cpp" "-ldl -lpthread" "$library"
build_and_run dlopen_cpp_plain "$cxx17 $plain_cxx" "$here/dlopen.cpp" "-ldl -lpthread" "$library"

# ---- what users copy: the README's program, the installed form, the demo programs ----

# Both demo programs in one cluster; each exits 0 only if it saw the other's greeting and counter.
demos() {
    rm -f "$out/address"
    "$out/demo_c" --language C --seeds "" --seconds 10 --print-address "$out/address" --expect 2 >"$out/demo_c.log" 2>&1 &
    first=$!
    while [ ! -s "$out/address" ] && kill -0 $first 2>/dev/null; do sleep 0.1; done
    "$out/demo_cpp" --language C++ --seeds "$(cat "$out/address")" --seconds 10 --expect 2 &
    second=$!
    status=0
    wait $first || status=1
    wait $second || status=1
    cat "$out/demo_c.log"
    return $status
}

# The headers as installed, with nothing of the source tree on the include path.
installed() {
    "$root/bindings/cpp/install.sh" "$out/prefix" "$library" || return 1
    only="-I$out/prefix/include"
    $CXX -std=c++17 $warnings $only "$out/readme.cpp" -o "$out/readme_installed" -L"$out/prefix/lib" -lcluster_gossip || return 1
    env LD_LIBRARY_PATH="$out/prefix/lib" "$out/readme_installed" || return 1
    echo '#define CLUSTER_GOSSIP_DLOPEN
#include <cluster_gossip.hpp>
int main() { return cluster_gossip::load().empty() ? 0 : 1; }' >"$out/load_installed.cpp"
    $CXX -std=c++17 $warnings $only "$out/load_installed.cpp" -o "$out/load_installed" -ldl -lpthread || return 1
    env LD_LIBRARY_PATH="$out/prefix/lib" "$out/load_installed"
}

if [ "$mode" = plain ]; then
    awk '/^```cpp$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$root/bindings/cpp/README.md" >"$out/readme.cpp"
    one build-readme $cxx17 -o "$out/readme" "$out/readme.cpp" $link && one readme-program "$out/readme"
    one installed-headers installed
    one build-demo-c $c11 -o "$out/demo_c" "$root/examples/demo/demo.c" $link &&
        one build-demo-cpp $cxx17 -o "$out/demo_cpp" "$root/examples/demo/demo.cpp" $link && one demo-programs demos
fi

echo "$passed passed, $failed failed, $skipped skipped"
if [ "${CI:-}" = true ] && [ "$skipped" -gt 0 ]; then exit 1; fi
[ "$failed" -eq 0 ]
