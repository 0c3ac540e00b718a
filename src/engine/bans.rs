//! Bans: each member publishes its own, everybody heeds all of them.
//!
//! A ban names a member id, and who banned it. Bans by several stand side by side; each of them is a register of its own,
//! (id, origin), of which the highest rank counts, so that anyone can lift what another has set. A banned member still takes
//! part in the protocol: its entries and its place are hidden, and come back as they are when the ban is lifted.
//!
//! A ban for a heartbeat that has not come is nobody's in particular: whoever finds it writes the same register, which names that
//! heartbeat. It stands as long as no later one is known, so it needs neither its finder nor anyone else to lift it.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use prost::Message;

use super::Engine;
use crate::error::{Error, Result, Status};
use crate::store::NodeState;
use crate::store::entry::{Entry, MemberId};
use crate::store::event::{Level, kind};
use crate::store::members::{MemberStatus, MemberView};
use crate::store::own::{RESERVED_VALUE, key};
use crate::time::Time;
use crate::wire::proto::cluster_gossip as proto;

const TYPE_URL: &str = "type.googleapis.com/cluster_gossip.Bans";

/// So many of the present members take over the bans of one that goes.
const HEIRS: usize = 3;

/// The origin of bans for heartbeats that have not come. No member has this id.
const HEARTBEAT: &str = "";

/// Bytes that bans of a host's may take; the rest is for those of members that go, and for lifted ones.
const MOST_OWN: usize = RESERVED_VALUE / 2;

/// Lifted bans are remembered in so many bytes at most, and at most twice as many as there are members and so many more; as
/// departed members are.
const MOST_LIFTED: usize = RESERVED_VALUE / 4;
const LIFTED_MORE: usize = 1024;

/// Bytes that a register costs besides its texts, about.
const REGISTER: usize = 40;

/// A member id, and who has banned it.
type Place = (String, String);

/// Which of two versions of a register is the later one: the greater. Of equal numbers that which lifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// The generation of the life that has banned: what it says counts over what is left of its former lives. Of a ban for a
    /// heartbeat that of the life which has sent it.
    generation: u64,
    /// Counted up by who bans or lifts. Of a ban for a heartbeat the number of that entry, 0 if there was none.
    version: u64,
    lifted: bool,
}

/// A ban, or that it was lifted.
#[derive(Clone, Copy, Debug)]
struct Register {
    rank: Rank,
    /// Since when it is so, as far as is known; others continue its age.
    since: Time,
}

type Registers = HashMap<Place, Register>;

