"""Changes: callbacks, iteration, asyncio; order, counts, filters, re-entrancy, exceptions."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from typing import Any, Dict, List

import pytest

import cluster_gossip as cg
from cluster_gossip import Change, Changes, Kind, Node, NodeState
from conftest import PATIENCE, Open, until


def collect(changes: Changes, count: int) -> List[Change]:
    """So many changes, however many batches they come in."""
    found: List[Change] = []
    while len(found) < count:
        batch = changes.take(PATIENCE)
        assert batch, f"only {len(found)} of {count} came: {found}"
        found += batch
    return found


# ---- iterating


def test_iterate(pair: List[Node]) -> None:
    writer, reader = pair
    changes = reader.changes(key="colour")
    writer.set("colour", "red")
    writer.set("other", "not asked for")
    change = next(changes)
    assert (change.kind, change.member, change.key, change.value) == (Kind.ENTRY_CHANGED, writer.id, "colour", "red")
    assert change.entry == reader.get(writer.id, "colour")._replace(age=change.age)  # type: ignore[union-attr]
    writer.delete("colour")
    change = next(changes)
    assert (change.kind, change.value) == (Kind.ENTRY_DELETED, None)
    changes.close()
    assert list(changes) == [] and changes.ended


def test_initial_then_done_then_what_comes(node: Node) -> None:
    for number in range(1000):
        node.set(f"key:{number}", number)
    with node.changes(prefix="key:", initial=True) as changes:
        node.set("key:0", "later")
        found = []
        for change in changes:
            if change.kind == Kind.INITIAL_DONE:
                break
            found.append(change)
        assert {change.key for change in found} == {f"key:{number}" for number in range(1000)}
        assert len(found) == 1000
        values = {change.key: change.value for change in found}
        # The set that came in between is among what was initial, or comes after it, but is not lost.
        if values["key:0"] != "later":
            assert next(changes).value == "later"


def test_filters(pair: List[Node]) -> None:
    writer, reader = pair
    by_member = reader.changes(member=writer.id)
    not_self = reader.changes(prefix="k", no_self=True)
    deleted = reader.changes(kinds=Kind.ENTRY_DELETED, prefix="k")
    reader.set("k1", "own")
    writer.set("k2", "other's")
    until("it is there", lambda: reader.get(writer.id, "k2"))
    writer.delete("k2")
    assert {change.member for change in collect(by_member, 1)} == {writer.id}
    assert {change.member for change in collect(not_self, 1)} == {writer.id}
    assert [(change.kind, change.key) for change in collect(deleted, 1)] == [(Kind.ENTRY_DELETED, "k2")]


def test_members_and_states(open_node: Open) -> None:
    first = open_node()
    changes = first.changes(kinds=Kind.MEMBERS | Kind.NODE, no_self=True)
    second = open_node(first, id="second", tags={"a": "b"})
    joined = next(change for change in changes if change.kind == Kind.MEMBER_JOINED)
    assert joined.member == "second" and joined.info is not None
    assert (joined.info.address, joined.info.tags) == (second.address, {"a": "b"})
    second.reconfigure(tags={"a": "c"})
    updated = next(change for change in changes if change.kind == Kind.MEMBER_UPDATED)
    assert updated.info is not None and updated.info.tags == {"a": "c"}
    second.close()
    left = next(change for change in changes if change.kind == Kind.MEMBER_LEFT)
    assert left.member == "second"
    states = first.changes(kinds=Kind.NODE_STATE)
    first.leave()
    assert NodeState.LEFT in [change.state for change in iter_until_left(states)]


def iter_until_left(changes: Changes) -> List[Change]:
    found = []
    for change in changes:
        found.append(change)
        if change.state == NodeState.LEFT:
            break
    return found


def test_take_without_waiting_and_in_time(node: Node) -> None:
    changes = node.changes()
    assert changes.take(0) == []
    assert changes.take(0.05) == []
    assert not changes.ended
    node.set("key", 1)
    assert [change.value for change in changes.take(PATIENCE)] == [1]


def test_conflated_changes_sum_up(node: Node) -> None:
    changes = node.changes(prefix="key:")
    sets = 100_000
    for number in range(sets):
        node.set(f"key:{number % 10}", number)
    found = changes.take(PATIENCE)
    while True:
        more = changes.take(0)
        if not more:
            break
        found += more
    assert sum(change.conflated for change in found) == sets
    assert {change.key: change.value for change in found} == {f"key:{number % 10}": number for number in range(sets - 10, sets)}
    # Nobody read meanwhile: one mark for each key.
    assert len(found) == 10


def test_read_while_written_nothing_is_lost_and_order_holds(node: Node) -> None:
    sets = 20_000
    changes = node.changes(prefix="key:")

    def write() -> None:
        for number in range(sets):
            node.set(f"key:{number % 7}", number)

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    last: Dict[str, int] = {}
    for change in changes:
        assert change.seq > last.get(change.key, 0)
        last[change.key] = change.seq
        seen += change.conflated
        if seen >= sets:
            break
    writer.join()
    assert seen == sets
    assert changes.take(0) == []


def test_close_of_the_node_ends_the_iteration_after_the_last_change(node: Node) -> None:
    changes = node.changes()
    node.set("last", 1)
    node.close()
    assert [change.key for change in changes if change.key == "last"] == ["last"]
    assert changes.ended
    assert list(changes) == []


def test_close_from_another_thread_ends_the_iteration(node: Node) -> None:
    for close_what in ("node", "changes"):
        changes = node.changes()
        ended = threading.Event()

        def iterate(changes: Changes = changes, ended: threading.Event = ended) -> None:
            for _ in changes:
                pass
            ended.set()

        thread = threading.Thread(target=iterate)
        thread.start()
        if close_what == "changes":
            changes.close()
        else:
            node_changes, node_ended, node_thread = changes, ended, thread
            continue
        assert ended.wait(PATIENCE)
        thread.join()
    node.close()
    assert node_ended.wait(PATIENCE)
    node_thread.join()
    assert node_changes.ended


# ---- callbacks


def test_callback(pair: List[Node]) -> None:
    writer, reader = pair
    found: List[Change] = []
    threads = set()

    def seen(change: Change) -> None:
        found.append(change)
        threads.add(threading.current_thread().name)

    subscription = reader.on_change(seen, prefix="k", initial=True, no_self=True)
    until("done", lambda: any(change.kind == Kind.INITIAL_DONE for change in found))
    writer.set("k", "red")
    until("it came", lambda: any(change.value == "red" for change in found))
    assert {change.tag for change in found} == {subscription.tag}
    assert len(threads) == 1 and threading.current_thread().name not in threads
    subscription.unsubscribe()
    assert not subscription.active
    subscription.unsubscribe()
    count = len(found)
    marker = reader.changes(key="k", no_self=True)
    writer.set("k", "blue")
    next(marker)
    assert len(found) == count


def test_callback_may_call_everything(pair: List[Node]) -> None:
    writer, reader = pair
    done = threading.Event()
    notes: List[Any] = []

    def seen(change: Change) -> None:
        try:
            notes.append(reader.set("answer", change.value))  # type: ignore[arg-type]
            notes.append(reader.get("question")[writer.id].value)
            notes.append(len(reader.members()))
            reader.wait_for_members(2, timeout=PATIENCE)
            inner = reader.on_change(lambda _: None)
            inner.unsubscribe()
            with reader.changes(initial=True) as changes:
                notes.append(next(changes).kind == Kind.ENTRY_CHANGED)
            subscription.unsubscribe()
            reader.close()
            notes.append(reader.closed)
        except BaseException as error:
            notes.append(error)
        finally:
            done.set()

    subscription = reader.on_change(seen, key="question", no_self=True)
    writer.set("question", 42)
    assert done.wait(PATIENCE)
    assert notes == [1, 42, 2, True, True]
    reader.close()


def test_exception_in_a_callback_is_logged_and_ends_nothing(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    found: List[Any] = []

    def broken(change: Change) -> None:
        found.append(change.value)
        if change.value == 1:
            raise KeyError("my mistake")
        if change.value == 2:
            raise SystemExit(3)

    with caplog.at_level(logging.ERROR, logger="cluster_gossip"):
        node.on_change(broken, key="key")
        for number in (1, 2, 3):
            node.set("key", number)
            until("it came", lambda number=number: found[-1:] == [number])  # type: ignore[misc]
    records = [record for record in caplog.records if record.name == "cluster_gossip"]
    assert len(records) == 2
    assert "broken" in records[0].getMessage()
    assert "my mistake" in caplog.text and "SystemExit" in caplog.text
    node.set("still", "works")


def test_unsubscribe_waits_for_the_callback_that_runs(node: Node) -> None:
    entered, go_on, left = threading.Event(), threading.Event(), threading.Event()

    def slow(change: Change) -> None:
        entered.set()
        assert go_on.wait(PATIENCE)
        left.set()

    for how in ("unsubscribe", "close"):
        for event in (entered, go_on, left):
            event.clear()
        subscription = node.on_change(slow, key=how)
        node.set(how, 1)
        assert entered.wait(PATIENCE)
        if how == "unsubscribe":
            # This form does not wait for it.
            subscription.unsubscribe(wait=False)
            assert not left.is_set()
        order: List[str] = []

        def end(how: str = how, order: List[str] = order) -> None:
            subscription.unsubscribe() if how == "unsubscribe" else node.close()
            order.append("returned")
            assert left.is_set()
            order.append("after the callback")

        ender = threading.Thread(target=end)
        ender.start()
        go_on.set()
        ender.join(PATIENCE)
        assert order == ["returned", "after the callback"]


def test_no_callback_after_close(open_node: Open) -> None:
    for _ in range(20):
        node = open_node()
        closed = threading.Event()
        late: List[Change] = []
        node.on_change(lambda change, closed=closed, late=late: closed.is_set() and late.append(change))  # type: ignore[misc]
        for number in range(200):
            node.set(f"key:{number}", number)
        node.close()
        closed.set()
        # Behind whatever the reader still held.
        fence = open_node()
        passed = threading.Event()
        fence.on_change(lambda _, passed=passed: passed.set())  # type: ignore[misc]
        fence.set("key", 1)
        assert passed.wait(PATIENCE)
        fence.close()
        assert late == []


def test_a_failed_subscribe_leaves_nothing(node: Node) -> None:
    from cluster_gossip._dispatch import dispatcher

    before = dict(dispatcher()._subscriptions)
    with pytest.raises(cg.GossipError):
        node.on_change(print, kinds=0x4000_0000)
    with pytest.raises(cg.GossipError):
        node.on_change(print, key="k" * 256)
    assert dispatcher()._subscriptions == before


def test_close_forgets_the_callbacks(node: Node) -> None:
    from cluster_gossip._dispatch import dispatcher

    subscriptions = [node.on_change(print) for _ in range(5)]
    node.close()
    assert not any(subscription.active for subscription in subscriptions)
    assert not {subscription.tag for subscription in subscriptions} & set(dispatcher()._subscriptions)


def test_many_nodes_one_thread(open_node: Open) -> None:
    found: "Counter[str]" = Counter()
    threads = set()

    def seen(change: Change) -> None:
        found[change.key] += change.conflated
        threads.add(threading.get_ident())

    nodes = [open_node(cluster=f"apart-{number}") for number in range(5)]
    for number, node in enumerate(nodes):
        node.on_change(seen)
        for _ in range(100):
            node.set(f"key:{number}", 1)
    until("all came", lambda: found == {f"key:{number}": 100 for number in range(5)})
    assert len(threads) == 1


def test_log_lines_go_to_logging(open_node: Open, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("test.gossip")
    with caplog.at_level(5, logger="test.gossip"):
        node = open_node(log_level="trace")
        subscription = node.log_to(logger)
        open_node(node)
        node.wait_for_members(2, timeout=PATIENCE)
        until("a line came", lambda: [record for record in caplog.records if record.name == "test.gossip"])
        subscription.unsubscribe()


# ---- asyncio


def test_async_iteration(pair: List[Node]) -> None:
    writer, reader = pair

    async def main() -> List[Any]:
        found = []
        changes = reader.changes_async(prefix="k")
        asyncio.get_running_loop().call_later(0.05, writer.set, "k1", "late")
        writer.set("k0", "early")
        async for change in changes:
            found.append((change.key, change.value))
            if len(found) == 2:
                break
        changes.close()
        async for _ in changes:
            raise AssertionError("it is closed")
        return found

    assert sorted(asyncio.run(main())) == [("k0", "early"), ("k1", "late")]


def test_async_many(node: Node) -> None:
    async def main() -> int:
        async with node.changes_async(prefix="key:") as changes:
            for number in range(5000):
                node.set(f"key:{number}", number)
            others = 0

            async def other() -> None:
                nonlocal others
                while True:
                    others += 1
                    await asyncio.sleep(0)

            task = asyncio.ensure_future(other())
            seen = 0
            async for change in changes:
                seen += change.conflated
                if seen == 5000:
                    break
            task.cancel()
            return others

    # The loop's other tasks got their turns although changes were always at hand.
    assert asyncio.run(main()) > 5


def test_async_cancel_and_go_on(node: Node) -> None:
    async def main() -> None:
        changes = node.changes_async()
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(changes.__anext__(), 0.02)
        node.set("key", "after the cancel")
        change = await asyncio.wait_for(changes.__anext__(), PATIENCE)
        assert change.value == "after the cancel"
        waiting = asyncio.ensure_future(changes.__anext__())
        while changes._waiting is None:
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await changes.__anext__()
        changes.close()
        with pytest.raises(StopAsyncIteration):
            await waiting

    asyncio.run(main())


def test_async_ends_when_the_node_is_closed_elsewhere(node: Node) -> None:
    async def main() -> int:
        changes = node.changes_async(kinds=Kind.ENTRIES)
        loop = asyncio.get_running_loop()
        closing = loop.run_in_executor(None, node.close)
        count = 0
        async for _ in changes:
            count += 1
        await closing
        return count

    assert asyncio.run(main()) == 0


def test_async_node_and_waits(open_node: Open) -> None:
    first = open_node()

    async def main() -> None:
        async with Node(cluster=first.setting("cluster"), bind="127.0.0.1:0", seeds=[first.address]) as node:
            await node.wait_synced_async(timeout=PATIENCE)
            await asyncio.gather(node.wait_for_members_async(2, timeout=PATIENCE), first.wait_for_members_async(2, timeout=PATIENCE))
            with pytest.raises(cg.TimeoutError):
                await node.wait_for_members_async(3, timeout=0.05)
            with pytest.raises(cg.TimeoutError):
                await node.wait_for_members_async(3, timeout=0)
            waiting = asyncio.ensure_future(first.wait_for_members_async(3))
            third = open_node(first)
            await asyncio.wait_for(waiting, PATIENCE)
            # Who does not know it yet cannot acknowledge that it leaves.
            await asyncio.gather(third.wait_for_members_async(3, PATIENCE), node.wait_for_members_async(3, PATIENCE))
            assert await third.leave_async() is True
        assert node.closed

    asyncio.run(main())


def test_async_wait_ends_when_the_node_is_closed(node: Node) -> None:
    async def main() -> None:
        waiting = asyncio.ensure_future(node.wait_for_members_async(5))
        while not waiting.done() and not asyncio.get_running_loop()._selector.get_map():  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        await node.aclose()
        with pytest.raises(cg.ClosedError):
            await asyncio.wait_for(waiting, PATIENCE)

    asyncio.run(main())
