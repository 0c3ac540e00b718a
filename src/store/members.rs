//! Who is here, as API calls read it: written by the engine, read by every thread.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::entry::{LifeRef, MemberId};
use crate::time::Time;

/// Tags of a member, name to value.
pub type Tags = BTreeMap<String, String>;

/// What is held of a member. The numbers are those of the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
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

/// The table of members: one row a life.
#[derive(Debug, Default)]
pub struct Members {
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<u64, MemberView>,
    /// The latest life of each id.
    ids: HashMap<MemberId, u64>,
}

impl Members {
    /// Puts the row of a life in, or replaces it.
    pub fn put(&self, view: MemberView) {
        let mut table = self.table.write();
        let known = table.ids.get(view.life.id.as_str()).and_then(|nonce| table.rows.get(nonce));
        if known.is_none_or(|known| known.life.rank() <= view.life.rank()) {
            table.ids.insert(view.life.id.clone(), view.life.nonce);
        }
        table.rows.insert(view.life.nonce, view);
    }

    /// Takes the row of a life out.
    pub fn remove(&self, nonce: u64) -> Option<MemberView> {
        let mut table = self.table.write();
        let row = table.rows.remove(&nonce)?;
        if table.ids.get(row.life.id.as_str()) == Some(&nonce) {
            table.ids.remove(row.life.id.as_str());
        }
        Some(row)
    }

    /// Changes a row in place (not its life); does nothing for an unknown life.
    pub fn update(&self, nonce: u64, change: impl FnOnce(&mut MemberView)) {
        if let Some(row) = self.table.write().rows.get_mut(&nonce) {
            change(row);
        }
    }

    /// The row of a life.
    pub fn get(&self, nonce: u64) -> Option<MemberView> {
        self.table.read().rows.get(&nonce).cloned()
    }

    /// Status of a life; `Left` for one that is not known (any more).
    pub fn status(&self, nonce: u64) -> MemberStatus {
        self.table.read().rows.get(&nonce).map_or(MemberStatus::Left, |r| r.status)
    }

    /// Runs `read` with a function that gives the status of a life: one lock for many look-ups.
    pub fn with_status<R>(&self, read: impl FnOnce(&dyn Fn(u64) -> MemberStatus) -> R) -> R {
        let table = self.table.read();
        read(&|nonce| table.rows.get(&nonce).map_or(MemberStatus::Left, |r| r.status))
    }

    /// Nonce and status of the latest life of the member with this id.
    pub fn find(&self, id: &str) -> Option<(u64, MemberStatus)> {
        let table = self.table.read();
        let nonce = *table.ids.get(id)?;
        Some((nonce, table.rows.get(&nonce)?.status))
    }

    /// The row of the latest life of the member with this id.
    pub fn by_id(&self, id: &str) -> Option<MemberView> {
        let table = self.table.read();
        table.rows.get(table.ids.get(id)?).cloned()
    }

    /// All members, or only those present, ordered by id.
    pub fn list(&self, departed: bool) -> Vec<MemberView> {
        let table = self.table.read();
        let mut list: Vec<_> = table.rows.values().filter(|r| departed || r.status.is_present()).cloned().collect();
        drop(table);
        list.sort_by(|a, b| (&a.life.id, a.life.rank()).cmp(&(&b.life.id, b.life.rank())));
        list
    }

    /// How many are present, this node included.
    pub fn present(&self) -> usize {
        self.table.read().rows.values().filter(|r| r.status.is_present()).count()
    }
}
