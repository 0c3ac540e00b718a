"""The statistics in a member's heartbeat, read without a protobuf library.

A program that uses Proto.Actor's messages has them registered in its protobuf library already, and registering them twice fails.
"""

from __future__ import annotations

from typing import Dict, Iterator, Tuple, Union

KEY = "cluster:heartbeat"
TYPE_URL = "type.googleapis.com/cluster.MemberHeartbeat"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def parse(encoded: bytes) -> Dict[str, int]:
    """The statistics in a ``cluster.MemberHeartbeat``, name to number; ValueError if the bytes are none."""
    # MemberHeartbeat { actor_statistics = 1 }, ActorStatistics { actor_count = 1: map<string, int64> }; a map is pairs { 1, 2 }.
    statistics: Dict[str, int] = {}
    for field, part in _fields(encoded):
        if field != 1 or not isinstance(part, bytes):
            continue
        for inner, pair in _fields(part):
            if inner != 1 or not isinstance(pair, bytes):
                continue
            name, number = "", 0
            for which, content in _fields(pair):
                if which == 1 and isinstance(content, bytes):
                    name = content.decode()
                elif which == 2 and isinstance(content, int):
                    number = content
            statistics[name] = number - (1 << 64) if number >> 63 else number
    return statistics


def _fields(data: bytes) -> Iterator[Tuple[int, Union[int, bytes, None]]]:
    """Field number and content: an int of a varint, bytes of a part; None of a fixed number, which a heartbeat has not."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, wire_type = tag >> 3, tag & 7
        # A field number is not 0, and has 29 bits.
        if field == 0 or tag >> 32:
            raise ValueError(f"no field number: {field}")
        if wire_type == _VARINT:
            number, at = _varint(data, at)
            yield field, number
            continue
        if wire_type == _BYTES:
            size, at = _varint(data, at)
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise ValueError(f"no wire type: {wire_type}")
        if size > len(data) - at:
            raise ValueError(f"field {field} ends beyond its message")
        yield field, data[at : at + size] if wire_type == _BYTES else None
        at += size


def _varint(data: bytes, at: int) -> Tuple[int, int]:
    """The number, and what stands behind it."""
    number = 0
    for index in range(at, min(at + 10, len(data))):
        number |= (data[index] & 0x7F) << 7 * (index - at)
        if data[index] < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, index + 1
    raise ValueError("a number does not end")
