//! Who is here, as API calls read it: written by the engine, read by every thread.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::entry::LifeRef;
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

/// A member as it stood when it was read.
#[derive(Clone, Debug)]
pub struct MemberView {
    /// Id, generation, nonce.
    pub life: LifeRef,
    /// Where it is reached, as it advertises it.
    pub address: SocketAddr,
    /// Its tags.
    pub tags: Arc<Tags>,
    /// Alive, suspect, ...
    pub status: MemberStatus,
    /// Since when it has this status here.
    pub since: Time,
    /// Smoothed round-trip time in µs, if one was measured.
    pub rtt_us: Option<u32>,
    /// Whether it is this node itself.
    pub is_self: bool,
}

/// The table of members: one row a life, at most one life an id.
#[derive(Debug, Default)]
pub struct Members {
    rows: RwLock<HashMap<u64, MemberView>>,
}

impl Members {
    /// Puts the row of a life in, or replaces it.
    pub fn put(&self, view: MemberView) {
        self.rows.write().insert(view.life.nonce, view);
    }

    /// Takes the row of a life out.
    pub fn remove(&self, nonce: u64) -> Option<MemberView> {
        self.rows.write().remove(&nonce)
    }

    /// Changes a row in place; does nothing for an unknown life.
    pub fn update(&self, nonce: u64, change: impl FnOnce(&mut MemberView)) {
        if let Some(row) = self.rows.write().get_mut(&nonce) {
            change(row);
        }
    }

    /// The row of a life.
    pub fn get(&self, nonce: u64) -> Option<MemberView> {
        self.rows.read().get(&nonce).cloned()
    }

    /// Status of a life; `Left` for one that is not known (any more).
    pub fn status(&self, nonce: u64) -> MemberStatus {
        self.rows.read().get(&nonce).map_or(MemberStatus::Left, |r| r.status)
    }

    /// Runs `read` with a function that gives the status of a life: one lock for many look-ups.
    pub fn with_status<R>(&self, read: impl FnOnce(&dyn Fn(u64) -> MemberStatus) -> R) -> R {
        let rows = self.rows.read();
        read(&|nonce| rows.get(&nonce).map_or(MemberStatus::Left, |r| r.status))
    }

    /// The row of the member with this id: of its latest life.
    pub fn by_id(&self, id: &str) -> Option<MemberView> {
        let rows = self.rows.read();
        rows.values().filter(|r| r.life.id.as_str() == id).max_by_key(|r| r.life.rank()).cloned()
    }

    /// All members, or only those present, ordered by id.
    pub fn list(&self, departed: bool) -> Vec<MemberView> {
        let rows = self.rows.read();
        let mut list: Vec<_> = rows.values().filter(|r| departed || r.status.is_present()).cloned().collect();
        drop(rows);
        list.sort_by(|a, b| (&a.life.id, a.life.rank()).cmp(&(&b.life.id, b.life.rank())));
        list
    }

    /// How many are present, this node included.
    pub fn present(&self) -> usize {
        self.rows.read().values().filter(|r| r.status.is_present()).count()
    }
}
