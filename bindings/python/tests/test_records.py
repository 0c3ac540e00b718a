"""The packed form (docs/events.md), byte by byte: what the library writes is written here by hand."""

from __future__ import annotations

import struct
from typing import Any

import pytest

import cluster_gossip as cg
from cluster_gossip import Kind, MemberStatus, NodeState, _records

HEAD = struct.Struct("<IIIiQQQQQQqqiIIIIIII")
INT_URL = b"type.googleapis.com/google.protobuf.Int64Value"
TEXT_URL = b"type.googleapis.com/google.protobuf.StringValue"


def record(
    kind: int = 0,
    status: int = 1,
    tag: int = 7,
    conflated: int = 1,
    seq: int = 0,
    generation: int = 0,
    age_ms: int = 0,
    number: int = 0,
    code: int = 0,
    value_kind: int = 0,
    member: bytes = b"m",
    key: bytes = b"",
    type_url: bytes = b"",
    value: bytes = b"",
    text: bytes = b"",
    plain_off: int = 0,
    appended: bytes = b"",
) -> bytes:
    """One record; `appended` are fields that a later version has added to the head."""
    head = HEAD.size + len(appended)
    body = member + key + type_url + value + text
    size = (head + len(body) + 7) // 8 * 8
    numbers = (size, head, kind, status, tag, 3, 4, conflated, seq, generation, age_ms, number, code, value_kind)
    lengths = (len(member), len(key), len(type_url), len(value), len(text), plain_off)
    return (HEAD.pack(*numbers, *lengths) + appended + body).ljust(size, b"\0")


def test_head_is_as_long_as_documented() -> None:
    assert HEAD.size == 112


def test_entry_with_every_field() -> None:
    (entry,) = _records.entries(
        record(
            status=2,
            seq=2**60 + 1,
            generation=2**63 + 5,
            age_ms=1500,
            number=4,
            value_kind=2,
            member="glück".encode(),
            key=b"a\0b",
            type_url=TEXT_URL,
            value=b"\x0a\x04\xf0\x9f\x94\x91",
            plain_off=2,
        )
    )
    assert entry == cg.Entry(
        "glück",
        "a\0b",
        "🔑",
        TEXT_URL.decode(),
        b"\x0a\x04\xf0\x9f\x94\x91",
        2**60 + 1,
        2**63 + 5,
        1.5,
        MemberStatus.SUSPECT,
    )


@pytest.mark.parametrize(
    "value_kind, number, value, expected",
    [
        (1, 0, b"\0\xff", b"\0\xff"),
        (1, 0, b"", b""),
        (3, 1, b"\x08\x01", True),
        (3, 0, b"", False),
        (4, -(2**63), b"\x08", -(2**63)),
        (4, 0, b"", 0),
        (5, struct.unpack("<q", struct.pack("<d", -0.1))[0], b"", -0.1),
        (6, 0, b"\x0a\x01x", cg.Any("t/p.M", b"\x0a\x01x")),
        (99, 0, b"new", cg.Any("t/p.M", b"new")),
        (0, 0, b"", None),
    ],
)
def test_value(value_kind: int, number: int, value: bytes, expected: Any) -> None:
    packed = record(kind=1, value_kind=value_kind, number=number, type_url=b"t/p.M", value=value, key=b"k")
    for found in (_records.entries(packed)[0].value, _records.changes(packed)[0].value):
        assert found == expected and type(found) is type(expected)


def test_text_that_is_no_utf8_is_kept_as_it_came() -> None:
    (entry,) = _records.entries(record(value_kind=2, number=1, type_url=TEXT_URL, value=b"\x0a\x01\xff", plain_off=2))
    assert entry.value == cg.Any(TEXT_URL.decode(), b"\x0a\x01\xff")


def test_changes_of_every_sort_in_one_batch() -> None:
    packed = b"".join(
        [
            record(Kind.ENTRY_CHANGED, conflated=5, seq=9, value_kind=4, number=-3, key=b"load", type_url=INT_URL, value=b"?"),
            record(Kind.ENTRY_DELETED, seq=10, key=b"load"),
            record(Kind.MEMBER_JOINED, generation=77, number=1500, value=b"role=web\nzone=a=b\nempty=\n", text=b"[::1]:4711"),
            record(Kind.NODE_STATE, status=0, member=b"", code=2, text="weil".encode()),
            record(Kind.LOG, status=0, member=b"", code=3, key=b"engine", text="größer".encode()),
            record(Kind.INITIAL_DONE, status=0, member=b"", tag=8),
        ]
    )
    changed, deleted, joined, state, log, done = _records.changes(packed)
    assert (changed.kind, changed.conflated, changed.seq, changed.value, changed.tag) == (Kind.ENTRY_CHANGED, 5, 9, -3, 7)
    assert changed.entry == cg.Entry("m", "load", -3, INT_URL.decode(), b"?", 9, 0, 0.0, MemberStatus.ALIVE)
    assert (deleted.kind, deleted.key, deleted.value) == (Kind.ENTRY_DELETED, "load", None)
    assert joined.info == cg.Member(
        "m", 77, "[::1]:4711", MemberStatus.ALIVE, False, 0.0, 0.0015, {"role": "web", "zone": "a=b", "empty": ""}
    )
    assert joined.entry is None and joined.state is None
    assert (state.state, state.text, state.member_status) == (NodeState.JOINED, "weil", MemberStatus.NONE)
    assert (log.key, log.code, log.text) == ("engine", 3, "größer")
    assert (done.kind, done.tag) == (Kind.INITIAL_DONE, 8)


def test_member_without_a_measured_round_trip_has_none() -> None:
    (member,) = _records.members(record(number=-1, code=1, age_ms=250, text=b"127.0.0.1:1"))
    assert (member.rtt, member.is_self, member.status_age, member.tags) == (None, True, 0.25, {})


def test_fields_that_a_later_version_appends_are_passed_over() -> None:
    packed = record(kind=1, value_kind=1, key=b"k", value=b"v", appended=b"\xff" * 16) * 2
    for found in (_records.changes(packed), _records.entries(packed)):
        assert [(each.member, each.key, each.value) for each in found] == [("m", "k", b"v")] * 2


def test_numbers_that_a_later_version_adds_have_a_name() -> None:
    (change,) = _records.changes(record(kind=0x4000_0000, status=42))
    assert int(change.kind) == 0x4000_0000
    assert (change.member_status, change.member_status.name) == (42, "UNKNOWN_42")
    assert NodeState(42).name == "UNKNOWN_42"
    assert NodeState(2) is NodeState.JOINED


def test_no_record_is_an_empty_list() -> None:
    assert (_records.changes(b""), _records.entries(b""), _records.members(b"")) == ([], [], [])


def test_a_record_without_length_does_not_hang() -> None:
    broken = bytes(HEAD.size)
    for read in (_records.changes, _records.entries, _records.members):
        with pytest.raises(ValueError):
            read(struct.pack("<II", 0, 112) + broken[8:])


def test_records_cannot_be_changed() -> None:
    (entry,) = _records.entries(record(value_kind=1, value=b"v"))
    with pytest.raises(AttributeError):
        entry.key = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        entry.other = 1  # type: ignore[attr-defined]
    assert not hasattr(entry, "__dict__")
    assert {entry: 1}[entry] == 1
