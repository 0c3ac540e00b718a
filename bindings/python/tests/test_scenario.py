"""Runs tests/scenario.txt, which the tests of every binding run; its header explains the steps."""

from __future__ import annotations

import re
import time
from typing import Any, Callable, Dict, List, Union

import pytest

import cluster_gossip as cg
from cluster_gossip import Change, Changes, GossipError, Kind, MemberStatus, Node, NodeState
from conftest import PATIENCE, ROOT

SCENARIO = ROOT / "tests" / "scenario.txt"

KINDS = {"entries": Kind.ENTRIES, "members": Kind.MEMBERS, "node": Kind.NODE, "all": Kind.ALL}


def decode(word: str) -> str:
    """%XX is a byte."""
    raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match.group(1), 16)]), word.encode())
    return raw.decode()


def value_of(kind: str, word: str) -> Union[bytes, str, bool, int, float, cg.Any]:
    """The value that a step names, as this language has it."""
    if kind == "bytes":
        return b"" if word == "-" else bytes.fromhex(word)
    if kind == "text":
        return "" if word == "-" else decode(word)
    if kind == "bool":
        return {"true": True, "false": False}[word]
    if kind == "int":
        return int(word)
    if kind == "double":
        return float(word)
    if kind.startswith("message:"):
        return cg.Any(kind[len("message:") :], b"" if word == "-" else bytes.fromhex(word))
    raise ValueError(f"no kind of value: {kind}")


def same(found: object, expected: object) -> bool:
    return type(found) is type(expected) and found == expected


