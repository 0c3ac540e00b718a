"""Callbacks: one reader thread for the whole process takes events from one queue and calls who subscribed.

The thread is Python's own. Callbacks that enter the interpreter from a thread of the library would cost ten times as much and end
the process with an abort when it exits under them.
"""

from __future__ import annotations

import itertools
import logging
import threading
from typing import Callable, Dict, List, Optional, Union

from . import _constants, errors
from ._constants import Kind
from ._native import Key, Queue, subscription_kinds, survivors
from ._records import Change

logger = logging.getLogger("cluster_gossip")

Callback = Callable[[Change], object]


class Subscription:
    """A callback that is called with changes, made by :meth:`Node.on_change`. It lives until :meth:`unsubscribe` or the node's close."""

    def __init__(self, dispatcher: Dispatcher, tag: int, callback: Callback) -> None:
        self._dispatcher = dispatcher
        self._callback: Optional[Callback] = callback
        # Held while the callback runs. Reentrant, because the callback itself may unsubscribe.
        self._running = threading.RLock()
        self._native_id = 0
        #: The number that its changes carry (``change.tag``).
        self.tag = tag

    @property
    def active(self) -> bool:
        """Whether the callback may still be called."""
        return self._callback is not None

    def unsubscribe(self, wait: bool = True) -> None:
        """End it. A second call does nothing.

        When this returns, the callback is not running and will not run again; inside a callback and with ``wait=False`` it may be
        running still, and will not be called again. Who holds a lock that the callback wants must not wait.
        """
        native_id, self._native_id = self._native_id, 0
        if native_id:
            # It is over already where the node was closed meanwhile, so the answer does not matter.
            self._dispatcher.queue.library.gossip_unsubscribe(native_id)
        self._end(wait)

    def _end(self, wait: bool) -> None:
        self._callback = None
        self._dispatcher.forget(self.tag)
        if wait and not self._dispatcher.is_current_thread():
            with self._running:
                pass

    def _call(self, change: Change) -> None:
        with self._running:
            callback = self._callback
            if callback is None:
                return
            try:
                callback(change)
            except BaseException:
                # Whatever it is, the other callbacks of the process must go on.
                logger.exception("exception in the callback %r for changes", callback)


class Dispatcher:
    """The queue, the thread that takes from it, and who is called for which tag."""

    def __init__(self) -> None:
        self.queue = Queue()
        self._subscriptions: Dict[int, Subscription] = {}
        self._tags = itertools.count(1)
        # A daemon: it must not keep the process alive. At exit its queue is freed, which ends the take it waits in.
        self._thread = threading.Thread(target=self._run, name="cluster-gossip-changes", daemon=True)
        self._thread.start()

    def subscribe(
        self,
        node: int,
        callback: Callback,
        kinds: Optional[Union[Kind, int]],
        key: Optional[Key],
        prefix: Optional[Key],
        member: Optional[str],
        initial: bool,
        no_self: bool,
    ) -> Subscription:
        """Have the callback called with the changes of a node."""
        subscription = Subscription(self, next(self._tags), callback)
        # Known before the first event can come.
        self._subscriptions[subscription.tag] = subscription
        try:
            subscription._native_id = self.queue.subscribe(
                node, subscription.tag, subscription_kinds(kinds), member, key, prefix, initial, no_self
            )
        except BaseException:
            self.forget(subscription.tag)
            raise
        if not subscription.active:
            # Its first callback has ended it, before its id was known.
            subscription.unsubscribe(wait=False)
        return subscription

    def forget(self, tag: int) -> None:
        """Nobody is called for that tag any more."""
        self._subscriptions.pop(tag, None)

    def is_current_thread(self) -> bool:
        """Whether this runs inside a callback."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        while True:
            try:
                changes = self.queue.take(-1)
            except errors.GossipError as error:
                # The queue is freed at exit only.
                if error.status not in (_constants.ERR_CLOSED, _constants.ERR_INVALID_HANDLE):
                    logger.exception("callbacks for changes end: the queue cannot be read")
                return
            if changes:
                self._deliver(changes)
            # This frame must not keep the last batch alive until the next one comes.
            changes = None

    def _deliver(self, changes: List[Change]) -> None:
        for change in changes:
            subscription = self._subscriptions.get(change.tag)
            if subscription is None:
                continue
            if change.kind == Kind.CLOSED:
                subscription._end(wait=False)
            else:
                subscription._call(change)


_lock = threading.Lock()
_dispatcher: Optional[Dispatcher] = None


def dispatcher() -> Dispatcher:
    """The process's dispatcher, started when it is first needed."""
    global _dispatcher
    with _lock:
        if _dispatcher is None:
            _dispatcher = Dispatcher()
        return _dispatcher


def dispatcher_thread() -> bool:
    """Whether this runs inside a callback of any node."""
    current = _dispatcher
    return current is not None and current.is_current_thread()


class _Fork:
    """A forked child has neither the thread nor a use for the queue: it gets a dispatcher of its own when it needs one."""

    def after_fork(self) -> None:
        global _dispatcher, _lock
        _dispatcher = None
        _lock = threading.Lock()


_fork = _Fork()
survivors.add(_fork)
