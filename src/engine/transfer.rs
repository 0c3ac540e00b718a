//! Entries on their way: sending a peer what it lacks, taking in what a peer sends.

use std::time::Duration;

use hashbrown::HashMap;

use super::Engine;
use super::log::{Applied, Limits};
use super::member::InFlight;
use crate::store::event::Level;
use crate::time::Time;
use crate::wire::frame::{self, Purpose};
use crate::wire::segment::Segment;

/// Bytes sent at once as datagrams to one peer; what is more goes as messages on a stream.
const BURST: usize = 16 * 1024;

/// Bytes in one message on a stream, if not one larger entry.
const MESSAGE: usize = 1 << 20;

/// A message on a stream is taken for lost after this.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(5);

/// Owners whose entries were asked for, remembered at most.
const MAX_ASKED: usize = 1024;

/// Of whom the entries of an owner were asked for last.
#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: u64,
    /// The watermark then: when it moves, the peer may be asked for what follows.
    watermark: u64,
    /// Given up then.
    until: Time,
}

/// What this node has asked for. Of each owner one peer is asked at a time: several would all send the same, and two
/// members that cannot help each other would ask each other without end.
#[derive(Debug, Default)]
pub struct Wants {
    asked: HashMap<u64, Asked>,
}

impl Engine {
    /// How long to wait for what a peer sends, or for its acknowledgement of what is sent to it.
    pub(super) fn patience(&self, peer: u64) -> Duration {
        let srtt = self.members.get(&peer).and_then(|m| m.peer.srtt_us).or(self.rumors.rtt_us);
        let srtt = srtt.map_or(Duration::from_millis(25), |us| Duration::from_micros(us.into()));
        (srtt * 4).clamp(Duration::from_millis(10), Duration::from_secs(2))
    }

    /// Those of the owners whose entries are asked for of this peer now. What a rumor may be bringing already is asked
    /// for a little later, if it has not come by then.
    pub(super) fn ask(&mut self, now: Time, peer: u64, mut owners: Vec<u64>) -> Vec<u64> {
        if self.settings.rumors && self.eager_until <= now {
            owners.retain(|owner| !self.ask_later(now, peer, *owner));
        }
        self.ask_now(now, peer, &owners)
    }

    /// Those of the owners that no other peer is being asked for, now being asked for of this one.
    pub(super) fn ask_now(&mut self, now: Time, peer: u64, owners: &[u64]) -> Vec<u64> {
        let until = now + self.patience(peer);
        let mut asked = Vec::new();
        for owner in owners {
            let Some(watermark) = self.members.get(owner).map(|m| m.log.held().watermark) else { continue };
            let ask = match self.wants.asked.get(owner) {
                Some(a) if a.until <= now => true,
                Some(a) => a.peer == peer && a.watermark < watermark,
                None => true,
            };
            if ask {
                if self.wants.asked.len() >= MAX_ASKED {
                    self.wants.asked.retain(|_, a| a.until > now);
                }
                self.wants.asked.insert(*owner, Asked { peer, watermark, until });
                asked.push(*owner);
            }
        }
        asked
    }

    /// Something has come of what was asked for: more will.
    fn asked_came(&mut self, now: Time, sender: u64, owner: u64) {
        let until = now + self.patience(sender);
        if let Some(asked) = self.wants.asked.get_mut(&owner).filter(|a| a.peer == sender) {
            asked.until = until;
        }
    }

    /// Sends a peer what it lacks of the `owners`, small ones first, at most `gossip_max_send` of them.
    pub(super) fn push(&mut self, now: Time, peer: u64, mut owners: Vec<u64>) {
        let Some(partner) = self.members.get(&peer) else { return };
        let target = partner.claim.target();
        owners.retain(|owner| *owner != peer && partner.peer.in_flight.get(owner).is_none_or(|f| f.until <= now));
        let mut sized: Vec<(usize, u64)> = owners
            .into_iter()
            .filter_map(|owner| {
                let theirs = partner.peer.committed.get(&owner)?;
                Some((self.members.get(&owner)?.log.missing_bytes(theirs, MESSAGE), owner))
            })
            .collect();
        sized.sort_unstable();
        sized.truncate(self.settings.gossip_max_send);

        let patience = self.patience(peer);
        let mut burst = 0;
        let mut frames = Vec::new();
        let mut message = 0;
        for (size, owner) in sized {
            let by_stream = burst + size > BURST;
            let room = if by_stream { MESSAGE } else { self.out.room() };
            let mut end = 0;
            let mut first = 0;
            loop {
                if by_stream && message >= MESSAGE {
                    break;
                }
                let reset = self.reset_of(peer, owner);
                let Some(partner) = self.members.get(&peer) else { return };
                let Some(theirs) = partner.peer.committed.get(&owner) else { break };
                let Some(member) = self.members.get(&owner) else { break };
                let Some((body, to)) = member.log.segment_for(owner, theirs, reset, end, room, now) else { break };
                if end == 0 {
                    first = Segment::decode(&body).map_or(0, |s| s.head.from + 1);
                }
                end = to;
                self.counters.segments_sent += 1;
                if by_stream {
                    message += body.len();
                    frames.push((frame::kind::SEGMENT, body));
                } else {
                    burst += body.len();
                    self.out.frame(target, frame::kind::SEGMENT, &body, &mut self.counters);
                    if burst > 2 * BURST {
                        break;
                    }
                }
            }
            if end > 0
                && let Some(partner) = self.members.get_mut(&peer)
            {
                let until = now + if by_stream { MESSAGE_PATIENCE } else { patience };
                partner.peer.in_flight.insert(owner, InFlight { first, to: end, until });
            }
        }
        if !frames.is_empty() {
            self.out.message(target, &frames, &mut self.counters);
        }
    }

    /// How far the peer's reset of this owner has come, as it last said.
    fn reset_of(&self, peer: u64, owner: u64) -> Option<u64> {
        self.members.get(&peer)?.peer.resets.get(&owner).copied()
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
        let life = member.claim.life.clone();
        let applied = member.log.apply(segment, &life, &store, &limits, now);
        let expiry = member.log.next_expiry();
        self.note_expiry(owner, expiry);
        let advanced = applied.advanced;
        self.asked_came(now, sender, owner);
        self.applied(now, owner, applied);
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
            let Some(view) = self.members.get(&owner).map(|m| m.claim.view(None, false)) else { return };
            let text = format!("{key:?} of member {:?} is not kept here: {reason}", view.life.id);
            self.store.hub.entry_refused(&view, &key, &text, now);
            self.log(now, Level::Warn, || text);
        }
    }

    /// Tells the sender of a packet what is now known and held of the members that it was about. What it has in
    /// surplus it then sends; what it has been told it counts as committed.
    pub(super) fn acknowledge(&mut self, _now: Time, sender: u64, mut touched: Vec<u64>) {
        // One that leaves before it was known here waits for an answer too.
        let claim = self.members.get(&sender).map(|m| &m.claim).or_else(|| self.departed.get(&sender));
        let Some(target) = claim.map(|c| c.target()) else { return };
        touched.sort_unstable();
        touched.dedup();
        let rows = touched.into_iter().filter_map(|nonce| self.row(nonce)).collect();
        self.inform(target, rows);
        let mut acked = std::mem::take(&mut self.rumors.acked);
        acked.sort_unstable();
        acked.dedup();
        let rows = acked.into_iter().filter_map(|nonce| self.row(nonce)).collect();
        self.state(target, Purpose::Ack, rows);
    }
}
