//! The read model: what API calls read and write without waiting for the engine.
//!
//! Readers take one shard's lock for one look-up. Writers of own entries take the writer's lock ([`own`]), then a
//! shard's; the engine, the only one that applies what others wrote, takes a shard's. Subscriptions are told under the
//! lock that orders the writes of that entry's owner, so that each (member, key) is reported in order.

pub mod contacts;
pub mod entry;
pub mod event;
pub mod hub;
mod interner;
pub mod lives;
pub mod members;
pub mod own;
pub mod pack;
pub mod queue;
mod shards;
mod snapshot;
pub mod statistics;

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::config::settings::Settings;
use crate::time::Time;
use entry::{Entry, LifeRef, TypeUrl};
use event::EntryView;
use members::MemberStatus;

/// State of a node; numbers as in the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum NodeState {
    /// Open, and looking for its seeds.
    Starting = 1,
    /// Part of a cluster with at least one other member at some time.
    Joined = 2,
    /// No seeds, or none but itself: a cluster of one so far.
    Alone = 3,
    /// Leaving; waiting for others to have heard it.
    Leaving = 4,
    /// Has left.
    Left = 5,
    /// Banned by a member.
    Banned = 6,
    /// Cannot go on: another process took its id, or its task died.
    Failed = 7,
}

impl NodeState {
    /// The lower-case word for it.
    pub fn word(self) -> &'static str {
        match self {
            NodeState::Starting => "starting",
            NodeState::Joined => "joined",
            NodeState::Alone => "alone",
            NodeState::Leaving => "leaving",
            NodeState::Left => "left",
            NodeState::Banned => "banned",
            NodeState::Failed => "failed",
        }
    }
}

/// What the store needs from the floor above; called from any thread, some under the store's locks: it must be quick
/// and must not call back.
pub trait Waker: Send + Sync {
    /// The engine should be driven: own entries changed.
    fn wake_engine(&self);
    /// Something that a waiter may wait for has changed: state, members, synced, the end of leaving.
    fn progress(&self);
}

#[derive(Debug)]
struct Progress {
    state: NodeState,
    why: String,
    synced: bool,
    leave: Option<bool>,
}

/// The entries, members and subscriptions of one node.
pub struct Store {
    /// Who is here.
    pub members: Arc<members::Members>,
    /// What they say of themselves, kept once for the stores that share it.
    pub contacts: Arc<contacts::Contacts>,
    /// Who is told.
    pub hub: hub::Hub,
    shards: shards::Shards,
    types: interner::Interner,
    own: Mutex<own::Own>,
    /// What the host counts.
    pub statistics: statistics::Statistics,
    settings: RwLock<Arc<Settings>>,
    progress: Mutex<Progress>,
    waker: Arc<dyn Waker>,
}

impl Store {
    /// An empty store of the node whose events carry the id `node`.
    pub fn new(node: u64, life: LifeRef, settings: Arc<Settings>, waker: Arc<dyn Waker>) -> Store {
        Store::sharing(node, life, settings, waker, Arc::default())
    }

