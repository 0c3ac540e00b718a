//! A node: one member of a cluster in this process.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::error::Result;
use crate::store::NodeState;
use crate::store::entry::Entry;
use crate::store::event::{EntryView, Event};
use crate::store::hub::Filter;
use crate::store::members::MemberView;
use crate::store::queue::Queue;

/// How `set` is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetOptions {
    /// Readers stop seeing the entry after this long.
    pub ttl: Option<Duration>,
    /// Nothing happens if type and value are what is there.
    pub if_changed: bool,
}

/// How a snapshot or metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Protobuf,
    Json,
    Prometheus,
}

/// Called with each event, on the node's dispatcher thread. Dropped once, after the last call.
pub type Callback = Box<dyn FnMut(&Event) + Send>;

/// A handle to an open node: cheap to clone, closed by [`Node::close`] (dropping the last handle closes without waiting).
#[derive(Clone)]
pub struct Node {}

#[allow(unused_variables, missing_docs)]
impl Node {
    /// `id`: what events carry as their node (the C ABI's id; 0 for Rust hosts).
    pub fn open_with_id(config: &Config, id: u64) -> Result<Node> {
        unimplemented!()
    }
    pub fn set(&self, key: &str, type_url: &str, value: &[u8], options: SetOptions) -> Result<u64> {
        unimplemented!()
    }
    pub fn delete(&self, key: &str) -> Result<u64> {
        unimplemented!()
    }
    /// `member` None: all.
    pub fn get(&self, member: Option<&str>, key: &str, prefix: bool, departed: bool) -> Result<Vec<EntryView>> {
        unimplemented!()
    }
    pub fn get_own(&self, key: &str) -> Result<Option<EntryView>> {
        unimplemented!()
    }
    pub fn members(&self, departed: bool) -> Result<Vec<MemberView>> {
        unimplemented!()
    }
    pub fn me(&self) -> Result<MemberView> {
        unimplemented!()
    }
    /// Works on a closed node too.
    pub fn state(&self) -> NodeState {
        unimplemented!()
    }
    pub fn now(&self) -> crate::time::Time {
        unimplemented!()
    }
    pub fn reconfigure(&self, name: &str, value: &str) -> Result<()> {
        unimplemented!()
    }
    pub fn setting(&self, name: &str) -> Result<String> {
        unimplemented!()
    }
    pub fn leave_nowait(&self) -> Result<()> {
        unimplemented!()
    }
    /// timeout None: for ever.
    pub fn leave(&self, timeout: Option<Duration>) -> Result<()> {
        unimplemented!()
    }
    pub fn wait_for_members(&self, alive: usize, timeout: Option<Duration>) -> Result<()> {
        unimplemented!()
    }
    pub fn wait_synced(&self, timeout: Option<Duration>) -> Result<()> {
        unimplemented!()
    }
    pub fn describe(&self) -> Result<String> {
        unimplemented!()
    }
    pub fn snapshot(&self, format: Format) -> Result<Vec<u8>> {
        unimplemented!()
    }
    pub fn offsets(&self) -> Result<String> {
        unimplemented!()
    }
    pub fn metrics(&self, format: Format) -> Result<String> {
        unimplemented!()
    }
    /// `sub`: what events carry as their subscription and unsubscribe names it by.
    pub fn subscribe_queue(&self, filter: Filter, queue: &Arc<Queue>, sub: u64, tag: u64) -> Result<()> {
        unimplemented!()
    }
    /// On failure the callback is handed back and was not called.
    pub fn subscribe_callback(
        &self,
        filter: Filter,
        sub: u64,
        callback: Callback,
    ) -> std::result::Result<(), (crate::error::Error, Callback)> {
        unimplemented!()
    }
    /// Waits until no callback of it runs and it was dropped; WouldDeadlock on the dispatcher thread.
    pub fn unsubscribe(&self, sub: u64) -> Result<()> {
        unimplemented!()
    }
    pub fn unsubscribe_nowait(&self, sub: u64) -> Result<()> {
        unimplemented!()
    }
    /// Waits for the node's task, dispatcher and sockets to end; WouldDeadlock on the dispatcher thread.
    pub fn close(&self) -> Result<()> {
        unimplemented!()
    }
    pub fn close_nowait(&self) -> Result<()> {
        unimplemented!()
    }
    fn _uses(_: Entry) {}
}
