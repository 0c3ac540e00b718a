"""Errors: one class for each status of the library's table, fitting builtins, use after close."""

from __future__ import annotations

import ast
import asyncio
import builtins
import pickle
import subprocess
import sys
from typing import Any, Callable, Dict, List

import pytest

import cluster_gossip as cg
from cluster_gossip import GossipError, Node, errors, load
from conftest import PACKAGE, run


def test_a_class_for_each_status() -> None:
    library = load()
    table = errors._table()
    statuses = {library.gossip_status_at(index) for index in range(library.gossip_status_count())} - {0}
    assert {error.status for error in map(errors.make, statuses)} == statuses
    assert len(table) == len(statuses) > 20
    for status in statuses:
        error = errors.make(status)
        assert type(error) is table[type(error).__name__]
        assert isinstance(error, GossipError)
        assert error.name.startswith("GOSSIP_ERR_") and error.message
        assert str(error) == f"{error.message} ({error.name})"
        assert getattr(cg, type(error).__name__) is type(error)


def declared_classes() -> Dict[str, List[str]]:
    """The classes written down for type checkers, with their bases."""
    tree = ast.parse((PACKAGE / "cluster_gossip" / "errors.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {node.name: [ast.unparse(base) for base in node.bases] for node in block.body if isinstance(node, ast.ClassDef)}


@pytest.mark.skipif(sys.version_info < (3, 9), reason="ast.unparse is new in Python 3.9")
def test_classes_for_type_checkers_are_those_of_the_table() -> None:
    made = {}
    for name, error in errors._table().items():
        made[name] = [base.__name__ for base in error.__bases__]
    declared = {name: [base.replace("builtins.", "") for base in bases] for name, bases in declared_classes().items()}
    assert declared == made


def test_package_offers_each_class_to_type_checkers() -> None:
    source = (PACKAGE / "cluster_gossip" / "__init__.py").read_text(encoding="utf-8")
    for name in errors._table():
        assert f"from .errors import {name} as {name}\n" in source


def test_unknown_status_is_an_error_too() -> None:
    error = errors.make(-9999)
    assert type(error) is GossipError and error.status == -9999 and error.name


def test_no_attribute_of_another_name() -> None:
    for module in (cg, errors):
        with pytest.raises(AttributeError):
            module.NoSuchError
        with pytest.raises(AttributeError):
            module.nothing


def test_builtins() -> None:
    assert issubclass(cg.TimeoutError, builtins.TimeoutError)
    assert issubclass(cg.NotFoundError, KeyError)
    assert issubclass(cg.BadSettingError, ValueError)
    assert issubclass(cg.BindError, OSError)


def test_error_survives_pickle() -> None:
    for status in (-4, -5, -16, -3):
        error = errors.make(status, "in words")
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.status, copy.name, str(copy)) == (type(error), error.status, error.name, str(error))


def test_errors_of_calls(node: Node) -> None:
    with pytest.raises(cg.ReservedKeyError, match="cluster:"):
        node.set("cluster:topology", "x")
    for key in ("", "k" * 256, b"\xff"):
        with pytest.raises(cg.InvalidKeyError):
            node.set(key, "x")
    with pytest.raises(KeyError):
        node.delete("never there")
    with pytest.raises(builtins.TimeoutError) as caught:
        node.wait_for_members(2, timeout=0.05)
    assert caught.value.name == "GOSSIP_ERR_TIMEOUT"  # type: ignore[attr-defined]
    with pytest.raises(cg.TimeoutError):
        node.wait_for_members(2, timeout=0)
    with pytest.raises(cg.UnknownSettingError):
        node.setting("no_such")
    with pytest.raises(cg.InvalidArgumentError):
        node.get("mem\0ber", "key")


def test_value_over_the_limit_is_refused_with_both_numbers(open_node: Any) -> None:
    node = open_node(max_value_size=1000)
    with pytest.raises(cg.ValueTooLargeError) as caught:
        node.set("large", bytes(1001))
    message = str(caught.value).replace(",", "").replace("_", "")
    assert "1001" in message and "1000" in message
    assert node.get_own("large") is None


def test_arguments_of_the_wrong_type(node: Node) -> None:
    wrong: List[Callable[[Any], Any]] = [
        lambda n: n.set(1, "x"),
        lambda n: n.set("k", None),
        lambda n: n.set("k", object()),
        lambda n: n.set("k", cg.Any("t/x", "text")),  # type: ignore[arg-type]
        lambda n: n.get(None),
        lambda n: n.get(b"member", "k"),
        lambda n: n.delete(None),
        lambda n: n.entries(5),
    ]
    for call in wrong:
        with pytest.raises(TypeError):
            call(node)
    for number in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError):
            node.set("k", number)
    for ttl in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError):
            node.set("k", 1, ttl=ttl)
    with pytest.raises(ValueError):
        node.changes(key="a", prefix="b")
    with pytest.raises(ValueError):
        node.wait_for_members(-1)
    assert node.entries("k") == []


