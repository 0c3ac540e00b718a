"""Changes as an iterator: ``for change in node.changes(...)`` and ``async for change in node.changes_async(...)``."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, AsyncIterator, Deque, Iterator, List, Optional, Tuple, Type, Union

from . import _constants, errors
from ._constants import Kind
from ._native import SLICE_MS, Key, Queue, subscription_kinds, wait_slice
from ._records import Change

if TYPE_CHECKING:
    from ._node import Node


class _Feed:
    """A queue with one subscription, and what was taken from it but not yet handed out."""

    def __init__(
        self,
        node: Node,
        kinds: Optional[Union[Kind, int]],
        key: Optional[Key],
        prefix: Optional[Key],
        member: Optional[str],
        initial: bool,
        no_self: bool,
    ) -> None:
        # Held, so that the node is not collected, and with it closed, under an iteration.
        self._node = node
        self._buffer: Deque[Change] = deque()
        self._ended = False
        self._queue = Queue()
        try:
            self._queue.subscribe(node._id, 0, subscription_kinds(kinds), member, key, prefix, initial, no_self)
        except BaseException:
            self._queue.free()
            raise

    @property
    def ended(self) -> bool:
        """Whether nothing more will come, because the node or the feed was closed."""
        return self._ended and not self._buffer

    def _fill(self, timeout_ms: int) -> bool:
        """Take a batch; False if there was none."""
        try:
            changes = self._queue.take(timeout_ms)
        except errors.GossipError as error:
            if self._ended or error.status == _constants.ERR_CLOSED:
                self._ended = True
                return True
            raise
        if changes is None:
            return False
        # The only subscription has ended with it, so it is the last event there will be.
        if changes and changes[-1].kind == Kind.CLOSED:
            changes.pop()
            self._ended = True
        self._buffer.extend(changes)
        return True


class Changes(_Feed):
    """Changes in the order in which they come, made by :meth:`Node.changes`.

    Iterating waits, also for ever; Ctrl-C and :meth:`close` from another thread end it, and the close of the node ends it after the
    last change. One thread at a time may iterate (:class:`BusyError`). Nothing is lost while nobody iterates: changes of one key are
    drawn together and counted (``change.conflated``), so what waits is never larger than the state.
    """

    def __iter__(self) -> Iterator[Change]:
        return self

    def __next__(self) -> Change:
        buffer = self._buffer
        while not buffer:
            if self._ended:
                self._queue.free()
                raise StopIteration
            self._fill(SLICE_MS)
        return buffer.popleft()

    def take(self, timeout: Optional[float] = None) -> List[Change]:
        """What has come, after waiting for it for at most ``timeout`` seconds (0: not at all, None: for ever).

        An empty list: nothing came in time, or nothing will come any more (:attr:`ended`).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._buffer and not self._ended:
            slice_ms = wait_slice(deadline)
            if not self._fill(slice_ms) and slice_ms == 0:
                break
        changes = list(self._buffer)
        self._buffer.clear()
        return changes

    def close(self) -> None:
        """End the subscription and an iteration in another thread. What was not read yet is dropped."""
        self._ended = True
        self._queue.free()
        self._buffer.clear()

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()


class AsyncChanges(_Feed):
    """Changes in the order in which they come, for asyncio; made by :meth:`Node.changes_async`.

    Waits on the queue's file descriptor in the running loop: no thread is involved. One task at a time may iterate. To be used and
    closed in the loop's thread; the node may be closed in any.
    """

    _waiting: Optional[Tuple[asyncio.AbstractEventLoop, int, asyncio.Future[None]]] = None

    def __aiter__(self) -> AsyncIterator[Change]:
        return self

    async def __anext__(self) -> Change:
        buffer = self._buffer
        while not buffer:
            if self._ended:
                self._queue.free()
                raise StopAsyncIteration
            await self.wait()
        return buffer.popleft()

    async def wait(self) -> None:
        """Until there is a change to be had without waiting, or the end is reached."""
        while not self._buffer and not self._ended:
            if self._fill(0):
                # Where changes come faster than they are handled, the loop's other tasks get their turn once a batch.
                await asyncio.sleep(0)
            else:
                await self._readable()

    def _drop(self) -> None:
        """Forget what was not read, for who only wants to know that something has happened."""
        self._buffer.clear()

    async def _readable(self) -> None:
        if self._waiting is not None:
            raise RuntimeError("another task is waiting for these changes")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        descriptor = self._queue.fd()
        # Only while waiting: the descriptor stays readable until the queue is empty, and would keep the loop busy.
        loop.add_reader(descriptor, _wake, future)
        self._waiting = (loop, descriptor, future)
        try:
            await future
        finally:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        # Cleared first of all: after close() the descriptor's number may belong to another file.
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            loop, descriptor, future = waiting
            loop.remove_reader(descriptor)
            _wake(future)

    def close(self) -> None:
        """End the subscription and the iteration. What was not read yet is dropped."""
        self._ended = True
        self._stop_waiting()
        self._queue.free()
        self._buffer.clear()

    async def aclose(self) -> None:
        """The same as :meth:`close`, for ``contextlib.aclosing``."""
        self.close()

    async def __aenter__(self) -> AsyncChanges:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
