//! What a host is told: kinds of event, and an event as it is taken from a queue.

use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::members::{MemberStatus, MemberView};
use crate::time::Time;

/// Kinds of event, one bit each, as in the C header.
pub mod kind {
    #![allow(missing_docs)] // each is documented at the constant of the C header that has its value
    pub const ENTRY_CHANGED: u32 = 0x1;
    pub const ENTRY_DELETED: u32 = 0x2;
    pub const ENTRY_REFUSED: u32 = 0x4;
    pub const MEMBER_JOINED: u32 = 0x10;
    pub const MEMBER_SUSPECTED: u32 = 0x20;
    pub const MEMBER_ALIVE: u32 = 0x40;
    pub const MEMBER_DEAD: u32 = 0x80;
    pub const MEMBER_LEFT: u32 = 0x100;
    pub const MEMBER_RESTARTED: u32 = 0x200;
    pub const MEMBER_UPDATED: u32 = 0x400;
    pub const MEMBER_BANNED: u32 = 0x800;
    pub const MEMBER_UNBANNED: u32 = 0x1000;
    pub const MEMBER_REMOVED: u32 = 0x2000;
    pub const NODE_STATE: u32 = 0x1_0000;
    pub const SYNCED: u32 = 0x2_0000;
    pub const CONSENSUS: u32 = 0x4_0000;
    pub const TOPOLOGY: u32 = 0x8_0000;
    pub const WARNING: u32 = 0x10_0000;
    pub const LOG: u32 = 0x20_0000;
    pub const INITIAL_DONE: u32 = 0x1000_0000;
    pub const CLOSED: u32 = 0x2000_0000;

    pub const ENTRIES: u32 = 0x7;
    pub const MEMBERS: u32 = 0x3ff0;
    pub const NODE: u32 = 0xf_0000;
    /// Everything that may be asked for; `INITIAL_DONE` and `CLOSED` come unasked.
    pub const VALID: u32 = ENTRIES | MEMBERS | NODE | WARNING | LOG;
}

/// Levels of log lines, as in the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Something failed that the host should know of.
    Error = 1,
    /// Something is wrong but the node goes on.
    Warn = 2,
    /// Milestones: opened, joined, left.
    Info = 3,
    /// Single decisions of the protocol.
    Debug = 4,
    /// Each packet.
    Trace = 5,
}

/// An entry as it stood when it was read.
#[derive(Clone, Debug)]
pub struct EntryView {
    /// The entry.
    pub entry: Entry,
    /// Its member's status.
    pub status: MemberStatus,
    /// When it was read; ages are counted up to here.
    pub read_at: Time,
}

impl EntryView {
    /// The id of its member.
    pub fn member(&self) -> &str {
        self.entry.head().life.id.as_str()
    }

    /// Its key.
    pub fn key(&self) -> &str {
        self.entry.key()
    }

    /// Its sequence number: from 1 in each life of the member, higher with each of its sets and deletes.
    pub fn seq(&self) -> u64 {
        self.entry.seq()
    }

    /// How long ago this node had received (or set) it when it was read.
    pub fn age(&self) -> Duration {
        self.read_at.since(self.entry.head().received)
    }
}

/// An event as a host takes it from a queue.
#[derive(Clone, Debug)]
pub struct Event {
    /// One of [`kind`].
    pub kind: u32,
    /// Of the subscription.
    pub tag: u64,
    /// Id of the node.
    pub node: u64,
    /// Id of the subscription.
    pub sub: u64,
    /// How many changes it stands for, at least 1.
    pub conflated: u64,
    /// `NODE_STATE`: the state; `WARNING`: a status; `LOG`: the level.
    pub code: i32,
    /// `NODE_STATE`, `WARNING`, `LOG`, `ENTRY_REFUSED`: in words.
    pub text: Option<Arc<str>>,
    /// `LOG`: the part of the library that speaks. `ENTRY_REFUSED`: the key.
    pub target: Option<Arc<str>>,
    /// The entry, for entry events.
    pub entry: Option<EntryView>,
    /// The member, for member events.
    pub member: Option<MemberView>,
    /// When it was taken.
    pub taken_at: Time,
}
