"""Set and get: every kind of value exactly, keys of every sort, what comes with an entry."""

from __future__ import annotations

import enum
import math
from datetime import timedelta
from typing import Any, Dict, List, Tuple

import pytest

import cluster_gossip as cg
from cluster_gossip import MemberStatus, Node, NodeState
from conftest import Open, until

VALUES: List[Any] = [
    b"",
    b"\0",
    b"\x00\xff\x00\x01",
    bytes(range(256)) * 240,
    "",
    "grüße ✓ 🔑",
    "with\0zero",
    "long " * 12_000,
    True,
    False,
    0,
    1,
    -1,
    2**63 - 1,
    -(2**63),
    0.0,
    -0.1,
    1e308,
    5e-324,
    math.inf,
    -math.inf,
    cg.Any("type.example.org/shop.Order", b"\x0a\x05hello"),
    cg.Any("type.example.org/shop.Empty", b""),
]


def same(found: object, expected: object) -> bool:
    """Equal and of one type: True is not 1, and 1 is not 1.0."""
    return type(found) is type(expected) and found == expected


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}-{str(value)[:20]!a}")
def test_value_is_read_back_exactly(node: Node, value: Any) -> None:
    node.set("key", value)
    own = node.get_own("key")
    assert own is not None and same(own.value, value)
    assert same(node.get("key")[node.id].value, value)
    one = node.get(node.id, "key")
    assert one is not None and same(one.value, value)


def test_signs_of_zero_and_nan(node: Node) -> None:
    node.set("zero", -0.0)
    node.set("nan", math.nan)
    zero, nan = node.get_own("zero"), node.get_own("nan")
    assert zero is not None and isinstance(zero.value, float) and math.copysign(1, zero.value) == -1
    assert nan is not None and isinstance(nan.value, float) and math.isnan(nan.value)


def test_every_value_reaches_the_other_node(pair: List[Node]) -> None:
    writer, reader = pair
    for number, value in enumerate(VALUES):
        writer.set(f"value:{number}", value)
    until("all values are there", lambda: len(reader.entries("value:", member=writer.id)) == len(VALUES))
    for number, value in enumerate(VALUES):
        entry = reader.get(writer.id, f"value:{number}")
        assert entry is not None and same(entry.value, value), number


def test_other_types_that_are_values_too(node: Node) -> None:
    class Colour(enum.IntEnum):
        RED = 7

    class Name(str):
        pass

    cases: List[Tuple[Any, object]] = [
        (bytearray(b"a\0b"), b"a\0b"),
        (memoryview(b"xyz")[1:], b"yz"),
        (memoryview(b"abcdef")[::2], b"ace"),
        (Colour.RED, 7),
        (Name("n"), "n"),
    ]
    for given, expected in cases:
        node.set("key", given)
        entry = node.get_own("key")
        assert entry is not None and same(entry.value, expected)


def test_type_urls_and_encodings_are_protobufs(node: Node) -> None:
    cases: List[Tuple[Any, str, bytes]] = [
        (b"\1\2", "", b"\1\2"),
        ("hi", "google.protobuf.StringValue", b"\x0a\x02hi"),
        (True, "google.protobuf.BoolValue", b"\x08\x01"),
        (300, "google.protobuf.Int64Value", b"\x08\xac\x02"),
        (1.0, "google.protobuf.DoubleValue", b"\x09\0\0\0\0\0\0\xf0\x3f"),
    ]
    for value, url, raw in cases:
        node.set("key", value)
        entry = node.get_own("key")
        assert entry is not None
        assert entry.type_url.split("/")[-1] == url
        assert entry.raw == raw


@pytest.mark.parametrize("key", ["k", "Schlüssel 🔑", "zero\0inside", "\0", "k" * 255, "new\nline=,"])
def test_key(node: Node, key: str) -> None:
    node.set(key, 1)
    node.set(key.encode(), 2)
    assert node.get(key.encode())[node.id].value == 2
    entry = node.get_own(key)
    assert entry is not None and (entry.key, entry.value, entry.seq) == (key, 2, 2)
    assert [found.key for found in node.entries("")] == [key]
    node.delete(key)
    assert node.get_own(key) is None and node.get(key) == {}


