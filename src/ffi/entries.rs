//! entries

use std::ffi::c_char;
use std::sync::OnceLock;

use super::guard::{guard, guard_or};
use super::input::{invalid, out};
use super::text::{EMPTY, give, give_bytes, put_len};
use super::types::{gossip_entries, gossip_entry, gossip_status};
use crate::error::{Error, Result, Status};
use crate::store::event::EntryView;
use crate::store::pack;
use crate::wire::value::{self, Plain};

/// Kind of value: none, in the event of a deleted entry.
pub const GOSSIP_VALUE_NONE: i32 = 0;
/// Kind of value: plain bytes; the type URL is empty.
pub const GOSSIP_VALUE_BYTES: i32 = 1;
/// Kind of value: google.protobuf.StringValue.
pub const GOSSIP_VALUE_TEXT: i32 = 2;
/// Kind of value: google.protobuf.BoolValue.
pub const GOSSIP_VALUE_BOOL: i32 = 3;
/// Kind of value: google.protobuf.Int64Value, or another integer wrapper whose number fits.
pub const GOSSIP_VALUE_INT: i32 = 4;
/// Kind of value: google.protobuf.DoubleValue or FloatValue.
pub const GOSSIP_VALUE_DOUBLE: i32 = 5;
/// Kind of value: a message of any other type URL.
pub const GOSSIP_VALUE_MESSAGE: i32 = 6;

/// What is in a list: one entry needs no allocation of its own.
pub enum Views {
    /// Exactly one.
    One(EntryView),
    /// Any number.
    Many(Vec<EntryView>),
}

impl From<Option<EntryView>> for Views {
    fn from(found: Option<EntryView>) -> Views {
        found.map_or(Views::Many(Vec::new()), Views::One)
    }
}

impl gossip_entries {
    /// A box of its own for C.
    pub(super) fn new(views: Views) -> *mut gossip_entries {
        Box::into_raw(Box::new(gossip_entries { views, packed: OnceLock::new() }))
    }

    fn views(&self) -> &[EntryView] {
        match &self.views {
            Views::One(view) => std::slice::from_ref(view),
            Views::Many(views) => views,
        }
    }
}

impl gossip_entry {
    /// What is handed to C for this entry.
    pub(super) fn of(view: &EntryView) -> *const gossip_entry {
        std::ptr::from_ref(view).cast()
    }
}

/// How many entries there are; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entries_len(entries: *const gossip_entries) -> usize {
    // SAFETY: the caller passes NULL or a list of ours that was not freed.
    guard_or(0, || unsafe { entries.as_ref() }.map_or(0, |list| list.views().len()))
}

/// The entry at an index; NULL past the end. It lives as long as the list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entries_at(entries: *const gossip_entries, index: usize) -> *const gossip_entry {
    guard_or(std::ptr::null(), || {
        // SAFETY: the caller passes NULL or a list of ours that was not freed.
        let view = unsafe { entries.as_ref() }.and_then(|list| list.views().get(index));
        view.map_or(std::ptr::null(), gossip_entry::of)
    })
}

/// The whole list as one run of bytes, for bindings: docs/events.md has the form. Lives as long as the list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entries_packed(entries: *const gossip_entries, len: *mut usize) -> *const u8 {
    guard_or(EMPTY.as_ptr(), || {
        // SAFETY: the caller passes NULL or a list of ours that was not freed, and NULL or a place for the length.
        unsafe {
            let list = entries.as_ref().map(|list| list.packed.get_or_init(|| pack::pack_entries(list.views())));
            give_bytes(list.map_or(&[], |bytes| bytes.as_slice()), len)
        }
    })
}

/// Frees the list, once. NULL is allowed. Any thread; needs no node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entries_free(entries: *mut gossip_entries) {
    guard_or((), || {
        if !entries.is_null() {
            // SAFETY: the caller gives back a box that a call of ours handed out, and uses it no more.
            drop(unsafe { Box::from_raw(entries) });
        }
    });
}

/// # Safety
/// `entry` is NULL or what [`gossip_entry::of`] made of a view that still lives.
unsafe fn view<'a>(entry: *const gossip_entry) -> Option<&'a EntryView> {
    // SAFETY: as promised by the caller.
    unsafe { entry.cast::<EntryView>().as_ref() }
}

/// A text of an entry; an empty one for NULL.
///
/// # Safety
/// As [`view`]; `len` is NULL or points to a place for a length.
unsafe fn text_of<'a>(
    entry: *const gossip_entry,
    len: *mut usize,
    with_nul: impl FnOnce(&'a EntryView) -> &'a [u8],
) -> *const c_char {
    // SAFETY: as promised by the caller.
    guard_or(EMPTY.as_ptr().cast(), || unsafe { give(view(entry).map_or(EMPTY, with_nul), len) })
}

/// The id of the member whose entry it is. *len (may be NULL) is without the NUL that follows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_member(entry: *const gossip_entry, len: *mut usize) -> *const c_char {
    // SAFETY: the caller passes NULL or an entry that lives, and NULL or a place for the length.
    unsafe { text_of(entry, len, |v| v.entry.head().life.id.with_nul().as_bytes()) }
}

/// The key. *len (may be NULL) is without the NUL that follows; a key may hold NULs of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_key(entry: *const gossip_entry, len: *mut usize) -> *const c_char {
    // SAFETY: as in gossip_entry_member.
    unsafe { text_of(entry, len, |v| v.entry.key_with_nul()) }
}

