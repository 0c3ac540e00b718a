//! The task of a node: inputs to the engine, its outputs out, until the node is closed.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::advertise::{self, Later};
use super::caught::caught;
use super::clock;
use super::net::{Input, Tasks, Udp};
use super::resolve::resolve;
use super::shared::{DRAIN, Shared};
use crate::store::event::Level;
use crate::time::Time;

/// Datagrams, and other inputs, handled before others of the process's nodes have a turn.
const DATAGRAMS: usize = 64;
const INPUTS: usize = 16;
/// Datagrams handled when there is so much to send that it takes several turns: what comes in must not starve.
const DATAGRAMS_BUSY: usize = 8;
/// After an input of more bytes than this, datagrams have their turn.
const LARGE: usize = 64 << 10;
/// Time that the host has slept counts from here on: the two clocks are not read at the same moment.
const SLEEP: Duration = Duration::from_millis(500);
/// The largest datagram there is.
const BUFFER: usize = 64 << 10;
/// How long to wait before a name that is to be advertised is looked up again, at first and at most.
const NAME_RETRY: Duration = Duration::from_secs(1);
const NAME_RETRY_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether this host still has the address that others are told: before they hold it dead.
const ADDRESS_LOOK: Duration = Duration::from_secs(1);

thread_local! {
    /// Where a worker receives: one datagram at a time, so that the nodes it serves need none each.
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// What only the task has.
pub struct Driver {
    pub shared: Arc<Shared>,
    pub udp: Arc<Udp>,
    pub tasks: Arc<Tasks>,
    pub inbox: mpsc::Receiver<Input>,
    /// How long the host had been asleep when this was last looked at.
    pub asleep: Duration,
}

/// Runs the node until it is closed, and ends it, also after a panic.
pub async fn run(driver: Driver) {
    let (shared, tasks) = (driver.shared.clone(), driver.tasks.clone());
    if let Err(panic) = polled(Box::pin(drive(driver))).await {
        shared.fail(&format!("the node's task has died: {panic}"));
    }
    tasks.end().await;
    // An engine that panicked may do so again while it is dropped.
    let core = shared.core.lock().take();
    let _ = caught(move || drop(core));
    shared.task_ended();
}

/// Polls `future`, with the text of a panic in it as an error.
fn polled<T>(mut future: Pin<Box<impl Future<Output = T>>>) -> impl Future<Output = Result<T, String>> {
    std::future::poll_fn(move |context| match caught(|| future.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
}

async fn drive(mut driver: Driver) {
    let shared = driver.shared.clone();
    let mut deadline = Instant::now();
    let mut timer = Box::pin(sleep_until(deadline));
    let mut first = None;
    loop {
        let round = RECEIVED.with_borrow_mut(|buffer| driver.round(buffer, first.take()));
        if shared.is_closing() {
            return;
        }
        if driver.tasks.reap() {
            panic!("a task of its streams or look-ups has panicked");
        }
        if round.more {
            tokio::task::yield_now().await;
            continue;
        }
        let next = Instant::from_std(clock::instant_of(round.now, round.next));
        // Moving a timer costs more than letting it be.
        if next != deadline {
            deadline = next;
            timer.as_mut().reset(deadline);
        }
        tokio::select! {
            () = shared.signals.task_woken() => {}
            result = driver.udp.readable() => {
                if result.is_err() {
                    // The event loop is ending under us; the node is about to be closed as well.
                    sleep(Duration::from_millis(5)).await;
                }
            }
            input = driver.inbox.recv() => first = input,
            () = &mut timer => {}
        }
    }
}

/// How a wake-up ended.
struct Round {
    now: Time,
    /// There may be more to do now.
    more: bool,
    /// When the engine wants to be called.
    next: Time,
}

impl Driver {
    /// One wake-up, of bounded work: the clock is read once, and after each input all outputs go out.
    fn round(&mut self, buffer: &mut [u8], first: Option<Input>) -> Round {
        let shared = &self.shared;
        let store = &*shared.store;
        let mut guard = shared.core.lock();
        let now = clock::now();
        let Some(core) = guard.as_mut() else { return Round { now, more: false, next: Time::NEVER } };
        let mut more = false;

        let asleep = clock::asleep();
        if asleep > self.asleep + SLEEP {
            core.engine.handle_sleep(now, asleep - self.asleep);
            more |= core.drain(store, now, DRAIN);
        }
        self.asleep = asleep;
        for to in self.udp.unreachable() {
            shared.stats.udp_unreachable.one();
            core.engine.handle_unreachable(now, to);
            more |= core.drain(store, now, DRAIN);
        }
        if shared.signals.take_dirty() {
            core.engine.handle_dirty(now);
            more |= core.drain(store, now, DRAIN);
            if store.is_dirty() {
                // The engine takes so many own entries at a time.
                crate::store::Waker::wake_engine(&*shared.signals);
            }
        }
        if core.engine.next_timeout() <= now {
            core.engine.handle_timeout(now);
            more |= core.drain(store, now, DRAIN);
        }
        let mut inputs = first;
        for _ in 0..INPUTS {
            let Some(input) = inputs.take().or_else(|| self.inbox.try_recv().ok()) else { break };
            let large = matches!(&input, Input::Stream { bytes, .. } if bytes.len() > LARGE);
            core.handle(store, now, input);
            more |= core.drain(store, now, DRAIN);
            if large {
                // Bulk must not hold up the datagrams.
                more = true;
                break;
            }
        }
        for received in 0.. {
            // What is left in the socket's buffer is the bound on what waits.
            if received >= if more { DATAGRAMS_BUSY } else { DATAGRAMS } {
                more = true;
                break;
            }
            match self.udp.try_receive(buffer) {
                Ok((n, from)) => {
                    shared.stats.udp_received_packets.one();
                    shared.stats.udp_received_bytes.add(n);
                    core.engine.handle_datagram(now, from, &buffer[..n]);
                    more |= core.drain(store, now, DRAIN);
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                // Some systems answer so after an earlier packet was refused by its receiver.
                Err(_) => shared.stats.udp_receive_errors.one(),
            }
        }
        Round { now, more, next: core.engine.next_timeout() }
    }
}

/// Looks up the name that the setting `advertise` gives, until there is an answer.
pub async fn look_up_advertised(later: Later, udp: Arc<Udp>, inbox: mpsc::Sender<Input>) {
    let Later::Name(name) = later else { return };
    let mut pause = NAME_RETRY;
    loop {
        let result = resolve(&name, udp.family()).await;
        let found = result.map(|all| all.iter().find(|a| !a.ip().is_loopback()).or(all.first()).copied());
        let input = match found {
            Ok(Some(address)) => Input::Advertise(Ok(address)),
            Ok(None) => Input::Advertise(Err(format!("{name} has no address"))),
            Err(e) => Input::Advertise(Err(e)),
        };
        let done = matches!(input, Input::Advertise(Ok(_)));
        if inbox.send(input).await.is_err() || done {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(NAME_RETRY_MAX);
    }
}

/// Chooses the address that others are told anew when this host does not have it any more. For a node that listens at
/// every address and was told none to advertise.
pub async fn follow_address(shared: Arc<Shared>, udp: Arc<Udp>, inbox: mpsc::Sender<Input>) {
    loop {
        sleep(ADDRESS_LOOK).await;
        let Some(told) = shared.me().map(|me| me.address) else { continue };
        if told.ip().is_loopback() || advertise::is_here(told.ip()) {
            continue;
        }
        let seeds = shared.settings.lock().seeds.clone();
        let mut found = None;
        for seed in &seeds {
            let addresses = resolve(seed, udp.family()).await.unwrap_or_default();
            found = advertise::towards_any(&addresses, udp.family());
            if found.is_some() {
                break;
            }
        }
        // None: between two addresses, or without a network; the next look may find one.
        let Some(ip) = found.or_else(|| advertise::outward(udp.family())) else { continue };
        let address = std::net::SocketAddr::new(ip, told.port());
        shared.log(Level::Info, || format!("this host does not have {} any more: advertised as {address}", told.ip()));
        if inbox.send(Input::Advertise(Ok(address))).await.is_err() {
            return;
        }
    }
}