    /// Like [`Store::new`], with what members say of themselves kept together with other stores.
    pub fn sharing(
        node: u64,
        life: LifeRef,
        settings: Arc<Settings>,
        waker: Arc<dyn Waker>,
        contacts: Arc<contacts::Contacts>,
    ) -> Store {
        let members = Arc::new(members::Members::default());
        Store {
            hub: hub::Hub::new(node, life.id.as_str(), members.clone()),
            members,
            contacts,
            shards: shards::Shards::default(),
            types: interner::Interner::default(),
            own: own::Own::new(life),
            statistics: statistics::Statistics::default(),
            settings: RwLock::new(settings),
            progress: Mutex::new(Progress {
                state: NodeState::Starting,
                why: String::new(),
                synced: false,
                leave: None,
            }),
            waker,
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.read().clone()
    }

    /// New settings are in force.
    pub fn set_settings(&self, settings: Arc<Settings>) {
        *self.settings.write() = settings;
    }

    /// The visible entries under `key`, of one member or of all that are present; with `departed` also of those that
    /// are dead, left or banned and whose state is still kept. Ordered by member id.
    pub fn get(&self, now: Time, member: Option<&str>, key: &str, departed: bool) -> Vec<EntryView> {
        if let Some(id) = member {
            return self.get_of(now, id, key, departed).into_iter().collect();
        }
        let mut found = Vec::new();
        self.shards.each_of_key(key, |entry| push_view(&mut found, entry, now));
        self.keep_present(&mut found, departed);
        found.sort_by(|a, b| a.entry.head().life.id.cmp(&b.entry.head().life.id));
        found
    }

    /// Fills in the statuses, and without `departed` drops what is not of present members. Not under a shard's lock: who
    /// subscribes asks about members under one.
    fn keep_present(&self, found: &mut Vec<EntryView>, departed: bool) {
        self.members.with_status(|status| {
            found.retain_mut(|view| {
                view.status = status(view.entry.head().life.nonce);
                departed || view.status.is_present()
            });
        });
    }

    /// The visible entry of one member under `key`, if it is present; with `departed` also if it is dead, left or banned and
    /// its state is still kept.
    pub fn get_of(&self, now: Time, member: &str, key: &str, departed: bool) -> Option<EntryView> {
        let (nonce, status) = self.members.find(member).filter(|(_, status)| departed || status.is_present())?;
        let entry = self.shards.get(key, nonce).filter(|e| e.is_visible(now))?;
        Some(EntryView { entry, status, read_at: now })
    }

    /// Like [`Store::get`], for every key that begins with `prefix`; ordered by member id and key. Keys of the library's own
    /// are given only if the prefix is of theirs. Walks all entries.
    pub fn get_prefix(&self, now: Time, member: Option<&str>, prefix: &str, departed: bool) -> Vec<EntryView> {
        let mut found = Vec::new();
        self.shards.each_shard(|shard| {
            for entry in shard {
                if entry.key().starts_with(prefix)
                    && own::is_asked_for(entry.key().as_bytes(), Some(prefix.as_bytes()))
                    && member.is_none_or(|id| entry.head().life.id.as_str() == id)
                {
                    push_view(&mut found, entry, now);
                }
            }
        });
        self.keep_present(&mut found, departed);
        found.sort_by(|a, b| (&a.entry.head().life.id, a.entry.key()).cmp(&(&b.entry.head().life.id, b.entry.key())));
        found
    }

    /// This node's own entry under `key`, whatever the node's status is.
    pub fn get_own(&self, now: Time, key: &str) -> Option<EntryView> {
        let nonce = self.own.lock().life.nonce;
        let entry = self.shards.get(key, nonce).filter(|e| e.is_visible(now))?;
        Some(EntryView { entry, status: self.members.status(nonce), read_at: now })
    }

    /// Subscribes; see [`hub::Hub::subscribe`].
    pub fn subscribe(
        &self,
        now: Time,
        filter: hub::Filter,
        queue: &Arc<queue::Queue>,
        sub: u64,
        tag: u64,
    ) -> Result<(), hub::SubscribeError> {
        self.hub.subscribe(filter, queue, sub, tag, now, &mut |offer| {
            let mut visible = Vec::new();
            self.shards.each_shard(|shard| {
                visible.clear();
                visible.extend(shard.filter(|e| e.is_visible(now)).cloned());
                offer(&visible);
            });
        })
    }

    /// The state of the node.
    pub fn state(&self) -> NodeState {
        self.progress.lock().state
    }

    /// The state of the node, and why it is so.
    pub fn state_and_why(&self) -> (NodeState, String) {
        let progress = self.progress.lock();
        (progress.state, progress.why.clone())
    }

    /// Notes a new state and tells it; nothing happens if it is the present one.
    pub fn set_state(&self, now: Time, state: NodeState, why: &str) {
        {
            let mut progress = self.progress.lock();
            if progress.state == state {
                return;
            }
            progress.state = state;
            progress.why = why.to_owned();
        }
        self.hub.node_state(state as i32, why, now);
        self.waker.progress();
    }

    /// Whether this node has once been equal to a peer, or has no seeds.
    pub fn is_synced(&self) -> bool {
        self.progress.lock().synced
    }

    /// Notes that the node is synced, and tells it the first time.
    pub fn set_synced(&self, now: Time) {
        if !std::mem::replace(&mut self.progress.lock().synced, true) {
            self.hub.synced(now);
            self.waker.progress();
        }
    }

    /// Once leaving has ended: whether enough others had acknowledged it.
    pub fn leave_result(&self) -> Option<bool> {
        self.progress.lock().leave
    }

    /// Notes how leaving ended.
    pub fn set_leave_result(&self, acknowledged: bool) {
        self.progress.lock().leave = Some(acknowledged);
        self.waker.progress();
    }

    /// Asks for the engine to be driven again: there is more to do than one wake-up may take.
    pub fn wake_engine(&self) {
        self.waker.wake_engine();
    }

    /// The kept form of a type URL.
    pub fn type_url(&self, url: &str) -> TypeUrl {
        self.types.intern(url)
    }

    /// The entry that the life `nonce` has under `key`, tombstones and expired ones included.
    pub fn entry(&self, key: &str, nonce: u64) -> Option<Entry> {
        self.shards.get(key, nonce)
    }

    /// Puts in what another member wrote, and tells it. Gives the version that it replaces.
    ///
    /// A delete of what nobody could see (any more) is not told: the engine reports expired entries before it applies
    /// anything at the same time.
    pub fn apply(&self, entry: &Entry, now: Time) -> Option<Entry> {
        let old = self.shards.put(entry.clone());
        if entry.is_visible(now) || old.as_ref().is_some_and(|old| old.is_visible(now)) {
            self.hub.entry_changed(entry, now);
        }
        old
    }

    /// Puts the same write in the place of `old`, which may be there no more; nobody is told, for nothing has changed.
    pub fn put_again(&self, old: &Entry, entry: &Entry) {
        if self.entry(old.key(), old.head().life.nonce).is_some_and(|there| there.same(old)) {
            self.shards.put(entry.clone());
        }
    }

    /// Tells an entry that was held back while its member was banned.
    pub fn show(&self, entry: &Entry, now: Time) {
        self.hub.entry_changed(entry, now);
    }

    /// Tells that a key has gone while its member was banned: `entry` is the delete, or what has expired, or, where that is
    /// not kept any more either, what was there before.
    pub fn end(&self, entry: &Entry, now: Time) {
        if entry.head().deleted {
            self.hub.entry_changed(entry, now);
        } else {
            self.hub.entry_expired(entry, now);
        }
    }

    /// Tells that an entry of another member is seen no more, its time to live being over.
    pub fn expire(&self, entry: &Entry, now: Time) {
        self.hub.entry_expired(entry, now);
    }

    /// Takes an entry out, if it is still this version, without telling anyone: a tombstone, or all of a member's.
    pub fn forget(&self, entry: &Entry) -> bool {
        self.shards.take(entry.key(), entry.head().life.nonce, entry.seq()).is_some()
    }

    /// Tells a change in membership, after `members` has it.
    pub fn member_changed(&self, kind: u32, view: &members::MemberView, now: Time) {
        self.hub.member(kind, view, now);
        self.waker.progress();
    }
}

/// The status is filled in once the shard's lock is gone; see [`Store::keep_present`].
fn push_view(found: &mut Vec<EntryView>, entry: &Entry, now: Time) {
    if entry.is_visible(now) {
        found.push(EntryView { entry: entry.clone(), status: MemberStatus::Left, read_at: now });
    }
}
