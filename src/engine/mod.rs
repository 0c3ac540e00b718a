//! The protocol, sans-IO: time and bytes in, bytes and events out.
//!
//! The engine reads no clock, opens no socket, starts no thread and draws its randomness from one seed, so that the
//! simulator drives the same code as the runtime and a seed reproduces a run. Whoever drives it calls a `handle_…`
//! method for what happens, then takes out everything that [`Engine::poll_transmit`] and [`Engine::poll_action`] give,
//! then waits until [`Engine::next_timeout`] at the latest. Calls that come late or too often are harmless.
//!
//! What hosts are told goes through the [`Store`], which the engine drives.

mod allowance;
mod arc;
mod bans;
mod changes;
mod claims;
mod content;
mod departed;
mod describe;
mod dispatch;
mod exchange;
mod healing;
mod heartbeat;
mod held;
mod hops;
mod join;
mod leave;
mod limits;
mod log;
mod member;
mod membership;
mod metrics;
mod offsets;
mod outbox;
mod pages;
mod probe;
mod rare;
mod ring;
mod rumor;
mod said;
mod suspicion;
mod topology;
mod transfer;
mod upkeep;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::config::settings::Settings;
use crate::error::Status;
use crate::store::Store;
use crate::store::entry::{Life, LifeRef, MemberId};
use crate::store::event::Level;
use crate::store::lives::Lives;
use crate::store::members::{Cause, Contact, MemberStatus};
use crate::time::Time;
use crate::wire::frame::Roots;
use crate::wire::packet;
use bans::Bans;
use changes::Changes;
use claims::Claims;
use departed::Departed;
use healing::Healing;
use heartbeat::Heartbeat;
use join::Seed;
use leave::Leaving;
use member::{Claim, Member};
pub use metrics::{Counters, Metric};
use outbox::Outbox;
use probe::Probes;
use ring::Ring;
use rumor::Rumors;
use suspicion::Suspicions;
use topology::Topology;
pub use transfer::largest_read;

/// Where bytes are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// One UDP datagram.
    Datagram,
    /// One message on a TCP stream, length-prefixed: at most the sender's `max_value_size` + 1 MiB; what is read is bounded
    /// by [`largest_read`] + 1 MiB.
    Stream,
}

/// Bytes to send.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// To whom.
    pub to: SocketAddr,
    /// How.
    pub path: Path,
    /// The packet.
    pub bytes: Vec<u8>,
}

/// What the engine needs done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look up this `host:port`, then call [`Engine::handle_resolved`].
    Resolve(String),
    /// Make a TCP connection and close it again, then call [`Engine::handle_connected`], after `timeout` at the latest.
    Connect {
        /// Where to.
        to: SocketAddr,
        /// How long to wait for an answer.
        timeout: Duration,
    },
}

/// What came of a connection that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The host's kernel has accepted it: a process listens there, whether or not it runs just now.
    Accepted,
    /// Refused: the host is there, and no process listens at that port.
    Refused,
    /// No answer in time, or no way there.
    Silent,
}

/// What tells a new engine who it is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The member id: setting `id`, or 32 random hex digits.
    pub id: MemberId,
    /// The first generation: milliseconds of the wall clock at start. Raised if a later one is known in the cluster.
    pub generation: u64,
    /// Random, not 0.
    pub nonce: u64,
    /// What others are told to reach this node at.
    pub address: SocketAddr,
    /// Seeds all randomness of the engine.
    pub rng_seed: u64,
}

impl Identity {
    /// The life that a [`Store`] for this engine is made with.
    pub fn life(&self) -> LifeRef {
        LifeRef::new(Life { id: self.id.clone(), generation: self.generation, nonce: self.nonce })
    }
}

/// How often departed members and tombstones are looked over.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Timers that come so late mean that the process was not running.
const PAUSE: Duration = Duration::from_millis(300);

/// More lateness than this is a pause, and says nothing about the next moment.
const LAG_MOST: Duration = Duration::from_millis(200);

/// Less than this is no overload.
const LAG_LEAST: Duration = Duration::from_millis(5);

/// Lateness that was not seen again for so long is over.
const LAG_LASTS: Duration = Duration::from_millis(300);

/// The same warning is not given again before.
const WARN_EVERY: Duration = Duration::from_secs(30);

