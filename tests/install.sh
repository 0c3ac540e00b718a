#!/usr/bin/env bash
# `make install` puts a usable library in place, shared and static, also below DESTDIR. (What programs do with an installed
# library, through pkg-config and CMake, is part of tests/c/run.sh plain.)
set -uo pipefail
cd "$(dirname "$0")/.."
unset LD_LIBRARY_PATH CLUSTER_GOSSIP_LIBRARY

work=$PWD/build/install
prefix=$work/prefix
rm -rf "$work"
mkdir -p "$work/src"
passed=0
failed=0
check() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok    $name"
    else
        failed=$((failed + 1))
        echo "FAIL  $name: $*"
    fi
}

cat >"$work/src/program.c" <<'C'
#include <cluster_gossip.h>
#include <stdio.h>

int main(void)
{
    gossip_node node = {0};
    char errbuf[GOSSIP_ERRBUF];
    if (gossip_open_text("cluster=install\nbind=127.0.0.1:0", &node, errbuf, sizeof errbuf) != GOSSIP_OK) {
        fprintf(stderr, "%s\n", errbuf);
        return 1;
    }
    gossip_status status = gossip_set_text(node, "greeting", GOSSIP_NUL, "hello", 5, errbuf, sizeof errbuf);
    return gossip_close(node) == GOSSIP_OK && status == GOSSIP_OK ? 0 : 1;
}
C
version=$(sed -n 's/^version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1)
check "make install" make --no-print-directory install PREFIX="$prefix"
for file in include/cluster_gossip.h include/cluster_gossip.hpp lib/libcluster_gossip.a lib/libcluster_gossip.so lib/libcluster_gossip.so.1 \
    "lib/libcluster_gossip.so.$version" lib/pkgconfig/cluster_gossip.pc; do
    check "$file is there" test -s "$prefix/$file"
done
check "DESTDIR goes before the prefix" make --no-print-directory install DESTDIR="$work/root" PREFIX=/opt/gossip
check "what is under DESTDIR names the prefix alone" grep -q '^prefix=/opt/gossip$' "$work/root/opt/gossip/lib/pkgconfig/cluster_gossip.pc"

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
# shellcheck disable=SC2046 # the words of pkg-config are options
{
    check "pkg-config knows the version" test "$(pkg-config --modversion cluster_gossip)" = "$version"
    check "C, by pkg-config: links" cc -std=c11 "$work/src/program.c" -o "$work/c" $(pkg-config --cflags --libs cluster_gossip) -Wl,-rpath,"$prefix/lib"
    check "C, by pkg-config: runs" "$work/c"
    check "C, the static library: links" cc -std=c11 -I"$prefix/include" "$work/src/program.c" "$prefix/lib/libcluster_gossip.a" -o "$work/static" \
        $(pkg-config --libs --static cluster_gossip | sed 's/-lcluster_gossip//')
}
check "C, the static library: runs" "$work/static"

# The demo's programs are asked for one member, themselves, so that they end well when they have seen it.
demo=(--seconds 2 --expect 1)
export GOTOOLCHAIN=local GOWORK=off GOFLAGS=-buildvcs=false CGO_ENABLED=1 LD_LIBRARY_PATH="$prefix/lib"
# Go's build cache does not look into headers outside of the package: the sum makes it notice a new one.
CGO_CFLAGS="-O2 -DGOSSIP_HEADER_SUM=$(cksum <include/cluster_gossip.h | cut -d' ' -f1)"
export CGO_CFLAGS
check "Go, by pkg-config: builds" go build -C examples/demo/go -o "$work/go" .
check "Go, by pkg-config: needs the shared library" bash -c "readelf -d '$work/go' | grep -q 'NEEDED.*libcluster_gossip.so.1'"
check "Go, by pkg-config: runs" "$work/go" "${demo[@]}"
check "C#: builds" bindings/csharp/build.sh demo
mkdir "$work/csharp"
cp build/csharp/demo.exe build/csharp/ClusterGossip.dll "$work/csharp"
check "C#, the system's library: runs" mono "$work/csharp/demo.exe" "${demo[@]}"
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0))
