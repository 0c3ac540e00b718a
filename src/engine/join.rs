//! Finding the cluster: seeds, the handshake that lets a newcomer in.
//!
//! A newcomer sends `JOIN`; whoever has the address answers with a small `CHALLENGE`; the newcomer repeats its `JOIN`
//! with the token in it, which proves that it can be reached where it says, and is let in: it gets the record of the
//! one who let it in, and a first statement to compare with.

use std::net::SocketAddr;
use std::time::Duration;

use hashbrown::HashSet;
use rand::Rng;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::membership::Way;
use super::outbox::{Outbox, Target};
use super::{Action, Engine, Reached};
use crate::error::Status;
use crate::store::NodeState;
use crate::store::entry::{Life, LifeRef};
use crate::store::event::Level;
use crate::store::members::MemberStatus;
use crate::time::Time;
use crate::wire::frame::{self, Challenge, Join};

/// A newcomer compares with random members often for so long.
const EAGER: Duration = Duration::from_secs(1);

/// A seed by its name, with what became of it.
#[derive(Debug)]
pub struct Seed {
    name: String,
    addresses: Vec<SocketAddr>,
    /// It has answered, at this time last.
    answered: Option<Time>,
    /// Those of its addresses that are this node itself.
    selves: Vec<SocketAddr>,
    tries: u32,
    backoff: Duration,
    next: Time,
    resolving: bool,
    error: Option<String>,
    /// What a TCP connection to it has shown, while it did not answer.
    reached: Option<Reached>,
    /// So many challenges it may still send that are smaller than the answer: it was asked for them.
    owed: usize,
}

/// A seed that has not answered so many times is complained of; shortly before it is also tried with a TCP connection.
const SILENT_TRIES: u32 = 5;

/// How long such a connection may take.
const REACH: Duration = Duration::from_secs(1);

impl Seed {
    /// When to try it next.
    pub fn next_timeout(&self) -> Time {
        if self.resolving { Time::NEVER } else { self.next }
    }

    /// Why it does not answer, as far as can be told.
    fn silence(&self) -> &'static str {
        match self.reached {
            None => "no answer",
            Some(Reached::Silent) => {
                "no answer, nor to a TCP connection: the host is not there, or a firewall is between"
            }
            Some(Reached::Refused) => "no answer, and a TCP connection is refused: no process listens there",
            Some(Reached::Accepted) => {
                "no answer over UDP, though it accepts TCP connections: UDP is blocked on the way, the process is stopped, or \
                 it is none of this cluster or of another version"
            }
        }
    }

    fn is_self(&self) -> bool {
        !self.addresses.is_empty() && self.addresses.iter().all(|a| self.selves.contains(a))
    }

    /// One line for people.
    pub fn describe(&self, now: Time) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let known = if addresses.is_empty() { "not resolved".to_owned() } else { addresses.join(" ") };
        let result = match (&self.answered, &self.error) {
            _ if self.is_self() => "this node itself".to_owned(),
            (Some(at), _) => format!("answered {:.1} s ago", now.since(*at).as_secs_f64()),
            (None, Some(error)) => error.clone(),
            (None, None) => "no answer yet".to_owned(),
        };
        let next = self.next.since(now).as_secs_f64();
        format!("{} ({known}): {result}; {} tries, next in {next:.1} s", self.name, self.tries)
    }
}

impl Engine {
    /// Takes the seeds of the settings over; those known already keep what is known of them.
    pub(super) fn set_seeds(&mut self, now: Time) {
        let mut old = std::mem::take(&mut self.seeds);
        for name in &self.settings.seeds {
            let seed = match old.iter().position(|s| s.name == *name) {
                Some(i) => old.swap_remove(i),
                None => Seed {
                    name: name.clone(),
                    addresses: Vec::new(),
                    answered: None,
                    selves: Vec::new(),
                    tries: 0,
                    backoff: self.settings.join_retry,
                    next: now,
                    resolving: false,
                    error: None,
                    reached: None,
                    owed: 0,
                },
            };
            self.seeds.push(seed);
        }
        self.join_timeout(now);
        self.maybe_alone(now);
    }

