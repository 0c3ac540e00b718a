//! Rumors: a fresh entry reaches everyone at once, down an acknowledged tree over arcs of the hash ring.
//!
//! The origin cuts the ring of present members into arcs and sends the segment, with its arc, to one member of each;
//! that one does the same within its arc. The arcs shrink, so that it ends. A hop acknowledges with a statement of what
//! it holds; one that does not is tried once more. Then its arc is served without it, by announcements: whoever lacks what
//! is announced answers with what it holds, gets it, and passes the announcement on; whoever holds it passes it on at
//! once, for nobody knows how far the silent hop had come. The silent member itself is asked some times more what it
//! holds. What fits no datagram is announced from the beginning, and fetched over a stream.
//!
//! A rumor is speed and never certainty: whatever it misses, the exchanges of the gossip interval find.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::Engine;
use super::allowance::Allowance;
use super::arc::{ARCS, Span};
use super::hops::{COALESCE, Hops, MAX_FAILED};
use crate::time::Time;
use crate::wire::codec::{Malformed, Put, Reader};
use crate::wire::frame::{self, Held, Purpose, Statement};
use crate::wire::segment::Segment;

/// Segments up to this size travel as rumors, if a datagram has room for them.
const MAX_RUMOR: usize = 1200;

/// An acknowledgement is waited for at least so long.
const PATIENCE: Duration = Duration::from_millis(6);

/// ... or so long, as long as no round trip was measured at all.
const UNMEASURED: Duration = Duration::from_millis(150);

/// How often a hop is tried: sent twice, then asked. Each number is how many times its patience passes before the next.
const TRIES: [u32; 7] = [1, 1, 1, 1, 2, 4, 8];

/// A gap below what a rumor brought is often closed by another one that is under way; else its sender is asked.
const GAP: Duration = Duration::from_millis(5);

/// What an exchange finds to be missing is asked for after this, for a rumor may be bringing it.
const LATER: Duration = Duration::from_millis(20);

/// A hop whose entries are under way otherwise is looked after again at the latest after this.
const MAX_FLIGHT: Duration = Duration::from_millis(50);

/// Gaps, announcements waited for, and announcements remembered, at most, each.
const MAX_NOTED: usize = 256;

/// How often whoever announced something, or holds what is missing, is asked for it.
const PULLS: u32 = 6;

/// From this time on the owner itself is asked: whoever announced it may hold a stub in its place.
const OWN_PULL: u32 = 2;

/// Members that told something within this time tell it on at the cost of what is spare, so that busy ones leave room.
const QUIET: Duration = Duration::from_millis(20);

/// What an announcement costs of the rate, roughly.
const ANNOUNCEMENT: usize = 120;

/// Bytes of entries still untold, over which a member that may not tell more just now leaves them to the interval.
const MAX_UNTOLD: usize = 64 * 1024;

/// Bytes of rumors sent a second, and at once. Over it, entries wait for the gossip interval: conflated, never queued.
const RATE: f64 = 8e6;
const BURST: f64 = 256.0 * 1024.0;

/// What goes down an arc.
#[derive(Clone, Debug)]
enum What {
    /// A segment of entries.
    Entries(Arc<[u8]>),
    /// Only that they are there.
    Announcement,
}

impl What {
    fn len(&self) -> usize {
        match self {
            What::Entries(segment) => segment.len() + 64,
            What::Announcement => ANNOUNCEMENT,
        }
    }
}

/// A hop that is to be acknowledged.
#[derive(Clone, Debug)]
struct Open {
    peer: u64,
    arc: Span,
    owner: u64,
    /// Acknowledged by whoever holds this number.
    to: u64,
    what: What,
    /// How often it was tried.
    tries: u32,
    /// Members that did not acknowledge on this arc.
    failed: Vec<u64>,
}

