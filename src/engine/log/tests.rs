//! Merging, as a property: whatever segments of an owner arrive, in whatever order and however often, the receiver never
//! goes back, and has the owner's state once it has been told all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::config::settings::Settings;
use crate::store::Waker;
use crate::store::entry::{Life, MemberId};
use crate::store::own;

struct NoWaker;

impl Waker for NoWaker {
    fn wake_engine(&self) {}
    fn progress(&self) {}
}

const LIMITS: Limits = Limits { keys: 1000, bytes: 1 << 20, value: 1 << 16 };
const OWNER: u64 = 77;

fn at(ms: u64) -> Time {
    Time::from_micros((1 << 40) + ms * 1000)
}

fn life() -> LifeRef {
    LifeRef::new(Life { id: MemberId::new("owner").unwrap(), generation: 1, nonce: OWNER })
}

fn store() -> Store {
    Store::new(0, life(), Arc::new(Settings::default()), Arc::new(NoWaker))
}

/// The owner's side: a store of its own, and its log.
struct Owner {
    store: Store,
    log: Log,
}

impl Owner {
    fn new() -> Owner {
        Owner { store: store(), log: Log::default() }
    }

    fn drain(&mut self) {
        let to = self.store.drain_own(usize::MAX, |entry| self.log.put_own(entry));
        self.log.own_complete(to);
    }

    fn set(&mut self, key: &str, len: u16) {
        self.store.set(at(0), key, "", &vec![len as u8; usize::from(len)], None, false).unwrap();
        self.drain();
    }

    fn step(&mut self, op: &Op, now: Time) {
        let key = format!("k{}", op.key);
        if op.delete {
            let _ = self.store.delete(now, &key); // there may be none: nothing happens then
        } else {
            self.store.set(now, &key, "", &[op.value], None, false).unwrap();
        }
        self.drain();
        if op.collect {
            self.log.collect(now, Duration::ZERO, usize::MAX, &self.store);
        }
    }
}

#[derive(Clone, Debug)]
struct Op {
    key: u8,
    value: u8,
    delete: bool,
    collect: bool,
}

fn op() -> impl Strategy<Value = Op> {
    (0u8..5, any::<u8>(), prop::bool::weighted(0.35), prop::bool::weighted(0.1))
        .prop_map(|(key, value, delete, collect)| Op { key, value, delete, collect })
}

/// The receiver's side.
struct Receiver {
    store: Store,
    log: Log,
}

impl Receiver {
    fn apply(&mut self, body: &[u8], now: Time) -> Applied {
        self.log.apply(&Segment::decode(body).unwrap(), &life(), &self.store, &LIMITS, now)
    }

    /// Until there is nothing more to be had.
    fn take_all(&mut self, from: &impl HasLog, now: Time) {
        while let Some((body, _)) = from.log().segment_for(OWNER, self.log.held(), self.log.reset_pos(), 0, 1200, now) {
            let before = (self.log.held().clone(), self.log.reset_pos());
            self.apply(&body, now);
            assert_ne!(before, (self.log.held().clone(), self.log.reset_pos()), "it must come to an end");
        }
    }

    fn state(&self, now: Time) -> BTreeMap<String, (u64, Vec<u8>)> {
        let mut state = BTreeMap::new();
        for key in (0..5).map(|k| format!("k{k}")) {
            if let Some(e) = self.store.entry(&key, OWNER).filter(|e| e.is_visible(now)) {
                state.insert(key, (e.seq(), e.value().to_vec()));
            }
        }
        state
    }
}

trait HasLog {
    fn log(&self) -> &Log;
}

impl HasLog for Owner {
    fn log(&self) -> &Log {
        &self.log
    }
}

impl HasLog for Receiver {
    fn log(&self) -> &Log {
        &self.log
    }
}

