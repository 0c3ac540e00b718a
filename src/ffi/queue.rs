//! queues: events are kept until a thread of yours takes them

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::eventfd::EventFd;
use super::guard::guard;
use super::handle;
use super::input::{invalid, out, timeout};
use super::sub::SubObject;
use super::types::{gossip_events, gossip_queue, gossip_status, gossip_sub};
use crate::error::{Error, Result, Status};
use crate::runtime::clock;
use crate::store::queue::{Queue, TakeError};

/// More lines than any host reads; each takes memory.
const MAX_LINES: usize = 1 << 20;

/// What a `gossip_queue` names.
pub struct QueueObject {
    /// The queue.
    pub(super) queue: Arc<Queue>,
    /// Its subscriptions, whose ids end with it.
    pub(super) subs: Mutex<HashSet<u64>>,
    fd: Mutex<Option<EventFd>>,
}

/// Makes a queue for gossip_subscribe_queue. `lines` is how many warnings, log lines and refusals it keeps for each
/// subscription, up to 1048576, 0 for 1024; the oldest give way. It outlives its nodes; free it with gossip_queue_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_queue_new(lines: usize, out: *mut gossip_queue) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for the result.
        let place = unsafe { self::out(out) }?;
        if lines > MAX_LINES {
            return Err(invalid(format!("{lines} lines; at most {MAX_LINES} can be kept")));
        }
        let object = QueueObject { queue: Queue::new(lines), subs: Mutex::new(HashSet::new()), fd: Mutex::new(None) };
        place.put(gossip_queue { id: handle::insert(object)? });
        Ok(())
    })
}

/// A file descriptor that is readable while the queue has events or a gossip_queue_wake is pending: for poll, epoll or
/// an event loop. Only wait on it: never read, write or close it, and take it out of your event loop before
/// gossip_queue_free, which closes it. Close-on-exec. The same at each call.
///
/// GOSSIP_ERR_NOT_SUPPORTED where there is no eventfd (all but Linux), GOSSIP_ERR_NO_RESOURCES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_queue_fd(queue: gossip_queue, fd: *mut i32) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for the result.
        let place = unsafe { out(fd) }?;
        let object = handle::get::<QueueObject>(queue.id)?;
        let mut fd = object.fd.lock();
        let eventfd = match &*fd {
            Some(eventfd) => eventfd.clone(),
            None => {
                let eventfd = EventFd::new()?;
                object.queue.set_signal(Box::new(eventfd.clone()));
                fd.insert(eventfd).clone()
            }
        };
        place.put(eventfd.number());
        Ok(())
    })
}

/// Takes up to `max` events, at least one; waits for the first at most timeout_ms (-1: for ever, 0: does not wait). Free
/// *out with gossip_events_free. An event's values are those of the moment of taking. Gossip never waits for you.
///
/// GOSSIP_ERR_TIMEOUT: nothing came. GOSSIP_ERR_INTERRUPTED: gossip_queue_wake was called. GOSSIP_ERR_BUSY: another
/// thread is taking. GOSSIP_ERR_CLOSED: the queue was freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gossip_queue_take(
    queue: gossip_queue,
    max: usize,
    timeout_ms: i32,
    out: *mut *mut gossip_events,
) -> gossip_status {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for the result.
        let place = unsafe { self::out(out) }?;
        let timeout = timeout(timeout_ms)?;
        if max == 0 {
            return Err(invalid("max is 0"));
        }
        let object = handle::get::<QueueObject>(queue.id)?;
        place.put(gossip_events::new(take(&object.queue, max, timeout)?));
        Ok(())
    })
}

fn take(queue: &Queue, max: usize, timeout: Option<std::time::Duration>) -> Result<Vec<crate::store::event::Event>> {
    queue.take(max, timeout, &clock::now).map_err(|e| {
        Error::from(match e {
            TakeError::Timeout => Status::Timeout,
            TakeError::Interrupted => Status::Interrupted,
            TakeError::Busy => Status::Busy,
            TakeError::Closed => Status::Closed,
        })
    })
}

/// Ends a gossip_queue_take that is waiting, or else the next one, with GOSSIP_ERR_INTERRUPTED; events that are there
/// are given first, but only once.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_queue_wake(queue: gossip_queue) -> gossip_status {
    guard(|| {
        handle::get::<QueueObject>(queue.id)?.queue.wake();
        Ok(())
    })
}

/// Frees the queue: ends its subscriptions, drops what it holds, and closes its file descriptor. A take in progress
/// answers GOSSIP_ERR_CLOSED. Batches that were taken stay valid.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_queue_free(queue: gossip_queue) -> gossip_status {
    guard(|| {
        let object = handle::remove::<QueueObject>(queue.id)?;
        let subs = std::mem::take(&mut *object.subs.lock());
        for id in subs {
            // Those that have ended already answer so, which is of no interest here.
            super::sub::gossip_unsubscribe_nowait(gossip_sub { id });
            SubObject::forget(id);
        }
        object.queue.close();
        Ok(())
    })
}