/// A ban that is in force here.
#[derive(Clone, Debug, Default)]
struct Hidden {
    /// What the member had that hosts could see when the ban took effect: of that they are told what becomes different until it
    /// is lifted, be it that an entry is gone and nothing of it is left. Those that stay as they are cost nothing more.
    seen: Arc<[Entry]>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Bans {
    /// This node's own part.
    own: Registers,
    /// Ids that are banned.
    effective: HashMap<String, Hidden>,
    /// Some of them for a heartbeat: they end without anything being said about it.
    for_heartbeats: bool,
}

impl Bans {
    /// A life has gone, or what it had, and hosts know: when it is there again all that it has is told.
    pub(super) fn nothing_seen(&mut self, id: &str) {
        if let Some(hidden) = self.effective.get_mut(id) {
            hidden.seen = Arc::default();
        }
    }
}

/// Of two versions of a register the later one; of equal ones that which is so for longer.
fn merge(all: &mut Registers, place: Place, new: Register) {
    let slot = all.entry(place).or_insert(new);
    match new.rank.cmp(&slot.rank) {
        std::cmp::Ordering::Greater => *slot = new,
        std::cmp::Ordering::Equal => slot.since = slot.since.min(new.since),
        std::cmp::Ordering::Less => {}
    }
}

/// What a member publishes.
fn decode(entry: &Entry) -> Registers {
    let mut registers = Registers::new();
    // What does not decode bans nobody.
    for ban in proto::Bans::decode(entry.value()).unwrap_or_default().bans {
        if !ban.id.is_empty() && ban.version < 1 << 63 && ban.generation < 1 << 63 {
            let rank = Rank { generation: ban.generation, version: ban.version, lifted: ban.lifted };
            let since = entry.head().written().back(Duration::from_millis(ban.age_ms));
            merge(&mut registers, (ban.id, ban.origin), Register { rank, since });
        }
    }
    registers
}

/// Bytes of those registers that `count` holds for, about.
fn size(registers: &Registers, count: impl Fn(&Register) -> bool) -> usize {
    let size = |(place, _): (&Place, _)| place.0.len() + place.1.len() + REGISTER;
    registers.iter().filter(|(_, register)| count(register)).map(size).sum()
}

/// Takes the oldest of those that were lifted out that are too many to be remembered.
fn forget_oldest_lifted(registers: &mut Registers, most: usize) {
    // Those for heartbeats go when the next one comes.
    let all = registers.iter().filter(|(place, register)| register.rank.lifted && place.1 != HEARTBEAT);
    let mut lifted: Vec<(Time, Place)> = all.map(|(place, register)| (register.since, place.clone())).collect();
    lifted.sort();
    for (i, (_, place)) in lifted.iter().enumerate() {
        if lifted.len() - i <= most && size(registers, |register| register.rank.lifted) <= MOST_LIFTED {
            break;
        }
        registers.remove(place);
    }
}

fn encode(now: Time, registers: &Registers) -> Vec<u8> {
    let ban = |((id, origin), register): (&Place, &Register)| proto::Ban {
        id: id.clone(),
        origin: origin.clone(),
        version: register.rank.version,
        lifted: register.rank.lifted,
        generation: register.rank.generation,
        // Of a ban that stands nobody asks.
        age_ms: if register.rank.lifted { now.millis_since(register.since) } else { 0 },
    };
    let mut bans: Vec<proto::Ban> = registers.iter().map(ban).collect();
    bans.sort_by(|a, b| (&a.id, &a.origin).cmp(&(&b.id, &b.origin)));
    proto::Bans { bans }.encode_to_vec()
}

fn check_id(id: &str) -> Result<()> {
    if MemberId::new(id).is_some() {
        return Ok(());
    }
    let message = format!("{} is no member id: 1 to 255 bytes without a NUL", crate::error::shown(id));
    Err(Error::new(Status::InvalidArgument, message))
}

impl Engine {
    /// Bans a member id in all of its lives, until a member lifts it.
    ///
    /// # Errors
    /// `InvalidArgument`: it is no member id, or this node's own; `Limit`: this node publishes as many bans as it may; those of
    /// `set`.
    pub fn ban(&mut self, now: Time, id: &str) -> Result<()> {
        check_id(id)?;
        self.expire(now);
        let me = &self.members[&self.me].claim.life;
        let (own_id, generation) = (me.id.as_str().to_owned(), me.generation);
        if id == own_id {
            return Err(Error::new(Status::InvalidArgument, "a node cannot ban itself; gossip_leave is the way out"));
        }
        let place = (id.to_owned(), own_id);
        let rank = match self.all_bans().get(&place).map(|known| known.rank) {
            Some(rank) if rank.generation == generation && !rank.lifted => return Ok(()),
            Some(rank) if rank.generation >= generation => Rank { version: rank.version + 1, lifted: false, ..rank },
            // What a former life of this node has set may have been lifted without this one having heard of it.
            _ => Rank { generation, version: 1, lifted: false },
        };
        let mut own = self.bans.own.clone();
        own.insert(place, Register { rank, since: now });
        let bytes = size(&own, |register| !register.rank.lifted);
        if bytes > MOST_OWN {
            let most = format!("with this one the bans of this node would have {bytes} bytes; {MOST_OWN} are the most");
            return Err(Error::new(Status::Limit, most));
        }
        self.publish_bans(now, own)
    }

    /// Lifts every ban of a member id, whoever has set it. Nothing happens if it is not banned.
    ///
    /// # Errors
    /// `InvalidArgument`: it is no member id; those of `set`.
    pub fn unban(&mut self, now: Time, id: &str) -> Result<()> {
        check_id(id)?;
        self.expire(now);
        let mut own = self.bans.own.clone();
        let mut stood = false;
        for (place, Register { rank, .. }) in self.all_bans().into_iter().filter(|(place, _)| place.0 == id) {
            if self.stands(&place, rank) {
                let version = if place.1 == HEARTBEAT { rank.version } else { rank.version + 1 };
                own.insert(place, Register { rank: Rank { version, lifted: true, ..rank }, since: now });
                stood = true;
            }
        }
        if stood { self.publish_bans(now, own) } else { Ok(()) }
    }

