"""What the tests share: the library, nodes that are closed again, waiting for what must come, programs in their own process."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "bindings" / "python" / "src"
# Only ends what hangs.
PATIENCE = 60.0

os.environ.setdefault("CLUSTER_GOSSIP_LIBRARY", str(ROOT / "target" / "release" / "libcluster_gossip.so.1"))

from cluster_gossip import Node  # noqa: E402

T = TypeVar("T")
_clusters = itertools.count(1)


def until(what: str, probe: Callable[[], T]) -> T:
    """Calls the probe until it gives something true, and returns that."""
    deadline = time.monotonic() + PATIENCE
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"after {PATIENCE:.0f} s still not: {what} (last: {result!r})")
        time.sleep(0.01)


def cluster_name() -> str:
    """A cluster that no other test and no other run on this machine has."""
    return f"test-{os.getpid()}-{next(_clusters)}"


Open = Callable[..., Node]


@pytest.fixture
def open_node() -> Iterator[Open]:
    """Opens nodes of one cluster on loopback; they are closed after the test."""
    name = cluster_name()
    nodes: List[Node] = []

    def open_one(*seeds: Node, **settings: Any) -> Node:
        arguments = {"cluster": name, "bind": "127.0.0.1:0", "seeds": [seed.address for seed in seeds] or None, **settings}
        node = Node(**arguments)
        nodes.append(node)
        return node

    yield open_one
    for node in nodes:
        node.close()


@pytest.fixture
def node(open_node: Open) -> Node:
    """A node that is alone."""
    return open_node()


@pytest.fixture
def pair(open_node: Open) -> List[Node]:
    """Two nodes that know each other."""
    first = open_node()
    second = open_node(first)
    for each in (first, second):
        each.wait_for_members(2, timeout=PATIENCE)
    return [first, second]


PREAMBLE = """
import os, signal, sys, threading, time
from cluster_gossip import *
# Who runs the tests may ignore it, which is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def program(code: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """Starts a Python program that has the package, in this library and interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        # Python 3.12 and later warn of any fork beside threads; here that is the subject.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PREAMBLE + textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env=environment,
        **options,
    )


def run(code: str, *arguments: str) -> str:
    """Runs a program to its end; what it printed. Anything on stderr and any bad end fail."""
    process = program(code, *arguments)
    status, out, err = ending(process)
    assert (status, err) == (0, ""), f"status {status}\n{out}\n{err}"
    return out


def ending(process: "subprocess.Popen[str]", text: Optional[str] = None) -> "tuple[int, str, str]":
    """Status, output and errors of a program, which is killed if it hangs."""
    try:
        out, err = process.communicate(text, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the program did not end\n{out}\n{err}") from None
    return process.returncode, out, err
