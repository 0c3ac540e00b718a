//! Random interleavings of everything, against a naive picture of what a host should see. One thread; each run is a
//! sequence of steps that proptest draws from a fixed seed and shrinks when it fails.
//!
//! The world writes its entries and members first and offers the changes later, in order, as writers do that are
//! overtaken by a subscription; subscriptions are set up with steps in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

const IDS: [&str; 3] = [OWN, "m", "n"];
const KEYS: [&str; 4] = ["a", "a/b", "a/c", "z"];

#[derive(Clone, Debug)]
enum Step {
    Set {
        id: usize,
        key: usize,
        ttl: Option<u64>,
    },
    Delete {
        id: usize,
        key: usize,
    },
    /// Another member's record changes: joins if it is not there, else this kind.
    Member {
        id: usize,
        event: u32,
    },
    Remove {
        id: usize,
    },
    Restart {
        id: usize,
    },
    /// Offers what is late.
    Offer(usize),
    /// Time goes on, and what expires is offered, or is late too.
    Wait {
        ms: u64,
        sweep: bool,
    },
    Take {
        queue: usize,
        max: usize,
    },
    Subscribe {
        slot: usize,
        queue: usize,
        filter: Filter,
        during: Vec<Step>,
    },
    Unsubscribe(usize),
    Log,
}

enum Late {
    Changed(Entry),
    Expired(Entry),
    Member(u32, MemberView),
}

/// What a subscription's host has seen, and what it should.
struct Host {
    filter: Filter,
    /// Newest version told of each (life, key), and whether as deleted.
    told: BTreeMap<(u64, String), (u64, bool)>,
    /// What a host that keeps a copy of the state has.
    entries: BTreeMap<(String, String), (u64, u64)>,
    members: BTreeMap<String, (u64, MemberStatus)>,
    removed: BTreeSet<u64>,
    /// Members that were not present when it had subscribed: their entries are told without them.
    absent: BTreeSet<String>,
    done: bool,
    closed: bool,
    /// Offered since it subscribed: the same copies, of a host that is told everything at once.
    plain: BTreeMap<(String, String), (u64, u64)>,
    offered: u64,
    conflated: u64,
    lines: u64,
    lines_told: u64,
}

struct World {
    now: Time,
    bench: Bench,
    queues: [Arc<Queue>; 2],
    lives: [LifeRef; 3],
    here: [bool; 3],
    seqs: [u64; 3],
    entries: BTreeMap<(usize, usize), Entry>,
    /// Expired, and offered as such or seen to by their owner.
    swept: BTreeSet<(usize, usize)>,
    late: VecDeque<Late>,
    hosts: BTreeMap<u64, Host>,
    slots: [Option<u64>; 3],
    next_sub: u64,
    ttl_used: bool,
}

