//! A node: one member of a cluster in this process. What a Rust host and the C ABI call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::changes::Changes;
use super::shared::Shared;
use super::value::Value;
use super::{clock, open, report};
use crate::config::{self, Config};
use crate::error::{Error, Result, Status};
use crate::store::NodeState;
use crate::store::event::{EntryView, Event};
use crate::store::hub::{Filter, SubscribeError};
use crate::store::members::MemberView;
use crate::store::queue::Queue;
use crate::time::Time;

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
pub enum Format {
    /// Snapshots: `cluster.gossip.GossipState`, as Proto.Actor encodes it.
    Protobuf,
    /// Snapshots: an object of members and keys. Metrics: one flat object, name to number.
    Json,
    /// Metrics: the text format of Prometheus.
    Prometheus,
}

/// Called with each event, on the node's dispatcher thread. Dropped once, after the last call.
pub type Callback = Box<dyn FnMut(&Event) + Send>;

/// A subscription made by [`Node::on_change`], to end it by. Dropping this does not end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscription(u64);

/// Numbers for subscriptions of Rust hosts: far above those of the C ABI, which stay below 2^53.
static NEXT_SUB: AtomicU64 = AtomicU64::new(1 << 60);

fn next_sub() -> u64 {
    NEXT_SUB.fetch_add(1, Ordering::Relaxed)
}

/// What the handles to a node share; dropped with the last one.
struct Handles {
    shared: Arc<Shared>,
}

impl Drop for Handles {
    fn drop(&mut self) {
        if self.shared.is_own_process() {
            self.shared.begin_close();
        } else {
            // Locks in there may be held by threads that this process does not have: it is left as it is.
            std::mem::forget(self.shared.clone());
        }
    }
}

/// A handle to an open node: cheap to clone, used from any thread.
///
/// [`Node::close`] ends the node; dropping the last handle ends it as well, without waiting. To the others either is a
/// crash unless [`Node::leave`] came first. A callback that holds a handle keeps the node open until it is
/// unsubscribed or the node is closed.
///
/// In a child of `fork` every call answers [`Status::Forked`]; the child may open nodes of its own.
#[derive(Clone)]
pub struct Node {
    handles: Arc<Handles>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("member", &self.shared().member).finish_non_exhaustive()
    }
}

impl Node {
    /// Opens a node. Binds its sockets and returns: waits for no look-up of a name and for no peer.
    ///
    /// # Errors
    /// `BadSetting` (settings that contradict each other), `Bind`, `Advertise`, `NoResources`.
    pub fn open(config: &Config) -> Result<Node> {
        Node::open_with_id(config, 0)
    }

    /// Like [`Node::open`]; `id` is what events carry as their node (the C ABI's id; 0 for Rust hosts).
    pub fn open_with_id(config: &Config, id: u64) -> Result<Node> {
        Ok(Node { handles: Arc::new(Handles { shared: open::open(config, id)? }) })
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handles.shared
    }

    fn open_shared(&self) -> Result<&Arc<Shared>> {
        let shared = self.shared();
        shared.check()?;
        Ok(shared)
    }

    // ---- this node's own entries ----

    /// Sets an own entry and gives its sequence number. Waits for nobody; the caller's next `get` sees it.
    ///
    /// `key` is 1 to 255 bytes; `type_url` says what `value` is (see [`Value`]), empty for bytes.
    ///
    /// # Errors
    /// `InvalidKey`, `ReservedKey`, `ValueTooLarge`, `Limit`, `InvalidArgument`, `Left`, `Banned`, `IdTaken`.
    pub fn set(&self, key: &str, type_url: &str, value: &[u8], options: SetOptions) -> Result<u64> {
        self.open_shared()?.store.set(clock::now(), key, type_url, value, options.ttl, options.if_changed)
    }

    /// [`Node::set`] with a Rust value: text, `bool`, `i64`, `f64`, bytes, or a [`Value`].
    pub fn set_value(&self, key: &str, value: impl Into<Value>) -> Result<u64> {
        self.set_value_with(key, value, SetOptions::default())
    }

