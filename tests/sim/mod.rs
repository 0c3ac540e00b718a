//! A simulated world: virtual time, one seed for everything, engines that talk over a network with faults.
//!
//! Packets cross as encoded bytes and leave the engines through the runtime's own drain function. A seed reproduces a
//! run exactly. What must hold is looked after by checkers ([`check`], [`subscriber`], [`oracle`], [`membership`],
//! [`bans`]).
//! See `docs/simulation.md`.
#![allow(dead_code)] // each program that includes it uses a part

pub mod adversary;
pub mod bans;
pub mod check;
pub mod fault;
pub mod membership;
pub mod network;
pub mod oracle;
pub mod pool;
pub mod process;
pub mod queue;
pub mod run;
pub mod subscriber;

use std::net::SocketAddr;
use std::time::Duration;

use cluster_gossip::config::settings::Settings;
use cluster_gossip::engine::{Path, Reached, largest_read};
use cluster_gossip::runtime::drain::{Io, drain};
use cluster_gossip::store::event::kind;
use cluster_gossip::time::Time;
use cluster_gossip::wire::{frame, packet};
use hashbrown::HashMap;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

#[allow(unused_imports)]
pub use network::{Cuts, Dns, Jitter, Latency, Network};
use process::SOCKET_BUFFER;
#[allow(unused_imports)]
pub use process::{SimNode, Start};
use queue::{Agenda, What};

/// So many packets of a storm are printed.
const STORM_SHOWN: u32 = 60;

/// Far from the clock's origin, so that ages can reach back.
pub const START: Time = Time::from_micros(1 << 50);

/// Figures of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub datagrams: u64,
    pub datagram_bytes: u64,
    pub messages: u64,
    pub message_bytes: u64,
    pub lost: u64,
    /// Things that happened to engines.
    pub steps: u64,
}

impl Traffic {
    pub fn bytes(&self) -> u64 {
        self.datagram_bytes + self.message_bytes
    }
}

/// See the module.
pub struct World {
    pub now: Time,
    pub rng: SmallRng,
    pub net: Network,
    pub cuts: Cuts,
    pub dns: Dns,
    pub nodes: Vec<SimNode>,
    /// What members say of themselves: kept once, as nodes of one process do.
    contacts: std::sync::Arc<cluster_gossip::store::contacts::Contacts>,
    pub oracle: oracle::Oracle,
    pub traffic: Traffic,
    /// Hash over all that happened: equal for equal seeds.
    pub trace: u64,
    /// What every process is set to where its start does not say otherwise.
    pub base: Settings,
    /// Nodes get a subscription to these kinds of event when they start; 0: none.
    pub events: u32,
    /// Keep what is sent in `recorded`.
    pub record: bool,
    pub recorded: Vec<Vec<u8>>,
    /// What the checkers on the way have found.
    pub violations: Vec<String>,
    /// Datagrams that a member may send in a second, on average over all; more is a storm, and ends the run.
    pub most_datagrams: u64,
    /// The second that counts now, and how many were sent before it.
    second: (Time, u64),
    /// Packets of a storm that are still to be printed, and one more once it has begun.
    shows_storm: u32,
    by_address: HashMap<SocketAddr, usize>,
    /// Until when the way to a member is taken by what is on it, where it is shared.
    taken: HashMap<SocketAddr, Time>,
    agenda: Agenda,
    out: Outgoing,
}

impl World {
    pub fn new(seed: u64, net: Network) -> World {
        World {
            now: START,
            rng: SmallRng::seed_from_u64(seed),
            net,
            cuts: Cuts::default(),
            dns: Dns::default(),
            nodes: Vec::new(),
            contacts: Default::default(),
            oracle: oracle::Oracle::default(),
            traffic: Traffic::default(),
            trace: 0,
            base: Settings::default(),
            events: kind::ENTRIES | kind::MEMBERS | kind::NODE,
            record: false,
            recorded: Vec::new(),
            violations: Vec::new(),
            most_datagrams: 5000,
            second: (START, 0),
            shows_storm: 0,
            by_address: HashMap::new(),
            taken: HashMap::new(),
            agenda: Agenda::default(),
            out: Outgoing::default(),
        }
    }