impl World {
    fn new() -> World {
        let lives = IDS.map(|id| life(id, 1));
        let bench = Bench::new();
        bench.members.put(view(&lives[0], MemberStatus::Alive));
        World {
            now: at(1),
            bench,
            queues: [Queue::new(2), Queue::new(2)],
            lives,
            here: [true, false, false],
            seqs: [0; 3],
            entries: BTreeMap::new(),
            swept: BTreeSet::new(),
            late: VecDeque::new(),
            hosts: BTreeMap::new(),
            slots: [None; 3],
            next_sub: 1,
            ttl_used: false,
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Set { id, key, ttl } if self.here[*id] => {
                self.ttl_used |= ttl.is_some();
                let expires = ttl.map_or(Time::NEVER, |ms| self.now + Duration::from_millis(ms));
                self.write(*id, *key, Some("v"), expires);
            }
            Step::Delete { id, key }
                if self.here[*id] && self.entries.get(&(*id, *key)).is_some_and(|e| e.is_visible(self.now)) =>
            {
                self.write(*id, *key, None, Time::NEVER);
            }
            Step::Member { id, event } if *id != 0 => {
                let (event, status) = match *event {
                    _ if !self.here[*id] => (kind::MEMBER_JOINED, MemberStatus::Alive),
                    kind::MEMBER_SUSPECTED => (*event, MemberStatus::Suspect),
                    kind::MEMBER_DEAD => (*event, MemberStatus::Dead),
                    kind::MEMBER_LEFT => (*event, MemberStatus::Left),
                    _ => (*event, MemberStatus::Alive),
                };
                self.here[*id] = true;
                self.tell_member(*id, event, status);
            }
            Step::Remove { id } if *id != 0 && self.here[*id] => {
                self.clear(*id);
                self.here[*id] = false;
                self.late.push_back(Late::Member(kind::MEMBER_REMOVED, view(&self.lives[*id], MemberStatus::Dead)));
                self.next_life(*id);
            }
            Step::Restart { id } if *id != 0 && self.here[*id] => {
                self.clear(*id);
                self.next_life(*id);
                self.tell_member(*id, kind::MEMBER_RESTARTED, MemberStatus::Alive);
            }
            Step::Offer(n) => (0..*n).for_each(|_| self.offer_one()),
            Step::Wait { ms, sweep } => {
                self.now += Duration::from_millis(*ms);
                if *sweep {
                    self.sweep();
                }
            }
            Step::Take { queue, max } => self.take(*queue, *max),
            Step::Subscribe { slot, queue, filter, during } => self.subscribe(*slot, *queue, filter, during),
            Step::Unsubscribe(slot) => {
                if let Some(sub) = self.slots[*slot].take() {
                    assert!(self.bench.hub.unsubscribe(sub));
                    self.hosts.remove(&sub);
                }
            }
            Step::Log => {
                self.bench.hub.log(Level::Info, "target", "line", self.now);
                self.hosts.values_mut().for_each(|h| h.lines += u64::from(h.filter.what & kind::LOG != 0));
            }
            _ => {}
        }
    }

    fn next_life(&mut self, id: usize) {
        self.lives[id] = life(IDS[id], self.lives[id].generation + 1);
        self.seqs[id] = 0;
    }

    fn clear(&mut self, id: usize) {
        self.bench.members.remove(self.lives[id].nonce);
        self.entries.retain(|(of, _), _| *of != id);
        self.swept.retain(|(of, _)| *of != id);
    }

    fn tell_member(&mut self, id: usize, event: u32, status: MemberStatus) {
        let view = view(&self.lives[id], status);
        self.bench.members.put(view.clone());
        self.late.push_back(Late::Member(event, view));
    }

    fn write(&mut self, id: usize, key: usize, value: Option<&str>, expires: Time) {
        // Whoever applies what others wrote reports what has expired first.
        if id != 0 {
            self.sweep();
        }
        self.seqs[id] += 1;
        let entry = entry(&self.lives[id], KEYS[key], self.seqs[id], value, expires);
        self.swept.remove(&(id, key));
        self.entries.insert((id, key), entry.clone());
        self.late.push_back(Late::Changed(entry));
    }

    fn sweep(&mut self) {
        let over: Vec<(usize, usize)> = self
            .entries
            .iter()
            .filter(|(at, e)| !e.head().deleted && e.head().expires <= self.now && !self.swept.contains(at))
            .map(|(at, _)| *at)
            .collect();
        for (id, key) in over {
            self.swept.insert((id, key));
            if id == 0 {
                // An owner follows with the tombstone.
                self.write(id, key, None, Time::NEVER);
            } else {
                self.late.push_back(Late::Expired(self.entries[&(id, key)].clone()));
            }
        }
    }

