//! What peers were told of lives just now: so that two that do not take each other's word repeat it now and then, and not
//! at the speed of their round trip.

use std::hash::BuildHasher;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashMap};

use super::Engine;
use crate::time::Time;
use crate::wire::frame::Row;

/// The same is not said to the same peer again before; nor before so many round trips.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const ROUND_TRIPS: u32 = 4;

/// The longest that a round trip may make it.
const AGAIN_AFTER_MOST: Duration = Duration::from_secs(2);

/// Remembered at most.
const MAX_SAID: usize = 4096;

/// About a life, to a peer.
#[derive(Clone, Copy, Debug, Hash)]
enum What {
    /// This was told: generation, incarnation, status and cause.
    Told(u64, u64, u8, u8),
    /// Its record was asked for, for this rank was heard of.
    Asked(u64, u8),
}

/// See the module: by a hash of the peer, the life, and whether something was told or asked, a hash of what that was and when.
/// Two that hash alike would only be said a moment later.
#[derive(Debug, Default)]
pub struct Said {
    hasher: DefaultHashBuilder,
    last: HashMap<u64, (u64, Time)>,
}

impl Said {
    /// Notes that `what` is said; gives false if it was said just now.
    fn note(&mut self, now: Time, (peer, life): (u64, u64), what: What, pause: Duration) -> bool {
        let key = self.hasher.hash_one((peer, life, matches!(what, What::Asked(..))));
        let what = self.hasher.hash_one(what);
        if self.last.get(&key).is_some_and(|(old, at)| *old == what && now.since(*at) < pause) {
            return false;
        }
        if self.last.len() >= MAX_SAID && !self.last.contains_key(&key) {
            self.last.retain(|_, (_, at)| now.since(*at) < AGAIN_AFTER);
            if self.last.len() >= MAX_SAID {
                return true;
            }
        }
        self.last.insert(key, (what, now));
        true
    }

    /// Forgets what is old.
    pub fn housekeeping(&mut self, now: Time) {
        self.last.retain(|_, (_, at)| now.since(*at) < AGAIN_AFTER_MOST);
        if self.last.is_empty() {
            self.last = HashMap::new();
        }
    }
}

impl Engine {
    fn pause(&self, peer: u64) -> Duration {
        let rtt = self.members.get(&peer).and_then(|m| m.peer.srtt_us()).or(self.rumors.rtt_us);
        let trips = rtt.map_or(Duration::ZERO, |us| Duration::from_micros(us.into()) * ROUND_TRIPS);
        trips.clamp(AGAIN_AFTER, AGAIN_AFTER_MOST)
    }

    /// Notes that a peer is told what is known of a life now; gives false if it was told that just now.
    pub(super) fn may_tell(&mut self, now: Time, peer: u64, life: u64) -> bool {
        let pause = self.pause(peer);
        let Some(claim) = self.claim(life) else { return false };
        let what = What::Told(claim.life.generation, claim.incarnation, claim.status as u8, claim.cause as u8);
        self.said.note(now, (peer, life), what, pause)
    }

    /// Notes that a peer is asked for the record of a life after a row of it; gives false if it was asked for
    /// that just now.
    pub(super) fn may_ask(&mut self, now: Time, peer: u64, row: &Row) -> bool {
        let pause = self.pause(peer);
        self.said.note(now, (peer, row.nonce), What::Asked(row.incarnation, row.status as u8), pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_again_only_after_a_while() {
        let at = |ms: u64| Time::from_micros((1 << 50) + ms * 1000);
        let mut said = Said::default();
        let told = |incarnation| What::Told(1, incarnation, 1, 0);
        assert!(said.note(at(0), (1, 2), told(1), AGAIN_AFTER));
        assert!(!said.note(at(99), (1, 2), told(1), AGAIN_AFTER));
        assert!(said.note(at(99), (1, 2), What::Asked(1, 1), AGAIN_AFTER), "asking is something else");
        assert!(said.note(at(99), (1, 2), told(2), AGAIN_AFTER), "news is told at once");
        assert!(said.note(at(99), (3, 2), told(2), AGAIN_AFTER), "so is another peer");
        assert!(said.note(at(200), (1, 2), told(2), AGAIN_AFTER));
        for life in 0..100_000 {
            said.note(at(300), (1, life), told(1), AGAIN_AFTER);
        }
        assert!(said.last.len() <= MAX_SAID);
        said.housekeeping(at(10_000));
        assert!(said.last.is_empty());
    }
}
