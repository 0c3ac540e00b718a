//! From packets to what handles their frames: who sent it, whether it is for this life, which frame it is.

use std::net::SocketAddr;
use std::time::Duration;

use super::member::claim_rank;
use super::membership::Merged;
use super::outbox::{Outbox, Target};
use super::{Engine, Path, metrics};
use crate::error::Status;
use crate::store::NodeState;
use crate::store::members::MemberStatus;
use crate::time::Time;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::compress;
use crate::wire::frame;
use crate::wire::packet::{self, Reject};
use crate::wire::probe::{Accusation, Ping, PingFor};
use crate::wire::segment::Segment;

/// A member whose packets come from another address than it is known by is asked for its record so often: on a host
/// with several addresses that is how it stays.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// By so much an answer may be larger than the record that it answers: ages and numbers grow, an accusation has an accuser.
const PAD: usize = 24;

impl Engine {
    pub(super) fn handle_packet(&mut self, now: Time, from: SocketAddr, path: Path, bytes: &[u8]) {
        self.answered_stranger = false;
        // The largest datagram at most, whatever came on a stream: what is answered is a datagram.
        self.answer_room = bytes.len().min(self.out.limit());
        self.expire(now);
        match packet::open(bytes, self.cluster) {
            Ok((head, frames)) => self.handle_frames(now, from, path, head, frames),
            Err(reject) => self.rejected(now, from, reject),
        }
        self.out.flush(&mut self.counters);
    }

    fn rejected(&mut self, now: Time, from: SocketAddr, reject: Reject) {
        match reject {
            Reject::Malformed => self.counters.dropped_malformed += 1,
            Reject::Checksum => self.counters.dropped_checksum += 1,
            Reject::Cluster => {
                self.counters.dropped_cluster += 1;
                self.warn(now, "cluster", Status::InvalidArgument, || {
                    format!(
                        "packets of another cluster come from {from}; its setting `cluster` differs from this node's \
                         (counted in dropped_cluster)"
                    )
                });
            }
            Reject::Version(version) => {
                self.counters.dropped_version += 1;
                self.warn(now, "version", Status::NotSupported, || {
                    format!(
                        "packets of version {version} of the wire format come from {from}; this node reads only {}",
                        packet::VERSION
                    )
                });
            }
            Reject::Sealed => {
                self.counters.dropped_sealed += 1;
                self.warn(now, "sealed", Status::NotSupported, || {
                    format!("sealed packets come from {from}; this node cannot open them")
                });
            }
        }
    }

