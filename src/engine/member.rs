//! A member as the engine knows it: its record, its log, and what it has proven to hold.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::log::Log;
use super::offsets::{MAX_OFFSETS, Offsets};
use super::outbox::Target;
use super::rare::{Empty, Rare};
use crate::store::Store;
use crate::store::contacts::Contacts;
use crate::store::entry::{Life, LifeRef, MemberId};
use crate::store::lives::OfLife;
use crate::store::members::{Cause, Contact, MemberStatus, MemberView, Tags};
use crate::time::Time;
use crate::wire::frame::{Held, Record, Roots};

/// The order of claims about one life: a later one of this order wins wherever the two meet.
///
/// `left` is said by the member itself and final; else its higher incarnation wins; within one, the graver claim.
pub type ClaimRank = (bool, u64, u8);

/// The rank of a claim.
pub fn claim_rank(incarnation: u64, status: MemberStatus) -> ClaimRank {
    let gravity = match status {
        MemberStatus::Alive => 0,
        MemberStatus::Leaving => 1,
        MemberStatus::Suspect => 2,
        MemberStatus::Dead => 3,
        MemberStatus::Banned => 4,
        MemberStatus::Left => 5,
    };
    (status == MemberStatus::Left, incarnation, gravity)
}

/// What is known of a life: the record as it travels, with ages turned into local times.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who it is and where it is reached; shared with the row that hosts read.
    pub contact: triomphe::Arc<Contact>,
    /// Raised by the member itself only.
    pub incarnation: u64,
    /// What it is held to be.
    pub status: MemberStatus,
    /// Since when, by this node's clock; counted on from the age that the claim arrived with.
    pub since: Time,
    /// Suspect or dead: why.
    pub cause: Cause,
    /// Suspect or dead: who said so first.
    pub accuser: u64,
}

impl Deref for Claim {
    type Target = Contact;
    fn deref(&self) -> &Contact {
        &self.contact
    }
}

impl Claim {
    /// From a record that arrived at `now`; `None` if its id is none.
    pub fn from_record(record: &Record, contacts: &Contacts, now: Time) -> Option<Claim> {
        let same = |known: &Contact| {
            (known.life.generation, known.life.id.as_str()) == (record.generation, record.id.as_str())
                && (known.address, known.versions) == (record.address, record.versions)
                && *known.tags == record.tags
        };
        let contact = match contacts.find(record.nonce, same) {
            Some(known) => known,
            None => {
                let id = MemberId::new(&record.id)?;
                let life = LifeRef::new(Life { id, generation: record.generation, nonce: record.nonce });
                let tags = shared_tags(&record.tags);
                contacts.keep(Contact { life, address: record.address, versions: record.versions, tags })
            }
        };
        Some(Claim {
            contact,
            incarnation: record.incarnation,
            status: record.status,
            since: now.back(Duration::from_millis(record.age_ms)),
            cause: record.cause,
            accuser: record.accuser,
        })
    }

    /// As a record to send at `now`.
    pub fn to_record(&self, now: Time) -> Record {
        Record {
            id: self.life.id.as_str().to_owned(),
            generation: self.life.generation,
            nonce: self.life.nonce,
            incarnation: self.incarnation,
            status: self.status,
            age_ms: now.millis_since(self.since),
            address: self.address,
            versions: self.versions,
            tags: (*self.tags).clone(),
            cause: self.cause,
            accuser: self.accuser,
        }
    }

    /// Holds it to be `status` from `now` on, for a reason, as `accuser` says.
    pub fn accuse(&mut self, now: Time, status: MemberStatus, cause: Cause, accuser: u64) {
        self.status = status;
        self.since = now;
        self.cause = cause;
        self.accuser = accuser;
    }

    /// What it says of itself, to change it: the rows that hosts have read stay as they are.
    pub fn contact_mut(&mut self) -> &mut Contact {
        triomphe::Arc::make_mut(&mut self.contact)
    }

    /// Its rank.
    pub fn rank(&self) -> ClaimRank {
        claim_rank(self.incarnation, self.status)
    }

    /// Where and who it is.
    pub fn target(&self) -> Target {
        Target { address: self.address, nonce: self.life.nonce }
    }

    /// As API calls see it.
    pub fn view(&self, rtt_us: Option<u32>, is_self: bool) -> MemberView {
        MemberView {
            contact: self.contact.clone(),
            status: self.status,
            since: self.since,
            rtt_us,
            is_self,
            banned: false,
        }
    }
}

/// Tags to keep. Most members have none, and share that.
pub fn shared_tags(tags: &Tags) -> Arc<Tags> {
    static NONE: LazyLock<Arc<Tags>> = LazyLock::new(Arc::default);
    if tags.is_empty() { NONE.clone() } else { Arc::new(tags.clone()) }
}

