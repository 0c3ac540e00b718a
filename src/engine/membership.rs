//! The table of members: merging of records, fingerprints, the departed.

use std::time::Duration;

use rand::Rng;
use rand::seq::SliceRandom;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Engine;
use super::arc::Span;
use super::departed::Departed;
use super::dispatch::accused;
use super::member::{Claim, Member, claim_rank};
use super::outbox::Target;
use super::probe::Why;
use crate::error::Status;
use crate::store::NodeState;
use crate::store::event::{Level, kind};
use crate::store::members::{Cause, MemberStatus};
use crate::time::Time;
use crate::wire::frame::{self, Held, Record, Roots};

/// What a member's log adds to the state fingerprint.
pub(super) fn state_term(cluster: u32, nonce: u64, held: &Held) -> u64 {
    let mut bytes = Vec::with_capacity(16 + held.above.len() * 16);
    bytes.extend_from_slice(&nonce.to_le_bytes());
    bytes.extend_from_slice(&held.watermark.to_le_bytes());
    for (from, to) in &held.above {
        bytes.extend_from_slice(&from.to_le_bytes());
        bytes.extend_from_slice(&to.to_le_bytes());
    }
    xxh3_64_with_seed(&bytes, u64::from(cluster) << 32 | 1)
}

/// What a member's record adds to the membership fingerprint.
pub(super) fn member_term(cluster: u32, nonce: u64, incarnation: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&nonce.to_le_bytes());
    bytes[8..].copy_from_slice(&incarnation.to_le_bytes());
    xxh3_64_with_seed(&bytes, u64::from(cluster) << 32 | 2)
}

/// An incarnation rises by one at a time. One that is so far above what is known of the life is no honest claim: after it, the
/// member would soon have no higher one left to refute with.
const INCARNATION_JUMP: u64 = 1 << 32;

/// What became of a record that was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// It was news here.
    News,
    /// It was known, or stale.
    Known,
    /// It is not believed yet. No answer says so: the sender would only repeat it.
    Doubted,
}

/// How a record came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In an exchange, or in answer to something.
    Told,
    /// Down the tree: to be passed on within the arc.
    Tree(Span),
    /// From the member itself, which has been reached where it says.
    Proven,
}

impl Engine {
    /// Where a life stands on the ring.
    pub(super) fn place(&self, nonce: u64) -> u64 {
        self.ring.place(nonce)
    }

    /// Brings the fingerprints up to date with a member.
    pub(super) fn refresh_terms(&mut self, nonce: u64) {
        let Some(member) = self.members.get_mut(&nonce) else { return };
        let terms = if member.is_present() {
            Roots {
                state: state_term(self.cluster, nonce, member.log.held()),
                members: member_term(self.cluster, nonce, member.claim.incarnation),
            }
        } else {
            Roots::default()
        };
        let old = std::mem::replace(&mut member.terms, terms);
        self.roots.state = self.roots.state.wrapping_sub(old.state).wrapping_add(terms.state);
        self.roots.members = self.roots.members.wrapping_sub(old.members).wrapping_add(terms.members);
    }

    /// Brings the lists of who is present up to date with a member.
    pub(super) fn refresh_presence(&mut self, now: Time, nonce: u64) {
        let present = self.members.get(&nonce).is_some_and(Member::is_present);
        let changed = if present { self.ring.insert(nonce) } else { self.ring.remove(nonce) };
        if changed {
            self.topology_changed(now);
        }
        self.refresh_dead(nonce);
    }

    /// Takes a life in that was not known.
    pub(super) fn insert_member(&mut self, claim: Claim, now: Time) {
        let nonce = claim.life.nonce;
        self.members.insert(Member::new(claim));
        if let Some(view) = self.view(nonce) {
            self.store.members.put(view);
        }
        self.refresh_presence(now, nonce);
        self.touch(now, nonce, self.settle());
    }

    /// Tells hosts and peers that a member's record has changed.
    pub(super) fn member_updated(&mut self, now: Time, nonce: u64, event: u32) {
        let Some(view) = self.view(nonce) else { return };
        self.store.members.put(view.clone());
        self.refresh_presence(now, nonce);
        // What failure detection says goes down the tree, and all get it in the same moment: they ask each other once that is
        // through. Newcomers are waited for.
        let told = event & (kind::MEMBER_SUSPECTED | kind::MEMBER_ALIVE | kind::MEMBER_DEAD) != 0;
        let settle = if told { self.settle() } else { Duration::ZERO };
        self.touch(now, nonce, settle);
        self.store.member_changed(event, &view, now);
        if matches!(event, kind::MEMBER_DEAD | kind::MEMBER_LEFT) && nonce != self.me {
            self.inherit_bans(now, nonce);
        }
    }