    fn offer_one(&mut self) {
        let Some(late) = self.late.pop_front() else { return };
        for host in self.hosts.values_mut().filter(|h| !h.closed) {
            host.offered(&late);
        }
        match late {
            Late::Changed(entry) => self.bench.hub.entry_changed(&entry, self.now),
            Late::Expired(entry) => self.bench.hub.entry_expired(&entry, self.now),
            Late::Member(event, view) => self.bench.hub.member(event, &view, self.now),
        }
    }

    fn subscribe(&mut self, slot: usize, queue: usize, filter: &Filter, during: &[Step]) {
        if self.slots[slot].is_some() {
            return;
        }
        let sub = self.next_sub;
        self.next_sub += 1;
        self.slots[slot] = Some(sub);
        let host = Host {
            filter: filter.clone(),
            told: BTreeMap::new(),
            entries: BTreeMap::new(),
            members: BTreeMap::new(),
            removed: BTreeSet::new(),
            absent: BTreeSet::new(),
            done: !filter.initial,
            closed: false,
            plain: BTreeMap::new(),
            offered: 0,
            conflated: 0,
            lines: 0,
            lines_told: 0,
        };
        self.hosts.insert(sub, host);
        let queue = self.queues[queue].clone();
        let now = self.now;
        // The hub is used inside its own call, as writers do.
        let bench = std::mem::replace(&mut self.bench, Bench::new());
        let hub = Arc::new(bench.hub);
        let (inner, members) = (hub.clone(), bench.members.clone());
        let cell = std::cell::RefCell::new(&mut *self);
        let mut steps = during.iter();
        let mut walk = |offer: &mut dyn FnMut(&[Entry])| {
            for key in 0..KEYS.len() {
                let mut some = |n: usize| {
                    for step in steps.by_ref().take(n) {
                        cell.borrow_mut().run_with(&inner, &members, step);
                    }
                };
                some(1);
                let world = cell.borrow();
                let of_key = world.entries.iter().filter(|((_, k), e)| *k == key && e.is_visible(now));
                let read: Vec<Entry> = of_key.map(|(_, e)| e.clone()).collect();
                drop(world);
                some(1);
                offer(&read);
            }
        };
        hub.subscribe(filter.clone(), &queue, sub, sub * 10, now, &mut walk).unwrap();
        drop(inner);
        let hub = Arc::into_inner(hub).unwrap();
        self.bench = Bench { hub, members: bench.members, queue: bench.queue };
        let present: Vec<_> = self.bench.members.list(false).iter().map(|v| v.life.id.as_str().to_owned()).collect();
        let absent = IDS.iter().map(|id| (*id).to_owned()).filter(|id| !present.contains(id)).collect();
        self.hosts.get_mut(&sub).unwrap().absent = absent;
    }

    /// A step while the hub is busy with a subscription.
    fn run_with(&mut self, hub: &Arc<Hub>, members: &Arc<Members>, step: &Step) {
        let own = std::mem::replace(&mut self.bench.members, members.clone());
        if let Step::Offer(n) = step {
            for _ in 0..*n {
                let Some(late) = self.late.pop_front() else { break };
                self.hosts.values_mut().for_each(|h| h.offered(&late));
                match late {
                    Late::Changed(entry) => hub.entry_changed(&entry, self.now),
                    Late::Expired(entry) => hub.entry_expired(&entry, self.now),
                    Late::Member(event, view) => hub.member(event, &view, self.now),
                }
            }
        } else if !matches!(step, Step::Subscribe { .. } | Step::Unsubscribe(_) | Step::Log) {
            self.run(step);
        }
        self.bench.members = own;
    }

