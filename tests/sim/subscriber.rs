//! What one subscriber is told, checked event by event: order, nothing twice, nothing that was gone comes back, nothing
//! that no owner wrote; and the picture that the events make, held against the store.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cluster_gossip::store::Store;
use cluster_gossip::store::event::{Event, kind};
use cluster_gossip::store::members::MemberStatus;
use cluster_gossip::time::Time;

use super::oracle::Oracle;

/// Generation, nonce, sequence number.
pub type Version = (u64, u64, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Seen,
    Deleted,
    /// Its member is gone; it may come again as it was.
    Hidden,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    version: Version,
    fate: Fate,
    expires: Time,
}

/// A life as the subscriber knows it.
#[derive(Clone, Copy, Debug)]
struct Known {
    nonce: u64,
    joined: bool,
    status: MemberStatus,
    ban: Told,
}

/// What was told of a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Several changes were told as one, the last of which says nothing about it.
    Unsure,
    No,
    Yes,
}

/// A change of a member's status, as told.
#[derive(Clone, Debug)]
pub struct Change {
    pub at: Time,
    pub id: String,
    pub nonce: u64,
    pub kind: u32,
}

/// See the module.
#[derive(Default)]
pub struct Subscriber {
    slots: HashMap<String, HashMap<String, Slot>>,
    members: HashMap<String, Known>,
    /// Lives told as left, or removed: by nonce, and whether as left.
    removed: HashMap<u64, bool>,
    /// Changes of members since they were last taken out.
    pub changes: Vec<Change>,
    pub events: u64,
    /// Of what is being taken: entries of members that were banned by what was told so far, in words by id; and members of which
    /// several changes were told as one, which may stand before or behind entries that came between them.
    hidden: BTreeMap<String, String>,
    merged: HashSet<String>,
}

impl Subscriber {
    /// All that waited was taken: no entry of a banned member may have been among it.
    pub fn taken(&mut self) -> Result<(), String> {
        let merged = std::mem::take(&mut self.merged);
        let hidden = std::mem::take(&mut self.hidden);
        hidden.into_iter().find(|(id, _)| !merged.contains(id)).map_or(Ok(()), |(_, why)| Err(why))
    }

    /// Takes an event in; says what is wrong with it.
    pub fn check(&mut self, event: &Event, oracle: &Oracle, now: Time) -> Result<(), String> {
        self.events += 1;
        self.entry(event, oracle, now)?;
        self.member(event, oracle, now)
    }

    fn entry(&mut self, event: &Event, oracle: &Oracle, now: Time) -> Result<(), String> {
        let Some(view) = &event.entry else { return Ok(()) };
        let (entry, head) = (&view.entry, view.entry.head());
        let id = head.life.id.as_str();
        let version = entry.version();
        let Some(known) = self.members.get(id).filter(|m| m.joined) else {
            return Err(format!("order: an entry {:?} of {id} came before it joined", entry.key()));
        };
        if known.ban == Told::Yes {
            let why = format!("bans: an entry {:?} of {id} was told, which is banned", entry.key());
            self.hidden.entry(id.to_owned()).or_insert(why);
        }
        oracle.has(entry, now).map_err(|e| format!("resurrection: {e}"))?;
        let deleted = event.kind == kind::ENTRY_DELETED;
        if !deleted {
            oracle.timely(entry).map_err(|e| format!("ages: {e} ({id})"))?;
        }
        let fate = if deleted { Fate::Deleted } else { Fate::Seen };
        let slot = Slot { version, fate, expires: head.expires };
        let slots = match self.slots.get_mut(id) {
            Some(slots) => slots,
            None => self.slots.entry(id.to_owned()).or_default(),
        };
        let Some(old) = slots.get_mut(entry.key()) else {
            slots.insert(entry.key().to_owned(), slot);
            return Ok(());
        };
        let right = match old.fate {
            // What expires is told as deleted with the number that it was set with.
            Fate::Seen => version > old.version || version == old.version && deleted,
            Fate::Deleted => version > old.version,
            Fate::Hidden => version >= old.version,
        };
        if !right {
            let what = if deleted { "deleted" } else { "set" };
            let rule = if old.fate == Fate::Deleted && !deleted { "resurrection" } else { "order" };
            return Err(format!("{rule}: {:?} of {id} as {what} with {version:?} came after {old:?}", entry.key()));
        }
        *old = slot;
        Ok(())
    }

    fn member(&mut self, event: &Event, oracle: &Oracle, now: Time) -> Result<(), String> {
        let Some(member) = &event.member else { return Ok(()) };
        if event.kind == kind::ENTRY_REFUSED {
            return Ok(());
        }
        let (id, nonce) = (member.life.id.as_str(), member.life.nonce);
        if oracle.node(nonce).is_none() {
            return Err(format!("members: {id} with nonce {nonce:x} never lived"));
        }
        self.changes.push(Change { at: now, id: id.to_owned(), nonce, kind: event.kind });
        let known = self.members.get(id).copied();
        let joined = known.is_some_and(|k| k.joined);
        match event.kind {
            kind::MEMBER_JOINED if joined => return Err(format!("members: {id} joined twice")),
            kind::MEMBER_JOINED | kind::MEMBER_RESTARTED => {
                if let Some(left) = self.removed.get(&nonce).filter(|left| **left) {
                    return Err(format!("members: {id} came back after it had left ({left})"));
                }
                if event.kind == kind::MEMBER_RESTARTED {
                    self.hide(id);
                }
            }
            kind::MEMBER_REMOVED => {
                self.hide(id);
                self.removed.insert(nonce, member.status == MemberStatus::Left);
            }
            _ if !joined => return Err(format!("members: event {:#x} of {id}, which is not joined", event.kind)),
            kind::MEMBER_ALIVE if known.is_some_and(|k| k.status == MemberStatus::Left && k.nonce == nonce) => {
                return Err(format!("members: {id} is alive after it had left"));
            }
            _ => {}
        }
        let before = known.filter(|k| k.joined).map_or(Told::Unsure, |k| k.ban);
        let ban = ban(event, id, member.status, before)?;
        if event.conflated > 1 {
            self.merged.insert(id.to_owned());
        }
        let joined = event.kind != kind::MEMBER_REMOVED;
        self.members.insert(id.to_owned(), Known { nonce, joined, status: member.status, ban });
        Ok(())
    }

