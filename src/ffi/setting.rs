//! library: version, and the table of settings

use std::ffi::{CStr, c_char};

use super::guard::guard_or;
use super::text::of_table;
use crate::config::table::{ROWS, Row};

/// The version of this interface. Exports are added and never changed while it stays the same.
pub const GOSSIP_ABI_VERSION: u32 = 1;

/// Flag of a setting: gossip_reconfigure can change it while the node is open.
pub const GOSSIP_SETTING_LIVE: u32 = 1u32;
/// Flag of a setting: its value is never shown again.
pub const GOSSIP_SETTING_SECRET: u32 = 2u32;

/// The interface's version of the library that is loaded: compare it with GOSSIP_ABI_VERSION before all else. Loading
/// the library starts nothing.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_abi_version() -> u32 {
    GOSSIP_ABI_VERSION
}

/// The version of the library that is loaded, as "1.2.3". Static.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

/// How many settings there are.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_setting_count() -> usize {
    ROWS.len()
}

/// The name of the setting at an index below gossip_setting_count(). As all functions on settings below: static, and
/// NULL past the end.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_setting_name(index: usize) -> *const c_char {
    column(index, |row| row.name)
}

/// How the setting is written: "text", "list" (commas between the items), "integer", "duration" ("300ms", "1.5s",
/// "10m", "2h"; a bare number counts milliseconds), "size" ("1400", "64KiB", "16MiB") or "choice".
#[unsafe(no_mangle)]
pub extern "C" fn gossip_setting_type(index: usize) -> *const c_char {
    column(index, |row| row.kind().name())
}

/// What a bare number counts: "ms", "bytes", or "".
#[unsafe(no_mangle)]
pub extern "C" fn gossip_setting_unit(index: usize) -> *const c_char {
    column(index, |row| row.unit)
}

/// The value of the setting when it is not set.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_setting_default(index: usize) -> *const c_char {
    column(index, |row| row.default)
}

/// What is allowed: "1..100", "10ms..1h"; of a choice, the words with spaces between them; else in words.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_setting_bounds(index: usize) -> *const c_char {
    column(index, |row| row.bounds)
}

/// What the setting is for, what zero means, what raising and lowering it costs.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_setting_text(index: usize) -> *const c_char {
    column(index, |row| row.text)
}

/// GOSSIP_SETTING_* of the setting; 0 past the end.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_setting_flags(index: usize) -> u32 {
    guard_or(0, || {
        ROWS.get(index).map_or(0, |row| {
            let flag = |set: bool, flag: u32| if set { flag } else { 0 };
            flag(row.live, GOSSIP_SETTING_LIVE) | flag(row.secret, GOSSIP_SETTING_SECRET)
        })
    })
}

fn column(index: usize, column: impl Fn(&'static Row) -> &'static CStr) -> *const c_char {
    guard_or(std::ptr::null(), || of_table(ROWS.get(index).map(column)))
}
