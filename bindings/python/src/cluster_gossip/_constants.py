"""The numbers of ``cluster_gossip.h`` that the binding needs, and the public enumerations.

The library exports tables of its statuses and settings, so those are read at run time. States,
kinds and flags have no such table: they are written here and compared with the header by a test.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Type, TypeVar

ABI_VERSION = 1
ERRBUF = 512

# Only the statuses on which the binding itself decides; all others go from the library's table to the user.
OK = 0
ERR_INVALID_ARGUMENT = -1
ERR_INVALID_HANDLE = -2
ERR_CLOSED = -3
ERR_TIMEOUT = -4
ERR_FORKED = -15
ERR_LEFT = -19
ERR_INTERRUPTED = -26

GET_DEPARTED = 1
GET_PREFIX = 2
SET_IF_CHANGED = 1
SUB_INITIAL = 1
SUB_NO_SELF = 2
SUB_PREFIX = 4

SETTING_LIVE = 1
SETTING_SECRET = 2

FORMAT_PROTOBUF = 1
FORMAT_JSON = 2
FORMAT_PROMETHEUS = 3

VALUE_NONE = 0
VALUE_BYTES = 1
VALUE_TEXT = 2
VALUE_BOOL = 3
VALUE_INT = 4
VALUE_DOUBLE = 5
VALUE_MESSAGE = 6

LOG_ERROR = 1
LOG_WARN = 2
LOG_INFO = 3
LOG_DEBUG = 4
LOG_TRACE = 5

_E = TypeVar("_E", bound=IntEnum)


def _unknown(cls: Type[_E], value: object) -> _E:
    """A member for a number that a newer library has and this binding has no name for: reading it must not fail."""
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is not a valid {cls.__name__}")
    member = int.__new__(cls, value)
    member._name_ = f"UNKNOWN_{value}"
    member._value_ = value
    return member


class NodeState(IntEnum):
    """How a node stands to its cluster."""

    STARTING = 1
    #: Has found the cluster.
    JOINED = 2
    #: Has no seeds, or none but itself: a cluster of one so far.
    ALONE = 3
    LEAVING = 4
    LEFT = 5
    BANNED = 6
    #: The node's task has died; every later call says so.
    FAILED = 7

    @classmethod
    def _missing_(cls, value: object) -> NodeState:
        return _unknown(cls, value)


class MemberStatus(IntEnum):
    """What a node holds of a member."""

    #: In a change that is about no member.
    NONE = 0
    ALIVE = 1
    SUSPECT = 2
    DEAD = 3
    LEAVING = 4
    LEFT = 5
    BANNED = 6

    @classmethod
    def _missing_(cls, value: object) -> MemberStatus:
        return _unknown(cls, value)


class Kind(IntFlag):
    """Kinds of change, one bit each: ``|`` makes a mask, ``change.kind & mask`` asks for one of several."""

    #: An entry was set, for the first time or again.
    ENTRY_CHANGED = 0x1
    #: An entry was deleted or has expired.
    ENTRY_DELETED = 0x2
    #: A member's entry is over this node's limits and not kept here; ``change.text`` says why.
    ENTRY_REFUSED = 0x4
    MEMBER_JOINED = 0x10
    MEMBER_SUSPECTED = 0x20
    #: Alive again, after suspicion or death.
    MEMBER_ALIVE = 0x40
    MEMBER_DEAD = 0x80
    MEMBER_LEFT = 0x100
    #: The same id with a new generation.
    MEMBER_RESTARTED = 0x200
    #: Its tags or its address changed.
    MEMBER_UPDATED = 0x400
    MEMBER_BANNED = 0x800
    MEMBER_UNBANNED = 0x1000
    #: The member's state is gone from this node.
    MEMBER_REMOVED = 0x2000
    #: ``change.state`` is the new state, ``change.text`` why.
    NODE_STATE = 0x10000
    #: This node has once been equal to a peer, or is alone without seeds.
    SYNCED = 0x20000
    CONSENSUS = 0x40000
    #: Who is here has changed and has come to rest; ``change.topology``.
    TOPOLOGY = 0x80000
    #: Something that would stay silent is wrong; ``change.text`` says it in words.
    WARNING = 0x100000
    #: A log line: ``change.code`` is its level, ``change.key`` the part of the library that speaks.
    LOG = 0x200000
    #: The end of what existed at the start; comes unasked where ``initial=True`` was given.
    INITIAL_DONE = 0x10000000
    #: The node was closed. Iterators end here and do not show it.
    CLOSED = 0x20000000

    ENTRIES = 0x7
    MEMBERS = 0x3FF0
    NODE = 0xF0000
    #: Entries, members and node; neither warnings nor log lines.
    ALL = 0xFFFFF