    /// [`Node::set_value`] with options.
    pub fn set_value_with(&self, key: &str, value: impl Into<Value>, options: SetOptions) -> Result<u64> {
        let value = value.into();
        let (type_url, bytes) = value.encode();
        self.set(key, type_url, &bytes, options)
    }

    /// Deletes an own entry; gives the deletion's sequence number.
    ///
    /// # Errors
    /// `NotFound`, and those of [`Node::set`].
    pub fn delete(&self, key: &str) -> Result<u64> {
        self.open_shared()?.store.delete(clock::now(), key)
    }

    // ---- reading ----

    /// The entries under `key`, or with `prefix` under all keys that begin so; of one member, or of all. With
    /// `departed` also those of members that are dead, left or banned, while their state is kept. Ordered by member id,
    /// then key. An unknown member or key gives none.
    pub fn get(&self, member: Option<&str>, key: &str, prefix: bool, departed: bool) -> Result<Vec<EntryView>> {
        let store = &self.open_shared()?.store;
        let now = clock::now();
        Ok(if prefix { store.get_prefix(now, member, key, departed) } else { store.get(now, member, key, departed) })
    }

    /// The entry of one member under `key`, if it is present, or with `departed` also otherwise while it is kept.
    pub fn get_of(&self, member: &str, key: &str, departed: bool) -> Result<Option<EntryView>> {
        Ok(self.open_shared()?.store.get_of(clock::now(), member, key, departed))
    }

    /// The entries of all present members under `key`.
    pub fn entries(&self, key: &str) -> Result<Vec<EntryView>> {
        self.get(None, key, false, false)
    }

    /// The entry of one present member under `key`.
    pub fn entry(&self, member: &str, key: &str) -> Result<Option<EntryView>> {
        self.get_of(member, key, false)
    }

    /// The value of one present member under `key`.
    pub fn value(&self, member: &str, key: &str) -> Result<Option<Value>> {
        Ok(self.entry(member, key)?.as_ref().and_then(Value::of))
    }

    /// This node's own entry under `key`.
    pub fn get_own(&self, key: &str) -> Result<Option<EntryView>> {
        Ok(self.open_shared()?.store.get_own(clock::now(), key))
    }

    // ---- the cluster ----

    /// The members, ordered by id, this node included; with `departed` also those that are dead, left or banned.
    pub fn members(&self, departed: bool) -> Result<Vec<MemberView>> {
        Ok(self.open_shared()?.store.members.list(departed))
    }

    /// This node's own record.
    pub fn me(&self) -> Result<MemberView> {
        self.open_shared()?.me().ok_or_else(|| Status::Failed.into())
    }

    /// This node's member id.
    pub fn id(&self) -> &str {
        &self.shared().member
    }

