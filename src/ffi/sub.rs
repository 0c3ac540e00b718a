//! subscriptions: each has one sink, a queue or a callback

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::events::{GOSSIP_EVENT_LOG, GOSSIP_EVENT_WARNING, GOSSIP_EVENTS_ALL, show};
use super::guard::guard;
use super::handle;
use super::input::{flags, invalid, key, member, out};
use super::node::NodeObject;
use super::queue::QueueObject;
use super::types::{
    gossip_drop_fn, gossip_event, gossip_event_fn, gossip_node, gossip_queue, gossip_status, gossip_sub,
};
use crate::error::{Error, Result, Status};
use crate::store::event::{Event, kind};
use crate::store::hub::Filter;

/// Flag of a subscription: what exists comes first, as joined members (banned ones too, as their status says) and changed entries, then
/// GOSSIP_EVENT_INITIAL_DONE; without gap and without double.
pub const GOSSIP_SUB_INITIAL: u32 = 1u32;
/// Flag of a subscription: nothing about the node's own entries and membership.
pub const GOSSIP_SUB_NO_SELF: u32 = 2u32;
/// Flag of a subscription: the key is a prefix.
pub const GOSSIP_SUB_PREFIX: u32 = 4u32;

/// What a `gossip_sub` names.
pub struct SubObject {
    node: u64,
    /// 0 if it has a callback.
    queue: u64,
}

impl SubObject {
    /// Whether it is the id of a subscription with a queue.
    pub(super) fn has_queue(id: u64) -> bool {
        handle::get::<SubObject>(id).is_ok_and(|sub| sub.queue != 0)
    }

    /// Ends the id of a subscription that has ended.
    pub(super) fn forget(id: u64) {
        if let Ok(sub) = handle::remove::<SubObject>(id) {
            if let Ok(node) = handle::get::<NodeObject>(sub.node) {
                node.subs.lock().remove(&id);
            }
            if let Ok(queue) = handle::get::<QueueObject>(sub.queue) {
                queue.subs.lock().remove(&id);
            }
        }
    }
}

/// The id of a subscription that is being made; ended again unless [`Pending::keep`] is called.
struct Pending(Option<u64>);

impl Pending {
    /// The id exists before the subscription: the first event may carry it before the call has returned.
    fn new(node: u64, queue: u64) -> Result<Pending> {
        let id = handle::insert(SubObject { node, queue })?;
        Ok(Pending(Some(id)))
    }

    fn id(&self) -> u64 {
        self.0.unwrap_or(0)
    }

    fn keep(mut self) -> gossip_sub {
        gossip_sub { id: self.0.take().unwrap_or(0) }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            SubObject::forget(id);
        }
    }
}

/// # Safety
/// The texts are NULL, or as their lengths say, or end with a NUL.
unsafe fn filter(what: u32, member: *const c_char, key: *const c_char, key_len: usize, flags: u32) -> Result<Filter> {
    // Masks cover kinds to come; those that come unasked cannot be asked for.
    let unknown = what & !(GOSSIP_EVENTS_ALL | GOSSIP_EVENT_WARNING | GOSSIP_EVENT_LOG);
    if unknown != 0 {
        return Err(invalid(format!("0x{unknown:x} are not kinds of event that can be asked for")));
    }
    let what = what & kind::VALID;
    if what == 0 {
        return Err(invalid("no kind of event is asked for"));
    }
    let flags = self::flags(flags, GOSSIP_SUB_INITIAL | GOSSIP_SUB_NO_SELF | GOSSIP_SUB_PREFIX)?;
    let prefix = flags & GOSSIP_SUB_PREFIX != 0;
    // SAFETY: as promised by the caller.
    let (member, key) = unsafe {
        let key = if key.is_null() { None } else { Some(self::key(key, key_len, prefix)?) };
        (self::member(member)?, key)
    };
    Ok(Filter {
        what,
        member: member.map(str::to_owned),
        key: key.map(str::to_owned),
        prefix,
        initial: flags & GOSSIP_SUB_INITIAL != 0,
        no_self: flags & GOSSIP_SUB_NO_SELF != 0,
    })
}

/// Subscribes a callback to events of a node: kinds in `what` (GOSSIP_EVENT_*, one or more), about one member or any
/// (NULL); events of entries about one key, or with GOSSIP_SUB_PREFIX about keys with that beginning, or any (key NULL):
/// any of the hosts' own, for keys beginning "cluster:" are the library's and are told only if `key` begins so; flags
/// GOSSIP_SUB_*. Where events come faster than `fn` returns, those of one entry or member become one.
///
/// `user` is handed to `fn` and `drop`. `drop` (may be NULL) is called once, after the last call of `fn`, when the
/// subscription or its node has ended. On failure nothing was taken, and `drop` is not called. `fn` may run before this
/// function returns. Managed runtimes should use a queue.
///
/// GOSSIP_ERR_INVALID_ARGUMENT, GOSSIP_ERR_INVALID_KEY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_subscribe(
    node: gossip_node,
    what: u32,
    member: *const c_char,
    key: *const c_char,
    key_len: usize,
    flags: u32,
    r#fn: gossip_event_fn,
    user: *mut c_void,
    drop: gossip_drop_fn,
    out: *mut gossip_sub,
) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes a place for the result, texts as their lengths say or with a NUL, or NULL.
        let (place, filter) = unsafe { (self::out(out)?, filter(what, member, key, key_len, flags)?) };
        let call = r#fn.ok_or_else(|| invalid("the callback is NULL"))?;
        let object = handle::get::<NodeObject>(node.id)?;
        let pending = Pending::new(node.id, 0)?;
        object.subs.lock().insert(pending.id());

        let taken = Arc::new(AtomicBool::new(true));
        let mut callback = Callback { call, user, drop, sub: pending.id(), taken: taken.clone() };
        let subscribed =
            object.node.subscribe_callback(filter, pending.id(), Box::new(move |event| callback.run(event)));
        if let Err((error, callback)) = subscribed {
            taken.store(false, Ordering::Release);
            std::mem::drop(callback);
            return Err(error);
        }
        place.put(pending.keep());
        Ok(())
    })
}

