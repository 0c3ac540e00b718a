"""A peer of the mixed cluster as the tests see it: a process that is told what to do by lines (README.md)."""

import struct
import subprocess
import threading
import urllib.parse

import harness

# Ends the wait for a line that would never come.
LINE_SECONDS = 60


def escape(data):
    """A text, key or id as a word of the protocol."""
    if isinstance(data, str):
        data = data.encode()
    return "".join(chr(b) if b < 128 and chr(b).isalnum() else f"%{b:02x}" for b in data) or "-"


def encode(value):
    """KIND VALUE for a value of Python; bool comes before int, which it also is."""
    if isinstance(value, bool):
        return f"bool {'true' if value else 'false'}"
    if isinstance(value, int):
        return f"int {value}"
    if isinstance(value, float):
        return f"double {value!r}"
    if isinstance(value, str):
        return f"text {escape(value)}"
    return f"bytes {value.hex() or '-'}"


def decode(line):
    """The value in an answer "KIND VALUE"."""
    kind, _, word = line.partition(" ")
    if kind == "bool" and word in ("true", "false"):
        return word == "true"
    if kind == "int":
        return int(word)
    if kind == "double":
        return float(word)
    if kind == "text":
        return "" if word == "-" else urllib.parse.unquote_to_bytes(word).decode()
    if kind == "bytes":
        return b"" if word == "-" else bytes.fromhex(word)
    raise AssertionError(f"not a value: {line[:200]!r}")


def same(value, other):
    """Of one type (True == 1 == 1.0 in Python) and equal; doubles bit by bit, so that -0.0 is not 0.0, but all NaNs are one."""
    if type(value) is not type(other):
        return False
    if isinstance(value, float):
        return value != value and other != other or struct.pack("<d", value) == struct.pack("<d", other)
    return value == other


class Peer:
    """A running peer; use it in a `with`, which ends the process whatever happens."""

    def __init__(self, name, command, node_id, cluster, seeds, **options):
        self.name = name
        self.id = node_id
        self.process = subprocess.Popen([*command, "--id", node_id, "--cluster", cluster, "--seeds", seeds],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", **options)
        word, _, self.address = self.read().partition(" ")
        assert word == "ready", f"{name} began with {word!r}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def read(self):
        # A peer that hangs is killed, which ends the read.
        timer = threading.Timer(LINE_SECONDS, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        assert line.endswith("\n"), f"{self.name} ended or hung (status {self.process.poll()}) after {line[:200]!r}"
        return line[:-1]

    def ask(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return self.read()

    def set(self, key, value):
        answer = self.ask("set", escape(key), encode(value))
        assert answer == "ok", f"{self.name} answers {answer!r} to a set of {key!r}"

    def get(self, member, key):
        """The answer's line; decode() gives the value."""
        return self.ask("get", escape(member), escape(key))

    def expect(self, member, key, value):
        """Until this peer reads that value of that member."""
        def reads():
            self.last = self.get(member, key)
            return self.last != "none" and not self.last.startswith("error") and same(decode(self.last), value)
        self.last = ""
        try:
            harness.until(f"{self.name} reads {key!r} of {member}", reads)
        except AssertionError as error:
            raise AssertionError(f"{error}; it was to read {encode(value)[:200]!r}, and answers {self.last[:200]!r}") from None

    def wait_members(self, count):
        harness.until(f"{self.name} knows {count} members", lambda: self.ask("members") == f"members {count}")

    def quit(self):
        assert self.ask("quit") == "bye", f"{self.name} does not say bye"
        assert self.process.wait(timeout=LINE_SECONDS) == 0, f"{self.name} ends with status {self.process.returncode}"
