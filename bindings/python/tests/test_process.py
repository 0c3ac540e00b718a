"""The process around the binding: exit without close, fork, Ctrl-C. Each in a process of its own."""

from __future__ import annotations

import signal
import sys
from typing import List

import pytest

from cluster_gossip import MemberStatus
from conftest import Open, ending, program, run, until

BUSY = """
node = Node(cluster=sys.argv[1], id=sys.argv[2], bind="127.0.0.1:0", seeds=[sys.argv[3]])
node.wait_for_members(2, timeout=60)
called = threading.Event()
node.on_change(lambda change: called.set(), kinds=Kind.ALL)
stop = False
def write():
    number = 0
    while not stop:
        number += 1
        try:
            node.set(f"key:{number % 50}", number)
        except GossipError:
            # At exit the node leaves under this thread, which is a daemon.
            return
threading.Thread(target=write, daemon=True).start()
assert called.wait(60)
"""

ENDS = {
    "end of the program": "",
    "sys.exit": "sys.exit(0)",
    "in a callback's thread": "ended = threading.Event(); node.on_change(lambda c: ended.set()); assert ended.wait(60)",
    "while an iteration waits": "feed = node.changes(key='never'); threading.Thread(target=list, args=(feed,), daemon=True).start()",
    "with a reference cycle": "node.cycle = node; changes = node.changes(); node.changes_again = changes",
    "after an exception": "sys.excepthook = lambda *a: None; 1 / 0",
}


@pytest.mark.parametrize("how", ENDS)
def test_exit_without_close(open_node: Open, how: str) -> None:
    observer = open_node()
    for attempt in range(3):
        name = f"exits-{attempt}"
        process = program(BUSY + ENDS[how] + "\n", observer.setting("cluster"), name, observer.address)
        status, out, err = ending(process)
        assert (status, out, err) == (1 if how == "after an exception" else 0, "", ""), err

        def status_seen(name: str = name) -> List[MemberStatus]:
            return [member.status for member in observer.members(departed=True) if member.id == name]

        # The one notice at exit was sent.
        until("it is known to have left", lambda: status_seen() == [MemberStatus.LEFT])


def test_fork() -> None:
    out = run(
        """
        node = Node(cluster="fork", id="parent", bind="127.0.0.1:0")
        seen = threading.Event()
        node.on_change(lambda change: seen.set())
        changes = node.changes()
        node.set("key", "before")
        assert seen.wait(60)
        pid = os.fork()
        if pid == 0:
            import cluster_gossip
            said = []
            for call in (lambda: node.get("key"), lambda: node.set("key", 1), lambda: node.members(), lambda: node.describe(),
                         lambda: node.on_change(print), lambda: node.changes(), lambda: changes.take(0),
                         lambda: node.wait_synced(1), lambda: node.leave()):
                try:
                    call()
                    said.append("no error")
                except cluster_gossip.ForkedError:
                    pass
            assert said == [], said
            assert node.closed
            node.close()
            changes.close()
            # The child opens one of its own, with a callback.
            own_seen = threading.Event()
            with Node(cluster="fork-child", bind="127.0.0.1:0") as own:
                own.on_change(lambda change: own_seen.set(), key="own")
                own.set("own", 1)
                assert own_seen.wait(60)
                assert own.get_own("own").value == 1
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert node.get_own("key").value == "before"
        seen.clear()
        node.set("key", "after")
        assert seen.wait(60)
        assert [change.value for change in changes.take(60)] == ["after"]
        node.close()
        print("parent done")
        """
    )
    assert out == "parent done\n"


def test_fork_inside_with_ends_the_child_without_ending_the_node() -> None:
    out = run(
        """
        with Node(cluster="fork", id="parent", bind="127.0.0.1:0") as node:
            pid = os.fork()
            if pid == 0:
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            node.set("key", 1)
            print(node.state.name)
        """
    )
    assert out == "ALONE\n"


def test_multiprocessing_with_fork() -> None:
    out = run(
        """
        import multiprocessing
        def work(number):
            with Node(cluster="child", bind="127.0.0.1:0") as own:
                own.set("number", number)
                return own.get_own("number").value * 2
        with Node(cluster="fork", bind="127.0.0.1:0") as node:
            node.on_change(lambda change: None)
            node.set("key", 1)
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(work, range(6)))
            node.set("key", 2)
            assert node.get_own("key").value == 2
        """
    )
    assert out == "[0, 2, 4, 6, 8, 10]\n"


WAITS = {
    "wait_for_members": ("node.wait_for_members(2)", "_wait"),
    "wait_synced": ("node.wait_synced()", "_wait"),
    "for": ("for _ in node.changes(key='never'): pass", "__next__"),
    "take": ("node.changes(key='never').take()", "take"),
    "asyncio": (
        """
import asyncio
async def main():
    async for _ in node.changes_async(key='never'):
        pass
asyncio.run(main())
""",
        "select",
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT, which is not how Windows does it")
@pytest.mark.parametrize("what", WAITS)
def test_ctrl_c_ends_a_wait(what: str) -> None:
    wait, function = WAITS[what]
    # A seed where nobody answers: without one the node would be synced at once.
    code = f"""
node = Node(cluster="interrupt", bind="127.0.0.1:0", seeds=["127.0.0.1:9"])
main_thread = threading.get_ident()
def tell():
    while True:
        frame = sys._current_frames()[main_thread]
        while frame:
            if frame.f_code.co_name == {function!r}:
                print("waits")
                return
            frame = frame.f_back
        time.sleep(0.01)
threading.Thread(target=tell, daemon=True).start()
{wait}
"""
    process = program(code)
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n", ending(process)
    process.send_signal(signal.SIGINT)
    status, _, err = ending(process)
    assert status == -signal.SIGINT, f"status {status}\n{err}"
    assert "KeyboardInterrupt" in err


def test_ctrl_c_can_be_caught_and_the_node_goes_on() -> None:
    out = run(
        """
        node = Node(cluster="interrupt", bind="127.0.0.1:0")
        main_thread = threading.get_ident()
        def interrupt():
            while not any(f.f_code.co_name == "_wait" for f in frames()):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
        def frames():
            frame = sys._current_frames()[main_thread]
            while frame:
                yield frame
                frame = frame.f_back
        threading.Thread(target=interrupt).start()
        try:
            node.wait_for_members(2)
        except KeyboardInterrupt:
            print("interrupted")
        node.set("key", 1)
        print(node.get_own("key").value)
        node.close()
        """
    )
    assert out == "interrupted\n1\n"


def test_signal_handler_may_close_the_node() -> None:
    out = run(
        """
        node = Node(cluster="handler", bind="127.0.0.1:0")
        signal.signal(signal.SIGTERM, lambda *_: node.close())
        changes = node.changes()
        threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        for change in changes:
            pass
        node.close()
        print("ended")
        """
    )
    assert out == "ended\n"


def test_observer_outlives_a_killed_process(open_node: Open) -> None:
    observer = open_node()
    process = program(BUSY + "print('up')\ntime.sleep(600)\n", observer.setting("cluster"), "victim", observer.address)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "up\n"
        until("its entries come", lambda: observer.entries("key:", member="victim"))
    finally:
        process.kill()
        ending(process)
    observer.set("key", "goes on")
    with observer.changes(key="key", initial=True) as changes:
        assert next(changes).value == "goes on"
