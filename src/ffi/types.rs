//! types

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::OnceLock;

use crate::store::event::Event;
use crate::store::members::MemberView;
use crate::time::Time;

/// As a key's length: the key ends at its NUL.
pub const GOSSIP_NUL: usize = usize::MAX;
/// Size of an errbuf that every message fits, its NUL included.
pub const GOSSIP_ERRBUF: usize = 512;

/// How a call ended: GOSSIP_OK or one of GOSSIP_ERR_*. Later versions may add numbers, so treat an unknown negative one
/// as a failure; gossip_status_text has a sentence for each.
pub type gossip_status = i32;

/// A configuration: settings being collected for gossip_open.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gossip_config {
    /// Below 2^53; 0 is none.
    pub id: u64,
}

/// A node: one member of a cluster in this process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gossip_node {
    /// Below 2^53; 0 is none.
    pub id: u64,
}

/// A queue of events; may serve many subscriptions of many nodes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gossip_queue {
    /// Below 2^53; 0 is none.
    pub id: u64,
}

/// A subscription of one node, with a queue or a callback.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gossip_sub {
    /// Below 2^53; 0 is none.
    pub id: u64,
}

/// A list of entries, as they stood when they were read. Yours, until gossip_entries_free.
pub struct gossip_entries {
    pub(super) views: super::entries::Views,
    pub(super) packed: OnceLock<Vec<u8>>,
}

/// A list of members, as they stood when they were read. Yours, until gossip_members_free.
pub struct gossip_members {
    pub(super) views: Vec<MemberView>,
    pub(super) read_at: Time,
    pub(super) shown: OnceLock<Box<[gossip_member]>>,
    pub(super) packed: OnceLock<Vec<u8>>,
}

/// A batch of events. Yours, until gossip_events_free.
pub struct gossip_events {
    /// Points into `events`, so it comes first and is dropped first.
    pub(super) shown: OnceLock<Box<[gossip_event]>>,
    /// Not changed after it was made.
    pub(super) events: Vec<Event>,
    pub(super) packed: OnceLock<Vec<u8>>,
}

/// Bytes or a text. Yours, until gossip_bytes_free.
pub struct gossip_bytes {
    /// With a NUL at the end that does not count.
    pub(super) data: Vec<u8>,
}

/// An entry of a list or event; lives as long as that.
pub struct gossip_entry {
    // What pointers to it point to is an `EntryView`: lists are handed out as the store made them.
    _opaque: (),
}

/// A member of a list or event; lives as long as that.
pub struct gossip_member {
    pub(super) view: MemberView,
    pub(super) read_at: Time,
    pub(super) texts: OnceLock<super::members::Texts>,
}

/// An event of a batch, or one that a callback is shown: then it lives until the callback returns.
pub struct gossip_event {
    /// Lives longer than this.
    pub(super) event: NonNull<Event>,
    pub(super) texts: OnceLock<Box<super::events::Texts>>,
}

/// Called for each event of a subscription, one call at a time, on the node's own dispatcher thread, with no lock held:
/// it may call any function. gossip_close of that node and gossip_unsubscribe of its subscriptions with a callback answer
/// GOSSIP_ERR_WOULD_DEADLOCK in there; other waits end when the node is closed. While it runs it holds up the other
/// callbacks of the node, not the gossip. It must return: no exception, no longjmp; a child that it forks must exec or
/// _exit.
pub type gossip_event_fn = Option<unsafe extern "C" fn(user: *mut c_void, event: *const gossip_event)>;

/// Called once with a subscription's user pointer when no callback runs or will run any more: the place to free what it
/// points to. On the thread that ends the subscription or on the dispatcher thread; what holds for callbacks holds in
/// there too.
pub type gossip_drop_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;
