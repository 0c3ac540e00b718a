//! Statuses and errors: one table, from which the C constants, the documentation and the bindings' errors come.

use std::ffi::CStr;
use std::fmt;

/// One row of the status table.
struct Row {
    name: &'static CStr,
    text: &'static CStr,
    can_retry: bool,
}

macro_rules! statuses {
    ($($variant:ident = $code:literal, $name:literal, $retry:literal, $text:literal;)*) => {
        /// How a call ended. The numbers are those of the C header: explicit, never reused, never changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        #[allow(missing_docs)] // the sentence of each stands in its row, `Status::text`
        pub enum Status { $($variant = $code,)* }

        impl Status {
            /// Every status, in the order of the table.
            pub const ALL: &'static [Status] = &[$(Status::$variant,)*];

            fn row(self) -> Row {
                match self { $(Status::$variant => Row { name: $name, text: $text, can_retry: $retry },)* }
            }
        }
    };
}

// Append only: numbers and names are part of the ABI.
statuses! {
    Ok = 0, c"GOSSIP_OK", false, c"The call succeeded.";
    InvalidArgument = -1, c"GOSSIP_ERR_INVALID_ARGUMENT", false, c"An argument is NULL where none may be, is not UTF-8, or is out of range.";
    InvalidHandle = -2, c"GOSSIP_ERR_INVALID_HANDLE", false, c"The id is 0, names another kind of object, or was never handed out.";
    Closed = -3, c"GOSSIP_ERR_CLOSED", false, c"The object was closed before or during the call.";
    Timeout = -4, c"GOSSIP_ERR_TIMEOUT", true, c"What was waited for did not happen in time.";
    NotFound = -5, c"GOSSIP_ERR_NOT_FOUND", false, c"There is nothing by that name.";
    UnknownSetting = -6, c"GOSSIP_ERR_UNKNOWN_SETTING", false, c"No setting has that name.";
    BadSetting = -7, c"GOSSIP_ERR_BAD_SETTING", false, c"The value does not fit the setting, or contradicts another setting.";
    NotLive = -8, c"GOSSIP_ERR_NOT_LIVE", false, c"The setting cannot change once the node is open.";
    ReservedKey = -9, c"GOSSIP_ERR_RESERVED_KEY", false, c"Keys that begin with \"cluster:\" are the library's own.";
    InvalidKey = -10, c"GOSSIP_ERR_INVALID_KEY", false, c"A key is 1 to 255 bytes of UTF-8.";
    ValueTooLarge = -11, c"GOSSIP_ERR_VALUE_TOO_LARGE", false, c"The value is larger than max_value_size.";
    Limit = -12, c"GOSSIP_ERR_LIMIT", true, c"The node's state would exceed max_keys_per_member or max_state_size_per_member.";
    Busy = -13, c"GOSSIP_ERR_BUSY", true, c"Another thread is taking from this queue.";
    WouldDeadlock = -14, c"GOSSIP_ERR_WOULD_DEADLOCK", false, c"A waiting call was made inside a callback that it would wait for; use the _nowait form.";
    Forked = -15, c"GOSSIP_ERR_FORKED", false, c"The id belongs to the process that this one was forked from.";
    Bind = -16, c"GOSSIP_ERR_BIND", true, c"The address could not be bound.";
    Advertise = -17, c"GOSSIP_ERR_ADVERTISE", false, c"No address could be chosen for others to reach this node at; set advertise.";
    IdTaken = -18, c"GOSSIP_ERR_ID_TAKEN", false, c"A later process has taken over this node's member id.";
    Left = -19, c"GOSSIP_ERR_LEFT", false, c"The node has left the cluster.";
    Banned = -20, c"GOSSIP_ERR_BANNED", true, c"The node is banned from the cluster.";
    WrongType = -21, c"GOSSIP_ERR_WRONG_TYPE", false, c"The value is of another type than was asked for.";
    NotSupported = -22, c"GOSSIP_ERR_NOT_SUPPORTED", false, c"This platform or build cannot do that.";
    NoResources = -23, c"GOSSIP_ERR_NO_RESOURCES", true, c"Memory, threads or file descriptors are used up.";
    Panic = -24, c"GOSSIP_ERR_PANIC", false, c"A bug in the library was caught before it could harm the program; please report it.";
    Failed = -25, c"GOSSIP_ERR_FAILED", false, c"The node's task has died; close the node and open a new one.";
    Interrupted = -26, c"GOSSIP_ERR_INTERRUPTED", true, c"gossip_queue_wake ended the wait.";
}

impl Status {
    /// The number.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status with this number.
    pub fn from_code(code: i32) -> Option<Status> {
        Status::ALL.iter().copied().find(|s| s.code() == code)
    }

    /// The name of its C constant.
    pub fn c_name(self) -> &'static CStr {
        self.row().name
    }

    /// The name of its C constant.
    pub fn name(self) -> &'static str {
        self.row().name.to_str().unwrap_or("")
    }

    /// What it means, as a sentence.
    pub fn c_text(self) -> &'static CStr {
        self.row().text
    }

    /// What it means, as a sentence.
    pub fn text(self) -> &'static str {
        self.row().text.to_str().unwrap_or("")
    }

    /// Whether the same call may succeed later without the caller changing anything.
    pub fn can_retry(self) -> bool {
        self.row().can_retry
    }
}

/// A status with what was wrong, with which value, and what to do.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    status: Status,
    message: String,
}

impl Error {
    /// An error; `message` is a sentence or two for people.
    pub fn new(status: Status, message: impl Into<String>) -> Error {
        Error { status, message: message.into() }
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What was wrong, in words.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Error {
        Error::new(status, status.text())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.name(), self.message)
    }
}

impl std::error::Error for Error {}

/// A text of the host's for an error message: in quotes, what cannot be printed escaped, and cut if it is long, so that
/// what is to be said about it still fits a buffer of 512 bytes.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 100;
    let mut out = String::from("\"");
    for c in text.chars() {
        let before = out.len();
        match c {
            // Escaped where a single character is shown, not in a text.
            '\'' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
        if out.len() > MOST {
            out.truncate(before);
            return out + "\"...";
        }
    }
    out + "\""
}

/// What calls of this crate answer.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shown_in_quotes_escaped_and_cut() {
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown("it's 5 µs"), "\"it's 5 µs\"");
        assert_eq!(shown("a\0\"\n"), "\"a\\0\\\"\\n\"");
        assert_eq!(shown(&"x".repeat(99)), format!("\"{}\"", "x".repeat(99)));
        assert_eq!(shown(&"x".repeat(100)), format!("\"{}\"...", "x".repeat(99)));
        for wide in ["\u{1}", "\u{e0001}", "é", "\u{10ffff}"] {
            assert!(shown(&wide.repeat(1000)).len() < 110);
        }
    }
}
