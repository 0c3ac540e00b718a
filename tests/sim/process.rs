//! Simulated processes, and what may befall them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster_gossip::config::settings::Settings;
use cluster_gossip::engine::{Engine, Identity, Metric};
use cluster_gossip::store::entry::MemberId;
use cluster_gossip::store::hub::Filter;
use cluster_gossip::store::members::Cause;
use cluster_gossip::store::queue::Queue;
use cluster_gossip::store::{NodeState, Store, Waker};
use cluster_gossip::time::Time;
use cluster_gossip::wire::frame::{self, Record};
use cluster_gossip::wire::packet;
use rand::Rng;

use super::queue::What;
use super::subscriber::Subscriber;
use super::{START, World};

/// The engine of a process, while it runs.
pub struct Running(Option<Engine>);

impl std::ops::Deref for Running {
    type Target = Engine;
    fn deref(&self) -> &Engine {
        self.0.as_ref().expect("the process runs")
    }
}

impl Running {
    pub(super) fn get_mut(&mut self) -> Option<&mut Engine> {
        self.0.as_mut()
    }
}

#[derive(Default)]
pub(super) struct Flags {
    dirty: AtomicBool,
}

impl Flags {
    pub(super) fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::Relaxed)
    }
}

impl Waker for Flags {
    fn wake_engine(&self) {
        self.dirty.store(true, Ordering::Relaxed);
    }
    fn progress(&self) {}
}

/// What a process says of itself.
fn record(node: &SimNode, now: Time) -> Option<Record> {
    let view = node.store.members.get(node.nonce)?;
    Some(Record {
        id: node.id.clone(),
        generation: view.life.generation,
        nonce: node.nonce,
        incarnation: 1,
        status: view.status,
        age_ms: now.millis_since(view.since),
        address: view.address,
        versions: view.versions,
        tags: (*view.tags).clone(),
        cause: Cause::None,
        accuser: 0,
    })
}

/// Bytes of datagrams that wait in the socket of a process that does not read; more are dropped, as a kernel does.
pub(super) const SOCKET_BUFFER: usize = 208 << 10;

/// One simulated process.
pub struct SimNode {
    pub id: String,
    /// Names its life.
    pub nonce: u64,
    pub engine: Running,
    pub store: Arc<Store>,
    pub address: SocketAddr,
    pub settings: Arc<Settings>,
    /// Changes as a subscriber of this node sees them; empty where the world makes no subscriptions.
    pub queue: Arc<Queue>,
    pub subscriber: Subscriber,
    pub(super) flags: Arc<Flags>,
    /// Its host is gone, not only its process: connections to it are not even refused.
    pub host_lost: bool,
    pub(super) asleep_until: Time,
    /// How long it is busy with each packet.
    pub work: Duration,
    pub(super) inbox: VecDeque<What>,
    pub(super) inbox_bytes: usize,
    pub udp_blocked: bool,
    pub tcp_blocked: bool,
    pub(super) timer: Time,
    pub started: Time,
    pub ended: Option<Time>,
    pub leaving: bool,
    /// When a fault last touched it.
    pub disturbed: Time,
    /// How many faults have touched it.
    pub faults: u32,
    /// Figures of an engine that has ended.
    last_metrics: Vec<Metric>,
    /// Packets that one wake-up has made, at most.
    pub largest_burst: usize,
}

impl SimNode {
    pub fn running(&self) -> bool {
        self.engine.0.is_some()
    }

    /// Whether it runs and takes part: it has not left, and no other process has taken its id.
    pub fn takes_part(&self) -> bool {
        self.running() && !matches!(self.store.state(), NodeState::Left | NodeState::Leaving | NodeState::Failed)
    }

    pub fn metrics(&self) -> Vec<Metric> {
        self.engine.0.as_ref().map_or_else(|| self.last_metrics.clone(), Engine::metrics)
    }

    pub fn metric(&self, name: &str) -> u64 {
        self.metrics().iter().find(|m| m.name == name).map_or(0, |m| m.value)
    }
}

/// How a process is started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub id: String,
    /// `None`: an address that no other has had.
    pub address: Option<SocketAddr>,
    pub seeds: Vec<String>,
    /// So far its wall clock is behind, in ms.
    pub back_ms: u64,
}

