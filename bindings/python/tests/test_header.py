"""The binding against include/cluster_gossip.h: every function declared or listed with a reason, every number the same."""

from __future__ import annotations

import ctypes
import re
from typing import Any, Dict, List, Tuple

import pytest

from cluster_gossip import Kind, MemberStatus, NodeState, _constants, _ffi, version
from conftest import PACKAGE, ROOT

HEADER = ROOT / "include" / "cluster_gossip.h"


def header_text() -> str:
    text = HEADER.read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def functions() -> Dict[str, Tuple[str, List[str]]]:
    """name -> (result, parameters), each as C text without names, const and spaces."""
    text = re.sub(r"^\s*#.*$", "", header_text(), flags=re.M)
    text = re.sub(r"typedef\b[^;{]*(\{[^}]*\})?[^;]*;", "", text)
    text = text.replace("{", ";").replace("}", ";")
    found = {}
    for declaration in text.split(";"):
        match = re.search(r"([\w\s*]+?)\b(gossip_\w+)\s*\((.*)\)\s*$", declaration, re.S)
        if match:
            result, name, parameters = match.groups()
            kinds = [plain(parameter, named=True) for parameter in parameters.split(",")]
            found[name] = (plain(result, named=False), [] if kinds == ["void"] else kinds)
    return found


def plain(text: str, named: bool) -> str:
    """`const char *key` -> `char*`"""
    words = re.findall(r"\w+|\*", text)
    words = [word for word in words if word not in ("const", "struct", "extern", "GOSSIP_API")]
    if named and len(words) > 1 and words[-1] != "*":
        words.pop()
    return "".join(words)


def ctypes_of(c: str, is_result: bool) -> List[Any]:
    """The ctypes types that pass this C type; more than one where the binding may choose."""
    ids = ("gossip_config", "gossip_node", "gossip_queue", "gossip_sub")
    scalars = {
        "void": None,
        "gossip_status": ctypes.c_int32,
        "int32_t": ctypes.c_int32,
        "int64_t": ctypes.c_int64,
        "uint32_t": ctypes.c_uint32,
        "uint64_t": ctypes.c_uint64,
        "size_t": ctypes.c_size_t,
        "double": ctypes.c_double,
    }
    if c in scalars:
        return [scalars[c]]
    if c in ids:
        return [ctypes.c_uint64]
    assert c.endswith("*"), f"a type this test does not know: {c}"
    inner = c[:-1]
    if inner in ids or inner == "uint64_t":
        return [ctypes.POINTER(ctypes.c_uint64)]
    if inner in ("int32_t", "size_t", "int64_t", "double"):
        return [ctypes.POINTER(scalars[inner])]
    if inner.endswith("*"):
        return [ctypes.POINTER(ctypes.c_void_p)]
    if inner == "char":
        return [ctypes.c_char_p, ctypes.c_void_p]
    return [ctypes.c_void_p]


def test_every_function_of_the_header_is_declared_or_listed_with_a_reason() -> None:
    header = set(functions())
    assert len(header) > 100
    declared, not_used = set(_ffi.DECLARATIONS), set(_ffi.NOT_USED)
    assert declared & not_used == set()
    assert declared | not_used == header
    assert all(len(reason) > 20 for reason in _ffi.NOT_USED.values())


@pytest.mark.parametrize("name", sorted(_ffi.DECLARATIONS))
def test_declaration_is_the_headers(name: str) -> None:
    result, parameters = functions()[name]
    declared_result, declared_parameters = _ffi.DECLARATIONS[name]
    assert declared_result in ctypes_of(result, True)
    assert len(declared_parameters) == len(parameters)
    for declared, parameter in zip(declared_parameters, parameters):
        assert declared in ctypes_of(parameter, False), parameter


def test_every_declared_function_is_called() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path.name != "_ffi.py")
    uncalled = [name for name in _ffi.DECLARATIONS if not re.search(rf"\.{name}\b", sources)]
    assert uncalled == []


def defines() -> Dict[str, int]:
    found = {}
    for name, value in re.findall(r"^\s*#define\s+GOSSIP_(\w+)\s+\(?(-?(?:0x)?[0-9a-fA-F]+)[uUlL]*\)?\s*$", header_text(), re.M):
        found[name] = int(value, 0)
    return found


@pytest.mark.parametrize("prefix, enum", [("STATE_", NodeState), ("MEMBER_", MemberStatus), ("EVENT_", Kind), ("EVENTS_", Kind)])
def test_enumeration_has_the_headers_numbers(prefix: str, enum: Any) -> None:
    header = {name[len(prefix) :]: value for name, value in defines().items() if name.startswith(prefix)}
    assert header
    for name, value in header.items():
        assert int(enum[name]) == value, name


def test_enumerations_have_no_other_names() -> None:
    header = defines()
    for enum, prefixes in ((NodeState, ["STATE_"]), (MemberStatus, ["MEMBER_"]), (Kind, ["EVENT_", "EVENTS_"])):
        for name in enum.__members__:
            if (enum, name) != (MemberStatus, "NONE"):
                assert any(prefix + name in header for prefix in prefixes), name


def test_constants_are_the_headers() -> None:
    header = defines()
    ours = {name: value for name, value in vars(_constants).items() if name.isupper() and isinstance(value, int)}
    assert len(ours) > 30
    for name, value in ours.items():
        assert header[name] == value, name


def test_version_of_the_library() -> None:
    assert re.match(r"\d+\.\d+\.\d+", version())