    /// Looks up and tries the seeds whose time has come.
    pub(super) fn join_timeout(&mut self, now: Time) {
        let joined = self.store.state() != NodeState::Starting;
        for i in 0..self.seeds.len() {
            let jitter = self.rng.random_range(0.7..1.3);
            let seed = &mut self.seeds[i];
            if seed.resolving || seed.next > now {
                continue;
            }
            let silent = seed.tries > 0 && seed.answered.is_none() && !seed.addresses.is_empty() && !seed.is_self();
            if silent && seed.error.is_none() {
                seed.error = Some(seed.silence().to_owned());
            }
            let pause = if joined && seed.answered.is_some() || seed.is_self() {
                self.settings.seed_interval
            } else {
                let pause = seed.backoff;
                seed.backoff = (pause.mul_f64(1.6)).min(self.settings.join_retry_max);
                pause
            };
            let pause = pause.mul_f64(jitter);
            seed.next = now + pause;
            if silent
                && !joined
                && seed.tries + 2 >= SILENT_TRIES
                && let Some(&to) = seed.addresses.first()
            {
                // Before it is complained of, so that the complaint can say more.
                self.actions.push_back(Action::Connect { to, timeout: REACH });
            }
            if silent && !joined && seed.tries >= SILENT_TRIES {
                let (name, tries) = (seed.name.clone(), seed.tries);
                let why = seed.error.clone().unwrap_or_default();
                self.warn(now, "seeds", Status::Timeout, || {
                    format!("seed {name}: {why}; {tries} tries, next in {:.1} s", pause.as_secs_f64())
                });
            }
            let seed = &mut self.seeds[i];
            // Addresses are looked up afresh at the first try, at every eighth and whenever none is known; always where
            // tries are rare.
            if seed.addresses.is_empty() || seed.tries % 8 == 7 || seed.answered.is_some() || seed.is_self() {
                seed.resolving = true;
                self.actions.push_back(Action::Resolve(seed.name.clone()));
            } else {
                self.try_seed(now, i);
            }
        }
    }

    pub(super) fn resolved(&mut self, now: Time, name: &str, result: Result<Vec<SocketAddr>, String>) {
        let Some(i) = self.seeds.iter().position(|s| s.name == name && s.resolving) else { return };
        let retry = self.settings.join_retry;
        let seed = &mut self.seeds[i];
        seed.resolving = false;
        // Name servers may take longer than the pause: a timer in the past would look as if this process had been stopped.
        seed.next = seed.next.max(now + retry);
        match result {
            Ok(addresses) if !addresses.is_empty() => {
                seed.addresses = addresses;
                self.try_seed(now, i);
            }
            Ok(_) => {
                seed.tries += 1;
                seed.error = Some("the name has no address".to_owned());
            }
            Err(error) => {
                seed.tries += 1;
                seed.error = Some(error.clone());
                self.log(now, Level::Info, || format!("seed {name}: {error}"));
            }
        }
        self.maybe_alone(now);
    }

    fn try_seed(&mut self, now: Time, i: usize) {
        let me = self.members[&self.me].claim.address;
        let present: HashSet<SocketAddr> =
            self.ring.members().iter().filter_map(|n| self.members.get(n)).map(|m| m.claim.address).collect();
        let seed = &mut self.seeds[i];
        seed.tries += 1;
        if seed.addresses.contains(&me) && !seed.selves.contains(&me) {
            seed.selves.push(me);
        }
        let mut send = Vec::new();
        for address in &seed.addresses {
            if present.contains(address) {
                seed.answered = Some(now);
            } else if !seed.selves.contains(address) {
                send.push(*address);
            }
        }
        seed.owed = send.len();
        for address in send {
            self.send_join(now, address);
        }
    }

