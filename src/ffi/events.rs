//! events: what a queue gives and a callback is shown

use std::ffi::c_char;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::guard::guard_or;
use super::text::{EMPTY, Text, give, give_bytes};
use super::types::{gossip_entry, gossip_event, gossip_events, gossip_member};
use crate::store::event::Event;
use crate::store::pack;

/// An entry was set, for the first time or again.
pub const GOSSIP_EVENT_ENTRY_CHANGED: u32 = 0x1u32;
/// An entry was deleted, or its time to live is over.
pub const GOSSIP_EVENT_ENTRY_DELETED: u32 = 0x2u32;
/// A member's entry is beyond this node's limits and not kept here; the text says why.
pub const GOSSIP_EVENT_ENTRY_REFUSED: u32 = 0x4u32;
/// A member is there; comes before its first entry.
pub const GOSSIP_EVENT_MEMBER_JOINED: u32 = 0x10u32;
/// A member may be gone.
pub const GOSSIP_EVENT_MEMBER_SUSPECTED: u32 = 0x20u32;
/// A member is alive again, after suspicion or death.
pub const GOSSIP_EVENT_MEMBER_ALIVE: u32 = 0x40u32;
/// A member was declared gone without having said so.
pub const GOSSIP_EVENT_MEMBER_DEAD: u32 = 0x80u32;
/// A member has left.
pub const GOSSIP_EVENT_MEMBER_LEFT: u32 = 0x100u32;
/// A member was started anew: same id, new generation.
pub const GOSSIP_EVENT_MEMBER_RESTARTED: u32 = 0x200u32;
/// A member's tags or address have changed.
pub const GOSSIP_EVENT_MEMBER_UPDATED: u32 = 0x400u32;
/// A member was banned: nothing is told of its entries until that is lifted.
pub const GOSSIP_EVENT_MEMBER_BANNED: u32 = 0x800u32;
/// A member is no longer banned. What has become different of its entries meanwhile follows; a subscription made meanwhile is told
/// of all, and may be told that a key is gone which it never saw.
pub const GOSSIP_EVENT_MEMBER_UNBANNED: u32 = 0x1000u32;
/// A member's state is gone from this node; comes after its last entry.
pub const GOSSIP_EVENT_MEMBER_REMOVED: u32 = 0x2000u32;
/// The node's state; code: GOSSIP_STATE_*, text: why.
pub const GOSSIP_EVENT_NODE_STATE: u32 = 0x10000u32;
/// This node has once been equal to a peer, or is alone without seeds: its view can be trusted.
pub const GOSSIP_EVENT_SYNCED: u32 = 0x20000u32;
/// Reserved.
pub const GOSSIP_EVENT_CONSENSUS: u32 = 0x40000u32;
/// Who is here has changed, and has stayed the same for a second; code: how many members, this node included; text: 16 hex digits,
/// which are the same at every member that sees the same members.
pub const GOSSIP_EVENT_TOPOLOGY: u32 = 0x80000u32;
/// Something is wrong that nobody would notice; code: a status, text: in words. Rate-limited.
pub const GOSSIP_EVENT_WARNING: u32 = 0x100000u32;
/// A log line; code: GOSSIP_LOG_*, with target and text. See the setting log_level.
pub const GOSSIP_EVENT_LOG: u32 = 0x200000u32;
/// All that existed has come. Comes unasked where GOSSIP_SUB_INITIAL was given.
pub const GOSSIP_EVENT_INITIAL_DONE: u32 = 0x10000000u32;
/// The node was closed, the subscription has ended. Comes unasked.
pub const GOSSIP_EVENT_CLOSED: u32 = 0x20000000u32;
/// Mask: all events of entries.
pub const GOSSIP_EVENTS_ENTRIES: u32 = 0x7u32;
/// Mask: all events of members.
pub const GOSSIP_EVENTS_MEMBERS: u32 = 0x3ff0u32;
/// Mask: all events of the node itself.
pub const GOSSIP_EVENTS_NODE: u32 = 0xf0000u32;
/// Mask: entries, members and node; not warnings and log lines.
pub const GOSSIP_EVENTS_ALL: u32 = 0xfffffu32;

