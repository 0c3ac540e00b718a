#!/usr/bin/env python3
"""One cluster of all languages: each reads what any other writes, and killing some disturbs no other (README.md)."""

import collections
import importlib.util
import os
import pathlib
import random
import shlex
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "mixed"
RELEASE = ROOT / "target" / "release"
os.environ.setdefault("CLUSTER_GOSSIP_LIBRARY", str(RELEASE / "libcluster_gossip.so.1"))
os.environ["PYTHONPATH"] = str(ROOT / "bindings/python/src")
sys.path[:0] = [str(HERE.parent), str(ROOT / "bindings/python/src")]

import cluster_gossip  # noqa: E402
from harness import Report, until  # noqa: E402
from peer_process import Peer  # noqa: E402

# The driver of make demo, which reads and builds its table of programs.
spec = importlib.util.spec_from_file_location("demo_driver", ROOT / "examples/demo/run.py")
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)

COMMON = f"-O2 -Wall -Wextra -Werror -I{ROOT}/include -I{ROOT}/bindings/cpp"
LINK = f"-L{RELEASE} -lcluster_gossip -pthread -Wl,-rpath,{RELEASE}"
# Long enough to be suspected (a probe and its answer take a second), far below the setting suspicion_stalled.
STOP_SECONDS = 3
# language: how its peer is built, how it is run
PEERS = {
    "C": (f"cc -std=c11 {COMMON} {HERE}/peers/peer.c -o {BUILD}/peer-c {LINK}", [f"{BUILD}/peer-c"]),
    "C++": (f"c++ -std=c++17 {COMMON} {HERE}/peers/peer.cpp -o {BUILD}/peer-cpp {LINK}", [f"{BUILD}/peer-cpp"]),
    "Rust": ("cargo build --release --locked --quiet --example mixed_peer", [f"{RELEASE}/examples/mixed_peer"]),
    "Python": ("", [sys.executable, f"{HERE}/peers/peer.py"]),
    "Go": (f"{ROOT}/bindings/go/repo-go build -C {HERE}/peers/go -o {BUILD}/peer-go .", [f"{BUILD}/peer-go"]),
    "C#": (f"{ROOT}/bindings/csharp/build.sh peer", ["mono", f"{ROOT}/build/csharp/peer.exe"]),
}

RANDOM = random.Random(1)
VALUES = {
    "no bytes": b"", "one byte": b"\0", "bytes with zeros": b"\0\xff\0\x01", "every byte": bytes(range(256)),
    "60 kB": RANDOM.randbytes(60_000), "1 MB": RANDOM.randbytes(1_000_000),
    "text": "plain", "empty text": "", "Unicode text": "grüße ✓ 🔑", "text with a zero byte": "a\0b",
    "true": True, "false": False,
    "zero": 0, "minus one": -1, "smallest int": -2**63, "largest int": 2**63 - 1,
    "double": -0.1, "whole double": 1.0, "negative zero": -0.0, "smallest double": 5e-324,
    "largest double": 1.7976931348623157e308, "infinity": float("inf"), "not a number": float("nan"),
}
KEYS = {"a Unicode key": "Schlüssel 🔑", "a key with a zero byte": "zero\0inside", "the longest key": "k" * 255}


def values(report):
    """Each language writes each kind of value, each reads it of each."""
    peers = {}
    try:
        seeds = ""
        for number, (language, (_, command)) in enumerate(PEERS.items()):
            with report.check(f"{language}: the peer opens a node"):
                peers[language] = Peer(language, command, f"peer-{number}", "mixed-values", seeds)
                seeds = seeds or peers[language].address
        for language, peer in peers.items():
            with report.check(f"{language}: the peer knows all {len(peers)}"):
                peer.wait_members(len(peers))
        for kind, value in VALUES.items():
            exchange(report, peers, kind, f"value:{kind}", value)
        for kind, key in KEYS.items():
            exchange(report, peers, kind, key, kind)
        restarts(report, peers)
        for language, peer in peers.items():
            with report.check(f"{language}: the peer leaves, closes and ends well"):
                peer.quit()
    finally:
        for peer in peers.values():
            peer.__exit__()


def exchange(report, peers, kind, key, value):
    """Every peer sets the key, then every peer reads it of every one, itself included."""
    for language, peer in peers.items():
        with report.check(f"{kind}: {language} writes"):
            peer.set(key, value)
    for reader, peer in peers.items():
        for writer, other in peers.items():
            with report.check(f"{kind}: {reader} reads what {writer} wrote"):
                peer.expect(other.id, key, value)


def restarts(report, peers):
    """Each in turn is killed and started anew under its id; all read what its new life writes, and it reads what all have written."""
    for language, old in list(peers.items()):
        others = {name: peer for name, peer in peers.items() if name != language}
        with report.check(f"{language}: the peer opens a node under its old id after it was killed"):
            old.set("life", "first")
            for other in others.values():
                other.expect(old.id, "life", "first")
            old.__exit__()
            seeds = ",".join(other.address for other in others.values())
            peers[language] = Peer(language, PEERS[language][1], old.id, "mixed-values", seeds)
        peer = peers[language]
        with report.check(f"{language}: all read what the new life wrote, and it reads what the others wrote"):
            peer.set("life", "second")
            peer.set("value:1 MB", VALUES["1 MB"])
            peer.wait_members(len(peers))
            for reader in peers.values():
                reader.expect(peer.id, "life", "second")
                # Of the first life nothing is left.
                until("the first life's entries are gone", lambda: reader.get(peer.id, "value:text") == "none")
            for other in others.values():
                peer.expect(other.id, "value:1 MB", VALUES["1 MB"])


