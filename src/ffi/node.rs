//! node: open, look, leave, close

use std::collections::HashSet;
use std::ffi::c_char;

use parking_lot::Mutex;

use super::config::ConfigObject;
use super::guard::{guard, guard_err};
use super::handle;
use super::input::{MAX_NAME, MAX_SETTINGS, invalid, out, text, timeout};
use super::sub::SubObject;
use super::types::{gossip_bytes, gossip_config, gossip_members, gossip_node, gossip_status};
use crate::config::{Config, MAX_VALUE_LEN};
use crate::error::{Error, Result, Status};
use crate::runtime::node::{Format, Node};

/// The node was opened and has not found anybody yet.
pub const GOSSIP_STATE_STARTING: i32 = 1;
/// The node is in a cluster with others.
pub const GOSSIP_STATE_JOINED: i32 = 2;
/// There are no seeds, or none but the node itself: a cluster of one so far.
pub const GOSSIP_STATE_ALONE: i32 = 3;
/// The node has said that it leaves and waits for acknowledgement.
pub const GOSSIP_STATE_LEAVING: i32 = 4;
/// The node has left: it can be read, and no more written to.
pub const GOSSIP_STATE_LEFT: i32 = 5;
/// A member has banned the node.
pub const GOSSIP_STATE_BANNED: i32 = 6;
/// The node's task has died, or a later process has taken over its id: the event's text says which. Close it.
pub const GOSSIP_STATE_FAILED: i32 = 7;

/// Format: the protobuf message cluster.gossip.GossipState, as Proto.Actor encodes it.
pub const GOSSIP_FORMAT_PROTOBUF: i32 = 1;
/// Format: JSON in UTF-8.
pub const GOSSIP_FORMAT_JSON: i32 = 2;
/// Format: the text format of Prometheus.
pub const GOSSIP_FORMAT_PROMETHEUS: i32 = 3;

/// What a `gossip_node` names.
pub struct NodeObject {
    /// The node.
    pub(super) node: Node,
    /// Its subscriptions, whose ids end with it.
    pub(super) subs: Mutex<HashSet<u64>>,
}

impl NodeObject {
    /// Ends the ids of its subscriptions.
    fn end_subs(&self) {
        let subs = std::mem::take(&mut *self.subs.lock());
        subs.into_iter().for_each(SubObject::forget);
    }

    /// Ends the ids of its subscriptions that have a queue; those with a callback end when that was dropped.
    fn end_queue_subs(&self) {
        let subs: Vec<u64> = self.subs.lock().iter().copied().collect();
        subs.into_iter().filter(|&id| SubObject::has_queue(id)).for_each(SubObject::forget);
    }
}

/// Opens a node: binds its sockets and returns; it waits for no look-up and no peer. Watch gossip_state, or wait with
/// gossip_wait_synced. The configuration stays yours; changes of it do not reach the node. End the node with
/// gossip_leave and gossip_close.
///
/// GOSSIP_ERR_BAD_SETTING (settings that contradict each other), GOSSIP_ERR_BIND, GOSSIP_ERR_ADVERTISE,
/// GOSSIP_ERR_NO_RESOURCES; errbuf says more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_open(
    config: gossip_config,
    out: *mut gossip_node,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: the caller passes a place for the result and an errbuf with room for errbuf_len bytes, or NULL.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            let place = self::out(out)?;
            let config = handle::get::<ConfigObject>(config.id)?.copy();
            place.put(open(&config)?);
            Ok(())
        })
    }
}

/// Opens a node with settings from a text that ends at its NUL: a "name=value" a line; blank lines and lines that begin
/// with # are passed over. Otherwise as gossip_open.
///
/// Also GOSSIP_ERR_UNKNOWN_SETTING; errbuf begins with the number of the line.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_open_text(
    settings: *const c_char,
    out: *mut gossip_node,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: the caller passes a text with a NUL, a place for the result, and an errbuf with room for errbuf_len bytes,
    // or NULL.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            let place = self::out(out)?;
            place.put(open(&Config::from_text(text("settings", settings, MAX_SETTINGS)?)?)?);
            Ok(())
        })
    }
}

fn open(config: &Config) -> Result<gossip_node> {
    let reserved = Reserved(Some(handle::reserve::<NodeObject>()?));
    let id = reserved.0.unwrap_or(0);
    let node = Node::open_with_id(config, id)?;
    reserved.fill(NodeObject { node, subs: Mutex::new(HashSet::new()) });
    Ok(gossip_node { id })
}

