"""The node: one member of a cluster."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import threading
import time
import weakref
from ctypes import byref, c_int32, c_size_t, c_uint64, c_void_p, string_at
from datetime import timedelta
from types import TracebackType
from typing import Any as AnyType
from typing import Callable, Dict, List, Optional, Type, Union, overload

from . import _constants, _encoding, _ffi, _heartbeat, _loader, _records, errors
from ._constants import Kind, NodeState
from ._dispatch import Callback, Subscription, dispatcher, dispatcher_thread
from ._feeds import AsyncChanges, Changes
from ._native import ErrBuf, Key, check, key_bytes, survivors, take_bytes, wait_slice
from ._records import Ban, Change, Entry, Member, Value
from ._settings import SettingValue, as_text, c_text

_ERRBUF_LEN = _constants.ERRBUF
_LEVELS = {
    _constants.LOG_ERROR: logging.ERROR,
    _constants.LOG_WARN: logging.WARNING,
    _constants.LOG_INFO: logging.INFO,
    _constants.LOG_DEBUG: logging.DEBUG,
    # logging has no name for it; below DEBUG it is shown only to who asks for it by number.
    _constants.LOG_TRACE: 5,
}


def _abandon(library: ctypes.CDLL, node: int) -> None:
    """What becomes of a node that was not closed, at its collection or at exit: one notice to the others, no waiting."""
    library.gossip_leave_nowait(node)
    library.gossip_close_nowait(node)


class Node:
    """One member of a cluster: publishes its own entries, reads everybody's, is told of changes.

    ``Node(cluster="shop", seeds=["10.0.0.1:4711"], tags={"role": "web"}, gossip_interval="300ms")`` opens one. The settings are the
    library's (:func:`cluster_gossip.settings` lists them) and are passed through by name. Opening binds the socket and returns; it
    waits for nobody (:meth:`wait_synced` does).

    Every method may be called from any thread, and in callbacks. Times are in seconds. A call on a closed node raises
    :class:`ClosedError`; in a process forked from the one that opened it, :class:`ForkedError`. To be closed, best by ``with`` or
    ``async with``; a node that is collected, or still open at exit, tells the others that it leaves, and does not wait for them.
    """

    def __init__(self, **settings: SettingValue) -> None:
        library = _loader.load()
        out = c_uint64()
        check(library.gossip_config_new(byref(out)))
        config = out.value
        try:
            for name, value in settings.items():
                if value is not None:
                    encoded = c_text(f"setting {name}", as_text(name, value))
                    self._open_call(library.gossip_config_set, config, c_text("a setting's name", name), encoded)
            self._open_call(library.gossip_open, config, byref(out))
        finally:
            library.gossip_config_free(config)
        self._adopt(library, out.value)

    @classmethod
    def from_text(cls, settings: str) -> Node:
        """Open a node with settings given as text: a line ``name=value`` each, ``#`` begins a comment."""
        library = _loader.load()
        out = c_uint64()
        cls._open_call(library.gossip_open_text, c_text("the settings", settings), byref(out))
        node = cls.__new__(cls)
        node._adopt(library, out.value)
        return node

    @staticmethod
    def _open_call(function: Callable[..., int], *arguments: AnyType) -> None:
        errbuf = ErrBuf.lend()
        status = function(*arguments, errbuf.address, _ERRBUF_LEN)
        error = errbuf.error(status) if status else None
        errbuf.give_back()
        if error is not None:
            raise error

    def _adopt(self, library: ctypes.CDLL, handle: int) -> None:
        self._library = library
        self._id = handle
        self._name: Optional[str] = None
        self._closer: Optional[int] = None
        self._closed = threading.Event()
        # Weak: the dispatcher keeps those that are active.
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        # Not __del__, which at exit comes when the interpreter is half gone.
        self._finalizer = weakref.finalize(self, _abandon, library, handle)
        survivors.add(self)

    def after_fork(self) -> None:
        """Called in a forked child, where the node is the parent's: there is nothing to leave, and close() does nothing."""
        self._finalizer.detach()
        self._closed = threading.Event()
        self._closed.set()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"id={self._name!r}" if self._name else "open"
        return f"<cluster_gossip.Node {state}>"

    # ---- this node

    @property
    def id(self) -> str:
        """The node's own member id."""
        if self._name is None:
            self._name = self.me.id
        return self._name

    @property
    def me(self) -> Member:
        """The node's own member record: id, address, tags."""
        out = c_void_p()
        check(self._library.gossip_self(self._id, byref(out)))
        return self._read_members(out.value)[0]

    @property
    def address(self) -> str:
        """The address that the node tells to others: what they name as a seed."""
        return self.me.address

    @property
    def state(self) -> NodeState:
        """How the node stands to its cluster, as for a readiness probe."""
        out = c_int32()
        check(self._library.gossip_state(self._id, byref(out)))
        return NodeState(out.value)

    @property
    def closed(self) -> bool:
        """Whether the node was closed, or is being closed."""
        return not self._finalizer.alive

    def setting(self, name: str) -> str:
        """The value in force of a setting, as text."""
        encoded = c_text("a setting's name", name)
        value = take_bytes(self._library, lambda out: self._library.gossip_setting_get(self._id, encoded, out))
        return value.decode()

    def reconfigure(self, **settings: SettingValue) -> None:
        """Change settings of the running node, one after the other. Those that cannot change raise :class:`NotLiveError`."""
        for name, value in settings.items():
            if value is None:
                raise TypeError(f"setting {name}: None is no value")
            self._open_call(
                self._library.gossip_reconfigure,
                self._id,
                c_text("a setting's name", name),
                c_text(f"setting {name}", as_text(name, value)),
            )

    def describe(self) -> str:
        """A page of text for people: addresses, seeds and how they answered, members, what was dropped and why."""
        return take_bytes(self._library, lambda out: self._library.gossip_describe(self._id, out)).decode()

    def snapshot(self) -> bytes:
        """The whole state as a protobuf message ``cluster.gossip.GossipState``, as Proto.Actor encodes it."""
        return self._snapshot(_constants.FORMAT_PROTOBUF)

    def snapshot_json(self) -> Dict[str, AnyType]:
        """The whole state, from JSON."""
        state: Dict[str, AnyType] = json.loads(self._snapshot(_constants.FORMAT_JSON))
        return state

    def _snapshot(self, form: int) -> bytes:
        return take_bytes(self._library, lambda out: self._library.gossip_snapshot(self._id, form, out))

    def offsets(self) -> Dict[str, AnyType]:
        """The committed offsets, target to owner: what this node has proof that others hold."""
        text = take_bytes(self._library, lambda out: self._library.gossip_offsets(self._id, out))
        offsets: Dict[str, AnyType] = json.loads(text)
        return offsets

    def metrics(self) -> Dict[str, float]:
        """Counters and gauges by name."""
        metrics: Dict[str, float] = json.loads(self._metrics(_constants.FORMAT_JSON))
        return metrics

    def metrics_text(self) -> str:
        """Counters and gauges in the text format of Prometheus."""
        return self._metrics(_constants.FORMAT_PROMETHEUS).decode()

    def _metrics(self, form: int) -> bytes:
        return take_bytes(self._library, lambda out: self._library.gossip_metrics(self._id, form, out))

    # ---- state

    def set(
        self,
        key: Key,
        value: Value,
        ttl: Optional[Union[float, timedelta]] = None,
        if_changed: bool = False,
    ) -> int:
        """Publish an entry of this node's own; the sequence number it got.

        The others read the value as their own language's type. ``ttl``: readers stop seeing the entry after so many seconds.
        ``if_changed``: if type and value are what is there, nothing happens, and the sequence number is the old one.
        """
        # By far most values are of exactly these types; subclasses and the rest are looked at afterwards.
        type_url: Optional[bytes] = None
        if type(value) is bytes:
            plain, encoded = _constants.VALUE_BYTES, value
        elif type(value) is str:
            plain, encoded = _constants.VALUE_TEXT, value.encode()
        else:
            plain, encoded, type_url = _encoding.encode(value)
        key_encoded = key.encode() if type(key) is str else key_bytes(key)
        flags = _constants.SET_IF_CHANGED if if_changed else 0
        ttl_ms = 0 if ttl is None else _encoding.ttl_ms(ttl)
        errbuf = ErrBuf.lend()
        seq = c_uint64()
        if type_url is None:
            status = self._library.gossip_set_plain(
                self._id,
                key_encoded,
                len(key_encoded),
                plain,
                encoded,
                len(encoded),
                ttl_ms,
                flags,
                byref(seq),
                errbuf.address,
                _ERRBUF_LEN,
            )
        else:
            status = self._library.gossip_set_with(
                self._id,
                key_encoded,
                len(key_encoded),
                type_url,
                encoded,
                len(encoded),
                ttl_ms,
                flags,
                byref(seq),
                errbuf.address,
                _ERRBUF_LEN,
            )
        error = errbuf.error(status) if status else None
        errbuf.give_back()
        if error is not None:
            raise error
        return seq.value

    @overload
    def get(self, key: Key, /, *, departed: bool = False) -> Dict[str, Entry]: ...

    @overload
    def get(self, member: str, key: Key, /, *, departed: bool = False) -> Optional[Entry]: ...

    def get(self, first: Key, second: Optional[Key] = None, /, *, departed: bool = False) -> Union[Dict[str, Entry], Optional[Entry]]:
        """``get(key)``: the entries of all members under that key, by member id. ``get(member, key)``: one member's, or None.

        Members that are alive or suspect; with ``departed`` also those whose state is kept although they are dead or have left.
        """
        flags = _constants.GET_DEPARTED if departed else 0
        if second is None:
            return {entry.member: entry for entry in self._get(None, key_bytes(first), flags)}
        if not isinstance(first, str):
            raise TypeError(f"a member's id is str, not {type(first).__name__}")
        found = self._get(c_text("the member's id", first), key_bytes(second), flags)
        return found[0] if found else None

    def get_own(self, key: Key) -> Optional[Entry]:
        """This node's own entry under that key, or None."""
        encoded = key_bytes(key)
        out = c_void_p()
        status = self._library.gossip_get_own(self._id, encoded, len(encoded), byref(out))
        if status:
            raise errors.make(status)
        found = self._read_entries(out.value)
        return found[0] if found else None

    def entries(self, prefix: Key = "", *, member: Optional[str] = None, departed: bool = False) -> List[Entry]:
        """All entries whose key begins so. The library's own, under ``cluster:`` keys, only for a prefix that begins so."""
        flags = _constants.GET_PREFIX | (_constants.GET_DEPARTED if departed else 0)
        member_text = None if member is None else c_text("the member's id", member)
        return self._get(member_text, key_bytes(prefix), flags)

    def delete(self, key: Key) -> None:
        """Delete this node's own entry. There is none: :class:`NotFoundError`, a KeyError."""
        encoded = key_bytes(key)
        check(self._library.gossip_delete(self._id, encoded, len(encoded)))

    def _get(self, member: Optional[bytes], key: bytes, flags: int) -> List[Entry]:
        out = c_void_p()
        status = self._library.gossip_get(self._id, member, key, len(key), flags, byref(out))
        if status:
            raise errors.make(status)
        return self._read_entries(out.value)

    def _read_entries(self, pointer: Optional[int]) -> List[Entry]:
        # As _ffi.read, but the list is read before it is freed by one function less: get is called most of all.
        library = self._library
        length = c_size_t()
        try:
            address = library.gossip_entries_packed(pointer, byref(length))
            packed = string_at(address, length.value) if address else b""
        finally:
            library.gossip_entries_free(pointer)
        return _records.entries(packed)

    # ---- members

    def members(self, departed: bool = False) -> List[Member]:
        """The members that are alive or suspect, this node included; with ``departed`` also the dead, left and banned ones."""
        out = c_void_p()
        flags = _constants.GET_DEPARTED if departed else 0
        check(self._library.gossip_members_get(self._id, flags, byref(out)))
        return self._read_members(out.value)

    def _read_members(self, pointer: Optional[int]) -> List[Member]:
        library = self._library
        return _records.members(_ffi.read(library, library.gossip_members_packed, library.gossip_members_free, pointer))

    def wait_for_members(self, alive: int, timeout: Optional[float] = None) -> None:
        """Wait until the node knows so many living members, itself included. :class:`TimeoutError` if not in time."""
        self._wait(self._members_there(alive), timeout)

    def wait_synced(self, timeout: Optional[float] = None) -> None:
        """Wait until this node's view can be trusted: it was once equal to a peer's, or it has no seeds. :class:`TimeoutError`."""
        self._wait(self._synced, timeout)

    async def wait_for_members_async(self, alive: int, timeout: Optional[float] = None) -> None:
        """:meth:`wait_for_members` for asyncio."""
        await self._wait_async(self._members_there(alive), timeout)

    async def wait_synced_async(self, timeout: Optional[float] = None) -> None:
        """:meth:`wait_synced` for asyncio."""
        await self._wait_async(self._synced, timeout)

    def _members_there(self, alive: int) -> Callable[[int], int]:
        if alive < 0:
            raise ValueError("a number of members is not negative")

        def wait(timeout_ms: int) -> int:
            status: int = self._library.gossip_wait_for_members(self._id, alive, timeout_ms)
            return status

        return wait

    def _synced(self, timeout_ms: int) -> int:
        status: int = self._library.gossip_wait_synced(self._id, timeout_ms)
        return status

    @staticmethod
    def _wait(call: Callable[[int], int], timeout: Optional[float]) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            status = call(wait_slice(deadline))
            if status == _constants.OK:
                return
            if status != _constants.ERR_TIMEOUT or (deadline is not None and time.monotonic() >= deadline):
                raise errors.make(status)

    async def _wait_async(self, call: Callable[[int], int], timeout: Optional[float]) -> None:
        async def wait() -> None:
            async with self.changes_async(kinds=Kind.MEMBERS | Kind.NODE) as changes:
                while True:
                    status = call(0)
                    if status == _constants.OK:
                        return
                    if status != _constants.ERR_TIMEOUT:
                        raise errors.make(status)
                    await changes.wait()
                    changes._drop()

        # wait_for with a timeout of 0 would not even begin.
        if timeout is not None and timeout <= 0:
            check(call(0))
            return
        try:
            await asyncio.wait_for(wait(), timeout)
        except errors.GossipError:
            raise
        except asyncio.TimeoutError:
            raise errors.make(_constants.ERR_TIMEOUT) from None

    # ---- bans, statistics

    def ban(self, member: str) -> None:
        """Ban a member, in all of its lives, until any member lifts it.

        Every member heeds it as soon as it hears of it: the banned one's entries are hidden, and it cannot set any
        (:class:`BannedError`). A ban outlives the member that has set it. It keeps out faulty members, not hostile ones.
        """
        self._open_call(self._library.gossip_ban, self._id, c_text("the member's id", member))

    def unban(self, member: str) -> None:
        """Lift every ban of a member, whoever has set it. Nothing happens if it is not banned."""
        self._open_call(self._library.gossip_unban, self._id, c_text("the member's id", member))

    def bans(self) -> List[Ban]:
        """The bans that stand, as this node knows them."""
        text = take_bytes(self._library, lambda out: self._library.gossip_bans(self._id, out))
        return [Ban(ban["id"], ban["by"]) for ban in json.loads(text)]

    def set_statistic(self, name: str, value: int) -> None:
        """Set one of this host's statistics, which all members read (:meth:`heartbeats`): at most 1,024 names, of 1 to 255 bytes.

        Published when they change, at most once in the setting ``heartbeat_interval``.
        """
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"a statistic is an int, not {type(value).__name__}")
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError(f"{value} does not fit into the 64 bits of a statistic")
        self._open_call(self._library.gossip_statistic_set, self._id, c_text("the statistic's name", name), value)

    def delete_statistic(self, name: str) -> None:
        """Take one of this host's statistics out. Nothing happens if there is none of that name."""
        self._open_call(self._library.gossip_statistic_delete, self._id, c_text("the statistic's name", name))

    def heartbeats(self, *, departed: bool = False) -> Dict[str, Dict[str, int]]:
        """The statistics of all members that have published any: member id to name to number.

        They are what Proto.Actor calls ``MemberHeartbeat``, under the key ``cluster:heartbeat``. What is none is left out.
        """
        found: Dict[str, Dict[str, int]] = {}
        for member, entry in self.get(_heartbeat.KEY, departed=departed).items():
            if entry.type_url != _heartbeat.TYPE_URL:
                continue
            try:
                found[member] = _heartbeat.parse(entry.raw)
            except ValueError:
                # One member's mistake must not spoil the others' statistics.
                continue
        return found

    # ---- changes

    def on_change(
        self,
        callback: Callback,
        *,
        kinds: Optional[Union[Kind, int]] = None,
        key: Optional[Key] = None,
        prefix: Optional[Key] = None,
        member: Optional[str] = None,
        initial: bool = False,
        no_self: bool = False,
    ) -> Subscription:
        """Have a callback called with each :class:`Change`, until the subscription is ended or the node closed.

        ``kinds`` is a mask of :class:`Kind` (default: entries); ``key`` or ``prefix`` and ``member`` narrow it down. Keys beginning
        ``cluster:`` are the library's own, and are told only for a ``key`` or ``prefix`` that begins so. ``initial``:
        what exists comes first, then a change of kind ``INITIAL_DONE``, without gap or duplicate. ``no_self``: nothing about this
        node's own entries and membership.

        Callbacks of all nodes of the process run one at a time, on one thread of the binding. They may call anything, also end their
        subscription and close the node. An exception in one is logged (logger ``cluster_gossip``) and ends nothing. One that takes long
        delays the others, but loses nothing: changes of one key are drawn together and counted meanwhile.
        """
        subscription = dispatcher().subscribe(self._id, callback, kinds, key, prefix, member, initial, no_self)
        self._subscriptions.add(subscription)
        return subscription

    def changes(
        self,
        *,
        kinds: Optional[Union[Kind, int]] = None,
        key: Optional[Key] = None,
        prefix: Optional[Key] = None,
        member: Optional[str] = None,
        initial: bool = False,
        no_self: bool = False,
    ) -> Changes:
        """Changes to iterate over, from this call on; the parameters are those of :meth:`on_change`."""
        return Changes(self, kinds, key, prefix, member, initial, no_self)

    def changes_async(
        self,
        *,
        kinds: Optional[Union[Kind, int]] = None,
        key: Optional[Key] = None,
        prefix: Optional[Key] = None,
        member: Optional[str] = None,
        initial: bool = False,
        no_self: bool = False,
    ) -> AsyncChanges:
        """Changes to iterate over with ``async for``, from this call on; the parameters are those of :meth:`on_change`."""
        return AsyncChanges(self, kinds, key, prefix, member, initial, no_self)

    def log_to(self, logger: Optional[logging.Logger] = None) -> Subscription:
        """Hand the library's log lines and warnings of this node to a logger (default: ``cluster_gossip``).

        What there is to hand over the setting ``log_level`` decides, what is shown the logger.
        """
        target = logging.getLogger("cluster_gossip") if logger is None else logger

        def hand_over(change: Change) -> None:
            if change.kind == Kind.LOG:
                target.log(_LEVELS.get(change.code, logging.INFO), "%s: %s", change.key, change.text)
            elif change.kind == Kind.WARNING:
                target.warning("%s", change.text)

        return self.on_change(hand_over, kinds=Kind.LOG | Kind.WARNING)

    # ---- ending

    def leave(self, timeout: Optional[float] = None) -> bool:
        """Leave the cluster, and wait until others have acknowledged it; the node can be read afterwards, but not written to.

        False: the leave was said, but not acknowledged by enough within ``timeout`` seconds (default: the setting ``leave_timeout``).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            status = self._library.gossip_leave(self._id, wait_slice(deadline))
            if status == _constants.OK:
                return True
            if status != _constants.ERR_TIMEOUT:
                raise errors.make(status)
            # The library gives up by itself after leave_timeout: then it has left, acknowledged or not.
            if self.state == NodeState.LEFT or (deadline is not None and time.monotonic() >= deadline):
                return False

    async def leave_async(self, timeout: Optional[float] = None) -> bool:
        """:meth:`leave` for asyncio."""
        return await asyncio.get_running_loop().run_in_executor(None, self.leave, timeout)

    def close(self) -> None:
        """Leave (waiting at most for the setting ``leave_timeout``), then close.

        When this returns, none of the node's callbacks runs or will run (but for the one that calls this). A second call waits for
        the first one and does nothing else.
        """
        self._end(leave=True)

    def kill(self) -> None:
        """Close without leaving: a crash, to the others. For tests of what they do then."""
        self._end(leave=False)

    def _end(self, leave: bool) -> None:
        # Atomic, and no lock that a signal handler could find held: one caller gets it.
        if self._finalizer.detach() is None:
            # Two must not wait for the first caller: a callback, for whose end that one may be waiting, and a signal handler that has
            # interrupted it.
            if not dispatcher_thread() and self._closer != threading.get_ident():
                self._closed.wait()
            return
        self._closer = threading.get_ident()
        try:
            if leave:
                self.leave()
        except errors.GossipError:
            # It has left already, was banned or has failed: all of them are to be closed too.
            pass
        finally:
            self._library.gossip_close(self._id)
            for subscription in list(self._subscriptions):
                subscription._end(wait=True)
            self._closed.set()

    async def aclose(self) -> None:
        """:meth:`close` for asyncio."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def __enter__(self) -> Node:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    async def __aenter__(self) -> Node:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        await self.aclose()
