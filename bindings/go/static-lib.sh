#!/bin/sh
# Puts what the build tag gossip_static links against into lib/: the static library and the header.
#
#     static-lib.sh [LIBRARY]       LIBRARY: target/release/libcluster_gossip.a
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
library=${1:-$root/target/release/libcluster_gossip.a}
to=$here/lib/$(go env GOOS)_$(go env GOARCH)
mkdir -p "$to" "$here/lib/include"
# Without debug information: it is most of the library, and Go programs are linked without it anyway.
strip --strip-debug -o "$to/libcluster_gossip.a" "$library"
cp "$root/include/cluster_gossip.h" "$here/lib/include/"
echo "$to/libcluster_gossip.a"