/// What was announced here and is not held yet; passed on when it is.
#[derive(Clone, Debug)]
struct Pending {
    owner: u64,
    to: u64,
    arc: Span,
    from: u64,
    /// When whoever announced it is asked again.
    at: Time,
    tries: u32,
}

/// Entries of an owner up to a number that `sender` has, to be asked for if they do not come meanwhile.
#[derive(Clone, Copy, Debug)]
struct Gap {
    at: Time,
    owner: u64,
    below: u64,
    sender: u64,
    /// How often it was asked for.
    tries: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Rumors {
    /// Own entries up to this number have been told, or left to the interval.
    told: u64,
    /// When the next rumor may be made, while there is something to tell.
    due: Option<Time>,
    last: Time,
    open: Hops<Open>,
    pending: VecDeque<Pending>,
    /// By when they are due.
    gaps: VecDeque<Gap>,
    /// What came of late, with its arc: a copy is not passed on again.
    seen: VecDeque<(u64, u64, Span)>,
    /// When a rumor of an owner last passed here.
    passed: HashMap<u64, Time>,
    /// Owners of the rumors of the packet at hand: to be acknowledged.
    pub acked: Vec<u64>,
    /// Smoothed round-trip time to members in general, for those to whom it was not measured.
    pub rtt_us: Option<u32>,
    allowance: Allowance,
}

impl Rumors {
    /// Nothing told yet.
    pub fn new(now: Time) -> Rumors {
        Rumors {
            told: 0,
            due: None,
            last: now,
            open: Hops::new(),
            pending: VecDeque::new(),
            gaps: VecDeque::new(),
            seen: VecDeque::new(),
            passed: HashMap::new(),
            acked: Vec::new(),
            rtt_us: None,
            allowance: Allowance::new(now, RATE, BURST),
        }
    }

    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        let gap = self.gaps.front().map_or(Time::NEVER, |g| g.at);
        let pending = self.pending.iter().map(|p| p.at).min().unwrap_or(Time::NEVER);
        self.open.next_timeout().min(self.due.unwrap_or(Time::NEVER)).min(gap).min(pending)
    }

    /// Takes `bytes` out of the bucket, if they are in it. An owner that told something just now gets only what is over
    /// half of it.
    fn spend(&mut self, now: Time, owner: u64, bytes: usize) -> bool {
        let busy = self.passed.get(&owner).is_some_and(|at| *at + QUIET > now);
        if !busy && self.passed.len() >= MAX_NOTED {
            self.passed.retain(|_, at| *at + QUIET > now);
        }
        let spare = if busy { BURST / 2.0 } else { 0.0 };
        let enough = self.allowance.spend(now, bytes, spare);
        if enough {
            self.passed.insert(owner, now);
        }
        enough
    }

    /// Notes what came. Gives whether it had come before, with the same arc.
    fn note(&mut self, owner: u64, to: u64, arc: Span) -> bool {
        let known = self.seen.iter().rev().any(|seen| *seen == (owner, to, arc));
        if !known {
            if self.seen.len() >= MAX_NOTED {
                self.seen.pop_front();
            }
            self.seen.push_back((owner, to, arc));
        }
        known
    }