class Runner:
    """The nodes and subscriptions of a scenario, and a method for each step."""

    def __init__(self) -> None:
        self.nodes: Dict[str, Node] = {}
        self.addresses: Dict[str, str] = {}
        self.feeds: Dict[str, Changes] = {}
        self.waiting: Dict[str, List[Change]] = {}

    def run(self, line: str) -> None:
        words = line.split(" ")
        step: Callable[..., None] = getattr(self, "step_" + words[0])
        step(*words[1:])

    def until(self, probe: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not probe():
            assert time.monotonic() < deadline, f"does not come to hold within {PATIENCE:.0f} s"
            time.sleep(0.01)

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()

    # ---- steps

    def step_open(self, name: str, *settings: str) -> None:
        values = {}
        for setting in settings:
            key, _, value = setting.partition("=")
            values[key] = self.text(value)
        self.nodes[name] = node = Node(**values)
        self.addresses[name] = node.address

    def text(self, word: str) -> str:
        """A setting's value: @a is the address of node a."""
        return re.sub(r"@(\w+)", lambda match: self.addresses[match.group(1)], decode(word))

    def step_wait_members(self, name: str, count: str) -> None:
        self.nodes[name].wait_for_members(int(count), timeout=PATIENCE)

    def step_synced(self, name: str) -> None:
        self.nodes[name].wait_synced(timeout=PATIENCE)

    def step_state(self, name: str, state: str) -> None:
        self.until(lambda: self.nodes[name].state == NodeState[state.upper()])

    def step_member(self, name: str, member: str, status: str) -> None:
        wanted = (decode(member), MemberStatus[status.upper()])
        self.until(lambda: wanted in [(each.id, each.status) for each in self.nodes[name].members(departed=True)])

    def step_subscribe(self, name: str, feed: str, what: str, member: str, key: str, flags: str) -> None:
        options: Dict[str, Any] = {"kinds": KINDS[what]}
        words = [] if flags == "-" else flags.split(",")
        assert set(words) <= {"initial", "no_self", "prefix"}
        if member != "-":
            options["member"] = decode(member)
        if key != "-":
            options["prefix" if "prefix" in words else "key"] = decode(key)
        self.feeds[feed] = self.nodes[name].changes(initial="initial" in words, no_self="no_self" in words, **options)
        self.waiting[feed] = []

    def step_set(self, name: str, key: str, kind: str, value: str) -> None:
        self.nodes[name].set("" if key == "-" else decode(key), value_of(kind, value))

    def step_set_same(self, name: str, key: str, kind: str, value: str) -> None:
        before = self.nodes[name].get_own(decode(key))
        assert before is not None
        assert self.nodes[name].set(decode(key), value_of(kind, value), if_changed=True) == before.seq
        after = self.nodes[name].get_own(decode(key))
        assert after is not None and after.seq == before.seq

    def step_set_ttl(self, name: str, key: str, kind: str, value: str, milliseconds: str) -> None:
        self.nodes[name].set(decode(key), value_of(kind, value), ttl=int(milliseconds) / 1000)

    def step_delete(self, name: str, key: str) -> None:
        self.nodes[name].delete(decode(key))

    def read(self, name: str, member: str, key: str) -> "cg.Entry | None":
        node = self.nodes[name]
        return node.get_own(decode(key)) if member == "own" else node.get(decode(member), decode(key))

    def step_get(self, name: str, member: str, key: str, kind: str, value: str) -> None:
        expected = value_of(kind, value)

        def there() -> bool:
            entry = self.read(name, member, key)
            return entry is not None and same(entry.value, expected)

        self.until(there)

    def step_gone(self, name: str, member: str, key: str) -> None:
        self.until(lambda: self.read(name, member, key) is None)

    def step_count(self, name: str, key: str, count: str) -> None:
        self.until(lambda: len(self.nodes[name].get(decode(key))) == int(count))

    def step_event(self, feed: str, kind: str, *words: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < deadline, "the event does not come"
            waiting = self.waiting[feed]
            if not waiting:
                waiting += self.feeds[feed].take(1.0)
            if not waiting and self.feeds[feed].ended:
                # How an iteration shows that the node was closed.
                assert kind == "closed", "the subscription has ended"
                return
            while waiting:
                if self.fits(waiting.pop(0), kind, words):
                    return

    @staticmethod
    def fits(change: Change, kind: str, words: "tuple[str, ...]") -> bool:
        if change.kind != Kind[kind.upper()]:
            return False
        if kind == "topology":
            assert change.topology is not None and re.fullmatch("[0-9a-f]{16}", change.topology.hash)
            return change.topology.members == int(words[0])
        if words and change.member != decode(words[0]):
            return False
        if len(words) > 1 and change.key != decode(words[1]):
            return False
        return len(words) <= 2 or same(change.value, value_of(words[2], words[3]))

    def step_unsubscribe(self, feed: str) -> None:
        self.feeds[feed].close()

    def step_reconfigure(self, name: str, setting: str, value: str) -> None:
        self.nodes[name].reconfigure(**{setting: self.text(value)})

    def step_ban(self, name: str, member: str) -> None:
        self.nodes[name].ban("" if member == "-" else decode(member))

    def step_unban(self, name: str, member: str) -> None:
        self.nodes[name].unban("" if member == "-" else decode(member))

    def step_bans(self, name: str, *bans: str) -> None:
        self.until(lambda: {f"{ban.member}:{ban.by}" for ban in self.nodes[name].bans()} == set(bans))

    def step_statistic(self, name: str, statistic: str, value: str) -> None:
        text = "" if statistic == "-" else decode(statistic)
        if value == "-":
            self.nodes[name].delete_statistic(text)
        else:
            self.nodes[name].set_statistic(text, int(value))

    def step_heartbeat(self, name: str, member: str, statistic: str, value: str) -> None:
        def there() -> bool:
            statistics = self.nodes[name].heartbeats().get(decode(member))
            return statistics is not None and statistics.get(decode(statistic)) == (None if value == "-" else int(value))

        self.until(there)

    def step_leave(self, name: str) -> None:
        self.nodes[name].leave()

    def step_kill(self, name: str) -> None:
        self.nodes[name].kill()

    def step_close(self, name: str) -> None:
        self.nodes[name].close()

    def step_fails(self, status: str, *step: str) -> None:
        with pytest.raises(GossipError) as caught:
            self.run(" ".join(step))
        assert caught.value.name == status


def test_scenario() -> None:
    runner = Runner()
    steps = 0
    try:
        for number, line in enumerate(SCENARIO.read_text(encoding="utf-8").split("\n"), 1):
            if not line or line.startswith("#"):
                continue
            try:
                runner.run(line)
            except BaseException as error:
                raise AssertionError(f"{SCENARIO.name}, line {number}: {line}: {type(error).__name__}: {error}") from error
            steps += 1
    finally:
        runner.close()
    assert steps > 50