    /// Virtual seconds since the beginning.
    pub fn seconds(&self) -> f64 {
        queue::seconds(self.now, START)
    }

    /// The number of the node that has this address now.
    pub fn at(&self, address: SocketAddr) -> Option<usize> {
        self.by_address.get(&address).copied()
    }

    /// Drains what an engine has to send, and sets its timer anew.
    pub(crate) fn after(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let Some(engine) = node.engine.get_mut() else { return };
        if node.flags.take_dirty() {
            engine.handle_dirty(self.now);
        }
        let mut out = std::mem::take(&mut self.out);
        while drain(engine, &mut out.with(&mut self.agenda), 1024) {}
        node.largest_burst = node.largest_burst.max(out.packets.len());
        let due = engine.next_timeout().max(self.now + Duration::from_micros(1));
        if due < node.timer {
            node.timer = due;
            self.agenda.add(due, What::Timer { node: number });
        }
        let limit = node.settings.max_packet;
        let ends = node.leaving && node.store.leave_result().is_some();
        for (to, stream, bytes) in out.packets.drain(..) {
            if !stream && bytes.len() > limit {
                let id = &self.nodes[number].id;
                self.violations
                    .push(format!("packets: {id} sent a datagram of {} bytes, over its {limit}", bytes.len()));
            }
            self.send(number, to, stream, bytes);
        }
        for seed in out.resolve.drain(..) {
            let result = self.dns.resolve(&seed);
            let way = self.dns.delay + Duration::from_micros(self.rng.random_range(300..3000));
            self.agenda.add(self.now + way, What::Resolved { node: number, seed, result });
        }
        for (to, timeout) in out.connect.drain(..) {
            self.connect(number, to, timeout);
        }
        self.out = out;
        if ends {
            self.kill(number);
        }
    }

    /// A host has written: the engine is driven at once, unless its process does not run just now.
    pub(crate) fn after_set(&mut self, number: usize) {
        if self.nodes[number].asleep_until <= self.now {
            self.after(number);
        }
    }

