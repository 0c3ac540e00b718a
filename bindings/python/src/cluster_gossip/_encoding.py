"""What a host gives to set, as the library takes it."""

from __future__ import annotations

import math
import struct
from datetime import timedelta
from typing import Optional, Tuple, Union

from . import _constants
from ._records import Any
from ._settings import c_text

_INT = struct.Struct("=q")
_DOUBLE = struct.Struct("=d")


def encode(value: object) -> Tuple[int, bytes, Optional[bytes]]:
    """Kind of value, bytes as the library takes them, type URL if it is not a plain value."""
    if isinstance(value, Any):
        if not isinstance(value.value, bytes):
            raise TypeError(f"the value of an Any is bytes, not {type(value.value).__name__}")
        return _constants.VALUE_MESSAGE, value.value, c_text("the type URL", value.type_url)
    # Before int, which a bool is too.
    if isinstance(value, bool):
        return _constants.VALUE_BOOL, b"\1" if value else b"\0", None
    if isinstance(value, int):
        try:
            return _constants.VALUE_INT, _INT.pack(value), None
        except struct.error:
            raise OverflowError(f"{value} does not fit into the 64 bits of an integer value") from None
    if isinstance(value, float):
        return _constants.VALUE_DOUBLE, _DOUBLE.pack(value), None
    if isinstance(value, str):
        return _constants.VALUE_TEXT, value.encode(), None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _constants.VALUE_BYTES, bytes(value), None
    raise TypeError(f"a value is bytes, str, bool, int, float or Any, not {type(value).__name__}")


def ttl_ms(ttl: Union[float, timedelta]) -> int:
    """Whole milliseconds, rounded up: a time to live of 0 would mean none at all."""
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if not 0 < seconds < 1e15:
        raise ValueError(f"a time to live is a positive number of seconds, not {ttl!r}")
    return math.ceil(seconds * 1000)
