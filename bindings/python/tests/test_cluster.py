"""Bans, statistics, topology, and what a crash looks like."""

from __future__ import annotations

import re
from typing import Any, List

import pytest

import cluster_gossip as cg
from cluster_gossip import Ban, Kind, MemberStatus, Node, NodeState, Topology, _heartbeat, _records
from conftest import PATIENCE, Open, until
from test_records import record


def test_ban_hides_a_member_until_anybody_lifts_it(pair: List[Node]) -> None:
    first, second = pair
    second.set("key", "seen")
    until("it is seen", lambda: first.get(second.id, "key"))
    changes = first.changes(kinds=Kind.MEMBER_BANNED | Kind.MEMBER_UNBANNED)
    assert first.bans() == []
    first.ban(second.id)
    first.ban(second.id)
    assert first.bans() == [Ban(member=second.id, by=first.id)]
    assert [each.id for each in first.members()] == [first.id]
    assert {each.id: each.status for each in first.members(departed=True)}[second.id] == MemberStatus.BANNED
    assert first.get(second.id, "key") is None
    departed = first.get(second.id, "key", departed=True)
    assert departed is not None and departed.value == "seen"
    # Taken before the ban is lifted: both in one take would be drawn together to the last.
    assert [(change.kind, change.member) for change in changes.take(PATIENCE)] == [(Kind.MEMBER_BANNED, second.id)]
    until("the banned one knows it", lambda: second.state == NodeState.BANNED)
    with pytest.raises(cg.BannedError):
        second.set("key", "no")
    second.unban(second.id)
    until("it is lifted everywhere", lambda: first.bans() == [] and second.bans() == [])
    until("it may write again", lambda: second.state == NodeState.JOINED)
    assert first.get(second.id, "key") is not None
    assert [(change.kind, change.member) for change in changes.take(PATIENCE)] == [(Kind.MEMBER_UNBANNED, second.id)]


def test_bans_by_several_stand_side_by_side(pair: List[Node]) -> None:
    for each in pair:
        each.ban("größe")
    expected = {Ban("größe", pair[0].id), Ban("größe", pair[1].id)}
    for each in pair:
        until("both are known", lambda: set(each.bans()) == expected)
    pair[0].unban("größe")
    for each in pair:
        until("both are lifted", lambda: each.bans() == [])


def test_misuse_of_bans(node: Node) -> None:
    with pytest.raises(cg.InvalidArgumentError, match="itself"):
        node.ban(node.id)
    for wrong in ["", "a\0b", "i" * 256]:
        with pytest.raises(cg.InvalidArgumentError):
            node.ban(wrong)
    with pytest.raises(cg.InvalidArgumentError, match="zero byte"):
        node.unban("a\0b")
    node.unban("nobody")
    node.kill()
    calls: List[Any] = [lambda: node.ban("x"), lambda: node.unban("x"), node.bans, node.heartbeats]
    calls += [lambda: node.set_statistic("n", 1), lambda: node.delete_statistic("n")]
    for call in calls:
        with pytest.raises(cg.ClosedError):
            call()


def test_statistics_are_read_by_all(open_node: Open) -> None:
    first = open_node(heartbeat_interval="50ms")
    second = open_node(first)
    assert first.heartbeats() == {}
    first.set_statistic("actors", -(2**63))
    first.set_statistic("größe", 2**63 - 1)
    for each in (first, second):
        until("they are read", lambda: each.heartbeats() == {first.id: {"actors": -(2**63), "größe": 2**63 - 1}})
    first.delete_statistic("actors")
    first.delete_statistic("never there")
    second.set_statistic("zero", 0)
    expected = {first.id: {"größe": 2**63 - 1}, second.id: {"zero": 0}}
    until("changes are read", lambda: first.heartbeats() == expected)
    first.kill()
    until("the dead are left out", lambda: second.heartbeats() == {second.id: {"zero": 0}})
    assert second.heartbeats(departed=True) == expected


def test_misuse_of_statistics(node: Node) -> None:
    for wrong in ["", "a\0b", "n" * 256]:
        with pytest.raises(cg.InvalidArgumentError):
            node.set_statistic(wrong, 1)
        with pytest.raises(cg.InvalidArgumentError):
            node.delete_statistic(wrong)
    for number in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError, match=str(number)):
            node.set_statistic("n", number)
    not_ints: List[Any] = [1.0, "1", True, None]
    for value in not_ints:
        with pytest.raises(TypeError):
            node.set_statistic("n", value)
    for index in range(1024):
        node.set_statistic(str(index), index)
    with pytest.raises(cg.LimitError, match="1024"):
        node.set_statistic("one more", 1)
    node.delete_statistic("5")
    node.set_statistic("one more", 1)


