//! Rumors of claims: who joined, is suspected, dead, back or gone is told to everyone at once, down the tree of rumors.
//!
//! Told by whoever makes the claim, or lets a newcomer in; passed on by those to whom it is new. What a rumor misses, the
//! exchanges find, as with entries.

use std::time::Duration;

use super::Engine;
use super::member::Member;
use super::rumor::{News, Span};
use crate::time::Time;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::frame;

/// Further claims wait so long for more to come along.
const COALESCE: Duration = Duration::from_millis(1);

/// Claims that wait to be told, at most; what is over it is left to the gossip interval.
const MAX_WAITING: usize = 1024;

/// Claims that wait to be told.
#[derive(Debug, Default)]
pub struct Claims {
    waiting: Vec<u64>,
    due: Option<Time>,
    last: Time,
}

impl Claims {
    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        self.due.unwrap_or(Time::NEVER)
    }
}

impl Engine {
    /// What is known of a life has changed here, or is news to everyone: it is told at once.
    pub(super) fn tell(&mut self, now: Time, nonce: u64) {
        if self.claims.waiting.contains(&nonce) || self.claims.waiting.len() >= MAX_WAITING {
            return;
        }
        self.claims.waiting.push(nonce);
        if self.claims.due.is_none() {
            self.claims.due = Some(now.max(self.claims.last + COALESCE));
        }
        self.claims_timeout(now);
    }

    /// Tells what is due.
    pub(super) fn claims_timeout(&mut self, now: Time) {
        if self.claims.due.is_none_or(|due| due > now) {
            return;
        }
        self.claims.due = None;
        self.claims.last = now;
        let waiting = std::mem::take(&mut self.claims.waiting);
        let ring = self.whole_ring();
        self.spread_claims(now, ring, &waiting);
    }

    /// Sends records down an arc, as many together as fit a datagram.
    fn spread_claims(&mut self, now: Time, arc: Span, nonces: &[u64]) {
        let room = self.rumor_room();
        let mut from = 0;
        let mut bytes = Vec::new();
        for (i, nonce) in nonces.iter().enumerate() {
            let before = bytes.len();
            self.put_claims(now, &[*nonce], &mut bytes);
            if bytes.len() > room && i > from {
                self.spread_together(now, arc, &nonces[from..i]);
                from = i;
                bytes.drain(..before);
            }
        }
        self.spread_together(now, arc, &nonces[from..]);
    }

    fn spread_together(&mut self, now: Time, arc: Span, nonces: &[u64]) {
        if nonces.is_empty() || self.others.is_empty() {
            return;
        }
        let news = News::Claims(nonces.into());
        if self.spend(now, &news) {
            self.counters.claims_told += 1;
            self.spread(now, arc, news, Vec::new());
        }
    }

    /// Appends the records of the lives that are known among `nonces`.
    pub(super) fn put_claims(&self, now: Time, nonces: &[u64], out: &mut Vec<u8>) {
        for nonce in nonces {
            if let Some(claim) = self.claim(*nonce) {
                claim.to_record(now).put(out);
            }
        }
    }

    /// Whether a peer has stated to know of a life what this node knows.
    pub(super) fn knows_claim(&self, peer: &Member, nonce: u64) -> bool {
        let Some(claim) = self.claim(nonce) else { return true };
        peer.peer.claims.get(&nonce).is_some_and(|rank| *rank >= claim.rank())
    }

    /// Records from `sender`: merged like any, and what is new passed on within the arc.
    pub(super) fn handle_claims(
        &mut self,
        now: Time,
        sender: u64,
        body: &[u8],
        touched: &mut Vec<u64>,
    ) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let arc = Span { from: r.u64()?, to: r.u64()? };
        let mut fresh = Vec::new();
        for record in frame::decode_records(r.bytes(r.len())?)? {
            let nonce = record.nonce;
            touched.push(nonce);
            if self.merge(now, sender, record) {
                fresh.push(nonce);
            }
        }
        self.spread_claims(now, arc, &fresh);
        Ok(())
    }
}
