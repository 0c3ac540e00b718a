//! Probes: is it there? SWIM's failure detector (Das, Gupta and Motivala 2002) with Lifeguard's health (Dadgar, Phillips
//! and Currey 2018), at a cost per member that does not depend on how many there are.
//!
//! Each interval a member probes its next live successor on the hash ring, so that every member is probed every
//! interval, and now and then one more in random order. A probe that is not answered directly is tried by way of three
//! others, and by a TCP connect, which tells three cases apart: refused, silent, accepted but unanswered. What follows
//! from a failed probe stands in [`super::suspicion`].
//!
//! Probe and answer carry a digest of the fingerprints: equal ones prove equal knowledge, others lead to an exchange.

use std::collections::BTreeSet;
use std::time::Duration;

use hashbrown::HashMap;
use rand::Rng;

use super::{Action, Engine, Reached};
use crate::error::Status;
use crate::store::members::{Cause, MemberStatus};
use crate::time::Time;
use crate::wire::frame::{self, Record};
use crate::wire::probe::{Ping, PingFor};

/// A direct answer is waited for at least and at most so long, four round trips in between.
const DIRECT_MIN: Duration = Duration::from_millis(200);
const DIRECT_MAX: Duration = Duration::from_millis(400);

/// While a probe goes round, its target is tried directly again after each such part of the time-out.
const AGAIN: f64 = 0.2;

/// An answer on a way round is still waited for so long after the host has refused a connection, in round trips and at
/// most.
const AFTER_REFUSAL: u32 = 4;
const AFTER_REFUSAL_MAX: Duration = Duration::from_millis(100);

/// Probes under way, at most; on behalf of others none is begun when there are more than half as many, so that this node's
/// own never want for room.
const MAX_OPEN: usize = 512;
const MAX_OPEN_FOR_OTHERS: usize = MAX_OPEN / 2;

/// So many random members are drawn at a time, to be probed one after the other.
const ORDER_MOST: usize = 1024;

/// Successors looked at for one that is not suspected already.
const RING_LOOK: usize = 64;

/// What a probe is for.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// The turn of the successor on the ring.
    Ring,
    /// The turn in random order.
    Random,
    /// `accuser` suspects it and wants to know.
    Confirm { accuser: u64 },
    /// `asker` got no direct answer to its probe `seq`.
    For { asker: u64, seq: u32 },
    /// Others have suspected it for longer than they should have to.
    Bystander,
    /// This was said of it, too old to be believed unseen.
    Verify(Box<Record>),
    /// A message to it on a stream failed, with this error: an answer shows that datagrams pass.
    Stream(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Direct,
    /// By way of others as well, and by a connect.
    Indirect,
}

#[derive(Debug)]
struct Probe {
    target: u64,
    why: Why,
    sent: Time,
    /// Position in the log of changes, and roots, when it was sent.
    position: u64,
    digest: u64,
    stage: Stage,
    due: Time,
    ends_at: Time,
    connect: Option<Reached>,
    /// Sent more than once: an answer does not tell the round trip (Karn and Partridge 1987).
    again: bool,
    /// Those who were asked to probe it, and how many of them said that they had no answer either.
    relays: Vec<u64>,
    nacks: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Probes {
    ring_at: Time,
    random_at: Time,
    dead_at: Time,
    /// The rest of a random order of the members.
    order: Vec<u64>,
    open: HashMap<u32, Probe>,
    due: BTreeSet<(Time, u32)>,
    next_seq: u32,
    /// Lifeguard's local health: 0 is well; with each point intervals and time-outs of own probes grow by their length.
    pub health: u32,
}

impl Probes {
    /// None yet; the first at a random part of the interval.
    pub fn new(now: Time, interval: Duration, random: Duration, rng: &mut impl Rng) -> Probes {
        Probes {
            ring_at: now + interval.mul_f64(rng.random()),
            random_at: now + random.mul_f64(rng.random_range(0.5..1.0)),
            dead_at: now + interval,
            order: Vec::new(),
            open: HashMap::new(),
            due: BTreeSet::new(),
            next_seq: rng.random(),
            health: 0,
        }
    }

    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        let due = self.due.first().map_or(Time::NEVER, |(at, _)| *at);
        due.min(self.ring_at).min(self.random_at).min(self.dead_at)
    }

