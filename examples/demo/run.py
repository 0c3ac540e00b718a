#!/usr/bin/env python3
"""Runs one program per language as a cluster on this machine: `make demo`.

The programs and how to build and run them are in languages.txt. Each gets --language, --seeds, --seconds,
--print-address and --expect; the first starts the cluster, the others join at the address that it wrote. One draws
the table. After DEMO_SECONDS (15), or on Ctrl-C, all leave, and each says with its exit status whether it saw all
the others. The exit status is 0 if all did.
"""

import argparse
import collections
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "build" / "demo"
# How long the first program may take to open its node, and all of them to leave: far more than either needs.
START_SECONDS = 60
LEAVE_SECONDS = 60

Language = collections.namedtuple("Language", "name build run tools draws")


class DemoError(Exception):
    """What went wrong, in words for the person at the terminal."""


class Program:
    """One started program; what it prints goes to files, unless it is the one that draws."""

    def __init__(self, language, number, arguments):
        self.name = language.name
        self.out = None if language.draws else WORK / f"{number}.out"
        self.err = WORK / f"{number}.err"
        with open(self.err, "wb") as err:
            out = open(self.out, "wb") if self.out else None
            # In a session of its own, so that Ctrl-C reaches it once: through stop().
            self.process = subprocess.Popen(shlex.split(language.run) + arguments, cwd=ROOT, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=err, start_new_session=True)
            if out:
                out.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def kill_after(self, deadline):
        try:
            self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ending(self):
        """How it ended, in words."""
        code = self.process.returncode
        if code is None:
            return "did not end"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with status {code}"

    def says(self):
        """What it had to say for itself: the errors, or else the end of its output."""
        for path in (self.err, self.out):
            text = path.read_text(errors="replace").rstrip() if path else ""
            if text:
                return "\n".join("    " + line for line in text.splitlines()[-30:])
        return "    (it printed nothing)"

    def last_line(self):
        lines = self.out.read_text(errors="replace").split("\n") if self.out else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def read_languages(path):
    languages = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = [column.strip() for column in line.split(" | ")]
        if len(columns) != 4:
            raise DemoError(f"{path.name}, line {number}: four columns are needed, there are {len(columns)}")
        name, build, run, tools = columns
        languages.append(Language(name, build, run, tools.split(), "--draw" in shlex.split(run)))
    if not languages:
        raise DemoError(f"{path.name} names no language")
    return languages


def build(languages):
    for language in languages:
        missing = [tool for tool in language.tools if not shutil.which(tool)]
        if missing:
            raise DemoError(f"{language.name} needs {', '.join(missing)}; `tools/setup demo` installs what the demo needs")
        if language.build == "-":
            continue
        print(f"building the {language.name} program", flush=True)
        done = subprocess.run(["bash", "-c", language.build], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise DemoError(f"the {language.name} program does not build:\n$ {language.build}\n{done.stdout.decode(errors='replace')}")


def wait_for_address(program, path):
    """The address that the first program wrote, read until two looks give the same: it may be in the midst of writing."""
    deadline = time.monotonic() + START_SECONDS
    last = ""
    while True:
        text = path.read_text().strip() if path.exists() else ""
        if text and text == last:
            return text
        last = text
        if program.process.poll() is not None:
            raise DemoError(f"{program.name} {program.ending()} before it wrote its address:\n{program.says()}")
        if time.monotonic() > deadline:
            raise DemoError(f"{program.name} wrote no address within {START_SECONDS} s:\n{program.says()}")
        time.sleep(0.02)


def watch(programs, started, seconds, asked_to_stop):
    """Until all programs have ended; a crash or a hang ends it with a DemoError."""
    deadline = time.monotonic() + seconds + LEAVE_SECONDS
    told = False
    while True:
        # Each counts its seconds from when it is up, so none may be gone before they are over.
        early = time.monotonic() < started + seconds and not told
        for program in programs:
            code = program.process.poll()
            # 0 and 1 are the programs' own answers: saw all, did not.
            if code is not None and (early or code not in (0, 1)):
                too_early = " too early" if code in (0, 1) else ""
                raise DemoError(f"{program.name} {program.ending()}{too_early}:\n{program.says()}")
        running = [program for program in programs if program.process.poll() is None]
        if not running:
            return
        if asked_to_stop() and not told:
            told = True
            deadline = time.monotonic() + LEAVE_SECONDS
            for program in running:
                program.stop()
        if time.monotonic() > deadline:
            names = ", ".join(program.name for program in running)
            raise DemoError(f"{names} did not end within {LEAVE_SECONDS} s of being due:\n{running[0].says()}")
        time.sleep(0.05)


def demo(languages, seconds):
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.glob("*.address"):
        old.unlink()
    try:
        build(languages)
    except DemoError:
        # Ctrl-C reaches the compiler too, whose error is then no news.
        if not stop:
            raise
    if stop:
        raise DemoError("interrupted")
    programs = []
    seeds = ""
    started = time.monotonic()
    try:
        for number, language in enumerate(languages):
            address = WORK / f"{number}.address"
            programs.append(Program(language, number, [
                "--language", language.name, "--seeds", seeds, "--seconds", str(seconds),
                "--print-address", str(address), "--expect", str(len(languages))]))
            if number == 0:
                seeds = wait_for_address(programs[0], address)
        watch(programs, started, seconds, lambda: bool(stop))
    finally:
        # Asked first: the one that draws sets the terminal right as it ends.
        for program in programs:
            program.stop()
        grace = time.monotonic() + 5
        for program in programs:
            program.kill_after(grace)

    print()
    for program in programs:
        good = program.process.returncode == 0
        print(f"{program.name:<8}{'saw all ' + str(len(languages)) if good else 'did not see all'}"
              f"{'' if good or not program.last_line() else ': ' + program.last_line()}")
        if not good and program.err.stat().st_size:
            print(program.says())
    return 0 if all(program.process.returncode == 0 for program in programs) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--languages", type=pathlib.Path, default=HERE / "languages.txt", help="another table of programs")
    options = parser.parse_args()
    try:
        text = os.environ.get("DEMO_SECONDS", "15")
        if not text.isdigit() or int(text) < 1:
            raise DemoError(f"DEMO_SECONDS is {text!r}: a whole number of seconds, 1 or more, is needed")
        return demo(read_languages(options.languages), int(text))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
