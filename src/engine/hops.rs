//! What the trees of rumors and of claims have in common: hops that wait to be acknowledged, and an allowance of bytes.
//!
//! Both are bounded, and what is over the bound is dropped: the exchanges of the gossip interval find what it was.

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

/// Bytes that may be spent at a rate, and saved up to a burst: a token bucket.
#[derive(Debug)]
pub struct Allowance {
    rate: f64,
    burst: f64,
    saved: f64,
    filled: Time,
}

impl Allowance {
    /// Full. `rate` in bytes a second, `burst` in bytes.
    pub fn new(now: Time, rate: f64, burst: f64) -> Allowance {
        Allowance { rate, burst, saved: burst, filled: now }
    }

    /// Takes `bytes` out, if so many are in it and `spare` are left.
    pub fn spend(&mut self, now: Time, bytes: usize, spare: f64) -> bool {
        self.saved = (self.saved + now.since(self.filled).as_secs_f64() * self.rate).min(self.burst);
        self.filled = now;
        let enough = self.saved >= bytes as f64 + spare;
        if enough {
            self.saved -= bytes as f64;
        }
        enough
    }

    /// How long until `bytes` may be spent with `spare` left, as it was at the last try.
    pub fn wait_for(&self, bytes: usize, spare: f64) -> Duration {
        Duration::from_secs_f64((bytes as f64 + spare - self.saved).max(0.0) / self.rate)
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

    #[test]
    fn an_allowance_gives_a_burst_and_then_its_rate() {
        let start = Time::from_micros(0);
        let mut allowance = Allowance::new(start, 100.0, 1000.0);
        assert!(allowance.spend(start, 1000, 0.0));
        assert!(!allowance.spend(start, 1, 0.0));
        assert_eq!(allowance.wait_for(50, 50.0), SECOND);
        assert!(!allowance.spend(start + SECOND, 50, 51.0));
        assert!(allowance.spend(start + SECOND, 50, 50.0));
        // Nothing is saved over the burst.
        assert!(!allowance.spend(start + SECOND * 100, 1001, 0.0));
        assert!(allowance.spend(start + SECOND * 100, 1000, 0.0));
    }
}