    fn may_join(&self) -> bool {
        // Who is banned takes part, and comes back from behind a partition as well.
        matches!(self.store.state(), NodeState::Starting | NodeState::Joined | NodeState::Alone | NodeState::Banned)
    }

    /// Asks whoever has an address to let this node in.
    pub(super) fn send_join(&mut self, now: Time, address: SocketAddr) {
        if !self.may_join() {
            return;
        }
        let target = Target { address, nonce: 0 };
        let record = self.members[&self.me].claim.to_record(now);
        self.out.frame(target, frame::kind::JOIN, &Join { token: 0, record }.encode(), &mut self.counters);
        // The challenge will be as large as this, and the next request, for that one, a little larger than this one would be.
        self.pad(target);
    }

    /// A packet of this node came back to it: the address is its own.
    pub(super) fn seed_is_self(&mut self, now: Time, from: SocketAddr) {
        for seed in &mut self.seeds {
            if seed.addresses.contains(&from) && !seed.selves.contains(&from) {
                seed.selves.push(from);
            }
        }
        self.maybe_alone(now);
    }

    /// A connection to an address was tried: if it is a seed's, that says more than silence.
    pub(super) fn seed_reached(&mut self, to: SocketAddr, reached: Reached) {
        for seed in self.seeds.iter_mut().filter(|s| s.answered.is_none() && s.addresses.first() == Some(&to)) {
            seed.reached = Some(reached);
            seed.error = Some(seed.silence().to_owned());
        }
    }

    pub(super) fn seed_failed(&mut self, to: SocketAddr, error: &str) {
        for seed in self.seeds.iter_mut().filter(|s| s.addresses.contains(&to)) {
            seed.error = Some(error.to_owned());
        }
    }

    /// Without seeds, or with none but itself, a node is a cluster of one.
    fn maybe_alone(&mut self, now: Time) {
        if self.store.state() == NodeState::Starting && self.seeds.iter().all(Seed::is_self) {
            self.store.set_state(now, NodeState::Alone, "there is no seed but this node itself");
            self.store.set_synced(now);
        }
    }

    /// A member is known besides this node.
    pub(super) fn note_joined(&mut self, now: Time) {
        if matches!(self.store.state(), NodeState::Starting | NodeState::Alone) {
            self.store.set_state(now, NodeState::Joined, "another member is known");
            self.eager_until = now + EAGER;
            self.eager_at = Some(now);
        }
    }

    /// This node was away: the seeds are tried anew, and others compared with often.
    pub(super) fn come_back(&mut self, now: Time) {
        self.eager_until = now + EAGER;
        self.eager_at = Some(now);
        for seed in &mut self.seeds {
            seed.next = now;
            seed.backoff = self.settings.join_retry;
        }
    }

    fn token(&self, from: SocketAddr, sender: u64) -> u32 {
        let text = format!("{from} {sender}");
        (xxh3_64_with_seed(text.as_bytes(), self.token_key) as u32).max(1)
    }