    fn hide(&mut self, id: &str) {
        for slot in self.slots.get_mut(id).into_iter().flat_map(HashMap::values_mut) {
            if slot.fate == Fate::Seen {
                slot.fate = Fate::Hidden;
            }
        }
    }

    /// Whether what was told of a member is that it was removed.
    pub fn has_removed(&self, nonce: u64) -> bool {
        self.removed.contains_key(&nonce)
    }

    /// The end of every time to live was told, of those that ended before `before`.
    pub fn ends(&self, before: Time) -> Result<(), String> {
        for (id, keys) in &self.slots {
            if self.members.get(id).is_some_and(|known| known.ban == Told::Yes) {
                continue; // told when the ban is lifted
            }
            let over = keys.iter().filter(|(_, slot)| slot.fate == Fate::Seen && slot.expires < before);
            if let Some((key, slot)) = over.min_by_key(|(key, _)| *key) {
                return Err(format!("ends: {key:?} of {id} has expired, and that was not told: {slot:?}"));
            }
        }
        Ok(())
    }

    /// The picture that the events have made must be what the store gives, once all events are taken. What those that are
    /// `banned` have is hidden, and is told when that is lifted.
    pub fn mirror(&self, store: &Store, now: Time, banned: &BTreeSet<String>) -> Result<(), String> {
        let mut members: Vec<_> = self.members.iter().filter(|(_, known)| known.joined).collect();
        members.sort_by_key(|(id, _)| *id);
        for (id, known) in members {
            let told = known.ban == Told::Yes;
            if known.ban != Told::Unsure && told != banned.contains(id) {
                let not = if told { "not " } else { "" };
                return Err(format!("bans: {id} is {not}banned, and events said {:?}", known.ban));
            }
        }
        let mut seen = 0;
        for view in store.get_prefix(now, None, "", true) {
            let (id, key) = (view.entry.head().life.id.as_str(), view.entry.key());
            if banned.contains(id) {
                continue;
            }
            let slot = self.slots.get(id).and_then(|slots| slots.get(key));
            match slot {
                // A newcomer may have had to raise its generation: its entries are what they were.
                Some(slot) if slot.fate == Fate::Seen && same_write(slot.version, view.entry.version()) => seen += 1,
                _ => {
                    let version = view.entry.version();
                    return Err(format!("mirror: the store has {key:?} of {id} {version:?}, events said {slot:?}"));
                }
            }
        }
        let lives = |slot: &&Slot| slot.fate == Fate::Seen && slot.expires > now;
        let shown = || self.slots.iter().filter(|(id, _)| !banned.contains(*id));
        let told = shown().flat_map(|(_, keys)| keys.values()).filter(lives).count();
        if told > seen {
            let gone = shown().flat_map(|(id, keys)| keys.iter().map(move |(key, slot)| (id, key, slot)));
            let gone = gone
                .filter(|(_, _, slot)| lives(slot))
                .find(|(id, key, _)| store.get(now, Some(id), key, true).is_empty());
            return Err(format!("mirror: events told of {told} entries, the store has {seen}: {gone:?} is not there"));
        }
        Ok(())
    }
}

/// Nonce and number name a write.
fn same_write(a: Version, b: Version) -> bool {
    (a.1, a.2) == (b.1, b.2)
}

/// What is known of a ban after an event of the member `id`, which has the status `status`.
fn ban(event: &Event, id: &str, status: MemberStatus, before: Told) -> Result<Told, String> {
    let late = event.conflated > 1;
    let begins = kind::MEMBER_JOINED | kind::MEMBER_RESTARTED | kind::MEMBER_REMOVED;
    let was = before == Told::Yes;
    let (ban, told) = match event.kind {
        kind::MEMBER_BANNED if status.is_present() => {
            return Err(format!("bans: {id} is banned, and {} all the same", status.word()));
        }
        kind::MEMBER_UNBANNED if status == MemberStatus::Banned => {
            return Err(format!("bans: {id} is no longer banned, and has that status"));
        }
        kind::MEMBER_BANNED if was && !late => return Err(format!("bans: {id} was banned twice")),
        kind::MEMBER_UNBANNED if before == Told::No && !late => {
            return Err(format!("bans: {id} is no longer banned, and was not"));
        }
        kind::MEMBER_BANNED => (Told::Yes, true),
        kind::MEMBER_UNBANNED => (Told::No, true),
        kind::MEMBER_REMOVED => (Told::Unsure, true),
        _ if status == MemberStatus::Banned => (Told::Yes, before != Told::No),
        _ if status.is_present() => (Told::No, !was),
        // Of one that is gone the status says nothing about it.
        _ if late || event.kind & begins != 0 => (Told::Unsure, true),
        _ => (before, true),
    };
    if !told && !late && event.kind & begins == 0 {
        let word = status.word();
        return Err(format!("bans: {id} is {word} by the event {:#x}, after {before:?}", event.kind));
    }
    Ok(ban)
}
