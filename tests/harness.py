"""Counts the checks of a test script and closes with the line that tools/test reads.

    report = Report()
    with report.check("what should hold"):
        assert ...
    report.skip("what else", "why it cannot run here")
    sys.exit(report.finish())
"""

import contextlib
import time
import traceback


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0

    @contextlib.contextmanager
    def check(self, name):
        """The body is one check: an exception fails it, and the script goes on with the next."""
        try:
            yield
        except Exception:
            self.failed += 1
            print(f"FAIL  {name}", flush=True)
            traceback.print_exc()
        else:
            self.passed += 1
            print(f"ok    {name}", flush=True)

    def skip(self, name, reason):
        self.skipped += 1
        print(f"skip  {name}: {reason}", flush=True)

    def finish(self):
        """Prints the closing line; the exit status is bad if anything failed or nothing ran at all."""
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed or self.passed + self.skipped == 0 else 0


def until(what, probe, seconds=60.0):
    """Calls probe until it gives something true, and returns that. The time only ends a wait that would never end."""
    deadline = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s still not: {what} (last: {result!r})")
        time.sleep(0.02)