    /// Somebody wants in.
    pub(super) fn handle_join(&mut self, now: Time, sender: u64, join: Join) {
        self.counters.joins_received += 1;
        if join.record.nonce != sender || self.store.state() == NodeState::Leaving {
            return;
        }
        let known = self.latest(&join.record.id).and_then(|n| self.members.get(&n));
        let other = known.filter(|m| m.claim.life.nonce != sender);
        let generation = other.map_or(0, |m| m.claim.life.generation);
        let newcomer = !self.members.contains_key(&sender);
        let later = newcomer && generation >= join.record.generation;
        // The token goes to the address that the newcomer wants to be known by: that is where all will send to.
        let to = join.record.address;
        let proven = join.token == self.token(to, sender);
        if !proven || later {
            // Once a packet: an answer must not be larger than what it answers.
            if std::mem::replace(&mut self.answered_stranger, true) {
                return;
            }
            let mut challenge = Challenge { token: self.token(to, sender), generation }.encode();
            // As large as the request, for the next one is the answer to this.
            challenge.resize(self.answer_room.saturating_sub(Outbox::size(0) + 1).max(challenge.len()), 0);
            self.answer(Target { address: to, nonce: sender }, frame::kind::CHALLENGE, &challenge);
            return;
        }
        self.counters.joins_accepted += 1;
        if join.record.status.is_present() {
            self.merge_by(now, sender, join.record, Way::Proven);
        }
        if self.claim(sender).is_some_and(|c| c.status == MemberStatus::Dead) {
            // It comes back from behind a partition: it refutes, and is let in with its next packet.
            self.tell_accused(now, sender, Some(to));
        }
        let Some(member) = self.members.get(&sender).filter(|m| m.is_present()) else { return };
        let target = member.claim.target();
        if newcomer {
            // This node had a round trip with it: it may vouch for its address.
            self.tell(now, sender);
        }
        self.send_records(now, target, &[self.me]);
        self.request(now, sender);
        if newcomer {
            self.send_pages(now, sender);
        }
    }

    /// A seed has answered.
    pub(super) fn handle_challenge(&mut self, now: Time, from: SocketAddr, challenge: Challenge) {
        for seed in self.seeds.iter_mut().filter(|s| s.addresses.contains(&from)) {
            seed.answered = Some(now);
            seed.error = None;
        }
        if self.store.state() == NodeState::Starting || self.store.state() == NodeState::Alone {
            self.raise_generation(now, challenge.generation);
        }
        if challenge.generation >= self.members[&self.me].claim.life.generation {
            // Too late to become the later life: that member would answer every JOIN like this one.
            let id = self.members[&self.me].claim.life.id.clone();
            self.warn(now, "generation", Status::IdTaken, || {
                format!(
                    "{from} knows another, later process with the member id {id:?}; give each process an id of its own"
                )
            });
            return;
        }
        if !self.may_join() {
            return;
        }
        let record = self.members[&self.me].claim.to_record(now);
        let body = Join { token: challenge.token, record }.encode();
        let to = Target { address: from, nonce: 0 };
        // Anyone can send a challenge from any address: the answer is no larger, but for seeds whose datagrams are small.
        if !self.answer(to, frame::kind::JOIN, &body)
            && let Some(seed) = self.seeds.iter_mut().find(|s| s.owed > 0 && s.addresses.contains(&from))
        {
            seed.owed -= 1;
            self.out.frame(to, frame::kind::JOIN, &body, &mut self.counters);
        }
    }

    /// A former life of this id is known with generation `known`: the present one must be later. Only before anyone has
    /// let this node in, or while no other process of this id is alive: else it would be a fight between the two.
    pub(super) fn raise_generation(&mut self, now: Time, known: u64) {
        let store = self.store.clone();
        let Some(me) = self.members.get_mut(&self.me) else { return };
        if me.claim.life.generation > known || known >= frame::COUNTER_LIMIT - 1 {
            return;
        }
        let old = me.claim.life.clone();
        let life = LifeRef::new(Life { id: old.id.clone(), generation: known + 1, nonce: old.nonce });
        me.claim.contact_mut().life = life.clone();
        // Whoever has heard of the lower generation already is to learn the higher one.
        me.claim.incarnation += 1;
        let log = me.log.anew();
        *me.log.make() = log;
        if let Some(view) = self.view(self.me) {
            store.members.put(view);
        }
        store.rebase(&life);
        // All of it: others keep what they hold, and this node must not say that it has less.
        self.drain_all_own(now);
        if let Some(me) = self.members.get_mut(&self.me) {
            // Numbers whose tombstones are collected have nothing left to drain.
            me.log.make().own_complete(store.drain_own(0, |_| ()));
        }
        self.raise_bans(now, old.generation);
        self.touch(now, self.me, Duration::ZERO);
        self.tell(now, self.me);
    }
}
