//! Single rules, one by one; `model` tries them together, `stress` with threads.

mod model;
mod stress;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::member::{Step, step};
use super::pending::GONE_LIVES;
use super::*;
use crate::store::entry::{Life, LifeRef, MemberId, Origin};
use crate::store::event::Level;
use crate::store::hub::{Filter, Hub, SubscribeError};
use crate::store::members::Contact;

pub(super) fn life(id: &str, generation: u64) -> LifeRef {
    LifeRef::new(Life {
        id: MemberId::new(id).unwrap(),
        generation,
        nonce: xxh3_64_with_seed(id.as_bytes(), generation),
    })
}

pub(super) fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1000)
}

pub(super) fn entry(life: &LifeRef, key: &str, seq: u64, value: Option<&str>, expires: Time) -> Entry {
    let head = EntryHead {
        life: life.clone(),
        type_url: TypeUrl::new(""),
        seq,
        received: at(0),
        origin: Origin::received(at(0)),
        expires,
        key_len: key.len() as u8,
        deleted: value.is_none(),
        drained: AtomicBool::new(false),
    };
    Entry::new(head, key, value.unwrap_or("").as_bytes())
}

pub(super) fn view(life: &LifeRef, status: MemberStatus) -> MemberView {
    MemberView {
        contact: triomphe::Arc::new(Contact {
            life: life.clone(),
            address: "10.0.0.7:4711".parse().unwrap(),
            versions: (1, 1),
            tags: Arc::default(),
        }),
        status,
        since: at(0),
        rtt_us: None,
        is_self: life.id.as_str() == OWN,
        banned: false,
    }
}

pub(super) const OWN: &str = "own";

/// A hub with a queue, and what tests do with them.
struct Bench {
    members: Arc<Members>,
    hub: Hub,
    queue: Arc<Queue>,
}

impl Bench {
    fn new() -> Bench {
        let members = Arc::new(Members::default());
        Bench { hub: Hub::new(7, OWN, members.clone()), members, queue: Queue::new(4) }
    }

    fn subscribe(&self, sub: u64, what: u32) {
        self.subscribe_with(sub, Filter { what, ..Filter::default() });
    }

    fn subscribe_with(&self, sub: u64, filter: Filter) {
        self.hub.subscribe(filter, &self.queue, sub, sub * 10, at(0), &mut |_| panic!("not initial")).unwrap();
    }

    fn set(&self, life: &LifeRef, key: &str, seq: u64) {
        self.hub.entry_changed(&entry(life, key, seq, Some("v"), Time::NEVER), at(0));
    }

    fn delete(&self, life: &LifeRef, key: &str, seq: u64) {
        self.hub.entry_changed(&entry(life, key, seq, None, Time::NEVER), at(0));
    }

    fn member(&self, event: u32, life: &LifeRef, status: MemberStatus) {
        let view = view(life, status);
        match event {
            kind::MEMBER_REMOVED => drop(self.members.remove(life.nonce)),
            _ => self.members.put(view.clone()),
        }
        self.hub.member(event, &view, at(0));
    }

    fn take_at(&self, now: Time) -> Vec<String> {
        match self.queue.take(0, Some(Duration::ZERO), &|| now) {
            Ok(events) => events.iter().map(describe).collect(),
            Err(TakeError::Timeout) => Vec::new(),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn take(&self) -> Vec<String> {
        self.take_at(at(0))
    }

    fn bytes(&self) -> usize {
        let state = self.queue.state.lock();
        state.slab.bytes() + state.subs.iter().flatten().map(|s| s.bytes()).sum::<usize>()
    }
}

fn name(event: u32) -> &'static str {
    match event {
        kind::ENTRY_CHANGED => "changed",
        kind::ENTRY_DELETED => "deleted",
        kind::ENTRY_REFUSED => "refused",
        kind::MEMBER_JOINED => "joined",
        kind::MEMBER_SUSPECTED => "suspected",
        kind::MEMBER_ALIVE => "alive",
        kind::MEMBER_DEAD => "dead",
        kind::MEMBER_LEFT => "left",
        kind::MEMBER_RESTARTED => "restarted",
        kind::MEMBER_UPDATED => "updated",
        kind::MEMBER_BANNED => "banned",
        kind::MEMBER_UNBANNED => "unbanned",
        kind::MEMBER_REMOVED => "removed",
        kind::NODE_STATE => "state",
        kind::SYNCED => "synced",
        kind::WARNING => "warning",
        kind::LOG => "log",
        kind::INITIAL_DONE => "done",
        kind::CLOSED => "closed",
        _ => "?",
    }
}

/// `name member/key@seq xconflated`, or with the generation for members; words for notes.
fn describe(event: &Event) -> String {
    assert_eq!((event.tag, event.node), (event.sub * 10, 7));
    let mut text = name(event.kind).to_owned();
    if let Some(view) = &event.entry {
        text += &format!(" {:?}/{}@{}", view.entry.head().life.id, view.entry.key(), view.entry.seq());
    }
    if let Some(view) = &event.member {
        text += &format!(" {:?}.{}", view.life.id, view.life.generation);
    }
    for words in [&event.target, &event.text].into_iter().flatten() {
        text += &format!(" {words}");
    }
    if event.conflated != 1 {
        text += &format!(" x{}", event.conflated);
    }
    text
}

const BOTH: u32 = kind::ENTRY_CHANGED | kind::ENTRY_DELETED;

#[test]
fn a_hot_key_keeps_its_place_and_counts() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    let m = life("m", 1);
    b.set(&m, "hot", 1);
    b.set(&m, "cold", 2);
    for seq in 3..100 {
        b.set(&m, "hot", seq);
    }
    assert_eq!(b.take(), ["changed m/hot@99 x98", "changed m/cold@2"]);
    b.set(&m, "hot", 100);
    b.delete(&m, "hot", 101);
    b.delete(&m, "cold", 102);
    b.set(&m, "cold", 103);
    assert_eq!(b.take(), ["deleted m/hot@101 x2", "changed m/cold@103 x2"]);
    assert_eq!(b.take(), [""; 0]);
}

