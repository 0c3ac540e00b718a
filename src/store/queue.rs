//! A queue of events: references to what changed, at most one a key and member, taken in batches.
//!
//! A queue serves any number of subscriptions of any number of nodes. What waits in it are *marks* (`mark.rs`): a mark
//! holds the newest version of an entry or view of a member, and counts the changes it stands for. So a queue is never
//! longer than the state is large, whoever sleeps, and nothing is lost. `pending.rs` has the rules.
//!
//! Locks: the queue's own lock comes last. Under it only signals are called, and no other lock is taken.

mod mark;
mod member;
mod pending;
#[cfg(test)]
mod tests;
mod told;

use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::entry::{Entry, EntryHead, TypeUrl};
use super::event::{EntryView, Event, kind};
use super::hub::Shared;
use super::members::{MemberStatus, MemberView, Members};
use crate::time::Time;
pub(super) use mark::Note;
use mark::{List, Slab, What};
use pending::{Lists, Pending};

/// Events that a take with `max` 0 gives at most.
pub const MAX_BATCH: usize = 65_536;

/// Lines kept for each subscription if a queue is made with `lines` 0.
pub const DEFAULT_LINES: usize = 1024;

/// Marks moved under one hold of the lock: offers wait no longer than these take.
const STRIDE: usize = 256;

/// A queue of events; see the module.
///
/// It is shared by those that offer (hubs) and one that takes. All calls may be made from any thread; none but
/// [`Queue::take`] waits.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    lines: usize,
}

#[derive(Default)]
struct State {
    slab: Slab,
    /// What can be taken, in order.
    ready: List,
    subs: Vec<Option<Box<Pending>>>,
    free: Vec<u32>,
    serial: u64,
    wake: Wake,
    taking: bool,
    closed: bool,
    /// What the signals were told last.
    raised: bool,
    signals: Vec<Box<dyn Signal>>,
}

/// Whether a take is to answer `Interrupted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wake {
    #[default]
    No,
    /// As soon as there is nothing to take.
    Asked,
    /// At once: a take has given events since it was asked.
    Due,
}

/// Names a subscription within a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    slot: u32,
    serial: u64,
}

/// What a queue is told of a subscription.
pub(super) struct Subscriber {
    pub tag: u64,
    pub node: u64,
    pub sub: u64,
    pub what: u32,
    pub initial: bool,
    pub members: Arc<Members>,
    pub hub: Weak<Shared>,
}

/// How a take ended without events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Told when a queue turns from empty to not empty and back: the runtime's eventfd or a waker.
///
/// Raised as long as a take would answer at once: there are events, a wake-up waits, or the queue is closed. Now and then
/// it is raised and what was there turns out to be nothing to tell; the take then waits as if it had not been.
/// Called with the queue's lock held: it must be quick and call nothing of the queue.
pub trait Signal: Send + Sync {
    /// Events, or a wake-up, are there now.
    fn raise(&self);
    /// Nothing is left.
    fn clear(&self);
}

impl State {
    fn answers_at_once(&self) -> bool {
        !self.ready.is_empty() || self.wake != Wake::No || self.closed
    }

    fn find(&mut self, ticket: Ticket) -> Option<(&mut Pending, Lists<'_>)> {
        let pending = self.subs.get_mut(ticket.slot as usize)?.as_mut()?;
        (pending.serial == ticket.serial && !pending.dead)
            .then_some((pending, Lists { slab: &mut self.slab, ready: &mut self.ready }))
    }

    fn release(&mut self, slot: u32) {
        if let Some(place) = self.subs.get_mut(slot as usize)
            && place.take().is_some()
        {
            self.free.push(slot);
        }
    }
}

impl Queue {
    /// An empty queue that keeps the newest `lines` warnings, log lines and refusals of each subscription; 0:
    /// [`DEFAULT_LINES`].
    pub fn new(lines: usize) -> Arc<Queue> {
        let lines = if lines == 0 { DEFAULT_LINES } else { lines };
        Arc::new(Queue { state: Mutex::default(), changed: Condvar::new(), lines })
    }

    /// Adds a signal; the same as [`Queue::add_signal`].
    pub fn set_signal(&self, signal: Box<dyn Signal>) {
        self.add_signal(signal);
    }