    /// What is known of a life, be it here, departed, or only remembered.
    pub(super) fn claim(&self, nonce: u64) -> Option<&Claim> {
        self.members.get(&nonce).map(|m| &m.claim).or_else(|| self.departed.get(&nonce).map(|d| &d.claim))
    }

    /// Merges a record that `sender` has passed on.
    pub(super) fn merge(&mut self, now: Time, sender: u64, record: Record) -> Merged {
        self.merge_by(now, sender, record, Way::Told)
    }

    /// Merges a record that came by some way.
    pub(super) fn merge_by(&mut self, now: Time, sender: u64, record: Record, way: Way) -> Merged {
        let rank = claim_rank(record.incarnation, record.status);
        if self.is_implausible(record.nonce, record.incarnation) {
            self.counters.claims_implausible += 1;
            return Merged::Doubted;
        }
        if record.nonce == self.me {
            self.refute(now, record.incarnation, record.status);
            return Merged::Known;
        }
        if let Some(member) = self.members.get(&record.nonce) {
            let member_address = member.claim.address;
            if rank > member.claim.rank() {
                if self.doubts(now, &record) {
                    return Merged::Doubted;
                }
                let moved = record.address != member_address && !accused(record.status);
                if moved && way != Way::Proven {
                    self.prove_address(now, record, way);
                    return Merged::Doubted;
                }
                self.replace_claim(now, &record);
                return Merged::News;
            }
            if rank < member.claim.rank() {
                self.answer_with(now, sender, record.nonce, &record);
            } else if record.status == MemberStatus::Suspect && record.cause > member.claim.cause {
                self.strengthen(now, record.nonce, record.cause);
                return Merged::News;
            }
            return Merged::Known;
        }
        if let Some(Departed { claim, .. }) = self.departed.get(&record.nonce)
            && rank <= claim.rank()
        {
            if rank < claim.rank() {
                self.answer_with(now, sender, record.nonce, &record);
            }
            return Merged::Known;
        }
        let news = self.merge_new_life(now, sender, &record);
        if self.members.contains_key(&record.nonce) {
            self.forget(record.nonce);
        }
        if news { Merged::News } else { Merged::Known }
    }

    fn is_implausible(&self, nonce: u64, incarnation: u64) -> bool {
        self.claim(nonce).is_some_and(|known| incarnation > known.incarnation.saturating_add(INCARNATION_JUMP))
    }

    /// A life that is not known: a newcomer, a later life of a known id, or a stale one. Gives whether it was taken in.
    fn merge_new_life(&mut self, now: Time, sender: u64, record: &Record) -> bool {
        let Some(mut claim) = Claim::from_record(record, &self.store.contacts, now) else { return false };
        let departed = self.departed.get(&record.nonce).map(|d| d.known);
        if departed.is_some() {
            claim.since = now; // back
        }
        let known = self.latest(&record.id);
        if let Some(later) = self.later_life(&claim) {
            // A former life: of one who does not know the later one, or of a process that is still there.
            self.answer_with(now, sender, later, record);
            return false;
        }
        if known == Some(self.me) {
            if claim.status.is_present() {
                self.displaced(now, &claim);
            } else {
                // Nobody is there to quarrel with: only its numbers have to be passed.
                self.raise_generation(now, claim.life.generation);
                self.remember_departed(claim, 0);
            }
            return false;
        }
        if !claim.status.is_present() {
            if let Some(former) = known {
                self.end_former(now, former);
            }
            self.remember_departed(claim, 0);
            return false;
        }
        if known.is_none() && !self.make_room(now) {
            self.counters.members_refused += 1;
            let max = self.settings.max_members;
            self.warn(now, "max_members", Status::Limit, || {
                format!("member {} is not taken in: there are {max} already (max_members)", record.id)
            });
            return false;
        }
        let nonce = claim.life.nonce;
        let suspect = claim.status == MemberStatus::Suspect;
        let restarted = known.is_some_and(|known| self.supersede(now, known));
        self.log(now, Level::Info, || format!("member {} joined at {}", record.id, record.address));
        // Its address is not that of one that is gone any more.
        let address = claim.address;
        self.end_grace(now, |m| m.claim.address == address);
        self.insert_member(claim, now);
        if let Some(known) = departed.filter(|known| *known > 0)
            && let Some(member) = self.members.get_mut(&nonce)
        {
            member.log.make().comes_back(known);
        }
        self.member_updated(now, nonce, if restarted { kind::MEMBER_RESTARTED } else { kind::MEMBER_JOINED });
        if suspect {
            self.suspected_by_other(now, nonce);
        }
        self.note_joined(now);
        true
    }

    /// A member is said to be at another address. Only a round trip to it there shows that: nobody's word, and no packet
    /// that was under way for long, makes this node send to where it is not, or tell others to.
    fn prove_address(&mut self, now: Time, record: Record, way: Way) {
        if !self.probes.proves(record.nonce) {
            let nonce = record.nonce;
            self.probe(now, nonce, Why::Moved(Box::new((record, way))));
        }
    }