/// The type URL, empty for plain bytes. *len (may be NULL) is without the NUL that follows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_type_url(entry: *const gossip_entry, len: *mut usize) -> *const c_char {
    // SAFETY: as in gossip_entry_member.
    unsafe { text_of(entry, len, |v| v.entry.head().type_url.with_nul()) }
}

/// The value as it was set with gossip_set; of plain values, their encoding. Never NULL. *len (may be NULL) is without
/// the NUL that follows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_value(entry: *const gossip_entry, len: *mut usize) -> *const u8 {
    guard_or(EMPTY.as_ptr(), || {
        // SAFETY: as in gossip_entry_member.
        unsafe { give_bytes(view(entry).map_or(&EMPTY[..0], |v| v.entry.value()), len) }
    })
}

fn plain(view: &EntryView) -> Plain<'_> {
    let entry = &view.entry;
    value::read(entry.type_url(), entry.value(), entry.head().deleted)
}

/// What the value is: GOSSIP_VALUE_*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_value_kind(entry: *const gossip_entry) -> i32 {
    // SAFETY: as in gossip_entry_member.
    guard_or(GOSSIP_VALUE_NONE, || unsafe { view(entry) }.map_or(GOSSIP_VALUE_NONE, |v| plain(v).kind()))
}

/// The text of a value of kind GOSSIP_VALUE_TEXT: UTF-8, *len bytes; no NUL follows it. NULL if it is of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_text(entry: *const gossip_entry, len: *mut usize) -> *const c_char {
    guard_or(std::ptr::null(), || {
        // SAFETY: as in gossip_entry_member.
        unsafe {
            match view(entry).map(plain) {
                Some(Plain::Text(text)) => give_bytes(text.as_bytes(), len).cast(),
                _ => {
                    put_len(len, 0);
                    std::ptr::null()
                }
            }
        }
    })
}

/// Reads a scalar; `pick` gives it where the value is of the right kind.
///
/// # Safety
/// As [`view`]; `place` is NULL or points to a place for the result.
unsafe fn scalar<T>(
    entry: *const gossip_entry,
    place: *mut T,
    pick: impl FnOnce(Plain<'_>) -> Option<T>,
) -> gossip_status {
    guard(|| {
        // SAFETY: as promised by the caller.
        let (place, view) = unsafe { (out(place)?, view(entry)) };
        let view = view.ok_or_else(|| invalid("the entry is NULL"))?;
        let value: Result<T> = pick(plain(view)).ok_or_else(|| Error::from(Status::WrongType));
        place.put(value?);
        Ok(())
    })
}

/// A value of kind GOSSIP_VALUE_BOOL: 0 or 1. GOSSIP_ERR_WRONG_TYPE if it is of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_bool(entry: *const gossip_entry, out: *mut i32) -> gossip_status {
    let pick = |plain: Plain<'_>| if let Plain::Bool(value) = plain { Some(i32::from(value)) } else { None };
    // SAFETY: the caller passes NULL or an entry that lives, and NULL or a place for the result.
    unsafe { scalar(entry, out, pick) }
}

/// A value of kind GOSSIP_VALUE_INT. GOSSIP_ERR_WRONG_TYPE if it is of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_int(entry: *const gossip_entry, out: *mut i64) -> gossip_status {
    let pick = |plain: Plain<'_>| if let Plain::Int(value) = plain { Some(value) } else { None };
    // SAFETY: as in gossip_entry_bool.
    unsafe { scalar(entry, out, pick) }
}

/// A value of kind GOSSIP_VALUE_DOUBLE. GOSSIP_ERR_WRONG_TYPE if it is of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_double(entry: *const gossip_entry, out: *mut f64) -> gossip_status {
    let pick = |plain: Plain<'_>| if let Plain::Double(value) = plain { Some(value) } else { None };
    // SAFETY: as in gossip_entry_bool.
    unsafe { scalar(entry, out, pick) }
}

/// The sequence number: from 1 in each life of the member, higher with each of its sets and deletes; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_seq(entry: *const gossip_entry) -> u64 {
    // SAFETY: as in gossip_entry_member.
    guard_or(0, || unsafe { view(entry) }.map_or(0, |v| v.entry.seq()))
}

/// The generation of the member that set it: a later start of the same id has a higher one; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_generation(entry: *const gossip_entry) -> u64 {
    // SAFETY: as in gossip_entry_member.
    guard_or(0, || unsafe { view(entry) }.map_or(0, |v| v.entry.head().life.generation))
}

/// How long ago this node received (or set) the entry when it was read, in milliseconds; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_age_ms(entry: *const gossip_entry) -> i64 {
    guard_or(0, || {
        // SAFETY: as in gossip_entry_member.
        let age = unsafe { view(entry) }.map_or(0, |v| v.read_at.millis_since(v.entry.head().received));
        i64::try_from(age).unwrap_or(i64::MAX)
    })
}

/// The member's status when the entry was read: GOSSIP_MEMBER_*; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_entry_member_status(entry: *const gossip_entry) -> i32 {
    // SAFETY: as in gossip_entry_member.
    guard_or(0, || unsafe { view(entry) }.map_or(0, |v| v.status.code()))
}