    /// Adds a signal, beside those that there are. It is raised at once if a take would answer at once. The queue keeps
    /// it until it is dropped itself.
    pub fn add_signal(&self, signal: Box<dyn Signal>) {
        let mut state = self.state.lock();
        if state.raised {
            signal.raise();
        }
        state.signals.push(signal);
    }

    /// Takes up to `max` events, oldest first; 0: as many as there are, up to [`MAX_BATCH`].
    ///
    /// Waits for the first one: `timeout` None for ever, zero not at all. `clock` gives the present time, of which
    /// expiry and the events' `taken_at` are counted; it is called without a lock held. One thread takes at a time.
    ///
    /// After [`Queue::wake`] events that are there are given first, but only in one take: the one after it answers
    /// `Interrupted` whatever has come, so that a busy queue does not hide a wake-up.
    pub fn take(
        &self,
        max: usize,
        timeout: Option<Duration>,
        clock: &dyn Fn() -> Time,
    ) -> Result<Vec<Event>, TakeError> {
        let max = if max == 0 { MAX_BATCH } else { max };
        {
            let mut state = self.state.lock();
            if state.closed {
                return Err(TakeError::Closed);
            }
            if std::mem::replace(&mut state.taking, true) {
                return Err(TakeError::Busy);
            }
        }
        let _turn = Turn(self);
        let mut now = clock();
        let deadline = timeout.map(|timeout| now + timeout);
        loop {
            let mut state = self.state.lock();
            if state.closed {
                return Err(TakeError::Closed);
            }
            if state.wake == Wake::Due {
                return self.interrupted(&mut state);
            }
            if !state.ready.is_empty() {
                let mut batch = Batch::default();
                batch.fill(&mut state, max, now);
                if state.wake == Wake::Asked && !batch.events.is_empty() {
                    state.wake = Wake::Due;
                }
                self.settle(&mut state);
                if !batch.events.is_empty() {
                    drop(state);
                    return Ok(batch.finish(now));
                }
                if state.closed {
                    return Err(TakeError::Closed);
                }
            }
            if state.wake != Wake::No {
                return self.interrupted(&mut state);
            }
            // The lock may have been let go of while there turned out to be nothing.
            if !state.answers_at_once() {
                let over = match deadline {
                    None => {
                        self.changed.wait(&mut state);
                        false
                    }
                    Some(deadline) => {
                        let left = deadline.since(now);
                        left.is_zero() || self.changed.wait_for(&mut state, left).timed_out()
                    }
                };
                if over && !state.answers_at_once() {
                    return Err(TakeError::Timeout);
                }
            }
            drop(state);
            now = clock();
        }
    }

    fn interrupted(&self, state: &mut State) -> Result<Vec<Event>, TakeError> {
        state.wake = Wake::No;
        self.settle(state);
        Err(TakeError::Interrupted)
    }

    /// Makes the take that waits, or else the next one, answer `Interrupted`, once; see [`Queue::take`] for when there
    /// are events too.
    pub fn wake(&self) {
        let mut state = self.state.lock();
        if state.wake == Wake::No {
            state.wake = Wake::Asked;
        }
        self.settle(&mut state);
    }