    /// Bans the members whose last heartbeat is so old, as it is known here, that it has expired; not those whom a member has
    /// banned for that heartbeat already, or whose ban for it was lifted.
    pub(super) fn ban_for_heartbeats(&mut self, now: Time, expired: &[String]) -> Result<()> {
        if expired.is_empty() {
            return Ok(());
        }
        let all = self.all_bans();
        let mut own = self.bans.own.clone();
        let mut news = false;
        for id in expired {
            let Some((generation, version)) = self.last_heartbeat(id) else { continue };
            let rank = Rank { generation, version, lifted: false };
            let place = (id.clone(), HEARTBEAT.to_owned());
            if all.get(&place).is_none_or(|known| known.rank < rank) {
                own.insert(place, Register { rank, since: now });
                news = true;
            }
        }
        if news { self.publish_bans(now, own) } else { Ok(()) }
    }

    /// The generation of the life of this id that is known, and the number of its last heartbeat.
    fn last_heartbeat(&self, id: &str) -> Option<(u64, u64)> {
        let nonce = self.latest(id)?;
        let number = self.store.entry(key::HEARTBEAT, nonce).map_or(0, |entry| entry.seq());
        Some((self.members.get(&nonce)?.claim.life.generation, number))
    }

    /// Whether the ban for a heartbeat is over: a later one is known, or the member is not even known any more.
    fn is_outdated(&self, id: &str, rank: Rank) -> bool {
        self.last_heartbeat(id).is_none_or(|last| last > (rank.generation, rank.version))
    }

    /// Whether a register bans.
    fn stands(&self, (id, origin): &Place, rank: Rank) -> bool {
        !rank.lifted && (origin != HEARTBEAT || !self.is_outdated(id, rank))
    }

    /// The bans that stand, as JSON: a list of objects with the id and who has banned it.
    pub fn bans_json(&self) -> String {
        let all = self.all_bans().into_iter().filter(|(place, register)| self.stands(place, register.rank));
        let mut bans: Vec<_> = all.map(|(place, _)| place).collect();
        bans.sort();
        let list = bans.into_iter().map(|(id, by)| {
            let by = if by == HEARTBEAT { key::HEARTBEAT.to_owned() } else { by };
            serde_json::json!({ "id": id, "by": by })
        });
        serde_json::Value::Array(list.collect()).to_string()
    }

    /// Publishes what is to be this node's part. On failure it is as before: what nobody else hears of must not take effect
    /// here either.
    fn publish_bans(&mut self, now: Time, mut own: Registers) -> Result<()> {
        forget_oldest_lifted(&mut own, 2 * self.members.len() + LIFTED_MORE);
        if own.is_empty() {
            self.store.delete_reserved(now, key::BANNED)?;
        } else {
            self.store.set_reserved(now, key::BANNED, TYPE_URL, &encode(now, &own), false)?;
        }
        self.bans.own = own;
        self.drain_own(now);
        self.bans_changed(now);
        self.out.flush(&mut self.counters);
        Ok(())
    }

    /// What the others publish whose state is here.
    fn others_bans(&self) -> impl Iterator<Item = (u64, Registers)> + '_ {
        let others = self.members.keys().filter(|nonce| **nonce != self.me);
        others.filter_map(|nonce| Some((*nonce, decode(&self.store.entry(key::BANNED, *nonce)?))))
    }

    /// All registers, of everyone whose state is here.
    fn all_bans(&self) -> Registers {
        let mut all = self.bans.own.clone();
        for (place, register) in self.others_bans().flat_map(|(_, registers)| registers) {
            merge(&mut all, place, register);
        }
        all
    }

    /// Ends what has become of no use in this node's part: what others say in a later version, bans for heartbeats that have
    /// been followed by another, and lifted ones that nobody can bring back any more.
    pub(super) fn tidy_bans(&mut self, now: Time) {
        if self.bans.for_heartbeats {
            self.bans_changed(now);
        }
        if self.bans.own.is_empty() || !self.is_member() {
            return;
        }
        let mut later: HashMap<Place, Rank> = HashMap::new();
        let mut banned_elsewhere: HashSet<Place> = HashSet::new();
        for (nonce, registers) in self.others_bans() {
            let present = self.members.get(&nonce).is_some_and(|member| member.is_present());
            for (place, Register { rank, .. }) in registers {
                if !rank.lifted {
                    banned_elsewhere.insert(place.clone());
                }
                // What one that is gone has said goes with it.
                if present {
                    let most = later.entry(place).or_insert(rank);
                    *most = rank.max(*most);
                }
            }
        }
        // As long as anyone who is away with an old ban is remembered.
        let keep = self.settings.departed_record.max(self.settings.tombstone_grace);
        let mut own = self.bans.own.clone();
        own.retain(|place, register| {
            if place.1 == HEARTBEAT {
                return !self.is_outdated(&place.0, register.rank);
            }
            let over = register.rank.lifted && register.since + keep <= now && !banned_elsewhere.contains(place);
            !over && later.get(place).is_none_or(|later| *later <= register.rank)
        });
        if own.len() < self.bans.own.len()
            && let Err(error) = self.publish_bans(now, own)
        {
            self.log(now, Level::Debug, || format!("bans are not tidied up: {error}"));
        }
    }

