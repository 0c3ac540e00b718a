//! Rumors: a fresh entry reaches everyone at once, down an acknowledged tree over arcs of the hash ring.
//!
//! The origin cuts the ring of present members into arcs and sends the segment, with its arc, to one member of each;
//! that one does the same within its arc. The arcs shrink, so that it ends. A hop acknowledges with a statement of what
//! it holds; one that does not is tried once more, then its arc is served without it. A rumor is speed and never
//! certainty: whatever it misses, the exchanges of the gossip interval find.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::Engine;
use crate::time::Time;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::frame;
use crate::wire::frame::Held;
use crate::wire::segment::Segment;

/// Into so many arcs a hop cuts its own. Depth and so the time to reach all falls with it, the burst of one hop grows.
const ARCS: usize = 4;

/// Segments up to this size travel as rumors, if a datagram has room for them.
const MAX_RUMOR: usize = 1200;

/// A further rumor waits so long for more to come along.
const COALESCE: Duration = Duration::from_millis(1);

/// An acknowledgement is waited for at least so long.
const PATIENCE: Duration = Duration::from_millis(6);

/// ... or so long, as long as no round trip was measured at all.
const UNMEASURED: Duration = Duration::from_millis(150);

/// An arc on which so many members did not acknowledge is left to the gossip interval.
const MAX_FAILED: usize = 4;

/// Hops not yet acknowledged, at most; what is over it is left to the gossip interval.
const MAX_OPEN: usize = 4096;

/// Bytes of rumors sent a second, and at once. Over it, entries wait for the gossip interval: conflated, never queued.
const RATE: f64 = 8e6;
const BURST: f64 = 256.0 * 1024.0;

/// The same for claims about members, which have an allowance of their own: data must not delay them.
const CLAIMS_RATE: f64 = 64e3;
const CLAIMS_BURST: f64 = 256.0 * 1024.0;

/// Bytes that a record costs, roughly.
const CLAIM: usize = 128;

/// An arc of the ring: after `from`, up to and with `to`; wraps around. Empty if both are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Not in it itself.
    pub from: u64,
    /// The last place in it.
    pub to: u64,
}

impl Span {
    fn contains(self, place: u64) -> bool {
        let at = place.wrapping_sub(self.from);
        at > 0 && at <= self.to.wrapping_sub(self.from)
    }

    /// The spans before and after a place in it, which is in neither.
    fn without(self, place: u64) -> [Span; 2] {
        [Span { from: self.from, to: place.wrapping_sub(1) }, Span { from: place, to: self.to }]
    }
}

/// What a rumor carries.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// A segment of entries of `owner`, which ends at `to`.
    Entries { owner: u64, to: u64, segment: Arc<[u8]> },
    /// The records of these lives, as they are known when they are sent.
    Claims(Arc<[u64]>),
}

/// A hop that is to be acknowledged.
#[derive(Clone, Debug)]
struct Open {
    peer: u64,
    arc: Span,
    news: News,
    again: bool,
    /// Members that did not acknowledge on this arc.
    failed: Vec<u64>,
}

/// See the module.
#[derive(Debug)]
pub struct Rumors {
    /// Own entries up to this number have been told, or left to the interval.
    told: u64,
    /// When the next rumor may be made, while there is something to tell.
    due: Option<Time>,
    last: Time,
    open: BTreeMap<(Time, u64), Open>,
    next_id: u64,
    /// Smoothed round-trip time to members in general, for those to whom it was not measured.
    pub rtt_us: Option<u32>,
    data: Bucket,
    claims: Bucket,
}

/// A token bucket: so many bytes a second, and at once. What goes over it is not queued.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Time,
}

impl Bucket {
    fn new(rate: f64, burst: f64, now: Time) -> Bucket {
        Bucket { rate, burst, tokens: burst, filled: now }
    }

    fn spend(&mut self, now: Time, bytes: usize) -> bool {
        self.tokens = (self.tokens + now.since(self.filled).as_secs_f64() * self.rate).min(self.burst);
        self.filled = now;
        let enough = self.tokens >= bytes as f64;
        if enough {
            self.tokens -= bytes as f64;
        }
        enough
    }
}

impl Rumors {
    /// Nothing told yet.
    pub fn new(now: Time) -> Rumors {
        Rumors {
            told: 0,
            due: None,
            last: now,
            open: BTreeMap::new(),
            next_id: 0,
            rtt_us: None,
            data: Bucket::new(RATE, BURST, now),
            claims: Bucket::new(CLAIMS_RATE, CLAIMS_BURST, now),
        }
    }

    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        let open = self.open.first_key_value().map_or(Time::NEVER, |((at, _), _)| *at);
        open.min(self.due.unwrap_or(Time::NEVER))
    }
}