#[test]
fn an_older_version_never_follows_a_newer_one_that_waits() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    let m = life("m", 1);
    b.set(&m, "k", 5);
    b.set(&m, "k", 4);
    b.set(&m, "k", 5);
    assert_eq!(b.take(), ["changed m/k@5"]);
}

#[test]
fn the_newest_state_decides_where_one_kind_is_wanted() {
    let b = Bench::new();
    b.subscribe(1, kind::ENTRY_CHANGED);
    let m = life("m", 1);
    b.set(&m, "a", 1);
    b.delete(&m, "a", 2);
    b.delete(&m, "b", 3);
    assert_eq!(b.take(), [""; 0]);
    b.set(&m, "a", 4);
    assert_eq!(b.take(), ["changed m/a@4"]);
    assert!(b.hub.unsubscribe(1));

    b.subscribe(2, kind::ENTRY_DELETED);
    b.delete(&m, "a", 5);
    b.set(&m, "a", 6);
    b.set(&m, "b", 7);
    assert_eq!(b.take(), [""; 0]);
    b.delete(&m, "a", 8);
    assert_eq!(b.take(), ["deleted m/a@8"]);
}

#[test]
fn an_entry_that_expires_while_it_waits_is_told_as_deleted_once() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    let m = life("m", 1);
    let short = |seq| entry(&m, "k", seq, Some("v"), at(50));
    b.hub.entry_changed(&short(1), at(0));
    let events = b.queue.take(0, Some(Duration::ZERO), &|| at(60)).unwrap();
    assert_eq!(events.iter().map(describe).collect::<Vec<_>>(), ["deleted m/k@1"]);
    let view = events[0].entry.as_ref().unwrap();
    assert!(view.entry.head().deleted && view.entry.value().is_empty(), "a deleted entry has no value");
    b.hub.entry_expired(&short(1), at(70));
    assert_eq!(b.take_at(at(70)), [""; 0]);

    // Its owner's tombstone is no news either.
    b.hub.entry_changed(&short(2), at(0));
    assert_eq!(b.take_at(at(60)), ["deleted m/k@2"]);
    b.delete(&m, "k", 3);
    assert_eq!(b.take_at(at(60)), [""; 0]);
    b.set(&m, "k", 4);
    assert_eq!(b.take_at(at(60)), ["changed m/k@4"]);

    // Told as it was, then expired; and both at once.
    b.hub.entry_changed(&short(5), at(0));
    assert_eq!(b.take_at(at(10)), ["changed m/k@5"]);
    b.hub.entry_expired(&short(5), at(50));
    assert_eq!(b.take_at(at(60)), ["deleted m/k@5"]);
    b.hub.entry_changed(&short(6), at(0));
    b.hub.entry_expired(&short(6), at(50));
    b.hub.entry_expired(&short(6), at(50));
    assert_eq!(b.take_at(at(60)), ["deleted m/k@6 x2"]);
}

#[test]
fn expiry_where_one_kind_is_wanted() {
    let b = Bench::new();
    b.subscribe(1, kind::ENTRY_DELETED);
    b.subscribe(2, kind::ENTRY_CHANGED);
    let short = entry(&life("m", 1), "k", 1, Some("v"), at(50));
    b.hub.entry_changed(&short, at(0));
    b.hub.entry_expired(&short, at(50));
    assert_eq!(b.take_at(at(60)), ["deleted m/k@1"]);
    b.hub.entry_changed(&entry(&life("m", 1), "k", 2, Some("v"), at(80)), at(60));
    assert_eq!(b.take_at(at(90)), [""; 0], "not seen any more, and its deletion not wanted");
}

#[test]
fn lives_have_marks_of_their_own() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    b.set(&life("m", 1), "k", 9);
    b.set(&life("m", 2), "k", 1);
    b.set(&life("n", 1), "k", 1);
    assert_eq!(b.take(), ["changed m/k@9", "changed m/k@1", "changed n/k@1"]);
}

#[test]
fn statuses_are_read_when_events_are_taken() {
    let b = Bench::new();
    b.subscribe(1, kind::ENTRIES);
    let m = life("m", 1);
    b.member(kind::MEMBER_JOINED, &m, MemberStatus::Alive);
    b.set(&m, "k", 1);
    b.member(kind::MEMBER_SUSPECTED, &m, MemberStatus::Suspect);
    let take = || b.queue.take(0, Some(Duration::ZERO), &|| at(3)).unwrap().remove(0);
    let event = take();
    let taken = event.entry.unwrap();
    assert_eq!((taken.status, taken.read_at, event.taken_at), (MemberStatus::Suspect, at(3), at(3)));
    b.set(&m, "k", 2);
    b.member(kind::MEMBER_REMOVED, &m, MemberStatus::Dead);
    assert_eq!(take().entry.unwrap().status, MemberStatus::Left);
}

