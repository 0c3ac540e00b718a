//! Who is here, as API calls read it: written by the engine, read by every thread.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::RwLock;

use super::entry::{Life, LifeRef};
use super::lives::{Lives, OfLife};
use crate::time::Time;

/// Tags of a member, name to value.
pub type Tags = BTreeMap<String, String>;

/// What is held of a member. The numbers are those of the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MemberStatus {
    /// It answers, or nothing is known against it.
    Alive = 1,
    /// It may be gone; others are being asked.
    Suspect = 2,
    /// It was declared gone without having said so.
    Dead = 3,
    /// It has said that it is about to leave.
    Leaving = 4,
    /// It has left; final for this life.
    Left = 5,
    /// A member has banned it.
    Banned = 6,
}

impl MemberStatus {
    /// The status as in the C header.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// Whether `get` shows its entries without being asked for departed members.
    pub fn is_present(self) -> bool {
        matches!(self, MemberStatus::Alive | MemberStatus::Suspect | MemberStatus::Leaving)
    }

    /// The lower-case word for it.
    pub fn word(self) -> &'static str {
        match self {
            MemberStatus::Alive => "alive",
            MemberStatus::Suspect => "suspect",
            MemberStatus::Dead => "dead",
            MemberStatus::Leaving => "leaving",
            MemberStatus::Left => "left",
            MemberStatus::Banned => "banned",
        }
    }
}

/// Why a member is suspected or held dead: what connecting to it showed when it did not answer probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cause {
    /// Nothing is held against it, or the reason is not known.
    #[default]
    None = 0,
    /// Neither it nor its host answers.
    Silent = 1,
    /// Its host accepts connections, and the process does not answer: stopped, throttled, or its UDP is blocked.
    Stalled = 2,
    /// Its host refuses connections: the process is gone.
    Refused = 3,
    /// Another process answers at its address.
    Replaced = 4,
}

impl Cause {
    /// The number on the wire.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// From the number on the wire; one of a later version counts as silent, the most patient but one.
    pub fn from_code(code: u8) -> Cause {
        match code {
            0 => Cause::None,
            2 => Cause::Stalled,
            3 => Cause::Refused,
            4 => Cause::Replaced,
            _ => Cause::Silent,
        }
    }

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Cause::None => "for an unknown reason",
            Cause::Silent => "neither the process nor its host answers",
            Cause::Stalled => "its host accepts connections, but the process does not answer",
            Cause::Refused => "its host refuses connections: the process is gone",
            Cause::Replaced => "another process has its address",
        }
    }
}

/// What a member says of itself: changed seldom, and kept once in a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Id, generation, nonce.
    pub life: LifeRef,
    /// Where it is reached, as it advertises it.
    pub address: SocketAddr,
    /// Wire versions it reads.
    pub versions: (u8, u8),
    /// Its tags.
    pub tags: Arc<Tags>,
}

/// A member as it stood when it was read.
#[derive(Clone, Debug)]
pub struct MemberView {
    /// Who it is and where it is reached.
    pub contact: triomphe::Arc<Contact>,
    /// Alive, suspect, ...
    pub status: MemberStatus,
    /// Since when it has this status here.
    pub since: Time,
    /// Smoothed round-trip time in µs, if one was measured.
    pub rtt_us: Option<u32>,
    /// Whether it is this node itself.
    pub is_self: bool,
    /// A ban of it is in force here: what it has is hidden, also once it is dead.
    pub banned: bool,
}

impl Deref for MemberView {
    type Target = Contact;
    fn deref(&self) -> &Contact {
        &self.contact
    }
}

impl MemberView {
    /// Its id.
    pub fn id(&self) -> &str {
        self.life.id.as_str()
    }
}

/// A member as it is kept for readers.
#[derive(Debug)]
struct Row {
    contact: triomphe::Arc<Contact>,
    since: Time,
    /// [`NO_RTT`] where none was measured.
    rtt_us: u32,
    status: MemberStatus,
    is_self: bool,
    banned: bool,
}