    /// How long until a busy owner may spend so many bytes.
    fn wait_for(&self, bytes: usize) -> Duration {
        COALESCE.max(self.allowance.wait_for(bytes, BURST / 2.0))
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
        while let Some(open) = self.rumors.open.pop_due(now) {
            self.look_after(now, open);
        }
        while let Some(gap) = self.rumors.gaps.front().copied().filter(|gap| gap.at <= now) {
            self.rumors.gaps.pop_front();
            self.ask_for_gap(now, gap);
        }
        if self.rumors.pending.iter().any(|p| p.at <= now) {
            let pending = std::mem::take(&mut self.rumors.pending);
            for pending in pending {
                self.pull_again(now, pending);
            }
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
            if end <= told || !self.settings.rumors || self.others() == 0 || !self.is_member() {
                self.rumors.told = end;
                return;
            }
            let Some((segment, to)) = me.log.segment_for(self.me, &theirs, None, told, room, now) else {
                self.rumors.told = end;
                return;
            };
            self.rumors.told = to;
            let what = if segment.len() > room { What::Announcement } else { What::Entries(segment.into()) };
            let cost = what.len() * ARCS;
            if !self.rumors.spend(now, self.me, cost) {
                // Later, when of each key only the latest version is left to tell; too much is left to the interval.
                self.counters.rumors_held_back += 1;
                let untold = me.log.missing_bytes(&theirs, MAX_UNTOLD);
                self.rumors.told = if untold < MAX_UNTOLD { told } else { end };
                self.rumors.due = Some(now + self.rumors.wait_for(cost));
                return;
            }
            self.counters.rumors_started += 1;
            let ring = self.whole_ring();
            self.spread(now, ring, self.me, to, what, Vec::new());
        }
        self.rumors.due = Some(now + COALESCE);
    }

    /// Bytes that the news in one rumor may have.
    pub(super) fn rumor_room(&self) -> usize {
        self.out.room().saturating_sub(64).min(MAX_RUMOR)
    }

    /// Sends something down the arc, without those that have `failed` to acknowledge it.
    fn spread(&mut self, now: Time, arc: Span, owner: u64, to: u64, what: What, failed: Vec<u64>) {
        for (peer, arc) in self.cut(arc, |nonce| nonce == owner || failed.contains(&nonce)) {
            let (what, failed) = (what.clone(), failed.clone());
            self.hop(now, Open { peer, arc, owner, to, what, tries: 0, failed });
        }
    }

    /// Sends a hop, or asks what has become of it, and waits for its acknowledgement.
    fn hop(&mut self, now: Time, open: Open) {
        let Some(member) = self.members.get(&open.peer) else { return };
        let target = member.claim.target();
        let arc = [open.arc.from.to_le_bytes(), open.arc.to.to_le_bytes()].concat();
        let (kind, body) = match &open.what {
            _ if open.tries > 1 => {
                let rows = self.row(open.owner).into_iter().collect();
                (frame::kind::STATEMENT, Statement::of_rows(Purpose::Query, rows).encode())
            }
            What::Entries(segment) => (frame::kind::RUMOR, [&arc[..], &segment[..]].concat()),
            What::Announcement => {
                let mut body = arc;
                body.extend_from_slice(&open.owner.to_le_bytes());
                body.put_varint(open.to);
                (frame::kind::ANNOUNCEMENT, body)
            }
        };
        self.out.frame(target, kind, &body, &mut self.counters);
        let until = now + self.hop_patience(open.peer) * TRIES[open.tries as usize];
        self.rumors.open.add(until, open);
    }

    /// How long a hop's acknowledgement is waited for.
    pub(super) fn hop_patience(&self, peer: u64) -> Duration {
        let usual = self.rumors.rtt_us;
        let rtt = self.members.get(&peer).and_then(|m| m.peer.srtt_us()).or(usual);
        // Far above what is usual: more likely a process that stood still than a long way.
        let rtt = rtt.map(|us| us.min(usual.map_or(us, |usual| usual.saturating_mul(8))));
        rtt.map_or(UNMEASURED, |us| Duration::from_micros(us.into()) * 3).max(PATIENCE) + self.lag * 4
    }