class DemoProgram:
    """A running program of the demo; its member is found by the address that it wrote."""

    def __init__(self, language, number, seeds, expect):
        self.name = f"{language.name} {number}"
        self.language = language
        self.address_file = BUILD / f"{language.name}-{number}.address"
        self.address_file.unlink(missing_ok=True)
        self.log = BUILD / f"{language.name}-{number}.log"
        arguments = ["--language", language.name, "--seeds", seeds, "--seconds", "3600",
                     "--print-address", str(self.address_file), "--expect", str(expect)]
        command = [word for word in shlex.split(language.run) if word != "--draw"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command + arguments, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def address(self):
        """Waits for it the first time; read until two looks give the same, since it may be in the midst of writing."""
        looks = collections.deque([None], maxlen=2)

        def look():
            self.must_run()
            looks.append(self.address_file.read_text().strip() if self.address_file.exists() else None)
            return looks[-1] if looks[0] == looks[-1] else None
        return until(f"{self.name} has written its address", look)

    def must_run(self):
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text(errors='replace')[-2000:]}"

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Observer:
    """A node of the Python binding that looks on."""

    def __init__(self, seeds):
        self.node = cluster_gossip.Node(cluster="demo", bind="127.0.0.1:0", seeds=seeds)
        self.dead = []
        # With a callback, which takes each at once: a death and a return together would be drawn together to the return.
        self.node.on_change(lambda change: self.dead.append(change.member), kinds=cluster_gossip.Kind.MEMBER_DEAD)

    def member(self, program):
        """The id of the program's member, once it is known here; the newest at that address."""
        def look():
            found = [member for member in self.node.members() if member.address == program.address()]
            return found[-1].id if found else None
        return until(f"the observer knows {program.name}", look)

    def counter(self, member):
        entry = self.node.get(member, "demo:counter")
        return None if entry is None else entry.value

    def greeting(self, member):
        entry = self.node.get(member, "demo:greeting")
        return None if entry is None else entry.value

    def sees(self, program):
        """Until the program's greeting is here, and its counter has changed three times since this look began."""
        member = self.member(program)
        greeting = until(f"{program.name} greets", lambda: self.greeting(member))
        assert isinstance(greeting, str)
        seen = set()

        def changed():
            program.must_run()
            seen.add(self.counter(member))
            return len(seen - {None}) > 3
        until(f"the counter of {program.name} changes", changed)
        assert all(type(count) is int for count in seen - {None}), seen


def demo_cluster(report):
    """Two of each language; one of each is killed, and started again."""
    languages = demo.read_languages(ROOT / "examples" / "demo" / "languages.txt")
    count = 2 * len(languages)
    running = []
    observer = None
    try:
        with report.check("the demo programs build"):
            (ROOT / "build" / "demo").mkdir(parents=True, exist_ok=True)
            demo.build(languages)
        first = DemoProgram(languages[0], 1, "", count)
        running.append(first)
        seeds = first.address()
        stay, go = [], []
        for language in languages:
            stay.append(first if language is languages[0] else DemoProgram(language, 1, seeds, count))
            go.append(DemoProgram(language, 2, seeds, count))
            running.extend(program for program in (stay[-1], go[-1]) if program not in running)
        observer = Observer(seeds)
        for program in running:
            with report.check(f"{program.name} is seen, and counts"):
                observer.sees(program)

        for program in stay:
            with report.check(f"{program.name} is stopped for {STOP_SECONDS} s, and goes on"):
                program.process.send_signal(signal.SIGSTOP)
                # How long it is stopped is what is tested here; nothing is waited for.
                time.sleep(STOP_SECONDS)
                program.process.send_signal(signal.SIGCONT)
                observer.sees(program)
        with report.check("nobody is told dead so far"):
            assert observer.dead == [], observer.dead

        killed = [observer.member(program) for program in go]
        for program in go:
            program.process.send_signal(signal.SIGKILL)
            program.process.wait()
        for program, member in zip(go, killed):
            with report.check(f"{program.name} is told dead after it was killed, and only then"):
                until(f"{program.name} is told dead", lambda: member in observer.dead)
                assert member not in [each.id for each in observer.node.members()]
        for program in stay:
            with report.check(f"{program.name} goes on after one of each language was killed"):
                observer.sees(program)

        again = [DemoProgram(language, 3, seeds, count) for language in languages]
        running.extend(again)
        for program in again:
            with report.check(f"{program.name} is seen, started after the kill"):
                observer.sees(program)
        with report.check("nobody else was told dead, and nobody twice"):
            assert sorted(observer.dead) == sorted(killed), (observer.dead, killed)
        for program in stay + again:
            with report.check(f"{program.name} leaves when asked to, having seen all"):
                program.must_run()
                program.process.send_signal(signal.SIGINT)
                status = program.process.wait(timeout=120)
                assert status == 0, f"status {status}:\n{program.log.read_text(errors='replace')[-2000:]}"
    finally:
        if observer:
            observer.node.close()
        for program in running:
            program.end()


def main():
    report = Report()
    BUILD.mkdir(parents=True, exist_ok=True)
    for language, (build, _) in PEERS.items():
        if build:
            with report.check(f"{language}: the peer builds"):
                subprocess.run(shlex.split(build), cwd=ROOT, check=True)
    with report.check("the cluster of peers runs to its end"):
        values(report)
    with report.check("the cluster of demo programs runs to its end"):
        demo_cluster(report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