#[test]
fn filters() {
    let b = Bench::new();
    let what = kind::ENTRIES | kind::MEMBERS;
    b.subscribe_with(1, Filter { what, member: Some("m".into()), ..Filter::default() });
    b.subscribe_with(2, Filter { what, key: Some("a/b".into()), ..Filter::default() });
    b.subscribe_with(3, Filter { what, key: Some("a/".into()), prefix: true, ..Filter::default() });
    b.subscribe_with(4, Filter { what, no_self: true, key: Some(String::new()), prefix: true, ..Filter::default() });
    let (m, own) = (life("m", 1), life(OWN, 1));
    let taken = || {
        let events = b.queue.take(0, Some(Duration::ZERO), &|| at(0)).unwrap_or_default();
        events.iter().map(|e| (e.sub, describe(e))).collect::<Vec<_>>()
    };
    b.set(&m, "a/b", 1);
    assert_eq!(taken().iter().map(|e| e.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    b.set(&own, "a/c", 1);
    assert_eq!(taken(), [(3, "changed own/a/c@1".into())]);
    b.set(&own, "a", 2);
    assert_eq!(taken(), []);
    b.member(kind::MEMBER_JOINED, &m, MemberStatus::Alive);
    assert_eq!(taken().iter().map(|e| e.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    b.member(kind::MEMBER_UPDATED, &own, MemberStatus::Alive);
    assert_eq!(taken().iter().map(|e| e.0).collect::<Vec<_>>(), [2, 3]);
    b.hub.entry_refused(&view(&m, MemberStatus::Alive), "a/z", "too large", at(0));
    let refused = "refused m.1 a/z too large".to_owned();
    assert_eq!(taken(), [(1, refused.clone()), (3, refused.clone()), (4, refused)]);
}

#[test]
fn lines_are_a_ring_and_what_was_dropped_is_counted() {
    let b = Bench::new();
    b.subscribe(1, kind::WARNING | kind::LOG | BOTH);
    assert!(b.hub.wants_log(Level::Trace));
    b.hub.warning(-16, "w", at(0));
    b.set(&life("m", 1), "k", 1);
    for n in 0..9 {
        b.hub.log(Level::Info, "target", &format!("line {n}"), at(0));
    }
    let expected =
        ["changed m/k@1", "log target line 5 x7", "log target line 6", "log target line 7", "log target line 8"];
    assert_eq!(b.take(), expected);
    assert!(b.hub.unsubscribe(1));
    assert!(!b.hub.wants_log(Level::Error));
}

#[test]
fn state_and_synced_have_one_mark_each() {
    let b = Bench::new();
    b.subscribe(1, kind::NODE);
    b.hub.node_state(1, "starting", at(0));
    b.hub.synced(at(0));
    b.hub.node_state(2, "joined", at(0));
    b.hub.synced(at(0));
    assert_eq!(b.take(), ["state joined x2", "synced x2"]);
    b.hub.node_state(4, "leaving", at(0));
    assert_eq!(b.take(), ["state leaving"]);
}

/// All pairs of kinds, of the same life and of a later one, as the table in `member` has them.
#[test]
fn the_table_of_member_news() {
    let kinds: Vec<u32> = (4..14).map(|bit| 1 << bit).collect();
    let plain = |k: u32| k & (kind::MEMBER_JOINED | kind::MEMBER_RESTARTED | kind::MEMBER_REMOVED) == 0;
    for &waiting in &kinds {
        for &offered in &kinds {
            for same_life in [true, false] {
                let b = Bench::new();
                b.subscribe(1, kind::MEMBERS | kind::ENTRIES);
                let old = life("m", 1);
                let new = if same_life { old.clone() } else { life("m", 2) };
                b.member(waiting, &old, MemberStatus::Alive);
                b.set(&old, "k", 1);
                b.member(offered, &new, MemberStatus::Alive);
                let g = new.generation;
                let (w, o, entry) = (name(waiting), name(offered), "changed m/k@1".to_owned());
                let in_place = |kind| vec![format!("{kind} m.{g} x2"), entry.clone()];
                let to_end = |kind| vec![entry.clone(), format!("{kind} m.{g} x2")];
                let second = |kind| vec!["joined m.1".to_owned(), entry.clone(), format!("{kind} m.{g}")];
                let (expected, as_step) = match (w, o) {
                    ("joined", "removed") => (second("removed"), Step::Second(kind::MEMBER_REMOVED)),
                    ("joined", "restarted") => (second("restarted"), Step::Second(kind::MEMBER_RESTARTED)),
                    ("joined", "joined") if !same_life => (second("restarted"), Step::Second(kind::MEMBER_RESTARTED)),
                    ("joined", _) => (in_place("joined"), Step::Keep),
                    ("restarted", "removed") => (to_end("removed"), Step::End(kind::MEMBER_REMOVED)),
                    ("restarted", "restarted" | "joined") if !same_life => {
                        (to_end("restarted"), Step::End(kind::MEMBER_RESTARTED))
                    }
                    ("restarted", _) => (in_place("restarted"), Step::Keep),
                    ("removed", "joined" | "restarted") => {
                        (in_place("restarted"), Step::Become(kind::MEMBER_RESTARTED))
                    }
                    ("removed", "removed") if !same_life => (to_end("removed"), Step::End(kind::MEMBER_REMOVED)),
                    ("removed", o) if !same_life => (in_place(o), Step::Become(offered)),
                    ("removed", _) => (in_place("removed"), Step::Keep),
                    (_, "removed") => (to_end("removed"), Step::End(kind::MEMBER_REMOVED)),
                    (_, "restarted") => (to_end("restarted"), Step::End(kind::MEMBER_RESTARTED)),
                    (_, "joined") if !same_life => (to_end("restarted"), Step::End(kind::MEMBER_RESTARTED)),
                    (_, o) => {
                        assert!(plain(waiting) && (plain(offered) || offered == kind::MEMBER_JOINED));
                        (in_place(o), Step::Become(offered))
                    }
                };
                assert_eq!(b.take(), expected, "{w}, then {o}, same life: {same_life}");
                assert_eq!(step(waiting, offered, same_life), as_step);
            }
        }
    }
}

#[test]
fn a_member_that_comes_and_goes_has_two_marks_at_most() {
    let b = Bench::new();
    b.subscribe(1, kind::MEMBERS);
    for generation in 1..100 {
        b.member(kind::MEMBER_JOINED, &life("m", generation), MemberStatus::Alive);
        b.member(kind::MEMBER_REMOVED, &life("m", generation), MemberStatus::Alive);
    }
    assert_eq!(b.take(), ["joined m.1", "removed m.99 x197"]);
    b.member(kind::MEMBER_JOINED, &life("m", 100), MemberStatus::Alive);
    b.hub.member(kind::MEMBER_REMOVED, &view(&life("m", 99), MemberStatus::Left), at(0));
    assert_eq!(b.take(), ["joined m.100"], "old news does not undo what is newer");
}

#[test]
fn a_life_that_was_gone_and_comes_again_is_told_with_its_entries() {
    let b = Bench::new();
    b.subscribe(1, kind::ENTRIES | kind::MEMBERS);
    let m = life("m", 1);
    b.member(kind::MEMBER_JOINED, &m, MemberStatus::Alive);
    assert_eq!(b.take().len(), 1);
    // The same version before and after: told once, after the member has come again.
    b.set(&m, "k", 1);
    b.set(&m, "not here any more", 2);
    b.member(kind::MEMBER_REMOVED, &m, MemberStatus::Dead);
    b.member(kind::MEMBER_JOINED, &m, MemberStatus::Alive);
    b.set(&m, "k", 1);
    b.set(&life("n", 1), "k", 1);
    assert_eq!(b.take(), ["restarted m.1 x2", "changed m/k@1", "changed n/k@1"]);
    // A former life is let in again only after the later one was forgotten: it is there.
    b.member(kind::MEMBER_REMOVED, &life("m", 2), MemberStatus::Dead);
    b.member(kind::MEMBER_JOINED, &m, MemberStatus::Alive);
    assert_eq!(b.take(), ["restarted m.1 x2"]);
}

#[test]
fn kinds_that_are_not_wanted_change_no_kind() {
    let b = Bench::new();
    b.subscribe(1, kind::MEMBER_SUSPECTED | kind::MEMBER_JOINED | kind::MEMBER_REMOVED);
    let m = life("m", 1);
    b.member(kind::MEMBER_SUSPECTED, &m, MemberStatus::Suspect);
    b.member(kind::MEMBER_ALIVE, &m, MemberStatus::Alive);
    let events = b.queue.take(0, None, &|| at(0)).unwrap();
    assert_eq!(events.iter().map(describe).collect::<Vec<_>>(), ["suspected m.1"]);
    assert_eq!(events[0].member.as_ref().unwrap().status, MemberStatus::Alive, "the view is the newest");
    b.member(kind::MEMBER_REMOVED, &m, MemberStatus::Dead);
    b.member(kind::MEMBER_JOINED, &life("m", 2), MemberStatus::Alive);
    assert_eq!(b.take(), ["joined m.2 x2"], "stands for restarted, which is not wanted");
    b.member(kind::MEMBER_RESTARTED, &life("m", 3), MemberStatus::Alive);
    assert_eq!(b.take(), [""; 0]);
    b.member(kind::MEMBER_JOINED, &life("n", 1), MemberStatus::Alive);
    b.member(kind::MEMBER_REMOVED, &life("n", 1), MemberStatus::Alive);
    b.member(kind::MEMBER_JOINED, &life("n", 2), MemberStatus::Alive);
    assert_eq!(b.take(), ["joined n.2 x3"]);
}

#[test]
fn a_subscription_with_initial_is_told_once_what_exists() {
    let b = Bench::new();
    let (m, n, gone) = (life("m", 1), life("n", 1), life("gone", 1));
    b.member(kind::MEMBER_JOINED, &life(OWN, 1), MemberStatus::Alive);
    b.member(kind::MEMBER_JOINED, &m, MemberStatus::Alive);
    b.member(kind::MEMBER_JOINED, &life("dead", 1), MemberStatus::Dead);
    b.member(kind::MEMBER_JOINED, &gone, MemberStatus::Alive);
    let v = |life: &LifeRef, key: &str, seq| entry(life, key, seq, Some("v"), Time::NEVER);
    let filter = Filter { what: kind::ENTRIES | kind::MEMBERS, initial: true, ..Filter::default() };
    let walk = &mut |offer: &mut dyn FnMut(&[Entry])| {
        b.delete(&m, "deleted before it was read", 3);
        b.set(&m, "changed before it was read", 4);
        b.member(kind::MEMBER_JOINED, &n, MemberStatus::Alive);
        b.set(&n, "new", 1);
        offer(&[v(&m, "deleted before it was read", 1), v(&m, "changed before it was read", 4)]);
        offer(&[v(&m, "changed", 5), v(&m, "deleted", 6), v(&m, "late", 7), v(&gone, "k", 1)]);
        offer(&[]);
        b.set(&m, "changed", 8);
        b.set(&m, "changed", 9);
        b.delete(&m, "deleted", 10);
        b.member(kind::MEMBER_REMOVED, &gone, MemberStatus::Dead);
        b.member(kind::MEMBER_SUSPECTED, &m, MemberStatus::Suspect);
        b.member(kind::MEMBER_JOINED, &life("brief", 1), MemberStatus::Alive);
        b.member(kind::MEMBER_REMOVED, &life("brief", 1), MemberStatus::Alive);
        assert_eq!(b.take(), [""; 0], "nothing can be taken yet");
        // In the table, but offered later.
        b.members.put(view(&life("slow", 1), MemberStatus::Alive));
    };
    b.hub.subscribe(filter, &b.queue, 1, 10, at(0), walk).unwrap();
    b.set(&m, "late", 7);
    b.hub.member(kind::MEMBER_JOINED, &view(&life("slow", 1), MemberStatus::Alive), at(0));
    let expected = [
        "joined m.1",
        "joined n.1",
        "joined own.1",
        "joined slow.1",
        "changed m/changed before it was read@4",
        "changed n/new@1",
        "changed m/changed@9 x2",
        "changed m/late@7",
        "done",
    ];
    assert_eq!(b.take(), expected);
    b.delete(&m, "late", 11);
    b.member(kind::MEMBER_REMOVED, &life("slow", 1), MemberStatus::Dead);
    b.member(kind::MEMBER_JOINED, &life("slow", 1), MemberStatus::Alive);
    assert_eq!(b.take(), ["deleted m/late@11", "restarted slow.1 x2"]);
}

#[test]
fn members_that_change_while_the_table_is_read() {
    let b = Bench::new();
    let subscriber = Subscriber {
        tag: 10,
        node: 7,
        sub: 1,
        what: kind::MEMBERS,
        initial: true,
        members: b.members.clone(),
        hub: Weak::new(),
    };
    let ticket = b.queue.register(subscriber).unwrap();
    let of = |id: &str, status| view(&life(id, 1), status);
    let hash = |view: &MemberView| u32::from(view.life.id.as_str().as_bytes()[0]);
    let offer = |event, view: &MemberView| b.queue.offer_member(ticket, event, view, hash(view));
    offer(kind::MEMBER_JOINED, &of("a", MemberStatus::Alive));
    b.queue.offer(ticket, |pending, _| pending.begin_listing());
    let listed = ["a", "b", "c", "z"].map(|id| of(id, MemberStatus::Alive)).to_vec();
    offer(kind::MEMBER_REMOVED, &of("b", MemberStatus::Dead));
    offer(kind::MEMBER_DEAD, &of("c", MemberStatus::Dead));
    offer(kind::MEMBER_SUSPECTED, &of("z", MemberStatus::Suspect));
    offer(kind::MEMBER_JOINED, &of("n", MemberStatus::Alive));
    offer(kind::MEMBER_JOINED, &of("m", MemberStatus::Alive));
    b.queue.offer(ticket, |pending, lists| pending.finish(lists, listed, |view| Some(hash(view))));
    let events = b.queue.take(0, Some(Duration::ZERO), &|| at(0)).unwrap();
    assert_eq!(
        events.iter().map(describe).collect::<Vec<_>>(),
        ["joined a.1", "joined z.1", "joined m.1", "joined n.1", "done"]
    );
    assert_eq!(events[1].member.as_ref().unwrap().status, MemberStatus::Suspect);
}

#[test]
fn what_was_told_before_it_was_offered_is_not_told_again() {
    let b = Bench::new();
    let m = life("m", 1);
    let v = |key: &str, seq, expires| entry(&m, key, seq, Some("v"), expires);
    let filter = Filter { what: BOTH, initial: true, ..Filter::default() };
    let entries = [v("a", 1, Time::NEVER), v("b", 2, at(50)), v("c", 3, at(5)), v("d", 4, Time::NEVER)];
    b.hub.subscribe(filter, &b.queue, 1, 10, at(0), &mut |offer| offer(&entries)).unwrap();
    assert_eq!(b.take_at(at(10)), ["changed m/a@1", "changed m/b@2", "changed m/d@4", "done"]);
    b.hub.entry_changed(&entries[0], at(10));
    b.hub.entry_changed(&entries[1], at(10));
    b.hub.entry_changed(&entries[2], at(10));
    b.hub.entry_expired(&entries[2], at(10));
    assert_eq!(b.take_at(at(20)), [""; 0]);
    b.hub.entry_expired(&entries[1], at(50));
    b.set(&m, "c", 5);
    b.set(&m, "d", 6);
    assert_eq!(b.take_at(at(60)), ["deleted m/b@2", "changed m/c@5", "changed m/d@6"]);
    assert!(b.queue.state.lock().subs[0].as_ref().unwrap().bytes() < 1000);
}

#[test]
fn what_is_remembered_goes_with_its_life() {
    let b = Bench::new();
    let filter = Filter { what: BOTH, initial: true, ..Filter::default() };
    let entries: Vec<_> =
        (1..1000).map(|n| entry(&life("m", n % 9), &format!("{n}"), n, Some("v"), Time::NEVER)).collect();
    b.hub.subscribe(filter.clone(), &b.queue, 1, 10, at(0), &mut |offer| offer(&entries)).unwrap();
    b.hub.subscribe(filter, &b.queue, 2, 20, at(0), &mut |offer| offer(&entries)).unwrap();
    assert_eq!(b.take().len(), 2 * 1000);
    let bytes = || b.queue.state.lock().subs.iter().flatten().map(|s| s.bytes()).max().unwrap();
    assert!(bytes() > 1000, "{}", bytes());
    b.member(kind::MEMBER_RESTARTED, &life("m", 10), MemberStatus::Alive);
    assert!(bytes() < 1000, "{}", bytes());
}

#[test]
fn what_a_life_that_came_again_had_is_not_told_twice_when_a_later_one_follows() {
    let b = Bench::new();
    b.subscribe(1, kind::ENTRIES | kind::MEMBERS);
    let (m, later) = (life("m", 1), life("m", 2));
    b.member(kind::MEMBER_JOINED, &m, MemberStatus::Alive);
    b.set(&m, "k", 1);
    assert_eq!(b.take(), ["joined m.1", "changed m/k@1"]);
    for end in [false, true] {
        // The host sleeps: the life goes, and is brought back by one that still holds its state.
        b.member(kind::MEMBER_REMOVED, &m, MemberStatus::Dead);
        b.member(kind::MEMBER_JOINED, &m, MemberStatus::Alive);
        b.set(&m, "k", 1);
        if end {
            b.member(kind::MEMBER_RESTARTED, &later, MemberStatus::Alive);
            b.set(&later, "k", 1);
            assert_eq!(b.take(), ["restarted m.2 x3", "changed m/k@1"]);
        } else {
            assert_eq!(b.take(), ["restarted m.1 x2", "changed m/k@1"]);
        }
    }
}

#[test]
fn nothing_is_remembered_of_a_life_that_is_gone() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    let m = life("m", 1);
    b.hub.entry_changed(&entry(&m, "k", 1, Some("v"), at(50)), at(0));
    b.member(kind::MEMBER_REMOVED, &m, MemberStatus::Dead);
    assert_eq!(b.take_at(at(60)), ["deleted m/k@1"]);
    assert_eq!(b.queue.state.lock().subs[0].as_ref().unwrap().told_bytes(), 0);
}

#[test]
fn unsubscribe_ends_at_once_and_gives_memory_back() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    b.subscribe(2, BOTH);
    let m = life("m", 1);
    for n in 0..10_000 {
        b.set(&m, &format!("{n}"), n + 1);
    }
    let full = b.bytes();
    assert!(b.hub.unsubscribe(1));
    assert!(!b.hub.unsubscribe(1));
    assert!(!b.hub.unsubscribe(3));
    assert!(b.bytes() < full, "a page of the slab that both used may stay");
    let events = b.queue.take(0, None, &|| at(0)).unwrap();
    assert_eq!((events.len(), events.iter().filter(|e| e.sub == 2).count()), (10_000, 10_000));
    assert!(b.hub.unsubscribe(2));
    assert!(b.bytes() < 20_000, "{}", b.bytes());
    b.set(&m, "k", 20_000);
    assert_eq!(b.take(), [""; 0]);
    assert!(!b.queue.is_ready());
    b.subscribe(3, BOTH);
    b.set(&m, "k", 20_001);
    assert_eq!(b.take(), ["changed m/k@20001"]);
}

#[test]
fn a_drained_queue_is_small_again() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    let m = life("m", 1);
    const KEYS: u64 = 300_000;
    for n in 0..KEYS {
        b.set(&m, &format!("{n}"), n + 1);
    }
    let full = b.bytes();
    assert!(full as u64 > KEYS * 40);
    let mut taken = 0;
    while taken < KEYS * 3 / 4 {
        taken += b.queue.take(10_000, None, &|| at(0)).unwrap().len() as u64;
    }
    assert!(b.bytes() < full / 2, "{} of {full} with a quarter left", b.bytes());
    while b.queue.is_ready() {
        taken += b.queue.take(0, None, &|| at(0)).unwrap().len() as u64;
    }
    assert_eq!(taken, KEYS);
    assert!(b.bytes() < 20_000, "{}", b.bytes());
}

#[test]
fn lives_that_are_gone_do_not_pile_up_before_one_who_sleeps() {
    let b = Bench::new();
    b.subscribe(1, kind::ENTRIES | kind::MEMBERS);
    b.subscribe(2, BOTH);
    let stay = life("stay", 1);
    b.member(kind::MEMBER_JOINED, &stay, MemberStatus::Alive);
    b.set(&stay, "k", 1);
    let known = life("known", 1);
    b.member(kind::MEMBER_JOINED, &known, MemberStatus::Alive);
    assert_eq!(b.take().len(), 4);
    b.set(&stay, "k", 2);
    let mut most = 0;
    for n in 0..5 * GONE_LIVES as u64 {
        let (new, fixed) = (life(&format!("{n}"), 1), life("restarts", n + 1));
        b.member(kind::MEMBER_JOINED, &new, MemberStatus::Alive);
        b.set(&new, "k", 1);
        b.member(kind::MEMBER_REMOVED, &new, MemberStatus::Dead);
        b.member(if n == 0 { kind::MEMBER_JOINED } else { kind::MEMBER_RESTARTED }, &fixed, MemberStatus::Alive);
        b.set(&fixed, "k", 1);
        most = most.max(b.queue.state.lock().subs.iter().flatten().map(|s| s.live).max().unwrap());
        if n == 10 {
            b.member(kind::MEMBER_REMOVED, &known, MemberStatus::Dead);
        }
    }
    assert!(most <= 4 * GONE_LIVES + 10, "{most}");
    let events = b.queue.take(0, None, &|| at(0)).unwrap();
    for sub in [1, 2] {
        let told: Vec<String> = events.iter().filter(|e| e.sub == sub).map(describe).collect();
        assert!(told.contains(&"changed stay/k@2".to_owned()), "{told:?}");
        assert!(told.contains(&"changed restarts/k@1".to_owned()), "{told:?}");
        assert_eq!(told.iter().filter(|t| t.starts_with("removed known")).count(), usize::from(sub == 1));
    }
    // Joined before the first entry and restarted after, as ever.
    let restarts: Vec<String> =
        events.iter().filter(|e| e.sub == 1).map(describe).filter(|t| t.contains("restarts")).collect();
    assert_eq!(restarts[0], "joined restarts.1");
}

#[test]
fn closing_the_hub_ends_subscriptions_after_what_waits() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    b.subscribe(2, kind::MEMBERS);
    b.set(&life("m", 1), "k", 1);
    b.hub.close(at(0));
    b.hub.close(at(0));
    b.set(&life("m", 1), "k", 2);
    assert_eq!(b.take(), ["changed m/k@1", "closed", "closed"]);
    assert_eq!(b.take(), [""; 0]);
    assert!(!b.hub.unsubscribe(1));
    let again = b.hub.subscribe(Filter::default(), &b.queue, 3, 30, at(0), &mut |_| {});
    assert_eq!(again, Err(SubscribeError::HubClosed));
    assert!(b.queue.state.lock().subs.iter().all(Option::is_none));
}

