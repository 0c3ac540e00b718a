//! Bans: each member publishes its own, everybody heeds all of them.
//!
//! A ban names a member id, and who banned it. Bans by several stand side by side; each of them is a register of its own,
//! (id, origin), of which the highest version counts, so that anyone can lift what another has set. A banned member still takes
//! part in the protocol: its entries and its place are hidden, and come back as they are when the ban is lifted.

use hashbrown::{HashMap, HashSet};
use prost::Message;

use super::Engine;
use crate::error::{Error, Result, Status};
use crate::store::NodeState;
use crate::store::entry::{Entry, MemberId};
use crate::store::event::{Level, kind};
use crate::store::members::{MemberStatus, MemberView};
use crate::store::own::key;
use crate::time::Time;
use crate::wire::proto::cluster_gossip as proto;

const TYPE_URL: &str = "type.googleapis.com/cluster_gossip.Bans";

/// So many of the present members take over the bans of one that goes.
const HEIRS: usize = 3;

/// (id, origin) to (version, lifted).
type Registers = HashMap<(String, String), (u64, bool)>;

/// A ban that is in force here.
#[derive(Clone, Debug)]
struct Hidden {
    since: Time,
    /// Entries that came at that very time and were told before the ban was known.
    told: Vec<Entry>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Bans {
    /// This node's own part.
    own: Registers,
    /// Ids that are banned.
    effective: HashMap<String, Hidden>,
    /// Ids that this node has banned because their heartbeat had expired.
    expired: HashSet<String>,
}

impl Bans {
    /// Whether this node has banned `id` for its heartbeat.
    pub fn has_expired(&self, id: &str) -> bool {
        self.expired.contains(id)
    }

