//! Writers, a taker and subscribers on threads of their own, with the same promises checked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use parking_lot::RwLock;

use super::*;

const WRITERS: usize = 3;
const KEYS: usize = 40;
const WRITES: u64 = 10_000;
const SUBSCRIPTIONS: u64 = 60;
const SHARDS: usize = 8;

/// Entries as the store keeps them: written before they are offered, each under its shard's lock.
struct Shards(Vec<RwLock<BTreeMap<(usize, usize), Entry>>>);

impl Shards {
    fn put(&self, writer: usize, key: usize, entry: Entry) {
        self.0[key % SHARDS].write().insert((writer, key), entry);
    }

    fn walk(&self, offer: &mut dyn FnMut(&[Entry])) {
        for shard in &self.0 {
            let shard = shard.read();
            let visible: Vec<Entry> = shard.values().filter(|e| e.is_visible(at(0))).cloned().collect();
            offer(&visible);
        }
    }

    fn visible(&self) -> BTreeMap<(String, String), u64> {
        let mut all = BTreeMap::new();
        self.walk(&mut |entries| {
            all.extend(entries.iter().map(|e| (name_of(e), e.seq())));
        });
        all
    }
}

fn name_of(entry: &Entry) -> (String, String) {
    (entry.head().life.id.as_str().to_owned(), entry.key().to_owned())
}

#[derive(Default)]
struct Copy {
    entries: BTreeMap<(String, String), u64>,
    told: HashMap<(String, String), (u64, bool)>,
    joined: BTreeSet<String>,
    conflated: u64,
    done: bool,
    closed: bool,
}

impl Copy {
    fn take(&mut self, event: &Event, initial: bool) {
        assert!(!self.closed);
        match event.kind {
            kind::INITIAL_DONE => assert!(!std::mem::replace(&mut self.done, true) && initial),
            kind::CLOSED => self.closed = true,
            kind::MEMBER_JOINED => {
                assert!(self.joined.insert(event.member.as_ref().unwrap().life.id.as_str().to_owned()));
            }
            kind::ENTRY_CHANGED | kind::ENTRY_DELETED => {
                let view = event.entry.as_ref().unwrap();
                let at = name_of(&view.entry);
                assert!(self.joined.contains(&at.0), "before its member");
                assert_eq!(view.status, MemberStatus::Alive);
                let deleted = event.kind == kind::ENTRY_DELETED;
                assert!(self.done || !initial || !deleted);
                let now = (view.entry.seq(), deleted);
                if let Some(before) = self.told.insert(at.clone(), now) {
                    assert!(now.0 > before.0, "{now:?} after {before:?}");
                }
                self.conflated += event.conflated;
                if deleted {
                    self.entries.remove(&at);
                } else {
                    self.entries.insert(at, now.0);
                }
            }
            other => panic!("{other:x}"),
        }
    }
}

/// A stream of numbers that only looks random.
fn next(seed: &mut u64) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize
}

#[test]
fn writers_taker_and_subscribers() {
    let members = Arc::new(Members::default());
    let hub = Hub::new(7, OWN, members.clone());
    let queue = Queue::new(0);
    let shards = Shards((0..SHARDS).map(|_| RwLock::default()).collect());
    let ended: Mutex<HashSet<u64>> = Mutex::default();
    // From the beginning to the end: every change is counted in it.
    let what = BOTH | kind::MEMBER_JOINED;
    hub.subscribe(Filter { what, ..Filter::default() }, &queue, 1, 10, at(0), &mut |_| {}).unwrap();

    let (copies, kept) = thread::scope(|s| {
        let taker = s.spawn(|| {
            let mut copies: HashMap<u64, Copy> = HashMap::new();
            let mut seed = 1;
            loop {
                let over = ended.lock().clone();
                match queue.take(next(&mut seed) % 500, None, &|| at(0)) {
                    Ok(events) => {
                        for event in &events {
                            assert!(!over.contains(&event.sub), "taken after it was unsubscribed");
                            copies.entry(event.sub).or_default().take(event, event.sub != 1);
                        }
                    }
                    Err(TakeError::Interrupted) => return copies,
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (members, hub, shards) = (&members, &hub, &shards);
                s.spawn(move || {
                    let me = life(&format!("writer-{writer}"), 1);
                    members.put(view(&me, MemberStatus::Alive));
                    hub.member(kind::MEMBER_JOINED, &view(&me, MemberStatus::Alive), at(0));
                    let mut seed = writer as u64;
                    for seq in 1..=WRITES {
                        let key = next(&mut seed) % KEYS;
                        let value = (next(&mut seed) & 3 > 0).then_some("v");
                        let entry = entry(&me, &format!("key {key}"), seq, value, Time::NEVER);
                        shards.put(writer, key, entry.clone());
                        hub.entry_changed(&entry, at(0));
                    }
                })
            })
            .collect();
        let subscriber = s.spawn(|| {
            let mut kept = Vec::new();
            for sub in 2..2 + SUBSCRIPTIONS {
                let filter = Filter { what, initial: true, ..Filter::default() };
                hub.subscribe(filter, &queue, sub, sub * 10, at(0), &mut |offer| shards.walk(offer)).unwrap();
                if sub % 6 == 0 {
                    kept.push(sub);
                } else {
                    thread::yield_now();
                    assert!(hub.unsubscribe(sub));
                    ended.lock().insert(sub);
                }
            }
            kept
        });
        for writer in writers {
            writer.join().unwrap();
        }
        let kept = subscriber.join().unwrap();
        hub.close(at(0));
        queue.wake();
        // A wake-up may come between two batches; it is over when nothing is left.
        let mut copies = taker.join().unwrap();
        while let Ok(events) = queue.take(0, Some(Duration::ZERO), &|| at(0)) {
            events.iter().for_each(|e| copies.entry(e.sub).or_default().take(e, e.sub != 1));
        }
        (copies, kept)
    });

    assert_eq!(copies[&1].conflated, WRITERS as u64 * WRITES, "every change is counted once");
    let visible = shards.visible();
    for sub in kept.into_iter().chain([1]) {
        let copy = &copies[&sub];
        assert!(copy.closed && (copy.done || sub == 1));
        assert_eq!(copy.entries, visible, "subscription {sub}");
        assert_eq!(copy.joined.len(), WRITERS);
    }
    let state = queue.state.lock();
    assert!(state.subs.iter().all(Option::is_none) && state.ready.is_empty());
}
