//! Entries on their way: sending a peer what it lacks, taking in what a peer sends.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;

use super::Engine;
use super::limits::Limits;
use super::log::Applied;
use super::member::InFlight;
use super::outbox::Target;
use crate::store::event::Level;
use crate::time::Time;
use crate::wire::codec::Put;
use crate::wire::frame::{self, Purpose, Row};
use crate::wire::segment::Segment;

/// Bytes sent at once as datagrams to one peer; what is more goes as messages on a stream.
const BURST: usize = 16 * 1024;

/// Bytes in one message on a stream, if not one larger entry: so little that taking it in delays nothing else.
const PIECE: usize = 256 * 1024;

/// Bytes of a reset in one message: the next one follows on its acknowledgement.
const RESET_PIECE: usize = 1 << 20;

/// Bytes on streams to one peer that are not acknowledged, about, at most.
pub(super) const WINDOW: usize = 4 << 20;

/// So many at first: then as many more as have come within [`SOON`]. What is under way on a slow way would be sent for
/// nothing if another sends the same, or if this node ends.
const FIRST_WINDOW: usize = 512 * 1024;

/// What is acknowledged within this has not waited long behind what else was under way.
pub(super) const SOON: Duration = Duration::from_millis(500);

/// Peers that are sent to on streams at a time; others are told to ask somebody else.
const UPLOADS: usize = 4;

/// Owners to be served when there is room, at most for each peer; others are served when the peer asks again.
const MAX_BACKLOG: usize = 1024;

/// What is under way on a stream is taken for lost after this without an acknowledgement.
pub(super) const STREAM_PATIENCE: Duration = Duration::from_secs(5);

/// Values up to this size are read from the wire whatever `max_value_size` is here, to become stubs: a message that is not
/// read at all would be sent again and again, and what comes with it would never arrive.
const READ_ANYHOW: usize = 63 << 20;

/// The largest value in a message that is read by a member with this `max_value_size`.
pub fn largest_read(max_value_size: usize) -> usize {
    max_value_size.max(READ_ANYHOW)
}

/// Who was asked for entries has so long at least.
const ASK_PATIENCE: Duration = Duration::from_millis(50);

/// Who has said that entries are coming on a stream has so long for each message, however slow the way is. One that dies
/// meanwhile is given up then.
const COMING_PATIENCE: Duration = Duration::from_secs(3);

/// Owners whose entries were asked for, remembered at most.
const MAX_ASKED: usize = 1024;

/// Owners that are asked for their own entries at a time, because others have not sent them.
const OWNERS_ASKED: usize = 4;

/// Of whom the entries of an owner were asked for last.
#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: u64,
    /// The watermark then: when it moves, the peer may be asked for what follows.
    watermark: u64,
    /// Given up then.
    until: Time,
    /// Up to this number it has said to be sending; 0 if it has not.
    coming: u64,
}

/// What is on its way to and from this node. Of each owner one peer is asked at a time: several would all send the same, and two
/// members that cannot help each other would ask each other without end.
#[derive(Debug, Default)]
pub struct Transfers {
    asked: HashMap<u64, Asked>,
    /// Peers that are being sent to on streams, and until when they count as such.
    uploads: HashMap<u64, Time>,
    /// Another peer was asked in the place of a busy one then.
    turned_away: Time,
}

/// Frames gathered for messages on a stream.
#[derive(Default)]
struct Message {
    frames: Vec<(u8, Vec<u8>)>,
    bytes: usize,
}

impl Engine {
    /// How long to wait for what a peer sends, or for its acknowledgement of what is sent to it.
    pub(super) fn patience(&self, peer: u64) -> Duration {
        let srtt = self.members.get(&peer).and_then(|m| m.peer.srtt_us()).or(self.rumors.rtt_us);
        let srtt = srtt.map_or(Duration::from_millis(25), |us| Duration::from_micros(us.into()));
        (srtt * 4).clamp(Duration::from_millis(10), Duration::from_secs(2)) + self.lag * 4
    }

    /// Those of the owners whose entries are asked for of this peer now. What a rumor may be bringing already is asked
    /// for a little later, if it has not come by then.
    pub(super) fn ask(&mut self, now: Time, peer: u64, mut owners: Vec<u64>) -> Vec<u64> {
        if self.settings.rumors && self.eager_until <= now {
            owners.retain(|owner| !self.ask_later(now, peer, *owner));
        }
        self.ask_now(now, peer, &owners)
    }

