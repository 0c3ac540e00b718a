#!/usr/bin/env python3
"""`make demo`'s driver: all see all, Ctrl-C ends it well, and a program that fails ends it with a message that says which."""

import os
import pathlib
import re
import signal
import subprocess
import sys

from harness import Report, until

ROOT = pathlib.Path(__file__).resolve().parent.parent
DRIVER = ROOT / "examples" / "demo" / "run.py"
TABLE = ROOT / "examples" / "demo" / "languages.txt"
WORK = ROOT / "build" / "demo-test"
# Ends a demo that hangs.
LIMIT = 300


def start(table=TABLE, seconds=4):
    return subprocess.Popen([sys.executable, str(DRIVER), "--languages", str(table)], cwd=WORK, text=True, encoding="utf-8",
                            env={**os.environ, "DEMO_SECONDS": str(seconds)}, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def end(process):
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        # Asked first, so that it ends its programs.
        process.terminate()
        out, err = process.communicate()
        raise AssertionError(f"the demo did not end within {LIMIT} s\n{out}\n{err}") from None
    return process.returncode, out, err


def rows(table):
    return [line for line in table.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]


def table_with(name, *extra):
    """The real programs and some more."""
    path = WORK / name
    path.write_text("\n".join(rows(TABLE) + list(extra)) + "\n", encoding="utf-8")
    return path


def all_saw_all(out, languages):
    for language in languages:
        assert re.search(rf"^{re.escape(language)} +saw all {len(languages)}$", out, re.M), f"{language} is not said to have seen all:\n{out}"


def main():
    report = Report()
    WORK.mkdir(parents=True, exist_ok=True)
    languages = [row.split("|")[0].strip() for row in rows(TABLE)]

    with report.check("every language sees all"):
        status, out, err = end(start())
        assert status == 0, f"status {status}\n{out}\n{err}"
        all_saw_all(out, languages)
        assert "\x1b" not in out, "there are terminal codes in what is no terminal"
        for language in languages:
            assert len(re.findall(rf"\b{re.escape(language)}(?!\w)", out)) > 1, f"{language} is in no line of the table:\n{out}"

    with report.check("Ctrl-C: all leave, and say what they saw"):
        process = start(seconds=600)
        try:
            # A row of the table: member, language, greeting, counter, age, changes. When each has counted for some
            # seconds, all the others have long seen it too.
            counted = set()

            def all_counted():
                line = process.stdout.readline()
                assert line, f"the demo ended: {process.stderr.read()}"
                row = re.match(r"\S+ +(\S+) +Hello from .*? (\d+) +\S+ s +\d+$", line)
                if row and int(row[2]) >= 12:
                    counted.add(row[1])
                return counted == set(languages)
            until("every language is drawn, with a counter", all_counted)
            process.send_signal(signal.SIGINT)
            status, out, err = end(process)
            assert status == 0, f"status {status}\n{out}\n{err}"
            all_saw_all(out, languages)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()

    with report.check("a program that crashes ends the demo, with its name and its stderr"):
        crash = "Crash | - | bash -c 'echo what-went-wrong >&2; kill -SEGV $$' | bash"
        status, out, err = end(start(table_with("crash.txt", crash), seconds=600))
        assert status == 1, f"status {status}"
        assert "Crash was ended by SIGSEGV" in err and "what-went-wrong" in err, err

    with report.check("a program that gives up too early ends the demo"):
        status, out, err = end(start(table_with("early.txt", "Early | - | bash -c 'exit 0' | bash"), seconds=600))
        assert status == 1 and "Early ended with status 0 too early" in err, err

    with report.check("a first program that writes no address ends the demo"):
        path = WORK / "first.txt"
        path.write_text("First | - | bash -c 'echo no-network >&2; exit 3' | bash\n" + "\n".join(rows(TABLE)) + "\n", encoding="utf-8")
        status, out, err = end(start(path))
        assert status == 1 and "First ended with status 3 before it wrote its address" in err and "no-network" in err, err

    with report.check("a program that does not build is named, with the compiler's words"):
        status, out, err = end(start(table_with("build.txt", "Broken | echo no-such-header; false | true | bash")))
        assert status == 1 and "the Broken program does not build" in err and "no-such-header" in err, err

    with report.check("a missing tool is named"):
        status, out, err = end(start(table_with("tool.txt", "Absent | - | true | no-such-compiler")))
        assert status == 1 and "Absent needs no-such-compiler" in err, err

    with report.check("a length that is none is refused"):
        status, out, err = end(start(seconds="soon"))
        assert status == 1 and "DEMO_SECONDS" in err, err
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