#[test]
fn a_hub_closed_while_a_subscription_is_set_up_ends_it_last() {
    let b = Bench::new();
    let m = life("m", 1);
    let filter = Filter { what: BOTH, initial: true, ..Filter::default() };
    let walk = &mut |offer: &mut dyn FnMut(&[Entry])| {
        offer(&[entry(&m, "a", 1, Some("v"), Time::NEVER)]);
        b.hub.close(at(0));
        offer(&[entry(&m, "b", 2, Some("v"), Time::NEVER)]);
    };
    b.hub.subscribe(filter, &b.queue, 1, 10, at(0), walk).unwrap();
    assert_eq!(b.take(), ["changed m/a@1", "changed m/b@2", "done", "closed"]);
}

#[test]
fn unsubscribed_after_the_hub_was_closed() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    b.set(&life("m", 1), "k", 1);
    b.hub.close(at(0));
    assert!(b.hub.unsubscribe(1), "its CLOSED still waits");
    assert_eq!(b.take(), [""; 0]);
}

#[test]
fn a_subscription_whose_setting_up_panics_is_taken_back() {
    let b = Bench::new();
    let filter = Filter { what: BOTH, initial: true, ..Filter::default() };
    let subscribe = || b.hub.subscribe(filter, &b.queue, 1, 10, at(0), &mut |_| panic!("expected by the test"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(subscribe)).is_err());
    b.set(&life("m", 1), "k", 1);
    assert_eq!(b.take(), [""; 0]);
    assert!(!b.hub.unsubscribe(1));
}