    /// Those of the owners that no other peer is being asked for, now being asked for of this one. What did not come of the
    /// one asked before is asked for of the owner itself, which alone is sure to have it: others may have refused it.
    pub(super) fn ask_now(&mut self, now: Time, peer: u64, owners: &[u64]) -> Vec<u64> {
        let until = now + self.patience(peer).max(ASK_PATIENCE);
        let (mut asked, mut of_owners) = (Vec::new(), Vec::new());
        for owner in owners {
            let Some(member) = self.members.get(owner) else { continue };
            let watermark = member.log.held().watermark;
            let (ask, in_vain) = match self.transfers.asked.get(owner) {
                Some(a) if !self.is_asked(now, a) => (true, a.watermark == watermark && a.peer != *owner),
                Some(a) => (a.peer == peer && a.watermark < watermark, false),
                None => (true, false),
            };
            if !ask {
                continue;
            }
            if self.transfers.asked.len() >= MAX_ASKED {
                self.transfers.asked.retain(|_, a| a.until > now);
            }
            let of_owner = in_vain && *owner != peer && member.is_present() && of_owners.len() < OWNERS_ASKED;
            let peer = if of_owner { *owner } else { peer };
            let coming = self.transfers.asked.get(owner).filter(|a| a.until > now && a.peer == peer).copied();
            let (coming, until) = coming.map_or((0, until), |a| (a.coming, a.until.max(until)));
            self.transfers.asked.insert(*owner, Asked { peer, watermark, until, coming });
            if of_owner { of_owners.push(*owner) } else { asked.push(*owner) }
        }
        for owner in of_owners {
            self.ask_owner(owner);
        }
        asked
    }

    /// Marks those rows whose entries another member was asked for: this peer needs not send them.
    pub(super) fn mark_asked(&self, now: Time, peer: u64, rows: &mut [Row]) {
        for row in rows {
            let asked = self.transfers.asked.get(&row.nonce);
            row.asked |= asked.is_some_and(|a| a.peer != peer && self.is_asked(now, a));
        }
    }

    /// Whether the peer may still send what was asked of it.
    fn is_asked(&self, now: Time, asked: &Asked) -> bool {
        asked.until > now && self.members.get(&asked.peer).is_some_and(|m| m.is_present())
    }

    /// Whether this has come of an owner.
    fn has_come(&self, owner: u64, to: u64) -> bool {
        let Some(log) = self.members.get(&owner).map(|m| &m.log) else { return false };
        log.reset_pos().map_or_else(|| log.held().has(to), |pos| pos >= to)
    }

    /// A peer begins to send entries on a stream. On a slow way the first of them come long after an answer would have, and
    /// whoever else were asked meanwhile would send the same.
    pub(super) fn handle_coming(&mut self, now: Time, sender: u64, owner: u64, to: u64) {
        if !self.members.contains_key(&sender) || owner == self.me || self.has_come(owner, to) {
            return;
        }
        let Some(watermark) = self.members.get(&owner).map(|m| m.log.held().watermark) else { return };
        let asked = self.transfers.asked.get(&owner).copied().filter(|a| self.is_asked(now, a));
        // What comes unasked is as good, if nobody else is sending.
        let coming = asked.is_some_and(|a| a.coming > 0 && !self.has_come(owner, a.coming));
        if coming {
            // Only what comes gives it more time: else one that only says so would be waited for without end.
            if let Some(asked) = self.transfers.asked.get_mut(&owner).filter(|a| a.peer == sender) {
                asked.coming = asked.coming.max(to);
            }
        } else if asked.is_some() || self.transfers.asked.len() < MAX_ASKED {
            let until = now + COMING_PATIENCE;
            self.transfers.asked.insert(owner, Asked { peer: sender, watermark, until, coming: to });
        }
    }

    /// Something has come of what was asked for: more will.
    fn asked_came(&mut self, now: Time, sender: u64, owner: u64) {
        let Some(asked) = self.transfers.asked.get(&owner).filter(|a| a.peer == sender) else { return };
        let more = asked.coming > 0 && !self.has_come(owner, asked.coming);
        let until = now + if more { COMING_PATIENCE } else { self.patience(sender).max(ASK_PATIENCE) };
        if let Some(asked) = self.transfers.asked.get_mut(&owner) {
            asked.until = until;
        }
    }