    /// Notes that `id` is banned for its heartbeat, or no longer.
    pub fn note_expired(&mut self, id: &str, expired: bool) {
        if expired {
            self.expired.insert(id.to_owned());
        } else {
            self.expired.remove(id);
        }
    }
}

/// Of two versions of a register the later one; of equal ones that which lifts.
fn merge(all: &mut Registers, id: String, origin: String, version: u64, lifted: bool) {
    let slot = all.entry((id, origin)).or_insert((version, lifted));
    *slot = (*slot).max((version, lifted));
}

fn decode(value: &[u8]) -> Registers {
    let mut registers = Registers::new();
    // What does not decode bans nobody.
    for ban in proto::Bans::decode(value).unwrap_or_default().bans {
        if !ban.id.is_empty() && ban.version < 1 << 63 {
            merge(&mut registers, ban.id, ban.origin, ban.version, ban.lifted);
        }
    }
    registers
}

impl Engine {
    /// Bans a member id in all of its lives, until a member lifts it.
    ///
    /// # Errors
    /// `InvalidArgument`: it is no member id, or this node's own; those of `set`.
    pub fn ban(&mut self, now: Time, id: &str) -> Result<()> {
        let own_id = self.members[&self.me].claim.life.id.clone();
        if MemberId::new(id).is_none() {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("{id:?} is no member id: 1 to 255 bytes without a NUL"),
            ));
        }
        if id == own_id.as_str() {
            return Err(Error::new(Status::InvalidArgument, "a node cannot ban itself; gossip_leave is the way out"));
        }
        let all = self.all_bans();
        let register = (id.to_owned(), own_id.as_str().to_owned());
        match all.get(&register) {
            Some((_, false)) => Ok(()),
            known => {
                let version = known.map_or(1, |(version, _)| version + 1);
                self.publish_bans(now, [(register, (version, false))])
            }
        }
    }

    /// Lifts every ban of a member id, whoever has set it. Nothing happens if it is not banned.
    ///
    /// # Errors
    /// Those of `set`.
    pub fn unban(&mut self, now: Time, id: &str) -> Result<()> {
        let standing: Vec<_> =
            self.all_bans().into_iter().filter(|((of, _), (_, lifted))| of == id && !lifted).collect();
        if standing.is_empty() {
            return Ok(());
        }
        self.publish_bans(now, standing.into_iter().map(|(register, (version, _))| (register, (version + 1, true))))
    }

    /// Whether this node is among those who have banned a member id.
    pub(super) fn has_banned(&self, id: &str) -> bool {
        let register = (id.to_owned(), self.members[&self.me].claim.life.id.as_str().to_owned());
        self.all_bans().get(&register).is_some_and(|(_, lifted)| !lifted)
    }

    /// Lifts this node's own ban of a member id; those of others stand.
    pub(super) fn lift_own_ban(&mut self, now: Time, id: &str) -> Result<()> {
        let register = (id.to_owned(), self.members[&self.me].claim.life.id.as_str().to_owned());
        let Some((version, false)) = self.all_bans().get(&register).copied() else { return Ok(()) };
        self.publish_bans(now, [(register, (version + 1, true))])
    }

    /// The bans that stand, as JSON: a list of objects with the id and who has banned it.
    pub fn bans_json(&self) -> String {
        let mut bans: Vec<_> =
            self.all_bans().into_iter().filter(|(_, (_, lifted))| !lifted).map(|(ban, _)| ban).collect();
        bans.sort();
        let list = bans.into_iter().map(|(id, by)| serde_json::json!({ "id": id, "by": by })).collect();
        serde_json::Value::Array(list).to_string()
    }

    /// Publishes this node's part with some registers changed. On failure it is as before: what nobody else hears of must not
    /// take effect here either.
    fn publish_bans(
        &mut self,
        now: Time,
        changed: impl IntoIterator<Item = ((String, String), (u64, bool))>,
    ) -> Result<()> {
        let mut own = self.bans.own.clone();
        own.extend(changed);
        let mut bans: Vec<proto::Ban> = own
            .iter()
            .map(|((id, origin), (version, lifted))| proto::Ban {
                id: id.clone(),
                origin: origin.clone(),
                version: *version,
                lifted: *lifted,
            })
            .collect();
        bans.sort_by(|a, b| (&a.id, &a.origin).cmp(&(&b.id, &b.origin)));
        let value = proto::Bans { bans }.encode_to_vec();
        self.store.set_reserved(now, key::BANNED, TYPE_URL, &value, false)?;
        self.bans.own = own;
        self.drain_own(now);
        self.bans_changed(now);
        self.out.flush(&mut self.counters);
        Ok(())
    }

    /// All registers, of everyone whose state is here.
    fn all_bans(&self) -> Registers {
        let mut all = self.bans.own.clone();
        for nonce in self.members.keys().filter(|nonce| **nonce != self.me) {
            if let Some(entry) = self.store.entry(key::BANNED, *nonce) {
                for ((id, origin), (version, lifted)) in decode(entry.value()) {
                    merge(&mut all, id, origin, version, lifted);
                }
            }
        }
        all
    }

    /// Somebody's bans have changed, or somebody with bans has gone.
    pub(super) fn bans_changed(&mut self, now: Time) {
        let all = self.all_bans();
        let mut next: HashMap<String, Hidden> = HashMap::new();
        for ((id, _), (_, lifted)) in all {
            if !lifted && !next.contains_key(&id) {
                let known = self.bans.effective.get(&id).cloned();
                let hidden = known.unwrap_or_else(|| Hidden { since: now, told: self.came_at(now, &id) });
                next.insert(id, hidden);
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

    /// Entries of the member with this id that came at `now`.
    fn came_at(&self, now: Time, id: &str) -> Vec<Entry> {
        let member = self.latest(id).and_then(|nonce| self.members.get(&nonce));
        let entries = member.into_iter().flat_map(|m| m.log.entries());
        entries.filter(|e| e.head().received == now).cloned().collect()
    }

    fn ban_took_effect(&mut self, now: Time, id: &str, banned: bool, before: Option<&Hidden>) {
        let Some(nonce) = self.latest(id) else { return };
        self.log(now, Level::Info, || {
            format!("member {id:?} is {}", if banned { "banned" } else { "no longer banned" })
        });
        if let Some(view) = self.view(nonce) {
            self.store.members.put(view.clone());
            let event = if banned { kind::MEMBER_BANNED } else { kind::MEMBER_UNBANNED };
            self.store.member_changed(event, &view, now);
        }
        if let Some(Hidden { since, told }) = before
            && !banned
            && let Some(member) = self.members.get(&nonce)
        {
            // What came meanwhile was told to nobody.
            for entry in member.log.entries().filter(|e| e.head().received >= *since) {
                if !told.iter().any(|t| t.same(entry)) {
                    self.store.offer_again(entry, now);
                }
            }
        }
        if nonce == self.me {
            let state = self.store.state();
            if banned && matches!(state, NodeState::Starting | NodeState::Joined | NodeState::Alone) {
                self.store.refuse_writes(Some(Status::Banned));
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
        for ((id, origin), (version, lifted)) in decode(entry.value()) {
            merge(&mut self.bans.own, id, origin, version, lifted);
        }
        if let Err(error) = self.publish_bans(now, []) {
            self.warn(now, "bans", error.status(), || {
                format!("bans of a departed member cannot be taken over: {error}")
            });
        }
    }

    /// A member as hosts are to see it.
    pub(super) fn view(&self, nonce: u64) -> Option<MemberView> {
        let member = self.members.get(&nonce)?;
        let mut view = member.claim.view(member.peer.srtt_us(), nonce == self.me);
        if view.status.is_present() && self.bans.effective.contains_key(view.life.id.as_str()) {
            view.status = MemberStatus::Banned;
        }
        Some(view)
    }
}
