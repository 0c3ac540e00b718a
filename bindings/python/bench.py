#!/usr/bin/env python3
"""What the Python binding costs over the bare native call, and how many changes a second it reads.

    python3 bench.py [--json FILE] [--quick]

Prints for each mark what this binding does and, as the peer, the bare call through ctypes with nothing made of its result. The JSON is a
list of {mark, ours, peer, ratio}; times are nanoseconds (ratio: ours / peer), rates are changes a second (ratio: ours / peer).
Each figure is the best of many short rounds, since all that disturbs a round makes it slower.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "src"))
# That of the repository, if none is named.
os.environ.setdefault("CLUSTER_GOSSIP_LIBRARY", str(HERE.parents[1] / "target" / "release" / "libcluster_gossip.so.1"))

from cluster_gossip import Kind, Node, load  # noqa: E402

MEMBERS = 8
VALUE = b"x" * 64
RATE_MARK = 500_000


def best_ns(work: Callable[[], object], calls: int, rounds: int = 60) -> float:
    """Nanoseconds of one call, without the loop around it."""
    times = range(calls)
    empty = busy = float("inf")
    for _ in range(rounds):
        start = time.perf_counter_ns()
        for _ in times:
            pass
        empty = min(empty, time.perf_counter_ns() - start)
        start = time.perf_counter_ns()
        for _ in times:
            work()
        busy = min(busy, time.perf_counter_ns() - start)
    return (busy - empty) / calls


class Report:
    """The figures, as text at once and as JSON at the end."""

    def __init__(self) -> None:
        self.rows: List[Dict[str, Any]] = []
        print(f"{'mark':<44}{'ours':>12}{'peer':>12}{'ratio':>8}")

    def add(self, mark: str, ours: float, peer: float) -> None:
        ratio = ours / peer
        self.rows.append({"mark": mark, "ours": round(ours, 1), "peer": round(peer, 1), "ratio": round(ratio, 3)})
        print(f"{mark:<44}{ours:>12,.0f}{peer:>12,.0f}{ratio:>8.2f}", flush=True)


def calls(node: Node, others: List[Node], report: Report, count: int) -> None:
    """get and set."""
    library: Any = load()
    handle = node._id
    out = ctypes.c_void_p()
    out_ref = ctypes.byref(out)
    seq_ref = ctypes.byref(ctypes.c_uint64())
    key, member = b"bench", others[0].id.encode()

    def bare_get(who: Optional[bytes]) -> Callable[[], None]:
        get, free = library.gossip_get, library.gossip_entries_free

        def call() -> None:
            get(handle, who, key, 5, 0, out_ref)
            free(out)

        return call

    def bare_own() -> None:
        library.gossip_get_own(handle, key, 5, out_ref)
        library.gossip_entries_free(out)

    def bare_set() -> None:
        library.gossip_set_plain(handle, key, 5, 1, VALUE, 64, 0, 0, seq_ref, None, 0)

    first = others[0].id
    report.add("get, one member's, ns", best_ns(lambda: node.get(first, "bench"), count), best_ns(bare_get(member), count))
    report.add("get, own, ns", best_ns(lambda: node.get_own("bench"), count), best_ns(bare_own, count))
    report.add(f"get, all of {MEMBERS} members, ns", best_ns(lambda: node.get("bench"), count // 4), best_ns(bare_get(None), count // 4))
    report.add("set of 64 bytes, ns", best_ns(lambda: node.set("bench", VALUE), count), best_ns(bare_set, count))


def events(node: Node, report: Report, keys: int) -> None:
    """Changes a second, from take to Change; the peer takes the same batches and makes nothing of their packed bytes."""
    library: Any = load()
    names = [f"event:{number}" for number in range(keys)]

    def fill() -> None:
        for name in names:
            node.set(name, VALUE)

    def ours() -> float:
        with node.changes(kinds=Kind.ENTRIES, prefix="event:") as changes:
            fill()
            seen = 0
            start = time.perf_counter()
            while seen < keys:
                seen += len(changes.take(30))
            return keys / (time.perf_counter() - start)

    def peer() -> float:
        with node.changes(kinds=Kind.ENTRIES, prefix="event:") as changes:
            fill()
            queue = changes._queue.id
            out, length = ctypes.c_void_p(), ctypes.c_size_t()
            seen = 0
            start = time.perf_counter()
            while seen < keys:
                if library.gossip_queue_take(queue, 256, 30_000, ctypes.byref(out)):
                    raise RuntimeError("no event came")
                # The packed form is made when it is asked for, so it belongs to the bare cost.
                address = library.gossip_events_packed(out, ctypes.byref(length))
                packed = ctypes.string_at(address, length.value)
                at = 0
                while at < len(packed):
                    at += int.from_bytes(packed[at : at + 4], "little")
                    seen += 1
                library.gossip_events_free(out)
            return keys / (time.perf_counter() - start)

    report.add("changes a second, packed, 64 bytes each", max(ours() for _ in range(20)), max(peer() for _ in range(20)))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="fewer calls: shows that it runs, the figures are rough")
    options = parser.parse_args()
    count, keys = (200, 2_000) if options.quick else (2_000, 20_000)

    report = Report()
    settings: Dict[str, Any] = {"cluster": "bench", "bind": "127.0.0.1:0"}
    with Node(**settings) as node:
        others = [Node(seeds=[node.address], **settings) for _ in range(MEMBERS - 1)]
        try:
            node.wait_for_members(MEMBERS, timeout=60)
            for each in [node, *others]:
                each.set("bench", VALUE)
            deadline = time.monotonic() + 60
            while len(node.get("bench")) < MEMBERS:
                if time.monotonic() > deadline:
                    raise TimeoutError("the members' entries did not come")
                time.sleep(0.01)
            calls(node, others, report, count)
        finally:
            # Not in the way of the next figures.
            for each in others:
                each.close()
    with Node(**settings) as node:
        events(node, report, keys)
    print(f"mark: {RATE_MARK:,} changes a second")
    if options.json is not None:
        options.json.write_text(json.dumps(report.rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