/// A statement sent to a peer that asked for a reply.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Its number.
    pub id: u32,
    /// When.
    pub sent: Time,
    /// [`super::changes::Changes::head`] then: if the peer proves to be equal, it holds everything up to it.
    pub position: u64,
    /// The digest of the roots then.
    pub digest: u64,
    /// It had rows with it: the second question, after a first one found a difference that the peer's rows did not explain.
    pub with_rows: bool,
}

/// Entries of one owner under way to a peer.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// The first number of it.
    pub first: u64,
    /// Up to this number.
    pub to: u64,
    /// Of a reset: the floor that it is to reach, as the peer has said.
    pub floor: u64,
    /// Taken for lost from then on.
    pub until: Time,
    /// On a stream: pieces of it that are not acknowledged, each with its last number, its bytes and when it was sent.
    pub pieces: VecDeque<(u64, usize, Time)>,
}

/// What is known of a member as a partner in exchanges: what stays once it was measured, and behind a pointer the rest.
#[derive(Debug)]
pub struct Peer {
    seen: Rare<Seen>,
    /// [`NO_RTT`] where none was measured.
    srtt_us: u32,
    /// Requests in a row that were not answered.
    pub unanswered: u8,
    /// The last round trip measured was far out, and not taken into the average.
    far_out: bool,
    /// It has not acknowledged a rumor, and was not heard since.
    pub missed: bool,
}

const NO_RTT: u32 = u32::MAX;

impl Default for Peer {
    fn default() -> Peer {
        Peer { seen: Rare::default(), srtt_us: NO_RTT, unanswered: 0, far_out: false, missed: false }
    }
}

/// What is known of a peer that this node has had to do with of late: of many members, few.
#[derive(Debug, Default)]
pub struct Seen {
    /// It holds everything that this node held at this position of its changes.
    pub proven: u64,
    /// When a packet of it last arrived.
    pub heard: Time,
    /// The last request to it that is not answered.
    pub request: Option<Box<Request>>,
    /// What it was known to hold of this node's own entries when what it had said, or was proven to hold, was forgotten.
    held_of_me: u64,
    talk: Rare<Talk>,
}

impl Empty for Seen {
    fn empty() -> &'static Seen {
        static EMPTY: Seen =
            Seen { proven: 0, heard: Time::from_micros(0), request: None, held_of_me: 0, talk: Rare::empty() };
        &EMPTY
    }
}

/// What has been said to and by a peer of late. Forgotten once it has been silent for long: it will say it again.
#[derive(Debug, Default)]
pub struct Talk {
    /// When the peer last said what it knows or holds.
    last: Time,
    /// What it has said to hold of single owners since it was proven equal. Bounded.
    pub committed: Offsets,
    /// What it has said to know of single lives whose records were told it. Bounded.
    pub claims: BTreeMap<u64, ClaimRank>,
    /// What is under way to it.
    pub in_flight: BTreeMap<u64, InFlight>,
    /// Owners of whose entries it lacks some, to be sent when there is room on the way.
    pub backlog: Vec<u64>,
    /// Bytes that have come to it soon after they were sent on streams: so many more may be under way.
    pub soon: usize,
    /// How far its resets have come, and the floors that they are to reach, by owner.
    pub resets: BTreeMap<u64, (u64, u64)>,
    /// It is not asked where it is before.
    pub ask_after: Time,
    /// Pages of the whole table are not sent again before.
    pub pages_after: Time,
}

impl Empty for Talk {
    fn empty() -> &'static Talk {
        static EMPTY: Talk = Talk {
            last: Time::from_micros(0),
            committed: Offsets::empty(),
            claims: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            backlog: Vec::new(),
            soon: 0,
            resets: BTreeMap::new(),
            ask_after: Time::from_micros(0),
            pages_after: Time::from_micros(0),
        };
        &EMPTY
    }
}

/// What the peer has said is kept for so long after it last said something.
pub const TALK_KEPT: Duration = Duration::from_secs(10);

/// What it was proven to hold is kept for so long after it was last heard.
pub const SEEN_KEPT: Duration = Duration::from_secs(60);

/// A round trip is far out if it is more than four times the average, and this on top.
const FAR_OUT_US: u32 = 10_000;

impl Deref for Peer {
    type Target = Seen;
    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl Deref for Seen {
    type Target = Talk;
    fn deref(&self) -> &Talk {
        &self.talk
    }
}

impl Peer {
    /// Bytes under way to it on streams.
    pub fn streaming(&self, now: Time) -> usize {
        let flights = self.in_flight.values().filter(|f| f.until > now);
        flights.flat_map(|f| &f.pieces).map(|(_, bytes, _)| bytes).sum()
    }

    /// What is known of late, to write into.
    pub fn seen(&mut self) -> &mut Seen {
        self.seen.make()
    }

