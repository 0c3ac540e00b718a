"""Opening and ending: nothing is left over, in the process and in the cluster."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any, List

import pytest

import cluster_gossip as cg
from cluster_gossip import MemberStatus, Node
from conftest import PATIENCE, Open, cluster_name, run, until

proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc, which only Linux has")


def status_of(observer: Node, member: str) -> "MemberStatus | None":
    return next((each.status for each in observer.members(departed=True) if each.id == member), None)


def test_close_leaves(pair: List[Node]) -> None:
    stays, leaves = pair
    gone = leaves.id
    leaves.close()
    leaves.close()
    until("it is known to have left", lambda: status_of(stays, gone) == MemberStatus.LEFT)


def test_with_closes_also_on_an_exception(pair: List[Node]) -> None:
    stays, leaves = pair
    gone = leaves.id
    with pytest.raises(ZeroDivisionError):
        with leaves:
            1 / 0
    assert leaves.closed
    until("it is known to have left", lambda: status_of(stays, gone) == MemberStatus.LEFT)


def test_kill_is_a_crash_to_the_others(pair: List[Node]) -> None:
    stays, dies = pair
    gone = dies.id
    stays.set("before", 1)
    dies.kill()
    assert dies.closed
    stays.set("after", 1)
    assert status_of(stays, gone) != MemberStatus.LEFT
    dies.close()


def test_node_that_is_collected_leaves(open_node: Open) -> None:
    stays = open_node()
    node = Node(cluster=stays.setting("cluster"), bind="127.0.0.1:0", seeds=[stays.address])
    # Both, since who knows nobody yet has nobody to tell that it leaves.
    for each in (stays, node):
        each.wait_for_members(2, timeout=PATIENCE)
    gone = node.id
    del each
    del node
    gc.collect()
    until("it is known to have left", lambda: status_of(stays, gone) == MemberStatus.LEFT)


def test_iteration_keeps_its_node_open() -> None:
    changes = Node(cluster=cluster_name(), bind="127.0.0.1:0").changes(initial=True, kinds=cg.Kind.ALL)
    gc.collect()
    assert next(changes) is not None
    node = changes._node
    changes.close()
    node.close()


def test_close_by_many_threads_at_once(node: Node) -> None:
    node.on_change(lambda _: None)
    errors: List[BaseException] = []

    def close() -> None:
        try:
            node.close()
            with pytest.raises(cg.ClosedError):
                node.get("key")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert errors == []


def test_calls_that_race_with_close_get_an_answer_or_an_error(open_node: Open) -> None:
    for _ in range(10):
        node = open_node()
        started = threading.Barrier(5)
        wrong: List[Any] = []

        def work(node: Node = node, started: threading.Barrier = started, wrong: List[Any] = wrong) -> None:
            started.wait(PATIENCE)
            try:
                for number in range(100_000):
                    node.set("key", number)
                    node.get("key")
                    node.members()
                wrong.append("was never closed")
            except (cg.ClosedError, cg.LeftError):
                pass
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        started.wait(PATIENCE)
        node.close()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert wrong == []


@proc
def test_a_thousand_opens_and_closes_leave_no_threads_and_descriptors() -> None:
    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    name = cluster_name()

    def once(number: int) -> None:
        with Node(cluster=name, bind="127.0.0.1:0") as node:
            node.on_change(lambda _: None)
            with node.changes(initial=True) as changes:
                node.set("key", number)
                next(changes)
            # Left for the collector.
            node.changes()

    # What the process gets once and keeps: the reader thread of callbacks and its queue. And one node open throughout, or the
    # library's own threads would come and go between the counts.
    with Node(cluster=name, bind="127.0.0.1:0"):
        for number in range(10):
            once(number)
        gc.collect()
        before = (threads(), descriptors())
        for number in range(1000):
            once(number)
        gc.collect()
        until(f"threads and descriptors are as before, {before}", lambda: threads() <= before[0] and descriptors() <= before[1])


@proc
def test_threads_end_with_the_last_node() -> None:
    out = run(
        """
        def threads():
            return len(os.listdir("/proc/self/task"))
        load()
        before = threads()
        for _ in range(3):
            with Node(cluster="ends", bind="127.0.0.1:0") as node:
                with node.changes(initial=True, kinds=Kind.ALL) as changes:
                    next(changes)
                assert threads() > before
            deadline = time.monotonic() + 30
            while threads() != before and time.monotonic() < deadline:
                time.sleep(0.01)
            print(threads() - before)
        """
    )
    assert out == "0\n0\n0\n"
