//! Entries of a life that was removed here and is back.
//!
//! What was held of it went with it, the deletes too, and who sends its entries anew may be behind what was known here: of
//! such a one would come what was replaced or deleted since, and readers would see it again. So nothing with a number that
//! was known then is shown until all up to that number is here.

use std::collections::HashMap;

use super::Log;
use crate::store::Store;
use crate::store::entry::Entry;
use crate::time::Time;

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
        seqs
    }
}

impl Log {
    /// Its member was gone, and is back: numbers up to `known` were known. What comes of them is shown once all is here.
    pub fn comes_back(&mut self, known: u64) {
        self.veil = (known > 0).then(|| Box::new(Veil::new(known)));
    }

    /// The entry under a key that is not shown yet.
    pub(super) fn veiled(&self, key: &str) -> Option<Entry> {
        self.entry(self.veil.as_ref()?.seq(key)?).cloned()
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