/// Everything that `from` has and `to` lacks, as it would be sent: segments of at most `room` bytes.
fn segments(from: &Log, to: &Log, room: usize, now: Time) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut after = 0;
    while let Some((body, end)) = from.segment_for(OWNER, to.held(), to.reset_pos(), after, room, now) {
        out.push(body);
        after = end;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_order_and_repetition_of_segments_do_not_matter(
        ops in vec(op(), 1..60),
        picks in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 60usize..400), 0..40),
        order in any::<u64>(),
    ) {
        let mut owner = Owner::new();
        let mut sent: Vec<Vec<u8>> = Vec::new();
        let mut receiver = Receiver { store: store(), log: Log::default() };
        let mut rng = order;
        for (i, op) in ops.iter().enumerate() {
            let now = at(i as u64);
            owner.step(op, now);
            // Some segments are made now, for one who holds anything at all, and arrive at any time later.
            for (a, b, room) in &picks {
                if a.index(ops.len()) == i {
                    let theirs = Held { watermark: b.index(i + 1) as u64, above: vec![] };
                    sent.extend(owner.log.segment_for(OWNER, &theirs, None, 0, *room, now).map(|(body, _)| body));
                }
            }
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if !sent.is_empty() && rng >> 62 != 0 {
                // Not taken out: it may come again.
                let body = sent[(rng >> 33) as usize % sent.len()].clone();
                let before = receiver.log.held().clone();
                let floor = receiver.log.floor();
                receiver.apply(&body, now);
                prop_assert!(receiver.log.held().covers(&before), "what is held never shrinks");
                prop_assert!(receiver.log.floor() >= floor);
            }
        }
        let now = at(ops.len() as u64) + Duration::from_secs(1);
        for round in 0.. {
            prop_assert!(round < 50, "it must end: {:?}", receiver.log);
            let bodies = segments(&owner.log, &receiver.log, 200, now);
            if bodies.is_empty() {
                break;
            }
            for body in bodies {
                receiver.apply(&body, now);
            }
        }
        // Late comers change nothing any more.
        let want: BTreeMap<String, (u64, Vec<u8>)> = (0..5)
            .map(|k| format!("k{k}"))
            .filter_map(|key| owner.store.get_own(now, &key).map(|v| (key, (v.entry.seq(), v.entry.value().to_vec()))))
            .collect();
        prop_assert_eq!(&receiver.state(now), &want);
        for body in &sent {
            receiver.apply(body, now);
            prop_assert_eq!(&receiver.state(now), &want, "an old segment brought something back");
        }
        prop_assert_eq!(receiver.log.held().watermark, owner.log.held().watermark);
        prop_assert_eq!(receiver.log.size(), owner.log.size());
    }

    #[test]
    fn of_a_life_that_is_back_nothing_is_shown_that_is_older_than_what_was_known(
        ops in vec(op(), 1..60),
        (stale, gone) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        room in 60usize..400,
        ends in any::<bool>(),
    ) {
        let mut owner = Owner::new();
        let (gone, last) = (gone.index(ops.len()), at(ops.len() as u64));
        let stale = stale.index(gone + 1);
        let mut behind = Receiver { store: store(), log: Log::default() };
        let mut receiver = Receiver { store: store(), log: Log::default() };
        let (mut known, mut before) = (0, BTreeMap::new());
        for (i, op) in ops.iter().enumerate() {
            owner.step(op, at(i as u64));
            if i == stale {
                behind.take_all(&owner, at(i as u64));
            }
            if i == gone {
                receiver.take_all(&owner, at(i as u64));
                (known, before) = (receiver.log.known(), receiver.state(at(i as u64)));
                receiver.log.clear(&receiver.store);
                prop_assert!(receiver.state(at(i as u64)).is_empty());
                receiver.log.comes_back(known);
            }
        }
        let right = |receiver: &Receiver| receiver.state(last).iter().all(|(key, shown)| {
            shown.0 > known || before.get(key) == Some(shown)
        });
        for body in segments(&behind.log, &receiver.log, room, last) {
            receiver.apply(&body, last);
            prop_assert!(right(&receiver), "{:?} is shown, {:?} was known: {:?}", receiver.state(last), before, receiver.log);
        }
        if ends {
            // The newest come first, as rumors do.
            for body in segments(&owner.log, &receiver.log, room, last).iter().rev() {
                receiver.apply(body, last);
                prop_assert!(right(&receiver), "{:?} is shown, {:?} was known: {:?}", receiver.state(last), before, receiver.log);
            }
        }
        receiver.take_all(&owner, last);
        let mut newcomer = Receiver { store: store(), log: Log::default() };
        newcomer.take_all(&owner, last);
        prop_assert_eq!(receiver.state(last), newcomer.state(last));
        prop_assert_eq!(receiver.log.size(), owner.log.size());
        prop_assert!(receiver.log.veil.is_none());
    }
}