impl Engine {
    /// Own entries are new: they are told at once after a quiet time, else a little later, together with what comes
    /// meanwhile.
    pub(super) fn rumor_own(&mut self, now: Time) {
        if self.rumors.due.is_none() {
            self.rumors.due = Some(now.max(self.rumors.last + COALESCE));
        }
        self.rumor_timeout(now);
    }

    /// Tells what is due, and looks after hops that were not acknowledged.
    pub(super) fn rumor_timeout(&mut self, now: Time) {
        if self.rumors.due.is_some_and(|due| due <= now) {
            self.rumors.due = None;
            self.rumors.last = now;
            self.tell_own(now);
        }
        while let Some((&(at, id), _)) = self.rumors.open.first_key_value() {
            if at > now {
                break;
            }
            let Some(open) = self.rumors.open.remove(&(at, id)) else { break };
            self.look_after(now, open);
        }
    }

    fn tell_own(&mut self, now: Time) {
        let room = self.rumor_room();
        let mut budget = 64;
        while budget > 0 {
            budget -= 1;
            let Some(me) = self.members.get(&self.me) else { return };
            let end = me.log.held().watermark;
            let theirs = Held { watermark: self.rumors.told, above: Vec::new() };
            let told = self.rumors.told;
            if end <= told || !self.settings.rumors || self.others.is_empty() || !self.is_member() {
                self.rumors.told = end;
                return;
            }
            let Some((segment, to)) = me.log.segment_for(self.me, &theirs, None, told, room, now) else {
                self.rumors.told = end;
                return;
            };
            self.rumors.told = to;
            if segment.len() > room {
                // Too large: those who are asked at the interval fetch it over a stream.
                self.hurry(now);
                continue;
            }
            let news = News::Entries { owner: self.me, to, segment: segment.into() };
            if !self.spend(now, &news) {
                self.rumors.told = end;
                return;
            }
            self.counters.rumors_started += 1;
            let ring = self.whole_ring();
            self.spread(now, ring, news, Vec::new());
        }
        self.rumors.due = Some(now + COALESCE);
    }

    /// Bytes that the news in one rumor may have.
    pub(super) fn rumor_room(&self) -> usize {
        self.out.room().saturating_sub(64).min(MAX_RUMOR)
    }

    pub(super) fn whole_ring(&self) -> Span {
        let place = self.place(self.me);
        Span { from: place, to: place.wrapping_sub(1) }
    }

    /// Present members on the arc, in order, this node not among them.
    fn on_arc(&self, arc: Span) -> Vec<u64> {
        if arc.from == arc.to {
            return Vec::new();
        }
        let after = arc.from.wrapping_add(1);
        let mut members: Vec<u64> = if after <= arc.to {
            self.ring.range((after, 0)..=(arc.to, u64::MAX)).map(|(_, nonce)| *nonce).collect()
        } else {
            let wrapped = self.ring.range(..=(arc.to, u64::MAX));
            self.ring.range((after, 0)..).chain(wrapped).map(|(_, nonce)| *nonce).collect()
        };
        members.retain(|nonce| *nonce != self.me);
        members
    }

    /// Sends news down the arc, without those that have `failed` to acknowledge it.
    ///
    /// This node's own place is cut out of the arcs that it hands on, so that whatever members each hop knows, no arc
    /// ever holds one that it came by: the tree ends.
    pub(super) fn spread(&mut self, now: Time, arc: Span, news: News, failed: Vec<u64>) {
        let owner = match &news {
            News::Entries { owner, .. } => *owner,
            News::Claims(_) => self.me,
        };
        let mine = self.place(self.me);
        let spans = if arc.contains(mine) { arc.without(mine).to_vec() } else { vec![arc] };
        let pieces: Vec<(Span, Vec<u64>)> = spans
            .into_iter()
            .map(|span| {
                let mut members = self.on_arc(span);
                members.retain(|nonce| *nonce != owner && !failed.contains(nonce));
                (span, members)
            })
            .collect();
        let total: usize = pieces.iter().map(|(_, members)| members.len()).sum();
        for (span, members) in pieces {
            if members.is_empty() {
                continue;
            }
            let parts = (ARCS * members.len()).div_ceil(total.max(1)).min(members.len());
            let mut from = span.from;
            for part in 0..parts {
                let piece = &members[part * members.len() / parts..(part + 1) * members.len() / parts];
                let Some(last) = piece.last() else { continue };
                let end = if part + 1 == parts { span.to } else { self.place(*last) };
                // One that has answered lately, if there is one, so that a dead member costs no time.
                let start = self.rng.random_range(0..piece.len());
                let mut order = piece[start..].iter().chain(&piece[..start]);
                let answers = |n: &&u64| self.members.get(*n).is_some_and(|m| m.peer.unanswered == 0);
                let head = order.clone().find(answers).or(order.next()).copied();
                if let Some(peer) = head {
                    let arc = Span { from, to: end };
                    let (news, failed) = (news.clone(), failed.clone());
                    self.hop(now, Open { peer, arc, news, again: false, failed });
                }
                from = end;
            }
        }
    }

