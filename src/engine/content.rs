//! Comparison by content: equal fingerprints say that two members hold the same numbers of each owner, not that the same
//! values stand under them. Now and then one member is asked about that; what differs is fetched anew from its owner.

use std::time::Duration;

use rand::Rng;

use super::Engine;
use super::allowance::Allowance;
use crate::store::event::Level;
use crate::time::Time;
use crate::wire::codec::{Malformed, Put, Reader};
use crate::wire::frame::{self, Purpose, Statement};

/// Bytes of state compared at a time, about: hashing them delays everything else.
const SLICE: usize = 16 << 20;

/// What could not be compared, because the two were not equal just then, is tried again after this.
const AGAIN: Duration = Duration::from_secs(20);

/// An owner that has not sent all of its entries is asked for them again after this, and so long at most.
const REPAIR_AGAIN: Duration = Duration::from_secs(1);
const REPAIR_PATIENCE: Duration = Duration::from_secs(60);

/// Bytes hashed a second because others ask, and at once: a packet that asks is small, and many come in one datagram. Who gets no
/// answer asks another later.
const RATE: f64 = SLICE as f64;
const BURST: f64 = 4.0 * SLICE as f64;

/// See the module.
#[derive(Debug)]
pub struct Contents {
    next: Time,
    /// Owners with nonces from here on come next.
    from: u64,
    /// The question under way: where it ends, and how long until the next one if all is equal.
    asked: Option<(u64, Duration)>,
    /// Owners whose entries are being fetched anew.
    repairs: Vec<Repair>,
    /// What may be hashed for others.
    work: Allowance,
}

/// Entries of an owner being fetched anew.
#[derive(Debug)]
struct Repair {
    owner: u64,
    /// When the owner is asked again.
    at: Time,
    /// Given up then, for as long as it lasts only the owner is listened to.
    until: Time,
}

impl Contents {
    /// Nothing compared yet; all is compared once in `interval`.
    pub fn new(now: Time, interval: Duration, rng: &mut impl Rng) -> Contents {
        Contents {
            next: now + interval.mul_f64(rng.random_range(0.5..1.0)),
            from: 0,
            asked: None,
            repairs: Vec::new(),
            work: Allowance::new(now, RATE, BURST),
        }
    }

    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        self.repairs.iter().map(|r| r.at).min().map_or(self.next, |at| at.min(self.next))
    }
}

/// The body of a `CONTENT` frame.
struct Question {
    digest: u64,
    range: (u64, u64),
    sum: u128,
}

impl Question {
    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(40);
        for number in [self.digest, self.range.0, self.range.1] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        put_sum(&mut body, self.sum);
        body
    }

    fn decode(body: &[u8]) -> Result<Question, Malformed> {
        let mut r = Reader::new(body);
        let question = Question { digest: r.u64()?, range: (r.u64()?, r.u64()?), sum: read_sum(&mut r)? };
        if r.is_empty() { Ok(question) } else { Err(Malformed) }
    }
}

fn put_sum(body: &mut Vec<u8>, sum: u128) {
    body.extend_from_slice(&sum.to_le_bytes());
}

fn read_sum(r: &mut Reader<'_>) -> Result<u128, Malformed> {
    Ok(u128::from(r.u64()?) | u128::from(r.u64()?) << 64)
}

impl Engine {
    /// `content_interval` is another one.
    pub(super) fn reschedule_contents(&mut self, now: Time) {
        self.contents.next = now + self.settings.content_interval.mul_f64(self.rng.random_range(0.5..1.0));
        self.contents.asked = None;
    }

    /// Compares the next slice, and asks again for what is fetched anew.
    pub(super) fn content_timeout(&mut self, now: Time) {
        if self.contents.next <= now {
            // A question that was not answered is asked again, of another.
            self.contents.next =
                now + AGAIN.min(self.settings.content_interval).mul_f64(self.rng.random_range(0.5..1.5));
            if self.is_member() {
                self.ask_for_content(now);
            }
        }
        for mut repair in std::mem::take(&mut self.contents.repairs) {
            let Some(member) = self.members.get_mut(&repair.owner).filter(|m| m.log.is_repairing()) else { continue };
            if repair.until <= now || !member.is_present() {
                if let Some(log) = member.log.get_mut() {
                    log.end_repair();
                }
                continue;
            }
            if repair.at <= now {
                repair.at = now + REPAIR_AGAIN;
                self.ask_owner(repair.owner);
            }
            self.contents.repairs.push(repair);
        }
    }

    fn ask_for_content(&mut self, now: Time) {
        let Some(peer) = self.choose(1, |m| m.peer.proven > 0).pop() else {
            self.contents.next = now + self.settings.content_interval;
            return;
        };
        let from = self.contents.from;
        let mut owners = self.owners_in(from, u64::MAX);
        let bytes = |engine: &Engine, owner: &u64| engine.members.get(owner).map_or(0, |m| m.log.size().1 + 1);
        let all: usize = self.ring.members().iter().map(|owner| bytes(self, owner)).sum();
        let mut taken = 0;
        let mut to = u64::MAX;
        for (i, owner) in owners.iter().enumerate() {
            taken += bytes(self, owner);
            if taken > SLICE && i + 1 < owners.len() {
                to = *owner;
                owners.truncate(i + 1);
                break;
            }
        }
        let pause = self.settings.content_interval.mul_f64((taken as f64 / all.max(1) as f64).min(1.0));
        self.contents.asked = Some((to, pause));
        let question = Question { digest: self.roots.digest(), range: (from, to), sum: self.content_of(&owners) };
        let Some(target) = self.members.get(&peer).map(|m| m.claim.target()) else { return };
        self.out.frame(target, frame::kind::CONTENT, &question.encode(), &mut self.counters);
    }