def test_entry_tells_where_it_is_from(open_node: Open) -> None:
    node = open_node(id="writer")
    assert node.set("key", "a") == 1
    assert node.set("other", "b") == 2
    assert node.set("key", "c") == 3
    entry = node.get_own("key")
    assert entry is not None
    assert (entry.member, entry.key, entry.value, entry.seq, entry.member_status) == ("writer", "key", "c", 3, MemberStatus.ALIVE)
    assert entry.generation == node.me.generation > 0
    assert entry.age >= 0.0


def test_what_is_not_there(node: Node) -> None:
    assert node.get("nothing") == {}
    assert node.get_own("nothing") is None
    assert node.get(node.id, "nothing") is None
    assert node.get("no-such-member", "nothing") is None
    assert node.entries("nothing") == []


def test_if_changed(node: Node) -> None:
    first = node.set("key", "same")
    assert node.set("key", "same", if_changed=True) == first
    second = node.set("key", b"same", if_changed=True)
    assert second > first
    assert node.set("key", b"same") > second


def test_time_to_live(pair: List[Node]) -> None:
    writer, reader = pair
    writer.set("short", 1, ttl=0.3)
    writer.set("as timedelta", 2, ttl=timedelta(milliseconds=300))
    writer.set("long", 3, ttl=3600)
    until("the long one is there", lambda: reader.get(writer.id, "long"))
    for key in ("short", "as timedelta"):
        until("it is gone", lambda key=key: all(node.get(writer.id, key) is None for node in pair))  # type: ignore[misc]
    assert reader.get(writer.id, "long") is not None


def test_prefix(node: Node) -> None:
    for key in ("a:1", "a:2", "b:1", "a"):
        node.set(key, key)
    assert sorted(entry.key for entry in node.entries("a:")) == ["a:1", "a:2"]
    assert sorted(entry.key for entry in node.entries(b"a", member=node.id)) == ["a", "a:1", "a:2"]
    assert {"a", "b:1"} <= {entry.key for entry in node.entries()}


def test_members_see_each_other(open_node: Open) -> None:
    first = open_node(id="first", tags={"role": "web"})
    second = open_node(first, id="second")
    second.wait_synced(timeout=60)
    first.wait_for_members(2, timeout=60)
    assert {member.id for member in second.members()} == {"first", "second"}
    seen = next(member for member in second.members() if member.id == "first")
    assert (seen.address, seen.status, seen.tags, seen.is_self) == (first.address, MemberStatus.ALIVE, {"role": "web"}, False)
    assert second.me.is_self and second.me.id == "second"
    until("joined", lambda: first.state == second.state == NodeState.JOINED)
    first.set("who", "f")
    second.set("who", "s")

    def read(node: Node) -> Dict[str, object]:
        return {member: entry.value for member, entry in node.get("who").items()}

    until("both read both", lambda: read(first) == read(second) == {"first": "f", "second": "s"})


def test_departed_member_is_listed_on_request(pair: List[Node]) -> None:
    stays, leaves = pair
    leaves.set("key", "kept")
    until("it is there", lambda: stays.get(leaves.id, "key"))
    gone = leaves.id
    assert leaves.leave() is True
    assert leaves.state == NodeState.LEFT
    with pytest.raises(cg.LeftError):
        leaves.set("key", "too late")
    until("it has left", lambda: any(m.id == gone and m.status == MemberStatus.LEFT for m in stays.members(departed=True)))
    assert gone not in {member.id for member in stays.members()}
    assert stays.get("key") == {} and stays.get(gone, "key") is None
    kept = stays.get(gone, "key", departed=True)
    assert kept is not None and (kept.value, kept.member_status) == ("kept", MemberStatus.LEFT)
    assert stays.get("key", departed=True)[gone].value == "kept"


def test_alone(node: Node) -> None:
    node.wait_synced(timeout=60)
    node.wait_for_members(1, timeout=60)
    assert node.state == NodeState.ALONE
    assert [member.id for member in node.members()] == [node.id]


def test_seeing_into_a_node(pair: List[Node]) -> None:
    first, second = pair
    first.set("seen", "value")
    assert first.id in first.describe() and first.address in first.describe()
    assert b"seen" in first.snapshot()
    assert first.id in str(first.snapshot_json())
    metrics = first.metrics()
    assert metrics and all(isinstance(number, (int, float)) for number in metrics.values())
    assert "# TYPE" in first.metrics_text()
    assert isinstance(first.offsets(), dict)
    # Each of the two is owner of something, and the other its target.
    until("the other is named among the offsets", lambda: second.id in str(first.offsets()))