    /// Closes the queue: takes answer `Closed`, what waits is dropped, its subscriptions end. Signals stay raised.
    pub fn close(&self) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        let subs = std::mem::take(&mut state.subs);
        let slab = std::mem::take(&mut state.slab);
        state.ready = List::default();
        state.free = Vec::new();
        self.settle(&mut state);
        drop(state);
        drop(slab);
        for pending in subs.into_iter().flatten() {
            if let Some(hub) = pending.hub.upgrade() {
                hub.forget(self);
            }
        }
    }

    /// Whether a take would answer at once: with events, or with what ended it.
    pub fn is_ready(&self) -> bool {
        self.state.lock().answers_at_once()
    }

    /// Whether [`Queue::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Tells signals and the one that waits, if what they wait for has turned.
    fn settle(&self, state: &mut State) {
        let now = state.answers_at_once();
        if now != state.raised {
            state.raised = now;
            for signal in &state.signals {
                if now {
                    signal.raise();
                } else {
                    signal.clear();
                }
            }
            if now {
                self.changed.notify_all();
            }
        }
    }

    /// Takes a subscription in; `None` if the queue is closed.
    pub(super) fn register(&self, subscriber: Subscriber) -> Option<Ticket> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        state.serial += 1;
        let slot = match state.free.pop() {
            Some(slot) => slot,
            None => {
                state.subs.push(None);
                (state.subs.len() - 1) as u32
            }
        };
        let ticket = Ticket { slot, serial: state.serial };
        let s = subscriber;
        let pending = Pending::new(
            (slot, ticket.serial),
            (s.tag, s.node, s.sub),
            s.what,
            s.initial,
            self.lines,
            s.members,
            s.hub,
        );
        state.subs[slot as usize] = Some(Box::new(pending));
        Some(ticket)
    }

    /// Removes a subscription: nothing of it will be taken any more. Gives whether it was there.
    pub(super) fn unregister(&self, ticket: Ticket) -> bool {
        let mut state = self.state.lock();
        let Some((pending, _)) = state.find(ticket) else { return false };
        pending.dead = true;
        let mut page = 0;
        // A page at a time: what waits may be the whole state.
        while state.pending(ticket).is_some_and(|p| p.live > 0) && page < state.slab.pages() {
            let mut removed = Vec::new();
            for at in state.slab.owned_in(page, ticket.slot) {
                removed.extend(state.remove_dead(ticket.slot, at));
            }
            page += 1;
            MutexGuard::unlocked(&mut state, || drop(removed));
        }
        if state.pending(ticket).is_some() {
            state.release(ticket.slot);
        }
        self.settle(&mut state);
        true
    }

    /// An entry has changed, or with `expired` its time to live is over.
    pub(super) fn offer_entry(&self, ticket: Ticket, entry: &Entry, hash: u32, expired: bool, now: Time) {
        self.offer(ticket, |pending, lists| pending.entry(lists, entry, hash, expired, now));
    }

    /// A member has changed.
    pub(super) fn offer_member(&self, ticket: Ticket, event: u32, view: &MemberView, hash: u32) {
        self.offer(ticket, |pending, lists| pending.member(lists, event, view, hash));
    }

    /// Something is to be said in words.
    pub(super) fn offer_note(&self, ticket: Ticket, note: &Note) {
        self.offer(ticket, |pending, lists| pending.note(lists, note));
    }

    /// The node is synced.
    pub(super) fn offer_synced(&self, ticket: Ticket) {
        self.offer(ticket, |pending, lists| pending.synced(lists));
    }

    /// Entries that exist, for a subscription that is being set up.
    pub(super) fn collect<'a>(&self, ticket: Ticket, entries: impl Iterator<Item = (&'a Entry, u32)>) {
        let mut entries = entries.peekable();
        while entries.peek().is_some() {
            self.offer(ticket, |pending, lists| {
                for (entry, hash) in entries.by_ref().take(STRIDE) {
                    pending.collect(lists, entry, hash);
                }
            });
        }
    }

    /// All entries that exist were collected: makes them takeable, with the members that are present. `hash` gives a
    /// member's hash if it is wanted. Gives whether the subscription was still there.
    pub(super) fn finish(&self, ticket: Ticket, members: &Members, hash: impl Fn(&MemberView) -> Option<u32>) -> bool {
        self.offer(ticket, |pending, _| pending.begin_listing());
        // Not under the queue's lock: readers of the table may hold a shard's lock, and so may those that collect.
        let listed = members.list(true);
        self.offer(ticket, |pending, lists| pending.finish(lists, listed, hash)).is_some()
    }

    /// The subscription's node was closed: what waits can still be taken, then `CLOSED`.
    pub(super) fn end(&self, ticket: Ticket) {
        self.offer(ticket, |pending, lists| pending.end(lists));
    }

    fn offer<R>(&self, ticket: Ticket, put: impl FnOnce(&mut Pending, &mut Lists<'_>) -> R) -> Option<R> {
        let mut state = self.state.lock();
        let (pending, mut lists) = state.find(ticket)?;
        let result = put(pending, &mut lists);
        self.settle(&mut state);
        Some(result)
    }
}

impl State {
    /// The subscription, also when it only waits for its marks to be removed.
    fn pending(&self, ticket: Ticket) -> Option<&Pending> {
        self.subs.get(ticket.slot as usize)?.as_deref().filter(|p| p.serial == ticket.serial)
    }