/// The protocol of one node.
pub struct Engine {
    settings: Arc<Settings>,
    store: Arc<Store>,
    /// Nonce of this node's life; its record and log stand among the members.
    me: u64,
    cluster: u32,
    members: Lives<Member>,
    /// Present members.
    ring: Ring,
    /// Where looking over the members goes on.
    tidied: usize,
    /// What is remembered of members whose state is gone: so that nothing brings them back.
    departed: HashMap<u64, Departed>,
    /// They, by when they went: the oldest are forgotten first.
    departed_order: BTreeSet<(Time, u64)>,
    /// The latest life of each id among them: a former one must not come back after it.
    departed_ids: HashMap<MemberId, u64>,
    changes: Changes,
    roots: Roots,
    /// Members whose log has entries that expire, by the next time.
    expiries: BTreeSet<(Time, u64)>,
    out: Outbox,
    actions: VecDeque<Action>,
    counters: Counters,
    rng: SmallRng,
    token_key: u64,
    next_request: u32,
    seeds: Vec<Seed>,
    leaving: Option<Leaving>,
    /// When to gossip next; `None` while there is nothing new.
    tick_at: Option<Time>,
    last_tick: Time,
    /// Compare with random peers often until then: just joined, or back from being away.
    eager_until: Time,
    /// When to compare so next.
    eager_at: Option<Time>,
    housekeeping_at: Time,
    warned: HashMap<&'static str, Time>,
    rumors: Rumors,
    claims: Claims,
    probes: Probes,
    suspicions: Suspicions,
    healing: Healing,
    bans: Bans,
    heartbeat: Heartbeat,
    topology: Topology,
    said: said::Said,
    transfers: transfer::Transfers,
    contents: content::Contents,
    /// How late this node's timers come: where the processor is overloaded, answers wait in sockets, and whoever repeats what
    /// was not answered in time makes it worse.
    lag: Duration,
    /// When that was seen.
    lag_seen: Time,
    /// The sender of this packet, which is no member, was answered.
    answered_stranger: bool,
    /// Bytes that may still be sent to an unproven address in answer to this packet: as many as it had.
    answer_room: usize,
    /// Exchanges have found differences since the last tick.
    differing: bool,
    /// The highest position of the changes at which a peer was proven equal.
    agreed: u64,
    /// The head of the changes when the last tick asked.
    asked_at: u64,
}

impl Engine {
    /// An engine that drives `store`, which must have been made with [`Identity::life`].
    pub fn new(settings: Arc<Settings>, identity: Identity, store: Arc<Store>, now: Time) -> Engine {
        let mut rng = SmallRng::seed_from_u64(identity.rng_seed);
        let cluster = packet::cluster_tag(&settings.cluster);
        let mut engine = Engine {
            out: Outbox::new(cluster, identity.nonce, settings.max_packet),
            me: identity.nonce,
            cluster,
            members: Lives::default(),
            ring: Ring::new(cluster),
            tidied: 0,
            departed: HashMap::new(),
            departed_order: BTreeSet::new(),
            departed_ids: HashMap::new(),
            changes: Changes::default(),
            roots: Roots::default(),
            expiries: BTreeSet::new(),
            actions: VecDeque::new(),
            counters: Counters::default(),
            token_key: rng.random(),
            next_request: 1,
            seeds: Vec::new(),
            leaving: None,
            tick_at: None,
            last_tick: now.back(settings.gossip_interval),
            eager_until: now,
            eager_at: None,
            housekeeping_at: now + HOUSEKEEPING,
            warned: HashMap::new(),
            rumors: Rumors::new(now),
            claims: Claims::new(now),
            probes: Probes::new(now, settings.probe_interval, settings.probe_random_interval, &mut rng),
            suspicions: Suspicions::default(),
            healing: Healing::new(now, settings.dead_probe_interval, &mut rng),
            bans: Bans::default(),
            heartbeat: Heartbeat::default(),
            topology: Topology::default(),
            said: said::Said::default(),
            transfers: transfer::Transfers::default(),
            contents: content::Contents::new(now, settings.content_interval, &mut rng),
            lag: Duration::ZERO,
            lag_seen: now,
            answered_stranger: false,
            answer_room: 0,
            differing: false,
            agreed: 0,
            asked_at: 0,
            rng,
            store,
            settings: settings.clone(),
        };
        let claim = Claim {
            contact: engine.store.contacts.keep(Contact {
                life: identity.life(),
                address: identity.address,
                versions: (packet::VERSION, packet::VERSION),
                tags: member::shared_tags(&settings.tags),
            }),
            incarnation: 1,
            status: MemberStatus::Alive,
            since: now,
            cause: Cause::None,
            accuser: 0,
        };
        engine.insert_member(claim, now);
        engine.set_seeds(now);
        engine.drain_own(now);
        engine
    }

