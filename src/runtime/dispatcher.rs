//! The thread that calls a node's callbacks, one at a time, with no lock held.

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::driver::panic_text;
use super::node::Callback;
use super::shared::log;
use super::{clock, signals};
use crate::error::{Error, Result, Status};
use crate::store::Store;
use crate::store::event::{Event, Level, kind};
use crate::store::hub::{Filter, SubscribeError};
use crate::store::queue::{Queue, TakeError};

/// Events taken from the queue at a time.
const BATCH: usize = 64;
/// Warnings and log lines kept for a subscription whose callback is slow.
const LINES: usize = 1024;

thread_local! {
    /// Address of the dispatcher whose thread this is; 0 for others.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// One callback: not in its place while it runs.
struct Slot {
    state: Mutex<SlotState>,
    dropped: Condvar,
}

struct SlotState {
    callback: Option<Callback>,
    running: bool,
    /// It is not to be called any more.
    ended: bool,
    is_dropped: bool,
}

impl Slot {
    fn new(callback: Callback) -> Slot {
        let state = SlotState { callback: Some(callback), running: false, ended: false, is_dropped: false };
        Slot { state: Mutex::new(state), dropped: Condvar::new() }
    }

    /// Takes the callback out to call it.
    fn begin(&self) -> Option<Callback> {
        let mut state = self.state.lock();
        if state.ended {
            return None;
        }
        state.running = true;
        state.callback.take()
    }

    /// Puts the callback back, or drops it if it has been ended meanwhile.
    fn finish(&self, callback: Callback) {
        let mut state = self.state.lock();
        state.running = false;
        if !state.ended {
            state.callback = Some(callback);
            return;
        }
        drop(state);
        self.drop_callback(Some(callback));
    }

    /// From now on it is not called; if it does not run now, it is dropped at once.
    fn end(&self) {
        let mut state = self.state.lock();
        if state.ended {
            return;
        }
        state.ended = true;
        if !state.running {
            let callback = state.callback.take();
            drop(state);
            self.drop_callback(callback);
        }
    }

    fn drop_callback(&self, callback: Option<Callback>) {
        // A destructor of the host's must not end the thread either.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(callback)));
        self.state.lock().is_dropped = true;
        self.dropped.notify_all();
    }

    fn wait_dropped(&self) {
        let mut state = self.state.lock();
        while !state.is_dropped {
            self.dropped.wait(&mut state);
        }
    }
}

/// Called once when the dispatcher has ended.
type AtEnd = Box<dyn FnOnce() + Send>;

struct Inner {
    store: Arc<Store>,
    queue: Arc<Queue>,
    slots: Mutex<HashMap<u64, Arc<Slot>>>,
    ending: AtomicBool,
    at_end: Mutex<Option<AtEnd>>,
}

#[derive(Default)]
struct Thread {
    started: bool,
    handle: Option<JoinHandle<()>>,
    /// No thread is started any more.
    closed: bool,
}

/// See the module. The thread is started at the first subscription.
pub struct Dispatcher {
    inner: Arc<Inner>,
    thread: Mutex<Thread>,
}

impl Dispatcher {
    /// Without a thread yet.
    pub fn new(store: Arc<Store>) -> Dispatcher {
        let inner = Inner {
            store,
            queue: Queue::new(LINES),
            slots: Mutex::default(),
            ending: AtomicBool::new(false),
            at_end: Mutex::default(),
        };
        Dispatcher { inner: Arc::new(inner), thread: Mutex::default() }
    }

    /// Whether this is called from a callback: waiting for the dispatcher would be for ever.
    pub fn is_here(&self) -> bool {
        HERE.get() == Arc::as_ptr(&self.inner) as usize
    }

    /// Whether `sub` is a subscription with a callback.
    pub fn has(&self, sub: u64) -> bool {
        self.inner.slots.lock().contains_key(&sub)
    }

    /// How many callbacks there are.
    pub fn count(&self) -> usize {
        self.inner.slots.lock().len()
    }

    /// Subscribes `callback`; on failure it is given back and was not called.
    pub fn subscribe(
        &self,
        filter: Filter,
        sub: u64,
        callback: Callback,
    ) -> std::result::Result<(), (Error, Callback)> {
        if let Err(e) = self.start() {
            return Err((e, callback));
        }
        // Held until the subscription stands: what it tells at once must find its callback, and while it is held the
        // dispatcher, which may be ending, drops none.
        let mut slots = self.inner.slots.lock();
        match self.inner.store.subscribe(clock::now(), filter, &self.inner.queue, sub, sub) {
            Ok(()) => {
                slots.insert(sub, Arc::new(Slot::new(callback)));
                Ok(())
            }
            Err(SubscribeError::HubClosed | SubscribeError::QueueClosed) => {
                Err((Error::new(Status::Closed, "the node was closed"), callback))
            }
        }
    }

    fn start(&self) -> Result<()> {
        let mut thread = self.thread.lock();
        if thread.closed {
            return Err(Error::new(Status::Closed, "the node was closed"));
        }
        if thread.started {
            return Ok(());
        }
        let inner = self.inner.clone();
        let builder = std::thread::Builder::new().name("gossip-events".into());
        let handle = signals::with_quiet_mask(|| builder.spawn(move || inner.run())).map_err(|e| {
            Error::new(Status::NoResources, format!("the thread for callbacks can not be started: {e}"))
        })?;
        *thread = Thread { started: true, handle: Some(handle), closed: false };
        Ok(())
    }

    /// Ends a subscription; `false` if there is none by that number. Does not wait for a callback that runs.
    pub fn unsubscribe_nowait(&self, sub: u64) -> bool {
        self.take_out(sub).is_some()
    }

    /// Ends a subscription and waits until its callback does not run any more and was dropped.
    pub fn unsubscribe(&self, sub: u64) -> bool {
        let slot = self.take_out(sub);
        if let Some(slot) = &slot {
            slot.wait_dropped();
        }
        slot.is_some()
    }

    fn take_out(&self, sub: u64) -> Option<Arc<Slot>> {
        let slot = self.inner.slots.lock().remove(&sub)?;
        self.inner.store.hub.unsubscribe(sub);
        slot.end();
        Some(slot)
    }

    /// The hub was closed: what was still to be told is told, then all callbacks are dropped, and `at_end` is called.
    pub fn end(&self, at_end: AtEnd) {
        let started = {
            let mut thread = self.thread.lock();
            thread.closed = true;
            thread.started
        };
        if !started {
            self.inner.queue.close();
            return at_end();
        }
        *self.inner.at_end.lock() = Some(at_end);
        self.inner.ending.store(true, Ordering::SeqCst);
        self.inner.queue.wake();
    }

    /// Waits for the thread, after [`Dispatcher::end`] has called back.
    pub fn join(&self) {
        let handle = self.thread.lock().handle.take();
        if let Some(handle) = handle {
            // Joining panics where the host has ended the thread in its own way.
            let _ = catch_unwind(AssertUnwindSafe(|| handle.join()));
        }
    }
}

impl Inner {
    fn run(self: Arc<Self>) {
        HERE.set(Arc::as_ptr(&self) as usize);
        loop {
            // Looked at before taking: what was offered before the end is taken after it.
            let ending = self.ending.load(Ordering::SeqCst);
            let patience = if ending { Some(std::time::Duration::ZERO) } else { None };
            match self.queue.take(BATCH, patience, &clock::now) {
                Ok(events) => events.iter().for_each(|event| self.tell(event)),
                Err(TakeError::Timeout) if ending => break,
                Err(TakeError::Closed) => break,
                Err(TakeError::Timeout | TakeError::Interrupted | TakeError::Busy) => {}
            }
        }
        self.queue.close();
        let slots = std::mem::take(&mut *self.slots.lock());
        slots.values().for_each(|slot| slot.end());
        HERE.set(0);
        let at_end = self.at_end.lock().take();
        if let Some(at_end) = at_end {
            at_end();
        }
    }

    fn tell(&self, event: &Event) {
        let slot = self.slots.lock().get(&event.sub).cloned();
        let Some(slot) = slot else { return };
        let Some(mut callback) = slot.begin() else { return };
        let result = catch_unwind(AssertUnwindSafe(|| callback(event)));
        slot.finish(callback);
        if let Err(panic) = result {
            // As a log line about log lines would come round again, at once and for ever.
            if event.kind != kind::LOG {
                let text = format!("a callback has panicked: {}", panic_text(&*panic));
                log(&self.store, Level::Error, || text);
            }
        }
    }
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
