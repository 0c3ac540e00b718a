"""What is read from a node: entries, members, changes; and the reading of the packed form (``docs/events.md``).

All three are named tuples: they cannot change, they have no instance dictionary, and making one is a single call, which is what
lets half a million changes a second through.
"""

from __future__ import annotations

import struct
from typing import Dict, List, NamedTuple, Optional, Union

from ._constants import Kind, MemberStatus, NodeState


class Any(NamedTuple):
    """A value of a type that Python has no counterpart for: a ``google.protobuf.Any``, which is a type URL and bytes."""

    type_url: str
    value: bytes


#: What an entry may be set to.
Value = Union[bytes, bytearray, memoryview, str, bool, int, float, Any]
#: What is read back. None: there is no value, because the entry was deleted.
ReadValue = Union[bytes, str, bool, int, float, Any, None]


class Entry(NamedTuple):
    """One entry, as it was when it was read."""

    #: Id of the member that owns it.
    member: str
    key: str
    #: As bytes, str, bool, int, float, or Any.
    value: ReadValue
    #: Empty for bytes.
    type_url: str
    #: The value as it travels: for an Any, a str or a number its protobuf encoding.
    raw: bytes
    #: The owner's sequence number, counting from 1 in each life of it.
    seq: int
    generation: int
    #: Seconds since this node received it (or set it, if it is its own).
    age: float
    member_status: MemberStatus


class Member(NamedTuple):
    """One member of the cluster, as this node saw it when it was read."""

    id: str
    generation: int
    #: ``"10.0.0.7:4711"``, ``"[::1]:4711"``
    address: str
    status: MemberStatus
    #: True for the node's own record.
    is_self: bool
    #: Seconds since the status changed.
    status_age: float
    #: Round-trip time in seconds; None as long as it was not measured.
    rtt: Optional[float]
    tags: Dict[str, str]


class Ban(NamedTuple):
    """A ban that stands. Bans of one member by several stand side by side."""

    #: Id of the banned member.
    member: str
    #: Id of the member that has banned it.
    by: str


class Topology(NamedTuple):
    """Who is here, told when it has changed and has stayed the same for a second."""

    #: How many members, this node included.
    members: int
    #: 16 hex digits, the same at every member that sees the same members.
    hash: str


class Change(NamedTuple):
    """One change that a subscription was told of. Which fields are filled follows from the kind."""

    kind: Kind
    #: Id of the member it is about; empty where it is about none.
    member: str
    #: Key of the entry; of a log line the part of the library that speaks.
    key: str
    value: ReadValue
    type_url: str
    raw: bytes
    seq: int
    generation: int
    #: Seconds: of an entry since it was received, of a member since its status changed.
    age: float
    member_status: MemberStatus
    #: How many changes this one stands for, itself included: who reads slowly gets the last of each key, and the count.
    conflated: int
    #: Of a log line its level, of a warning a status, of a change of state or topology see the properties by those names.
    code: int
    #: Of a log line, a warning, a change of state, a refused entry: the words.
    text: str
    #: The member's record, in changes about members.
    info: Optional[Member]
    #: Number of the subscription that it came through.
    tag: int

    @property
    def entry(self) -> Optional[Entry]:
        """The entry, where the change is about one."""
        if not self.kind & Kind.ENTRIES:
            return None
        return Entry(
            self.member,
            self.key,
            self.value,
            self.type_url,
            self.raw,
            self.seq,
            self.generation,
            self.age,
            self.member_status,
        )

    @property
    def state(self) -> Optional[NodeState]:
        """The node's new state, in a change of kind ``NODE_STATE``."""
        return NodeState(self.code) if self.kind & Kind.NODE_STATE else None

    @property
    def topology(self) -> Optional[Topology]:
        """Who is here, in a change of kind ``TOPOLOGY``."""
        return Topology(self.code, self.text) if self.kind & Kind.TOPOLOGY else None


# One record's head up to plain_off. The node's and the subscription's id (16 bytes) are stepped over: the tag tells enough.
_HEAD = struct.Struct("<IIIiQ16xQQQqqiIIIIIII")
_DOUBLE = struct.Struct("<d")
_NUMBER_AT = 72
_KINDS: Dict[int, Kind] = {int(kind): kind for kind in Kind}
_STATUSES: Dict[int, MemberStatus] = {int(status): status for status in MemberStatus}
_MEMBERS = int(Kind.MEMBERS)