const NO_RTT: u32 = u32::MAX;

impl OfLife for Row {
    fn life(&self) -> &Life {
        &self.contact.life
    }
}

impl Row {
    fn of(view: MemberView) -> Row {
        let rtt_us = view.rtt_us.unwrap_or(NO_RTT);
        let MemberView { contact, status, since, is_self, banned, .. } = view;
        Row { contact, since, rtt_us, status, is_self, banned }
    }

    fn view(&self) -> MemberView {
        MemberView {
            contact: self.contact.clone(),
            status: self.status,
            since: self.since,
            rtt_us: Some(self.rtt_us).filter(|us| *us != NO_RTT),
            is_self: self.is_self,
            banned: self.banned,
        }
    }
}

/// The table of members: one row a life.
#[derive(Debug, Default)]
pub struct Members {
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    rows: Lives<Row>,
    hasher: DefaultHashBuilder,
    /// Where the latest life of each id stands.
    ids: HashTable<u32>,
    /// How many are present.
    present: usize,
}

impl Table {
    /// Where the latest life of an id stands.
    fn latest(&self, id: &str) -> Option<usize> {
        let found = self.ids.find(self.hasher.hash_one(id), |at| self.rows.at(*at as usize).life().id.as_str() == id);
        found.map(|at| *at as usize)
    }

    fn status(&self, nonce: u64) -> MemberStatus {
        self.rows.get(&nonce).map_or(MemberStatus::Left, |row| row.status)
    }

    fn put(&mut self, view: MemberView) {
        let life = view.life.clone();
        self.present += usize::from(view.status.is_present());
        let replaced = self.rows.insert(Row::of(view));
        self.present -= usize::from(replaced.is_some_and(|row| row.status.is_present()));
        let Some(slot) = self.rows.slot(life.nonce) else { return };
        let (id, slot) = (life.id.as_str(), slot as u32);
        let Table { rows, hasher, ids, .. } = self;
        let hash = hasher.hash_one(id);
        match ids.find_mut(hash, |at| rows.at(*at as usize).life().id.as_str() == id) {
            Some(at) if rows.at(*at as usize).life().rank() <= life.rank() => *at = slot,
            Some(_) => {}
            None => {
                ids.insert_unique(hash, slot, |at| hasher.hash_one(rows.at(*at as usize).life().id.as_str()));
            }
        }
    }

    fn remove(&mut self, nonce: u64) -> Option<MemberView> {
        let (slot, last) = (self.rows.slot(nonce)? as u32, self.rows.len() as u32 - 1);
        let place = |table: &Table, slot: u32| table.hasher.hash_one(table.rows.at(slot as usize).life().id.as_str());
        let (hash, moved) = (place(self, slot), place(self, last));
        if let Ok(entry) = self.ids.find_entry(hash, |at| *at == slot) {
            entry.remove();
        }
        // The last row is about to move.
        if let Some(at) = self.ids.find_mut(moved, |at| *at == last) {
            *at = slot;
        }
        let row = self.rows.remove(&nonce)?;
        self.present -= usize::from(row.status.is_present());
        if self.ids.len() * 4 < self.ids.capacity() {
            let Table { rows, hasher, ids, .. } = self;
            ids.shrink_to_fit(|at| hasher.hash_one(rows.at(*at as usize).life().id.as_str()));
        }
        Some(row.view())
    }
}

impl Members {
    /// Puts the row of a life in, or replaces it.
    pub fn put(&self, view: MemberView) {
        self.table.write().put(view);
    }

    /// Takes the row of a life out.
    pub fn remove(&self, nonce: u64) -> Option<MemberView> {
        self.table.write().remove(nonce)
    }

    /// Notes the round-trip time to a member, in µs.
    pub fn set_rtt(&self, nonce: u64, rtt_us: u32) {
        if let Some(row) = self.table.write().rows.get_mut(&nonce) {
            row.rtt_us = rtt_us;
        }
    }

