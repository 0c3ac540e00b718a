//! The read model: what API calls read and write without waiting for the engine.

pub mod entry;
pub mod event;
pub mod hub;
pub mod members;
pub mod queue;

use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::Settings;
use crate::error::Result;
use crate::time::Time;
use event::EntryView;

/// State of a node; numbers as in the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum NodeState {
    Starting = 1,
    Joined = 2,
    Alone = 3,
    Leaving = 4,
    Left = 5,
    Banned = 6,
    Failed = 7,
}

/// Told that something a waiter may wait for has changed (state, members, synced), and that own entries wait for the engine.
pub trait Waker: Send + Sync {
    /// The engine should be driven: own entries changed.
    fn wake_engine(&self);
    /// Waiters should look again.
    fn progress(&self);
}

/// The entries, members and subscriptions of one node.
pub struct Store {
    /// Who is here.
    pub members: Arc<members::Members>,
    /// Who is told.
    pub hub: hub::Hub,
}

#[allow(unused_variables, missing_docs)]
impl Store {
    pub fn new(node: u64, life: entry::LifeRef, settings: Arc<Settings>, waker: Arc<dyn Waker>) -> Store {
        unimplemented!()
    }
    pub fn set(
        &self,
        now: Time,
        key: &str,
        type_url: &str,
        value: &[u8],
        ttl: Option<Duration>,
        if_changed: bool,
    ) -> Result<u64> {
        unimplemented!()
    }
    pub fn delete(&self, now: Time, key: &str) -> Result<u64> {
        unimplemented!()
    }
    pub fn get(&self, now: Time, member: Option<&str>, key: &str, departed: bool) -> Vec<EntryView> {
        unimplemented!()
    }
    pub fn get_prefix(&self, now: Time, member: Option<&str>, prefix: &str, departed: bool) -> Vec<EntryView> {
        unimplemented!()
    }
    pub fn get_own(&self, now: Time, key: &str) -> Option<EntryView> {
        unimplemented!()
    }
    /// Subscribes with `initial` walking the shards.
    pub fn subscribe(
        &self,
        now: Time,
        filter: hub::Filter,
        queue: &Arc<queue::Queue>,
        sub: u64,
        tag: u64,
    ) -> std::result::Result<(), hub::SubscribeError> {
        unimplemented!()
    }
    pub fn state(&self) -> NodeState {
        unimplemented!()
    }
    pub fn set_state(&self, now: Time, state: NodeState, why: &str) {
        unimplemented!()
    }
    pub fn is_synced(&self) -> bool {
        unimplemented!()
    }
    /// Which status the last leave ended with, once it has ended.
    pub fn leave_result(&self) -> Option<bool> {
        unimplemented!()
    }
    /// cluster.gossip.GossipState as Proto.Actor encodes it; `wall_ms` is the wall clock now, for timestamps.
    pub fn snapshot(&self, now: Time, wall_ms: i64) -> Vec<u8> {
        unimplemented!()
    }
    pub fn snapshot_json(&self, now: Time, wall_ms: i64) -> String {
        unimplemented!()
    }
}
