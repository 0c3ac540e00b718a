#!/usr/bin/env bash
# Builds the C# binding with mcs and runs its tests on Mono: bindings/csharp/test.sh [PART-OF-A-NAME...]. The last line has the counts.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export CLUSTER_GOSSIP_LIBRARY=${CLUSTER_GOSSIP_LIBRARY:-$root/target/release/libcluster_gossip.so.1}
"$root/bindings/csharp/build.sh" tests-async
exec mono --debug "$root/build/csharp/async/ClusterGossip.Tests.exe" "$@"
