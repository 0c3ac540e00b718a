#!/usr/bin/env bash
# Runs the tests that mcs has built on CoreCLR too: bindings/csharp/test-coreclr.sh [PART-OF-A-NAME...]. The last line has the counts.
#
# The runtime comes in the wheel dotnetcore2 of PyPI: .NET Core 3.1, of 2022, so this is an extra check, and not what releases rest on. Where it is
# not to be had, or does not run, all is counted as one skipped test, with the reason.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$root/build/csharp
runtime=$out/coreclr
export CLUSTER_GOSSIP_LIBRARY=${CLUSTER_GOSSIP_LIBRARY:-$root/target/release/libcluster_gossip.so.1}

skip() {
    echo "skip  the tests on CoreCLR: $*"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

[[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] || skip "the wheel has a runtime for Linux on x86-64 only"
if [[ ! -x $runtime/dotnetcore2/bin/dotnet ]]; then
    command -v python3 >/dev/null || skip "python3, which fetches the wheel, is not installed"
    python=python3
    python3 -m pip --version >/dev/null 2>&1 || python=$root/build/venv/bin/python
    "$python" -m pip --version >/dev/null 2>&1 || skip "pip, which fetches the wheel, is not installed"
    rm -rf "$runtime" "$out/wheel"
    # Unpacked, not installed: its Python module would download more.
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$out/wheel" dotnetcore2==3.1.23 >"$out/wheel.log" 2>&1 ||
        skip "pip cannot fetch dotnetcore2 3.1.23: $(tail -n 1 "$out/wheel.log")"
    mkdir -p "$runtime"
    "$python" -m zipfile -e "$out"/wheel/dotnetcore2-*.whl "$runtime"
    chmod +x "$runtime/dotnetcore2/bin/dotnet"
fi

"$root/bindings/csharp/build.sh" tests
config=$out/ClusterGossip.Tests.runtimeconfig.json
cat >"$config" <<'JSON'
{
  "runtimeOptions": {
    "tfm": "netcoreapp3.1",
    "framework": { "name": "Microsoft.NETCore.App", "version": "3.1.0" },
    "configProperties": { "System.Globalization.Invariant": true }
  }
}
JSON
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
dotnet=$runtime/dotnetcore2/bin/dotnet
"$dotnet" --list-runtimes >"$out/coreclr.log" 2>&1 || skip "the runtime does not run: $(tail -n 1 "$out/coreclr.log")"
exec "$dotnet" exec --runtimeconfig "$config" "$out/ClusterGossip.Tests.exe" "$@"
