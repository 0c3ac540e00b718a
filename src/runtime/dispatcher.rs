//! The thread that calls a node's callbacks, one at a time, with no lock held.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::caught::caught;
use super::node::Callback;
use super::shared::log;
use super::{clock, fork, signals};
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
    /// Addresses of the dispatchers that wait for this thread: the one whose thread it is, and those of which it drops a
    /// callback, which may run code of the host's.
    static HERE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Of dispatchers, by address: (the one that waits for a thread, the one that this thread waits for).
static WAITS: fork::PerProcess<Mutex<Vec<(usize, usize)>>> = fork::PerProcess::new();

/// While it lives, this thread waits for a dispatcher.
pub struct Waiting(Vec<(usize, usize)>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let mut waits = WAITS.get(Mutex::default).lock();
        for edge in &self.0 {
            if let Some(i) = waits.iter().position(|other| other == edge) {
                waits.swap_remove(i);
            }
        }
    }
}

/// Whether one of `ends` is `from`, or one that it waits for, or one that that one waits for.
fn reaches(waits: &[(usize, usize)], from: usize, ends: &[usize]) -> bool {
    let mut seen = vec![from];
    let mut next = 0;
    while let Some(&at) = seen.get(next) {
        if ends.contains(&at) {
            return true;
        }
        next += 1;
        for &(_, to) in waits.iter().filter(|(waiting, _)| *waiting == at) {
            if !seen.contains(&to) {
                seen.push(to);
            }
        }
    }
    false
}

/// While it lives, waiting for that dispatcher in this thread would be for ever.
struct Within;

impl Within {
    fn new(dispatcher: usize) -> Within {
        // A thread that is ending has no such variables any more, and then nothing of the host's runs in it.
        let _ = HERE.try_with(|here| here.borrow_mut().push(dispatcher));
        Within
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        let _ = HERE.try_with(|here| here.borrow_mut().pop());
    }
}

/// One callback: not in its place while it runs. It is in its dispatcher's table until it was dropped.
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

    /// Puts the callback back; gives it, to be dropped, if it has been ended meanwhile.
    fn finish(&self, callback: Callback) -> Option<Callback> {
        let mut state = self.state.lock();
        state.running = false;
        if state.ended {
            return Some(callback);
        }
        state.callback = Some(callback);
        None
    }

    /// From now on it is not called. `None` if it was ended before; else the callback, to be dropped, unless it runs now:
    /// then it is dropped after that.
    fn end(&self) -> Option<Option<Callback>> {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.ended, true) {
            return None;
        }
        Some(if state.running { None } else { state.callback.take() })
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
    end: Mutex<End>,
}

/// Who tells the end: whichever comes last of the thread's end and the wish to be told.
#[derive(Default)]
struct End {
    /// The thread calls nothing any more.
    reached: bool,
    tell: Option<AtEnd>,
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
            end: Mutex::default(),
        };
        Dispatcher { inner: Arc::new(inner), thread: Mutex::default() }
    }

    /// To be held while this thread waits for the dispatcher. `None`: that would be for ever, for this is called from one of
    /// its callbacks, or while one is dropped, or from a callback of a dispatcher that one of its callbacks waits for.
    pub fn wait_for(&self) -> Option<Waiting> {
        let here = HERE.try_with(|here| here.borrow().clone()).unwrap_or_default();
        if here.is_empty() {
            return Some(Waiting(Vec::new())); // nobody waits for this thread
        }
        let me = self.inner.address();
        // Looked at and noted at once: of two that are about to wait for each other one is told.
        let mut waits = WAITS.get(Mutex::default).lock();
        if reaches(&waits, me, &here) {
            return None;
        }
        let edges: Vec<_> = here.into_iter().map(|waiting| (waiting, me)).collect();
        waits.extend_from_slice(&edges);
        Some(Waiting(edges))
    }

    /// Whether `sub` is a subscription with a callback that was not dropped yet.
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

    /// Ends a subscription; `false` if there is none by that number, or it was ended before. Does not wait for a callback
    /// that runs.
    pub fn unsubscribe_nowait(&self, sub: u64) -> bool {
        self.inner.slot(sub).is_some_and(|slot| self.end_one(sub, &slot))
    }

    /// Ends a subscription and waits until its callback does not run any more and was dropped, also if it was ended
    /// before, or is being ended; gives whether it was ended by this call.
    pub fn unsubscribe(&self, sub: u64) -> bool {
        let Some(slot) = self.inner.slot(sub) else { return false };
        let first = self.end_one(sub, &slot);
        slot.wait_dropped();
        first
    }

    fn end_one(&self, sub: u64, slot: &Slot) -> bool {
        let Some(callback) = slot.end() else { return false };
        self.inner.store.hub.unsubscribe(sub);
        if let Some(callback) = callback {
            self.inner.drop_callback(sub, slot, callback);
        }
        true
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
        {
            let mut end = self.inner.end.lock();
            if !end.reached {
                end.tell = Some(at_end);
                drop(end);
                self.inner.ending.store(true, Ordering::SeqCst);
                self.inner.queue.wake();
                return;
            }
        }
        at_end();
    }

    /// Waits for the thread, after [`Dispatcher::end`] has called back.
    pub fn join(&self) {
        let handle = self.thread.lock().handle.take();
        if let Some(handle) = handle {
            // Joining panics where the host has ended the thread in its own way.
            let _ = caught(|| handle.join());
        }
    }
}