    fn take(&mut self, queue: usize, max: usize) {
        let now = self.now;
        let events = match self.queues[queue].take(max, Some(Duration::ZERO), &|| now) {
            Ok(events) => events,
            Err(TakeError::Timeout) => return,
            Err(other) => panic!("{other:?}"),
        };
        assert!(!events.is_empty() && (max == 0 || events.len() <= max));
        let mut seen = BTreeSet::new();
        let mut members = BTreeMap::new();
        for event in &events {
            if let Some(entry) = &event.entry {
                let h = entry.entry.head();
                assert!(seen.insert((event.sub, h.life.nonce, entry.entry.key().to_owned())), "one mark a key");
            } else if let Some(view) = &event.member {
                let n: &mut usize = members.entry((event.sub, view.life.id.as_str().to_owned())).or_default();
                *n += 1;
                assert!(*n <= 2, "two marks a member at most");
            }
            let host = self.hosts.get_mut(&event.sub).expect("no event of who has unsubscribed");
            host.take(event, now);
        }
    }

    /// Everything is offered and taken; then each host has what it should.
    fn finish(&mut self) {
        self.sweep();
        while !self.late.is_empty() {
            self.offer_one();
        }
        self.bench.hub.close(self.now);
        for queue in 0..2 {
            while self.queues[queue].is_ready() {
                self.take(queue, 0);
            }
            let state = self.queues[queue].state.lock();
            assert!(state.subs.iter().all(Option::is_none), "ended and taken");
            assert!(state.ready.is_empty());
        }
        for host in self.hosts.values() {
            self.check(host);
        }
    }

    fn check(&self, host: &Host) {
        let what = host.filter.what;
        assert!(host.closed && host.done, "{host:?}");
        let present: BTreeMap<String, u64> =
            (0..3).filter(|id| self.here[*id]).map(|id| (IDS[id].to_owned(), self.lives[id].nonce)).collect();
        let mut should = BTreeMap::new();
        for ((id, key), e) in &self.entries {
            let at = (IDS[*id].to_owned(), KEYS[*key].to_owned());
            let version = (self.lives[*id].nonce, e.seq());
            let known = host.filter.initial || host.plain.get(&at) == Some(&version);
            if e.is_visible(self.now) && host.wants_entry(e) && known {
                should.insert(at, version);
            }
        }
        if what & BOTH == BOTH {
            // Where no end of lives is told, only entries of present ones can be compared.
            let whole = what & kind::MEMBERS == kind::MEMBERS;
            let mut has = host.entries.clone();
            has.retain(|(id, _), (nonce, _)| whole || present.get(id) == Some(nonce));
            assert_eq!(has, should, "{host:?}");
        } else if what & kind::ENTRY_CHANGED != 0 {
            for ((_, key), (nonce, seq)) in &should {
                assert_eq!(host.told.get(&(*nonce, key.clone())), Some(&(*seq, false)), "{host:?}");
            }
        }
        if what & BOTH == BOTH && !host.filter.initial && !self.ttl_used {
            assert_eq!(host.conflated, host.offered, "{host:?}");
        }
        if what & kind::MEMBERS == kind::MEMBERS && host.filter.initial {
            for id in (0..3).filter(|id| self.here[*id] && host.wants_member(IDS[*id])) {
                let now = self.bench.members.get(self.lives[id].nonce).unwrap();
                let told = host.members.get(IDS[id]);
                if now.status.is_present() || told.is_some() {
                    assert_eq!(told, Some(&(now.life.nonce, now.status)), "{host:?}");
                }
            }
            assert!(host.members.keys().all(|id| present.contains_key(id)), "{host:?}");
        }
        assert_eq!(host.lines, host.lines_told, "{host:?}");
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}\n  told {:?}\n  entries {:?}\n", self.filter, self.told, self.entries)?;
        write!(f, "  plain {:?}\n  members {:?}, offered {}, ", self.plain, self.members, self.offered)?;
        write!(f, "conflated {}, lines {} {}", self.conflated, self.lines, self.lines_told)
    }
}

impl Host {
    fn wants_member(&self, id: &str) -> bool {
        self.filter.member.as_deref().is_none_or(|m| m == id) && !(self.filter.no_self && id == OWN)
    }

