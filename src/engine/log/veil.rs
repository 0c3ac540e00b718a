//! Entries of a life that was removed here and is back.
//!
//! What was held of it went with it, the deletes too, and who sends its entries anew may be behind what was known here: of
//! such a one would come what was replaced or deleted since, and readers would see it again. So nothing with a number that
//! was known then is shown until all up to that number is here.

use std::collections::HashMap;

use super::Log;
use crate::store::Store;
use crate::store::entry::Entry;
use crate::store::own;
use crate::time::Time;

/// So many numbers that the log does not know any more may stay.
const TIDY_LEAST: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Veil {
    /// Numbers up to it are not shown yet.
    until: u64,
    /// What waits, by key. Of some the log may not know any more.
    seqs: HashMap<Box<str>, u64>,
}

impl Veil {
    /// Nothing waits yet.
    pub fn new(until: u64) -> Veil {
        Veil { until, seqs: HashMap::new() }
    }

    /// Numbers up to it are not shown yet.
    pub fn until(&self) -> u64 {
        self.until
    }

    /// Forgets numbers that the log does not know any more, once they are many.
    fn tidy(&mut self, items: usize, known: impl Fn(&str, u64) -> bool) {
        if self.seqs.len() > 2 * items + TIDY_LEAST {
            self.seqs.retain(|key, seq| known(key, *seq));
        }
    }

    /// The number that waits under a key.
    pub fn seq(&self, key: &str) -> Option<u64> {
        self.seqs.get(key).copied()
    }

    /// Takes a number in, in the place of the one that waits under its key. Gives whether it is to wait.
    pub fn hides(&mut self, key: &str, seq: u64) -> bool {
        let hides = seq <= self.until;
        if hides {
            self.seqs.insert(key.into(), seq);
        } else {
            self.seqs.remove(key);
        }
        hides
    }

    /// What has waited, ascending.
    pub fn lift(self) -> Vec<u64> {
        let mut seqs: Vec<u64> = self.seqs.into_values().collect();
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    }
}

impl Log {
    /// Its member was gone, and is back: numbers up to `known` were known. What comes of them is shown once all is here.
    pub fn comes_back(&mut self, known: u64) {
        self.veil = (known > 0).then(|| Box::new(Veil::new(known)));
    }

    /// The highest number that was ever known of its entries.
    pub fn known(&self) -> u64 {
        let last = self.items.last_key_value().map_or(0, |(seq, _)| *seq);
        self.held.end().max(last).max(self.veil.as_ref().map_or(0, |veil| veil.until()))
    }

    /// Whether some of it is not shown yet.
    pub fn is_veiled(&self) -> bool {
        self.veil.is_some()
    }

    /// Its owner has said what its highest number is: what was said to be above that was wrong. Gives whether more is shown
    /// now.
    pub fn hear_end(&mut self, end: u64, store: &Store, now: Time) -> bool {
        if let Some(veil) = &mut self.veil {
            veil.until = veil.until.min(end);
        }
        self.veil.is_some() && self.lift_veil(store, now)
    }

    /// Takes a number in that has come under a key. Gives whether it is to wait.
    pub(super) fn hides(&mut self, key: &str, seq: u64) -> bool {
        let Some(veil) = &mut self.veil else { return false };
        let items = &self.items;
        veil.tidy(
            items.len(),
            |key, seq| matches!(items.get(&seq), Some(super::Item::Entry(entry)) if entry.key() == key),
        );
        veil.hides(key, seq)
    }

    /// Numbers that are remembered to wait.
    #[cfg(test)]
    pub fn veiled_keys(&self) -> usize {
        self.veil.as_ref().map_or(0, |veil| veil.seqs.len())
    }

    /// Keys and bytes of the library's own entries that are not shown yet.
    pub(super) fn veiled_reserved(&self) -> (usize, usize) {
        let found = own::key::ALL.iter().filter_map(|key| self.veiled(key)).filter(|e| !e.head().deleted);
        found.fold((0, 0), |(keys, bytes), entry| (keys + 1, bytes + entry.size()))
    }

    /// The entry under a key that is not shown yet.
    pub(super) fn veiled(&self, key: &str) -> Option<Entry> {
        // A number may stand for another key since: what was here was wrong, and was fetched anew.
        self.entry(self.veil.as_ref()?.seq(key)?).filter(|entry| entry.key() == key).cloned()
    }

    /// Shows what has waited, if all is here that it could have been replaced or deleted with. Gives whether it did.
    pub(super) fn lift_veil(&mut self, store: &Store, now: Time) -> bool {
        let resets = self.reset.as_ref().is_some_and(|r| !r.repairs);
        if resets || !self.doubts.seqs.is_empty() {
            return false;
        }
        let watermark = self.held.watermark;
        let Some(veil) = self.veil.take_if(|veil| veil.until() <= watermark) else { return false };
        for seq in veil.lift() {
            // It came just now, as far as readers are concerned.
            let Some(entry) = self.remove(seq).map(|entry| entry.received_at(now)) else { continue };
            store.apply(&entry, now);
            self.insert(entry);
        }
        true
    }
}
