//! Arguments: pointers and numbers from C, checked, as Rust types.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use super::types::GOSSIP_NUL;
use crate::error::{Error, Result, Status};

/// Longest id, key, name of a setting and type URL, in bytes.
pub const MAX_NAME: usize = 255;

/// Longest text of settings for `gossip_open_text`, in bytes.
pub const MAX_SETTINGS: usize = 1 << 20;

/// `InvalidArgument` in words.
pub fn invalid(message: impl Into<String>) -> Error {
    Error::new(Status::InvalidArgument, message)
}

/// The place that a result is written to.
///
/// # Safety
/// `out` is NULL or points to a place for a `T`, which nobody else uses during the call.
pub unsafe fn out<'a, T>(out: *mut T) -> Result<Out<'a, T>> {
    // SAFETY: as promised by the caller. The place may hold anything, so it is only ever written.
    let place = unsafe { out.cast::<std::mem::MaybeUninit<T>>().as_mut() };
    place.map(Out).ok_or_else(|| invalid("the pointer for the result is NULL"))
}

/// See [`out`].
pub struct Out<'a, T>(&'a mut std::mem::MaybeUninit<T>);

impl<T> Out<'_, T> {
    /// Writes the result: the last thing that a call does.
    pub fn put(self, value: T) {
        self.0.write(value);
    }
}

/// A text that ends at its NUL, of at most `max` bytes; `what` names it in errors.
///
/// # Safety
/// `text` is NULL or points to bytes that end with a NUL and stay as they are during the call.
pub unsafe fn text<'a>(what: &str, text: *const c_char, max: usize) -> Result<&'a str> {
    // SAFETY: as promised by the caller.
    unsafe { optional_text(what, text, max) }?.ok_or_else(|| invalid(format!("{what} is NULL")))
}

/// As [`text()`], and `None` for NULL.
///
/// # Safety
/// As [`text()`].
pub unsafe fn optional_text<'a>(what: &str, text: *const c_char, max: usize) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the bytes are there up to the NUL, and no further ones are read.
    let bytes = unsafe { until_nul(text, max) }
        .ok_or_else(|| invalid(format!("{what} is longer than {max} bytes, or its NUL is missing")))?;
    utf8(what, bytes).map(Some)
}

/// The bytes before the NUL; `None` if there are more than `max`.
///
/// # Safety
/// `text` points to bytes that end with a NUL and stay as they are during the call.
unsafe fn until_nul<'a>(text: *const c_char, max: usize) -> Option<&'a [u8]> {
    // SAFETY: each byte is read only after those before it were not the NUL.
    let len = (0..=max).find(|i| unsafe { *text.add(*i) } == 0)?;
    // SAFETY: `len` bytes were just read.
    Some(unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) })
}

fn utf8<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|e| invalid(format!("{what} is not UTF-8 at byte {}", e.valid_up_to())))
}

/// Bytes with a length; NULL with length 0 is empty.
///
/// # Safety
/// `data` is NULL or points to `len` bytes that stay as they are during the call.
pub unsafe fn bytes<'a>(what: &str, data: *const c_void, len: usize) -> Result<&'a [u8]> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(invalid(format!("{what} is NULL and its length is {len}"))),
        (_, len) if isize::try_from(len).is_err() => Err(invalid(format!("{what} cannot be {len} bytes long"))),
        // SAFETY: not NULL, and of a length that memory can have.
        _ => Ok(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) }),
    }
}

/// A text with a length, or with [`GOSSIP_NUL`] as its length.
///
/// # Safety
/// As [`bytes`]; with [`GOSSIP_NUL`] as [`text()`].
pub unsafe fn sized_text<'a>(what: &str, data: *const c_char, len: usize, max: usize) -> Result<&'a str> {
    if len == GOSSIP_NUL {
        // SAFETY: as promised by the caller.
        return unsafe { text(what, data, max) };
    }
    // SAFETY: as promised by the caller.
    utf8(what, unsafe { bytes(what, data.cast::<c_void>(), len) }?)
}

/// A key, or with `prefix` the beginning of one, which may be empty.
///
/// # Safety
/// As [`sized_text`].
pub unsafe fn key<'a>(data: *const c_char, len: usize, prefix: bool) -> Result<&'a str> {
    let found = if len == GOSSIP_NUL {
        if data.is_null() {
            return Err(invalid("key is NULL"));
        }
        // SAFETY: as promised by the caller, and not NULL.
        unsafe { until_nul(data, MAX_NAME) }
    } else {
        // SAFETY: as promised by the caller.
        Some(unsafe { bytes("key", data.cast::<c_void>(), len) }?)
    };
    let wrong = |message: String| Error::new(Status::InvalidKey, message);
    match found {
        Some(key) if key.len() <= MAX_NAME && (prefix || !key.is_empty()) => {
            std::str::from_utf8(key).map_err(|e| wrong(format!("the key is not UTF-8 at byte {}", e.valid_up_to())))
        }
        Some([]) => Err(wrong("the key is empty".into())),
        Some(key) => Err(wrong(format!("the key has {} bytes; at most {MAX_NAME} are allowed", key.len()))),
        None => Err(wrong(format!("the key is longer than {MAX_NAME} bytes, or its NUL is missing"))),
    }
}

/// A member's id; `None` for NULL.
///
/// # Safety
/// As [`text()`].
pub unsafe fn member<'a>(id: *const c_char) -> Result<Option<&'a str>> {
    // SAFETY: as promised by the caller.
    match unsafe { optional_text("member", id, MAX_NAME) }? {
        Some("") => Err(invalid("member is empty; NULL stands for all")),
        id => Ok(id),
    }
}

/// A timeout in milliseconds; `None` is for ever.
pub fn timeout(ms: i32) -> Result<Option<Duration>> {
    match ms {
        -1 => Ok(None),
        0.. => Ok(Some(Duration::from_millis(u64::from(ms.unsigned_abs())))),
        _ => Err(invalid(format!("a timeout of {ms} ms; -1 is for ever, 0 does not wait"))),
    }
}

/// A time to live in milliseconds; 0 is none.
pub fn ttl(ms: i64) -> Result<Option<Duration>> {
    match u64::try_from(ms) {
        Ok(0) => Ok(None),
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) => Err(invalid(format!("a time to live of {ms} ms; 0 is none"))),
    }
}

/// Flags of which only those in `known` may be set.
pub fn flags(flags: u32, known: u32) -> Result<u32> {
    match flags & !known {
        0 => Ok(flags),
        unknown => Err(invalid(format!("unknown flags 0x{unknown:x}"))),
    }
}