/// Level of a log line: something failed that the host should know of.
pub const GOSSIP_LOG_ERROR: i32 = 1;
/// Level of a log line: something is wrong but the node goes on.
pub const GOSSIP_LOG_WARN: i32 = 2;
/// Level of a log line: opened, joined, left.
pub const GOSSIP_LOG_INFO: i32 = 3;
/// Level of a log line: single decisions of the protocol.
pub const GOSSIP_LOG_DEBUG: i32 = 4;
/// Level of a log line: each packet.
pub const GOSSIP_LOG_TRACE: i32 = 5;

/// What an event needs to hand out its parts, made when one is first asked for.
pub struct Texts {
    text: Option<Text>,
    target: Option<Text>,
    member: Option<gossip_member>,
}

/// An event as C is shown it; lives no longer than `event`.
pub(super) fn show(event: &Event) -> gossip_event {
    gossip_event { event: NonNull::from(event), texts: OnceLock::new() }
}

impl gossip_event {
    fn event(&self) -> &Event {
        // SAFETY: `show` made it of an event that lives longer and is not changed.
        unsafe { self.event.as_ref() }
    }

    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| {
            let event = self.event();
            Box::new(Texts {
                text: event.text.as_deref().map(Text::new),
                target: event.target.as_deref().map(Text::new),
                member: event.member.clone().map(|view| gossip_member::new(view, event.taken_at)),
            })
        })
    }
}

impl gossip_events {
    /// A box of its own for C.
    pub(super) fn new(events: Vec<Event>) -> *mut gossip_events {
        Box::into_raw(Box::new(gossip_events { shown: OnceLock::new(), events, packed: OnceLock::new() }))
    }

    fn shown(&self) -> &[gossip_event] {
        // Bindings read the packed bytes only, and need none of these.
        self.shown.get_or_init(|| self.events.iter().map(show).collect())
    }
}

/// How many events there are; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_events_len(events: *const gossip_events) -> usize {
    // SAFETY: the caller passes NULL or a batch of ours that was not freed.
    guard_or(0, || unsafe { events.as_ref() }.map_or(0, |batch| batch.events.len()))
}

/// The event at an index; NULL past the end. It lives as long as the batch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_events_at(events: *const gossip_events, index: usize) -> *const gossip_event {
    guard_or(std::ptr::null(), || {
        // SAFETY: the caller passes NULL or a batch of ours that was not freed.
        let event = unsafe { events.as_ref() }.and_then(|batch| batch.shown().get(index));
        event.map_or(std::ptr::null(), std::ptr::from_ref)
    })
}

/// The whole batch as one run of bytes, for bindings: docs/events.md has the form. Lives as long as the batch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_events_packed(events: *const gossip_events, len: *mut usize) -> *const u8 {
    guard_or(EMPTY.as_ptr(), || {
        // SAFETY: the caller passes NULL or a batch of ours that was not freed, and NULL or a place for the length.
        unsafe {
            let batch = events.as_ref().map(|batch| batch.packed.get_or_init(|| pack::pack_events(&batch.events)));
            give_bytes(batch.map_or(&[], |bytes| bytes.as_slice()), len)
        }
    })
}

/// Frees the batch, once. NULL is allowed. Any thread; needs no node and no queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_events_free(events: *mut gossip_events) {
    guard_or((), || {
        if !events.is_null() {
            // SAFETY: the caller gives back a box that a call of ours handed out, and uses it no more.
            drop(unsafe { Box::from_raw(events) });
        }
    });
}

