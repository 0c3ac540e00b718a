"""Settings: Python values to the texts that the library reads, and the library's own table of what can be set."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any as AnyType
from typing import Mapping, NamedTuple, Sequence, Tuple, Union

from . import _constants, _loader, errors

#: What a setting may be given as. A number has the setting's own unit, and None leaves the default.
SettingValue = Union[str, bool, int, float, timedelta, "os.PathLike[str]", Sequence[Union[str, int]], Mapping[str, Union[str, int]], None]


class Setting(NamedTuple):
    """One row of the library's table of settings."""

    name: str
    #: ``text``, ``list``, ``integer``, ``duration``, ``size``, ``choice``
    type: str
    unit: str
    default: str
    #: ``"1..100"``, or the choices, or empty.
    bounds: str
    #: What it is for, in a sentence or two.
    text: str
    #: Whether Node.reconfigure can change it.
    live: bool
    #: Whether its value is never shown.
    secret: bool


def settings() -> Tuple[Setting, ...]:
    """Every setting that the loaded library knows."""
    library = _loader.load()

    def text(function: AnyType, index: int) -> str:
        found: bytes = function(index) or b""
        return found.decode()

    rows = []
    for index in range(library.gossip_setting_count()):
        flags = library.gossip_setting_flags(index)
        rows.append(
            Setting(
                text(library.gossip_setting_name, index),
                text(library.gossip_setting_type, index),
                text(library.gossip_setting_unit, index),
                text(library.gossip_setting_default, index),
                text(library.gossip_setting_bounds, index),
                text(library.gossip_setting_text, index),
                bool(flags & _constants.SETTING_LIVE),
                bool(flags & _constants.SETTING_SECRET),
            )
        )
    return tuple(rows)


def as_text(name: str, value: SettingValue) -> str:
    """A setting's value as the library reads it: ``["a", "b"]`` -> ``"a,b"``, ``{"role": "web"}`` -> ``"role=web"``,
    ``timedelta(seconds=1.5)`` -> ``"1500ms"``, ``True`` -> ``"on"``.
    """
    if isinstance(value, str):
        return value
    # Before int, which a bool is too.
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, timedelta):
        # Exactly: what is finer than the library can do it shall refuse, not get rounded.
        whole, rest = divmod(value // timedelta(microseconds=1), 1000)
        return f"{whole}.{rest:03}ms" if rest else f"{whole}ms"
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return ",".join(f"{_item(name, key)}={_item(name, item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return ",".join(_item(name, item) for item in value)
    raise TypeError(f"setting {name}: a value of type {type(value).__name__} cannot be written as text")


def _item(name: str, item: object) -> str:
    if isinstance(item, bool) or not isinstance(item, (str, int)):
        raise TypeError(f"setting {name}: {item!r} in a list or mapping is neither str nor int")
    text = str(item)
    if "," in text:
        # It would silently become two items.
        raise ValueError(f"setting {name}: {text!r} contains a comma, which separates items")
    return text


def c_text(what: str, text: str) -> bytes:
    """A text that C takes up to its NUL."""
    encoded = text.encode()
    if b"\0" in encoded:
        raise errors.make(_constants.ERR_INVALID_ARGUMENT, f"{what} contains a zero byte")
    return encoded