#[test]
fn closing_the_queue_ends_takes_and_subscriptions() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    thread::scope(|s| {
        let taker = s.spawn(|| b.queue.take(0, None, &|| at(0)).map(|_| ()));
        while !b.queue.state.lock().taking {
            thread::yield_now();
        }
        assert_eq!(b.queue.take(0, None, &|| at(0)).map(|_| ()), Err(TakeError::Busy));
        b.queue.close();
        assert_eq!(taker.join().unwrap(), Err(TakeError::Closed));
    });
    assert_eq!(b.queue.take(0, None, &|| at(0)).map(|_| ()), Err(TakeError::Closed));
    assert!(!b.hub.unsubscribe(1), "the hub has forgotten it");
    assert_eq!(Arc::strong_count(&b.queue), 1);
    let again = b.hub.subscribe(Filter::default(), &b.queue, 2, 20, at(0), &mut |_| {});
    assert_eq!(again, Err(SubscribeError::QueueClosed));
}

#[test]
fn who_subscribes_and_who_tells_do_not_wait_for_each_other() {
    let b = Arc::new(Bench::new());
    let (m, banned) = (life("m", 1), life("banned", 1));
    b.member(kind::MEMBER_JOINED, &m, MemberStatus::Alive);
    b.members.put(MemberView { banned: true, ..view(&banned, MemberStatus::Banned) });
    b.subscribe(1, BOTH);
    let v = |life: &LifeRef| entry(life, "k", 1, Some("v"), Time::NEVER);
    let mut there = vec![v(&m)];
    there.extend((0..200).map(|_| v(&banned)));
    let (ended, end) = std::sync::mpsc::channel();
    let (teller, tells, told) = (b.clone(), m.clone(), Arc::new(AtomicU64::new(1)));
    let count = told.clone();
    // Not in a scope, which would wait for threads that hang.
    thread::spawn(move || {
        while Arc::strong_count(&teller) > 1 {
            teller.set(&tells, "k", 1 + count.fetch_add(1, Ordering::Relaxed));
        }
    });
    thread::spawn(move || {
        // Until both have done much.
        for sub in (2..).take_while(|sub| *sub < 2000 || told.load(Ordering::Relaxed) < 20_000) {
            let filter = Filter { what: BOTH, initial: true, ..Filter::default() };
            b.hub.subscribe(filter, &b.queue, sub, 0, at(0), &mut |offer| offer(&there)).unwrap();
            b.hub.unsubscribe(sub);
        }
        ended.send(()).unwrap();
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(60)), Ok(()), "they wait for each other");
}