    /// It is there.
    pub(super) fn address_proven(&mut self, now: Time, record: Record, way: Way) {
        let (nonce, rank) = (record.nonce, claim_rank(record.incarnation, record.status));
        if self.members.get(&nonce).is_none_or(|m| rank <= m.claim.rank()) {
            return;
        }
        self.replace_claim(now, &record);
        match way {
            Way::Tree(arc) => self.spread_claims(now, arc, &[nonce]),
            _ => self.claims.learnt(now, nonce, rank),
        }
    }

    pub(super) fn replace_claim(&mut self, now: Time, record: &Record) {
        let store = self.store.clone();
        let Some(member) = self.members.get_mut(&record.nonce) else { return };
        let old = member.claim.clone();
        // Nothing but that changes a life, whatever a record says.
        let as_known = Record {
            id: old.life.id.as_str().to_owned(),
            generation: record.generation.max(old.life.generation),
            // Whoever accuses a member says nothing about where it is.
            address: if accused(record.status) { old.address } else { record.address },
            ..record.clone()
        };
        let Some(mut claim) = Claim::from_record(&as_known, &store.contacts, now) else { return };
        if claim.status == old.status {
            claim.since = old.since;
        } else if claim.status == MemberStatus::Alive {
            // A member that is back tells how long it has run, not how long it has been back here.
            claim.since = now;
        }
        let event = match (old.status, claim.status) {
            (MemberStatus::Suspect | MemberStatus::Dead | MemberStatus::Banned, MemberStatus::Alive) => {
                kind::MEMBER_ALIVE
            }
            (old, new) if old == new => kind::MEMBER_UPDATED,
            (_, MemberStatus::Suspect) => kind::MEMBER_SUSPECTED,
            (_, MemberStatus::Dead) => kind::MEMBER_DEAD,
            (_, MemberStatus::Left) => kind::MEMBER_LEFT,
            (_, MemberStatus::Banned) => kind::MEMBER_BANNED,
            _ => kind::MEMBER_UPDATED,
        };
        // An incarnation raised to refute a claim that never got here changes nothing for hosts.
        let silent = event == kind::MEMBER_UPDATED
            && old.status == claim.status
            && old.address == claim.address
            && old.life.generation == claim.life.generation
            && old.tags == claim.tags;
        // A newcomer may have had to raise its generation after some had let it in: its entries are of the new one.
        if claim.life.generation > old.life.generation
            && let Some(log) = member.log.get_mut()
        {
            log.raise_generation(&claim.life, &store);
        }
        member.claim = claim;
        if !member.is_present() {
            member.peer = Default::default();
        }
        let (id, word) = (old.life.id.clone(), member.claim.status.word());
        match member.claim.status {
            MemberStatus::Suspect => self.suspected_by_other(now, record.nonce),
            _ => self.suspicions.end(record.nonce),
        }
        if silent {
            self.touch(now, record.nonce, self.settle());
        } else {
            self.log(now, Level::Info, || match record.status {
                MemberStatus::Suspect | MemberStatus::Dead => {
                    let by = self.claim(record.accuser).map_or("a stranger", |by| by.life.id.as_str());
                    let (why, age) = (record.cause.text(), record.age_ms);
                    format!("member {id:?} is {word}, as {by:?} has said {age} ms ago: {why}")
                }
                _ => format!("member {id:?} is {word}"),
            });
            self.member_updated(now, record.nonce, event);
        }
    }

    /// A claim about this node itself that it knows better.
    pub(super) fn refute(&mut self, now: Time, incarnation: u64, status: MemberStatus) {
        if self.is_implausible(self.me, incarnation) {
            return;
        }
        let me = &mut self.members.get_mut(&self.me).expect("this node is always among its members").claim;
        let wrong = status != me.status || incarnation > me.incarnation;
        if wrong && incarnation >= me.incarnation && me.status.is_present() && status != MemberStatus::Left {
            me.incarnation = incarnation + 1;
            self.counters.refutations += 1;
            // Whoever is suspected has been slow to answer.
            self.feel(1);
            self.touch(now, self.me, Duration::ZERO);
            self.tell(now, self.me);
        }
    }

    /// Another process has this node's id, and is the later one: it stays, this one stops writing.
    fn displaced(&mut self, now: Time, other: &Claim) {
        let text = format!(
            "member id {:?} has been taken over by a later process at {}; give each process an id of its own, or none",
            other.life.id, other.address
        );
        self.store.refuse_writes(Some(Status::IdTaken));
        self.store.hub.warning(Status::IdTaken.code(), &text, now);
        self.store.set_state(now, NodeState::Failed, &text);
        self.log(now, Level::Error, || text);
    }