    /// This life has got a later generation than `former`: what it has banned so far is of that one.
    pub(super) fn raise_bans(&mut self, now: Time, former: u64) {
        let life = self.members[&self.me].claim.life.clone();
        let mut own = self.bans.own.clone();
        let mut news = false;
        for (_, register) in own.iter_mut().filter(|((_, origin), _)| origin == life.id.as_str()) {
            if register.rank.generation == former {
                register.rank.generation = life.generation;
                news = true;
            }
        }
        if news && let Err(error) = self.publish_bans(now, own) {
            self.warn(now, "bans", error.status(), || format!("the bans of this node cannot be published: {error}"));
        }
    }

    /// This node was away for longer than lifted bans are remembered: what it knows of bans may be long over. Those that
    /// still stand were taken over by others.
    pub(super) fn forget_bans(&mut self, now: Time) {
        let mut standing: Vec<String> =
            self.bans.own.iter().filter(|(_, r)| !r.rank.lifted).map(|(p, _)| p.0.clone()).collect();
        if standing.is_empty() {
            return;
        }
        standing.sort();
        standing.dedup();
        self.log(now, Level::Warn, || {
            format!("this node was away for very long: bans that it knew of count only if others still publish them: {standing:?}")
        });
        if let Err(error) = self.publish_bans(now, Registers::new()) {
            self.log(now, Level::Debug, || format!("bans are not taken back: {error}"));
        }
    }

    /// Somebody's bans have changed, or somebody with bans has gone.
    pub(super) fn bans_changed(&mut self, now: Time) {
        let all = self.all_bans();
        let mut next: HashMap<String, Hidden> = HashMap::new();
        self.bans.for_heartbeats = false;
        for (place, register) in all {
            if !self.stands(&place, register.rank) {
                continue;
            }
            let (id, origin) = place;
            self.bans.for_heartbeats |= origin == HEARTBEAT;
            if !next.contains_key(&id) {
                let known = self.bans.effective.get(&id).cloned();
                next.insert(id, known.unwrap_or_default());
            }
        }
        let before = std::mem::replace(&mut self.bans.effective, next);
        let mut changed: Vec<String> =
            before.keys().filter(|id| !self.bans.effective.contains_key(*id)).cloned().collect();
        changed.extend(self.bans.effective.keys().filter(|id| !before.contains_key(*id)).cloned());
        changed.sort();
        for id in changed {
            let banned = self.bans.effective.contains_key(&id);
            self.ban_took_effect(now, &id, banned, before.get(&id));
        }
    }

    /// Tells hosts what is different of a member's entries than when it was banned.
    fn tell_difference(&self, now: Time, nonce: u64, seen: &[Entry]) {
        let Some(member) = self.members.get(&nonce) else { return };
        let of_life = seen.iter().filter(|entry| entry.head().life.nonce == nonce);
        let mut seen: HashMap<&str, &Entry> = of_life.map(|entry| (entry.key(), entry)).collect();
        let mut unchanged = Vec::new();
        for entry in member.log.shown() {
            let before = seen.remove(entry.key());
            if entry.is_visible(now) {
                if before.is_some_and(|before| before.is_same_write(entry)) {
                    unchanged.push(entry);
                } else {
                    self.store.show(entry, now);
                }
            } else if before.is_some() {
                self.store.end(entry, now);
            }
        }
        // Not even the deletes of these are kept any more.
        let mut gone: Vec<&Entry> = seen.into_values().collect();
        gone.sort_by_key(|entry| entry.seq());
        gone.into_iter().for_each(|entry| self.store.end(entry, now));
        self.store.hub.unbanned(nonce, unchanged.into_iter(), now);
    }

    /// What is written from now on is refused: takes all of what was written before.
    pub(super) fn drain_all_own(&mut self, now: Time) {
        while self.store.is_dirty() {
            self.drain_own(now);
        }
    }

