"""What nodes, feeds and subscriptions share: the call into C with its error, queues, and the end of it all after a fork."""

from __future__ import annotations

import ctypes
import math
import os
import time
import weakref
from ctypes import byref, c_int32, c_uint64, c_void_p
from typing import Any as AnyType
from typing import Callable, List, Optional, Union

from . import _constants, _ffi, _loader, _records, errors
from ._constants import Kind
from ._settings import c_text

#: The longest wait inside a native call: between two of them Python looks for signals, so Ctrl-C works.
SLICE_MS = 100
#: Events in a batch: enough to make the calls of a batch cheap, few enough that none waits long for the others.
BATCH = 256

Key = Union[str, bytes]


class ErrBuf:
    """A buffer for the library's words about an error. Making one for each call would cost more than the call, so they are lent out.

    Not one a thread: at exit the interpreter clears the thread-local variables of daemon threads, and would free the buffer of one that
    is still inside a native call. A local variable of the caller, in contrast, lives as long as the call.
    """

    __slots__ = ("address", "buffer")
    _free: List[ErrBuf] = []

    def __init__(self) -> None:
        self.buffer = ctypes.create_string_buffer(_constants.ERRBUF)
        self.address = ctypes.addressof(self.buffer)

    @classmethod
    def lend(cls) -> ErrBuf:
        """One that nobody uses."""
        # Both list operations are atomic, so neither threads nor signal handlers get the same one.
        try:
            return cls._free.pop()
        except IndexError:
            return cls()

    def give_back(self) -> None:
        """Others may have it."""
        self._free.append(self)

    def error(self, status: int) -> errors.GossipError:
        """The error of a status, with these words."""
        return errors.make(status, self.buffer.value.decode("utf-8", "replace"))


def key_bytes(key: Key) -> bytes:
    """A key as the library takes it; whether it is a valid one the library says."""
    if isinstance(key, str):
        return key.encode()
    if isinstance(key, bytes):
        return key
    raise TypeError(f"a key is str or bytes, not {type(key).__name__}")


def take_bytes(library: ctypes.CDLL, call: Callable[[AnyType], int]) -> bytes:
    """The bytes that a call hands out through its last parameter."""
    out = c_void_p()
    status = call(byref(out))
    if status:
        raise errors.make(status)
    return _ffi.read(library, library.gossip_bytes_data, library.gossip_bytes_free, out.value)


def wait_slice(deadline: Optional[float]) -> int:
    """How long the next native wait may take."""
    if deadline is None:
        return SLICE_MS
    # Rounded up, so that the last slice does not turn into a busy loop of waits of 0.
    left = deadline - time.monotonic()
    return min(SLICE_MS, math.ceil(left * 1000)) if left > 0 else 0


class Queue:
    """A native queue of events, with as many subscriptions as one likes."""

    def __init__(self) -> None:
        self.library = _loader.load()
        out = c_uint64()
        check(self.library.gossip_queue_new(0, byref(out)))
        self.id: int = out.value
        self._finalizer = weakref.finalize(self, self.library.gossip_queue_free, self.id)
        survivors.add(self)

    def subscribe(
        self,
        node: int,
        tag: int,
        kinds: int,
        member: Optional[str],
        key: Optional[Key],
        prefix: Optional[Key],
        initial: bool,
        no_self: bool,
    ) -> int:
        """Subscribe the queue to changes of a node; the id of the subscription."""
        if key is not None and prefix is not None:
            raise ValueError("either a key or a prefix, not both")
        flags = (_constants.SUB_INITIAL if initial else 0) | (_constants.SUB_NO_SELF if no_self else 0)
        wanted: Optional[bytes] = None
        if key is not None:
            wanted = key_bytes(key)
        elif prefix is not None:
            wanted = key_bytes(prefix)
            flags |= _constants.SUB_PREFIX
        member_text = None if member is None else c_text("the member's id", member)
        out = c_uint64()
        check(self.library.gossip_subscribe_queue(node, kinds, member_text, wanted, len(wanted or b""), flags, self.id, tag, byref(out)))
        return out.value

    def take(self, timeout_ms: int, most: int = BATCH) -> Optional[List[_records.Change]]:
        """What has come, after waiting for it for at most so long; None if there is nothing."""
        library = self.library
        out = c_void_p()
        status = library.gossip_queue_take(self.id, most, timeout_ms, byref(out))
        if status:
            if status in (_constants.ERR_TIMEOUT, _constants.ERR_INTERRUPTED):
                return None
            raise errors.make(status)
        return _records.changes(_ffi.read(library, library.gossip_events_packed, library.gossip_events_free, out.value))

    def fd(self) -> int:
        """The eventfd: to be waited on, never read or closed."""
        out = c_int32()
        check(self.library.gossip_queue_fd(self.id, byref(out)))
        return out.value

    def wake(self) -> None:
        """End the take that another thread is in."""
        self.library.gossip_queue_wake(self.id)

    def free(self) -> None:
        """End its subscriptions and the take that another thread is in; a second call does nothing."""
        self._finalizer()

    def after_fork(self) -> None:
        # The native queue is the parent's, and the library answers so; freeing it is not the child's to do.
        self._finalizer.detach()


def check(status: int) -> None:
    """Raise the error of a status."""
    if status:
        raise errors.make(status)


def subscription_kinds(kinds: Optional[Union[Kind, int]]) -> int:
    """A mask of kinds; entries, if none is given."""
    return int(Kind.ENTRIES if kinds is None else kinds)


class _Survivors:
    """The objects that own something native, to be told in a forked child that it is the parent's."""

    def __init__(self) -> None:
        self._objects: weakref.WeakSet[AnyType] = weakref.WeakSet()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def add(self, owner: AnyType) -> None:
        """``owner.after_fork()`` will be called in children; it must take no lock, since nobody there would release it."""
        self._objects.add(owner)

    def _after_fork(self) -> None:
        for owner in list(self._objects):
            owner.after_fork()


survivors = _Survivors()
