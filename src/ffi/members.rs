//! members

use std::ffi::c_char;
use std::sync::OnceLock;

use super::guard::{guard, guard_or};
use super::handle;
use super::input::{flags, out};
use super::node::NodeObject;
use super::state::GOSSIP_GET_DEPARTED;
use super::text::{EMPTY, Text, give, give_bytes, put_len};
use super::types::{gossip_member, gossip_members, gossip_node, gossip_status};
use crate::store::members::MemberView;
use crate::store::pack;
use crate::time::Time;

/// The member answers, or nothing is known against it.
pub const GOSSIP_MEMBER_ALIVE: i32 = 1;
/// The member may be gone; others are being asked.
pub const GOSSIP_MEMBER_SUSPECT: i32 = 2;
/// The member was declared gone without having said so. It may come back.
pub const GOSSIP_MEMBER_DEAD: i32 = 3;
/// The member has said that it is about to leave.
pub const GOSSIP_MEMBER_LEAVING: i32 = 4;
/// The member has left.
pub const GOSSIP_MEMBER_LEFT: i32 = 5;
/// Another member has banned the member.
pub const GOSSIP_MEMBER_BANNED: i32 = 6;

/// The texts of a member, made when one is first asked for.
pub struct Texts {
    address: Text,
    tags: Box<[(Text, Text)]>,
}

impl gossip_member {
    pub(super) fn new(view: MemberView, read_at: Time) -> gossip_member {
        gossip_member { view, read_at, texts: OnceLock::new() }
    }

    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts {
            address: Text::new(&self.view.address.to_string()),
            tags: self.view.tags.iter().map(|(name, value)| (Text::new(name), Text::new(value))).collect(),
        })
    }
}

impl gossip_members {
    /// A box of its own for C.
    pub(super) fn new(views: Vec<MemberView>, read_at: Time) -> *mut gossip_members {
        Box::into_raw(Box::new(gossip_members { views, read_at, shown: OnceLock::new(), packed: OnceLock::new() }))
    }

    fn shown(&self) -> &[gossip_member] {
        // Bindings read the packed bytes only, and need none of these.
        self.shown.get_or_init(|| self.views.iter().map(|v| gossip_member::new(v.clone(), self.read_at)).collect())
    }
}

/// The members that this node knows, itself included, ordered by id; flags: GOSSIP_GET_DEPARTED or 0. Free *out with
/// gossip_members_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_members_get(
    node: gossip_node,
    flags: u32,
    out: *mut *mut gossip_members,
) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for the result.
        let place = unsafe { self::out(out) }?;
        let flags = self::flags(flags, GOSSIP_GET_DEPARTED)?;
        let node = handle::get::<NodeObject>(node.id)?;
        let views = node.node.members(flags & GOSSIP_GET_DEPARTED != 0)?;
        place.put(gossip_members::new(views, node.node.now()));
        Ok(())
    })
}

/// How many members there are; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_members_len(members: *const gossip_members) -> usize {
    // SAFETY: the caller passes NULL or a list of ours that was not freed.
    guard_or(0, || unsafe { members.as_ref() }.map_or(0, |list| list.views.len()))
}

/// The member at an index; NULL past the end. It lives as long as the list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_members_at(members: *const gossip_members, index: usize) -> *const gossip_member {
    guard_or(std::ptr::null(), || {
        // SAFETY: the caller passes NULL or a list of ours that was not freed.
        let member = unsafe { members.as_ref() }.and_then(|list| list.shown().get(index));
        member.map_or(std::ptr::null(), std::ptr::from_ref)
    })
}

/// The whole list as one run of bytes, for bindings: docs/events.md has the form. Lives as long as the list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_members_packed(members: *const gossip_members, len: *mut usize) -> *const u8 {
    guard_or(EMPTY.as_ptr(), || {
        // SAFETY: the caller passes NULL or a list of ours that was not freed, and NULL or a place for the length.
        unsafe {
            let list = members.as_ref();
            let packed = list.map(|l| l.packed.get_or_init(|| pack::pack_members(&l.views, l.read_at)));
            give_bytes(packed.map_or(&[], |bytes| bytes.as_slice()), len)
        }
    })
}