impl World {
    /// Starts a process. `seeds` are numbers of nodes.
    pub fn start(&mut self, id: &str, seeds: &[usize], change: impl FnOnce(&mut Settings)) -> usize {
        let seeds = seeds.iter().map(|n| self.nodes[*n].address.to_string()).collect();
        self.spawn(Start { id: id.to_owned(), seeds, ..Start::default() }, change)
    }

    /// Starts a process; one that had its address before must have ended.
    pub fn spawn(&mut self, start: Start, change: impl FnOnce(&mut Settings)) -> usize {
        let number = self.nodes.len();
        let fresh = SocketAddr::from(([10, (number >> 16) as u8, (number >> 8) as u8, number as u8], 4000));
        let address = start.address.unwrap_or(fresh);
        let mut settings = Settings { seeds: start.seeds, ..self.base.clone() };
        change(&mut settings);
        let settings = Arc::new(settings);
        let identity = Identity {
            id: MemberId::new(&start.id).expect("an id is 1 to 255 bytes"),
            generation: 1_700_000_000_000 + self.now.since(START).as_millis() as u64 - start.back_ms,
            nonce: self.rng.random_range(1..u64::MAX),
            address,
            rng_seed: self.rng.random(),
        };
        let nonce = identity.nonce;
        let flags = Arc::new(Flags::default());
        let store = Arc::new(Store::sharing(
            number as u64,
            identity.life(),
            settings.clone(),
            flags.clone(),
            self.contacts.clone(),
        ));
        let engine = Engine::new(settings.clone(), identity, store.clone(), self.now);
        let queue = self.subscription(&store);
        self.oracle.born(nonce, &start.id, number);
        self.nodes.push(SimNode {
            id: start.id,
            nonce,
            engine: Running(Some(engine)),
            store,
            address,
            settings,
            queue,
            subscriber: Subscriber::default(),
            flags,
            host_lost: false,
            asleep_until: START,
            work: Duration::ZERO,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            udp_blocked: false,
            tcp_blocked: false,
            timer: Time::NEVER,
            started: self.now,
            ended: None,
            leaving: false,
            disturbed: self.now,
            faults: 0,
            last_metrics: Vec::new(),
            largest_burst: 0,
        });
        self.by_address.insert(address, number);
        self.after(number);
        number
    }

    /// A queue with a subscription to what the world wants to know of.
    fn subscription(&self, store: &Store) -> Arc<Queue> {
        let queue = Queue::new(0);
        if self.events != 0 {
            let filter = Filter { what: self.events, initial: true, ..Filter::default() };
            store.subscribe(self.now, filter, &queue, 1, 0).expect("the hub is open");
        }
        queue
    }

    /// The host of a node ends its subscription and makes another one. Not while the node still has the state of members that
    /// are gone: of these entries are told, and not that they had joined. Gives whether it did.
    pub fn subscribe_anew(&mut self, node: usize) -> bool {
        let at = &self.nodes[node];
        let whole = at.store.members.list(true).iter().all(|m| super::bans::takes_part(m.status));
        if !at.running() || self.is_paused(node) || !whole {
            return false;
        }
        at.store.hub.unsubscribe(1);
        let queue = self.subscription(&at.store.clone());
        (self.nodes[node].queue, self.nodes[node].subscriber) = (queue, Subscriber::default());
        true
    }

