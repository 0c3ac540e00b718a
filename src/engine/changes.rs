//! The log of members by their latest local change: what makes committed offsets cost O(N) and not O(N²).
//!
//! A peer that was proven equal at position p holds everything about members whose latest change is at or below p.

use crate::store::lives::make_room;

/// See the module.
#[derive(Debug, Default)]
pub struct Changes {
    /// Position and member, ascending; those out of date stand empty for a while, with [`GONE`] as their member.
    log: Vec<(u64, u64)>,
    gone: usize,
    head: u64,
}

/// No member has this nonce.
const GONE: u64 = 0;

impl Changes {
    /// The position of the latest change.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Notes that member `nonce`, last changed at `last` (0: never), has changed. Gives the position of the change.
    pub fn note(&mut self, nonce: u64, last: u64) -> u64 {
        if last > 0 {
            self.forget(last);
        }
        self.head += 1;
        make_room(&mut self.log);
        self.log.push((self.head, nonce));
        self.head
    }

    /// Forgets a member.
    pub fn forget(&mut self, last: u64) {
        if let Ok(at) = self.log.binary_search_by_key(&last, |(position, _)| *position) {
            self.gone += usize::from(self.log[at].1 != GONE);
            self.log[at].1 = GONE;
        }
        // Few enough to cost little room, and so many that cleaning up costs little time a change.
        if self.gone > 16 + self.log.len() / 8 {
            self.log.retain(|(_, nonce)| *nonce != GONE);
            self.gone = 0;
        }
    }

    /// Members that have changed after `position`, the latest first.
    pub fn since(&self, position: u64) -> impl Iterator<Item = u64> + '_ {
        let from = self.log.partition_point(|(at, _)| *at <= position);
        self.log[from..].iter().rev().map(|(_, nonce)| *nonce).filter(|nonce| *nonce != GONE)
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

    #[test]
    fn what_is_out_of_date_takes_no_room() {
        let (mut changes, mut last) = (Changes::default(), [0; 10]);
        for i in 0..10_000 {
            last[i % 10] = changes.note(i as u64 % 10 + 1, last[i % 10]);
        }
        assert_eq!(changes.since(0).collect::<Vec<_>>(), (1..=10).rev().collect::<Vec<u64>>());
        assert!(changes.log.len() < 40, "{}", changes.log.len());
    }
}