#[test]
fn an_entry_over_the_limits_becomes_a_stub_that_blocks_nothing() {
    let mut owner = Owner::new();
    for (key, len) in [("a", 10), ("big", 2000), ("c", 10)] {
        owner.store.set(at(0), key, "", &vec![1; len], None, false).unwrap();
    }
    let to = owner.store.drain_own(100, |entry| owner.log.put_own(entry));
    owner.log.own_complete(to);
    let mut receiver = Receiver { store: store(), log: Log::default() };
    let limits = Limits { value: 1000, ..LIMITS };
    let (body, _) = owner.log.segment_for(OWNER, &Held::default(), None, 0, 1 << 20, at(1)).unwrap();
    let applied = receiver.log.apply(&Segment::decode(&body).unwrap(), &life(), &receiver.store, &limits, at(1));
    assert_eq!(applied.refused.len(), 1);
    assert!(applied.refused[0].1.contains("2000") && applied.refused[0].1.contains("1000"), "{:?}", applied.refused);
    assert_eq!(receiver.log.held().watermark, 3);
    assert!(receiver.store.entry("c", OWNER).is_some() && receiver.store.entry("big", OWNER).is_none());

    // It passes on what it has, and claims nothing about what it has not.
    let mut third = Receiver { store: store(), log: Log::default() };
    for body in segments(&receiver.log, &third.log, 1 << 20, at(2)) {
        third.apply(&body, at(2));
    }
    assert_eq!(third.log.held(), &Held { watermark: 1, above: vec![(2, 3)] });
    for body in segments(&owner.log, &third.log, 1 << 20, at(3)) {
        third.apply(&body, at(3));
    }
    assert_eq!(third.log.held().watermark, 3);
    assert_eq!(third.store.entry("big", OWNER).unwrap().value().len(), 2000);

    // A smaller value of the same key is taken in again.
    owner.store.set(at(4), "big", "", &[2; 5], None, false).unwrap();
    let to = owner.store.drain_own(100, |entry| owner.log.put_own(entry));
    owner.log.own_complete(to);
    for body in segments(&owner.log, &receiver.log, 1 << 20, at(5)) {
        receiver.apply(&body, at(5));
    }
    assert_eq!(receiver.store.entry("big", OWNER).unwrap().value(), [2; 5]);
}

#[test]
fn the_memory_of_stubs_is_bounded() {
    let mut log = Log::default();
    for seq in 1..=10_000 {
        log.insert_stub(seq);
    }
    assert_eq!(log.stubs.len(), MAX_STUBS);
    assert_eq!(log.items.len(), MAX_STUBS);
    assert_eq!(log.serve_after, 10_000 - MAX_STUBS as u64);
}

#[test]
fn the_floor_rises_in_steps() {
    let (store, mut log, grace) = (store(), Log::default(), Duration::from_secs(80));
    let mut rises = Vec::new();
    for second in 0..300 {
        let now = at(second * 1000);
        let key = format!("k{second}");
        store.set(now, &key, "", b"v", None, false).unwrap();
        store.delete(now, &key).unwrap();
        let to = store.drain_own(100, |entry| log.put_own(entry));
        log.own_complete(to);
        if log.collect(now, grace, 1000, &store) {
            rises.push(second);
        }
        assert!(log.tombstones.len() <= 91, "{}", log.tombstones.len());
    }
    assert_eq!(rises.first(), Some(&90));
    assert!(rises.windows(2).all(|w| w[1] - w[0] >= 10), "{rises:?}");

    // So it does where there are too many.
    let before = log.floor();
    for i in 0..80 {
        let (now, key) = (at(300_000), format!("more{i}"));
        store.set(now, &key, "", b"v", None, false).unwrap();
        store.delete(now, &key).unwrap();
        let to = store.drain_own(100, |entry| log.put_own(entry));
        log.own_complete(to);
        log.collect(now, grace, 100, &store);
        assert!(log.tombstones.len() <= 112, "{}", log.tombstones.len());
    }
    assert!(log.floor() > before);
}

/// The owner sets "stays" and "goes", which the receiver gets; then "goes" is deleted and collected, others are set, and
/// "stays" is set again.
fn behind() -> (Owner, Receiver) {
    let mut owner = Owner::new();
    let mut receiver = Receiver { store: store(), log: Log::default() };
    owner.set("stays", 1);
    owner.set("goes", 1);
    receiver.take_all(&owner, at(0));
    owner.store.delete(at(1), "goes").unwrap();
    owner.drain();
    assert!(owner.log.collect(at(2), Duration::ZERO, 0, &owner.store));
    for i in 0..12 {
        owner.set(&format!("more{i}"), 900);
    }
    owner.set("stays", 2);
    (owner, receiver)
}

