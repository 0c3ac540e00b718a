#!/usr/bin/env python3
"""Hosts without a binding join through their generic FFI, from the header alone, and are told of changes (README.md)."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "generic_ffi"
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "mixed")]

import header  # noqa: E402
from harness import Report, until  # noqa: E402
from peer_process import Peer, encode, escape  # noqa: E402

VALUES = {
    "bytes": bytes(range(256)), "no bytes": b"", "text": "grüße ✓", "empty text": "", "true": True, "false": False,
    "smallest int": -2**63, "largest int": 2**63 - 1, "double": -0.1, "negative zero": -0.0, "infinity": float("inf"),
}
KEYS = {"ASCII": "plain", "Unicode": "Schlüssel 🔑", "a zero byte": "zero\0inside"}


def build():
    """The C member to run beside, koffi, and the header for the host that cannot run a preprocessor itself."""
    BUILD.mkdir(parents=True, exist_ok=True)
    peer = BUILD / "peer-c"
    subprocess.run(["cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/include", str(HERE.parent / "mixed/peers/peer.c"), "-o", str(peer),
                    f"-L{ROOT}/target/release", "-lcluster_gossip", f"-Wl,-rpath,{ROOT}/target/release"], check=True)
    declarations, constants = header.preprocess()
    (BUILD / "header.json").write_text(json.dumps({"declarations": declarations, "constants": constants}))
    return peer


def install_koffi():
    """What package-lock.json pins, into build/; nothing is done where that is there already."""
    lock = (HERE / "package-lock.json").read_bytes()
    installed = BUILD / "installed-lock.json"
    if installed.exists() and installed.read_bytes() == lock:
        return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, BUILD / name)
    # Its install script would compile koffi, whose binary is in the package.
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(BUILD / "npm-cache")], cwd=BUILD, check=True)
    installed.write_bytes(lock)


def try_host(report, name, command, peer_command, env):
    def check(what):
        return report.check(f"{name}: {what}")

    host = None
    with Peer("C", [str(peer_command)], "native", f"generic-{name}", "") as native:
        with check("every declaration of the header is read, and a node opens"):
            host = Peer(name, command, "foreign", f"generic-{name}", native.address, env=env)
        if host is None:
            return
        with host:
            with check("it joins, and both know two members"):
                native.wait_members(2)
                host.wait_members(2)
            for kind, value in VALUES.items():
                with check(f"{kind} set by C is read"):
                    native.set(f"k:{kind}", value)
                    host.expect("native", f"k:{kind}", value)
                with check(f"{kind} set here is read by C"):
                    host.set(f"k:{kind}", value)
                    native.expect("foreign", f"k:{kind}", value)
            for kind, key in KEYS.items():
                with check(f"a key with {kind} is the same on both sides"):
                    host.set(key, kind)
                    native.set(key, kind)
                    native.expect("foreign", key, kind)
                    host.expect("native", key, kind)
            with check("a refused set answers the status"):
                answer = host.ask("set", escape("cluster:topology"), encode("no"))
                assert answer == "error GOSSIP_ERR_RESERVED_KEY", answer
            with check("a change by C is told"):
                assert host.ask("subscribe") == "ok"
                for number in range(3):
                    native.set("told", number)
                    assert next_about(host, "told") == f"entry_changed native told int {number}"
            with check("a deletion by C is told"):
                assert native.ask("delete", "told") == "ok"
                assert next_about(host, "told") == "entry_deleted native told"
            with check("an entry deleted here is gone at C"):
                assert host.ask("delete", escape("k:text")) == "ok"
                until("C reads nothing", lambda: native.get("foreign", "k:text") == "none")
            with check("a ban is heeded by C until it is lifted"):
                assert host.ask("ban", "foreign") == "error GOSSIP_ERR_INVALID_ARGUMENT"
                assert host.ask("ban", "native") == "ok"
                assert host.ask("bans") == '[{"by":"foreign","id":"native"}]'
                until("C is banned", lambda: native.ask("set", "k", "int", "1") == "error GOSSIP_ERR_BANNED")
                assert host.ask("unban", "native") == "ok"
                until("C is no longer banned", lambda: native.ask("set", "k", "int", "1") == "ok")
                assert host.ask("bans") == "[]"
            with check("a statistic set here is read by C"):
                assert host.ask("statistic", "rooms", str(-2**63)) == "ok"
                heartbeat = "other type.googleapis.com/cluster.MemberHeartbeat"
                until("C reads it", lambda: native.get("foreign", "cluster:heartbeat") == heartbeat)
            with check("a member that leaves is told"):
                native.quit()
                until("member_left", lambda: host.ask("next") == "member_left native")
            with check("it leaves, closes and ends well"):
                host.quit()


def next_about(host, key):
    """The next event about that key; what came before about others is passed over."""
    def look():
        answer = host.ask("next")
        return answer if answer.split()[2:3] == [escape(key)] else None
    return until(f"an event about {key}", look)


def main():
    report = Report()
    peer = build()
    env = dict(os.environ, GENERIC_FFI_HEADER=str(BUILD / "header.json"), NODE_PATH=str(BUILD / "node_modules"))
    env.setdefault("CLUSTER_GOSSIP_LIBRARY", str(ROOT / "target/release/libcluster_gossip.so.1"))
    try_host(report, "cffi", [sys.executable, str(HERE / "host_cffi.py")], peer, env)
    if shutil.which("node") and shutil.which("npm"):
        with report.check("node: koffi is installed"):
            install_koffi()
        if (BUILD / "node_modules/koffi").exists():
            try_host(report, "node", ["node", str(HERE / "host_node.js")], peer, env)
    else:
        report.skip("node", "node and npm are not there")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