/// A part of an event, `neutral` for NULL.
///
/// # Safety
/// `event` is NULL or lives.
unsafe fn part<'a, T>(event: *const gossip_event, neutral: T, part: impl FnOnce(&'a gossip_event) -> T) -> T
where
    T: Copy,
{
    // SAFETY: as promised by the caller.
    guard_or(neutral, || unsafe { event.as_ref() }.map_or(neutral, part))
}

/// The kind: one of GOSSIP_EVENT_*; 0 for NULL. Later versions may have kinds that this header does not know.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_event_kind(event: *const gossip_event) -> u32 {
    // SAFETY: the caller passes NULL or an event that lives.
    unsafe { part(event, 0, |e| e.event().kind) }
}

/// The tag that was given to gossip_subscribe_queue; for callbacks, the id inside the gossip_sub.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_event_tag(event: *const gossip_event) -> u64 {
    // SAFETY: as in gossip_event_kind.
    unsafe { part(event, 0, |e| e.event().tag) }
}

/// The id inside the gossip_node that it comes from.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_event_node(event: *const gossip_event) -> u64 {
    // SAFETY: as in gossip_event_kind.
    unsafe { part(event, 0, |e| e.event().node) }
}

/// The id inside the gossip_sub that it comes from.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_event_sub(event: *const gossip_event) -> u64 {
    // SAFETY: as in gossip_event_kind.
    unsafe { part(event, 0, |e| e.event().sub) }
}

/// How many changes the event stands for, itself included: changes of one entry that nobody took in between are one
/// event, with the last value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_event_conflated(event: *const gossip_event) -> u64 {
    // SAFETY: as in gossip_event_kind.
    unsafe { part(event, 0, |e| e.event().conflated) }
}

/// GOSSIP_EVENT_NODE_STATE: GOSSIP_STATE_*; GOSSIP_EVENT_WARNING: a status; GOSSIP_EVENT_LOG: GOSSIP_LOG_*;
/// GOSSIP_EVENT_TOPOLOGY: how many members; else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_event_code(event: *const gossip_event) -> i32 {
    // SAFETY: as in gossip_event_kind.
    unsafe { part(event, 0, |e| e.event().code) }
}

/// The event in words, for GOSSIP_EVENT_NODE_STATE, _WARNING, _LOG, _TOPOLOGY and _ENTRY_REFUSED; else empty. Never NULL. *len (may
/// be NULL) is without the NUL that follows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_event_text(event: *const gossip_event, len: *mut usize) -> *const c_char {
    // SAFETY: as in gossip_event_kind; `len` is NULL or a place for the length.
    unsafe { give(part(event, EMPTY, |e| e.texts().text.as_ref().map_or(EMPTY, Text::with_nul)), len) }
}

/// GOSSIP_EVENT_LOG: the part of the library that speaks; GOSSIP_EVENT_ENTRY_REFUSED: the key; else empty. Otherwise as
/// gossip_event_text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_event_target(event: *const gossip_event, len: *mut usize) -> *const c_char {
    // SAFETY: as in gossip_event_text.
    unsafe { give(part(event, EMPTY, |e| e.texts().target.as_ref().map_or(EMPTY, Text::with_nul)), len) }
}

/// The entry; NULL where the kind has none. Of a deleted entry it has no value (GOSSIP_VALUE_NONE). Lives as long as the
/// event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_event_entry(event: *const gossip_event) -> *const gossip_entry {
    // SAFETY: as in gossip_event_kind.
    unsafe { part(event, std::ptr::null(), |e| e.event().entry.as_ref().map_or(std::ptr::null(), gossip_entry::of)) }
}

/// The member; NULL where the kind has none. Lives as long as the event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_event_member(event: *const gossip_event) -> *const gossip_member {
    // SAFETY: as in gossip_event_kind.
    unsafe {
        part(event, std::ptr::null(), |e| match e.event().member {
            // Not made where it is not there.
            None => std::ptr::null(),
            Some(_) => e.texts().member.as_ref().map_or(std::ptr::null(), std::ptr::from_ref),
        })
    }
}