    fn send(&mut self, sender: usize, to: SocketAddr, stream: bool, mut bytes: Vec<u8>) {
        if stream {
            self.traffic.messages += 1;
            self.traffic.message_bytes += bytes.len() as u64;
        } else {
            self.traffic.datagrams += 1;
            self.traffic.datagram_bytes += bytes.len() as u64;
        }
        if self.record {
            self.recorded.push(bytes.clone());
        }
        if self.shows_storm > 0 {
            self.show(sender, to, stream, &bytes);
        }
        let from = self.nodes[sender].address;
        let target = self.at(to);
        let blocked = |n: &SimNode| if stream { n.tcp_blocked } else { n.udp_blocked };
        let passes = !blocked(&self.nodes[sender])
            && target.is_some_and(|n| self.cuts.passes(sender, n) && !blocked(&self.nodes[n]));
        let mut way = self.net.latency.draw(&mut self.rng);
        if stream {
            let back = target.is_some_and(|n| self.cuts.passes(n, sender));
            let target = target.map(|n| &self.nodes[n]).filter(|n| passes && back && !n.host_lost);
            match target {
                // As the runtime reads the length before anything else.
                Some(node) if bytes.len() > largest_read(node.settings.max_value_size) + (1 << 20) => {
                    self.agenda.add(self.now + way * 3, What::StreamFailed { node: sender, to, why: "too long" });
                }
                Some(node) if node.running() => {
                    let length = Duration::from_secs_f64(bytes.len() as f64 / self.net.bandwidth);
                    let mut at = self.now + way * 3 + length;
                    if self.net.shared {
                        let taken = self.taken.entry(to).or_insert(START);
                        at = at.max(*taken + length);
                        *taken = at;
                    }
                    self.agenda.add(at, What::Stream { to, from, bytes });
                }
                Some(_) => {
                    self.agenda.add(self.now + way * 2, What::StreamFailed { node: sender, to, why: "refused" });
                }
                None => {
                    let at = self.now + Duration::from_secs(1);
                    self.agenda.add(at, What::StreamFailed { node: sender, to, why: "unreachable" });
                }
            }
            return;
        }
        if !passes || self.net.loss > 0.0 && self.rng.random_bool(self.net.loss) {
            self.traffic.lost += 1;
            self.agenda.give_back(bytes);
            return;
        }
        if self.net.duplicate > 0.0 && self.rng.random_bool(self.net.duplicate) {
            let later = way + self.net.reorder_by.mul_f64(self.rng.random());
            let copy = self.agenda.buffer(&bytes);
            self.agenda.add(self.now + later, What::Datagram { to, from, bytes: copy });
        }
        if self.net.reorder > 0.0 && self.rng.random_bool(self.net.reorder) {
            way += self.net.reorder_by.mul_f64(self.rng.random());
        }
        if self.net.corrupt > 0.0 && self.rng.random_bool(self.net.corrupt) {
            let bit = self.rng.random_range(0..bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        self.agenda.add(self.now + way, What::Datagram { to, from, bytes });
    }

    /// A kernel answers for a stopped process as well; for a dead one it refuses, if the host is there.
    fn connect(&mut self, node: usize, to: SocketAddr, timeout: Duration) {
        let target = self.at(to);
        let passes = !self.nodes[node].tcp_blocked
            && target
                .is_some_and(|n| self.cuts.passes(node, n) && self.cuts.passes(n, node) && !self.nodes[n].tcp_blocked);
        let reached = match target {
            Some(n) if passes && !self.nodes[n].host_lost => {
                if self.nodes[n].running() {
                    Reached::Accepted
                } else {
                    Reached::Refused
                }
            }
            _ => Reached::Silent,
        };
        // SYN and its answer; one lost is repeated after a second.
        let lost = self.rng.random_bool(1.0 - (1.0 - self.net.loss).powi(2));
        let there = self.net.latency.draw(&mut self.rng) + self.net.latency.draw(&mut self.rng);
        let way = there + if lost { Duration::from_secs(1) } else { Duration::ZERO };
        let silent = reached == Reached::Silent || way > timeout;
        let (way, reached) = if silent { (timeout, Reached::Silent) } else { (way, reached) };
        self.agenda.add(self.now + way, What::Connected { node, to, reached });
    }

    /// A datagram has come to a host whose process has ended: its kernel says so, if it is there.
    fn refuse(&mut self, ended: usize, to: SocketAddr, from: SocketAddr) {
        let Some(sender) = self.at(from).filter(|n| self.cuts.passes(ended, *n)) else { return };
        let node = &self.nodes[ended];
        if node.host_lost || node.udp_blocked || self.net.loss > 0.0 && self.rng.random_bool(self.net.loss) {
            return;
        }
        let way = self.net.latency.draw(&mut self.rng);
        self.agenda.add(self.now + way, What::Unreachable { node: sender, to });
    }

    /// Runs for `d` of virtual time.
    pub fn run(&mut self, d: Duration) {
        let until = self.now + d;
        while self.agenda.next().is_some_and(|at| at <= until) && !self.storm() {
            self.step();
        }
        self.now = until;
    }

    /// Whether members send each other packets without end. Every answer that calls for an answer can do that.
    fn storm(&mut self) -> bool {
        let (since, before) = self.second;
        if self.now.since(since) >= Duration::from_secs(1) {
            self.second = (self.now, self.traffic.datagrams);
            return false;
        }
        let sent = self.traffic.datagrams - before;
        if sent < 10_000 || sent < self.most_datagrams * self.nodes.len() as u64 {
            return false;
        }
        if self.violations.is_empty() && std::env::var_os("SIM_DESCRIBE").is_some() && self.shows_storm == 0 {
            // The next few packets say what it is about.
            self.shows_storm = STORM_SHOWN;
        }
        if self.shows_storm > 1 {
            return false;
        }
        if self.violations.is_empty() {
            let kinds = check::kinds(self);
            self.violations.push(format!(
                "storm: {sent} datagrams within a second at {:.1} s, {} things to happen; frames since the start: {kinds}",
                self.seconds(),
                self.agenda.len(),
            ));
        }
        true
    }

    /// Prints what is sent.
    fn show(&mut self, sender: usize, to: SocketAddr, stream: bool, bytes: &[u8]) {
        self.shows_storm = (self.shows_storm - 1).max(1);
        let way = if stream { "stream" } else { "datagram" };
        let target = self.at(to).map_or("nobody", |n| &self.nodes[n].id);
        println!("{:.6} s, {} to {target}, {way}:", self.seconds(), self.nodes[sender].id);
        let Ok((_, frames)) = packet::open(bytes, packet::cluster_tag(&self.base.cluster)) else { return };
        for (kind, body) in frames.flatten() {
            match kind {
                frame::kind::MEMBERS => println!("  members {:?}", frame::decode_records(body)),
                frame::kind::STATEMENT => println!("  statement {:?}", frame::Statement::decode(body)),
                frame::kind::WANT_MEMBERS => println!("  want {:x?}", frame::decode_nonces(body)),
                kind => println!("  frame {kind} of {} bytes", body.len()),
            }
        }
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
        let Some((at, what)) = self.agenda.pop() else { return };
        self.now = at;
        self.trace = self.trace.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at.as_micros();
        let number = match &what {
            What::Datagram { to, .. } | What::Stream { to, .. } => self.at(*to),
            What::StreamFailed { node, .. } | What::Resolved { node, .. } => Some(*node),
            What::Connected { node, .. } | What::Unreachable { node, .. } => Some(*node),
            What::Awake { node } | What::Timer { node } => Some(*node),
        };
        if let (What::Datagram { to, from, .. }, Some(ended)) = (&what, number.filter(|n| !self.nodes[*n].running())) {
            self.refuse(ended, *to, *from);
        }
        let Some(number) = number.filter(|n| self.nodes[*n].running()) else { return };
        if let What::Stream { from, .. } = &what
            && self.net.shared
            && !self.at(*from).is_some_and(|n| self.nodes[n].running())
        {
            return;
        }
        if let What::Awake { .. } = what {
            self.awake(number);
            return;
        }
        let node = &mut self.nodes[number];
        if node.asleep_until > at || !node.inbox.is_empty() {
            // Its packets wait in the socket, its timers come late.
            if let What::Datagram { bytes, .. } = &what {
                if node.inbox_bytes + bytes.len() > SOCKET_BUFFER {
                    self.traffic.lost += 1;
                    return;
                }
                node.inbox_bytes += bytes.len();
            }
            node.inbox.push_back(what);
            return;
        }
        self.happen(number, what);
        self.busy(number);
    }

    /// A slow process is busy for a while with what it has just done.
    fn busy(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if !node.work.is_zero() {
            node.asleep_until = self.now + node.work;
            self.agenda.add(node.asleep_until, What::Awake { node: number });
        }
    }

    fn awake(&mut self, number: usize) {
        if self.nodes[number].asleep_until > self.now {
            return; // its pause was made longer
        }
        // What a timer is late for may be seen before or after the packets that wait.
        let timer_first = self.rng.random_bool(0.5);
        if timer_first && self.nodes[number].timer <= self.now {
            self.happen(number, What::Timer { node: number });
        }
        while let Some(what) = self.nodes[number].inbox.pop_front() {
            if let What::Datagram { bytes, .. } = &what {
                self.nodes[number].inbox_bytes -= bytes.len();
            }
            self.happen(number, what);
            if !self.nodes[number].work.is_zero() {
                self.busy(number);
                return;
            }
        }
        self.after(number);
    }

    fn happen(&mut self, number: usize, what: What) {
        let now = self.now;
        let node = &mut self.nodes[number];
        let Some(engine) = node.engine.get_mut() else { return };
        self.traffic.steps += 1;
        match what {
            What::Datagram { from, bytes, .. } => {
                engine.handle_datagram(now, from, &bytes);
                self.agenda.give_back(bytes);
            }
            What::Stream { from, bytes, .. } => engine.handle_stream(now, from, &bytes),
            What::StreamFailed { to, why, .. } => engine.handle_send_failed(now, to, Path::Stream, false, why),
            What::Connected { to, reached, .. } => engine.handle_connected(now, to, reached),
            What::Unreachable { to, .. } => engine.handle_unreachable(now, to),
            What::Resolved { seed, result, .. } => engine.handle_resolved(now, &seed, result),
            What::Timer { .. } => {
                if node.timer > now {
                    return; // one that was set earlier
                }
                node.timer = Time::NEVER;
                if engine.next_timeout() <= now {
                    engine.handle_timeout(now);
                }
            }
            What::Awake { .. } => {}
        }
        self.after(number);
    }

    /// A datagram arrives that no node has sent.
    pub fn inject(&mut self, node: usize, from: SocketAddr, bytes: &[u8]) {
        let now = self.now;
        if let Some(engine) = self.nodes[node].engine.get_mut() {
            engine.handle_datagram(now, from, bytes);
        }
        self.after(node);
    }

    /// Nothing passes between `side` and all others, in either direction.
    pub fn partition(&mut self, side: &[usize]) {
        self.cuts.partition(side);
        self.disturb_all();
    }

    /// Everything passes again.
    pub fn heal(&mut self) {
        self.cuts.heal();
        for node in &mut self.nodes {
            (node.udp_blocked, node.tcp_blocked, node.work) = (false, false, Duration::ZERO);
        }
        self.disturb_all();
    }

    pub fn disturb_all(&mut self) {
        (0..self.nodes.len()).for_each(|n| self.disturb(n));
    }

    /// With `SIM_DESCRIBE=1` in the environment, prints the page of every node that runs.
    pub fn describe(&self) {
        if std::env::var_os("SIM_DESCRIBE").is_some() {
            for node in self.nodes.iter().filter(|n| n.running()) {
                println!("--- {} ({:x})\n{}", node.id, node.nonce, node.engine.describe(self.now));
            }
        }
    }

    /// Whether every running member sees every running member's entries as they are there, and nothing else of them.
    pub fn converged(&self) -> bool {
        check::difference(self).is_none()
    }
}

/// What an engine wants done, gathered.
#[derive(Default)]
struct Outgoing {
    packets: Vec<(SocketAddr, bool, Vec<u8>)>,
    resolve: Vec<String>,
    connect: Vec<(SocketAddr, Duration)>,
}

impl Outgoing {
    fn with<'a>(&'a mut self, agenda: &'a mut Agenda) -> Gather<'a> {
        Gather { out: self, agenda }
    }
}

/// Gathers, into buffers that are used again.
struct Gather<'a> {
    out: &'a mut Outgoing,
    agenda: &'a mut Agenda,
}

impl Io for Gather<'_> {
    fn datagram(&mut self, to: SocketAddr, bytes: &[u8]) {
        let bytes = self.agenda.buffer(bytes);
        self.out.packets.push((to, false, bytes));
    }
    fn stream(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.out.packets.push((to, true, bytes));
    }
    fn resolve(&mut self, seed: String) {
        self.out.resolve.push(seed);
    }
    fn connect(&mut self, to: SocketAddr, timeout: Duration) {
        self.out.connect.push((to, timeout));
    }
}
