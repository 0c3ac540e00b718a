//! A queue of events: references to what changed, at most one a key and member, taken in batches.

use std::sync::Arc;
use std::time::Duration;

use super::event::Event;
use crate::time::Time;

/// See the module.
pub struct Queue {}

/// How a take ended without events.
#[derive(Debug, PartialEq, Eq)]
pub enum TakeError {
    /// Nothing came in time.
    Timeout,
    /// [`Queue::wake`] was called.
    Interrupted,
    /// Another thread is taking.
    Busy,
    /// The queue was closed.
    Closed,
}

/// Told when a queue turns from empty to not empty and back: the runtime's eventfd or a waker. Called with the queue's lock held: it must be quick and call nothing of the queue.
pub trait Signal: Send + Sync {
    /// Events, or a wake-up, are there now.
    fn raise(&self);
    /// Nothing is left.
    fn clear(&self);
}

#[allow(unused_variables, missing_docs)]
impl Queue {
    pub fn new(lines: usize) -> Arc<Queue> {
        unimplemented!()
    }
    pub fn set_signal(&self, signal: Box<dyn Signal>) {
        unimplemented!()
    }
    /// `timeout` None: for ever; zero: try. `clock` is asked after waiting, for the time of taking.
    pub fn take(
        &self,
        max: usize,
        timeout: Option<Duration>,
        clock: &dyn Fn() -> Time,
    ) -> Result<Vec<Event>, TakeError> {
        unimplemented!()
    }
    pub fn wake(&self) {
        unimplemented!()
    }
    pub fn close(&self) {
        unimplemented!()
    }
}