    fn take(&mut self, seq: u32) -> Option<Probe> {
        let probe = self.open.remove(&seq)?;
        self.due.remove(&(probe.due, seq));
        Some(probe)
    }

    fn move_due(&mut self, seq: u32, due: Time) {
        if let Some(probe) = self.open.get_mut(&seq) {
            self.due.remove(&(probe.due, seq));
            probe.due = due;
            self.due.insert((due, seq));
        }
    }

    fn probes(&self, target: u64) -> bool {
        self.open.values().any(|p| p.target == target && !matches!(p.why, Why::For { .. } | Why::Stream(_)))
    }

    fn verifies(&self, target: u64) -> bool {
        self.open.values().any(|p| p.target == target && matches!(p.why, Why::Verify(_)))
    }

    /// Forgets all that is under way: this node was not running, and can say nothing about others.
    pub fn void(&mut self) {
        self.open.clear();
        self.due.clear();
    }
}

impl Engine {
    /// Begins the probes whose turn it is, and goes on with those that were not answered.
    pub(super) fn probe_timeout(&mut self, now: Time) {
        if !self.is_member() {
            self.probes.void();
            (self.probes.ring_at, self.probes.random_at, self.probes.dead_at) = (Time::NEVER, Time::NEVER, Time::NEVER);
            return;
        }
        while let Some(&(at, seq)) = self.probes.due.first() {
            if at > now {
                break;
            }
            self.probe_due(now, seq);
        }
        let slower = self.probes.health + 1;
        if self.probes.ring_at <= now {
            self.probes.ring_at = now + self.settings.probe_interval * slower;
            self.probe_ring(now);
        }
        if self.probes.random_at <= now {
            self.probes.random_at = now + self.settings.probe_random_interval * slower;
            if let Some(target) = self.next_in_order() {
                self.probe(now, target, Why::Random);
            }
        }
        if self.probes.dead_at <= now {
            let pause = self.settings.dead_probe_interval.mul_f64(self.rng.random_range(0.7..1.3));
            self.probes.dead_at = now + pause;
            self.call_on_dead(now);
        }
    }

    /// Probes the next successor that is not suspected already.
    pub(super) fn probe_ring(&mut self, now: Time) {
        let target = self
            .successors()
            .take(RING_LOOK)
            .find(|nonce| self.members[nonce].claim.status != MemberStatus::Suspect && !self.probes.probes(*nonce));
        if let Some(target) = target {
            self.probe(now, target, Why::Ring);
        }
    }

    fn next_in_order(&mut self) -> Option<u64> {
        for again in [false, true] {
            if again {
                self.probes.order = self.random_others(ORDER_MOST);
            }
            while let Some(nonce) = self.probes.order.pop() {
                let fits = self.members.get(&nonce).is_some_and(|m| m.claim.status == MemberStatus::Alive);
                if fits && !self.probes.probes(nonce) {
                    return Some(nonce);
                }
            }
        }
        None
    }

    /// Sends a probe.
    pub(super) fn probe(&mut self, now: Time, target: u64, why: Why) {
        let Some(member) = self.members.get(&target) else { return };
        let room = if matches!(why, Why::For { .. }) { MAX_OPEN_FOR_OTHERS } else { MAX_OPEN };
        if self.probes.open.len() >= room {
            return;
        }
        let to = member.claim.target();
        let srtt = member.peer.srtt_us().or(self.rumors.rtt_us).map(|us| Duration::from_micros(us.into()));
        let whole = self.settings.probe_timeout;
        let direct = srtt.map_or(DIRECT_MAX, |srtt| (srtt * 4).clamp(DIRECT_MIN, DIRECT_MAX)).min(whole.mul_f64(0.8));
        let slower = match why {
            Why::Ring | Why::Random => self.probes.health + 1,
            _ => 1,
        };
        self.probes.next_seq = self.probes.next_seq.wrapping_add(1);
        let seq = self.probes.next_seq;
        let probe = Probe {
            target,
            why,
            sent: now,
            position: self.changes.head(),
            digest: self.roots.digest(),
            stage: Stage::Direct,
            due: now + direct * slower + self.lag * 2,
            ends_at: now + whole * slower + self.lag * 4,
            connect: None,
            again: false,
            relays: Vec::new(),
            nacks: 0,
        };
        let ping = Ping { seq, digest: probe.digest };
        self.probes.due.insert((probe.due, seq));
        self.probes.open.insert(seq, probe);
        self.counters.probes_sent += 1;
        self.out.frame(to, frame::kind::PING, &ping.encode(), &mut self.counters);
    }

