//! The log of one owner: its entries by sequence number, and what of them is held here.

mod reset;
mod veil;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use super::limits::Limits;
use super::rare::Empty;
use crate::store::Store;
use crate::store::entry::{Entry, EntryHead, LifeRef, Origin};
use crate::time::Time;
use crate::wire::frame::Held;
use crate::wire::segment::{Segment, SegmentBuilder, WireEntry};
use reset::{Doubts, Reset};
use veil::Veil;

/// What a number in the log stands for.
#[derive(Debug)]
enum Item {
    Entry(Entry),
    /// Over the limits here and not kept: the number counts as held, but cannot be passed on.
    Stub,
}

/// What applying a segment did.
#[derive(Debug, Default)]
pub struct Applied {
    /// More is held than before.
    pub advanced: bool,
    /// Entries that were new.
    pub new: usize,
    /// Entries that were here already, or newer ones.
    pub known: usize,
    /// What had waited until all that was once known is here again is shown now.
    pub shown: bool,
    /// Keys of entries over the limits, with the reason.
    pub refused: Vec<(String, String)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Log {
    items: BTreeMap<u64, Item>,
    held: Held,
    /// Tombstones at or below it are collected.
    floor: u64,
    reset: Option<Reset>,
    /// Left over from resets that have come to their end.
    doubts: Doubts,
    /// Its member was gone, and is back.
    veil: Option<Box<Veil>>,
    keys: usize,
    bytes: usize,
    /// Numbers of the tombstones, so that collecting looks at nothing else.
    tombstones: BTreeSet<u64>,
    /// Entries with a time to live, by when it ends.
    expiries: BTreeSet<(Time, u64)>,
    stubs: BTreeSet<u64>,
    /// Nothing at or below it is passed on: stubs were there that are not remembered any more.
    serve_after: u64,
    /// When the next of its entries expires, as the engine has noted it.
    pub noted_expiry: Option<Time>,
}

impl Empty for Log {
    fn empty() -> &'static Log {
        static EMPTY: Log = Log {
            items: BTreeMap::new(),
            held: Held { watermark: 0, above: Vec::new() },
            floor: 0,
            reset: None,
            doubts: Doubts { seqs: BTreeSet::new(), end: 0 },
            veil: None,
            keys: 0,
            bytes: 0,
            tombstones: BTreeSet::new(),
            expiries: BTreeSet::new(),
            stubs: BTreeSet::new(),
            serve_after: 0,
            noted_expiry: None,
        };
        &EMPTY
    }
}

/// So many stubs are remembered one by one.
const MAX_STUBS: usize = 4096;

impl Log {
    /// What is held.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// Highest collected number.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// How far a reset under way has come.
    pub fn reset_pos(&self) -> Option<u64> {
        self.reset.as_ref().map(|r| r.pos)
    }

    /// What stands under the numbers held: a sum of hashes of the entries that are not deleted. `None` while that cannot be
    /// compared: entries are left out for the limits, a reset is under way or is needed, or some are of numbers that are not
    /// all here yet, for what they have replaced is missed already.
    pub fn content(&self, owner: u64) -> Option<u128> {
        let last = self.items.last_key_value().map_or(0, |(seq, _)| *seq);
        if last.max(self.floor) > self.held.watermark {
            return None;
        }
        let doubts = self.reset.is_some() || !self.doubts.seqs.is_empty();
        if doubts || !self.stubs.is_empty() || self.serve_after > 0 {
            return None;
        }
        let mut sum = 0u128;
        for item in self.items.values() {
            let Item::Entry(entry) = item else { return None };
            if !entry.head().deleted {
                let mut hasher = Xxh3::with_seed(owner);
                hasher.update(&entry.seq().to_le_bytes());
                for part in [entry.key_bytes(), entry.type_url().as_bytes(), entry.value()] {
                    hasher.update(&(part.len() as u64).to_le_bytes());
                    hasher.update(part);
                }
                sum = sum.wrapping_add(hasher.digest128());
            }
        }
        Some(sum)
    }

