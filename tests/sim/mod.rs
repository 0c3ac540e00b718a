//! A simulated world: virtual time, one seed for everything, engines that talk over a network with faults.
//!
//! Packets cross as encoded bytes and leave the engines through the runtime's own drain function. A seed reproduces a
//! run exactly.
#![allow(dead_code)] // each test file uses a part

pub mod check;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster_gossip::config::settings::Settings;
use cluster_gossip::engine::{Engine, Identity, Path, Reached};
use cluster_gossip::runtime::drain::{Io, drain};
use cluster_gossip::store::entry::MemberId;
use cluster_gossip::store::hub::Filter;
use cluster_gossip::store::queue::Queue;
use cluster_gossip::store::{NodeState, Store, Waker};
use cluster_gossip::time::Time;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// What the network does to packets.
#[derive(Clone, Debug)]
pub struct Network {
    /// Shortest way.
    pub base: Duration,
    /// Mean of the exponential part on top.
    pub jitter: Duration,
    /// Share of datagrams that are lost.
    pub loss: f64,
    /// Share of datagrams that arrive twice.
    pub duplicate: f64,
    /// Share of datagrams in which a bit is flipped.
    pub corrupt: f64,
    /// Bytes a second of a stream.
    pub bandwidth: f64,
}

impl Default for Network {
    fn default() -> Network {
        Network {
            base: Duration::from_micros(200),
            jitter: Duration::from_micros(300),
            loss: 0.0,
            duplicate: 0.0,
            corrupt: 0.0,
            bandwidth: 100e6,
        }
    }
}

#[derive(Default)]
struct Flags {
    dirty: AtomicBool,
}

impl Waker for Flags {
    fn wake_engine(&self) {
        self.dirty.store(true, Ordering::Relaxed);
    }
    fn progress(&self) {}
}

/// One simulated process.
pub struct SimNode {
    pub id: String,
    pub engine: Engine,
    pub store: Arc<Store>,
    pub address: SocketAddr,
    /// Changes as a subscriber of this node sees them.
    pub queue: Arc<Queue>,
    pub order: check::Order,
    flags: Arc<Flags>,
    pub running: bool,
    /// Its host is gone, not only its process: connections to it are not even refused.
    host_lost: bool,
    pub paused_until: Time,
    timer: Time,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Deliver { to: usize, from: SocketAddr, stream: bool, bytes: Vec<u8> },
    StreamFailed { sender: usize, to: SocketAddr },
    Connected { node: usize, to: SocketAddr, reached: u8 },
    Resolved { node: usize, seed: String },
    Timer { node: usize },
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Time,
    order: u64,
    what: What,
}

/// Figures of a run.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pub datagrams: u64,
    pub datagram_bytes: u64,
    pub messages: u64,
    pub message_bytes: u64,
    pub lost: u64,
    pub largest: usize,
}

/// See the module.
pub struct World {
    pub now: Time,
    pub rng: SmallRng,
    pub net: Network,
    pub nodes: Vec<SimNode>,
    pub traffic: Traffic,
    /// Pairs (from, to) of node numbers between which nothing passes.
    pub cut: HashSet<(usize, usize)>,
    by_address: HashMap<SocketAddr, usize>,
    events: BinaryHeap<Reverse<Event>>,
    order: u64,
    /// Hash over all that happened: equal for equal seeds.
    pub trace: u64,
    /// Keep what is sent in `recorded`.
    pub record: bool,
    /// So far the wall clock of processes started from now on is behind, in ms.
    pub back_ms: u64,
    pub recorded: Vec<Vec<u8>>,
}

/// Far from the clock's origin, so that ages can reach back.
const START: Time = Time::from_micros(1 << 50);

impl World {
    pub fn new(seed: u64, net: Network) -> World {
        World {
            now: START,
            rng: SmallRng::seed_from_u64(seed),
            net,
            nodes: Vec::new(),
            traffic: Traffic::default(),
            cut: HashSet::new(),
            by_address: HashMap::new(),
            events: BinaryHeap::new(),
            order: 0,
            trace: 0,
            record: false,
            back_ms: 0,
            recorded: Vec::new(),
        }
    }

    /// Starts a process. `seeds` are numbers of nodes.
    pub fn start(&mut self, id: &str, seeds: &[usize], change: impl FnOnce(&mut Settings)) -> usize {
        let number = self.nodes.len();
        let address = SocketAddr::from(([10, (number >> 16) as u8, (number >> 8) as u8, number as u8], 4000));
        self.start_at(id, address, seeds, change)
    }