    /// A hop's time is over: acknowledged, tried once more, or its arc served without it.
    fn look_after(&mut self, now: Time, mut open: Open) {
        if let Some(member) = self.members.get_mut(&open.peer).filter(|m| m.is_present()) {
            if let Some(flight) = member.peer.in_flight.get(&open.owner).filter(|f| f.until > now) {
                // It has said what it lacks, and that is under way.
                let until = flight.until.min(now + MAX_FLIGHT);
                self.rumors.open.add(until, open);
                return;
            }
            if open.tries > 0 {
                member.peer.missed = true;
            }
        } else {
            // It is gone: the rest of its arc is not.
            open.tries = TRIES.len() as u32 - 1;
        }
        if self.holds(open.peer, open.owner, open.to) {
            if let Some(member) = self.members.get_mut(&open.peer) {
                member.peer.missed = false;
            }
            return;
        }
        if !self.rumors.spend(now, open.owner, open.what.len() * ARCS) {
            self.counters.rumors_held_back += 1;
            return;
        }
        open.tries += 1;
        if open.tries > 1 && open.arc != Span::NONE {
            let arc = std::mem::replace(&mut open.arc, Span::NONE);
            open.failed.push(open.peer);
            if open.failed.len() < MAX_FAILED {
                self.counters.rumor_arcs_taken_over += 1;
                self.spread(now, arc, open.owner, open.to, What::Announcement, open.failed.clone());
            }
        }
        if (open.tries as usize) < TRIES.len() {
            self.counters.rumors_repeated += 1;
            self.hop(now, open);
        }
    }

    /// Whether the peer has said, or was proven, to hold this number of the owner.
    fn holds(&self, peer: u64, owner: u64, to: u64) -> bool {
        let Some(member) = self.members.get(&peer) else { return false };
        self.members.get(&owner).is_some_and(|o| o.position <= member.peer.proven)
            || member.peer.committed.get(owner).is_some_and(|held| held.has(to))
    }

    fn has(&self, owner: u64, to: u64) -> bool {
        self.members.get(&owner).is_some_and(|m| m.log.held().has(to))
    }

