//! cluster: bans, and the host's statistics

use std::ffi::c_char;

use super::guard::guard_err;
use super::handle;
use super::input::text;
use super::node::{NodeObject, give};
use super::types::{gossip_bytes, gossip_node, gossip_status};

/// Longest member id and longest name of a statistic, in bytes.
const MAX_NAME: usize = 255;

/// Bans a member id (NUL-terminated) in all of its lives, until a member lifts it. Every member heeds it as soon as it hears of it:
/// the banned member's entries are hidden (GOSSIP_GET_DEPARTED shows them), its status is GOSSIP_MEMBER_BANNED, and it is in
/// GOSSIP_STATE_BANNED itself, where gossip_set answers GOSSIP_ERR_BANNED. A ban outlives the member that has set it. It keeps out
/// faulty members, not hostile ones: whoever can join the cluster can lift it. Nothing happens if this node has banned the id
/// already. Any thread.
///
/// GOSSIP_ERR_INVALID_ARGUMENT: no member id, or this node's own. GOSSIP_ERR_LIMIT: this node has banned as many as it may, some
/// thousands. GOSSIP_ERR_LEFT, GOSSIP_ERR_FAILED as with gossip_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_ban(
    node: gossip_node,
    member: *const c_char,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: the caller passes a text with a NUL, and an errbuf with room for errbuf_len bytes, or NULL.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            handle::get::<NodeObject>(node.id)?.node.ban(text("member", member, MAX_NAME)?)
        })
    }
}

/// Lifts every ban of a member id, whoever has set it. Its entries are seen again, as they are then. Nothing happens if it is not
/// banned. A ban for a heartbeat that has not come (heartbeat_expiration) is set again only when a later one has not come either.
/// Any thread.
///
/// GOSSIP_ERR_INVALID_ARGUMENT: no member id. GOSSIP_ERR_LEFT, GOSSIP_ERR_FAILED as with gossip_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_unban(
    node: gossip_node,
    member: *const c_char,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: the caller passes a text with a NUL, and an errbuf with room for errbuf_len bytes, or NULL.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            handle::get::<NodeObject>(node.id)?.node.unban(text("member", member, MAX_NAME)?)
        })
    }
}

/// The bans that stand, as this node knows them. JSON: a list of objects with "id", and "by", the id of the member that has set the
/// ban, or "cluster:heartbeat" where it was set because its heartbeat has not come (heartbeat_expiration). Free *out with gossip_bytes_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_bans(node: gossip_node, out: *mut *mut gossip_bytes) -> gossip_status {
    give(out, || handle::get::<NodeObject>(node.id)?.node.bans_json())
}

/// Sets one of this host's statistics: a name (NUL-terminated, 1 to 255 bytes; at most 1,024 names) and a number. All members read
/// them under the key "cluster:heartbeat", as the message cluster.MemberHeartbeat, and Proto.Actor does likewise. Published when they
/// change, at most once in heartbeat_interval. Waits for nothing. Any thread.
///
/// GOSSIP_ERR_INVALID_ARGUMENT, GOSSIP_ERR_LIMIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_statistic_set(
    node: gossip_node,
    name: *const c_char,
    value: i64,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: the caller passes a text with a NUL, and an errbuf with room for errbuf_len bytes, or NULL.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            handle::get::<NodeObject>(node.id)?.node.set_statistic(text("name", name, MAX_NAME)?, Some(value))
        })
    }
}

/// Takes one of this host's statistics out. Nothing happens if there is none of that name. Any thread.
///
/// GOSSIP_ERR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_statistic_delete(
    node: gossip_node,
    name: *const c_char,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: the caller passes a text with a NUL, and an errbuf with room for errbuf_len bytes, or NULL.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            handle::get::<NodeObject>(node.id)?.node.set_statistic(text("name", name, MAX_NAME)?, None)
        })
    }
}
