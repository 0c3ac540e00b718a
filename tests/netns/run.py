#!/usr/bin/env python3
"""Clusters of real processes in network namespaces, with faults between them: tests/netns/run.py [SCENARIO...] (README.md)."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import data  # noqa: E402
import lab  # noqa: E402
import scenarios  # noqa: E402
from harness import Report  # noqa: E402


class Named(Report):
    """The checks of one scenario, which runs beside others."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def check(self, name):
        return super().check(f"{self.name}: {name}")


def play(scenario):
    report = Named(scenario.__name__)
    since = time.monotonic()
    try:
        played = scenario(report)
        figures = "".join(f"      {figure}\n" for figure in played.figures)
        print(f"{report.name}: {time.monotonic() - since:.0f} s\n{figures}", end="", flush=True)
    except Exception:
        report.failed += 1
        print(f"FAIL  {report.name}: did not come to its end\n{traceback.format_exc()}", flush=True)
    return report


def main(names):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    known = scenarios.ALL + data.ALL
    by_name = {scenario.__name__: scenario for scenario in known}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        sys.exit(f"no scenario is called {', '.join(unknown)}; there are: {', '.join(by_name)}")
    chosen = [by_name[name] for name in names] or known
    total = Report()
    reason = lab.why_not()
    if reason:
        for scenario in chosen:
            total.skip(scenario.__name__, reason)
        return total.finish()
    lab.sweep()
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--example", "netns_peer"], cwd=ROOT, check=True)
    # Those that tell who is alive first: the others keep the processors busy.
    for group in (scenarios.ALL, data.ALL):
        playing = [scenario for scenario in chosen if scenario in group]
        with concurrent.futures.ThreadPoolExecutor(max(1, len(playing))) as pool:
            for report in pool.map(play, playing):
                total.passed += report.passed
                total.failed += report.failed
                total.skipped += report.skipped
    print(f"events and figures: {os.path.relpath(lab.BUILD)}/SCENARIO.log", flush=True)
    return total.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
