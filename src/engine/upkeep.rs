//! What is done for the entries that are here: own ones are taken in, expired ones end, tombstones are collected.

use std::time::Duration;

use super::{Engine, member};
use crate::time::Time;
use crate::wire::frame::Purpose;

/// How long a changed entry of this node waits for more to come along.
const COALESCE: Duration = Duration::from_millis(1);

/// Pieces of 256 own entries taken in at one wake-up; what is more comes at the next.
const DRAINS: usize = 64;

/// All members are looked over in so many rounds of housekeeping, or so many members in each.
const TIDY_PARTS: usize = 8;
const TIDY_LEAST: usize = 64;

impl Engine {
    /// Takes own entries that were written since into the log.
    pub(super) fn drain_own(&mut self, now: Time) {
        let store = self.store.clone();
        let mut expiry = None;
        let mut advanced = false;
        if let Some(me) = self.members.get_mut(&self.me) {
            // A bounded piece under the writer's lock at a time, so that a `set` never waits long.
            for _ in 0..DRAINS {
                if !store.is_dirty() {
                    break;
                }
                let log = me.log.make();
                let to = store.drain_own(256, |entry| log.put_own(entry));
                advanced |= log.own_complete(to);
            }
            if store.is_dirty() {
                store.wake_engine();
            }
            if advanced {
                expiry = Some(me.log.next_expiry());
            }
        }
        if let Some(expiry) = expiry {
            self.note_expiry(self.me, expiry);
            // A rumor tells it at once; the interval then makes certain.
            let settle = if self.settings.rumors { self.settle() } else { COALESCE };
            self.touch(now, self.me, settle);
            self.rumor_own(now);
        }
    }

    /// Ends entries whose time to live is over.
    pub(super) fn expire(&mut self, now: Time) {
        self.note_lag(now, Duration::ZERO);
        while let Some(&(at, nonce)) = self.expiries.first() {
            if at > now {
                return;
            }
            self.expiries.remove(&(at, nonce));
            let Some(member) = self.members.get_mut(&nonce) else { continue };
            let Some(log) = member.log.get_mut() else { continue };
            log.noted_expiry = None;
            while let Some(entry) = log.pop_expired(now) {
                // A newer version may have taken its place in the store while it waits to be drained.
                let current = self.store.entry(entry.key(), nonce).is_some_and(|e| e.same(&entry));
                if current {
                    self.counters.entries_expired += 1;
                    if nonce == self.me {
                        self.store.expire_own(now, &entry);
                    } else if entry.head().received < entry.head().expires {
                        // One that came too late was never seen, and does not go.
                        self.store.expire(&entry, now);
                    }
                }
            }
            let next = member.log.next_expiry();
            self.note_expiry(nonce, next);
        }
    }

    pub(super) fn note_expiry(&mut self, nonce: u64, next: Option<Time>) {
        let Some(member) = self.members.get_mut(&nonce) else { return };
        if member.log.noted_expiry == next {
            return;
        }
        if let Some(old) = std::mem::replace(&mut member.log.make().noted_expiry, next) {
            self.expiries.remove(&(old, nonce));
        }
        if let Some(next) = next {
            self.expiries.insert((next, nonce));
        }
    }

    pub(super) fn housekeeping(&mut self, now: Time) {
        let store = self.store.clone();
        let grace = self.settings.tombstone_grace;
        let keep = self.settings.max_keys_per_member;
        let me = self.members.get_mut(&self.me).expect("this node is always among its members");
        let own = member::Own { nonce: self.me, position: me.position, watermark: me.log.held().watermark };
        if me.log.get_mut().is_some_and(|log| log.collect(now, grace, keep, &store)) {
            self.counters.tombstone_collections += 1;
        }
        // A part of them a time: with many members most have nothing to forget.
        let look = (self.members.len() / TIDY_PARTS).max(TIDY_LEAST);
        let mut veiled = Vec::new();
        for member in self.members.values_mut().skip(self.tidied).take(look) {
            member.peer.tidy(now, &own);
            if member.log.is_veiled() && member.answers() {
                veiled.push(member.claim.target());
            }
        }
        // Of those that were gone and are back: what it has is best said by itself.
        for to in veiled {
            let row = self.row(to.nonce);
            self.state(to, Purpose::Query, row.into_iter().collect());
        }
        self.tidied = if self.tidied + look < self.members.len() { self.tidied + look } else { 0 };
        self.expire_heartbeats(now);
        self.tidy_bans(now);
        self.forget_departed(now);
        self.said.housekeeping(now);
    }
}