    /// Present members with nonces in a range, in order.
    fn owners_in(&self, lo: u64, hi: u64) -> Vec<u64> {
        let mut owners: Vec<u64> = self.ring.members().iter().copied().filter(|n| (lo..=hi).contains(n)).collect();
        owners.sort_unstable();
        owners
    }

    /// Whether the entries of these owners may be hashed because another asks.
    fn may_hash(&mut self, now: Time, owners: &[u64]) -> bool {
        let bytes: usize = owners.iter().filter_map(|o| self.members.get(o)).map(|m| m.log.size().1 + 1).sum();
        self.contents.work.spend(now, bytes.min(BURST as usize), 0.0)
    }

    fn content_of(&self, owners: &[u64]) -> u128 {
        let sums = owners.iter().filter_map(|owner| self.members.get(owner)?.log.content(*owner));
        sums.fold(0, u128::wrapping_add)
    }

    /// Somebody asks whether the same stands under the same numbers here.
    pub(super) fn handle_content(&mut self, now: Time, sender: u64, body: &[u8]) -> Result<(), Malformed> {
        let question = Question::decode(body)?;
        let Some(target) = self.members.get(&sender).map(|m| m.claim.target()) else { return Ok(()) };
        let (lo, hi) = question.range;
        if question.digest != self.roots.digest() || lo > hi {
            return Ok(()); // what is not equal cannot be compared; it will be asked again
        }
        let owners = self.owners_in(lo, hi);
        if !self.may_hash(now, &owners) {
            return Ok(());
        }
        if self.content_of(&owners) == question.sum {
            self.out.frame(target, frame::kind::CONTENT_ROWS, &[1], &mut self.counters);
        } else {
            self.send_contents(target, 1, &owners);
        }
        Ok(())
    }

    /// Tells the content of single owners. `answer` 1: to a question; 0: to such an answer.
    fn send_contents(&mut self, target: super::outbox::Target, answer: u8, owners: &[u64]) {
        let each = 8 + 10 + 16;
        for owners in owners.chunks((self.out.room() / each).saturating_sub(1).max(1)) {
            let mut body = vec![answer];
            for owner in owners {
                let Some(member) = self.members.get(owner) else { continue };
                let Some(content) = member.log.content(*owner) else { continue };
                body.extend_from_slice(&owner.to_le_bytes());
                body.put_varint(member.log.held().watermark);
                put_sum(&mut body, content);
            }
            self.out.frame(target, frame::kind::CONTENT_ROWS, &body, &mut self.counters);
        }
    }

    /// The content of owners at a peer; none, if nothing differs.
    pub(super) fn handle_content_rows(&mut self, now: Time, sender: u64, body: &[u8]) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let answer = r.u8()? == 1;
        let Some(target) = self.members.get(&sender).map(|m| m.claim.target()) else { return Ok(()) };
        if answer && let Some((to, pause)) = self.contents.asked.take() {
            self.counters.contents_compared += 1;
            self.contents.next = now + pause.mul_f64(self.rng.random_range(0.9..1.1));
            self.contents.from = to.wrapping_add(1);
        }
        let mut differ = Vec::new();
        while !r.is_empty() {
            let (owner, watermark, theirs) = (r.u64()?, r.varint()?, read_sum(&mut r)?);
            if !self.may_hash(now, &[owner]) {
                break;
            }
            let Some(log) = self.members.get(&owner).map(|m| &m.log) else { continue };
            if log.held().watermark == watermark && log.content(owner).is_some_and(|ours| ours != theirs) {
                differ.push(owner);
            }
        }
        for owner in &differ {
            self.content_differs(now, sender, *owner);
        }
        if answer && !differ.is_empty() {
            // It does not know yet that it differs, and either may be wrong.
            self.send_contents(target, 0, &differ);
        }
        Ok(())
    }

    fn content_differs(&mut self, now: Time, peer: u64, owner: u64) {
        self.counters.content_differences += 1;
        let id = |nonce| self.members.get(&nonce).map(|m| m.claim.life.id.as_str().to_owned()).unwrap_or_default();
        let (id, at) = (id(owner), id(peer));
        self.log(now, Level::Error, || {
            format!(
                "entries of member {id:?} differ here and at {at:?} though both hold the same of them; they are fetched anew \
                 from {id:?} (counted in content_differences)"
            )
        });
        if owner == self.me {
            return; // what stands here is right
        }
        if let Some(member) = self.members.get_mut(&owner)
            && member.log.make().begin_repair()
        {
            self.contents.repairs.push(Repair { owner, at: now + REPAIR_AGAIN, until: now + REPAIR_PATIENCE });
            self.ask_owner(owner);
        }
    }

    /// Asks an owner for what is lacking here of its entries: where they are fetched anew, from where that has come to.
    pub(super) fn ask_owner(&mut self, owner: u64) {
        let (Some(row), Some(member)) = (self.row(owner), self.members.get(&owner)) else { return };
        let body = Statement::of_rows(Purpose::Inform, vec![row]).encode();
        self.out.frame(member.claim.target(), frame::kind::STATEMENT, &body, &mut self.counters);
    }
}
