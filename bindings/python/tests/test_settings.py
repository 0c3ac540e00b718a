"""Settings: Python values become the library's texts, and its table is passed on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import cluster_gossip as cg
from cluster_gossip import Node
from cluster_gossip._settings import as_text
from conftest import Open, until


@pytest.mark.parametrize(
    "value, text",
    [
        ("300ms", "300ms"),
        ("", ""),
        (3, "3"),
        (-1, "-1"),
        (0.5, "0.5"),
        (True, "on"),
        (False, "off"),
        (timedelta(seconds=1.5), "1500ms"),
        (timedelta(days=1), "86400000ms"),
        (timedelta(microseconds=2500), "2.500ms"),
        (Path("/a/b"), "/a/b"),
        (["10.0.0.1:4711", "[::1]:4711"], "10.0.0.1:4711,[::1]:4711"),
        (("a",), "a"),
        ([], ""),
        ({"role": "web", "rack": 7}, "role=web,rack=7"),
        ({}, ""),
    ],
)
def test_value_as_text(value: Any, text: str) -> None:
    assert as_text("x", value) == text


@pytest.mark.parametrize("value", [b"bytes", object(), [None], {"a": b"b"}, [True]])
def test_value_that_has_no_text(value: Any) -> None:
    with pytest.raises(TypeError, match="setting x"):
        as_text("x", value)


def test_comma_inside_an_item_is_refused() -> None:
    with pytest.raises(ValueError, match="comma"):
        as_text("tags", {"a": "1,b=2"})


def test_table() -> None:
    table = {setting.name: setting for setting in cg.settings()}
    assert {"cluster", "id", "bind", "seeds", "tags", "gossip_interval", "gossip_fanout"} <= set(table)
    assert all(setting.type and setting.text for setting in table.values())
    assert table["tags"].live and not table["bind"].live
    assert table["gossip_interval"].default == "300ms"


def test_settings_reach_the_node(open_node: Open) -> None:
    node = open_node(id="me", tags={"role": "web", "rack": 7}, gossip_interval=timedelta(milliseconds=250), gossip_fanout=4)
    assert node.id == "me"
    assert node.me.tags == {"role": "web", "rack": "7"}
    assert node.setting("gossip_interval") == "250ms"
    assert node.setting("gossip_fanout") == "4"


def test_none_leaves_the_default(open_node: Open) -> None:
    default = next(setting.default for setting in cg.settings() if setting.name == "gossip_fanout")
    assert open_node(gossip_fanout=None).setting("gossip_fanout") == default


def test_from_text() -> None:
    with Node.from_text("# a comment\ncluster=text\nid=by-text\nbind=127.0.0.1:0\ntags=a=1,b=2\n") as node:
        assert node.id == "by-text"
        assert node.me.tags == {"a": "1", "b": "2"}


def test_reconfigure(node: Node) -> None:
    node.reconfigure(tags={"role": "db"}, gossip_interval="200ms")
    until("the tags are the new ones", lambda: node.me.tags == {"role": "db"})
    assert node.setting("gossip_interval") == "200ms"
    with pytest.raises(cg.NotLiveError, match="bind"):
        node.reconfigure(bind="127.0.0.1:1")
    with pytest.raises(TypeError):
        node.reconfigure(tags=None)


def test_unknown_setting_is_named() -> None:
    with pytest.raises(cg.UnknownSettingError, match="clutser") as caught:
        Node(clutser="x")
    assert isinstance(caught.value, ValueError)
    with pytest.raises(cg.UnknownSettingError, match="clutser"):
        Node.from_text("clutser=x")


def test_bad_value_is_named() -> None:
    with pytest.raises(cg.BadSettingError, match="gossip_fanout"):
        Node(bind="127.0.0.1:0", gossip_fanout="many")


def test_text_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(cg.InvalidArgumentError, match="cluster"):
        Node(cluster="a\0b")
    with pytest.raises(cg.InvalidArgumentError):
        Node.from_text("cluster=a\0b")