def test_port_that_is_taken(node: Node) -> None:
    with pytest.raises(cg.BindError) as caught:
        Node(cluster="other", bind=node.address)
    assert isinstance(caught.value, OSError)


USES: Dict[str, Callable[[Node], Any]] = {
    "set": lambda n: n.set("k", 1),
    "set Any": lambda n: n.set("k", cg.Any("t/x", b"")),
    "get": lambda n: n.get("k"),
    "get one": lambda n: n.get("m", "k"),
    "get_own": lambda n: n.get_own("k"),
    "entries": lambda n: n.entries(),
    "delete": lambda n: n.delete("k"),
    "members": lambda n: n.members(),
    "me": lambda n: n.me,
    "wait_for_members": lambda n: n.wait_for_members(1),
    "wait_synced": lambda n: n.wait_synced(),
    "wait_synced_async": lambda n: asyncio.run(n.wait_synced_async()),
    "describe": lambda n: n.describe(),
    "snapshot": lambda n: n.snapshot(),
    "offsets": lambda n: n.offsets(),
    "metrics": lambda n: n.metrics(),
    "setting": lambda n: n.setting("cluster"),
    "reconfigure": lambda n: n.reconfigure(tags={"a": "b"}),
    "leave": lambda n: n.leave(),
    "on_change": lambda n: n.on_change(print),
    "changes": lambda n: n.changes(),
    "changes_async": lambda n: n.changes_async(),
    "log_to": lambda n: n.log_to(),
}


@pytest.mark.parametrize("name", USES)
def test_use_after_close(node: Node, name: str) -> None:
    node.close()
    with pytest.raises(cg.ClosedError):
        USES[name](node)
    node.close()
    assert node.closed and "closed" in repr(node)


def test_missing_library_is_named() -> None:
    out = run(
        """
        os.environ["CLUSTER_GOSSIP_LIBRARY"] = "/no/such/library.so"
        try:
            Node()
        except ImportError as error:
            print(type(error).__name__, error)
        """
    )
    assert "LibraryError" in out and "/no/such/library.so" in out and "CLUSTER_GOSSIP_LIBRARY" in out


def test_library_of_another_abi_version_is_refused_with_both_numbers(tmp_path: Any) -> None:
    source = tmp_path / "old.c"
    source.write_text("unsigned gossip_abi_version(void) { return 77; }\n")
    library = tmp_path / "libold.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    out = run(
        """
        try:
            load(sys.argv[1])
        except LibraryError as error:
            print(error)
        """,
        str(library),
    )
    assert "77" in out and "ABI version 1" in out


def test_library_of_something_else_is_refused() -> None:
    out = run(
        """
        try:
            load("libc.so.6")
        except LibraryError as error:
            print(error)
        """
    )
    assert "not a Cluster Gossip library" in out


def test_path_given_to_load_comes_before_the_environment() -> None:
    out = run(
        """
        path = os.environ["CLUSTER_GOSSIP_LIBRARY"]
        os.environ["CLUSTER_GOSSIP_LIBRARY"] = "/no/such/library.so"
        library = load(path)
        assert load() is library and load(path) is library
        try:
            load("/no/such/library.so")
        except LibraryError as error:
            print(error)
        """
    )
    assert "loaded already" in out
