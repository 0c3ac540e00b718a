"""The C functions that the binding calls, with their types; nothing else.

An id travels as ``uint64_t``. The list of all functions of the header is the union of ``DECLARATIONS`` and
``NOT_USED``; a test compares both with ``cluster_gossip.h``, type by type.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any as AnyType
from typing import Dict, Optional, Tuple

_status = c_int32
_id = c_uint64
_out_id = POINTER(c_uint64)
_ptr = c_void_p
_out_ptr = POINTER(c_void_p)
_out_len = POINTER(c_size_t)
# Not c_char_p: that would copy up to the first zero byte, and an errbuf is written to.
_errbuf = c_void_p
_text = c_char_p

#: name -> (result type, argument types)
DECLARATIONS: Dict[str, Tuple[AnyType, Tuple[AnyType, ...]]] = {
    # library
    "gossip_abi_version": (c_uint32, ()),
    "gossip_version": (_text, ()),
    "gossip_status_count": (c_size_t, ()),
    "gossip_status_at": (_status, (c_size_t,)),
    "gossip_status_name": (_text, (_status,)),
    "gossip_status_text": (_text, (_status,)),
    "gossip_status_can_retry": (c_int32, (_status,)),
    "gossip_setting_count": (c_size_t, ()),
    "gossip_setting_name": (_text, (c_size_t,)),
    "gossip_setting_type": (_text, (c_size_t,)),
    "gossip_setting_unit": (_text, (c_size_t,)),
    "gossip_setting_default": (_text, (c_size_t,)),
    "gossip_setting_bounds": (_text, (c_size_t,)),
    "gossip_setting_text": (_text, (c_size_t,)),
    "gossip_setting_flags": (c_uint32, (c_size_t,)),
    # configuration
    "gossip_config_new": (_status, (_out_id,)),
    "gossip_config_set": (_status, (_id, _text, _text, _errbuf, c_size_t)),
    "gossip_config_free": (_status, (_id,)),
    # node
    "gossip_open": (_status, (_id, _out_id, _errbuf, c_size_t)),
    "gossip_open_text": (_status, (_text, _out_id, _errbuf, c_size_t)),
    "gossip_reconfigure": (_status, (_id, _text, _text, _errbuf, c_size_t)),
    "gossip_setting_get": (_status, (_id, _text, _out_ptr)),
    "gossip_state": (_status, (_id, POINTER(c_int32))),
    "gossip_self": (_status, (_id, _out_ptr)),
    "gossip_leave": (_status, (_id, c_int32)),
    "gossip_leave_nowait": (_status, (_id,)),
    "gossip_close": (_status, (_id,)),
    "gossip_close_nowait": (_status, (_id,)),
    "gossip_wait_for_members": (_status, (_id, c_size_t, c_int32)),
    "gossip_wait_synced": (_status, (_id, c_int32)),
    "gossip_describe": (_status, (_id, _out_ptr)),
    "gossip_snapshot": (_status, (_id, c_int32, _out_ptr)),
    "gossip_offsets": (_status, (_id, _out_ptr)),
    "gossip_metrics": (_status, (_id, c_int32, _out_ptr)),
    # cluster
    "gossip_ban": (_status, (_id, _text, _errbuf, c_size_t)),
    "gossip_unban": (_status, (_id, _text, _errbuf, c_size_t)),
    "gossip_bans": (_status, (_id, _out_ptr)),
    "gossip_statistic_set": (_status, (_id, _text, c_int64, _errbuf, c_size_t)),
    "gossip_statistic_delete": (_status, (_id, _text, _errbuf, c_size_t)),
    # state
    "gossip_set_with": (
        _status,
        (_id, _text, c_size_t, _text, _ptr, c_size_t, c_int64, c_uint32, _out_id, _errbuf, c_size_t),
    ),
    "gossip_set_plain": (
        _status,
        (_id, _text, c_size_t, c_int32, _ptr, c_size_t, c_int64, c_uint32, _out_id, _errbuf, c_size_t),
    ),
    "gossip_delete": (_status, (_id, _text, c_size_t)),
    "gossip_get": (_status, (_id, _text, _text, c_size_t, c_uint32, _out_ptr)),
    "gossip_get_own": (_status, (_id, _text, c_size_t, _out_ptr)),
    "gossip_entries_packed": (_ptr, (_ptr, _out_len)),
    "gossip_entries_free": (None, (_ptr,)),
    # members
    "gossip_members_get": (_status, (_id, c_uint32, _out_ptr)),
    "gossip_members_packed": (_ptr, (_ptr, _out_len)),
    "gossip_members_free": (None, (_ptr,)),
    # changes
    "gossip_subscribe_queue": (
        _status,
        (_id, c_uint32, _text, _text, c_size_t, c_uint32, _id, c_uint64, _out_id),
    ),
    "gossip_unsubscribe": (_status, (_id,)),
    "gossip_queue_new": (_status, (c_size_t, _out_id)),
    "gossip_queue_fd": (_status, (_id, POINTER(c_int32))),
    "gossip_queue_take": (_status, (_id, c_size_t, c_int32, _out_ptr)),
    "gossip_queue_wake": (_status, (_id,)),
    "gossip_queue_free": (_status, (_id,)),
    "gossip_events_packed": (_ptr, (_ptr, _out_len)),
    "gossip_events_free": (None, (_ptr,)),
    "gossip_bytes_data": (_ptr, (_ptr, _out_len)),
    "gossip_bytes_free": (None, (_ptr,)),
}

_PACKED = "lists are read as packed bytes, several times faster than one call for each field"
_PLAIN = "gossip_set_plain serves all plain values, with time to live, flags and sequence number"

#: name -> why the binding does not call it
NOT_USED: Dict[str, str] = {
    "gossip_config_get": "settings go in one direction; Node.setting reads the effective value from the open node",
    "gossip_set": "gossip_set_with does the same and gives the sequence number",
    "gossip_set_text": _PLAIN,
    "gossip_set_bool": _PLAIN,
    "gossip_set_int": _PLAIN,
    "gossip_set_double": _PLAIN,
    "gossip_subscribe": "a native callback enters the interpreter from a foreign thread: slow, and fatal at exit",
    "gossip_unsubscribe_nowait": "the binding has no native callback to wait for, so the other form returns at once",
    "gossip_entries_len": _PACKED,
    "gossip_entries_at": _PACKED,
    "gossip_entry_member": _PACKED,
    "gossip_entry_key": _PACKED,
    "gossip_entry_type_url": _PACKED,
    "gossip_entry_value": _PACKED,
    "gossip_entry_value_kind": _PACKED,
    "gossip_entry_text": _PACKED,
    "gossip_entry_bool": _PACKED,
    "gossip_entry_int": _PACKED,
    "gossip_entry_double": _PACKED,
    "gossip_entry_seq": _PACKED,
    "gossip_entry_generation": _PACKED,
    "gossip_entry_age_ms": _PACKED,
    "gossip_entry_member_status": _PACKED,
    "gossip_members_len": _PACKED,
    "gossip_members_at": _PACKED,
    "gossip_member_id": _PACKED,
    "gossip_member_generation": _PACKED,
    "gossip_member_address": _PACKED,
    "gossip_member_status": _PACKED,
    "gossip_member_is_self": _PACKED,
    "gossip_member_status_age_ms": _PACKED,
    "gossip_member_rtt_us": _PACKED,
    "gossip_member_tag_count": _PACKED,
    "gossip_member_tag_name": _PACKED,
    "gossip_member_tag_value": _PACKED,
    "gossip_events_len": _PACKED,
    "gossip_events_at": _PACKED,
    "gossip_event_kind": _PACKED,
    "gossip_event_tag": _PACKED,
    "gossip_event_node": _PACKED,
    "gossip_event_sub": _PACKED,
    "gossip_event_conflated": _PACKED,
    "gossip_event_code": _PACKED,
    "gossip_event_text": _PACKED,
    "gossip_event_target": _PACKED,
    "gossip_event_entry": _PACKED,
    "gossip_event_member": _PACKED,
}


def declare(library: ctypes.CDLL) -> None:
    """Give every function its types; AttributeError names the first one that the library lacks."""
    for name, (result, arguments) in DECLARATIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


def read(library: ctypes.CDLL, data: AnyType, free: AnyType, pointer: Optional[int]) -> bytes:
    """The bytes of an owned list or text, which is freed."""
    length = c_size_t()
    try:
        address = data(pointer, ctypes.byref(length))
        return ctypes.string_at(address, length.value) if address and length.value else b""
    finally:
        free(pointer)
