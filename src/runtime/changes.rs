//! Changes as they come: an iterator for threads, a future for async hosts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::clock;
use super::node::Node;
use crate::store::event::{Event, kind};
use crate::store::queue::{Queue, Signal, TakeError};

/// Events taken at a time.
const BATCH: usize = 64;

/// A subscription, made by [`Node::changes`]. It ends when it is dropped, and after [`kind::CLOSED`], which is the last
/// event when the node is closed. It keeps the node open.
///
/// What happens while nobody looks is conflated: an entry that changed a hundred times meanwhile is one event, with the
/// latest value and a count of 100.
pub struct Changes {
    node: Node,
    queue: Arc<Queue>,
    woken: Arc<Notify>,
    sub: u64,
    taken: VecDeque<Event>,
    ended: bool,
}

struct NotifySignal(Arc<Notify>);

impl Signal for NotifySignal {
    fn raise(&self) {
        self.0.notify_one();
    }

    fn clear(&self) {}
}

impl Changes {
    /// `queue` is to be subscribed as `sub` by the caller.
    pub(super) fn new(node: Node, queue: Arc<Queue>, sub: u64) -> Changes {
        let woken = Arc::new(Notify::new());
        queue.set_signal(Box::new(NotifySignal(woken.clone())));
        Changes { node, queue, woken, sub, taken: VecDeque::new(), ended: false }
    }

    /// The next event, waiting for it up to `timeout` (`None`: for ever). `None` when the time is over, and when the
    /// subscription has ended ([`Changes::has_ended`] tells).
    pub fn next_timeout(&mut self, timeout: Option<Duration>) -> Option<Event> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            if let Some(event) = self.pop() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if self.take(left) == Some(TakeError::Timeout) {
                return None;
            }
        }
    }

    /// The next event; `None` when the subscription has ended. Nothing is lost when the future is dropped.
    pub async fn next_async(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pop() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            // The queue raises its signal when an event comes into an empty one: a permit is left behind then, so that
            // an event between the look and the wait is not missed.
            if self.take(Some(Duration::ZERO)) == Some(TakeError::Timeout) {
                self.woken.notified().await;
            }
        }
    }

    /// Whether the node was closed and all events have been given.
    pub fn has_ended(&self) -> bool {
        self.ended && self.taken.is_empty()
    }

    fn take(&mut self, timeout: Option<Duration>) -> Option<TakeError> {
        match self.queue.take(BATCH, timeout, &clock::now) {
            Ok(events) => {
                self.taken.extend(events);
                None
            }
            Err(TakeError::Closed) => {
                self.ended = true;
                Some(TakeError::Closed)
            }
            Err(e) => Some(e),
        }
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.taken.pop_front()?;
        if event.kind == kind::CLOSED {
            self.ended = true;
        }
        Some(event)
    }
}

impl Iterator for Changes {
    type Item = Event;

    /// Waits for the next event; `None` when the subscription has ended.
    fn next(&mut self) -> Option<Event> {
        self.next_timeout(None)
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.node.forget_subscription(self.sub, &self.queue);
    }
}