    /// A probe's time-out has come.
    fn probe_due(&mut self, now: Time, seq: u32) {
        let Some(probe) = self.probes.open.get(&seq) else { return };
        let target = probe.target;
        match (probe.stage, &probe.why) {
            (Stage::Direct, Why::For { asker, seq: theirs }) => {
                let (asker, theirs, fails_at) = (*asker, *theirs, probe.ends_at);
                if let Some(to) = self.members.get(&asker).map(|m| m.claim.target()) {
                    self.out.frame(to, frame::kind::NACK, &theirs.to_le_bytes(), &mut self.counters);
                }
                // A late answer is still handed on.
                if let Some(probe) = self.probes.open.get_mut(&seq) {
                    probe.stage = Stage::Indirect;
                }
                self.probes.move_due(seq, fails_at);
            }
            (Stage::Direct, _) => self.go_round(now, seq),
            (Stage::Indirect, why) if now < probe.ends_at && !matches!(why, Why::For { .. }) => {
                let ends_at = probe.ends_at;
                self.ping_again(seq);
                let next = now + self.settings.probe_timeout.mul_f64(AGAIN);
                self.probes.move_due(seq, next.min(ends_at));
            }
            (Stage::Indirect, _) => {
                let Some(probe) = self.probes.take(seq) else { return };
                if !matches!(probe.why, Why::For { .. }) && self.members.contains_key(&target) {
                    self.probe_failed(now, probe);
                }
            }
        }
    }

    /// No direct answer: others are asked to probe it, and a connection is tried.
    fn go_round(&mut self, now: Time, seq: u32) {
        let Some(probe) = self.probes.open.get(&seq) else { return };
        let (target, fails_at) = (probe.target, probe.ends_at);
        // Who confirms is one of several that answer for themselves.
        let by_others = matches!(probe.why, Why::Ring | Why::Random | Why::Bystander | Why::Verify(_));
        let Some(address) = self.members.get(&target).map(|m| m.claim.address) else {
            self.probes.take(seq);
            return;
        };
        let mut relays = Vec::new();
        if by_others {
            let n = self.settings.indirect_probes;
            relays = self.choose(n + 1, |m| m.claim.status == MemberStatus::Alive);
            relays.retain(|nonce| *nonce != target);
            relays.truncate(n);
            for relay in &relays {
                let to = self.members[relay].claim.target();
                let body = PingFor { seq, target }.encode();
                self.out.frame(to, frame::kind::PING_FOR, &body, &mut self.counters);
            }
            self.counters.probes_indirect += relays.len() as u64;
        }
        if let Some(probe) = self.probes.open.get_mut(&seq) {
            probe.stage = Stage::Indirect;
            probe.relays = relays;
        }
        let next = now + self.settings.probe_timeout.mul_f64(AGAIN);
        self.probes.move_due(seq, next.min(fails_at));
        self.ping_again(seq);
        self.actions.push_back(Action::Connect { to: address, timeout: fails_at.since(now) });
    }

    /// Sends the probe to its target once more: on a lossy way it or its answer may have got lost.
    fn ping_again(&mut self, seq: u32) {
        let Some(probe) = self.probes.open.get_mut(&seq) else { return };
        probe.again = true;
        let ping = Ping { seq, digest: probe.digest };
        if let Some(to) = self.members.get(&probe.target).map(|m| m.claim.target()) {
            self.out.frame(to, frame::kind::PING, &ping.encode(), &mut self.counters);
        }
    }

