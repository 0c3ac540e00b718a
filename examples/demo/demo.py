#!/usr/bin/env python3
"""The Python program of the mixed-language demo: says hello, counts, follows the others; with --draw shows all in a table.

Each program of the demo, in whatever language, sets two keys: `demo:greeting` (a text) once, and `demo:counter` (an integer)
four times a second. Its exit status is 0 if it saw the greeting and a changing counter of as many members as --expect says,
itself included.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

ROOT = Path(__file__).resolve().parents[2]
try:
    import cluster_gossip  # noqa: F401
except ImportError:
    # Not installed: the package and the library of the repository that this file is in.
    sys.path.insert(0, str(ROOT / "bindings" / "python" / "src"))
    os.environ.setdefault("CLUSTER_GOSSIP_LIBRARY", str(ROOT / "target" / "release" / "libcluster_gossip.so.1"))
from cluster_gossip import Change, GossipError, Kind, MemberStatus, Node  # noqa: E402

TICK = 0.25
# Without a terminal the table is printed anew when somebody comes or goes, and else so often.
PLAIN_SECONDS = 5.0


@dataclass
class Seen:
    """What was seen of one member."""

    greeting: str = ""
    counter: Optional[int] = None
    counter_changed: bool = False
    changes: int = 0
    last: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether it has greeted and counted."""
        return bool(self.greeting) and self.counter_changed


def note(seen: Dict[str, Seen], change: Change) -> None:
    """Take a change into account."""
    if not change.kind & Kind.ENTRY_CHANGED:
        return
    member = seen.setdefault(change.member, Seen())
    member.changes += change.conflated
    member.last = time.monotonic() - change.age
    if change.key == "demo:greeting" and isinstance(change.value, str):
        member.greeting = change.value
    # A bool is an int to Python, but not what the demo's programs write.
    elif change.key == "demo:counter" and isinstance(change.value, int) and not isinstance(change.value, bool):
        member.counter_changed = member.counter_changed or (member.counter is not None and member.counter != change.value)
        member.counter = change.value


ROW = "{:<9} {:<9} {:<22} {:>8} {:>8} {:>8}"


def table(node: Node, seen: Dict[str, Seen]) -> List[str]:
    """The lines of the table."""
    lines = [ROW.format("member", "language", "greeting", "counter", "age", "changes")]
    now = time.monotonic()
    for member in sorted(node.members(departed=True), key=lambda member: (not member.is_self, member.id)):
        what = seen.get(member.id, Seen())
        age = f"{max(0.0, now - what.last):.1f} s" if what.changes else "-"
        if member.status not in (MemberStatus.ALIVE, MemberStatus.SUSPECT):
            age = member.status.name.lower()
        counter = "-" if what.counter is None else str(what.counter)
        lines.append(
            ROW.format(
                member.id[:8],
                member.tags.get("language", "?")[:9],
                what.greeting[:22] or "-",
                counter,
                age,
                what.changes,
            )
        )
    return lines


class Screen:
    """Shows the table: drawn over itself on a terminal, else as plain lines now and then."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.height = 0
        self.shown: List[str] = []
        self.next = 0.0

    def show(self, lines: List[str], last: bool = False) -> None:
        """Show it now, if it is due; the last one stays."""
        if self.terminal:
            # Up to where the last one began, and clear to the end of the screen.
            up = f"\x1b[{self.height}A\r" if self.height else "\x1b[?25l"
            sys.stdout.write(up + "\x1b[J" + "\n".join(lines) + "\n" + ("\x1b[?25h" if last else ""))
            self.height = len(lines)
        else:
            # All but the numbers.
            who = [line[:41] for line in lines]
            if who == self.shown and time.monotonic() < self.next and not last:
                return
            self.shown, self.next = who, time.monotonic() + PLAIN_SECONDS
            sys.stdout.write("\n".join(lines) + "\n\n")
        sys.stdout.flush()


def write_atomically(path: Path, text: str) -> None:
    """Whoever reads the file finds all of the text or no file."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


def run(options: argparse.Namespace) -> int:
    """The demo until its time is over or a signal comes; the exit status."""
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))
    settings: Dict[str, Any] = {"cluster": "demo", "bind": "127.0.0.1:0", "tags": {"language": options.language}}
    if options.seeds:
        settings["seeds"] = options.seeds
    seen: Dict[str, Seen] = {}
    screen = Screen() if options.draw else None

    with Node(**settings) as node, node.changes(kinds=Kind.ENTRIES, prefix="demo:", initial=True) as changes:
        if options.print_address is not None:
            write_atomically(options.print_address, node.address)
        node.set("demo:greeting", f"Hello from {options.language}")
        counter = 0
        tick = time.monotonic()
        end = tick + options.seconds
        while not stop and time.monotonic() < end:
            if time.monotonic() >= tick:
                counter += 1
                node.set("demo:counter", counter)
                tick += TICK
                if screen is not None:
                    screen.show(table(node, seen))
            for change in changes.take(max(0.0, tick - time.monotonic())):
                note(seen, change)
        if screen is not None:
            screen.show(table(node, seen), last=True)

    whole = sum(member.whole for member in seen.values())
    print(f"saw the greeting and the counter of {whole} of {options.expect} members", flush=True)
    return 0 if whole >= options.expect else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--language", default="Python", help="what it says of itself")
    parser.add_argument("--seeds", default="", help="addresses of members to join, separated by commas; empty: starts a cluster")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long it runs")
    parser.add_argument("--print-address", type=Path, metavar="FILE", help="where to write its own address once it is up")
    parser.add_argument("--expect", type=int, default=1, metavar="N", help="how many members it must see, itself included")
    parser.add_argument("--draw", action="store_true", help="show the table")
    options = parser.parse_args()
    try:
        return run(options)
    except GossipError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