    /// What has been said, to write into.
    pub fn talk(&mut self) -> &mut Talk {
        self.seen.make().talk.make()
    }

    /// What has been said, to take something out of it.
    pub fn talked(&mut self) -> Option<&mut Talk> {
        self.seen.get_mut()?.talk.get_mut()
    }

    /// The last request to it, if it is answered by this.
    pub fn take_request(&mut self, answered: impl FnOnce(&Request) -> bool) -> Option<Box<Request>> {
        self.seen.get_mut()?.request.take_if(|r| answered(r))
    }

    /// Smoothed round-trip time, in µs.
    pub fn srtt_us(&self) -> Option<u32> {
        (self.srtt_us != NO_RTT).then_some(self.srtt_us)
    }

    /// Is equal as of a position: what it has said of single owners tells nothing more.
    pub fn equal(&mut self) {
        if let Some(talk) = self.talked() {
            talk.committed = Offsets::default();
            talk.in_flight = BTreeMap::new();
        }
    }

    /// Forgets what nobody has added to for long. Of what it holds, the watermark of this node's own entries is remembered:
    /// that is the offset this node's host may wait for.
    pub fn tidy(&mut self, now: Time, own: &Own) {
        let Some(seen) = self.seen.get_mut() else { return };
        if let Some(talk) = seen.talk.get_mut() {
            let wanted = talk.last + TALK_KEPT > now || talk.ask_after > now || talk.pages_after > now;
            if wanted || !talk.backlog.is_empty() || talk.in_flight.values().any(|f| f.until > now) {
                return;
            }
            if let Some(watermark) = talk.committed.watermark(own.nonce) {
                seen.held_of_me = watermark;
            }
            seen.talk.take();
        }
        if seen.heard + SEEN_KEPT <= now && seen.request.is_none() {
            if seen.proven >= own.position {
                seen.held_of_me = own.watermark;
            }
            seen.proven = 0;
            if seen.held_of_me == 0 {
                self.seen.take();
            }
        }
    }

    /// The watermark that it is known to hold of an owner, by what it has said.
    pub fn offset(&self, owner: u64, me: u64) -> Option<u64> {
        let kept = (owner == me && self.held_of_me > 0).then_some(self.held_of_me);
        self.committed.watermark(owner).or(kept)
    }

    /// Takes a measured round trip into the average (RFC 6298, alpha 1/8).
    pub fn measured(&mut self, rtt: Duration) {
        let rtt = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
        // One far out says that a process stood still, not that the way is long; two say so.
        let rtt = rtt.min(NO_RTT - 1);
        let far_out = self.srtt_us().is_some_and(|s| rtt > s.saturating_mul(4).saturating_add(FAR_OUT_US));
        if far_out && !std::mem::replace(&mut self.far_out, true) {
            return;
        }
        self.far_out = false;
        // ... and one far below says that the average was begun by such a one.
        let share = |s: u32| if rtt < s / 4 { 2 } else { 8 };
        self.srtt_us = self.srtt_us().map_or(rtt, |s| s - s / share(s) + rtt / share(s));
    }
}

impl Talk {
    /// Notes what the peer says to hold of an owner. Gives how that compares with what was known.
    pub fn commit(&mut self, now: Time, owner: u64, held: &Held) -> Commit {
        self.last = now;
        let commit = match self.committed.get(owner) {
            Some(known) if known == *held => return Commit::Same,
            Some(known) if !held.covers(&known) => Commit::Less,
            _ => Commit::More,
        };
        self.committed.insert(owner, held);
        commit
    }

    /// Notes what the peer says to know of a life.
    pub fn stated(&mut self, now: Time, nonce: u64, rank: ClaimRank) {
        self.last = now;
        if self.claims.len() >= MAX_OFFSETS && !self.claims.contains_key(&nonce) {
            self.claims.pop_first();
        }
        self.claims.insert(nonce, rank);
    }
}

/// This node, as its peers are tidied: what they hold of its own entries.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Its life.
    pub nonce: u64,
    /// Its position in the log of changes.
    pub position: u64,
    /// Its own entries are complete up to there.
    pub watermark: u64,
}

/// How a statement about an owner compares with what was known of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Nothing new.
    Same,
    /// It holds more.
    More,
    /// It holds less than it had said.
    Less,
}

/// See the module.
#[derive(Debug)]
pub struct Member {
    /// The record.
    pub claim: Claim,
    /// Its entries.
    pub log: Rare<Log>,
    /// Its position in the log of changes.
    pub position: u64,
    /// What it adds to the fingerprints; zero when not present.
    pub terms: Roots,
    /// As a partner.
    pub peer: Peer,
}

impl OfLife for Member {
    fn life(&self) -> &Life {
        &self.claim.contact.life
    }
}

impl Member {
    /// A member of which nothing but its record is known.
    pub fn new(claim: Claim) -> Member {
        Member { claim, log: Rare::default(), position: 0, terms: Roots::default(), peer: Peer::default() }
    }