    fn remove_dead(&mut self, slot: u32, at: u32) -> Option<What> {
        let pending = self.subs.get_mut(slot as usize)?.as_mut()?;
        let mut lists = Lists { slab: &mut self.slab, ready: &mut self.ready };
        Some(pending.remove(&mut lists, at).0)
    }
}

/// Ends a take, however it ends.
struct Turn<'a>(&'a Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().taking = false;
    }
}

/// Events being taken. What needs no queue is done after its lock was let go of.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    /// Up to which event they are of a node with these members.
    runs: Vec<(usize, Arc<Members>)>,
}

impl Batch {
    fn fill(&mut self, state: &mut MutexGuard<'_, State>, max: usize, now: Time) {
        let mut moved = 0;
        while self.events.len() < max && !state.ready.is_empty() {
            self.pop(state, now);
            moved += 1;
            if moved % STRIDE == 0 {
                MutexGuard::bump(state);
            }
        }
    }

    /// Takes the first mark, and makes an event of it if it is one.
    fn pop(&mut self, state: &mut State, now: Time) {
        let at = state.ready.head;
        let State { slab, ready, subs, .. } = state;
        let mark = slab.get(at);
        let (slot, hash) = (mark.owner, mark.hash);
        let Some(pending) = subs.get_mut(slot as usize).and_then(Option::as_mut) else {
            // Marks go before their subscription does; one without must not stay at the head for ever.
            ready.unlink(slab, at);
            slab.remove(at);
            return;
        };
        let (what, count) = pending.remove(&mut Lists { slab, ready }, at);
        if pending.dead {
            return;
        }
        let mut event = Event {
            kind: 0,
            tag: pending.tag,
            node: pending.node,
            sub: pending.sub,
            conflated: count.max(1),
            code: 0,
            text: None,
            target: None,
            entry: None,
            member: None,
            taken_at: now,
        };
        match what {
            What::Entry(entry, flags) => {
                event.kind = pending.take_entry(&entry, flags, hash, now).unwrap_or(0);
                event.entry = Some(EntryView { entry, status: MemberStatus::Left, read_at: now });
            }
            What::Member(member) => {
                event.kind = member.kind;
                event.member = Some(member.view);
            }
            What::Note(note) => {
                event.kind = note.kind;
                event.code = note.code;
                event.text = Some(note.text);
                event.target = note.target;
                event.member = note.member;
            }
            What::Synced => event.kind = kind::SYNCED,
            What::InitialDone => {
                pending.initial_taken();
                event.kind = kind::INITIAL_DONE;
            }
            What::Closed => event.kind = kind::CLOSED,
            What::Free(_) => {}
        }
        pending.removed();
        if event.kind == 0 {
            return;
        }
        let last = event.kind == kind::CLOSED;
        self.events.push(event);
        match self.runs.last_mut() {
            Some((end, members)) if Arc::ptr_eq(members, &pending.members) => *end = self.events.len(),
            _ => self.runs.push((self.events.len(), pending.members.clone())),
        }
        if last {
            state.release(slot);
        }
    }

    /// Reads the statuses of members. No lock of the queue is held.
    fn finish(self, now: Time) -> Vec<Event> {
        let mut events = self.events;
        let mut start = 0;
        for (end, members) in self.runs {
            members.with_status(|status| {
                for event in &mut events[start..end] {
                    if let Some(view) = &mut event.entry {
                        view.status = status(view.entry.head().life.nonce);
                    }
                }
            });
            start = end;
        }
        for event in &mut events {
            if event.kind == kind::ENTRY_DELETED
                && let Some(view) = &mut event.entry
                && !view.entry.head().deleted
            {
                view.entry = without_value(&view.entry);
            }
        }
        debug_assert!(events.iter().all(|e| e.taken_at == now));
        events
    }
}

/// What an expired entry is to a host: deleted, without a value.
fn without_value(entry: &Entry) -> Entry {
    static NO_TYPE: LazyLock<TypeUrl> = LazyLock::new(|| TypeUrl::new(""));
    let h = entry.head();
    let head = EntryHead { life: h.life.clone(), type_url: NO_TYPE.clone(), deleted: true, drained: true.into(), ..*h };
    Entry::new(head, entry.key(), &[])
}