/// A reserved id that is given up should opening fail or panic.
struct Reserved(Option<u64>);

impl Reserved {
    fn fill(mut self, object: NodeObject) {
        if let Some(id) = self.0.take() {
            handle::fill(id, object);
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            handle::cancel::<NodeObject>(id);
        }
    }
}

/// Changes a setting of an open node (names and values as in gossip_config_set). On failure it is as before.
///
/// GOSSIP_ERR_NOT_LIVE if it can only be set before open, GOSSIP_ERR_UNKNOWN_SETTING, GOSSIP_ERR_BAD_SETTING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_reconfigure(
    node: gossip_node,
    name: *const c_char,
    value: *const c_char,
    errbuf: *mut c_char,
    errbuf_len: usize,
) -> gossip_status {
    // SAFETY: the caller passes texts with a NUL, and an errbuf with room for errbuf_len bytes, or NULL.
    unsafe {
        guard_err(errbuf, errbuf_len, || {
            let node = handle::get::<NodeObject>(node.id)?;
            node.node.reconfigure(text("name", name, MAX_NAME)?, text("value", value, MAX_VALUE_LEN)?)
        })
    }
}

/// The effective value of a setting of an open node; "(secret)" for a secret. Free *out with gossip_bytes_free.
///
/// GOSSIP_ERR_UNKNOWN_SETTING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_setting_get(
    node: gossip_node,
    name: *const c_char,
    out: *mut *mut gossip_bytes,
) -> gossip_status {
    // SAFETY: the caller passes a text with a NUL or NULL.
    give(out, || handle::get::<NodeObject>(node.id)?.node.setting(unsafe { text("name", name, MAX_NAME) }?))
}

/// The node's state: GOSSIP_STATE_*. Its changes are events of kind GOSSIP_EVENT_NODE_STATE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_state(node: gossip_node, out: *mut i32) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for the result.
        let place = unsafe { self::out(out) }?;
        let object = handle::get::<NodeObject>(node.id)?;
        if object.node.is_closed() {
            return Err(Error::new(Status::Closed, "the node was closed"));
        }
        place.put(object.node.state() as i32);
        Ok(())
    })
}

/// The node's own member record, as a list of one: its id, address, tags. Free *out with gossip_members_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_self(node: gossip_node, out: *mut *mut gossip_members) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for the result.
        let place = unsafe { self::out(out) }?;
        let node = handle::get::<NodeObject>(node.id)?;
        place.put(gossip_members::new(vec![node.node.me()?], node.node.now()));
        Ok(())
    })
}

/// Leaves the cluster: tells the others, and waits until enough of them have acknowledged or leave_timeout has passed,
/// at most timeout_ms (-1: no limit of its own, 0: does not wait). The node can still be read; close it afterwards.
///
/// GOSSIP_OK: acknowledged. GOSSIP_ERR_TIMEOUT: said, but not acknowledged by enough in time. GOSSIP_ERR_FAILED.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_leave(node: gossip_node, timeout_ms: i32) -> gossip_status {
    guard(|| handle::get::<NodeObject>(node.id)?.node.leave(timeout(timeout_ms)?))
}

/// Leaves the cluster without waiting: an event GOSSIP_EVENT_NODE_STATE with GOSSIP_STATE_LEFT tells the end.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_leave_nowait(node: gossip_node) -> gossip_status {
    guard(|| handle::get::<NodeObject>(node.id)?.node.leave_nowait())
}

/// Closes the node: ends its subscriptions, its sockets, and calls that wait on it (with GOSSIP_ERR_CLOSED), and waits
/// until that is done, also if another thread or gossip_close_nowait has begun it. When it returns no callback of the node
/// runs or will run, and every drop function has run. Its queues and what was read from it stay valid. Without
/// gossip_leave before it, this is a crash to the others.
///
/// GOSSIP_ERR_CLOSED if this is not the call that closed it. GOSSIP_ERR_WOULD_DEADLOCK inside a callback of this node,
/// which stays open: use gossip_close_nowait there. A callback may close another node; of two whose callbacks close each
/// other at the same time, or of more in a ring, the last is answered so.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_close(node: gossip_node) -> gossip_status {
    guard(|| {
        let object = handle::get::<NodeObject>(node.id)?;
        object.node.close()?;
        // The id ends after the node: one that cannot be closed here, inside a callback, stays usable. Of two threads
        // that close at once, both wait and one is told that it was closed already.
        let ended = handle::remove::<NodeObject>(node.id).map(drop);
        object.end_subs();
        ended
    })
}

