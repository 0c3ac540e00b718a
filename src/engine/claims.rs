//! Rumors of claims: who joined, is suspected, dead, back or gone is told to everyone at once, down the tree of rumors.
//!
//! Told by whoever makes the claim, or lets a newcomer in; passed on by those to whom it is new. What a rumor misses, the
//! exchanges find, as with entries.

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::HashMap;

use super::Engine;
use super::allowance::Allowance;
use super::arc::{ARCS, Span};
use super::hops::{COALESCE, Hops, MAX_FAILED};
use super::member::{ClaimRank, Member, claim_rank};
use super::membership::{Merged, Way};
use crate::time::Time;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::frame;

/// Claims that wait to be told, at most; what is over it is left to the gossip interval.
const MAX_WAITING: usize = 1024;

/// What an exchange has brought before the tree is told by its arc all the same, if the tree comes within this.
const UNTOLD: Duration = Duration::from_secs(1);

/// Bytes of claims told a second, and at once: an allowance of their own, which data cannot use up. Over it, claims wait
/// for the gossip interval.
const RATE: f64 = 64e3;
const BURST: f64 = 256.0 * 1024.0;

/// Bytes that a record costs, roughly.
const RECORD: usize = 128;

/// A hop that is to be acknowledged.
#[derive(Debug)]
struct Hop {
    peer: u64,
    arc: Span,
    nonces: Nonces,
    again: bool,
    /// Members that did not acknowledge on this arc.
    failed: Vec<u64>,
}

type Nonces = std::sync::Arc<[u64]>;

/// Claims that wait to be told, and those that were told and are not acknowledged.
#[derive(Debug)]
pub struct Claims {
    waiting: Vec<u64>,
    due: Option<Time>,
    last: Time,
    open: Hops<Hop>,
    /// In how many of those each life is told.
    awaited: HashMap<u64, u32>,
    allowance: Allowance,
    /// What was learnt otherwise than down the tree, lately: nobody on this node's arc has been told.
    untold: BTreeMap<u64, (ClaimRank, Time)>,
}

impl Claims {
    /// None yet.
    pub fn new(now: Time) -> Claims {
        Claims {
            waiting: Vec::new(),
            due: None,
            last: now,
            open: Hops::new(),
            awaited: HashMap::new(),
            allowance: Allowance::new(now, RATE, BURST),
            untold: BTreeMap::new(),
        }
    }

    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        self.open.next_timeout().min(self.due.unwrap_or(Time::NEVER))
    }

    /// Notes that a claim was learnt otherwise than down the tree.
    pub fn learnt(&mut self, now: Time, nonce: u64, rank: ClaimRank) {
        if self.untold.len() >= MAX_WAITING {
            self.untold.retain(|_, (_, at)| now.since(*at) < UNTOLD);
        }
        if self.untold.len() < MAX_WAITING {
            self.untold.insert(nonce, (rank, now));
        }
    }

    /// Whether a claim that came down the tree, and was known, is still to be told by this node's arc.
    fn is_untold(&mut self, now: Time, nonce: u64, rank: ClaimRank) -> bool {
        self.untold.remove(&nonce).is_some_and(|(known, at)| known == rank && now.since(at) < UNTOLD)
    }

    /// Whether it is to be noted who knows of this life.
    pub fn awaits(&self, nonce: u64) -> bool {
        self.awaited.contains_key(&nonce)
    }

    fn put_open(&mut self, until: Time, hop: Hop) {
        let nonces = hop.nonces.clone();
        if self.open.add(until, hop) {
            for nonce in nonces.iter() {
                *self.awaited.entry(*nonce).or_default() += 1;
            }
        }
    }

    fn take_open(&mut self, now: Time) -> Option<Hop> {
        let hop = self.open.pop_due(now)?;
        for nonce in hop.nonces.iter() {
            match self.awaited.get_mut(nonce) {
                Some(hops) if *hops > 1 => *hops -= 1,
                _ => _ = self.awaited.remove(nonce),
            }
        }
        if self.awaited.is_empty() {
            self.awaited = HashMap::new();
        }
        Some(hop)
    }

    fn spend(&mut self, now: Time, records: usize) -> bool {
        self.allowance.spend(now, records * RECORD * ARCS, 0.0)
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

    /// Tells what is due, and looks after hops that were not acknowledged.
    pub(super) fn claims_timeout(&mut self, now: Time) {
        while let Some(hop) = self.claims.take_open(now) {
            self.look_after_claims(now, hop);
        }
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
    pub(super) fn spread_claims(&mut self, now: Time, arc: Span, nonces: &[u64]) {
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
        if nonces.is_empty() || self.others() == 0 {
            return;
        }
        if !self.claims.spend(now, nonces.len()) {
            self.counters.rumors_held_back += 1;
            return;
        }
        self.counters.claims_told += 1;
        self.hand_on(now, arc, nonces.into(), Vec::new());
    }

    /// Sends claims down an arc, without those that have `failed` to acknowledge them.
    fn hand_on(&mut self, now: Time, arc: Span, nonces: Nonces, failed: Vec<u64>) {
        for (peer, arc) in self.cut(arc, |nonce| failed.contains(&nonce)) {
            let (nonces, failed) = (nonces.clone(), failed.clone());
            self.claims_hop(now, Hop { peer, arc, nonces, again: false, failed });
        }
    }

    fn claims_hop(&mut self, now: Time, hop: Hop) {
        let Some(to) = self.members.get(&hop.peer).map(|m| m.claim.target()) else { return };
        let mut body = Vec::with_capacity(16 + hop.nonces.len() * RECORD);
        body.extend_from_slice(&hop.arc.from.to_le_bytes());
        body.extend_from_slice(&hop.arc.to.to_le_bytes());
        self.put_claims(now, &hop.nonces, &mut body);
        self.out.frame(to, frame::kind::CLAIMS, &body, &mut self.counters);
        let until = now + self.hop_patience(hop.peer);
        self.claims.put_open(until, hop);
    }

    /// A hop's time is over: acknowledged, tried once more, or its arc served without it.
    fn look_after_claims(&mut self, now: Time, mut hop: Hop) {
        let here = self.members.get(&hop.peer).filter(|m| m.is_present());
        let has = here.is_some_and(|m| hop.nonces.iter().all(|nonce| self.knows_claim(m, *nonce)));
        if has || !self.claims.spend(now, hop.nonces.len()) {
            return;
        }
        if !hop.again && here.is_some() {
            self.counters.rumors_repeated += 1;
            hop.again = true;
            self.claims_hop(now, hop);
            return;
        }
        hop.failed.push(hop.peer);
        if hop.failed.len() < MAX_FAILED {
            self.counters.rumor_arcs_taken_over += 1;
            self.hand_on(now, hop.arc, hop.nonces, hop.failed);
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
            let (nonce, rank) = (record.nonce, claim_rank(record.incarnation, record.status));
            let merged = self.merge_by(now, sender, record, Way::Tree(arc));
            if merged != Merged::Doubted {
                touched.push(nonce);
            }
            // What an exchange has brought first is passed on as well: else all of the arc would miss it.
            let untold = self.claims.is_untold(now, nonce, rank);
            if merged == Merged::News || merged == Merged::Known && untold {
                fresh.push(nonce);
            }
        }
        self.spread_claims(now, arc, &fresh);
        Ok(())
    }
}
