//! What is held of an owner's entries: a watermark, and a few complete intervals above it.
//!
//! "Highest number seen" alone would lose entries for ever when packets get lost, "complete up to" alone would strand
//! the newest ones behind a gap.

use crate::wire::frame::{Held, MAX_INTERVALS};

impl Held {
    /// Whether everything up to and with `seq` that matters at `seq` is held.
    pub fn has(&self, seq: u64) -> bool {
        seq <= self.watermark || self.above.iter().any(|&(from, to)| seq > from && seq <= to)
    }

    /// The highest number held.
    pub fn end(&self) -> u64 {
        self.above.last().map_or(self.watermark, |&(_, to)| to)
    }

    /// Adds the interval (from, to]. Gives false, and changes nothing, if there is no room for one more gap.
    pub fn add(&mut self, from: u64, to: u64) -> bool {
        if from <= self.watermark {
            self.watermark = self.watermark.max(to);
            self.absorb();
            return true;
        }
        if to <= from {
            return true;
        }
        // Intervals that touch or overlap the new one become one with it.
        let first = self.above.partition_point(|&(_, end)| end < from);
        let last = self.above.partition_point(|&(start, _)| start <= to);
        if first == last {
            if self.above.len() >= MAX_INTERVALS {
                return false;
            }
            self.above.insert(first, (from, to));
        } else {
            let merged = (from.min(self.above[first].0), to.max(self.above[last - 1].1));
            self.above.splice(first..last, [merged]);
        }
        true
    }

    /// Raises the watermark to at least `to`.
    pub fn raise(&mut self, to: u64) {
        self.watermark = self.watermark.max(to);
        self.absorb();
    }

    fn absorb(&mut self) {
        while let Some(&(from, to)) = self.above.first() {
            if from > self.watermark {
                break;
            }
            self.watermark = self.watermark.max(to);
            self.above.remove(0);
        }
    }

    /// All intervals, that below the watermark first; empty ones are left out.
    pub fn intervals(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        (self.watermark > 0).then_some((0, self.watermark)).into_iter().chain(self.above.iter().copied())
    }

    /// The intervals that this holds and `other` does not, ascending.
    pub fn beyond(&self, other: &Held) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        for (mut from, to) in self.intervals() {
            for (o_from, o_to) in other.intervals() {
                if o_to <= from || o_from >= to {
                    continue;
                }
                if o_from > from {
                    out.push((from, o_from));
                }
                from = o_to;
                if from >= to {
                    break;
                }
            }
            if from < to {
                out.push((from, to));
            }
        }
        out
    }

    /// Whether this holds all that `other` holds.
    pub fn covers(&self, other: &Held) -> bool {
        other.intervals().all(|(from, to)| self.intervals().any(|(f, t)| f <= from && to <= t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn numbers(held: &Held) -> BTreeSet<u64> {
        held.intervals().flat_map(|(from, to)| from + 1..=to).collect()
    }

    fn held() -> impl Strategy<Value = (Held, BTreeSet<u64>)> {
        proptest::collection::vec((0u64..60, 0u64..8), 0..12).prop_map(|adds| {
            let mut held = Held::default();
            let mut set = BTreeSet::new();
            for (from, len) in adds {
                if held.add(from, from + len) {
                    set.extend(from + 1..=from + len);
                }
            }
            (held, set)
        })
    }

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_added((held, set) in held()) {
            prop_assert_eq!(numbers(&held), set.clone());
            prop_assert!(held.above.windows(2).all(|w| w[0].1 < w[1].0));
            prop_assert!(held.above.first().is_none_or(|&(from, to)| from > held.watermark && to > from));
            prop_assert!((1..70).all(|n| held.has(n) == set.contains(&n)));
        }

        #[test]
        fn beyond_and_covers_are_those_of_sets((a, a_set) in held(), (b, b_set) in held()) {
            let beyond: BTreeSet<u64> = a.beyond(&b).into_iter().flat_map(|(from, to)| from + 1..=to).collect();
            prop_assert_eq!(&beyond, &(&a_set - &b_set));
            prop_assert_eq!(a.covers(&b), b_set.is_subset(&a_set));
        }
    }

    #[test]
    fn a_gap_too_many_is_refused() {
        let mut held = Held::default();
        for i in 0..MAX_INTERVALS as u64 {
            assert!(held.add(10 + i * 10, 11 + i * 10));
        }
        let full = held.clone();
        assert!(!held.add(1000, 1001));
        assert_eq!(held, full);
        assert!(held.add(0, 1000));
        assert_eq!(held, Held { watermark: 1000, above: vec![] });
    }
}