def changes(packed: bytes) -> List[Change]:
    """Read a packed batch of events."""
    # Here and in entries() speed counts: names are local and the fields of a record are cut by hand.
    out: List[Change] = []
    append, unpack, new = out.append, _HEAD.unpack_from, tuple.__new__
    kinds, statuses = _KINDS, _STATUSES
    at, end = 0, len(packed)
    while at < end:
        (
            size,
            head,
            kind,
            status,
            tag,
            conflated,
            seq,
            generation,
            age,
            number,
            code,
            value_kind,
            member_len,
            key_len,
            type_url_len,
            value_len,
            text_len,
            plain_off,
        ) = unpack(packed, at)
        member_at = at + head
        key_at = member_at + member_len
        value_at = key_at + key_len
        member = packed[member_at:key_at].decode()
        key = packed[key_at:value_at].decode()
        if type_url_len:
            type_url = packed[value_at : value_at + type_url_len].decode()
            value_at += type_url_len
        else:
            type_url = ""
        value_end = value_at + value_len
        raw = packed[value_at:value_end]
        text = packed[value_end : value_end + text_len].decode() if text_len else ""
        info: Optional[Member] = None
        value: ReadValue
        if value_kind == 1:
            value = raw
        elif value_kind:
            value = _value(packed, at, value_kind, number, plain_off, type_url, raw)
        else:
            value = None
            if kind & _MEMBERS:
                info = _member(member, generation, text, status, code, age, number, raw)
                raw, text = b"", ""
        append(
            new(
                Change,
                (
                    kinds.get(kind) or Kind(kind),
                    member,
                    key,
                    value,
                    type_url,
                    raw,
                    seq,
                    generation,
                    age / 1000.0,
                    statuses.get(status) or MemberStatus(status),
                    conflated,
                    code,
                    text,
                    info,
                    tag,
                ),
            )
        )
        # A record of size 0 would be read for ever; a valid one is longer than its head.
        if size < head:
            raise ValueError("packed record is shorter than its head")
        at += size
    return out


def entries(packed: bytes) -> List[Entry]:
    """Read a packed list of entries."""
    out: List[Entry] = []
    append, unpack, new, statuses = out.append, _HEAD.unpack_from, tuple.__new__, _STATUSES
    at, end = 0, len(packed)
    while at < end:
        size, head, _, status, _, _, seq, generation, age, number, _, kind, nm, nk, nt, nv, _, plain_off = unpack(packed, at)
        key_at = at + head + nm
        value_at = key_at + nk
        member = packed[at + head : key_at].decode()
        key = packed[key_at:value_at].decode()
        if nt:
            type_url = packed[value_at : value_at + nt].decode()
            value_at += nt
        else:
            type_url = ""
        raw = packed[value_at : value_at + nv]
        value = raw if kind == 1 else _value(packed, at, kind, number, plain_off, type_url, raw)
        member_status = statuses.get(status) or MemberStatus(status)
        append(new(Entry, (member, key, value, type_url, raw, seq, generation, age / 1000.0, member_status)))
        if size < head:
            raise ValueError("packed record is shorter than its head")
        at += size
    return out


def members(packed: bytes) -> List[Member]:
    """Read a packed list of members."""
    out: List[Member] = []
    at, end = 0, len(packed)
    while at < end:
        size, head, _, status, _, _, _, generation, age, number, code, _, nm, nk, nt, nv, nx, _ = _HEAD.unpack_from(packed, at)
        if size < head:
            raise ValueError("packed record is shorter than its head")
        tags_at = at + head + nm + nk + nt
        member = packed[at + head : at + head + nm].decode()
        raw = packed[tags_at : tags_at + nv]
        address = packed[tags_at + nv : tags_at + nv + nx].decode()
        out.append(_member(member, generation, address, status, code, age, number, raw))
        at += size
    return out


def _value(packed: bytes, at: int, kind: int, number: int, plain_off: int, type_url: str, raw: bytes) -> ReadValue:
    if kind == 2:
        try:
            return raw[plain_off : plain_off + number].decode()
        except UnicodeDecodeError:
            return Any(type_url, raw)
    if kind == 4:
        return number
    if kind == 5:
        double: float = _DOUBLE.unpack_from(packed, at + _NUMBER_AT)[0]
        return double
    if kind == 3:
        return number != 0
    if kind == 1:
        return raw
    if kind == 0:
        return None
    return Any(type_url, raw)


def _member(member: str, generation: int, address: str, status: int, code: int, age: int, number: int, raw: bytes) -> Member:
    tags: Dict[str, str] = {}
    for line in raw.decode().split("\n"):
        name, sign, value = line.partition("=")
        if sign:
            tags[name] = value
    rtt = number / 1e6 if number >= 0 else None
    return Member(
        member,
        generation,
        address,
        _STATUSES.get(status) or MemberStatus(status),
        code == 1,
        age / 1000.0,
        rtt,
        tags,
    )