    /// Sends a peer what it lacks of the `owners`, and of those left over before, small ones first: as datagrams what is
    /// little, on a stream what is more.
    pub(super) fn push(&mut self, now: Time, peer: u64, mut owners: Vec<u64>) {
        let Some(partner) = self.members.get_mut(&peer) else { return };
        let target = partner.claim.target();
        if let Some(talk) = partner.peer.talked() {
            owners.append(&mut talk.backlog);
        }
        owners.sort_unstable();
        owners.dedup();
        let Some(partner) = self.members.get(&peer) else { return };
        // What went as datagrams is waited for; what goes on a stream goes on behind what is under way.
        let may_go = |owner: &u64| {
            let flight = partner.peer.in_flight.get(owner);
            *owner != peer && flight.is_none_or(|f| f.until <= now || !f.pieces.is_empty())
        };
        let mut sized: Vec<(usize, u64)> = owners
            .into_iter()
            .filter(may_go)
            .filter_map(|owner| {
                let theirs = partner.peer.committed.get(owner)?;
                let log = &self.members.get(&owner)?.log;
                let repairs = owner == self.me && partner.peer.resets.contains_key(&owner);
                Some((if repairs { log.size().1 } else { log.missing_bytes(&theirs, 2 * BURST) }, owner))
            })
            .collect();
        if sized.is_empty() {
            return;
        }
        sized.sort_unstable();

        let patience = self.patience(peer);
        let window = WINDOW.min(FIRST_WINDOW + partner.peer.soon);
        let mut window = window.saturating_sub(partner.peer.streaming(now));
        let mut burst = 0;
        let mut message = Message::default();
        let mut left_over = Vec::new();
        for (size, owner) in sized {
            let flight = self.members.get(&peer).and_then(|p| p.peer.in_flight.get(&owner)).filter(|f| f.until > now);
            let by_stream = flight.is_some() || burst + size > BURST;
            if by_stream && (window == 0 || !self.may_upload(now, peer)) {
                left_over.push(owner);
            } else if by_stream {
                let (sent, more) = self.push_stream(now, peer, owner, target, window, &mut message);
                window = window.saturating_sub(sent);
                if more {
                    left_over.push(owner);
                }
            } else {
                burst += self.push_datagrams(now, peer, owner, target, now + patience);
            }
        }
        self.send_message(target, &mut message);
        let turned_away = !left_over.is_empty() && !self.may_upload(now, peer);
        if turned_away {
            self.turn_away(peer, target, &left_over);
        } else if !left_over.is_empty()
            && let Some(partner) = self.members.get_mut(&peer)
        {
            left_over.truncate(MAX_BACKLOG);
            partner.peer.talk().backlog = left_over;
        }
    }

    fn push_datagrams(&mut self, now: Time, peer: u64, owner: u64, target: Target, until: Time) -> usize {
        let (mut first, mut end, mut bytes) = (0, 0, 0);
        let floor = self.floor_of(peer, owner);
        while bytes < 2 * BURST {
            let Some((body, to)) = self.next_segment(now, peer, owner, end, self.out.room()) else { break };
            if end == 0 {
                first = Segment::head_of(&body).map_or(0, |head| head.from + 1);
            }
            end = to;
            bytes += body.len();
            self.counters.segments_sent += 1;
            self.out.frame(target, frame::kind::SEGMENT, &body, &mut self.counters);
        }
        if end > 0
            && let Some(partner) = self.members.get_mut(&peer)
        {
            let flight = InFlight { first, to: end, floor, until, pieces: VecDeque::new() };
            partner.peer.talk().in_flight.insert(owner, flight);
        }
        bytes
    }