    /// The latest life of the claim's id that is known, if it is a later one.
    pub(super) fn later_life(&self, claim: &Claim) -> Option<u64> {
        let id = claim.life.id.as_str();
        let later = |nonce: &&u64| self.claim(**nonce).is_some_and(|other| other.life.rank() > claim.life.rank());
        self.latest(id).filter(|nonce| later(&nonce)).or_else(|| self.departed_ids.get(id).filter(later).copied())
    }

    /// Tells `sender`, who passed `record` on, what is known of a life.
    fn answer_with(&mut self, now: Time, sender: u64, nonce: u64, record: &Record) {
        let own = sender == record.nonce;
        let known = self.members.get(&sender).map(|m| m.claim.target());
        let was = self.departed.get(&sender).map(|d| d.claim.target()).filter(|to| own && to.address == record.address);
        // One that is no member speaks for itself only.
        if let Some(target) = known.or(was) {
            if self.may_tell(now, sender, nonce) {
                self.send_records(now, target, &[nonce]);
            }
        } else if own && let Some(claim) = self.claim(nonce) {
            // To an address of which nothing is proven; without tags it is about as large as what it answers.
            let mut body = Vec::new();
            Record { tags: Default::default(), ..claim.to_record(now) }.put(&mut body);
            if self.may_tell(now, sender, nonce) {
                self.answer(Target { address: record.address, nonce: sender }, frame::kind::MEMBERS, &body);
            }
        }
    }

    /// Sends records of the lives that are known among `nonces`.
    pub(super) fn send_records(&mut self, now: Time, to: Target, nonces: &[u64]) {
        let mut body = Vec::new();
        for nonce in nonces {
            let claim = self.claim(*nonce);
            let Some(claim) = claim else { continue };
            let start = body.len();
            claim.to_record(now).put(&mut body);
            if body.len() > self.out.room() && start > 0 {
                let last = body.split_off(start);
                self.out.frame(to, frame::kind::MEMBERS, &body, &mut self.counters);
                body = last;
            }
        }
        if !body.is_empty() {
            self.out.frame(to, frame::kind::MEMBERS, &body, &mut self.counters);
        }
    }

    /// Another life has the address that a packet was sent to: if it is the recorded one, the member is gone from it.
    pub(super) fn handle_not_me(&mut self, now: Time, from: std::net::SocketAddr, nonce: u64) {
        let Some(member) = self.members.get(&nonce) else { return };
        if nonce == self.me || member.claim.address != from || !member.is_present() {
            return;
        }
        self.suspicions.end(nonce);
        self.declare_dead(now, nonce, Cause::Replaced);
    }

    /// How many members are present besides this node.
    pub(super) fn others(&self) -> usize {
        self.ring.len() - usize::from(self.ring.contains(self.me))
    }

    /// Up to `most` present members besides this node, in random order.
    pub(super) fn random_others(&mut self, most: usize) -> Vec<u64> {
        let all = self.ring.members();
        let mut chosen: Vec<u64> = if all.len() <= most {
            all.to_vec()
        } else {
            rand::seq::index::sample(&mut self.rng, all.len(), most).into_iter().map(|at| all[at]).collect()
        };
        chosen.retain(|nonce| *nonce != self.me);
        chosen.shuffle(&mut self.rng);
        chosen
    }

    /// The latest life of an id that is here.
    pub(super) fn latest(&self, id: &str) -> Option<u64> {
        self.store.members.find(id).map(|(nonce, _)| nonce)
    }

    /// Up to `n` present members, at random, each once; first those for which `prefer` holds.
    pub(super) fn choose(&mut self, n: usize, prefer: impl Fn(&Member) -> bool) -> Vec<u64> {
        let mut chosen: Vec<u64> = Vec::new();
        let mut second = Vec::new();
        if self.others() <= n {
            return self.ring.members().iter().copied().filter(|nonce| *nonce != self.me).collect();
        }
        for _ in 0..n * 4 + 4 {
            let nonce = self.ring.members()[self.rng.random_range(0..self.ring.len())];
            if nonce == self.me || chosen.contains(&nonce) || second.contains(&nonce) {
                continue;
            }
            let member = &self.members[&nonce];
            // One that has not answered for long is tried now and then.
            let silent = member.peer.unanswered >= 3 && !self.rng.random_ratio(1, 8);
            if prefer(member) && !silent {
                chosen.push(nonce);
            } else {
                second.push(nonce);
            }
            if chosen.len() == n {
                return chosen;
            }
        }
        second.truncate(n - chosen.len());
        chosen.extend(second);
        chosen
    }

    /// The present members after this node on the ring, in order, and around it.
    pub(super) fn successors(&self) -> impl Iterator<Item = u64> + '_ {
        self.ring.after(self.me)
    }
}