impl Inner {
    fn run(self: Arc<Self>) {
        let within = Within::new(self.address());
        // Should the loop panic, the callbacks end here, and closing the node does not wait for them in vain.
        if let Err(panic) = caught(|| self.tell_all()) {
            log(&self.store, Level::Error, || format!("the thread for callbacks has died: {panic}"));
        }
        let _ = caught(|| self.queue.close());
        let slots: Vec<_> = self.slots.lock().iter().map(|(sub, slot)| (*sub, slot.clone())).collect();
        for (sub, slot) in slots {
            match slot.end() {
                Some(Some(callback)) => self.drop_callback(sub, &slot, callback),
                // Another thread drops it now.
                _ => slot.wait_dropped(),
            }
        }
        drop(within);
        let tell = {
            let mut end = self.end.lock();
            end.reached = true;
            end.tell.take()
        };
        if let Some(tell) = tell {
            tell();
        }
    }

    fn tell_all(&self) {
        loop {
            // Looked at before taking: what was offered before the end is taken after it.
            let ending = self.ending.load(Ordering::SeqCst);
            let patience = if ending { Some(std::time::Duration::ZERO) } else { None };
            match self.queue.take(BATCH, patience, &clock::now) {
                Ok(events) => events.iter().for_each(|event| self.tell(event)),
                Err(TakeError::Timeout) if ending => return,
                Err(TakeError::Closed) => return,
                Err(TakeError::Timeout | TakeError::Interrupted | TakeError::Busy) => {}
            }
        }
    }

    fn tell(&self, event: &Event) {
        let Some(slot) = self.slot(event.sub) else { return };
        let Some(mut callback) = slot.begin() else { return };
        let result = caught(|| callback(event));
        if let Some(ended) = slot.finish(callback) {
            self.drop_callback(event.sub, &slot, ended);
        }
        if let Err(panic) = result {
            // As a log line about log lines would come round again, at once and for ever.
            if event.kind != kind::LOG {
                log(&self.store, Level::Error, || format!("a callback has panicked: {panic}"));
            }
        }
    }

    fn slot(&self, sub: u64) -> Option<Arc<Slot>> {
        self.slots.lock().get(&sub).cloned()
    }

    /// Runs the host's destructor. Who ends the subscription or the node meanwhile waits for it.
    fn drop_callback(&self, sub: u64, slot: &Slot, callback: Callback) {
        let within = Within::new(self.address());
        // One that panics must not end the thread either.
        let _ = caught(|| drop(callback));
        drop(within);
        self.slots.lock().remove(&sub);
        slot.state.lock().is_dropped = true;
        slot.dropped.notify_all();
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