    /// A connection that was asked for was tried.
    pub(super) fn note_connected(&mut self, now: Time, to: std::net::SocketAddr, reached: Reached) {
        let waits = |p: &Probe| p.stage == Stage::Indirect && p.connect.is_none();
        let mut found: Vec<u32> = self
            .probes
            .open
            .iter()
            .filter(|(_, p)| waits(p) && self.members.get(&p.target).is_some_and(|m| m.claim.address == to))
            .map(|(seq, _)| *seq)
            .collect();
        found.sort_unstable();
        for seq in found {
            let Some(probe) = self.probes.open.get_mut(&seq) else { continue };
            probe.connect = Some(reached);
            let ends_at = probe.ends_at;
            if reached == Reached::Accepted {
                self.ping_again(seq);
            } else if reached == Reached::Refused {
                // Nothing more is to be expected than an answer that is on its way already.
                let rtt = self.rumors.rtt_us.map_or(AFTER_REFUSAL_MAX, |us| Duration::from_micros(us.into()));
                let soon = now + (rtt * AFTER_REFUSAL).clamp(Duration::from_millis(5), AFTER_REFUSAL_MAX);
                probe.ends_at = ends_at.min(soon);
                self.probes.move_due(seq, ends_at.min(soon));
            }
        }
    }

    /// The network says that nobody can be reached at an address: no verdict, but no time is lost before trying otherwise.
    pub(super) fn note_unreachable(&mut self, now: Time, to: std::net::SocketAddr) {
        let mut found: Vec<u32> = self
            .probes
            .open
            .iter()
            .filter(|(_, p)| p.stage == Stage::Direct && !matches!(p.why, Why::For { .. }))
            .filter(|(_, p)| self.members.get(&p.target).is_some_and(|m| m.claim.address == to))
            .map(|(seq, _)| *seq)
            .collect();
        found.sort_unstable();
        for seq in found {
            self.go_round(now, seq);
        }
    }

    fn probe_failed(&mut self, now: Time, probe: Probe) {
        self.counters.probes_failed += 1;
        let cause = match probe.connect {
            Some(Reached::Refused) => Cause::Refused,
            Some(Reached::Accepted) => Cause::Stalled,
            Some(Reached::Silent) | None => Cause::Silent,
        };
        match probe.why {
            Why::Ring | Why::Random => {
                // Relays that said nothing at all: rather this node is unwell than all of them.
                let silent = probe.relays.len() - probe.nacks.min(probe.relays.len());
                self.feel(silent as i64);
                self.accuse(now, probe.target, cause);
                if matches!(probe.why, Why::Ring) {
                    // Several in a row may have died at once: the next one need not wait for the next interval.
                    self.probe_ring(now);
                }
            }
            Why::Confirm { accuser } => self.confirm_accusation(now, accuser, probe.target, cause),
            Why::Verify(record) => self.believe(now, &record),
            Why::Bystander => self.take_over(now, probe.target, cause),
            Why::For { .. } | Why::Stream(_) => {}
        }
    }

    /// Local health changes by so many points.
    pub(super) fn feel(&mut self, worse: i64) {
        if self.settings.lifeguard {
            let most = self.settings.health_max as i64;
            self.probes.health = (i64::from(self.probes.health) + worse).clamp(0, most) as u32;
        }
    }

    /// A probe of a member.
    pub(super) fn handle_ping(&mut self, now: Time, sender: u64, ping: Ping) {
        let Some(to) = self.members.get(&sender).map(|m| m.claim.target()) else { return };
        let answer = Ping { seq: ping.seq, digest: self.roots.digest() };
        self.out.frame(to, frame::kind::ACK, &answer.encode(), &mut self.counters);
        if ping.digest == answer.digest {
            self.proven_equal(now, sender, self.changes.head());
        }
    }