    /// Whether it has answered what it was asked last, and nobody suspects it.
    pub fn answers(&self) -> bool {
        self.claim.status == MemberStatus::Alive && self.peer.unanswered == 0 && !self.peer.missed
    }

    /// Empties its log and takes its entries out of the store. Gives the highest number that was known of them.
    pub fn clear(&mut self, store: &Store) -> u64 {
        let known = self.log.known();
        if let Some(mut log) = self.log.take() {
            log.clear(store);
        }
        known
    }

    /// Whether it counts as being here.
    pub fn is_present(&self) -> bool {
        self.claim.status.is_present()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(watermark: u64) -> Held {
        Held { watermark, above: vec![] }
    }

    #[test]
    fn a_member_of_which_little_is_known_is_small() {
        let sizes = [size_of::<Claim>(), size_of::<Peer>(), size_of::<Member>()];
        println!("bytes of a claim, a peer, a member: {sizes:?}");
        println!(
            "bytes of a contact, a log, what is seen, what is said: {:?}",
            [size_of::<Contact>(), size_of::<Log>(), size_of::<Seen>(), size_of::<Talk>()]
        );
        assert!(sizes[2] <= 88, "each member of each node has one: {sizes:?}");
    }

    #[test]
    fn left_is_final_and_an_incarnation_refutes_death() {
        use MemberStatus::*;
        assert!(claim_rank(0, Left) > claim_rank(9, Alive));
        assert!(claim_rank(3, Dead) > claim_rank(3, Suspect));
        assert!(claim_rank(3, Suspect) > claim_rank(3, Alive));
        assert!(claim_rank(4, Alive) > claim_rank(3, Dead));
    }

    #[test]
    fn a_statement_replaces_what_was_committed_also_downwards() {
        let mut talk = Talk::default();
        let now = Time::from_micros(1);
        assert_eq!(talk.commit(now, 1, &held(5)), Commit::More);
        assert_eq!(talk.commit(now, 1, &held(5)), Commit::Same);
        assert_eq!(talk.commit(now, 1, &held(3)), Commit::Less);
        assert_eq!(talk.committed.get(1), Some(held(3)));
        for owner in 2..10_000 {
            talk.commit(now, owner, &held(1));
        }
        assert_eq!(talk.committed.len(), MAX_OFFSETS);
    }

    #[test]
    fn what_a_silent_peer_has_said_is_forgotten_but_not_what_it_holds_of_this_node() {
        let (me, other, start) = (1, 2, Time::from_micros(5));
        let own = Own { nonce: me, position: 4, watermark: 3 };
        let mut peer = Peer::default();
        peer.talk().commit(start, other, &held(7));
        peer.talk().stated(start, other, claim_rank(1, MemberStatus::Alive));
        peer.tidy(start + TALK_KEPT / 2, &own);
        assert_eq!(peer.committed.get(other), Some(held(7)));
        let later = start + TALK_KEPT;
        let flight = |until| InFlight { first: 1, to: 2, floor: 0, until, pieces: VecDeque::new() };
        peer.talk().in_flight.insert(other, flight(later + TALK_KEPT));
        peer.tidy(later, &own);
        assert_eq!(peer.committed.get(other), Some(held(7)), "something is under way to it");
        assert_eq!((peer.offset(other, me), peer.offset(me, me)), (Some(7), None));
        peer.talk().in_flight.insert(other, flight(later));
        peer.talk().commit(later, me, &held(3));
        peer.tidy(later + TALK_KEPT, &own);
        assert!(!peer.seen.talk.is_allocated());
        assert_eq!((peer.offset(other, me), peer.offset(me, me)), (None, Some(3)));
        peer.talk().commit(later, me, &held(2));
        assert_eq!(peer.offset(me, me), Some(2), "what it says last counts, also downwards");
    }

    #[test]
    fn of_a_peer_not_heard_for_long_only_its_offset_and_round_trip_stay() {
        let start = Time::from_micros(1 << 50);
        let own = |watermark| Own { nonce: 1, position: 4, watermark };
        let mut peer = Peer::default();
        peer.measured(Duration::from_millis(3));
        peer.seen().heard = start;
        peer.seen().proven = 4;
        peer.tidy(start + SEEN_KEPT / 2, &own(0));
        assert_eq!(peer.proven, 4);
        peer.tidy(start + SEEN_KEPT, &own(0));
        assert!(!peer.seen.is_allocated(), "this node has no entries");
        assert_eq!(peer.srtt_us(), Some(3000));
        peer.seen().heard = start;
        peer.seen().proven = 4;
        peer.tidy(start + SEEN_KEPT, &own(9));
        assert_eq!((peer.proven, peer.offset(1, 1)), (0, Some(9)));
    }
}
