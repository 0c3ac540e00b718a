//! state: set, delete, get

use std::ffi::{c_char, c_void};

use super::entries::{
    GOSSIP_VALUE_BOOL, GOSSIP_VALUE_BYTES, GOSSIP_VALUE_DOUBLE, GOSSIP_VALUE_INT, GOSSIP_VALUE_TEXT, Views,
};
use super::guard::{guard, guard_err};
use super::handle;
use super::input::{MAX_NAME, bytes, flags, invalid, key, member, optional_text, out, sized_text, ttl};
use super::node::NodeObject;
use super::types::{gossip_entries, gossip_node, gossip_status};
use crate::error::Result;
use crate::runtime::node::SetOptions;
use crate::wire::value::{self, Plain};

/// Flag of gossip_get and gossip_members_get: also members that are dead, left or banned; their state is kept for a
/// grace period.
pub const GOSSIP_GET_DEPARTED: u32 = 1u32;
/// Flag of gossip_get: the key is a prefix. An empty one stands for every key of the hosts' own; those of the library begin
/// "cluster:", and are given only for a prefix that begins so.
pub const GOSSIP_GET_PREFIX: u32 = 2u32;
/// Flag of gossip_set_with and gossip_set_plain: no new sequence number if type and value are what is there, and neither
/// that nor this has a time to live.
pub const GOSSIP_SET_IF_CHANGED: u32 = 1u32;

/// Longest text for gossip_set_text with GOSSIP_NUL; the largest that max_value_size can be.
const MAX_TEXT: usize = 256 << 20;

/// Sets an own entry: type URL and value are those of a google.protobuf.Any, the value any bytes (NULL with length 0 is
/// empty). type_url ends at its NUL; NULL or "" means plain bytes. The value is copied. This node's own gossip_get sees
/// it at once, the others soon; it never waits for the network.
///
/// GOSSIP_ERR_INVALID_KEY, GOSSIP_ERR_RESERVED_KEY, GOSSIP_ERR_VALUE_TOO_LARGE, GOSSIP_ERR_LIMIT (the message has both
/// numbers), GOSSIP_ERR_LEFT, GOSSIP_ERR_BANNED, GOSSIP_ERR_ID_TAKEN, GOSSIP_ERR_FAILED; the entry is then as before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_set(
    node: gossip_node,
    key: *const c_char,
    key_len: usize,
    type_url: *const c_char,
    value: *const c_void,
    value_len: usize,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: the caller keeps the contract of gossip_set_with, whose other arguments are of no consequence.
    unsafe {
        gossip_set_with(node, key, key_len, type_url, value, value_len, 0, 0, std::ptr::null_mut(), errbuf, errbuf_len)
    }
}

/// As gossip_set, with a time to live in milliseconds (0: none), after which readers no longer see the entry and it is
/// deleted; flags GOSSIP_SET_*; and the sequence number that the entry has now, in *seq (may be NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_set_with(
    node: gossip_node,
    key: *const c_char,
    key_len: usize,
    type_url: *const c_char,
    value: *const c_void,
    value_len: usize,
    ttl_ms: i64,
    flags: u32,
    seq: *mut u64,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: the caller passes pointers that are as their lengths say or end with a NUL, and places for the results,
    // or NULL.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            let type_url = optional_text("type_url", type_url, MAX_NAME)?.unwrap_or("");
            let value = bytes("value", value, value_len)?;
            set(node, key, key_len, type_url, value, ttl_ms, flags, seq)
        })
    }
}

/// As gossip_set_with, for a plain value that every language reads as its own; value_kind is one of GOSSIP_VALUE_*.
/// value: TEXT: UTF-8; BOOL: 1 byte, 0 is false; INT: an int64_t, DOUBLE: a double (8 bytes in native order, any
/// alignment); BYTES: as it is.
///
/// Also GOSSIP_ERR_INVALID_ARGUMENT for another kind, a length that does not fit the kind, or text that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_set_plain(
    node: gossip_node,
    key: *const c_char,
    key_len: usize,
    value_kind: i32,
    value: *const c_void,
    value_len: usize,
    ttl_ms: i64,
    flags: u32,
    seq: *mut u64,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: as in gossip_set_with.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            let value = bytes("value", value, value_len)?;
            set_plain(node, key, key_len, plain(value_kind, value)?, ttl_ms, flags, seq)
        })
    }
}

/// Sets a text (GOSSIP_VALUE_TEXT): UTF-8 with a length, or ending at its NUL with GOSSIP_NUL as its length. Otherwise
/// as gossip_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_set_text(
    node: gossip_node,
    key: *const c_char,
    key_len: usize,
    text: *const c_char,
    text_len: usize,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: as in gossip_set_with.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            let text = sized_text("text", text, text_len, MAX_TEXT)?;
            set_plain(node, key, key_len, Plain::Text(text), 0, 0, std::ptr::null_mut())
        })
    }
}

/// Sets a boolean (GOSSIP_VALUE_BOOL): 0 is false. Otherwise as gossip_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_set_bool(
    node: gossip_node,
    key: *const c_char,
    key_len: usize,
    value: i32,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: as in gossip_set_with.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            set_plain(node, key, key_len, Plain::Bool(value != 0), 0, 0, std::ptr::null_mut())
        })
    }
}

/// Sets an integer (GOSSIP_VALUE_INT). Otherwise as gossip_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_set_int(
    node: gossip_node,
    key: *const c_char,
    key_len: usize,
    value: i64,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: as in gossip_set_with.
    unsafe {
        guard_err(errbuf, errbuf_len, || set_plain(node, key, key_len, Plain::Int(value), 0, 0, std::ptr::null_mut()))
    }
}