    fn wants_entry(&self, entry: &Entry) -> bool {
        let key = match (&self.filter.key, self.filter.prefix) {
            (None, _) => true,
            (Some(key), false) => entry.key() == key,
            (Some(key), true) => entry.key().starts_with(key.as_str()),
        };
        key && self.wants_member(entry.head().life.id.as_str())
    }

    /// What a host does that is told everything at once.
    fn offered(&mut self, late: &Late) {
        match late {
            Late::Changed(entry) | Late::Expired(entry) => {
                if self.wants_entry(entry) {
                    self.offered += 1;
                    let h = entry.head();
                    let at = (h.life.id.as_str().to_owned(), entry.key().to_owned());
                    if h.deleted || matches!(late, Late::Expired(_)) {
                        self.plain.remove(&at);
                    } else {
                        self.plain.insert(at, (h.life.nonce, h.seq));
                    }
                }
            }
            Late::Member(event, view) if *event & (kind::MEMBER_REMOVED | kind::MEMBER_RESTARTED) != 0 => {
                self.plain.retain(|(id, _), _| id != view.life.id.as_str());
            }
            Late::Member(..) => {}
        }
    }

    fn take(&mut self, event: &Event, now: Time) {
        assert!(!self.closed, "nothing follows CLOSED");
        assert!(event.conflated >= 1 && event.taken_at == now);
        let unasked = kind::INITIAL_DONE | kind::CLOSED;
        assert!(event.kind.is_power_of_two() && event.kind & (self.filter.what | unasked) != 0);
        match event.kind {
            kind::ENTRY_CHANGED | kind::ENTRY_DELETED => self.take_entry(event),
            kind::INITIAL_DONE => {
                assert!(!self.done);
                self.done = true;
            }
            kind::CLOSED => self.closed = true,
            kind::LOG => self.lines_told += event.conflated,
            _ => self.take_member(event.kind, event.member.as_ref().unwrap()),
        }
    }

    fn take_entry(&mut self, event: &Event) {
        let view = event.entry.as_ref().unwrap();
        let (entry, h) = (&view.entry, view.entry.head());
        assert!(self.wants_entry(entry));
        assert!(!self.removed.contains(&h.life.nonce), "after the end of its life: {event:?} {self:?}");
        let deleted = event.kind == kind::ENTRY_DELETED;
        assert_eq!(deleted, h.deleted);
        assert!(deleted || h.expires > event.taken_at);
        assert!(self.done || !deleted, "nothing was told that could be deleted");
        self.conflated += event.conflated;
        let told = self.told.insert((h.life.nonce, entry.key().to_owned()), (h.seq, deleted));
        if let Some(told) = told {
            // Later, or the end of the same version.
            assert!((h.seq, deleted) > told, "{event:?} after {told:?}");
            assert!(!(deleted && told.1) || h.seq > told.0);
        }
        let id = h.life.id.as_str().to_owned();
        let knows = kind::MEMBER_JOINED | kind::MEMBER_REMOVED | kind::MEMBER_RESTARTED;
        if self.filter.initial && self.filter.what & knows == knows && view.status.is_present() {
            let known = self.members.contains_key(&id) || self.absent.contains(&id);
            assert!(known, "before its member joined: {event:?} {self:?}");
        }
        let at = (id, entry.key().to_owned());
        if deleted {
            self.entries.remove(&at);
        } else {
            self.entries.insert(at, (h.life.nonce, h.seq));
        }
    }

    fn take_member(&mut self, event: u32, view: &MemberView) {
        let id = view.life.id.as_str().to_owned();
        assert!(self.wants_member(&id));
        match event {
            kind::MEMBER_JOINED => {
                if self.filter.what & kind::MEMBERS == kind::MEMBERS {
                    assert!(!self.members.contains_key(&id), "joined twice: {view:?} {self:?}");
                }
                self.absent.remove(&id);
                self.members.insert(id, (view.life.nonce, view.status));
            }
            kind::MEMBER_REMOVED => {
                self.removed.insert(view.life.nonce);
                self.members.remove(&id);
                self.entries.retain(|(of, _), _| *of != id);
            }
            kind::MEMBER_RESTARTED => {
                if let Some((old, _)) = self.members.insert(id.clone(), (view.life.nonce, view.status)) {
                    self.removed.insert(old);
                }
                self.entries.retain(|(of, _), (nonce, _)| *of != id || *nonce == view.life.nonce);
            }
            _ => drop(self.members.insert(id, (view.life.nonce, view.status))),
        }
    }
}