    /// A datagram came in. Never fails: what is wrong is dropped and counted.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        self.counters.datagrams_received += 1;
        self.counters.datagram_bytes_received += bytes.len() as u64;
        self.notice_pause(now);
        self.handle_packet(now, from, Path::Datagram, bytes);
    }

    /// A whole message came in on a stream. `from` is the far end of the connection, not a listening port.
    pub fn handle_stream(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        self.counters.messages_received += 1;
        self.counters.message_bytes_received += bytes.len() as u64;
        self.notice_pause(now);
        self.handle_packet(now, from, Path::Stream, bytes);
    }

    /// The store has been written to since.
    pub fn handle_dirty(&mut self, now: Time) {
        self.expire(now);
        self.heartbeat_changed(now);
        self.drain_own(now);
        self.out.flush(&mut self.counters);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        let late = now.since(self.next_timeout());
        self.notice_pause(now);
        if late >= LAG_LEAST {
            self.note_lag(now, late.min(LAG_MOST));
        }
        self.expire(now);
        self.drain_own(now);
        self.rumor_timeout(now);
        self.claims_timeout(now);
        self.suspicion_timeout(now);
        self.probe_timeout(now);
        self.healing_timeout(now);
        self.topology_timeout(now);
        self.heartbeat_timeout(now);
        self.content_timeout(now);
        self.join_timeout(now);
        self.leave_timeout(now);
        if self.tick_at.is_some_and(|at| at <= now) {
            self.tick(now);
        }
        if self.eager_at.is_some_and(|at| at <= now) {
            self.eager(now);
        }
        if self.housekeeping_at <= now {
            self.housekeeping_at = now + HOUSEKEEPING;
            self.housekeeping(now);
        }
        self.out.flush(&mut self.counters);
    }

    /// A look-up has ended.
    pub fn handle_resolved(&mut self, now: Time, seed: &str, result: Result<Vec<SocketAddr>, String>) {
        self.resolved(now, seed, result);
        self.out.flush(&mut self.counters);
    }

    /// Sending to `to` failed; `too_big`: the datagram was larger than the way allows.
    pub fn handle_send_failed(&mut self, now: Time, to: SocketAddr, path: Path, too_big: bool, error: &str) {
        self.counters.sends_failed += 1;
        if too_big && path == Path::Datagram {
            // 1,232 B pass IPv6's least MTU, 508 B any IPv4 path.
            let lower = if self.out.limit() > 1232 { 1232 } else { 508 };
            self.out.set_limit(lower.min(self.out.limit()));
        }
        // What a lost datagram carried is sent again within a few round trips; a host without network loses many.
        if too_big || path == Path::Stream {
            for member in self.members.values_mut().filter(|m| m.claim.address == to) {
                if let Some(talk) = member.peer.talked() {
                    talk.in_flight.clear();
                    talk.soon = 0;
                }
            }
        }
        self.seed_failed(to, error);
        self.log(now, Level::Debug, || format!("sending to {to} failed: {error}"));
        if path == Path::Stream {
            self.note_stream_failed(now, to, error);
            self.out.flush(&mut self.counters);
        }
    }

    /// A connection that [`Action::Connect`] asked for was tried.
    pub fn handle_connected(&mut self, now: Time, to: SocketAddr, reached: Reached) {
        match reached {
            Reached::Accepted => self.counters.connects_accepted += 1,
            Reached::Refused => self.counters.connects_refused += 1,
            Reached::Silent => self.counters.connects_silent += 1,
        }
        self.log(now, Level::Debug, || format!("a connection to {to} was tried: {reached:?}"));
        self.notice_pause(now);
        self.note_connected(now, to, reached);
        self.seed_reached(to, reached);
        self.out.flush(&mut self.counters);
    }

    /// The network has answered a datagram to `to`: nobody can be reached there.
    pub fn handle_unreachable(&mut self, now: Time, to: SocketAddr) {
        self.counters.unreachables += 1;
        self.notice_pause(now);
        self.note_unreachable(now, to);
        self.out.flush(&mut self.counters);
    }

    /// The host was asleep for so long, while the clock of `now` stood still.
    pub fn handle_sleep(&mut self, now: Time, slept: Duration) {
        self.paused(now, slept);
        self.out.flush(&mut self.counters);
    }

    /// Timers that are late mean that this process was not running. That is noticed before anything is read that has waited in
    /// its sockets meanwhile: accusations among it would find their time over, and old claims look fresh.
    fn notice_pause(&mut self, now: Time) {
        let late = now.since(self.next_timeout().max(self.suspicions.woke()));
        if late >= PAUSE {
            self.paused(now, late);
        }
    }

    /// The address that others are told has been found out, or has changed.
    pub fn handle_address(&mut self, now: Time, address: SocketAddr) {
        let me = &mut self.members.get_mut(&self.me).expect("this node is always among its members").claim;
        if me.address != address {
            me.contact_mut().address = address;
            me.incarnation += 1;
            // The answers to those under way go to the former address.
            self.probes.void();
            self.member_updated(now, self.me, crate::store::event::kind::MEMBER_UPDATED);
            self.tell(now, self.me);
            self.out.flush(&mut self.counters);
        }
    }

    /// New settings are in force. Only live ones may differ.
    pub fn reconfigure(&mut self, now: Time, settings: Arc<Settings>) {
        let old = std::mem::replace(&mut self.settings, settings.clone());
        self.store.set_settings(settings.clone());
        if old.tags != settings.tags {
            let me = &mut self.members.get_mut(&self.me).expect("this node is always among its members").claim;
            me.contact_mut().tags = member::shared_tags(&settings.tags);
            me.incarnation += 1;
            self.member_updated(now, self.me, crate::store::event::kind::MEMBER_UPDATED);
            self.tell(now, self.me);
        }
        if old.seeds != settings.seeds {
            self.set_seeds(now);
        }
        let beats = |s: &Settings| (s.heartbeat_interval, s.heartbeat_expiration);
        if beats(&old) != beats(&settings) {
            self.reschedule_heartbeat(now);
        }
        if old.topology_members != settings.topology_members {
            self.topology_changed(now);
        }
        if old.content_interval != settings.content_interval {
            self.reschedule_contents(now);
        }
        self.out.flush(&mut self.counters);
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop()
    }

    /// The next thing to do outside.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Engine::handle_timeout`] at the latest.
    pub fn next_timeout(&self) -> Time {
        let expiry = self.expiries.first().map_or(Time::NEVER, |(at, _)| *at);
        let tick = self.tick_at.unwrap_or(Time::NEVER);
        let leave = self.leaving.as_ref().map_or(Time::NEVER, Leaving::next_timeout);
        let seeds = self.seeds.iter().map(Seed::next_timeout).min().unwrap_or(Time::NEVER);
        expiry
            .min(tick)
            .min(leave)
            .min(seeds)
            .min(self.rumors.next_timeout())
            .min(self.claims.next_timeout())
            .min(self.probes.next_timeout())
            .min(self.suspicions.next_timeout())
            .min(self.healing.next_timeout())
            .min(self.heartbeat.next_timeout())
            .min(self.topology.next_timeout())
            .min(self.eager_at.unwrap_or(Time::NEVER))
            .min(self.contents.next_timeout())
            .min(self.housekeeping_at)
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn note_lag(&mut self, now: Time, late: Duration) {
        if late >= self.lag || now.since(self.lag_seen) > LAG_LASTS {
            self.lag = late;
            self.lag_seen = now;
        }
    }

    /// Notes a change of what is known or held of a member: it is new to others.
    fn touch(&mut self, now: Time, nonce: u64, settle: Duration) {
        self.refresh_terms(nonce);
        if let Some(member) = self.members.get_mut(&nonce) {
            member.position = self.changes.note(nonce, member.position);
        }
        let interval = self.last_tick + self.settings.gossip_interval;
        if self.tick_at.is_some_and(|at| at <= interval.max(now + settle)) {
            return;
        }
        // All learn a rumor at about the same time: were all to ask at the same time, both of each pair would.
        let spread = if self.settings.rumors { settle.mul_f64(self.rng.random()) } else { Duration::ZERO };
        self.tick_at = Some(interval.max(now + settle + spread));
    }

    /// How long a change waits for the gossip interval; it may be under way to others already.
    fn settle(&self) -> Duration {
        self.settings.gossip_settle.min(self.settings.gossip_interval)
    }

    /// A rate-limited event in words, for what would stay silent otherwise.
    fn warn(&mut self, now: Time, cause: &'static str, status: Status, text: impl FnOnce() -> String) {
        let due = self.warned.get(cause).is_none_or(|at| *at <= now);
        if due {
            self.warned.insert(cause, now + WARN_EVERY);
            let text = text();
            self.store.hub.warning(status.code(), &text, now);
            self.log(now, Level::Warn, || text);
        }
    }

    fn log(&self, now: Time, level: Level, text: impl FnOnce() -> String) {
        if self.settings.log_level.is_some_and(|max| level <= max) && self.store.hub.wants_log(level) {
            self.store.hub.log(level, "engine", &text(), now);
        }
    }
}
