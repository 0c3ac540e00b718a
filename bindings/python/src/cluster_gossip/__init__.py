"""Cluster Gossip: know who is in the cluster, publish small pieces of state, read everybody's, be told of changes. No server.

    from cluster_gossip import Node

    with Node(cluster="shop", seeds=["10.0.0.1:4711"]) as node:
        node.set("load", 0.7)
        for member, entry in node.get("load").items():
            print(member, entry.value)
        for change in node.changes(key="load"):
            print(change.member, change.value)

The protocol is in the native library ``libcluster_gossip``; :func:`load` says where it is looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Type

from . import errors
from ._constants import Kind, MemberStatus, NodeState
from ._dispatch import Subscription
from ._feeds import AsyncChanges, Changes
from ._loader import LibraryError, load, version
from ._node import Node
from ._records import Any, Ban, Change, Entry, Member, ReadValue, Topology, Value
from ._settings import Setting, SettingValue, settings
from .errors import GossipError

if TYPE_CHECKING:
    from .errors import AdvertiseError as AdvertiseError
    from .errors import BadSettingError as BadSettingError
    from .errors import BannedError as BannedError
    from .errors import BindError as BindError
    from .errors import BusyError as BusyError
    from .errors import ClosedError as ClosedError
    from .errors import FailedError as FailedError
    from .errors import ForkedError as ForkedError
    from .errors import IdTakenError as IdTakenError
    from .errors import InterruptedError as InterruptedError
    from .errors import InvalidArgumentError as InvalidArgumentError
    from .errors import InvalidHandleError as InvalidHandleError
    from .errors import InvalidKeyError as InvalidKeyError
    from .errors import LeftError as LeftError
    from .errors import LimitError as LimitError
    from .errors import NoResourcesError as NoResourcesError
    from .errors import NotFoundError as NotFoundError
    from .errors import NotLiveError as NotLiveError
    from .errors import NotSupportedError as NotSupportedError
    from .errors import PanicError as PanicError
    from .errors import ReservedKeyError as ReservedKeyError
    from .errors import TimeoutError as TimeoutError
    from .errors import UnknownSettingError as UnknownSettingError
    from .errors import ValueTooLargeError as ValueTooLargeError
    from .errors import WouldDeadlockError as WouldDeadlockError
    from .errors import WrongTypeError as WrongTypeError

__version__ = "0.1.0"

# The error classes are not listed: `import *` would hide the builtin TimeoutError, and would load the library.
__all__ = [
    "Any",
    "AsyncChanges",
    "Ban",
    "Change",
    "Changes",
    "Entry",
    "GossipError",
    "Kind",
    "LibraryError",
    "Member",
    "MemberStatus",
    "Node",
    "NodeState",
    "ReadValue",
    "Setting",
    "SettingValue",
    "Subscription",
    "Topology",
    "Value",
    "errors",
    "load",
    "settings",
    "version",
]


def __getattr__(name: str) -> Type[GossipError]:
    if name.endswith("Error"):
        try:
            found: Type[GossipError] = getattr(errors, name)
            return found
        except AttributeError:
            pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted([*__all__, *dir(errors)])
