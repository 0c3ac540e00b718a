//! Calling on those that are held dead: one that lives, behind a partition that has healed, refutes, and the two sides know
//! of each other again.
//!
//! Each member calls on one of them at a time, in turn, at a steady pace. Whoever has declared one dead also calls on it
//! soon after, and then ever more rarely: most partitions are short. That is a few packets a death, however many members
//! there are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use rand::Rng;

use super::Engine;
use crate::store::members::{Cause, MemberStatus};
use crate::time::Time;
use crate::wire::frame;

/// One that this node has declared dead is called on after so long, and then after twice as long each time, until that
/// is the steady pace.
const FIRST: Duration = Duration::from_secs(1);

/// So many of them at a time; those over it have their turn at the steady pace.
const MAX_RECENT: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct Healing {
    /// Lives that are held dead, with their state here or only remembered.
    dead: BTreeSet<u64>,
    /// The one whose turn was last, in their order.
    last: u64,
    at: Time,
    /// Declared dead by this node lately: when to call on them, and the pause after that.
    recent: BTreeMap<(Time, u64), Duration>,
}

impl Healing {
    /// Nobody is dead yet.
    pub fn new(now: Time, interval: Duration, rng: &mut impl Rng) -> Healing {
        let at = now + interval.mul_f64(rng.random());
        Healing { dead: BTreeSet::new(), last: rng.random(), at, recent: BTreeMap::new() }
    }

    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        self.recent.first_key_value().map_or(self.at, |((at, _), _)| self.at.min(*at))
    }

    /// Nobody is remembered any more.
    pub fn clear(&mut self) {
        self.dead.clear();
        self.recent.clear();
    }

    /// The next in turn.
    fn next(&mut self) -> Option<u64> {
        let after = self.dead.range((Bound::Excluded(self.last), Bound::Unbounded)).next();
        let next = *after.or(self.dead.first())?;
        self.last = next;
        Some(next)
    }

    fn call_soon(&mut self, now: Time, nonce: u64) {
        if self.recent.len() < MAX_RECENT {
            self.recent.insert((now + FIRST, nonce), FIRST * 2);
        }
    }
}

impl Engine {
    /// Brings the list of the dead up to date with what is known of a life.
    pub(super) fn refresh_dead(&mut self, nonce: u64) {
        if self.claim(nonce).is_some_and(|claim| claim.status == MemberStatus::Dead) {
            self.healing.dead.insert(nonce);
        } else {
            self.healing.dead.remove(&nonce);
        }
    }

    /// This node has declared a member dead.
    pub(super) fn call_soon(&mut self, now: Time, nonce: u64, cause: Cause) {
        // Where another process has its address it is not reached there.
        if cause != Cause::Replaced {
            self.healing.call_soon(now, nonce);
        }
    }

    /// Tells those whose turn it is what is held against them, wherever they were last.
    pub(super) fn healing_timeout(&mut self, now: Time) {
        if !self.is_member() {
            self.healing.recent.clear();
            self.healing.at = Time::NEVER;
            return;
        }
        while let Some((&(at, nonce), &pause)) = self.healing.recent.first_key_value() {
            if at > now {
                break;
            }
            self.healing.recent.pop_first();
            if self.healing.dead.contains(&nonce) {
                self.tell_accused(now, nonce, None);
                if pause < self.settings.dead_probe_interval {
                    self.healing.recent.insert((now + pause, nonce), pause * 2);
                }
            }
        }
        if self.healing.at <= now {
            let pause = self.settings.dead_probe_interval.mul_f64(self.rng.random_range(0.7..1.3));
            self.healing.at = now + pause;
            if let Some(nonce) = self.healing.next() {
                self.tell_accused(now, nonce, None);
            }
        }
    }

    /// Tells a life what is held against it, at `from` or where it was last.
    pub(super) fn tell_accused(&mut self, now: Time, nonce: u64, from: Option<std::net::SocketAddr>) {
        let Some(claim) = self.claim(nonce) else { return };
        let mut to = claim.target();
        to.address = from.unwrap_or(to.address);
        let mut body = Vec::new();
        claim.to_record(now).put(&mut body);
        self.out.frame(to, frame::kind::MEMBERS, &body, &mut self.counters);
        self.out.frame(to, frame::kind::WANT_MEMBERS, &nonce.to_le_bytes(), &mut self.counters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn all_of_the_dead_have_their_turn() {
        let mut rng = rand::rngs::SmallRng::seed_from_u64(1);
        let mut healing = Healing::new(Time::default(), FIRST, &mut rng);
        assert_eq!(healing.next(), None);
        healing.dead.extend([1, 5, u64::MAX]);
        let mut turns: Vec<u64> = (0..3).filter_map(|_| healing.next()).collect();
        turns.sort_unstable();
        assert_eq!(turns, [1, 5, u64::MAX]);
        (0..100).for_each(|nonce| healing.call_soon(Time::default(), nonce));
        assert_eq!(healing.recent.len(), MAX_RECENT);
        healing.clear();
        assert_eq!((healing.next(), healing.next_timeout()), (None, healing.at));
    }
}