/// Closes the node without waiting: callbacks may still run for a moment, until their drop functions are called. Works
/// everywhere, also inside callbacks. GOSSIP_ERR_CLOSED if it was closed before.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_close_nowait(node: gossip_node) -> gossip_status {
    guard(|| {
        let object = handle::get::<NodeObject>(node.id)?;
        // The id ends after the node, so that others can still wait for that with gossip_close and gossip_unsubscribe;
        // all other calls are told that the node was closed.
        object.node.close_nowait_then(move || {
            if let Ok(object) = handle::remove::<NodeObject>(node.id) {
                object.end_subs();
            }
        })?;
        object.end_queue_subs();
        Ok(())
    })
}

/// Waits until this node knows `alive` living members, itself included; at most timeout_ms (-1: for ever, 0: looks once).
///
/// GOSSIP_ERR_TIMEOUT; GOSSIP_ERR_CLOSED if the node is closed meanwhile.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_wait_for_members(node: gossip_node, alive: usize, timeout_ms: i32) -> gossip_status {
    guard(|| handle::get::<NodeObject>(node.id)?.node.wait_for_members(alive, timeout(timeout_ms)?))
}

/// Waits until this node has once been equal to a peer, or has no seeds: from then on its view can be trusted. At most
/// timeout_ms (-1: for ever, 0: looks once). The same is told by GOSSIP_EVENT_SYNCED.
///
/// GOSSIP_ERR_TIMEOUT; GOSSIP_ERR_CLOSED if the node is closed meanwhile.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_wait_synced(node: gossip_node, timeout_ms: i32) -> gossip_status {
    guard(|| handle::get::<NodeObject>(node.id)?.node.wait_synced(timeout(timeout_ms)?))
}

/// A page of text for people: own id and addresses, seeds and what became of them, members, drops by cause. Its form
/// may change with any version. Free *out with gossip_bytes_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_describe(node: gossip_node, out: *mut *mut gossip_bytes) -> gossip_status {
    give(out, || handle::get::<NodeObject>(node.id)?.node.describe())
}

/// The whole state as this node has it, in GOSSIP_FORMAT_PROTOBUF or GOSSIP_FORMAT_JSON. Free *out with
/// gossip_bytes_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_snapshot(node: gossip_node, format: i32, out: *mut *mut gossip_bytes) -> gossip_status {
    give(out, || {
        let format = known_format(format, &[GOSSIP_FORMAT_PROTOBUF, GOSSIP_FORMAT_JSON])?;
        handle::get::<NodeObject>(node.id)?.node.snapshot(format)
    })
}

/// The committed offsets, target by owner: up to which sequence number this node has proof that each member holds each
/// member's state. JSON; free *out with gossip_bytes_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_offsets(node: gossip_node, out: *mut *mut gossip_bytes) -> gossip_status {
    give(out, || handle::get::<NodeObject>(node.id)?.node.offsets())
}

/// Counters and gauges, in GOSSIP_FORMAT_JSON (one flat object, name to number) or GOSSIP_FORMAT_PROMETHEUS. Free *out
/// with gossip_bytes_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_metrics(node: gossip_node, format: i32, out: *mut *mut gossip_bytes) -> gossip_status {
    give(out, || {
        let format = known_format(format, &[GOSSIP_FORMAT_JSON, GOSSIP_FORMAT_PROMETHEUS])?;
        handle::get::<NodeObject>(node.id)?.node.metrics(format)
    })
}

fn known_format(format: i32, allowed: &[i32]) -> Result<Format> {
    match format {
        _ if !allowed.contains(&format) => Err(invalid(format!("format {format} is not one of {allowed:?}"))),
        GOSSIP_FORMAT_PROTOBUF => Ok(Format::Protobuf),
        GOSSIP_FORMAT_JSON => Ok(Format::Json),
        _ => Ok(Format::Prometheus),
    }
}

/// Runs a call whose result are bytes or a text.
pub(super) fn give<B: Into<Vec<u8>>>(out: *mut *mut gossip_bytes, call: impl FnOnce() -> Result<B>) -> gossip_status {
    guard(|| {
        // SAFETY: every function that passes `out` here has it from a caller that passes NULL or a place for a result.
        let place = unsafe { self::out(out) }?;
        place.put(gossip_bytes::new(call()?));
        Ok(())
    })
}