    /// A rumor from `sender`: taken in like any segment, and passed on within its arc.
    pub(super) fn handle_rumor(
        &mut self,
        now: Time,
        sender: u64,
        body: &[u8],
        _touched: &mut Vec<u64>,
    ) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let arc = Span { from: r.u64()?, to: r.u64()? };
        let bytes = r.bytes(r.len())?;
        let segment = Segment::decode(bytes)?;
        let owner = segment.head.owner;
        self.rumors.acked.push(owner);
        if owner == self.me {
            return Ok(());
        }
        let advanced = self.handle_segment(now, sender, &segment);
        let to = segment.head.to;
        self.note_gap(now, sender, owner, segment.head.from);
        // A copy is not passed on again: else every repetition would multiply on its way down.
        if self.rumors.note(owner, to, arc) {
            return Ok(());
        }
        if !advanced {
            // It came here some other way, which says nothing about the rest of the arc.
            if self.has(owner, to) {
                self.pass_on(now, owner, to, arc);
            }
        } else if self.rumors.spend(now, owner, (bytes.len() + 64) * ARCS) {
            self.spread(now, arc, owner, to, What::Entries(bytes.into()), Vec::new());
        } else {
            self.counters.rumors_held_back += 1;
        }
        Ok(())
    }

    /// Something is announced: passed on within its arc by whoever holds it, and asked for by whoever does not.
    pub(super) fn handle_announcement(
        &mut self,
        now: Time,
        sender: u64,
        body: &[u8],
        touched: &mut Vec<u64>,
    ) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let arc = Span { from: r.u64()?, to: r.u64()? };
        let (owner, to) = (r.u64()?, r.varint()?);
        // The row of the owner acknowledges, or asks.
        touched.push(owner);
        if owner == self.me {
            return Ok(());
        }
        if !self.members.contains_key(&owner) {
            self.want_owner(sender, owner);
            return Ok(());
        }
        if self.rumors.note(owner, to, arc) {
            return Ok(());
        }
        if self.has(owner, to) {
            self.pass_on(now, owner, to, arc);
        } else if self.rumors.pending.len() < MAX_NOTED {
            let at = now + self.pull_patience(sender, 0);
            self.rumors.pending.push_back(Pending { owner, to, arc, from: sender, at, tries: 0 });
        }
        Ok(())
    }

    fn pass_on(&mut self, now: Time, owner: u64, to: u64, arc: Span) {
        if self.rumors.spend(now, owner, ANNOUNCEMENT * ARCS) {
            self.spread(now, arc, owner, to, What::Announcement, Vec::new());
        } else {
            self.counters.rumors_held_back += 1;
        }
    }

    /// More of an owner is held than before: what was announced of it may be passed on now.
    pub(super) fn announced_came(&mut self, now: Time, owner: u64) {
        if !self.rumors.pending.iter().any(|p| p.owner == owner) {
            return;
        }
        for pending in std::mem::take(&mut self.rumors.pending) {
            if pending.owner == owner && self.has(owner, pending.to) {
                self.pass_on(now, owner, pending.to, pending.arc);
            } else {
                self.rumors.pending.push_back(pending);
            }
        }
    }

    fn pull_patience(&self, peer: u64, tries: u32) -> Duration {
        self.patience(peer) * (1 << tries)
    }

    fn pull_again(&mut self, now: Time, mut pending: Pending) {
        if pending.at > now {
            self.rumors.pending.push_back(pending);
            return;
        }
        pending.tries += 1;
        if pending.tries < PULLS {
            if pending.tries >= OWN_PULL {
                pending.from = pending.owner;
            }
            let Some(target) = self.members.get(&pending.from).map(|m| m.claim.target()) else { return };
            let rows = self.row(pending.owner).into_iter().collect();
            self.inform(target, rows);
            pending.at = now + self.pull_patience(pending.from, pending.tries);
            self.rumors.pending.push_back(pending);
        }
    }

    fn note_gap(&mut self, now: Time, sender: u64, owner: u64, below: u64) {
        let gap = self.members.get(&owner).is_some_and(|m| m.log.held().watermark < below);
        let noted =
            self.rumors.gaps.iter().any(|g| g.owner == owner) || self.rumors.pending.iter().any(|p| p.owner == owner);
        if gap && !noted && self.rumors.gaps.len() < MAX_NOTED {
            self.note(Gap { at: now + GAP, owner, below, sender, tries: 0 });
        }
    }

    /// A peer holds more of an owner than this node does. Gives whether it is asked for that later, if need be.
    pub(super) fn ask_later(&mut self, now: Time, peer: u64, owner: u64) -> bool {
        let Some(member) = self.members.get(&owner) else { return false };
        let theirs = self.members.get(&peer).and_then(|p| p.peer.committed.watermark(owner)).unwrap_or(0);
        if theirs <= member.log.held().watermark || self.rumors.gaps.len() >= MAX_NOTED {
            return false;
        }
        if !self.rumors.gaps.iter().any(|g| g.owner == owner && g.sender == peer) {
            self.note(Gap { at: now + LATER, owner, below: theirs, sender: peer, tries: 0 });
        }
        true
    }

    fn note(&mut self, gap: Gap) {
        let place = self.rumors.gaps.partition_point(|g| g.at <= gap.at);
        self.rumors.gaps.insert(place, gap);
    }

    /// Asks, and once more a while later: question and answer may get lost.
    fn ask_for_gap(&mut self, now: Time, mut gap: Gap) {
        let open = self.members.get(&gap.owner).is_some_and(|m| m.log.held().watermark < gap.below);
        let Some(target) = self.members.get(&gap.sender).map(|m| m.claim.target()) else { return };
        if open {
            self.differing = true;
            let rows: Vec<_> =
                self.ask_now(now, gap.sender, &[gap.owner]).iter().filter_map(|n| self.row(*n)).collect();
            self.counters.gaps_asked += rows.len() as u64;
            self.inform(target, rows);
            gap.tries += 1;
            if gap.tries < PULLS {
                gap.at = now + self.pull_patience(gap.sender, gap.tries);
                self.note(gap);
            }
        }
    }
}
