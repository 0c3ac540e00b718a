//! bytes

use super::guard::guard_or;
use super::text::{EMPTY, give_bytes};
use super::types::gossip_bytes;

impl gossip_bytes {
    /// A box of its own for C.
    pub(super) fn new(data: impl Into<Vec<u8>>) -> *mut gossip_bytes {
        let mut data = data.into();
        data.push(0);
        Box::into_raw(Box::new(gossip_bytes { data }))
    }
}

/// The bytes; *len (may be NULL) is their number, without the NUL that follows them. They live until gossip_bytes_free.
/// Never NULL: for NULL an empty text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_bytes_data(bytes: *const gossip_bytes, len: *mut usize) -> *const u8 {
    guard_or(EMPTY.as_ptr(), || {
        // SAFETY: the caller passes NULL or bytes of ours that were not freed, and NULL or a place for the length.
        unsafe {
            let data = bytes.as_ref().map_or(EMPTY, |b| &b.data);
            give_bytes(&data[..data.len() - 1], len)
        }
    })
}

/// Frees the bytes, once. NULL is allowed. Any thread; needs no node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_bytes_free(bytes: *mut gossip_bytes) {
    guard_or((), || {
        if !bytes.is_null() {
            // SAFETY: the caller gives back a box that a call of ours handed out, and uses it no more.
            drop(unsafe { Box::from_raw(bytes) });
        }
    });
}