def test_topology_is_told_when_it_has_come_to_rest(open_node: Open) -> None:
    first = open_node()
    changes = first.changes(kinds=Kind.TOPOLOGY)
    second = open_node(first)
    others = second.changes(kinds=Kind.TOPOLOGY)
    found = {}
    for changed in (changes, others):
        for change in changed:
            topology = change.topology
            assert topology is not None and re.fullmatch("[0-9a-f]{16}", topology.hash)
            assert change.member == "" and change.entry is None and change.state is None
            if topology.members == 2:
                found[changed] = topology
                break
    assert found[changes] == found[others]
    second.kill()
    for change in changes:
        if change.topology is not None and change.topology.members == 1:
            assert change.topology != found[changes]
            break
    assert [each.id for each in first.members()] == [first.id]


def test_topology_in_a_record() -> None:
    (change,) = _records.changes(record(kind=0x80000, status=0, code=3, member=b"", text=b"0123456789abcdef"))
    assert (change.kind, change.topology) == (Kind.TOPOLOGY, Topology(members=3, hash="0123456789abcdef"))
    (change,) = _records.changes(record(kind=0x10000, status=0, code=2, member=b"", text=b"equal to a peer"))
    assert change.topology is None


def test_killed_member_is_told_dead_and_a_restart_is_alive(open_node: Open) -> None:
    first = open_node()
    changes = first.changes(kinds=Kind.MEMBERS, no_self=True)
    second = open_node(first, id="again")
    second.set("key", 1)
    until("it is seen", lambda: first.get("again", "key"))
    second.kill()
    kinds = []
    for change in changes:
        kinds.append(change.kind)
        if change.kind == Kind.MEMBER_DEAD:
            assert change.member == "again" and change.info is not None and change.info.status == MemberStatus.DEAD
            break
    assert kinds[0] == Kind.MEMBER_JOINED and Kind.MEMBER_LEFT not in kinds
    assert first.get("key") == {} and list(first.get("key", departed=True)) == ["again"]
    third = open_node(first, id="again")
    third.wait_for_members(2, timeout=PATIENCE)
    for change in changes:
        if change.kind in (Kind.MEMBER_RESTARTED, Kind.MEMBER_ALIVE, Kind.MEMBER_JOINED):
            break
    assert change.member == "again"
    until("it is alive again", lambda: [each.id for each in first.members() if not each.is_self] == ["again"])


def test_library_keys_are_given_by_name_only(node: Node) -> None:
    node.set("own", 1)
    node.set_statistic("n", 1)
    node.ban("x")
    until("the heartbeat is there", node.heartbeats)
    assert [entry.key for entry in node.entries()] == ["own"]
    assert {"cluster:banned", "cluster:heartbeat"} <= {entry.key for entry in node.entries("cluster:")}


def test_heartbeat_is_read_as_protobuf_writes_it() -> None:
    assert _heartbeat.parse(b"") == {} and _heartbeat.parse(b"\x0a\0") == {}
    encoded = b"\x0a\x08\x0a\x06\x0a\x01a\x10\xac\x02"
    assert _heartbeat.parse(encoded) == {"a": 300}
    # Unknown fields of each wire type, and the statistics in two parts, of which one has neither name nor number.
    unknown = b"\x10\x05\x19\1\2\3\4\5\6\7\x08\x22\2\1\1\x2d\1\2\3\4"
    assert _heartbeat.parse(unknown + encoded + b"\x0a\x02\x0a\0") == {"a": 300, "": 0}
    assert _heartbeat.parse(b"\x0a\x0d\x0a\x0b\x10" + b"\xff" * 9 + b"\x01") == {"": -1}


@pytest.mark.parametrize(
    "encoded",
    [
        *(b"\x0a", b"\x0a\x05\x01", b"\x08", b"\0", b"\x0b", b"\x80", b"\x19\1", b"\x2d\1", b"\xff" * 11),
        *(b"\x0a" + b"\xff" * 9 + b"\x01", b"\x0a\x03\x0a\x01\x0a", b"\x0a\x05\x0a\x03\x0a\x01\xff"),
    ],
)
def test_malformed_heartbeat_is_refused(encoded: bytes) -> None:
    with pytest.raises(ValueError):
        _heartbeat.parse(encoded)


def test_no_bytes_do_anything_else_than_be_read_or_be_refused() -> None:
    valid = b"\x0a\x08\x0a\x06\x0a\x01a\x10\xac\x02"
    for at in range(len(valid)):
        for byte in range(256):
            changed = bytearray(valid if byte % 2 else valid[: at + 1])
            changed[at] = byte
            try:
                _heartbeat.parse(bytes(changed))
            except ValueError:
                continue