#[test]
fn wake_ends_one_take() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    let take = || b.queue.take(0, Some(Duration::ZERO), &|| at(0)).map(|events| events.len());
    b.queue.wake();
    b.queue.wake();
    assert_eq!(take(), Err(TakeError::Interrupted));
    assert_eq!(take(), Err(TakeError::Timeout));
    b.set(&life("m", 1), "k", 1);
    b.queue.wake();
    assert_eq!(take(), Ok(1));
    b.set(&life("m", 1), "k", 2);
    assert_eq!(take(), Err(TakeError::Interrupted), "not put off for ever by a busy queue");
    assert_eq!(take(), Ok(1));
    thread::scope(|s| {
        let taker = s.spawn(|| b.queue.take(0, None, &|| at(0)).map(|_| ()));
        while !b.queue.state.lock().taking {
            thread::yield_now();
        }
        b.queue.wake();
        assert_eq!(taker.join().unwrap(), Err(TakeError::Interrupted));
    });
}

#[test]
fn a_take_waits_for_events_and_for_its_time() {
    let b = Bench::new();
    b.subscribe(1, BOTH);
    let start = std::time::Instant::now();
    let clock = || Time::from_micros(start.elapsed().as_micros() as u64);
    assert_eq!(b.queue.take(0, Some(Duration::from_millis(5)), &clock).map(|_| ()), Err(TakeError::Timeout));
    assert!(start.elapsed() >= Duration::from_millis(5));
    // A clock that stands still does not make a take wait for ever.
    assert_eq!(b.queue.take(0, Some(Duration::from_millis(1)), &|| at(0)).map(|_| ()), Err(TakeError::Timeout));
    thread::scope(|s| {
        let taker = s.spawn(|| b.queue.take(0, Some(Duration::MAX), &clock).unwrap().len());
        while !b.queue.state.lock().taking {
            thread::yield_now();
        }
        b.set(&life("m", 1), "k", 1);
        assert_eq!(taker.join().unwrap(), 1);
    });
    for seq in 2..8 {
        b.set(&life("m", 1), &format!("{seq}"), seq);
    }
    assert_eq!(b.queue.take(4, None, &clock).unwrap().len(), 4);
    assert_eq!(b.queue.take(4, None, &clock).unwrap().len(), 2);
}