/// Sets a floating-point number (GOSSIP_VALUE_DOUBLE). Otherwise as gossip_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_set_double(
    node: gossip_node,
    key: *const c_char,
    key_len: usize,
    value: f64,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: as in gossip_set_with.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            set_plain(node, key, key_len, Plain::Double(value), 0, 0, std::ptr::null_mut())
        })
    }
}

fn plain(kind: i32, value: &[u8]) -> Result<Plain<'_>> {
    let number =
        || <[u8; 8]>::try_from(value).map_err(|_| invalid(format!("a number of {} bytes; 8 are needed", value.len())));
    match kind {
        GOSSIP_VALUE_BYTES => Ok(Plain::Bytes(value)),
        GOSSIP_VALUE_TEXT => std::str::from_utf8(value)
            .map(Plain::Text)
            .map_err(|e| invalid(format!("the text is not UTF-8 at byte {}", e.valid_up_to()))),
        GOSSIP_VALUE_BOOL => match value {
            [byte] => Ok(Plain::Bool(*byte != 0)),
            _ => Err(invalid(format!("a boolean of {} bytes; 1 is needed", value.len()))),
        },
        GOSSIP_VALUE_INT => number().map(|n| Plain::Int(i64::from_ne_bytes(n))),
        GOSSIP_VALUE_DOUBLE => number().map(|n| Plain::Double(f64::from_ne_bytes(n))),
        _ => Err(invalid(format!("{kind} is not a kind of plain value; use gossip_set_with for messages"))),
    }
}

/// # Safety
/// As [`set`].
unsafe fn set_plain(
    node: gossip_node,
    key: *const c_char,
    key_len: usize,
    plain: Plain<'_>,
    ttl_ms: i64,
    flags: u32,
    seq: *mut u64,
) -> Result<()> {
    // Bytes need no encoding, and so no copy here.
    if let Plain::Bytes(value) = plain {
        // SAFETY: as promised by the caller.
        return unsafe { set(node, key, key_len, "", value, ttl_ms, flags, seq) };
    }
    let (type_url, value) = value::encode(plain);
    // SAFETY: as promised by the caller.
    unsafe { set(node, key, key_len, type_url, &value, ttl_ms, flags, seq) }
}

/// # Safety
/// The key is as its length says, or ends with a NUL; `seq` is NULL or points to a place for a number.
#[allow(clippy::too_many_arguments)] // those of the C functions
unsafe fn set(
    node: gossip_node,
    key: *const c_char,
    key_len: usize,
    type_url: &str,
    value: &[u8],
    ttl_ms: i64,
    flags: u32,
    seq: *mut u64,
) -> Result<()> {
    let node = handle::get::<NodeObject>(node.id)?;
    // SAFETY: as promised by the caller.
    let key = unsafe { self::key(key, key_len, false) }?;
    let flags = self::flags(flags, GOSSIP_SET_IF_CHANGED)?;
    let options = SetOptions { ttl: ttl(ttl_ms)?, if_changed: flags & GOSSIP_SET_IF_CHANGED != 0 };
    let number = node.node.set(key, type_url, value, options)?;
    if !seq.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { seq.write(number) };
    }
    Ok(())
}

/// Deletes an own entry.
///
/// GOSSIP_ERR_NOT_FOUND if there is none; GOSSIP_ERR_INVALID_KEY, GOSSIP_ERR_RESERVED_KEY, GOSSIP_ERR_LEFT,
/// GOSSIP_ERR_BANNED, GOSSIP_ERR_ID_TAKEN, GOSSIP_ERR_FAILED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_delete(node: gossip_node, key: *const c_char, key_len: usize) -> gossip_status {
    guard(|| {
        let node = handle::get::<NodeObject>(node.id)?;
        // SAFETY: the caller passes a key that is as its length says, or ends with a NUL, or NULL.
        node.node.delete(unsafe { self::key(key, key_len, false) }?).map(drop)
    })
}

/// Reads entries: of the member with the id `member` (it ends at its NUL), or of all with NULL; flags GOSSIP_GET_*.
/// Never waits for the network: it reads what this node has, its own entries included, ordered by member and key. Free
/// *out with gossip_entries_free.
///
/// GOSSIP_OK with an empty list if there is nothing. GOSSIP_ERR_INVALID_KEY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_get(
    node: gossip_node,
    member: *const c_char,
    key: *const c_char,
    key_len: usize,
    flags: u32,
    out: *mut *mut gossip_entries,
) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes a place for the result, texts as their lengths say or with a NUL, or NULL.
        unsafe {
            let place = self::out(out)?;
            let node = handle::get::<NodeObject>(node.id)?;
            let flags = self::flags(flags, GOSSIP_GET_DEPARTED | GOSSIP_GET_PREFIX)?;
            let prefix = flags & GOSSIP_GET_PREFIX != 0;
            let member = self::member(member)?;
            let key = self::key(key, key_len, prefix)?;
            let departed = flags & GOSSIP_GET_DEPARTED != 0;
            let found = match member {
                Some(member) if !prefix => node.node.get_of(member, key, departed)?.into(),
                _ => Views::Many(node.node.get(member, key, prefix, departed)?),
            };
            place.put(gossip_entries::new(found));
            Ok(())
        }
    })
}

/// Reads one of this node's own entries. Free *out with gossip_entries_free.
///
/// GOSSIP_OK with an empty list if there is none. GOSSIP_ERR_INVALID_KEY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_get_own(
    node: gossip_node,
    key: *const c_char,
    key_len: usize,
    out: *mut *mut gossip_entries,
) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes a place for the result, a key as its length says or with a NUL, or NULL.
        unsafe {
            let place = self::out(out)?;
            let found = handle::get::<NodeObject>(node.id)?.node.get_own(self::key(key, key_len, false)?)?;
            place.put(gossip_entries::new(found.into()));
            Ok(())
        }
    })
}
