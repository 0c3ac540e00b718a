//! The ring: the present members in the order of a hash of their nonces, the same at all members.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::store::lives::make_room;

/// See the module. Places follow from nonces, so that only these are kept.
#[derive(Debug)]
pub struct Ring {
    cluster: u32,
    nonces: Vec<u64>,
}

impl Ring {
    /// An empty one.
    pub fn new(cluster: u32) -> Ring {
        Ring { cluster, nonces: Vec::new() }
    }

    /// Where a life stands, or would.
    pub fn place(&self, nonce: u64) -> u64 {
        xxh3_64_with_seed(&nonce.to_le_bytes(), u64::from(self.cluster) << 32 | 3)
    }

    fn find(&self, nonce: u64) -> Result<usize, usize> {
        self.nonces.binary_search_by_key(&(self.place(nonce), nonce), |n| (self.place(*n), *n))
    }

    /// How many members stand on it.
    pub fn len(&self) -> usize {
        self.nonces.len()
    }

    /// Whether a member stands on it.
    pub fn contains(&self, nonce: u64) -> bool {
        self.find(nonce).is_ok()
    }

    /// Puts a member on it; gives whether it was not there.
    pub fn insert(&mut self, nonce: u64) -> bool {
        let at = self.find(nonce);
        if let Err(at) = at {
            make_room(&mut self.nonces);
            self.nonces.insert(at, nonce);
        }
        at.is_err()
    }

    /// Takes a member off it; gives whether it was there.
    pub fn remove(&mut self, nonce: u64) -> bool {
        let at = self.find(nonce);
        if let Ok(at) = at {
            self.nonces.remove(at);
            if self.nonces.len() * 4 < self.nonces.capacity() {
                self.nonces.shrink_to(self.nonces.len() * 2);
            }
        }
        at.is_ok()
    }

    /// All members, in order.
    pub fn members(&self) -> &[u64] {
        &self.nonces
    }

    /// How many stand before a member.
    pub fn rank(&self, nonce: u64) -> usize {
        self.find(nonce).unwrap_or_else(|at| at)
    }

    /// Those from one place to another, both included, in order; `from` is not after `to`.
    pub fn between(&self, from: u64, to: u64) -> &[u64] {
        let start = self.nonces.partition_point(|n| self.place(*n) < from);
        let end = self.nonces.partition_point(|n| self.place(*n) <= to);
        &self.nonces[start..end.max(start)]
    }

    /// Those after a member, in order and around the ring.
    pub fn after(&self, nonce: u64) -> impl Iterator<Item = u64> + '_ {
        let (next, own) = match self.find(nonce) {
            Ok(at) => (at + 1, at),
            Err(at) => (at, at),
        };
        self.nonces[next..].iter().chain(&self.nonces[..own]).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_order_of_their_places() {
        let mut ring = Ring::new(7);
        for nonce in 1..=100 {
            assert!(ring.insert(nonce) && !ring.insert(nonce));
        }
        assert!(ring.remove(40) && !ring.remove(40) && !ring.contains(40));
        let mut expected: Vec<u64> = (1..=100).filter(|n| *n != 40).collect();
        expected.sort_by_key(|n| ring.place(*n));
        assert_eq!(ring.members(), expected);
        assert_eq!(ring.rank(expected[9]), 9);
        let (from, to) = (ring.place(expected[3]), ring.place(expected[8]));
        assert_eq!(ring.between(from, to), &expected[3..=8]);
        assert_eq!(ring.between(0, u64::MAX).len(), 99);
        let around: Vec<u64> = ring.after(expected[97]).collect();
        assert_eq!((around.len(), around[0], around[1], around[97]), (98, expected[98], expected[0], expected[96]));
        // One that does not stand on it sees all.
        assert_eq!(ring.after(40).count(), 99);
    }
}