    /// Every process that runs is told of all others at once: in one message from a stranger, with the records that newcomers are
    /// sent. So clusters begin that are too large for their members to join one after the other.
    pub fn acquaint(&mut self) {
        let now = self.now;
        let mut message = packet::begin(packet::Head {
            cluster: packet::cluster_tag(&self.base.cluster),
            sender: u64::MAX, // no process has it
            target: 0,
        });
        let records: Vec<Record> = self.nodes.iter().filter(|n| n.running()).filter_map(|n| record(n, now)).collect();
        for piece in records.chunks(1000) {
            let mut body = Vec::new();
            piece.iter().for_each(|record| record.put(&mut body));
            packet::put_frame(&mut message, frame::kind::MEMBERS, &body);
        }
        packet::finish(&mut message);
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            if let Some(engine) = node.engine.get_mut() {
                engine.handle_stream(now, node.address, &message);
            }
            self.after(number);
        }
    }

    /// The process ends without a word; its host stays, and refuses connections.
    pub fn kill(&mut self, node: usize) {
        let now = self.now;
        self.disturb(node);
        let node = &mut self.nodes[node];
        if let Some(engine) = node.engine.0.take() {
            node.last_metrics = engine.metrics();
            node.ended = Some(now);
        }
        node.inbox.clear();
        node.inbox_bytes = 0;
    }

    /// The host of a process ends without a word.
    pub fn lose_host(&mut self, node: usize) {
        self.kill(node);
        self.nodes[node].host_lost = true;
    }

    /// A host calls the engine of a node, which then sends what it has to send.
    pub fn call<R>(&mut self, node: usize, call: impl FnOnce(&mut Engine, Time) -> R) -> R {
        let now = self.now;
        let result = call(self.nodes[node].engine.get_mut().expect("the process runs"), now);
        self.after(node);
        result
    }

    /// The process leaves; it ends when it has done so.
    pub fn leave(&mut self, node: usize) {
        let now = self.now;
        self.disturb(node);
        self.nodes[node].leaving = true;
        if let Some(engine) = self.nodes[node].engine.get_mut() {
            engine.leave(now);
        }
        self.after(node);
    }

    /// The process is stopped for a while: nothing happens in it, packets wait in its socket.
    pub fn pause(&mut self, node: usize, d: Duration) {
        let until = self.now + d;
        self.disturb(node);
        if self.nodes[node].asleep_until < until {
            self.nodes[node].asleep_until = until;
            self.agenda.add(until, What::Awake { node });
        }
    }

    pub fn is_paused(&self, node: usize) -> bool {
        self.nodes[node].asleep_until > self.now && self.nodes[node].work.is_zero()
    }

    /// From now on each packet takes the process so long; zero: it is quick again.
    pub fn slow(&mut self, node: usize, work: Duration) {
        self.disturb(node);
        self.nodes[node].work = work;
    }

    /// The host gets another address: what goes to the old one is lost.
    pub fn move_to(&mut self, node: usize, address: SocketAddr) {
        let now = self.now;
        self.disturb(node);
        if self.by_address.get(&self.nodes[node].address) == Some(&node) {
            self.by_address.remove(&self.nodes[node].address);
        }
        self.nodes[node].address = address;
        self.by_address.insert(address, node);
        if let Some(engine) = self.nodes[node].engine.get_mut() {
            engine.handle_address(now, address);
        }
        self.after(node);
    }

    /// Notes that a fault touches a node.
    pub fn disturb(&mut self, node: usize) {
        self.nodes[node].disturbed = self.now;
        self.nodes[node].faults += 1;
    }

    /// The host of a node sets a key. `None` where the process is stopped, has left or failed, or a limit says no.
    pub fn set(&mut self, node: usize, key: &str, value: &[u8], ttl: Option<Duration>) -> Option<u64> {
        if !self.nodes[node].running() || self.is_paused(node) {
            return None;
        }
        let seq = self.nodes[node].store.set(self.now, key, "", value, ttl, false).ok()?;
        self.oracle.wrote(self.now, self.nodes[node].nonce, key, seq, Some(value), ttl);
        self.after_set(node);
        Some(seq)
    }

    /// The host of a node deletes a key; gives whether it was there.
    pub fn delete(&mut self, node: usize, key: &str) -> bool {
        if !self.nodes[node].running() || self.is_paused(node) {
            return false;
        }
        let deleted = self.nodes[node].store.delete(self.now, key);
        if let Ok(seq) = deleted {
            self.oracle.wrote(self.now, self.nodes[node].nonce, key, seq, None, None);
            self.after_set(node);
        }
        deleted.is_ok()
    }

    /// Numbers of the processes that run and take part.
    pub fn members(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|n| self.nodes[*n].takes_part()).collect()
    }

    /// Sum of a figure over all nodes, ended ones included.
    pub fn sum(&self, name: &str) -> u64 {
        self.nodes.iter().map(|n| n.metric(name)).sum()
    }
}
