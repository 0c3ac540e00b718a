#!/bin/sh
# Installs library, headers, pkg-config and CMake files for C and C++: install.sh PREFIX [LIBRARY]
# DESTDIR is put before every path written, as packagers expect. LIBRARY: target/release/libcluster_gossip.so.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: $0 PREFIX [LIBRARY]" >&2
    exit 2
fi
prefix=$1
library=${2:-$root/target/release/libcluster_gossip.so}
case $prefix in
    /*) ;;
    *) echo "$0: PREFIX must be an absolute path" >&2; exit 2 ;;
esac

version=$(sed -n 's/^version *= *"\([^"]*\)".*/\1/p' "$root/Cargo.toml" | head -n 1)
if [ -z "$version" ]; then
    echo "$0: no version in Cargo.toml" >&2
    exit 1
fi
libdir=$prefix/lib
includedir=$prefix/include
to=${DESTDIR:-}

install -d "$to$libdir/pkgconfig" "$to$libdir/cmake/cluster_gossip" "$to$includedir/cluster_gossip"
install -m 755 "$library" "$to$libdir/libcluster_gossip.so.$version"
# The SONAME for programs that run, the plain name for the linker.
ln -sf "libcluster_gossip.so.$version" "$to$libdir/libcluster_gossip.so.1"
ln -sf libcluster_gossip.so.1 "$to$libdir/libcluster_gossip.so"
install -m 644 "$root/include/cluster_gossip.h" "$here/cluster_gossip.hpp" "$to$includedir"
install -m 644 "$here"/cluster_gossip/*.h "$here"/cluster_gossip/*.hpp "$to$includedir/cluster_gossip"

fill() {
    sed -e "s|@PREFIX@|$prefix|g" -e "s|@LIBDIR@|$libdir|g" -e "s|@INCLUDEDIR@|$includedir|g" -e "s|@VERSION@|$version|g" "$1" >"$2"
}
fill "$here/cluster_gossip.pc.in" "$to$libdir/pkgconfig/cluster_gossip.pc"
fill "$here/cluster_gossip-config.cmake.in" "$to$libdir/cmake/cluster_gossip/cluster_gossip-config.cmake"
fill "$here/cluster_gossip-config-version.cmake.in" "$to$libdir/cmake/cluster_gossip/cluster_gossip-config-version.cmake"