#[test]
fn signals_follow_the_level() {
    struct Count(Arc<(AtomicBool, AtomicUsize)>);
    impl Signal for Count {
        fn raise(&self) {
            assert!(!self.0.0.swap(true, Ordering::Relaxed), "on edges only");
            self.0.1.fetch_add(1, Ordering::Relaxed);
        }
        fn clear(&self) {
            assert!(self.0.0.swap(false, Ordering::Relaxed), "on edges only");
        }
    }
    let b = Bench::new();
    b.subscribe(1, BOTH);
    let first = Arc::new((AtomicBool::new(false), AtomicUsize::new(0)));
    b.queue.set_signal(Box::new(Count(first.clone())));
    let raised = || first.0.load(Ordering::Relaxed);
    let m = life("m", 1);
    b.set(&m, "a", 1);
    b.set(&m, "b", 2);
    assert!(raised());
    let second = Arc::new((AtomicBool::new(false), AtomicUsize::new(0)));
    b.queue.add_signal(Box::new(Count(second.clone())));
    assert!(second.0.load(Ordering::Relaxed), "raised as it was added");
    b.queue.take(1, None, &|| at(0)).unwrap();
    assert!(raised());
    b.queue.wake();
    b.queue.take(1, None, &|| at(0)).unwrap();
    assert!(raised(), "a wake-up waits");
    assert!(b.queue.take(1, None, &|| at(0)).is_err());
    assert!(!raised() && !second.0.load(Ordering::Relaxed));
    b.queue.wake();
    assert!(raised());
    assert!(b.queue.take(1, None, &|| at(0)).is_err());
    b.set(&m, "a", 3);
    assert!(b.hub.unsubscribe(1));
    assert!(!raised(), "nothing is left");
    b.queue.close();
    assert!(raised(), "a take would answer at once");
    assert_eq!(first.1.load(Ordering::Relaxed), 4);
}

#[test]
fn a_queue_serves_several_hubs() {
    let b = Bench::new();
    let other = Hub::new(8, "else", b.members.clone());
    b.subscribe(1, BOTH);
    let filter = Filter { what: BOTH, ..Filter::default() };
    other.subscribe(filter, &b.queue, 2, 20, at(0), &mut |_| {}).unwrap();
    b.set(&life("m", 1), "k", 1);
    other.entry_changed(&entry(&life("m", 1), "k", 1, Some("v"), Time::NEVER), at(0));
    drop(other);
    let events = b.queue.take(0, None, &|| at(0)).unwrap();
    assert_eq!(events.iter().map(|e| (e.node, e.sub)).collect::<Vec<_>>(), [(7, 1), (8, 2), (8, 2)]);
    assert_eq!(events[2].kind, kind::CLOSED);
    b.set(&life("m", 1), "k", 2);
    assert_eq!(b.take(), ["changed m/k@2"]);
}
