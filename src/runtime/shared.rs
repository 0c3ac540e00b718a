//! What the handles of a node, its task and its dispatcher share, and how it ends.
//!
//! A node goes open → closing → ended. Its task ends the engine and the sockets, then the subscriptions, in this order;
//! if the task has died, whoever closes the node ends the subscriptions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use parking_lot::Mutex;

use super::advertise::Later;
use super::clock;
use super::dispatcher::Dispatcher;
use super::drain::drain;
use super::fork;
use super::net::{Input, Net};
use super::pool::PoolRef;
use super::progress::Signals;
use super::stats::Stats;
use crate::config::settings::Settings;
use crate::engine::Engine;
use crate::error::{Error, Result, Status};
use crate::store::event::Level;
use crate::store::members::MemberView;
use crate::store::{Store, Waker};
use crate::time::Time;

/// What the node's part of the log is called.
const TARGET: &str = "runtime";

/// Packets and actions carried out for one input.
pub const DRAIN: usize = 256;

const OPEN: u8 = 0;
const CLOSING: u8 = 1;
const ENDED: u8 = 2;

/// The engine with the ways out: dropped when the node's task ends.
pub struct Core {
    pub engine: Engine,
    pub net: Net,
    /// What is still to be found out about the address that others are told, and the port that it gets.
    pub later: Later,
    pub port: u16,
}

impl Core {
    /// Carries out what the engine wants done, and tells it what failed at once. Gives whether there may be more.
    pub fn drain(&mut self, store: &Store, now: Time, budget: usize) -> bool {
        let mut more = drain(&mut self.engine, &mut self.net, budget);
        // Failures may lead to other packets, whose sending may fail: not for ever within one call.
        for _ in 0..4 {
            if self.net.pending.is_empty() {
                return more;
            }
            for input in std::mem::take(&mut self.net.pending) {
                self.handle(store, now, input);
            }
            more |= drain(&mut self.engine, &mut self.net, budget);
        }
        more || !self.net.pending.is_empty()
    }

    /// Gives an input to the engine.
    pub fn handle(&mut self, store: &Store, now: Time, input: Input) {
        match input {
            Input::Stream { from, bytes, room } => {
                self.engine.handle_stream(now, from, &bytes);
                drop(room);
            }
            Input::SendFailed { to, path, too_big, error } => {
                self.engine.handle_send_failed(now, to, path, too_big, &error);
            }
            Input::Resolved { seed, result } => {
                if self.later == Later::Seeds
                    && let Ok(addresses) = &result
                {
                    self.route_to_seed(store, now, &seed, addresses);
                }
                self.engine.handle_resolved(now, &seed, result);
            }
            Input::Connected { to, reached } => self.engine.handle_connected(now, to, reached),
            Input::Advertise(Ok(address)) => {
                self.later = Later::Nothing;
                self.engine.handle_address(now, address);
            }
            Input::Advertise(Err(why)) => {
                let text = format!("advertise: {why}; others are told a guess until it can be looked up");
                store.hub.warning(Status::Advertise.code(), &text, now);
            }
        }
    }

    /// A seed was looked up: the source address of the route to it is what others are told.
    fn route_to_seed(&mut self, store: &Store, now: Time, seed: &str, addresses: &[std::net::SocketAddr]) {
        let routes: Vec<_> = addresses.iter().map(|&to| super::advertise::towards(to, self.net.udp.family())).collect();
        let chosen = routes.iter().flatten().find(|ip| !ip.is_loopback()).or_else(|| routes.iter().flatten().next());
        match chosen {
            Some(ip) => {
                // Another seed may be further away than loopback.
                if !ip.is_loopback() {
                    self.later = Later::Nothing;
                }
                self.engine.handle_address(now, std::net::SocketAddr::new(*ip, self.port));
            }
            None => {
                let why = routes.iter().find_map(|r| r.as_ref().err()).map_or("", |e| e);
                let text = format!(
                    "no address can be chosen for others to reach this node at: this host has no route to {seed} ({why}); \
                     set advertise, or bind to one address"
                );
                store.hub.warning(Status::Advertise.code(), &text, now);
            }
        }
    }
}

/// The share of a node in the process's event loop, given back once: by the last to leave.
#[derive(Default)]
struct Lease {
    pool: Option<PoolRef>,
    /// Threads in `close`, of which the first to see the end gives the share back, and waits for the threads.
    closers: usize,
}

/// See the module.
pub struct Shared {
    /// The member id.
    pub member: String,
    /// The process it was opened in.
    epoch: u32,
    /// The settings in force, with those that are chosen at open as they were chosen. Held while they are changed.
    pub settings: Mutex<Settings>,
    pub store: Arc<Store>,
    pub signals: Arc<Signals>,
    pub stats: Arc<Stats>,
    pub dispatcher: Dispatcher,
    /// `None` once the task has ended.
    pub core: Mutex<Option<Core>>,
    /// Where the sockets are bound.
    pub local: std::net::SocketAddr,
    phase: AtomicU8,
    /// The task has died.
    failed: AtomicBool,
    task_ended: AtomicBool,
    events_ended: AtomicBool,
    lease: Mutex<Lease>,
    /// What is to be done when nothing of the node runs any more.
    at_end: Mutex<Option<AtEnd>>,
}

/// Called once when a node has ended.
pub type AtEnd = Box<dyn FnOnce() + Send>;

