#!/usr/bin/env python3
"""The marks that need a whole cluster, beside chitchat and hashicorp/memberlist: benches/run.py [NAME...] [--json FILE]

Builds what it runs, runs it, prints one table and writes the same as JSON. Without a name: all marks, some eight minutes.
docs/benchmarks.md tells what each figure is. Figures on a busy machine are worth little: how busy other processes kept
it meanwhile is printed with them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
CARGO_TARGET = ROOT / "target" / "cluster-bench"
MEMBERLIST = ROOT / "build" / "bench" / "memberlist-bench"
LIBRARIES = ("ours", "chitchat", "memberlist")


@dataclass(frozen=True)
class Mark:
    """One row: what a stage of a run says under a field, and what it should be at most."""

    name: str
    title: str
    unit: str
    limit: Optional[float]
    run: str
    stage: str
    field: str


@dataclass(frozen=True)
class Run:
    """Stages on one cluster, in one process for each library."""

    members: int
    # The stages of each library, in their order, and how often what is repeated is, where it is not the library's own number.
    stages: Dict[str, Sequence[str]]
    seconds: int = 20
    runs: Dict[str, int] = field(default_factory=dict)
    # Timers and not work decide the figures: the libraries may run side by side.
    together: bool = False
    # A library that takes longer than so many seconds is ended; what it has said by then counts.
    patience: int = 240


RUNS = {
    "100": Run(
        100,
        {
            "ours": ("start", "idle", "bytes", "spread64", "spread1024", "crash"),
            "chitchat": ("start", "idle", "bytes", "spread64", "spread1024", "crash"),
            "memberlist": ("start", "idle", "crash"),
        },
        runs={"memberlist:start": 3, "chitchat:start": 3, "chitchat:crash": 2, "memberlist:crash": 2},
    ),
    "50": Run(
        50,
        {
            "ours": ("idle", "bytes", "spread1024", "crash"),
            "memberlist": ("idle", "bytes", "spread1024", "crash"),
        },
        seconds=10,
        runs={"ours:spread1024": 30, "memberlist:spread1024": 15, "memberlist:bytes": 3, "memberlist:crash": 2},
    ),
    "20": Run(20, {library: ("crash",) for library in LIBRARIES}, runs={"memberlist:crash": 3}, together=True),
    "10": Run(10, {library: ("idle",) for library in LIBRARIES}, seconds=10, together=True),
    "200": Run(200, {"ours": ("idle", "published"), "chitchat": ("idle",), "memberlist": ("idle",)}, seconds=15, patience=120),
    "2": Run(2, {"ours": ("transfer", "largest"), "chitchat": ("transfer",)}),
    # By itself: memory that an earlier stage has left would be used again, and not be seen.
    "entries": Run(2, {"ours": ("entries",), "chitchat": ("entries",)}),
}

MARKS = [
    Mark("spread", "set of 64 B, readable at all 100, median", "ms", 10, "100", "spread64", "median_ms"),
    Mark("spread", "set of 64 B, readable at all 100, 99 %", "ms", 30, "100", "spread64", "p99_ms"),
    Mark("spread", "set of 64 B, runs that did not reach all 100", "", 0, "100", "spread64", "lost"),
    Mark("spread", "set of 1 KiB, readable at all 100, median", "ms", 10, "100", "spread1024", "median_ms"),
    Mark("spread", "set of 1 KiB, readable at all 100, 99 %", "ms", 30, "100", "spread1024", "p99_ms"),
    Mark("spread", "set of 1 KiB, runs that did not reach all 100", "", 0, "100", "spread1024", "lost"),
    Mark("spread", "set of 1 KiB, at all 50, median", "ms", 10, "50", "spread1024", "median_ms"),
    Mark("bytes", "bytes of an update of 1 KiB / least, 100", "×", 1.3, "100", "bytes", "ratio"),
    Mark("bytes", "bytes of an update of 1 KiB / least, 50", "×", 1.3, "50", "bytes", "ratio"),
    Mark("start", "100 started at once, until all know all", "ms", 500, "100", "start", "median_ms"),
    Mark("idle", "idle traffic sent per member, 10", "B/s", 120, "10", "idle", "bytes_per_second"),
    Mark("idle", "idle traffic sent per member, 50", "B/s", 120, "50", "idle", "bytes_per_second"),
    Mark("idle", "idle traffic sent per member, 100", "B/s", 120, "100", "idle", "bytes_per_second"),
    Mark("idle", "idle traffic sent per member, 200", "B/s", 120, "200", "idle", "bytes_per_second"),
    Mark("cpu", "idle processor time per member, 50", "ms/s", 0.3, "50", "idle", "cpu_ms_per_second"),
    Mark("cpu", "idle processor time per member, 100", "ms/s", 0.3, "100", "idle", "cpu_ms_per_second"),
    Mark("memory", "memory of a process with 200 idle members", "MiB", 40, "200", "idle", "resident_mib"),
    Mark("memory", "the same, each has set a key of 64 B", "MiB", None, "200", "published", "resident_mib"),
    Mark("transfer", "10,000 entries of 1 KiB to a new member", "ms", 300, "2", "transfer", "median_ms"),
    Mark("entries", "memory of 1 of 100,000 entries of 64 B, owner", "B", 250, "entries", "entries", "owner_bytes"),
    Mark("entries", "memory of 1 of 100,000 entries of 64 B, receiver", "B", 250, "entries", "entries", "receiver_bytes"),
    Mark("largest", "value of 16 MiB to one other member", "ms", None, "2", "largest", "median_ms"),
    Mark("crash", "crash of 1 of 20, host alive, known to all", "ms", 1500, "20", "crash", "median_ms"),
    Mark("crash", "crash of 1 of 50, host alive, known to all", "ms", 1500, "50", "crash", "median_ms"),
    Mark("crash", "crash of 1 of 100, host alive, known to all", "ms", 1500, "100", "crash", "median_ms"),
]
# All that is compared with memberlist at 50 members.
FIFTY = "fifty"


def build() -> Dict[str, List[str]]:
    """The command of each library that can be run here."""
    # Not --locked: what the library comes to depend on is added to this lock file, all else stays as it is there.
    cargo = ["cargo", "build", "--release", "--manifest-path", "benches/cluster/Cargo.toml", "--target-dir", str(CARGO_TARGET)]
    environment = {name: value for name, value in os.environ.items() if name not in ("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET")}
    subprocess.run(cargo, cwd=ROOT, env=environment, check=True)
    program = str(CARGO_TARGET / "release" / "cluster-bench")
    commands = {"ours": [program, "ours"], "chitchat": [program, "chitchat"]}
    if not shutil.which("go"):
        print("memberlist: skipped, Go is not installed (1.25 or later; https://go.dev/dl)")
        return commands
    MEMBERLIST.parent.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(["go", "build", "-mod=readonly", "-o", str(MEMBERLIST), "."], cwd=ROOT / "benches" / "memberlist", check=False)
    if built.returncode == 0:
        commands["memberlist"] = [str(MEMBERLIST)]
    else:
        print("memberlist: skipped, it could not be built (see above)")
    return commands


def busy_seconds() -> float:
    """Processor time spent on this machine so far, by anybody."""
    numbers = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = numbers
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Processor time of the processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def arguments(library: str, run: Run, stages: Sequence[str]) -> List[str]:
    """What its process is called with."""
    dash = "-" if library == "memberlist" else "--"
    counts = ",".join(f"{stage}={run.runs[f'{library}:{stage}']}" for stage in stages if f"{library}:{stage}" in run.runs)
    runs = [f"{dash}runs", counts] if counts else []
    return [",".join(stages), f"{dash}members", str(run.members), f"{dash}seconds", str(run.seconds), *runs]


class Bench:
    """Runs what the wanted marks need, and keeps what it said."""

    def __init__(self, commands: Dict[str, List[str]]) -> None:
        self.commands = commands
        # (run, library, stage) → figures
        self.figures: Dict[Tuple[str, str, str], Dict[str, Any]] = {}
        # run → processors that others kept busy meanwhile
        self.others: Dict[str, float] = {}

    def run(self, name: str, wanted: Sequence[str]) -> None:
        run = RUNS[name]
        busy, own, began = busy_seconds(), own_seconds(), time.monotonic()
        waiting: List[Tuple[str, "subprocess.Popen[str]"]] = []
        for library, all_stages in run.stages.items():
            # In the order of the run: a crash comes last.
            stages = [stage for stage in all_stages if stage in wanted]
            if not stages or library not in self.commands:
                continue
            print(f"{run.members} members, {library}: {', '.join(stages)}", flush=True)
            process = subprocess.Popen([*self.commands[library], *arguments(library, run, stages)], stdout=subprocess.PIPE, text=True)
            waiting.append((library, process))
            if not run.together:
                self.take(name, waiting)
        self.take(name, waiting)
        seconds = time.monotonic() - began
        self.others[name] = max(0.0, (busy_seconds() - busy - (own_seconds() - own)) / seconds)

    def take(self, name: str, waiting: List[Tuple[str, "subprocess.Popen[str]"]]) -> None:
        while waiting:
            library, process = waiting.pop(0)
            try:
                output, _ = process.communicate(timeout=RUNS[name].patience)
            except subprocess.TimeoutExpired:
                print(f"{library} is ended: it has not come to an end in {RUNS[name].patience} s", file=sys.stderr)
                process.kill()
                output, _ = process.communicate()
            for line in output.splitlines():
                figures = json.loads(line)
                self.figures[name, library, figures.pop("stage")] = figures
            if process.returncode:
                print(f"{library} ended with status {process.returncode}; what it had not measured yet is missing", file=sys.stderr)

    def row(self, mark: Mark) -> Dict[str, Any]:
        values = {library: self.figures.get((mark.run, library, mark.stage), {}).get(mark.field) for library in LIBRARIES}
        ours = values.pop("ours")
        peers = {library: value for library, value in values.items() if value is not None}
        # The better one.
        peer = min(peers.values(), default=None)
        row = {"mark": mark.title, "name": mark.name, "unit": mark.unit, "ours": ours, "peer": peer, "ratio": None}
        if ours is not None and peer:
            row["ratio"] = ours / peer
        row["limit"] = mark.limit
        row["met"] = None if mark.limit is None else ours is not None and ours <= mark.limit
        row["peers"] = peers
        row["busy_with_others"] = round(self.others.get(mark.run, 0.0), 2)
        return row


def show(value: Optional[float]) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def table(rows: List[Dict[str, Any]]) -> None:
    print(f"\n{'mark':<54}{'limit':>8}{'ours':>10}  {'met':<4}{'chitchat':>10}{'memberlist':>11}{'ratio':>8}")
    for row in rows:
        met = {True: "yes", False: "NO", None: ""}[row["met"]]
        title = f"{row['mark']}, {row['unit']}" if row["unit"] else row["mark"]
        cells = [show(row["limit"]), show(row["ours"]), show(row["peers"].get("chitchat")), show(row["peers"].get("memberlist")), show(row["ratio"])]
        print(f"{title:<54}{cells[0]:>8}{cells[1]:>10}  {met:<4}{cells[2]:>10}{cells[3]:>11}{cells[4]:>8}")


def main() -> int:
    names = list(dict.fromkeys(mark.name for mark in MARKS)) + [FIFTY]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], epilog=f"names: {' '.join(names)}")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these marks")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench" / "cluster.json", help="where the rows are written")
    options = parser.parse_args()
    for name in options.names:
        if name not in names:
            parser.error(f"{name}: there is no such mark; there are {', '.join(names)}")
    marks = [m for m in MARKS if not options.names or m.name in options.names or (FIFTY in options.names and m.run == "50")]

    # A socket each for UDP and TCP, of up to 200 members, and their connections.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY and hard < 4096 else 4096, hard))

    bench = Bench(build())
    load = os.getloadavg()[0]
    began = time.monotonic()
    for name in RUNS:
        stages = {mark.stage for mark in marks if mark.run == name}
        if stages:
            bench.run(name, sorted(stages))
    rows = [bench.row(mark) for mark in marks]
    table(rows)
    others = ", ".join(f"{name}: {share:.1f}" for name, share in bench.others.items())
    print(f"\nratio: ours / the better peer; less is better in every row. {time.monotonic() - began:.0f} s.")
    print(f"{os.cpu_count()} processors; load {load:.1f} before, {os.getloadavg()[0]:.1f} after; processors that others kept busy, by run: {others}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"written to {options.json}")
    missing = [row["mark"] for row in rows if row["ours"] is None]
    if missing:
        print(f"not measured: {'; '.join(missing)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
