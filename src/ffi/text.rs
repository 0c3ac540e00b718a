//! Texts and bytes handed out: a pointer, a length where one is wanted, and a NUL behind.

use std::ffi::{CStr, c_char};

/// A text of ours with a NUL behind it, which does not count.
pub struct Text(Box<[u8]>);

impl Text {
    /// Copies the text.
    pub fn new(text: &str) -> Text {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        Text(bytes.into())
    }

    /// The text with its NUL.
    pub fn with_nul(&self) -> &[u8] {
        &self.0
    }
}

/// What accessors give for nothing.
pub const EMPTY: &[u8] = b"\0";

/// Hands out a text that ends with a NUL.
///
/// # Safety
/// `len` is NULL or points to a place for a length.
pub unsafe fn give(with_nul: &[u8], len: *mut usize) -> *const c_char {
    // SAFETY: as promised by the caller.
    unsafe { put_len(len, with_nul.len().saturating_sub(1)) };
    with_nul.as_ptr().cast()
}

/// Hands out bytes; no bytes are those before the NUL of an empty text.
///
/// # Safety
/// `len` is NULL or points to a place for a length.
pub unsafe fn give_bytes(bytes: &[u8], len: *mut usize) -> *const u8 {
    // SAFETY: as promised by the caller.
    unsafe { put_len(len, bytes.len()) };
    if bytes.is_empty() { EMPTY.as_ptr() } else { bytes.as_ptr() }
}

/// Writes a length where it is wanted.
///
/// # Safety
/// `len` is NULL or points to a place for a length.
pub unsafe fn put_len(len: *mut usize, value: usize) {
    if !len.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { len.write(value) };
    }
}

/// Hands out a text of the tables, NULL where there is none.
pub fn of_table(text: Option<&'static CStr>) -> *const c_char {
    text.map_or(std::ptr::null(), CStr::as_ptr)
}