    /// The answer to a probe, from the one that was probed or handed on by another.
    pub(super) fn handle_ack(&mut self, now: Time, sender: u64, ack: Ping) {
        let Some(probe) = self.probes.open.get(&ack.seq) else { return };
        let direct = probe.target == sender;
        if !direct && !probe.relays.contains(&sender) {
            return;
        }
        let Some(probe) = self.probes.take(ack.seq) else { return };
        let compares = matches!(probe.why, Why::Ring | Why::Random);
        match probe.why {
            Why::Ring | Why::Random => self.feel(-1),
            Why::For { asker, seq } => {
                if let Some(to) = self.members.get(&asker).map(|m| m.claim.target()) {
                    let handed_on = Ping { seq, digest: 0 };
                    self.out.frame(to, frame::kind::ACK, &handed_on.encode(), &mut self.counters);
                }
            }
            Why::Confirm { .. } | Why::Bystander => {}
            Why::Stream(error) => {
                if direct {
                    self.warn_no_stream(now, sender, &error);
                }
            }
            // It lives. That what is said of it is wrong it says best itself.
            Why::Verify(record) => {
                if let Some(to) = self.members.get(&probe.target).map(|m| m.claim.target()) {
                    let mut body = Vec::new();
                    record.put(&mut body);
                    self.out.frame(to, frame::kind::MEMBERS, &body, &mut self.counters);
                }
            }
        }
        if !direct {
            return;
        }
        if !probe.again {
            self.measured(sender, now.since(probe.sent));
        }
        if ack.digest == self.roots.digest() {
            self.proven_equal(now, sender, self.changes.head());
        } else if ack.digest == probe.digest {
            self.proven_equal(now, sender, probe.position);
        } else if compares {
            self.request(now, sender);
        }
    }

    /// A message on a stream did not get to an address. Whether its member is gone, or only TCP is blocked, a datagram
    /// shows.
    pub(super) fn note_stream_failed(&mut self, now: Time, to: std::net::SocketAddr, error: &str) {
        let here = |nonce: &&u64| self.members.get(nonce).is_some_and(|m| m.claim.address == to);
        let Some(target) = self.ring.members().iter().filter(|nonce| **nonce != self.me).find(here).copied() else {
            return;
        };
        let asked = |p: &Probe| p.target == target && matches!(p.why, Why::Stream(_));
        if !self.probes.open.values().any(asked) {
            self.probe(now, target, Why::Stream(error.into()));
        }
    }

    fn warn_no_stream(&mut self, now: Time, nonce: u64, error: &str) {
        let Some(claim) = self.members.get(&nonce).map(|m| m.claim.clone()) else { return };
        self.warn(now, "stream", Status::Timeout, || {
            format!(
                "member {:?} at {} answers UDP packets but can not be reached by TCP ({error}), by which large values travel: \
                 is TCP blocked on the way?",
                claim.life.id, claim.address
            )
        });
    }

    /// Whether something old that was said of a member is being verified.
    pub(super) fn is_verifying(&self, target: u64) -> bool {
        self.probes.verifies(target)
    }

    /// A member asks for a probe by way of this node.
    pub(super) fn handle_ping_for(&mut self, now: Time, sender: u64, asked: PingFor) {
        if asked.target == self.me || !self.members.contains_key(&asked.target) {
            return;
        }
        self.probe(now, asked.target, Why::For { asker: sender, seq: asked.seq });
    }

    /// One that was asked to probe has no answer either, but is there itself.
    pub(super) fn handle_nack(&mut self, sender: u64, seq: u32) {
        if let Some(probe) = self.probes.open.get_mut(&seq)
            && probe.relays.contains(&sender)
        {
            probe.nacks += 1;
        }
    }

    /// Now and then one that is held dead is told so, wherever it was last: if it lives, behind a partition that has
    /// healed, it refutes.
    fn call_on_dead(&mut self, now: Time) {
        let dead = |claim: &super::Claim| claim.status == MemberStatus::Dead;
        let here = self.members.values().map(|m| &m.claim);
        let mut all: Vec<u64> = here.chain(self.departed.values()).filter(|c| dead(c)).map(|c| c.life.nonce).collect();
        if all.is_empty() {
            return;
        }
        all.sort_unstable(); // not in the maps' order, which differs from run to run
        let nonce = all[self.rng.random_range(0..all.len())];
        self.tell_accused(now, nonce, None);
    }

    /// Tells a life what is held against it, at `from` or where it was last.
    pub(super) fn tell_accused(&mut self, now: Time, nonce: u64, from: Option<std::net::SocketAddr>) {
        let Some(claim) = self.claim(nonce) else { return };
        let mut to = claim.target();
        to.address = from.unwrap_or(to.address);
        let mut body = Vec::new();
        claim.to_record(now).put(&mut body);
        self.out.frame(to, frame::kind::MEMBERS, &body, &mut self.counters);
        self.out.frame(to, frame::kind::WANT_MEMBERS, &nonce.to_le_bytes(), &mut self.counters);
    }
}
