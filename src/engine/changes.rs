//! The log of members by their latest local change: what makes committed offsets cost O(N) and not O(N²).
//!
//! A peer that was proven equal at position p holds everything about members whose latest change is at or below p.

use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub struct Changes {
    by_position: BTreeMap<u64, u64>,
    head: u64,
}

impl Changes {
    /// The position of the latest change.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Notes that member `nonce`, last changed at `last` (0: never), has changed. Gives the position of the change.
    pub fn note(&mut self, nonce: u64, last: u64) -> u64 {
        self.by_position.remove(&last);
        self.head += 1;
        self.by_position.insert(self.head, nonce);
        self.head
    }

    /// Forgets a member.
    pub fn forget(&mut self, last: u64) {
        self.by_position.remove(&last);
    }

    /// Members that have changed after `position`, the latest first.
    pub fn since(&self, position: u64) -> impl Iterator<Item = u64> + '_ {
        self.by_position.range(position + 1..).rev().map(|(_, nonce)| *nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_stands_at_its_latest_change() {
        let mut changes = Changes::default();
        let a = changes.note(10, 0);
        let b = changes.note(20, 0);
        let a2 = changes.note(10, a);
        assert_eq!(changes.since(0).collect::<Vec<_>>(), [10, 20]);
        assert_eq!(changes.since(b).collect::<Vec<_>>(), [10]);
        assert_eq!(changes.since(a2).count(), 0);
        changes.forget(a2);
        assert_eq!(changes.since(0).collect::<Vec<_>>(), [20]);
        assert_eq!(changes.head(), 3);
    }
}