    fn handle_frames(
        &mut self,
        now: Time,
        from: SocketAddr,
        path: Path,
        head: packet::Head,
        frames: packet::Frames<'_>,
    ) {
        if head.sender == self.me {
            // A seed that is this node itself.
            self.counters.dropped_own += 1;
            self.seed_is_self(now, from);
            return;
        }
        if matches!(self.store.state(), NodeState::Left | NodeState::Failed) {
            self.counters.dropped_not_member += 1;
            return;
        }
        if head.target != 0 && head.target != self.me {
            self.counters.dropped_not_me += 1;
            let to = Target { address: from, nonce: head.sender };
            if path == Path::Datagram {
                self.answer(to, frame::kind::NOT_ME, &head.target.to_le_bytes());
            }
            return;
        }
        let mut moved = false;
        if let Some(member) = self.members.get_mut(&head.sender) {
            member.peer.seen().heard = now;
            member.peer.unanswered = 0;
            moved = path == Path::Datagram && member.claim.address != from && member.peer.ask_after <= now;
            if moved {
                member.peer.talk().ask_after = now + ASK_EVERY;
            }
            member.peer.missed = false;
        }
        let mut touched = Vec::new();
        for item in frames {
            let Ok((kind, body)) = item else {
                self.counters.dropped_malformed += 1;
                break;
            };
            self.counters.frames_received[usize::from(kind).min(metrics::FRAME_KINDS - 1)] += 1;
            if kind == frame::kind::COMPRESSED && path == Path::Datagram {
                // Frames without number would come out of one datagram, from anyone.
                self.counters.dropped_malformed += 1;
                break;
            }
            if self.handle_frame(now, from, head.sender, kind, body, &mut touched).is_err() {
                self.counters.dropped_malformed += 1;
                break;
            }
        }
        self.acknowledge(now, head.sender, touched);
        if moved && self.members.get(&head.sender).is_some_and(|m| m.claim.address != from) {
            // It may have moved, and what it is sent does not reach it.
            let to = Target { address: from, nonce: head.sender };
            self.answer(to, frame::kind::WANT_MEMBERS, &head.sender.to_le_bytes());
        }
        if self.members.get(&head.sender).is_some_and(|m| accused(m.claim.status)) {
            // It lives, and may not know what is held against it.
            // Where it was last, if its packet, which may be small, comes from elsewhere: it hears of it there, or from others.
            if self.may_tell(now, head.sender, head.sender) {
                self.tell_accused(now, head.sender, None);
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // a frame with its circumstances
    fn handle_frame(
        &mut self,
        now: Time,
        from: SocketAddr,
        sender: u64,
        kind: u8,
        body: &[u8],
        touched: &mut Vec<u64>,
    ) -> Result<(), Malformed> {
        use frame::kind::*;
        match kind {
            JOIN => self.handle_join(now, sender, frame::Join::decode(body)?),
            CHALLENGE => self.handle_challenge(now, from, frame::Challenge::decode(body)?),
            MEMBERS => {
                for record in frame::decode_records(body)? {
                    let (nonce, rank) = (record.nonce, claim_rank(record.incarnation, record.status));
                    let merged = self.merge(now, sender, record);
                    if merged == Merged::News {
                        self.claims.learnt(now, nonce, rank);
                    }
                    if merged != Merged::Doubted {
                        touched.push(nonce);
                    }
                }
            }
            CLAIMS => {
                if self.members.contains_key(&sender) {
                    self.handle_claims(now, sender, body, touched)?;
                } else {
                    self.with_sender(now, from, sender, |_, _| ());
                }
            }
            WANT_MEMBERS => {
                let mut nonces = frame::decode_nonces(body)?;
                nonces.sort_unstable();
                nonces.dedup();
                if nonces == [self.me]
                    && let Some(to) = self.departed.get(&sender).map(|d| d.claim.target())
                {
                    // Each holds the other to be gone: one of them has to begin.
                    if self.may_tell(now, sender, self.me) {
                        self.send_records(now, to, &nonces);
                    }
                    return Ok(());
                }
                let asks_for_me = nonces.contains(&self.me);
                self.with_sender(now, from, sender, |engine, to| {
                    engine.send_records(now, to, &nonces);
                    if asks_for_me {
                        // It may know better, and have no proof of this address: its record of this node is to fit the answer.
                        engine.pad(to);
                    }
                });
                return Ok(());
            }
            STATEMENT => {
                let statement = frame::Statement::decode(body)?;
                if self.members.contains_key(&sender) {
                    self.handle_statement(now, sender, statement);
                } else {
                    self.with_sender(now, from, sender, |_, _| ());
                }
            }
            SEGMENT => {
                let segment = Segment::decode(body)?;
                if self.members.contains_key(&sender) {
                    touched.push(segment.head.owner);
                    self.handle_segment(now, sender, &segment);
                } else {
                    self.with_sender(now, from, sender, |_, _| ());
                }
            }
            RUMOR => {
                if self.members.contains_key(&sender) {
                    self.handle_rumor(now, sender, body, touched)?;
                } else {
                    self.with_sender(now, from, sender, |_, _| ());
                }
            }
            ANNOUNCEMENT => {
                if self.members.contains_key(&sender) {
                    self.handle_announcement(now, sender, body, touched)?;
                } else {
                    self.with_sender(now, from, sender, |_, _| ());
                }
            }
            PING => {
                let ping = Ping::decode(body)?;
                if self.members.contains_key(&sender) {
                    self.handle_ping(now, sender, ping);
                } else {
                    self.with_sender(now, from, sender, |_, _| ());
                }
            }
            ACK => self.handle_ack(now, sender, Ping::decode(body)?),
            PING_FOR => {
                let asked = PingFor::decode(body)?;
                self.with_sender(now, from, sender, |engine, _| engine.handle_ping_for(now, sender, asked));
            }
            NACK => self.handle_nack(sender, Reader::new(body).u32()?),
            CONFIRM => {
                let asked = Accusation::decode(body)?;
                self.with_sender(now, from, sender, |engine, _| engine.handle_confirm(now, sender, asked));
            }
            ACCUSE => self.handle_accuse(now, sender, Accusation::decode(body)?),
            COMPRESSED => {
                // What a message may be larger than the largest value is the same as on a stream.
                let plain = compress::decompress(body, super::largest_read(self.settings.max_value_size) + (1 << 20))?;
                for item in packet::frames(&plain) {
                    let (kind, body) = item?;
                    if kind == COMPRESSED {
                        return Err(Malformed);
                    }
                    self.counters.frames_received[usize::from(kind).min(metrics::FRAME_KINDS - 1)] += 1;
                    self.handle_frame(now, from, sender, kind, body, touched)?;
                }
            }
            CONTENT => self.handle_content(now, sender, body)?,
            CONTENT_ROWS => self.handle_content_rows(now, sender, body)?,
            BUCKETS => self.handle_buckets(now, sender, &frame::decode_buckets(body)?),
            BUSY => {
                let other = Reader::new(body).u64()?;
                self.handle_busy(now, sender, other);
            }
            COMING => {
                let mut r = Reader::new(body);
                let (owner, to) = (r.u64()?, r.varint()?);
                self.handle_coming(now, sender, owner, to);
            }
            NOT_ME => {
                let nonce = Reader::new(body).u64()?;
                self.handle_not_me(now, from, nonce);
            }
            _ => {} // of a later version: passed over
        }
        Ok(())
    }

    /// Calls `f` with the sender as target, if it is a member; else asks who it is.
    pub(super) fn with_sender(
        &mut self,
        now: Time,
        from: SocketAddr,
        sender: u64,
        f: impl FnOnce(&mut Engine, Target),
    ) {
        if let Some(member) = self.members.get(&sender) {
            let target = member.claim.target();
            f(self, target);
            return;
        }
        // Once a packet: an answer must not be larger than what it answers.
        if std::mem::replace(&mut self.answered_stranger, true) {
            return;
        }
        let to = Target { address: from, nonce: sender };
        let want = sender.to_le_bytes();
        let departed =
            self.departed.get(&sender).map(|d| (d.claim.target(), self.later_life(&d.claim).unwrap_or(sender)));
        let Some((last, known)) = departed.filter(|(last, _)| last.address == from) else {
            // Nobody known, or not where it was: its record comes in answer, and tells where it is.
            self.counters.dropped_unknown_sender += u64::from(departed.is_none());
            self.answer(to, frame::kind::WANT_MEMBERS, &want);
            return;
        };
        // It is held to be gone, or another process has taken its id over: it learns so. It refutes, or is later than the
        // other by now, for that one is gone as well: so it is asked for its record as it is then.
        if self.may_tell(now, sender, known) {
            self.send_records(now, last, &[known]);
            self.out.frame(last, frame::kind::WANT_MEMBERS, &want, &mut self.counters);
        }
    }

    /// Sends a frame to an address of which it is not proven that the sender of this packet has it: only if all that is
    /// answered is no larger than the packet, so that nobody can have others flooded from here.
    pub(super) fn answer(&mut self, to: Target, kind: u8, body: &[u8]) -> bool {
        let size = Outbox::size(body.len());
        if size > self.answer_room {
            self.counters.answers_withheld += 1;
            return false;
        }
        self.answer_room -= size;
        self.out.frame(to, kind, body, &mut self.counters);
        true
    }

    /// Makes room for an answer that is a little larger than what it answers.
    pub(super) fn pad(&mut self, to: Target) {
        self.out.frame(to, frame::kind::PADDING, &[0; PAD], &mut self.counters);
    }
}

pub(super) fn accused(status: MemberStatus) -> bool {
    matches!(status, MemberStatus::Suspect | MemberStatus::Dead)
}