    /// Starts a process at a given address; one that had the address before must have ended.
    pub fn start_at(
        &mut self,
        id: &str,
        address: SocketAddr,
        seeds: &[usize],
        change: impl FnOnce(&mut Settings),
    ) -> usize {
        let number = self.nodes.len();
        let mut settings = Settings {
            seeds: seeds.iter().map(|n| self.nodes[*n].address.to_string()).collect(),
            ..Settings::default()
        };
        change(&mut settings);
        let settings = Arc::new(settings);
        let identity = Identity {
            id: MemberId::new(id).unwrap(),
            generation: 1_700_000_000_000 + self.now.as_micros() / 1000 % 1_000_000_000 - self.back_ms,
            nonce: self.rng.random_range(1..u64::MAX),
            address,
            rng_seed: self.rng.random(),
        };
        let flags = Arc::new(Flags::default());
        let store = Arc::new(Store::new(number as u64, identity.life(), settings.clone(), flags.clone()));
        let engine = Engine::new(settings, identity, store.clone(), self.now);
        let queue = Queue::new(0);
        let filter = Filter { what: 0xf_ffff, initial: true, ..Filter::default() };
        store.subscribe(self.now, filter, &queue, 1, 0).unwrap();
        self.nodes.push(SimNode {
            id: id.to_owned(),
            engine,
            store,
            address,
            queue,
            order: check::Order::default(),
            flags,
            running: true,
            host_lost: false,
            paused_until: START,
            timer: Time::NEVER,
        });
        self.by_address.insert(address, number);
        self.after(number);
        number
    }

    fn schedule(&mut self, at: Time, what: What) {
        self.order += 1;
        self.events.push(Reverse(Event { at, order: self.order, what }));
    }

    /// Drains what an engine has to send, and sets its timer anew.
    fn after(&mut self, number: usize) {
        if !self.nodes[number].running {
            return;
        }
        if self.nodes[number].flags.dirty.swap(false, Ordering::Relaxed) {
            let now = self.now;
            self.nodes[number].engine.handle_dirty(now);
        }
        let mut out = Outgoing::default();
        while drain(&mut self.nodes[number].engine, &mut out, 1024) {}
        for (to, stream, bytes) in out.packets {
            self.send(number, to, stream, bytes);
        }
        for seed in out.resolve {
            self.schedule(self.now + Duration::from_millis(1), What::Resolved { node: number, seed });
        }
        for (to, timeout) in out.connect {
            self.connect(number, to, timeout);
        }
        let due = self.nodes[number].engine.next_timeout().max(self.now + Duration::from_micros(1));
        if due < self.nodes[number].timer {
            self.nodes[number].timer = due;
            self.schedule(due, What::Timer { node: number });
        }
    }

