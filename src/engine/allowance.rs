//! A token bucket: bytes that may be spent at a rate, and saved up to a burst.

use std::time::Duration;

use crate::time::Time;

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

    #[test]
    fn an_allowance_gives_a_burst_and_then_its_rate() {
        let start = Time::from_micros(0);
        let mut allowance = Allowance::new(start, 100.0, 1000.0);
        assert!(allowance.spend(start, 1000, 0.0));
        assert!(!allowance.spend(start, 1, 0.0));
        assert_eq!(allowance.wait_for(50, 50.0), Duration::from_secs(1));
        assert!(!allowance.spend(start + Duration::from_secs(1), 50, 51.0));
        assert!(allowance.spend(start + Duration::from_secs(1), 50, 50.0));
        // Nothing is saved over the burst.
        assert!(!allowance.spend(start + Duration::from_secs(1) * 100, 1001, 0.0));
        assert!(allowance.spend(start + Duration::from_secs(1) * 100, 1000, 0.0));
    }
}