    /// The address that others are told to reach this node at: also what they may have as a seed.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.me()?.address)
    }

    /// The state of the node, the last one it had if it was closed; in a child of `fork` it is `Failed`.
    pub fn state(&self) -> NodeState {
        match self.shared().check_process() {
            Ok(()) => self.shared().store.state(),
            Err(_) => NodeState::Failed,
        }
    }

    /// The time on the clock that entries and members carry.
    pub fn now(&self) -> Time {
        clock::now()
    }

    /// Bans a member id, in all of its lives, until a member lifts it. All members heed it.
    ///
    /// # Errors
    /// `InvalidArgument`: no member id, or this node's own; those of [`Node::set`].
    pub fn ban(&self, id: &str) -> Result<()> {
        self.open_shared()?.with_engine(|engine, now| engine.ban(now, id))?
    }

    /// Lifts every ban of a member id, whoever has set it.
    ///
    /// # Errors
    /// Those of [`Node::set`].
    pub fn unban(&self, id: &str) -> Result<()> {
        self.open_shared()?.with_engine(|engine, now| engine.unban(now, id))?
    }

    /// The bans that stand, as JSON: a list of objects with `id`, and `by`, the member that has banned it.
    pub fn bans_json(&self) -> Result<String> {
        self.open_shared()?.with_engine(|engine, _| engine.bans_json())
    }

    /// Sets one of this host's statistics, which all members read under `cluster:heartbeat` (`cluster.MemberHeartbeat`); with
    /// `None` it is taken out. Published at most once per `heartbeat_interval`.
    ///
    /// # Errors
    /// `InvalidArgument`, `Limit`.
    pub fn set_statistic(&self, name: &str, value: Option<i64>) -> Result<()> {
        self.open_shared()?.store.set_statistic(name, value)
    }

    // ---- settings ----

    /// Changes a setting of the open node.
    ///
    /// # Errors
    /// `NotLive`, `UnknownSetting`, `BadSetting`; the setting is then as before.
    pub fn reconfigure(&self, name: &str, value: &str) -> Result<()> {
        let shared = self.open_shared()?;
        // Held until the engine has them: of two changes at once both count.
        let mut settings = shared.settings.lock();
        let mut changed = settings.clone();
        config::apply_live(&mut changed, name, value)?;
        let in_force = Arc::new(changed.clone());
        shared.with_engine(|engine, now| engine.reconfigure(now, in_force))?;
        *settings = changed;
        Ok(())
    }

    /// The value in force of a setting: for `id`, `bind` and `advertise` what was chosen where nothing was given.
    ///
    /// # Errors
    /// `UnknownSetting`.
    pub fn setting(&self, name: &str) -> Result<String> {
        let shared = self.open_shared()?;
        match name {
            "id" => Ok(shared.member.clone()),
            "bind" => Ok(shared.local.to_string()),
            "advertise" => Ok(self.address()?.to_string()),
            _ => config::value_of(&shared.settings.lock(), name),
        }
    }

    // ---- waiting ----

    /// Waits until `alive` members are present, this node included. `timeout` `None`: for ever.
    ///
    /// # Errors
    /// `Timeout`; `Closed` when the node is closed meanwhile.
    pub fn wait_for_members(&self, alive: usize, timeout: Option<Duration>) -> Result<()> {
        self.wait(timeout, || self.look_for_members(alive))
    }

    /// [`Node::wait_for_members`] as a future.
    pub async fn wait_for_members_async(&self, alive: usize) -> Result<()> {
        self.shared().check_process()?;
        self.shared().signals.wait_async(|| self.look_for_members(alive)).await
    }

    fn look_for_members(&self, alive: usize) -> Option<Result<()>> {
        match self.open_shared() {
            Ok(shared) => (shared.store.members.present() >= alive).then_some(Ok(())),
            Err(e) => Some(Err(e)),
        }
    }

    /// Waits until this node has once been equal to a peer; at once if it has no seeds. `timeout` `None`: for ever.
    ///
    /// # Errors
    /// `Timeout`; `Closed` when the node is closed meanwhile.
    pub fn wait_synced(&self, timeout: Option<Duration>) -> Result<()> {
        self.wait(timeout, || self.look_synced())
    }

    /// [`Node::wait_synced`] as a future.
    pub async fn wait_synced_async(&self) -> Result<()> {
        self.shared().check_process()?;
        self.shared().signals.wait_async(|| self.look_synced()).await
    }

    fn look_synced(&self) -> Option<Result<()>> {
        match self.open_shared() {
            Ok(shared) => shared.store.is_synced().then_some(Ok(())),
            Err(e) => Some(Err(e)),
        }
    }

    fn wait(&self, timeout: Option<Duration>, look: impl FnMut() -> Option<Result<()>>) -> Result<()> {
        let shared = self.open_shared()?;
        shared.signals.wait(timeout, look).unwrap_or_else(|| Err(Status::Timeout.into()))
    }

    // ---- ending ----

    /// Starts leaving the cluster: the notice is sent before this returns. A state event tells the end.
    pub fn leave_nowait(&self) -> Result<()> {
        self.open_shared()?.with_engine(|engine, now| engine.leave(now))
    }

    /// Leaves the cluster and waits until enough members have acknowledged it. `timeout` `None`: for ever, which is as
    /// long as the setting `leave_timeout` says.
    ///
    /// # Errors
    /// `Timeout`: the notice was sent, but not acknowledged by enough members in time.
    pub fn leave(&self, timeout: Option<Duration>) -> Result<()> {
        self.leave_nowait()?;
        self.wait(timeout, || self.look_left())
    }

    /// [`Node::leave`] as a future; ends within the setting `leave_timeout`.
    pub async fn leave_async(&self) -> Result<()> {
        self.leave_nowait()?;
        self.shared().signals.wait_async(|| self.look_left()).await
    }

    fn look_left(&self) -> Option<Result<()>> {
        let shared = match self.open_shared() {
            Ok(shared) => shared,
            Err(e) => return Some(Err(e)),
        };
        match (shared.store.leave_result(), shared.store.state()) {
            (Some(true), _) => Some(Ok(())),
            (Some(false), _) => Some(Err(Error::new(
                Status::Timeout,
                "the node has left, but too few members have acknowledged it within leave_timeout",
            ))),
            // Not in the cluster any more for another reason: leaving never starts.
            (None, NodeState::Failed) => Some(Err(Status::Failed.into())),
            (None, _) => None,
        }
    }

    /// Ends the node: waits until its task, its sockets and its callbacks have ended. Without [`Node::leave`] it is a
    /// crash to the others. A closed node may be closed again.
    ///
    /// # Errors
    /// `WouldDeadlock` inside one of the node's callbacks, or inside one of another node's that a callback of this node waits
    /// for, as when the two close each other: use [`Node::close_nowait`] there.
    pub fn close(&self) -> Result<()> {
        self.shared().check_process()?;
        let Some(_waiting) = self.shared().dispatcher.wait_for() else {
            return Err(Status::WouldDeadlock.into());
        };
        self.shared().close();
        Ok(())
    }

    /// [`Node::close`] as a future. The node ends also if the future is dropped.
    pub async fn close_async(&self) -> Result<()> {
        self.close_nowait()?;
        let shared = self.shared();
        shared.signals.wait_async(|| shared.has_ended().then_some(())).await;
        Ok(())
    }

    /// Ends the node without waiting; works inside callbacks too.
    pub fn close_nowait(&self) -> Result<()> {
        self.shared().check_process()?;
        self.shared().begin_close();
        Ok(())
    }

    /// [`Node::close_nowait`]; `at_end` is called when nothing of the node runs any more.
    ///
    /// # Errors
    /// `Closed` if the node is ending already; `at_end` is not called then.
    pub(crate) fn close_nowait_then(&self, at_end: impl FnOnce() + Send + 'static) -> Result<()> {
        self.shared().check_process()?;
        if !self.shared().begin_close() {
            return Err(Error::new(Status::Closed, "the node was closed"));
        }
        self.shared().when_ended(Box::new(at_end));
        Ok(())
    }

    /// Whether the node was closed, or is being closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared().is_closing()
    }

    // ---- seeing what is going on ----

    /// A page of text for people: state, seeds, members, settings, what was dropped and why.
    pub fn describe(&self) -> Result<String> {
        report::describe(self.open_shared()?)
    }

    /// The whole state at once, as [`Format::Protobuf`] or [`Format::Json`].
    pub fn snapshot(&self, format: Format) -> Result<Vec<u8>> {
        let shared = self.open_shared()?;
        match format {
            Format::Protobuf => Ok(report::snapshot_protobuf(shared)),
            Format::Json => Ok(report::snapshot_json(shared)),
            Format::Prometheus => Err(Error::new(Status::InvalidArgument, "a snapshot is protobuf or JSON")),
        }
    }

    /// The committed offsets as JSON: what this node has proof of that each member holds of each other's entries.
    pub fn offsets(&self) -> Result<String> {
        self.open_shared()?.with_engine(|engine, _| engine.offsets_json())
    }

    /// Counters and gauges, as [`Format::Json`] or [`Format::Prometheus`].
    pub fn metrics(&self, format: Format) -> Result<String> {
        let shared = self.open_shared()?;
        match format {
            Format::Json => report::metrics_json(shared),
            Format::Prometheus => report::metrics_prometheus(shared),
            Format::Protobuf => Err(Error::new(Status::InvalidArgument, "metrics are JSON or Prometheus text")),
        }
    }

    // ---- subscriptions ----

    /// Subscribes a queue. `sub` is what events carry as their subscription and [`Node::unsubscribe`] names it by.
    ///
    /// # Errors
    /// `Closed`: the node or the queue was closed.
    pub fn subscribe_queue(&self, filter: Filter, queue: &Arc<Queue>, sub: u64, tag: u64) -> Result<()> {
        self.open_shared()?.store.subscribe(clock::now(), filter, queue, sub, tag).map_err(|e| {
            let what = match e {
                SubscribeError::HubClosed => "the node was closed",
                SubscribeError::QueueClosed => "the queue was closed",
            };
            Error::new(Status::Closed, what)
        })
    }

    /// Subscribes a callback, called one event at a time on a thread of the node's. A callback may call anything but
    /// what waits for it: for those calls there is a `_nowait` form. One that panics is told of in the log and stays
    /// subscribed.
    ///
    /// On failure the callback is handed back and was not called.
    pub fn subscribe_callback(
        &self,
        filter: Filter,
        sub: u64,
        callback: Callback,
    ) -> std::result::Result<(), (Error, Callback)> {
        match self.open_shared() {
            Ok(shared) => shared.dispatcher.subscribe(filter, sub, callback),
            Err(e) => Err((e, callback)),
        }
    }

    /// [`Node::subscribe_callback`] for Rust hosts.
    pub fn on_change(&self, filter: Filter, callback: impl FnMut(&Event) + Send + 'static) -> Result<Subscription> {
        let sub = next_sub();
        self.subscribe_callback(filter, sub, Box::new(callback)).map_err(|(e, _)| e)?;
        Ok(Subscription(sub))
    }

    /// Ends a subscription of [`Node::on_change`], as [`Node::unsubscribe`] does.
    pub fn end(&self, subscription: Subscription) -> Result<()> {
        self.unsubscribe(subscription.0)
    }

    /// Ends a subscription of [`Node::on_change`], as [`Node::unsubscribe_nowait`] does.
    pub fn end_nowait(&self, subscription: Subscription) -> Result<()> {
        self.unsubscribe_nowait(subscription.0)
    }

    /// Changes as an iterator, or with [`Changes::next_async`] as they come.
    pub fn changes(&self, filter: Filter) -> Result<Changes> {
        let queue = Queue::new(0);
        let sub = next_sub();
        // First, so that what is offered at once raises its signal.
        let changes = Changes::new(self.clone(), queue.clone(), sub);
        self.subscribe_queue(filter, &queue, sub, 0)?;
        Ok(changes)
    }

    pub(super) fn forget_subscription(&self, sub: u64, queue: &Queue) {
        if self.shared().is_own_process() {
            self.shared().store.hub.unsubscribe(sub);
            queue.close();
        }
    }

    /// Ends a subscription. Waits until no callback of it runs any more and it was dropped.
    ///
    /// # Errors
    /// `NotFound`; `WouldDeadlock` inside a callback, if the subscription is one with a callback, as [`Node::close`]: use
    /// [`Node::unsubscribe_nowait`] there.
    pub fn unsubscribe(&self, sub: u64) -> Result<()> {
        self.shared().check_process()?;
        let shared = self.shared();
        let waiting = if shared.dispatcher.has(sub) { shared.dispatcher.wait_for().map(Some) } else { Some(None) };
        let Some(_waiting) = waiting else {
            return Err(Status::WouldDeadlock.into());
        };
        found(shared.dispatcher.unsubscribe(sub) || shared.store.hub.unsubscribe(sub))
    }

    /// Ends a subscription without waiting: a callback that runs now runs to its end and is dropped then.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn unsubscribe_nowait(&self, sub: u64) -> Result<()> {
        self.shared().check_process()?;
        let shared = self.shared();
        found(shared.dispatcher.unsubscribe_nowait(sub) || shared.store.hub.unsubscribe(sub))
    }
}

fn found(found: bool) -> Result<()> {
    if found { Ok(()) } else { Err(Error::new(Status::NotFound, "there is no such subscription")) }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