    /// The row of a life.
    pub fn get(&self, nonce: u64) -> Option<MemberView> {
        self.table.read().rows.get(&nonce).map(Row::view)
    }

    /// Status of a life; `Left` for one that is not known (any more).
    pub fn status(&self, nonce: u64) -> MemberStatus {
        self.table.read().status(nonce)
    }

    /// Whether the entries of a life are hidden because it is banned.
    pub fn is_banned(&self, nonce: u64) -> bool {
        self.table.read().rows.get(&nonce).is_some_and(|row| row.banned)
    }

    /// Runs `read` with a function that gives the status of a life: one lock for many look-ups.
    pub fn with_status<R>(&self, read: impl FnOnce(&dyn Fn(u64) -> MemberStatus) -> R) -> R {
        let table = self.table.read();
        read(&|nonce| table.status(nonce))
    }

    /// Nonce and status of the latest life of the member with this id.
    pub fn find(&self, id: &str) -> Option<(u64, MemberStatus)> {
        let table = self.table.read();
        let row = table.rows.at(table.latest(id)?);
        Some((row.life().nonce, row.status))
    }

    /// The row of the latest life of the member with this id.
    pub fn by_id(&self, id: &str) -> Option<MemberView> {
        let table = self.table.read();
        Some(table.rows.at(table.latest(id)?).view())
    }

    /// All members, or only those present, ordered by id.
    pub fn list(&self, departed: bool) -> Vec<MemberView> {
        let table = self.table.read();
        let shown = table.rows.values().filter(|row| departed || row.status.is_present());
        let mut list: Vec<_> = shown.map(Row::view).collect();
        drop(table);
        list.sort_by(|a, b| (&a.life.id, a.life.rank()).cmp(&(&b.life.id, b.life.rank())));
        list
    }

    /// How many are present, this node included.
    pub fn present(&self) -> usize {
        self.table.read().present
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::entry::MemberId;

    fn view(id: &str, generation: u64, status: MemberStatus) -> MemberView {
        let life = LifeRef::new(Life { id: MemberId::new(id).unwrap(), generation, nonce: generation });
        let contact = Contact { life, address: ([10, 0, 0, 1], 1).into(), versions: (1, 1), tags: Arc::default() };
        let contact = triomphe::Arc::new(contact);
        MemberView { contact, status, since: Time::from_micros(1), rtt_us: None, is_self: false, banned: false }
    }

    #[test]
    fn a_row_is_small() {
        assert!(size_of::<Row>() <= 24, "each member of each node has one: {}", size_of::<Row>());
    }

    #[test]
    fn the_latest_life_of_an_id_is_found_whatever_comes_and_goes() {
        let members = Members::default();
        for n in 1..=40 {
            members.put(view(&format!("m{}", n % 20), n, MemberStatus::Alive));
        }
        members.put(view("m7", 3_000, MemberStatus::Dead));
        assert_eq!((members.list(true).len(), members.present()), (41, 40));
        assert_eq!(members.find("m7"), Some((3_000, MemberStatus::Dead)));
        assert_eq!(members.find("m3"), Some((23, MemberStatus::Alive)));
        members.remove(3);
        assert_eq!(members.find("m3"), Some((23, MemberStatus::Alive)), "a former life has gone");
        members.set_rtt(23, 5);
        assert_eq!(members.by_id("m3").unwrap().rtt_us, Some(5));
        members.put(view("m3", 23, MemberStatus::Left));
        assert_eq!((members.status(23), members.present()), (MemberStatus::Left, 38));
        for n in 1..=40 {
            assert_eq!(members.remove(n).is_some(), n != 3);
            assert!(members.get(n).is_none());
        }
        assert_eq!((members.list(true).len(), members.present(), members.find("m3")), (1, 0, None));
        assert_eq!(members.find("m7"), Some((3_000, MemberStatus::Dead)));
    }
}
