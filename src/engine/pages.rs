//! Where rows of recent changes do not explain how two members differ: sums over ranges of nonces tell where, and all rows of
//! those ranges follow, so that an absent row says something too. See `exchange.rs` for what comes before.

use std::time::Duration;

use super::Engine;
use crate::time::Time;
use crate::wire::frame::{self, Purpose, Row, Statement};

/// Datagrams of pages in one go; a longer table goes as one message on a stream.
const PAGE_DATAGRAMS: usize = 8;

/// So many members or fewer are compared row by row.
const FEW_MEMBERS: usize = 128;

/// Buckets for more than a thousand members: so many bits of the nonce tell them apart, if a datagram has room for them.
const MAX_BUCKET_BITS: u32 = 8;

/// Pages are not sent again to the same peer before.
const PAGES_EVERY: Duration = Duration::from_millis(200);

impl Engine {
    /// Sends the whole table.
    pub(super) fn send_pages(&mut self, now: Time, nonce: u64) {
        if self.may_page(now, nonce) {
            self.send_ranges(now, nonce, &[(0, u64::MAX)]);
        }
    }

    /// Whether pages or buckets may be sent to this peer again.
    fn may_page(&mut self, now: Time, nonce: u64) -> bool {
        let Some(member) = self.members.get_mut(&nonce) else { return false };
        let may = member.peer.pages_after <= now;
        if may {
            member.peer.talk().pages_after = now + PAGES_EVERY;
        }
        may
    }

    /// Something differs that no row has told of: sums over ranges of nonces, for the peer to say where; of few members
    /// the whole table, which costs no more.
    pub(super) fn send_buckets(&mut self, now: Time, nonce: u64) {
        let n = self.ring.len();
        if n <= FEW_MEMBERS {
            return self.send_pages(now, nonce);
        }
        if !self.may_page(now, nonce) {
            return;
        }
        let bits = if n > 1024 && self.out.room() > 4 << MAX_BUCKET_BITS { MAX_BUCKET_BITS } else { 6 };
        let body = frame::encode_buckets(&self.buckets(bits));
        if let Some(target) = self.members.get(&nonce).map(|m| m.claim.target()) {
            self.out.frame(target, frame::kind::BUCKETS, &body, &mut self.counters);
        }
    }

    /// Sums of what members add to the fingerprints, by the highest bits of their nonces.
    fn buckets(&self, bits: u32) -> Vec<u32> {
        let mut sums = vec![0u32; 1 << bits];
        for (nonce, member) in self.members.iter() {
            let sum = &mut sums[(nonce >> (64 - bits)) as usize];
            *sum = sum.wrapping_add(member.terms.digest() as u32);
        }
        sums
    }

    /// Tells the sender all that this node has in those ranges in which the two differ.
    pub(super) fn handle_buckets(&mut self, now: Time, sender: u64, theirs: &[u32]) {
        if !self.members.contains_key(&sender) {
            return;
        }
        let bits = theirs.len().ilog2();
        let width = u64::MAX >> bits;
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (i, (ours, theirs)) in self.buckets(bits).iter().zip(theirs).enumerate() {
            let lo = (i as u64) << (64 - bits);
            match ranges.last_mut() {
                _ if ours == theirs => {}
                Some((_, hi)) if lo > 0 && *hi == lo - 1 => *hi = lo + width,
                _ => ranges.push((lo, lo + width)),
            }
        }
        if !ranges.is_empty() && self.may_page(now, sender) {
            self.send_ranges(now, sender, &ranges);
        }
    }

    /// Sends all rows of the ranges of nonces, so that an absent row says something too.
    fn send_ranges(&mut self, now: Time, nonce: u64, ranges: &[(u64, u64)]) {
        let Some(target) = self.members.get(&nonce).map(|m| m.claim.target()) else { return };
        let mut present: Vec<u64> = self.ring.members().to_vec();
        present.sort_unstable();
        let mut frames = Vec::new();
        for &(lo, hi) in ranges {
            let from = present.partition_point(|n| *n < lo);
            let to = present.partition_point(|n| *n <= hi);
            let mut rows: Vec<Row> = present[from..to].iter().filter_map(|n| self.row(*n)).collect();
            self.mark_asked(now, nonce, &mut rows);
            let pieces = self.packets_of(rows);
            let last = pieces.len() - 1;
            let mut lo = lo;
            for (i, rows) in pieces.into_iter().enumerate() {
                let end = if i == last { hi } else { rows.last().map_or(lo, |r| r.nonce) };
                let statement = Statement { range: Some((lo, end)), ..Statement::of_rows(Purpose::Inform, rows) };
                frames.push((frame::kind::STATEMENT, statement.encode()));
                lo = end.saturating_add(1);
            }
        }
        let bytes: usize = frames.iter().map(|(_, body)| body.len()).sum();
        if bytes <= PAGE_DATAGRAMS * self.out.room() {
            for (kind, body) in frames {
                self.out.frame(target, kind, &body, &mut self.counters);
            }
        } else {
            self.out.message(target, &frames, &mut self.counters);
        }
    }
}
