//! What surrounds every exported function: panics end here, and errors become a status and a text.

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::types::gossip_status;
use crate::error::{Error, Result, Status};

/// No message is longer, its NUL included: `GOSSIP_ERRBUF`.
pub const ERRBUF: usize = 512;

/// Runs the body of an exported function and gives its status.
pub fn guard(call: impl FnOnce() -> Result<()>) -> gossip_status {
    caught(call).map_or_else(|e| e.status().code(), |()| Status::Ok.code())
}

/// As [`guard`], and puts the message of an error into `errbuf`, where it is emptied first.
///
/// # Safety
/// `errbuf` is NULL or has room for `len` bytes.
pub unsafe fn guard_err(errbuf: *mut c_char, len: usize, call: impl FnOnce() -> Result<()>) -> gossip_status {
    // SAFETY: as promised by the caller.
    unsafe { put_message(errbuf, len, "") };
    match caught(call) {
        Ok(()) => Status::Ok.code(),
        Err(e) => {
            // SAFETY: as promised by the caller.
            unsafe { put_message(errbuf, len, e.message()) };
            e.status().code()
        }
    }
}

/// Runs the body of an accessor, which cannot fail; `neutral` is the answer should it panic.
pub fn guard_or<T>(neutral: T, call: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        std::mem::forget(payload); // its drop might panic
        neutral
    })
}

fn caught(call: impl FnOnce() -> Result<()>) -> Result<()> {
    // Nothing half-changed is looked at afterwards: what a call shares with others stands behind locks, which are
    // released, or in the handle table, which runs no foreign code while it changes.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().map(|t| t.to_string());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        std::mem::forget(payload); // its drop might panic
        let message = format!("{} ({text})", Status::Panic.text());
        Err(Error::new(Status::Panic, message))
    })
}

/// Puts the message into the buffer, cut at a character, always with a NUL.
///
/// # Safety
/// `errbuf` is NULL or has room for `len` bytes.
unsafe fn put_message(errbuf: *mut c_char, len: usize, message: &str) {
    if errbuf.is_null() || len == 0 {
        return;
    }
    let mut end = message.len().min(len.min(ERRBUF) - 1);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    // SAFETY: there is room for `len` bytes, of which the text takes less than `len` and the NUL the next; a buffer of
    // the caller's does not overlap a string of ours.
    unsafe {
        std::ptr::copy_nonoverlapping(message.as_ptr().cast::<c_char>(), errbuf, end);
        *errbuf.add(end) = 0;
        // A NUL in a message would hide the rest of it.
        for i in 0..end {
            if *errbuf.add(i) == 0 {
                *errbuf.add(i) = b'?' as c_char;
            }
        }
    }
}