/// Frees the list, once. NULL is allowed. Any thread; needs no node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_members_free(members: *mut gossip_members) {
    guard_or((), || {
        if !members.is_null() {
            // SAFETY: the caller gives back a box that a call of ours handed out, and uses it no more.
            drop(unsafe { Box::from_raw(members) });
        }
    });
}

/// A text of a member; `neutral` for NULL, NULL where there is none.
///
/// # Safety
/// `member` is NULL or lives; `len` is NULL or points to a place for a length.
unsafe fn text_of<'a>(
    member: *const gossip_member,
    len: *mut usize,
    neutral: Option<&'static [u8]>,
    with_nul: impl FnOnce(&'a gossip_member) -> Option<&'a [u8]>,
) -> *const c_char {
    guard_or(neutral.map_or(std::ptr::null(), |text| text.as_ptr().cast()), || {
        // SAFETY: as promised by the caller.
        unsafe {
            match member.as_ref().map_or(neutral, with_nul) {
                Some(text) => give(text, len),
                None => {
                    put_len(len, 0);
                    std::ptr::null()
                }
            }
        }
    })
}

/// The member's id. *len (may be NULL) is without the NUL that follows, as in all texts below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_member_id(member: *const gossip_member, len: *mut usize) -> *const c_char {
    // SAFETY: the caller passes NULL or a member that lives, and NULL or a place for the length.
    unsafe { text_of(member, len, Some(EMPTY), |m| Some(m.view.life.id.with_nul().as_bytes())) }
}

/// The member's generation: a later start of the same id has a higher one; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_member_generation(member: *const gossip_member) -> u64 {
    // SAFETY: as in gossip_member_id.
    guard_or(0, || unsafe { member.as_ref() }.map_or(0, |m| m.view.life.generation))
}

/// Where the member is reached, as "10.0.0.7:4711" or "[::1]:4711".
#[allow(rustdoc::broken_intra_doc_links)] // an address in brackets, no link
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_member_address(member: *const gossip_member, len: *mut usize) -> *const c_char {
    // SAFETY: as in gossip_member_id.
    unsafe { text_of(member, len, Some(EMPTY), |m| Some(m.texts().address.with_nul())) }
}

/// The member's status when it was read: GOSSIP_MEMBER_*; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_member_status(member: *const gossip_member) -> i32 {
    // SAFETY: as in gossip_member_id.
    guard_or(0, || unsafe { member.as_ref() }.map_or(0, |m| m.view.status.code()))
}

/// 1 if the member is the node itself that was asked, else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_member_is_self(member: *const gossip_member) -> i32 {
    // SAFETY: as in gossip_member_id.
    guard_or(0, || unsafe { member.as_ref() }.map_or(0, |m| m.view.is_self.into()))
}

/// For how long the member had had its status, at this node, when it was read, in milliseconds; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_member_status_age_ms(member: *const gossip_member) -> i64 {
    guard_or(0, || {
        // SAFETY: as in gossip_member_id.
        let age = unsafe { member.as_ref() }.map_or(0, |m| m.read_at.millis_since(m.view.since));
        i64::try_from(age).unwrap_or(i64::MAX)
    })
}

/// The smoothed round-trip time to the member in microseconds; -1 if none was measured.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_member_rtt_us(member: *const gossip_member) -> i64 {
    // SAFETY: as in gossip_member_id.
    guard_or(-1, || unsafe { member.as_ref() }.and_then(|m| m.view.rtt_us).map_or(-1, i64::from))
}

/// How many tags the member has; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_member_tag_count(member: *const gossip_member) -> usize {
    // SAFETY: as in gossip_member_id.
    guard_or(0, || unsafe { member.as_ref() }.map_or(0, |m| m.view.tags.len()))
}

/// The name of a tag; they are ordered by name. NULL past the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_member_tag_name(
    member: *const gossip_member,
    index: usize,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: as in gossip_member_id.
    unsafe { text_of(member, len, None, |m| m.texts().tags.get(index).map(|(name, _)| name.with_nul())) }
}

/// The value of a tag. NULL past the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_member_tag_value(
    member: *const gossip_member,
    index: usize,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: as in gossip_member_id.
    unsafe { text_of(member, len, None, |m| m.texts().tags.get(index).map(|(_, value)| value.with_nul())) }
}