impl Shared {
    /// An open node, whose task is still to be started.
    #[allow(clippy::too_many_arguments)] // what a node is made of, and it is made in one place
    pub fn new(
        member: String,
        settings: Settings,
        store: Arc<Store>,
        signals: Arc<Signals>,
        stats: Arc<Stats>,
        core: Core,
        local: std::net::SocketAddr,
        pool: PoolRef,
    ) -> Arc<Shared> {
        Arc::new(Shared {
            member,
            epoch: fork::epoch(),
            settings: Mutex::new(settings),
            dispatcher: Dispatcher::new(store.clone()),
            store,
            signals,
            stats,
            core: Mutex::new(Some(core)),
            local,
            phase: AtomicU8::new(OPEN),
            failed: AtomicBool::new(false),
            task_ended: AtomicBool::new(false),
            events_ended: AtomicBool::new(false),
            lease: Mutex::new(Lease { pool: Some(pool), closers: 0 }),
            at_end: Mutex::default(),
        })
    }

    /// Whether this is still the process that the node was opened in. If not, nothing else of it may be touched.
    pub fn is_own_process(&self) -> bool {
        fork::epoch() == self.epoch
    }

    /// `Forked`, if this is not the process that the node was opened in.
    pub fn check_process(&self) -> Result<()> {
        if self.is_own_process() { Ok(()) } else { Err(Status::Forked.into()) }
    }

    /// Whether the node can be used; the error says why not.
    pub fn check(&self) -> Result<()> {
        self.check_process()?;
        if self.phase.load(Ordering::Acquire) != OPEN {
            return Err(Error::new(Status::Closed, "the node was closed"));
        }
        if self.failed.load(Ordering::Acquire) {
            return Err(Status::Failed.into());
        }
        Ok(())
    }

    /// Whether the node is to end.
    pub fn is_closing(&self) -> bool {
        self.phase.load(Ordering::SeqCst) != OPEN
    }

    /// Whether nothing of the node runs any more.
    pub fn has_ended(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == ENDED
    }

    /// The record of this node itself.
    pub fn me(&self) -> Option<MemberView> {
        let members = &self.store.members;
        let own = members.by_id(&self.member).filter(|m| m.is_self);
        // A later life of the same id, another process's, may stand before this one's.
        own.or_else(|| members.list(true).into_iter().find(|m| m.is_self))
    }

    /// Runs `call` with the engine, then sends what it has to send, in this thread: what was asked for is on its way
    /// when the call returns, even if the process ends right after.
    pub fn with_engine<R>(&self, call: impl FnOnce(&mut Engine, Time) -> R) -> Result<R> {
        self.check()?;
        let mut guard = self.core.lock();
        let Some(core) = guard.as_mut() else { return Err(Status::Closed.into()) };
        let now = clock::now();
        let result = call(&mut core.engine, now);
        core.drain(&self.store, now, DRAIN);
        drop(guard);
        // The next time-out may have changed.
        self.signals.wake_task();
        Ok(result)
    }

    /// A log line, if anyone wants it.
    pub fn log(&self, level: Level, text: impl FnOnce() -> String) {
        log(&self.store, level, text);
    }

    /// The task has died: it says so, and so does every later call. The node is still to be closed.
    pub fn fail(&self, why: &str) {
        self.failed.store(true, Ordering::SeqCst);
        self.store.refuse_writes(Some(Status::Failed));
        self.store.set_state(clock::now(), crate::store::NodeState::Failed, why);
        self.log(Level::Error, || why.to_owned());
    }

    /// Starts ending; returns at once. Gives whether it was open.
    pub fn begin_close(self: &Arc<Self>) -> bool {
        let first = self.phase.compare_exchange(OPEN, CLOSING, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if first {
            self.signals.wake_task();
            self.signals.progress();
        }
        if self.task_ended.load(Ordering::SeqCst) {
            self.end_events();
        }
        first
    }

    /// Has `call` called once nothing of the node runs any more: at once, if that is so. For one caller.
    pub fn when_ended(&self, call: AtEnd) {
        {
            let mut at_end = self.at_end.lock();
            // Looked at under the lock: who ends the node takes what is there after it has said so.
            if !self.has_ended() {
                *at_end = Some(call);
                return;
            }
        }
        call();
    }

    /// The task has ended: engine and sockets are gone.
    pub fn task_ended(self: &Arc<Self>) {
        self.task_ended.store(true, Ordering::SeqCst);
        self.signals.progress();
        if self.is_closing() {
            self.end_events();
        }
    }

    /// Ends the subscriptions, then, when no callback can run any more, the node.
    fn end_events(self: &Arc<Self>) {
        if !self.events_ended.swap(true, Ordering::SeqCst) {
            self.store.hub.close(clock::now());
            let shared = self.clone();
            self.dispatcher.end(Box::new(move || shared.ended()));
        }
    }

    fn ended(&self) {
        // The share is given back before the end can be seen: whoever waited for it may open and close the next node,
        // and count on this one's threads being gone. With a `close` waiting, that thread does it.
        let pool = {
            let mut lease = self.lease.lock();
            if lease.closers == 0 { lease.pool.take() } else { None }
        };
        drop(pool);
        self.phase.store(ENDED, Ordering::SeqCst);
        let at_end = self.at_end.lock().take();
        if let Some(at_end) = at_end {
            at_end();
        }
        self.signals.progress();
    }

    /// Ends the node and waits for its task, its dispatcher and, if it was the last one, the threads of the event loop.
    pub fn close(self: &Arc<Self>) {
        self.lease.lock().closers += 1;
        self.begin_close();
        self.signals.wait(None, || self.has_ended().then_some(()));
        let pool = self.lease.lock().pool.take();
        if let Some(pool) = pool {
            pool.release_and_wait();
        }
        self.dispatcher.join();
    }
}

/// A log line, if anyone wants it.
pub fn log(store: &Store, level: Level, text: impl FnOnce() -> String) {
    if store.settings().log_level.is_some_and(|most| level <= most) && store.hub.wants_log(level) {
        store.hub.log(level, TARGET, &text(), clock::now());
    }
}