#[test]
fn a_reset_drops_nothing_whose_later_version_may_still_come() {
    let (owner, mut receiver) = behind();
    let mut third = Receiver { store: store(), log: Log::default() };
    let mut pieces = 0;
    loop {
        let (theirs, reset) = (receiver.log.held().clone(), receiver.log.reset_pos());
        let Some((body, _)) = owner.log.segment_for(OWNER, &theirs, reset, 0, 1200, at(3)) else { break };
        receiver.apply(&body, at(3));
        pieces += 1;
        assert!(receiver.store.entry("stays", OWNER).is_some_and(|e| e.is_visible(at(3))), "it was never deleted");
        // What may be gone is passed on to nobody: who has it of this one alone would never hear that it is.
        for body in segments(&receiver.log, &third.log, 1200, at(3)) {
            third.apply(&body, at(3));
        }
        assert!(
            third.log.held().watermark < third.log.floor() || third.store.entry("goes", OWNER).is_none(),
            "a deleted key was passed on"
        );
    }
    assert!(pieces > 3, "it must come in pieces");
    assert_eq!(receiver.log.held(), owner.log.held());
    assert_eq!(receiver.store.entry("stays", OWNER).unwrap().value(), [2; 2]);
    assert!(receiver.store.entry("goes", OWNER).is_none());
    assert_eq!(receiver.log.size(), owner.log.size());
    third.take_all(&receiver, at(4));
    assert_eq!(third.log.size(), owner.log.size());
}

#[test]
fn a_reset_that_is_broken_off_and_served_by_another_comes_to_the_same() {
    let (mut owner, mut receiver) = behind();
    let mut other = Receiver { store: store(), log: Log::default() };
    other.take_all(&owner, at(3));
    let (body, _) = owner.log.segment_for(OWNER, receiver.log.held(), None, 0, 1200, at(3)).unwrap();
    receiver.apply(&body, at(3));
    owner.set("stays", 3);
    owner.store.delete(at(4), "more0").unwrap();
    owner.drain();
    assert!(owner.log.collect(at(5), Duration::ZERO, 0, &owner.store));
    // One that has not heard of it goes on; then the owner does, with a higher floor.
    for body in segments(&other.log, &receiver.log, 1200, at(5)) {
        receiver.apply(&body, at(5));
        assert!(receiver.store.entry("stays", OWNER).is_some_and(|e| e.is_visible(at(5))), "it was never deleted");
    }
    receiver.take_all(&owner, at(6));
    assert_eq!(receiver.log.held(), owner.log.held());
    assert_eq!(receiver.store.entry("stays", OWNER).unwrap().value(), [3; 3]);
    assert!(receiver.store.entry("goes", OWNER).is_none() && receiver.store.entry("more0", OWNER).is_none());
    assert_eq!(receiver.log.size(), owner.log.size());
}

#[test]
fn contents_are_not_compared_while_own_entries_are_drained_in_part() {
    let mut owner = Owner::new();
    owner.set("a", 1);
    owner.set("b", 1);
    assert!(owner.log.content(OWNER).is_some());
    for (key, value) in [("b", 2), ("a", 2), ("b", 3)] {
        owner.store.set(at(0), key, "", &[value], None, false).unwrap();
    }
    // "b" is drained with its last number, 5, and all up to 3 is there.
    let to = owner.store.drain_own(1, |entry| owner.log.put_own(entry));
    owner.log.own_complete(to);
    assert_eq!(owner.log.held().watermark, 3);
    assert_eq!(owner.log.content(OWNER), None);
    owner.drain();
    assert!(owner.log.content(OWNER).is_some());
}