    /// Sends on what is under way on a stream, or begins with it. Gives the bytes, and whether there is more to come.
    fn push_stream(
        &mut self,
        now: Time,
        peer: u64,
        owner: u64,
        target: Target,
        window: usize,
        message: &mut Message,
    ) -> (usize, bool) {
        let Some(partner) = self.members.get_mut(&peer) else { return (0, false) };
        let flight = partner.peer.talked().and_then(|talk| talk.in_flight.remove(&owner)).filter(|f| f.until > now);
        let repairs = owner == self.me && partner.peer.resets.contains_key(&owner);
        let held = partner.peer.committed.watermark(owner).unwrap_or(0);
        let floor = self.members.get(&owner).map_or(0, |member| member.log.floor());
        let resets = held < floor || repairs;
        let begun =
            InFlight { first: 0, to: 0, floor: self.floor_of(peer, owner), until: now, pieces: VecDeque::new() };
        let mut flight = flight.unwrap_or(begun);
        // The pieces of a reset must come in order: one at a time.
        let room = if resets { RESET_PIECE } else { PIECE };
        let (mut sent, mut more) = (0, false);
        while !resets || flight.pieces.is_empty() {
            if sent >= window {
                more = true;
                break;
            }
            let Some((body, to)) = self.next_segment(now, peer, owner, flight.to, room) else { break };
            if flight.to == 0 {
                flight.first = Segment::head_of(&body).map_or(0, |head| head.from + 1);
            }
            flight.to = to;
            flight.until = now + STREAM_PATIENCE;
            flight.pieces.push_back((to, body.len(), now));
            sent += body.len();
            self.counters.segments_sent += 1;
            message.bytes += body.len();
            message.frames.push((frame::kind::SEGMENT, body));
            if message.bytes >= PIECE / 2 || message.frames.len() >= self.settings.gossip_max_send {
                self.send_message(target, message);
            }
        }
        if flight.to > 0
            && let Some(partner) = self.members.get_mut(&peer)
        {
            let to = flight.to;
            partner.peer.talk().in_flight.insert(owner, flight);
            if sent > 0 {
                let mut body = owner.to_le_bytes().to_vec();
                body.put_varint(to);
                self.out.frame(target, frame::kind::COMING, &body, &mut self.counters);
            }
        }
        (sent, more)
    }

    fn next_segment(&self, now: Time, peer: u64, owner: u64, after: u64, room: usize) -> Option<(Vec<u8>, u64)> {
        let theirs = self.members.get(&peer)?.peer.committed.get(owner)?;
        let log = &self.members.get(&owner)?.log;
        // One that is not behind the floor and resets all the same repairs: only the owner may serve that.
        let resets = owner == self.me || theirs.watermark < log.floor();
        let reset = self.reset_of(peer, owner).filter(|_| resets);
        log.segment_for(owner, &theirs, reset, after, room, now)
    }

    fn send_message(&mut self, target: Target, message: &mut Message) {
        if !message.frames.is_empty() {
            self.out.message(target, &message.frames, &mut self.counters);
            *message = Message::default();
        }
    }

    /// Whether the peer is being sent to on a stream, or may be from now on.
    fn may_upload(&mut self, now: Time, peer: u64) -> bool {
        let members = &self.members;
        let busy = |peer: &u64| members.get(peer).is_some_and(|m| m.peer.streaming(now) > 0);
        self.transfers.uploads.retain(|peer, until| *until > now || busy(peer));
        if self.transfers.uploads.contains_key(&peer) || self.transfers.uploads.len() < UPLOADS {
            // What is sent now shows in what is under way; until then it counts as well.
            self.transfers.uploads.insert(peer, now);
            return true;
        }
        false
    }

    /// Tells a peer to ask somebody else for the `owners`: of those that are known to hold them, if any are.
    fn turn_away(&mut self, peer: u64, target: Target, owners: &[u64]) {
        self.counters.uploads_refused += 1;
        let newest = owners.iter().filter_map(|o| self.members.get(o)).map(|m| m.position).max().unwrap_or(0);
        let others = self.choose(2, |m| m.peer.proven >= newest && m.claim.life.nonce != peer);
        let other = others.into_iter().find(|n| *n != peer).unwrap_or(0);
        self.out.frame(target, frame::kind::BUSY, &other.to_le_bytes(), &mut self.counters);
    }

    /// A peer serves as many as it may: another is asked, as it said.
    pub(super) fn handle_busy(&mut self, now: Time, sender: u64, other: u64) {
        self.transfers.asked.retain(|_, asked| asked.peer != sender);
        let known = self.members.get(&other).is_some_and(|m| m.is_present()) && other != self.me;
        if known && self.members.contains_key(&sender) && self.transfers.turned_away + ASK_PATIENCE <= now {
            self.transfers.turned_away = now;
            self.request(now, other);
        }
    }

