//! Subscriptions of a node: who wants to know what, and the offering of changes to their queues.

use std::sync::Arc;

use super::entry::Entry;
use super::event::Level;
use super::members::{MemberView, Members};
use super::queue::Queue;
use crate::time::Time;

/// What a subscription asks for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Mask of event kinds.
    pub what: u32,
    /// Only this member, by id.
    pub member: Option<String>,
    /// Only this key, or with `prefix` only keys that begin with it.
    pub key: Option<String>,
    /// `key` is a prefix.
    pub prefix: bool,
    /// What exists comes first, then `INITIAL_DONE`.
    pub initial: bool,
    /// Nothing about the node's own entries and membership.
    pub no_self: bool,
}

/// The subscriptions of one node.
pub struct Hub {}

#[allow(unused_variables, missing_docs)]
impl Hub {
    pub fn new(node: u64, own_id: &str, members: Arc<Members>) -> Hub {
        unimplemented!()
    }
    pub fn entry_changed(&self, entry: &Entry, now: Time) {
        unimplemented!()
    }
    pub fn entry_expired(&self, entry: &Entry, now: Time) {
        unimplemented!()
    }
    pub fn entry_refused(&self, member: &MemberView, key: &str, text: &str, now: Time) {
        unimplemented!()
    }
    pub fn member(&self, kind: u32, view: &MemberView, now: Time) {
        unimplemented!()
    }
    pub fn node_state(&self, state: i32, text: &str, now: Time) {
        unimplemented!()
    }
    pub fn synced(&self, now: Time) {
        unimplemented!()
    }
    pub fn warning(&self, code: i32, text: &str, now: Time) {
        unimplemented!()
    }
    pub fn wants_log(&self, level: Level) -> bool {
        unimplemented!()
    }
    pub fn log(&self, level: Level, target: &str, text: &str, now: Time) {
        unimplemented!()
    }
    /// `initial` calls its argument once for each shard with the entries then visible there.
    pub fn subscribe(
        &self,
        filter: Filter,
        queue: &Arc<Queue>,
        sub: u64,
        tag: u64,
        now: Time,
        initial: &mut dyn FnMut(&mut dyn FnMut(&[Entry])),
    ) -> Result<(), SubscribeError> {
        unimplemented!()
    }
    pub fn unsubscribe(&self, sub: u64) -> bool {
        unimplemented!()
    }
    pub fn close(&self, now: Time) {
        unimplemented!()
    }
}

/// Why a subscription could not be made.
#[derive(Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// The hub was closed.
    HubClosed,
    /// The queue was closed.
    QueueClosed,
}
