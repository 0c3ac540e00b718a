//! Resets: one that had fallen behind the floor is told in order what its owner still has, and what the stream passes over
//! is in doubt until all is here that it could have come again with.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included};

use super::Log;
use crate::store::Store;
use crate::time::Time;
use crate::wire::segment::Segment;

/// A reset under way: the member had fallen behind the floor, so that deletes may have passed it by.
#[derive(Debug, Default)]
pub struct Reset {
    /// The floor it is to reach.
    pub floor: u64,
    /// How far the stream has come.
    pub pos: u64,
    /// What is held was found to differ from what it should be: all of it is compared with what the owner sends.
    pub repairs: bool,
    /// Numbers up to `pos` that are here but were not in the stream.
    pub doubts: Doubts,
}

/// Numbers of entries that are here, but are not at one who holds all up to them: their keys are gone, or have a later
/// number. They are shown until that is known, and passed on to nobody.
#[derive(Debug, Default)]
pub struct Doubts {
    pub seqs: BTreeSet<u64>,
    /// Where all up to this number is held, what has not come again is gone.
    pub end: u64,
}

impl Log {
    /// Begins to fetch anew what is held, though nothing of it is missing. Gives whether that was not under way already.
    pub fn begin_repair(&mut self) -> bool {
        let begins = self.reset.is_none();
        self.reset.get_or_insert(Reset { floor: self.held.watermark, repairs: true, ..Reset::default() });
        begins
    }

    /// Gives up fetching anew what is held.
    pub fn end_repair(&mut self) {
        self.reset.take_if(|r| r.repairs);
    }

    /// Whether what is held is being fetched anew.
    pub fn is_repairing(&self) -> bool {
        self.reset.as_ref().is_some_and(|r| r.repairs)
    }

    /// All is here that the keys in doubt could have come again with: they are gone.
    pub(super) fn settle_doubts(&mut self, store: &Store, now: Time) {
        for seq in std::mem::take(&mut self.doubts).seqs {
            if let Some(entry) = self.remove(seq)
                && store.forget(&entry)
                && entry.is_visible(now)
            {
                store.expire(&entry, now);
            }
        }
    }

    /// Notes which of the entries here the stream has passed over.
    pub(super) fn reset_step(&mut self, segment: &Segment<'_>) {
        let head = segment.head;
        let reset = self.reset.get_or_insert_default();
        if head.floor > reset.floor {
            // What was listed so far may have been deleted and collected since: begin again.
            *reset = Reset { floor: head.floor, ..Reset::default() };
        }
        if head.from > reset.pos || head.to <= reset.pos {
            return;
        }
        let listed: BTreeSet<u64> = segment.entries().map(|e| e.seq).collect();
        let passed = (Excluded(reset.pos), Included(head.to));
        reset.doubts.seqs.extend(self.items.range(passed).map(|(seq, _)| *seq).filter(|seq| !listed.contains(seq)));
        reset.doubts.end = reset.doubts.end.max(head.end);
        reset.pos = head.to;
    }
}
