//! What surrounds every exported function: panics end here, and errors become a status and a text.

use std::ffi::c_char;

use super::types::{GOSSIP_ERRBUF, gossip_status};
use crate::error::{Error, Result, Status};
use crate::runtime::caught;

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
    caught::caught(call).unwrap_or(neutral)
}

fn caught(call: impl FnOnce() -> Result<()>) -> Result<()> {
    // Nothing half-changed is looked at afterwards: what a call shares with others stands behind locks, which are
    // released, or in the handle table, which runs no foreign code while it changes.
    caught::caught(call)
        .unwrap_or_else(|text| Err(Error::new(Status::Panic, format!("{} ({text})", Status::Panic.text()))))
}

/// Puts the message into the buffer, cut at a character, always with a NUL.
///
/// # Safety
/// `errbuf` is NULL or has room for `len` bytes.
unsafe fn put_message(errbuf: *mut c_char, len: usize, message: &str) {
    if errbuf.is_null() || len == 0 {
        return;
    }
    let mut end = message.len().min(len.min(GOSSIP_ERRBUF) - 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What lies in a buffer of `len` bytes, and what lay behind it before, after a failed call.
    fn message_in(len: usize, message: &str) -> (i32, Vec<u8>) {
        let mut buffer = vec![0x55u8; len + 4];
        // SAFETY: there is room for `len` bytes.
        let status = unsafe { guard_err(buffer.as_mut_ptr().cast(), len, || Err(Error::new(Status::Limit, message))) };
        assert_eq!(&buffer[len..], [0x55; 4], "written beyond the buffer");
        buffer.truncate(len);
        (status, buffer)
    }

    fn text(buffer: &[u8]) -> &str {
        std::str::from_utf8(buffer.split(|b| *b == 0).next().unwrap()).unwrap()
    }

    #[test]
    fn a_panic_becomes_a_status_and_a_message() {
        let mut buffer = [0x55u8; GOSSIP_ERRBUF];
        // SAFETY: the length is the buffer's.
        let status = unsafe { guard_err(buffer.as_mut_ptr().cast(), buffer.len(), || panic!("number {}", 7)) };
        assert_eq!(status, Status::Panic.code());
        assert!(text(&buffer).contains("number 7"), "{}", text(&buffer));
        assert_eq!(guard(|| panic!("static")), Status::Panic.code());
        assert_eq!(guard_or(-1, || panic!("static")), -1);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_not_dropped() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        assert_eq!(guard(|| std::panic::panic_any(Bomb)), Status::Panic.code());
        assert_eq!(guard_or(3, || std::panic::panic_any(Bomb)), 3);
    }

    #[test]
    fn messages_are_cut_at_a_character_and_always_end() {
        let (status, buffer) = message_in(6, "größer");
        assert_eq!((status, text(&buffer)), (Status::Limit.code(), "grö"));
        assert_eq!(text(&message_in(7, "größer").1), "größ");
        assert_eq!(text(&message_in(100, "größer").1), "größer");
        assert_eq!(text(&message_in(1, "größer").1), "");
        assert_eq!(text(&message_in(2000, &"x".repeat(2000)).1).len(), GOSSIP_ERRBUF - 1);
        assert_eq!(text(&message_in(20, "a\0b").1), "a?b");
        message_in(0, "nothing is written");
    }

    #[test]
    fn success_empties_the_buffer_and_no_buffer_is_fine() {
        let mut buffer = *b"old";
        // SAFETY: the length is the buffer's.
        assert_eq!(unsafe { guard_err(buffer.as_mut_ptr().cast(), 3, || Ok(())) }, 0);
        assert_eq!(buffer[0], 0);
        let fail = || Err(Status::Limit.into());
        // SAFETY: NULL needs no room.
        assert_eq!(unsafe { guard_err(std::ptr::null_mut(), 0, fail) }, Status::Limit.code());
        // SAFETY: as before.
        assert_eq!(unsafe { guard_err(std::ptr::null_mut(), 10, fail) }, Status::Limit.code());
    }
}