    fn hop(&mut self, now: Time, open: Open) {
        let usual = self.rumors.rtt_us;
        let Some(member) = self.members.get_mut(&open.peer) else { return };
        let rtt = member.peer.srtt_us.or(usual);
        let srtt = rtt.map_or(UNMEASURED, |us| Duration::from_micros(us.into()) * 3);
        let patience = srtt.max(PATIENCE);
        let target = member.claim.target();
        let mut body = Vec::with_capacity(MAX_RUMOR);
        body.extend_from_slice(&open.arc.from.to_le_bytes());
        body.extend_from_slice(&open.arc.to.to_le_bytes());
        let kind = match &open.news {
            News::Entries { segment, .. } => {
                body.extend_from_slice(segment);
                frame::kind::RUMOR
            }
            News::Claims(nonces) => {
                self.put_claims(now, nonces, &mut body);
                frame::kind::CLAIMS
            }
        };
        self.out.frame(target, kind, &body, &mut self.counters);
        if self.rumors.open.len() < MAX_OPEN {
            self.rumors.next_id += 1;
            self.rumors.open.insert((now + patience, self.rumors.next_id), open);
        }
    }

    /// A hop's time is over: acknowledged, tried once more, or its arc served without it.
    fn look_after(&mut self, now: Time, mut open: Open) {
        let Some(member) = self.members.get(&open.peer) else { return };
        let proven = |nonce: &u64| self.members.get(nonce).is_some_and(|m| m.position <= member.peer.proven);
        let has = match &open.news {
            News::Entries { owner, to, .. } => {
                proven(owner) || member.peer.committed.get(owner).is_some_and(|held| held.has(*to))
            }
            News::Claims(nonces) => nonces.iter().all(|nonce| self.knows_claim(member, *nonce)),
        };
        if has {
            return;
        }
        if !self.spend(now, &open.news) {
            return;
        }
        if !open.again {
            self.counters.rumors_repeated += 1;
            open.again = true;
            self.hop(now, open);
            return;
        }
        open.failed.push(open.peer);
        if open.failed.len() < MAX_FAILED {
            self.counters.rumor_arcs_taken_over += 1;
            self.spread(now, open.arc, open.news, open.failed);
        }
    }

    /// A rumor from `sender`: taken in like any segment, and passed on within its arc.
    pub(super) fn handle_rumor(
        &mut self,
        now: Time,
        sender: u64,
        body: &[u8],
        touched: &mut Vec<u64>,
    ) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let arc = Span { from: r.u64()?, to: r.u64()? };
        let bytes = r.bytes(r.len())?;
        let segment = Segment::decode(bytes)?;
        let owner = segment.head.owner;
        touched.push(owner);
        if owner == self.me {
            return Ok(());
        }
        // A copy is not passed on again: else every repetition would multiply on its way down.
        if !self.handle_segment(now, sender, &segment) {
            return Ok(());
        }
        let news = News::Entries { owner, to: segment.head.to, segment: bytes.into() };
        if self.spend(now, &news) {
            self.spread(now, arc, news, Vec::new());
        }
        Ok(())
    }

    /// Takes what sending news to a few members costs out of the allowance; false, and counted, if too little is left.
    pub(super) fn spend(&mut self, now: Time, news: &News) -> bool {
        let enough = match news {
            News::Entries { segment, .. } => self.rumors.data.spend(now, (segment.len() + 64) * ARCS),
            News::Claims(nonces) => self.rumors.claims.spend(now, nonces.len() * CLAIM * ARCS),
        };
        self.counters.rumors_held_back += u64::from(!enough);
        enough
    }
}