    fn ban_took_effect(&mut self, now: Time, id: &str, banned: bool, before: Option<&Hidden>) {
        let Some(nonce) = self.latest(id) else { return };
        if nonce == self.me {
            if banned && matches!(self.store.state(), NodeState::Starting | NodeState::Joined | NodeState::Alone) {
                self.store.refuse_writes(Some(Status::Banned));
            }
            self.drain_all_own(now);
        }
        if banned {
            let shown = self.members.get(&nonce).into_iter().flat_map(|m| m.log.shown());
            let seen: Arc<[Entry]> = shown.filter(|entry| entry.is_visible(now)).cloned().collect();
            if let Some(hidden) = self.bans.effective.get_mut(id) {
                hidden.seen = seen;
            }
        }
        self.log(now, Level::Info, || {
            format!("member {id:?} is {}", if banned { "banned" } else { "no longer banned" })
        });
        if let Some(view) = self.view(nonce) {
            self.store.members.put(view.clone());
            let event = if banned { kind::MEMBER_BANNED } else { kind::MEMBER_UNBANNED };
            self.store.member_changed(event, &view, now);
        }
        if let Some(Hidden { seen }) = before.filter(|_| !banned) {
            self.tell_difference(now, nonce, seen);
        }
        if nonce == self.me {
            let state = self.store.state();
            if banned && matches!(state, NodeState::Starting | NodeState::Joined | NodeState::Alone) {
                self.store.set_state(now, NodeState::Banned, "a member has banned this node");
            } else if !banned && state == NodeState::Banned {
                self.store.refuse_writes(None);
                self.store.set_state(now, NodeState::Joined, "the ban of this node was lifted");
            }
        }
    }

    /// A member has gone: some of those who stay take its bans over, so that they do not go with it, and newcomers hear of them.
    pub(super) fn inherit_bans(&mut self, now: Time, nonce: u64) {
        let Some(entry) = self.store.entry(key::BANNED, nonce) else { return };
        let heirs: Vec<u64> = self.ring.members().iter().copied().filter(|n| *n != nonce).take(HEIRS).collect();
        if !heirs.contains(&self.me) {
            return;
        }
        let mut own = self.bans.own.clone();
        for (place, register) in decode(&entry) {
            merge(&mut own, place, register);
        }
        if let Err(error) = self.publish_bans(now, own) {
            self.warn(now, "bans", error.status(), || {
                format!("bans of a departed member cannot be taken over: {error}")
            });
        }
    }

    /// A member as hosts are to see it.
    pub(super) fn view(&self, nonce: u64) -> Option<MemberView> {
        let member = self.members.get(&nonce)?;
        let mut view = member.claim.view(member.peer.srtt_us(), nonce == self.me);
        view.banned = self.bans.effective.contains_key(view.life.id.as_str());
        if view.banned && view.status.is_present() {
            view.status = MemberStatus::Banned;
        }
        Some(view)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::super::departed::tests::{engine, record};
    use super::*;
    use crate::config::settings::Settings;
    use crate::store::entry::{EntryHead, Origin, TypeUrl};

    #[test]
    fn one_that_is_banned_stays_so_when_it_raises_its_generation() {
        let now = Time::from_micros(1 << 50);
        let mut engine = engine(Settings::default());
        engine.merge(now, 2, record(2, 1, MemberStatus::Alive));
        let rank = Rank { generation: 1, version: 1, lifted: false };
        let bans = Registers::from([(("me".to_owned(), "m2".to_owned()), Register { rank, since: now })]);
        let head = EntryHead {
            life: engine.members[&2].claim.life.clone(),
            type_url: TypeUrl::new(TYPE_URL),
            seq: 1,
            received: now,
            origin: Origin::received(now),
            expires: Time::NEVER,
            key_len: key::BANNED.len() as u8,
            deleted: false,
            drained: AtomicBool::new(true),
        };
        engine.store.apply(&Entry::new(head, key::BANNED, &encode(now, &bans)), now);
        engine.bans_changed(now);
        let banned = |engine: &Engine| (engine.store.state(), engine.store.members.status(engine.me));
        assert_eq!(banned(&engine), (NodeState::Banned, MemberStatus::Banned));
        engine.raise_generation(now, 5);
        assert_eq!(engine.members[&engine.me].claim.life.generation, 6);
        assert_eq!(banned(&engine), (NodeState::Banned, MemberStatus::Banned));
    }
}
