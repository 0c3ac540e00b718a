//! What the trees of rumors and of claims have in common: hops that wait to be acknowledged.
//!
//! They are bounded, and what is over the bound is dropped: the exchanges of the gossip interval find what it was.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Time;

/// What is told after something was told just now waits so long for more to come along.
pub const COALESCE: Duration = Duration::from_millis(1);

/// An arc on which so many members did not acknowledge is left to the gossip interval.
pub const MAX_FAILED: usize = 4;

/// Hops not yet acknowledged, at most; what is over it is left to the gossip interval.
const MAX_OPEN: usize = 4096;

/// Hops that were sent, by when their acknowledgement is looked for.
#[derive(Debug)]
pub struct Hops<T> {
    open: BTreeMap<(Time, u64), T>,
    /// Tells those of one moment apart.
    next_id: u64,
}

impl<T> Hops<T> {
    /// None yet.
    pub fn new() -> Hops<T> {
        Hops { open: BTreeMap::new(), next_id: 0 }
    }

    /// The hop is looked after at that time; or never, if too many are open: then this gives false.
    pub fn add(&mut self, until: Time, hop: T) -> bool {
        let room = self.open.len() < MAX_OPEN;
        if room {
            self.next_id += 1;
            self.open.insert((until, self.next_id), hop);
        }
        room
    }

    /// When to call [`Hops::pop_due`] next.
    pub fn next_timeout(&self) -> Time {
        self.open.first_key_value().map_or(Time::NEVER, |((at, _), _)| *at)
    }

    /// Takes out the next hop whose time has come.
    pub fn pop_due(&mut self, now: Time) -> Option<T> {
        let first = self.open.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn hops_come_out_in_order_of_their_time_and_no_sooner() {
        let start = Time::from_micros(0);
        let mut hops = Hops::new();
        hops.add(start + SECOND * 2, "later");
        hops.add(start + SECOND, "first");
        hops.add(start + SECOND, "second");
        assert_eq!(hops.next_timeout(), start + SECOND);
        assert_eq!(hops.pop_due(start), None);
        let all: Vec<_> = std::iter::from_fn(|| hops.pop_due(start + SECOND * 2)).collect();
        assert_eq!(all, ["first", "second", "later"]);
        assert_eq!(hops.next_timeout(), Time::NEVER);
    }

    #[test]
    fn no_more_hops_are_kept_than_the_bound() {
        let start = Time::from_micros(0);
        let mut hops = Hops::new();
        assert_eq!((0..MAX_OPEN + 10).filter(|n| hops.add(start, *n)).count(), MAX_OPEN);
        assert_eq!(std::iter::from_fn(|| hops.pop_due(start)).count(), MAX_OPEN);
    }
}