fn filters() -> impl Strategy<Value = Filter> {
    let what = prop_oneof![
        4 => Just(BOTH | kind::MEMBERS | kind::LOG),
        2 => Just(BOTH),
        1 => Just(kind::ENTRY_CHANGED),
        1 => Just(kind::ENTRY_DELETED),
        1 => Just(kind::MEMBERS),
        1 => Just(BOTH | kind::MEMBER_JOINED | kind::MEMBER_REMOVED | kind::MEMBER_RESTARTED),
        1 => any::<u32>().prop_map(|what| what & (BOTH | kind::MEMBERS)),
    ];
    let member = prop_oneof![4 => Just(None), 1 => Just(Some("m".to_owned()))];
    let key = prop_oneof![4 => Just(None), 1 => Just(Some("a".to_owned())), 1 => Just(Some("a/".to_owned()))];
    (what, member, key, any::<bool>(), prop::bool::weighted(0.7), prop::bool::weighted(0.2)).prop_map(
        |(what, member, key, prefix, initial, no_self)| Filter { what, member, key, prefix, initial, no_self },
    )
}

fn simple_steps(ttl: bool) -> impl Strategy<Value = Step> {
    let ttl =
        if ttl { prop_oneof![2 => Just(None), 1 => (1u64..30).prop_map(Some)].boxed() } else { Just(None).boxed() };
    prop_oneof![
        8 => (0..3usize, 0..4usize, ttl).prop_map(|(id, key, ttl)| Step::Set { id, key, ttl }),
        3 => (0..3usize, 0..4usize).prop_map(|(id, key)| Step::Delete { id, key }),
        4 => (1..3usize, 5..9u32).prop_map(|(id, bit)| Step::Member { id, event: 1 << bit }),
        1 => (1..3usize).prop_map(|id| Step::Member { id, event: kind::MEMBER_UPDATED }),
        1 => (1..3usize).prop_map(|id| Step::Remove { id }),
        1 => (1..3usize).prop_map(|id| Step::Restart { id }),
        8 => (1..9usize).prop_map(Step::Offer),
        2 => (0u64..20, any::<bool>()).prop_map(|(ms, sweep)| Step::Wait { ms, sweep }),
        3 => (0..2usize, 0..5usize).prop_map(|(queue, max)| Step::Take { queue, max }),
        1 => Just(Step::Log),
    ]
}

fn steps(ttl: bool) -> impl Strategy<Value = Vec<Step>> {
    let subscribe = (0..3usize, 0..2usize, filters(), vec(simple_steps(ttl), 0..9));
    let subscribe = subscribe.prop_map(|(slot, queue, filter, during)| Step::Subscribe { slot, queue, filter, during });
    let step = prop_oneof![12 => simple_steps(ttl), 2 => subscribe, 1 => (0..3usize).prop_map(Step::Unsubscribe)];
    vec(step, 1..120)
}

fn run(ttl: bool) {
    let config = Config {
        cases: 2 * Config::default().cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[u8::from(ttl); 32]);
    let result = TestRunner::new_with_rng(config, rng).run(&steps(ttl), |steps| {
        let mut world = World::new();
        steps.iter().for_each(|step| world.run(step));
        world.finish();
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn any_interleaving_without_expiry() {
    run(false);
}

#[test]
fn any_interleaving_with_expiry() {
    run(true);
}