    /// How far the peer's reset of this owner has come, as it last said.
    fn reset_of(&self, peer: u64, owner: u64) -> Option<u64> {
        self.members.get(&peer)?.peer.resets.get(&owner).map(|(pos, _)| *pos)
    }

    /// The floor that the peer's reset of this owner is to reach: as it last said, or will find.
    fn floor_of(&self, peer: u64, owner: u64) -> u64 {
        let said = self.members.get(&peer).and_then(|m| m.peer.resets.get(&owner)).map(|(_, floor)| *floor);
        said.or_else(|| self.members.get(&owner).map(|m| m.log.floor())).unwrap_or(0)
    }

    /// A segment of entries from `sender`. Gives whether more is held than before.
    pub(super) fn handle_segment(&mut self, now: Time, sender: u64, segment: &Segment<'_>) -> bool {
        self.counters.segments_received += 1;
        self.counters.resets_received += u64::from(segment.head.reset);
        let owner = segment.head.owner;
        if owner == self.me {
            return false; // nobody else writes them
        }
        let limits = Limits {
            keys: self.settings.max_keys_per_member,
            bytes: self.settings.max_state_size_per_member,
            value: self.settings.max_value_size,
        };
        let store = self.store.clone();
        let Some(member) = self.members.get_mut(&owner) else {
            self.counters.segments_unknown_owner += 1;
            self.want_owner(sender, owner);
            return false;
        };
        if member.log.is_repairing() && segment.head.reset && sender != owner {
            return false; // only the owner knows what is right
        }
        let life = member.claim.life.clone();
        let bans = segment.entries().any(|e| e.key == crate::store::own::key::BANNED);
        let applied = member.log.make().apply(segment, &life, &store, &limits, now);
        let expiry = member.log.next_expiry();
        self.note_expiry(owner, expiry);
        let (advanced, bans) = (applied.advanced, bans || applied.shown);
        self.asked_came(now, sender, owner);
        self.applied(now, owner, applied);
        if bans {
            self.bans_changed(now);
        }
        advanced
    }

    /// Something came about an owner that is not known: its record is asked for.
    pub(super) fn want_owner(&mut self, sender: u64, owner: u64) {
        if let Some(target) = self.members.get(&sender).map(|m| m.claim.target())
            && !self.departed.contains_key(&owner)
        {
            self.out.frame(target, frame::kind::WANT_MEMBERS, &owner.to_le_bytes(), &mut self.counters);
        }
    }

    fn applied(&mut self, now: Time, owner: u64, applied: Applied) {
        self.counters.entries_applied += applied.new as u64;
        self.counters.entries_known += applied.known as u64;
        self.counters.entries_refused += applied.refused.len() as u64;
        if applied.advanced {
            self.touch(now, owner, self.settle());
            self.announced_came(now, owner);
        } else {
            self.counters.segments_useless += 1;
        }
        for (key, reason) in applied.refused {
            let Some(view) = self.view(owner) else { return };
            let text = format!("{key:?} of member {:?} is not kept here: {reason}", view.life.id);
            self.store.hub.entry_refused(&view, &key, &text, now);
            self.log(now, Level::Warn, || text);
        }
    }

    /// Tells the sender of a packet what is now known and held of the members that it was about. What it has in
    /// surplus it then sends; what it has been told it counts as committed.
    pub(super) fn acknowledge(&mut self, now: Time, sender: u64, mut touched: Vec<u64>) {
        // One that leaves before it was known here waits for an answer too.
        let Some(target) = self.claim(sender).map(|c| c.target()) else { return };
        touched.sort_unstable();
        touched.dedup();
        let mut rows: Vec<Row> = touched.into_iter().filter_map(|nonce| self.row(nonce)).collect();
        self.mark_asked(now, sender, &mut rows);
        self.inform(target, rows);
        let mut acked = std::mem::take(&mut self.rumors.acked);
        acked.sort_unstable();
        acked.dedup();
        let rows = acked.into_iter().filter_map(|nonce| self.row(nonce)).collect();
        self.state(target, Purpose::Ack, rows);
    }
}