/// A host's function with its user pointer, until that is given back.
struct Callback {
    call: unsafe extern "C" fn(*mut c_void, *const gossip_event),
    user: *mut c_void,
    drop: gossip_drop_fn,
    /// Its subscription, whose id ends with it: until then one can wait for it.
    sub: u64,
    /// False if the user pointer stays the host's after all.
    taken: Arc<AtomicBool>,
}

// SAFETY: the contract of gossip_subscribe says that the functions are called on the library's threads, one call at a
// time, so the host has made `user` fit for that.
unsafe impl Send for Callback {}

impl Callback {
    fn run(&mut self, event: &Event) {
        let shown = show(event);
        // SAFETY: the host's function and pointer, good until `drop` is called; the event lives until this returns.
        unsafe { (self.call)(self.user, &raw const shown) };
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        if !self.taken.load(Ordering::Acquire) {
            return;
        }
        if let Some(drop) = self.drop {
            // SAFETY: the host's function and pointer; called once, as this is dropped once, and `call` is over.
            unsafe { drop(self.user) };
        }
        SubObject::forget(self.sub);
    }
}

/// Subscribes a queue to events of a node; what, member, key and flags as in gossip_subscribe. `tag` is yours: each
/// event carries it. A queue holds at most one event for each entry and member, so it is bounded by the size of the
/// state, and nothing is lost.
///
/// GOSSIP_ERR_INVALID_ARGUMENT, GOSSIP_ERR_INVALID_KEY, GOSSIP_ERR_CLOSED (node or queue).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_subscribe_queue(
    node: gossip_node,
    what: u32,
    member: *const c_char,
    key: *const c_char,
    key_len: usize,
    flags: u32,
    queue: gossip_queue,
    tag: u64,
    out: *mut gossip_sub,
) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes a place for the result, texts as their lengths say or with a NUL, or NULL.
        let (place, filter) = unsafe { (self::out(out)?, filter(what, member, key, key_len, flags)?) };
        let object = handle::get::<NodeObject>(node.id)?;
        let sink = handle::get::<QueueObject>(queue.id)?;
        let pending = Pending::new(node.id, queue.id)?;
        object.subs.lock().insert(pending.id());
        sink.subs.lock().insert(pending.id());
        object.node.subscribe_queue(filter, &sink.queue, pending.id(), tag)?;
        place.put(pending.keep());
        Ok(())
    })
}

/// Ends a subscription. When it returns, its callback does not run and will not run, and its drop function has run once,
/// also if another call has ended the subscription or its node, or is about to. With GOSSIP_OK no event of it can be taken
/// from its queue any more.
///
/// GOSSIP_ERR_CLOSED if this is not the call that ended it. GOSSIP_ERR_WOULD_DEADLOCK inside a callback of the same node,
/// for a subscription with a callback, which goes on, or inside one of another node that a callback of this node waits for in
/// such a call or in gossip_close: use gossip_unsubscribe_nowait there.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_unsubscribe(sub: gossip_sub) -> gossip_status {
    guard(|| end(sub.id, true))
}

/// Ends a subscription without waiting: its callback may still run for a moment, until its drop function is called.
/// Works everywhere, also inside callbacks.
///
/// GOSSIP_ERR_CLOSED if it has ended already.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_unsubscribe_nowait(sub: gossip_sub) -> gossip_status {
    guard(|| end(sub.id, false))
}

fn end(id: u64, wait: bool) -> Result<()> {
    let sub = handle::get::<SubObject>(id)?;
    let ended = handle::get::<NodeObject>(sub.node).and_then(|object| {
        // A queue's subscription has nothing that could be waited for.
        if wait && sub.queue == 0 { object.node.unsubscribe(id) } else { object.node.unsubscribe_nowait(id) }
    });
    let is_over = |error: &Error| matches!(error.status(), Status::Closed | Status::NotFound);
    if sub.queue != 0 && ended.as_ref().err().is_none_or(is_over) {
        SubObject::forget(id);
    }
    ended.map_err(
        |error| {
            if is_over(&error) { Error::new(Status::Closed, "the subscription has ended") } else { error }
        },
    )
}