    /// Keys that are not deleted, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.keys, self.bytes)
    }

    /// Takes an own entry in, in the place of the version of its key that is here.
    pub fn put_own(&mut self, entry: Entry) {
        self.remove(entry.head().replaces());
        self.insert(entry);
    }

    /// All own entries up to `to` have been put.
    pub fn own_complete(&mut self, to: u64) -> bool {
        let advanced = to > self.held.watermark;
        self.held.raise(to);
        advanced
    }

    /// All entries, tombstones included, ascending by number.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.items.values().filter_map(|item| match item {
            Item::Entry(entry) => Some(entry),
            Item::Stub => None,
        })
    }

    /// Those of them that readers may know of.
    pub fn shown(&self) -> impl Iterator<Item = &Entry> {
        let from = self.veil.as_ref().map_or(0, |veil| veil.until());
        self.entries().filter(move |entry| entry.seq() > from)
    }

    /// The entry with this number.
    pub fn entry(&self, seq: u64) -> Option<&Entry> {
        match self.items.get(&seq)? {
            Item::Entry(e) => Some(e),
            Item::Stub => None,
        }
    }

    fn insert(&mut self, entry: Entry) {
        let head = entry.head();
        if head.deleted {
            self.tombstones.insert(head.seq);
        } else {
            self.keys += 1;
            self.bytes += entry.size();
        }
        if head.expires != Time::NEVER {
            self.expiries.insert((head.expires, head.seq));
        }
        self.items.insert(head.seq, Item::Entry(entry));
    }

    fn remove(&mut self, seq: u64) -> Option<Entry> {
        self.doubts.seqs.remove(&seq);
        match self.items.remove(&seq)? {
            Item::Entry(entry) => {
                let head = entry.head();
                if head.deleted {
                    self.tombstones.remove(&seq);
                } else {
                    self.keys -= 1;
                    self.bytes -= entry.size();
                }
                if head.expires != Time::NEVER {
                    self.expiries.remove(&(head.expires, seq));
                }
                Some(entry)
            }
            Item::Stub => {
                self.stubs.remove(&seq);
                None
            }
        }
    }

    fn insert_stub(&mut self, seq: u64) {
        self.items.insert(seq, Item::Stub);
        self.stubs.insert(seq);
        if self.stubs.len() > MAX_STUBS
            && let Some(lowest) = self.stubs.first().copied()
        {
            self.remove(lowest);
            self.serve_after = self.serve_after.max(lowest);
        }
    }

    /// Applies a segment of another member's entries: total, idempotent, in any order.
    pub fn apply(
        &mut self,
        segment: &Segment<'_>,
        life: &LifeRef,
        store: &Store,
        limits: &Limits,
        now: Time,
    ) -> Applied {
        let mut done = Applied::default();
        let (from, to) = (segment.head.from, segment.head.to);
        if segment.head.reset && segment.head.floor < self.floor {
            // Its sender does not know yet what was collected: its list may hold what was deleted.
            return done;
        }
        let before = self.held.clone();
        let repairs = segment.head.reset && self.is_repairing();
        if repairs || segment.head.reset && self.held.watermark < segment.head.floor {
            self.reset_step(segment);
        }
        for wire in segment.entries() {
            // Of an interval that is held, what is not here was overwritten or deleted since: an old packet must not
            // bring it back. Behind the floor only a reset can tell what still is.
            let outdated = self.held.has(wire.seq)
                || !segment.head.reset && wire.seq <= self.floor && self.held.watermark < self.floor;
            if repairs && let Some(entry) = self.entry(wire.seq).filter(|entry| !wire.is(entry)) {
                let wrong = entry.clone();
                self.remove(wire.seq);
                store.forget(&wrong);
            }
            if outdated && (!repairs || self.items.contains_key(&wire.seq)) {
                done.known += 1;
            } else {
                self.apply_entry(&wire, life, store, limits, now, &mut done);
            }
        }
        if segment.head.floor > self.floor {
            self.raise_floor(segment.head.floor, store);
        }
        let resets = self.reset.as_ref().is_some_and(|r| !r.repairs);
        let repairing = self.is_repairing();
        if let Some(reset) = self.reset.take_if(|r| r.pos >= r.floor) {
            // Complete up to `pos` again: what the owner had up to there was listed.
            self.doubts.end = self.doubts.end.max(reset.doubts.end);
            self.doubts.seqs.extend(reset.doubts.seqs.iter().filter(|seq| self.items.contains_key(seq)));
            self.held.raise(reset.pos);
        }
        if !resets {
            if self.held.watermark >= self.floor {
                self.held.add(from, to);
            } else if from >= self.floor.max(1) {
                // Behind the floor the watermark may not move, but what lies above is as good as ever.
                self.held.add(from, to);
            }
        }
        if self.held.watermark >= self.doubts.end {
            self.settle_doubts(store, now);
        }
        done.shown = self.lift_veil(store, now);
        done.advanced = self.held != before || resets || repairing;
        done
    }

    fn apply_entry(
        &mut self,
        wire: &WireEntry<'_>,
        life: &LifeRef,
        store: &Store,
        limits: &Limits,
        now: Time,
        done: &mut Applied,
    ) {
        if self.items.contains_key(&wire.seq) {
            done.known += 1;
            return;
        }
        let old = store.entry(wire.key, life.nonce).or_else(|| self.veiled(wire.key));
        if old.as_ref().is_some_and(|old| old.seq() >= wire.seq) {
            done.known += 1;
            return;
        }
        if !wire.deleted {
            let size = wire.key.len() + wire.value.len() + wire.type_url.len();
            let old_live = old.as_ref().filter(|e| !e.head().deleted);
            let keys = self.keys + usize::from(old_live.is_none());
            let bytes = self.bytes + size - old_live.map_or(0, |e| e.size().min(self.bytes));
            let reserved = || {
                let (shown, veiled) = (store.reserved_size(life.nonce), self.veiled_reserved());
                (shown.0 + veiled.0, shown.1 + veiled.1)
            };
            let refusal = limits.refusal(wire, (keys, bytes), reserved);
            if let Some(reason) = refusal {
                // The old value is not the key's value any more: better none than a wrong one.
                if let Some(old) = old {
                    self.remove(old.seq());
                    if store.forget(&old) && old.is_visible(now) {
                        store.expire(&old, now);
                    }
                }
                self.insert_stub(wire.seq);
                done.refused.push((wire.key.to_owned(), reason));
                return;
            }
        }
        let head = EntryHead {
            life: life.clone(),
            type_url: store.type_url(wire.type_url),
            seq: wire.seq,
            received: now,
            origin: Origin::received(now.back(Duration::from_millis(wire.age_ms))),
            expires: wire.ttl_ms.map_or(Time::NEVER, |ttl| now + Duration::from_millis(ttl)),
            key_len: wire.key.len() as u8,
            deleted: wire.deleted,
            drained: AtomicBool::new(true),
        };
        let entry = Entry::new(head, wire.key, wire.value);
        if !self.hides(wire.key, wire.seq) {
            store.apply(&entry, now);
        }
        if let Some(old) = old {
            self.remove(old.seq());
        }
        self.insert(entry);
        done.new += 1;
    }

    /// Raises the floor: tombstones at or below it are dropped.
    fn raise_floor(&mut self, floor: u64, store: &Store) {
        self.floor = floor;
        if let Some(reset) = self.reset.as_mut().filter(|r| !r.repairs && r.floor < floor) {
            // What was listed so far may have been deleted and collected since: it begins again.
            *reset = Reset { floor, ..Reset::default() };
        }
        while let Some(&seq) = self.tombstones.first().filter(|seq| **seq <= floor) {
            if let Some(entry) = self.remove(seq) {
                store.forget(&entry);
            }
        }
    }

    /// Another has heard of a higher floor: who is complete up to it can follow, and serve resets.
    pub fn hear_floor(&mut self, floor: u64, store: &Store) {
        if floor > self.floor && self.held.watermark >= floor {
            self.raise_floor(floor, store);
        }
    }

    /// The owner's side: collects tombstones written `grace` ago, and the oldest ones over `keep`, at or below the
    /// watermark. Gives whether the floor rose.
    ///
    /// An eighth is waited for on top, of either: who is being sent all of it because of a floor begins again when that
    /// rises, and would never come to an end where something is deleted now and then.
    pub fn collect(&mut self, now: Time, grace: Duration, keep: usize, store: &Store) -> bool {
        let late = now.back(grace + grace / 8);
        let Some(oldest) = self.oldest_tombstone() else { return false };
        if oldest > late && self.tombstones.len() <= keep.saturating_add(keep / 8) {
            return false;
        }
        let before = now.back(grace);
        let mut floor = self.floor;
        for (i, seq) in self.tombstones.iter().enumerate() {
            let over = self.tombstones.len() - i > keep;
            let old = self.entry(*seq).is_none_or(|e| e.head().written() <= before);
            if *seq > self.held.watermark || !(over || old) {
                break;
            }
            floor = *seq;
        }
        let rises = floor > self.floor;
        if rises {
            self.raise_floor(floor, store);
        }
        rises
    }

    /// When the oldest tombstone was written.
    fn oldest_tombstone(&self) -> Option<Time> {
        self.entry(*self.tombstones.first()?).map(|e| e.head().written())
    }

    /// When the next entry expires.
    pub fn next_expiry(&self) -> Option<Time> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Takes the next entry off the list of those that expire, if its time has come.
    pub fn pop_expired(&mut self, now: Time) -> Option<Entry> {
        let (at, seq) = *self.expiries.first()?;
        if at > now {
            return None;
        }
        self.expiries.remove(&(at, seq));
        self.entry(seq).cloned()
    }

    /// No key has here, or may still be lacking, a number above this.
    fn end(&self) -> u64 {
        let last = self.items.last_key_value().map_or(0, |(seq, _)| *seq);
        self.held.end().max(last).max(self.doubts.end)
    }

    /// Writes the next segment for a member that holds `theirs` (and whose reset has come to `reset`), of what comes
    /// after `after`, of about `room` bytes of body at most or with one larger entry. Gives its body and its end.
    /// `None`: there is nothing here that they lack.
    pub fn segment_for(
        &self,
        owner: u64,
        theirs: &Held,
        reset: Option<u64>,
        after: u64,
        room: usize,
        now: Time,
    ) -> Option<(Vec<u8>, u64)> {
        let resets = (theirs.watermark < self.floor || reset.is_some()) && self.held.watermark >= self.floor;
        let mut after = after.max(self.serve_after);
        loop {
            let (from, limit) = if resets {
                // What they hold above their watermark does not help: deletes may have passed them by.
                let from = reset.unwrap_or(0).max(after);
                if from >= self.held.watermark {
                    return None;
                }
                (from, self.held.watermark)
            } else {
                let (from, to) = self.held.beyond(theirs).into_iter().find(|(_, to)| *to > after)?;
                (from.max(after), to)
            };
            let mut builder = SegmentBuilder::new(owner, self.floor, from, resets);
            if resets {
                builder.set_end(self.end());
            }
            for (&seq, item) in self.items.range((Excluded(from), Included(limit))) {
                if self.doubts.seqs.contains(&seq) {
                    continue;
                }
                let Item::Entry(entry) = item else {
                    // A stub cannot be passed on. The segment ends before it; the next one begins after it, and the
                    // gap is left to one who has the entry.
                    if seq - 1 > from {
                        return Some((builder.finish(seq - 1), seq - 1));
                    }
                    after = seq;
                    break;
                };
                let head = entry.head();
                let wire = WireEntry {
                    seq,
                    deleted: head.deleted,
                    key: entry.key(),
                    type_url: entry.type_url(),
                    value: entry.value(),
                    age_ms: now.millis_since(head.written()),
                    ttl_ms: (head.expires != Time::NEVER).then(|| head.expires.millis_since(now)),
                };
                if !builder.is_empty() && builder.len() + wire.size_bound() > room {
                    return Some((builder.finish(seq - 1), seq - 1));
                }
                builder.push(&wire);
            }
            if after <= from {
                return Some((builder.finish(limit), limit));
            }
        }
    }

    /// Bytes that a member that holds `theirs` lacks, roughly and counted only up to `enough`.
    pub fn missing_bytes(&self, theirs: &Held, enough: usize) -> usize {
        let mut bytes = 0;
        for (from, to) in self.held.beyond(theirs) {
            for (_, item) in self.items.range((Excluded(from), Included(to))) {
                if let Item::Entry(entry) = item {
                    bytes += entry.size() + 16;
                }
                if bytes >= enough {
                    return bytes;
                }
            }
        }
        bytes
    }

    /// Its owner has raised its generation, and keeps its numbers: so do the entries here.
    pub fn raise_generation(&mut self, life: &LifeRef, store: &Store) {
        for item in self.items.values_mut() {
            if let Item::Entry(entry) = item {
                let raised = entry.of_life(life);
                store.put_again(entry, &raised);
                *entry = raised;
            }
        }
    }

    /// What stays of a log when it begins anew under the same nonce: what was collected stays collected, for segments name no
    /// generation, and an old one may still come.
    pub fn anew(&self) -> Log {
        Log { floor: self.floor, ..Log::default() }
    }

    /// Empties the log and takes its entries out of the store.
    pub fn clear(&mut self, store: &Store) {
        for item in std::mem::take(self).items.into_values() {
            if let Item::Entry(entry) = item {
                store.forget(&entry);
            }
        }
    }
}

#[cfg(test)]
mod tests;