    fn send(&mut self, sender: usize, to: SocketAddr, stream: bool, mut bytes: Vec<u8>) {
        if stream {
            self.traffic.messages += 1;
            self.traffic.message_bytes += bytes.len() as u64;
        } else {
            self.traffic.datagrams += 1;
            self.traffic.datagram_bytes += bytes.len() as u64;
            self.traffic.largest = self.traffic.largest.max(bytes.len());
        }
        if self.record {
            self.recorded.push(bytes.clone());
        }
        let from = self.nodes[sender].address;
        let target = self.by_address.get(&to).copied().filter(|n| self.nodes[*n].running);
        let passes = target.is_some_and(|n| !self.cut.contains(&(sender, n)));
        let exp = -(1.0 - self.rng.random::<f64>()).ln();
        let mut way = self.net.base + self.net.jitter.mul_f64(exp);
        if stream {
            if !passes {
                self.schedule(self.now + Duration::from_secs(1), What::StreamFailed { sender, to });
                return;
            }
            way = way * 3 + Duration::from_secs_f64(bytes.len() as f64 / self.net.bandwidth);
        } else if !passes || self.rng.random_bool(self.net.loss) {
            self.traffic.lost += 1;
            return;
        } else {
            if self.rng.random_bool(self.net.duplicate) {
                let later = way + self.net.jitter * 20;
                let copy = bytes.clone();
                self.schedule(self.now + later, What::Deliver { to: target.unwrap_or(0), from, stream, bytes: copy });
            }
            if self.rng.random_bool(self.net.corrupt) {
                let bit = self.rng.random_range(0..bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        self.schedule(self.now + way, What::Deliver { to: target.unwrap_or(0), from, stream, bytes });
    }

    /// A kernel answers for a stopped process as well; for a dead one it refuses, if the host is there.
    fn connect(&mut self, node: usize, to: SocketAddr, timeout: Duration) {
        let target = self.by_address.get(&to).copied();
        let passes = target.is_some_and(|n| !self.cut.contains(&(node, n)) && !self.cut.contains(&(n, node)));
        let reached = match target {
            Some(n) if passes && !self.nodes[n].host_lost => {
                if self.nodes[n].running {
                    Reached::Accepted
                } else {
                    Reached::Refused
                }
            }
            _ => Reached::Silent,
        };
        // SYN and its answer; one lost is repeated after a second.
        let lost = self.rng.random_bool(1.0 - (1.0 - self.net.loss).powi(2));
        let way = self.net.base * 2 + self.net.jitter * 2 + if lost { Duration::from_secs(1) } else { Duration::ZERO };
        let (way, reached) =
            if reached == Reached::Silent || way > timeout { (timeout, Reached::Silent) } else { (way, reached) };
        self.schedule(self.now + way, What::Connected { node, to, reached: reached as u8 });
    }

    /// Runs for `d` of virtual time.
    pub fn run(&mut self, d: Duration) {
        let until = self.now + d;
        while self.events.peek().is_some_and(|e| e.0.at <= until) {
            self.step();
        }
        self.now = until;
    }

    /// Runs until `done`, looking every `every`, for at most `limit` of virtual time. Gives whether it was done.
    pub fn run_until(&mut self, limit: Duration, every: Duration, mut done: impl FnMut(&World) -> bool) -> bool {
        let until = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            if self.now >= until {
                return false;
            }
            self.run(every);
        }
    }

    fn step(&mut self) {
        let Some(Reverse(event)) = self.events.pop() else { return };
        self.now = event.at;
        self.trace = self.trace.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ event.at.as_micros();
        let now = self.now;
        let number = match &event.what {
            What::Deliver { to, .. } => *to,
            What::StreamFailed { sender, .. } => *sender,
            What::Resolved { node, .. } | What::Connected { node, .. } | What::Timer { node } => *node,
        };
        let node = &mut self.nodes[number];
        if !node.running {
            return;
        }
        if node.paused_until > now {
            // A stopped process: its packets wait in the socket, its timers come late.
            let at = node.paused_until;
            self.schedule(at, event.what);
            return;
        }
        match event.what {
            What::Deliver { from, stream: true, bytes, .. } => node.engine.handle_stream(now, from, &bytes),
            What::Deliver { from, bytes, .. } => node.engine.handle_datagram(now, from, &bytes),
            What::StreamFailed { to, .. } => {
                node.engine.handle_send_failed(now, to, Path::Stream, false, "unreachable")
            }
            What::Connected { to, reached, .. } => {
                let all = [Reached::Accepted, Reached::Refused, Reached::Silent];
                node.engine.handle_connected(now, to, all[usize::from(reached)]);
            }
            What::Resolved { seed, .. } => {
                let result = seed.parse().map(|a| vec![a]).map_err(|_| "not an address".to_owned());
                node.engine.handle_resolved(now, &seed, result);
            }
            What::Timer { .. } => {
                node.timer = Time::NEVER;
                node.engine.handle_timeout(now);
            }
        }
        self.after(number);
    }

    /// The host of a node sets a key.
    pub fn set(&mut self, node: usize, key: &str, value: &[u8], ttl: Option<Duration>) -> u64 {
        let seq = self.nodes[node].store.set(self.now, key, "", value, ttl, false).unwrap();
        self.after(node);
        seq
    }

    /// The host of a node deletes a key; gives whether it was there.
    pub fn delete(&mut self, node: usize, key: &str) -> bool {
        let deleted = self.nodes[node].store.delete(self.now, key).is_ok();
        self.after(node);
        deleted
    }

    /// A datagram arrives that no node has sent.
    pub fn inject(&mut self, node: usize, from: SocketAddr, bytes: &[u8]) {
        let now = self.now;
        self.nodes[node].engine.handle_datagram(now, from, bytes);
        self.after(node);
    }

    /// The process ends without a word; its host stays, and refuses connections.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].running = false;
    }

    /// The host of a process ends without a word.
    pub fn lose_host(&mut self, node: usize) {
        self.nodes[node].running = false;
        self.nodes[node].host_lost = true;
    }

    /// The process leaves; it ends when it has done so.
    pub fn leave(&mut self, node: usize) {
        let now = self.now;
        self.nodes[node].engine.leave(now);
        self.after(node);
    }

    /// The process is stopped for a while: nothing happens in it.
    pub fn pause(&mut self, node: usize, d: Duration) {
        self.nodes[node].paused_until = self.now + d;
    }

    /// Nothing passes between the nodes of the two sides, in either direction.
    pub fn partition(&mut self, side: &[usize]) {
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                if side.contains(&a) != side.contains(&b) {
                    self.cut.insert((a, b));
                }
            }
        }
    }

    /// Everything passes again.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Numbers of the processes that run and take part.
    pub fn members(&self) -> Vec<usize> {
        let takes_part =
            |n: &SimNode| !matches!(n.store.state(), NodeState::Left | NodeState::Leaving | NodeState::Failed);
        (0..self.nodes.len()).filter(|n| self.nodes[*n].running && takes_part(&self.nodes[*n])).collect()
    }

    /// Whether every running member sees every running member's entries as they are there, and nothing else of them.
    pub fn converged(&self) -> bool {
        check::difference(self).is_none()
    }

    /// A counter summed over all nodes.
    pub fn sum(&self, name: &str) -> u64 {
        self.nodes.iter().flat_map(|n| n.engine.metrics()).filter(|m| m.name == name).map(|m| m.value).sum()
    }
}

#[derive(Default)]
struct Outgoing {
    packets: Vec<(SocketAddr, bool, Vec<u8>)>,
    resolve: Vec<String>,
    connect: Vec<(SocketAddr, Duration)>,
}

impl Io for Outgoing {
    fn datagram(&mut self, to: SocketAddr, bytes: &[u8]) {
        self.packets.push((to, false, bytes.to_vec()));
    }
    fn stream(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.packets.push((to, true, bytes));
    }
    fn resolve(&mut self, seed: String) {
        self.resolve.push(seed);
    }
    fn connect(&mut self, to: SocketAddr, timeout: Duration) {
        self.connect.push((to, timeout));
    }
}