#[test]
fn contents_are_not_compared_where_an_interval_was_refused() {
    let mut owner = Owner::new();
    let mut receiver = Receiver { store: store(), log: Log::default() };
    owner.set("k", 1);
    receiver.take_all(&owner, at(0));
    assert_eq!(receiver.log.content(OWNER), owner.log.content(OWNER));
    // Every other number comes, until there is no room for one more gap; the last is a new version of "k".
    let gaps = crate::wire::frame::MAX_INTERVALS as u64;
    for i in 0..gaps {
        owner.set(&format!("lost{i}"), 1);
        owner.set(&format!("comes{i}"), 1);
    }
    owner.set("lost", 1);
    owner.set("k", 2);
    let end = owner.log.held().watermark;
    let intervals = |seqs: &mut dyn Iterator<Item = u64>| {
        let mut held = Held { watermark: 1, above: vec![] };
        seqs.for_each(|seq| _ = held.add(seq - 1, seq));
        held
    };
    for i in 0..gaps {
        let seq = 3 + 2 * i;
        let theirs = Held { watermark: seq - 1, above: vec![(seq, end)] };
        let (body, _) = owner.log.segment_for(OWNER, &theirs, None, 0, 1200, at(0)).unwrap();
        receiver.apply(&body, at(0));
    }
    let theirs = Held { watermark: end - 1, above: vec![] };
    let (body, _) = owner.log.segment_for(OWNER, &theirs, None, 0, 1200, at(0)).unwrap();
    receiver.apply(&body, at(0));
    assert_eq!(receiver.log.held(), &intervals(&mut (0..gaps).map(|i| 3 + 2 * i)));
    assert_eq!(receiver.store.entry("k", OWNER).unwrap().seq(), end, "the entry is taken in, its interval is not");
    assert_eq!(receiver.log.content(OWNER), None);
    receiver.take_all(&owner, at(1));
    assert_eq!(receiver.log.content(OWNER), owner.log.content(OWNER));
    assert!(owner.log.content(OWNER).is_some());
}

fn wire(key: &str, seq: u64) -> WireEntry<'_> {
    WireEntry { seq, deleted: false, key, type_url: "", value: b"v", age_ms: 0, ttl_ms: None }
}

fn of_entries(from: u64, to: u64, entries: &[(&str, u64)]) -> Vec<u8> {
    let mut builder = SegmentBuilder::new(OWNER, 0, from, false);
    entries.iter().for_each(|(key, seq)| builder.push(&wire(key, *seq)));
    builder.finish(to)
}

#[test]
fn a_number_that_its_owner_never_had_hides_nothing_for_long() {
    let mut receiver = Receiver { store: store(), log: Log::default() };
    receiver.apply(&of_entries(0, 1, &[("k1", 1)]), at(1));
    receiver.apply(&of_entries(1 << 60, (1 << 60) + 1, &[]), at(1));
    let known = receiver.log.known();
    receiver.log.clear(&receiver.store);
    receiver.log.comes_back(known);
    receiver.apply(&of_entries(0, 2, &[("k1", 1), ("k2", 2)]), at(2));
    assert!(receiver.state(at(2)).is_empty(), "numbers up to 2^60 + 1 are awaited");
    assert!(!receiver.log.hear_end(3, &receiver.store, at(3)), "the owner has a third one");
    receiver.apply(&of_entries(2, 3, &[("k3", 3)]), at(4));
    assert_eq!(receiver.state(at(4)).len(), 3);
    assert!(!receiver.log.is_veiled() && !receiver.log.hear_end(3, &receiver.store, at(4)));
}

#[test]
fn what_waits_and_is_gone_is_not_remembered() {
    let mut receiver = Receiver { store: store(), log: Log::default() };
    receiver.log.comes_back(10_000);
    for seq in (1..5000).step_by(2) {
        let key = format!("k{seq}");
        let mut builder = SegmentBuilder::new(OWNER, 0, seq - 1, false);
        builder.push(&wire(&key, seq));
        builder.push(&WireEntry { deleted: true, value: b"", ..wire(&key, seq + 1) });
        receiver.apply(&builder.finish(seq + 1), at(seq));
        receiver.log.raise_floor(seq + 1, &receiver.store);
    }
    assert_eq!((receiver.log.entries().count(), receiver.log.is_veiled()), (0, true));
    assert!(receiver.log.veiled_keys() < 100, "{}", receiver.log.veiled_keys());
}

#[test]
fn the_librarys_own_keys_take_no_room_while_they_wait() {
    let mut receiver = Receiver { store: store(), log: Log::default() };
    receiver.log.comes_back(10);
    let limits = Limits { keys: 1, ..LIMITS };
    let body = of_entries(0, 10, &[(own::key::TOPOLOGY, 1), (own::key::HEARTBEAT, 2), ("k1", 5)]);
    let applied = receiver.log.apply(&Segment::decode(&body).unwrap(), &life(), &receiver.store, &limits, at(1));
    assert_eq!((applied.new, applied.refused, applied.shown), (3, vec![], true));
}
