//! statuses: 0 is success, errors are negative; numbers are never changed or reused

use std::ffi::c_char;

use super::guard::guard_or;
use super::text::of_table;
use super::types::gossip_status;
use crate::error::Status;

/// The call succeeded.
pub const GOSSIP_OK: gossip_status = 0;
/// An argument is NULL where none may be, is not UTF-8, or is out of range.
pub const GOSSIP_ERR_INVALID_ARGUMENT: gossip_status = -1;
/// The id is 0, names another kind of object, or was never handed out.
pub const GOSSIP_ERR_INVALID_HANDLE: gossip_status = -2;
/// The object was closed before or during the call.
pub const GOSSIP_ERR_CLOSED: gossip_status = -3;
/// What was waited for did not happen in time.
pub const GOSSIP_ERR_TIMEOUT: gossip_status = -4;
/// There is nothing by that name.
pub const GOSSIP_ERR_NOT_FOUND: gossip_status = -5;
/// No setting has that name.
pub const GOSSIP_ERR_UNKNOWN_SETTING: gossip_status = -6;
/// The value does not fit the setting, or contradicts another setting.
pub const GOSSIP_ERR_BAD_SETTING: gossip_status = -7;
/// The setting cannot change once the node is open.
pub const GOSSIP_ERR_NOT_LIVE: gossip_status = -8;
/// Keys that begin with "cluster:" are the library's own.
pub const GOSSIP_ERR_RESERVED_KEY: gossip_status = -9;
/// A key is 1 to 255 bytes of UTF-8.
pub const GOSSIP_ERR_INVALID_KEY: gossip_status = -10;
/// The value is larger than max_value_size.
pub const GOSSIP_ERR_VALUE_TOO_LARGE: gossip_status = -11;
/// The node's state would exceed max_keys_per_member or max_state_size_per_member.
pub const GOSSIP_ERR_LIMIT: gossip_status = -12;
/// Another thread is taking from this queue.
pub const GOSSIP_ERR_BUSY: gossip_status = -13;
/// A waiting call was made inside a callback that it would wait for; use the _nowait form.
pub const GOSSIP_ERR_WOULD_DEADLOCK: gossip_status = -14;
/// The id belongs to the process that this one was forked from.
pub const GOSSIP_ERR_FORKED: gossip_status = -15;
/// The address could not be bound.
pub const GOSSIP_ERR_BIND: gossip_status = -16;
/// No address could be chosen for others to reach this node at; set advertise.
pub const GOSSIP_ERR_ADVERTISE: gossip_status = -17;
/// A later process has taken over this node's member id.
pub const GOSSIP_ERR_ID_TAKEN: gossip_status = -18;
/// The node has left the cluster.
pub const GOSSIP_ERR_LEFT: gossip_status = -19;
/// The node is banned from the cluster.
pub const GOSSIP_ERR_BANNED: gossip_status = -20;
/// The value is of another type than was asked for.
pub const GOSSIP_ERR_WRONG_TYPE: gossip_status = -21;
/// This platform or build cannot do that.
pub const GOSSIP_ERR_NOT_SUPPORTED: gossip_status = -22;
/// Memory, threads or file descriptors are used up.
pub const GOSSIP_ERR_NO_RESOURCES: gossip_status = -23;
/// A bug in the library was caught before it could harm the program; please report it.
pub const GOSSIP_ERR_PANIC: gossip_status = -24;
/// The node's task has died; close the node and open a new one.
pub const GOSSIP_ERR_FAILED: gossip_status = -25;
/// gossip_queue_wake ended the wait.
pub const GOSSIP_ERR_INTERRUPTED: gossip_status = -26;

/// How many statuses there are. Bindings walk them to make their own errors.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_status_count() -> usize {
    Status::ALL.len()
}

/// The status at an index below gossip_status_count(); 0 past the end (at index 0 it is GOSSIP_OK).
#[unsafe(no_mangle)]
pub extern "C" fn gossip_status_at(index: usize) -> gossip_status {
    guard_or(GOSSIP_OK, || Status::ALL.get(index).map_or(GOSSIP_OK, |s| s.code()))
}

/// The name of a status, as "GOSSIP_ERR_TIMEOUT"; "GOSSIP_ERR_UNKNOWN" for a number that is none. Static, never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_status_name(status: gossip_status) -> *const c_char {
    guard_or(c"".as_ptr(), || of_table(Some(Status::from_code(status).map_or(c"GOSSIP_ERR_UNKNOWN", Status::c_name))))
}

/// What a status means, as a sentence. Static, never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_status_text(status: gossip_status) -> *const c_char {
    let unknown = c"A status that this version of the library does not know.";
    guard_or(c"".as_ptr(), || of_table(Some(Status::from_code(status).map_or(unknown, Status::c_text))))
}

/// 1 if the same call may succeed later without the caller changing anything, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_status_can_retry(status: gossip_status) -> i32 {
    guard_or(0, || Status::from_code(status).is_some_and(Status::can_retry).into())
}
