//! Subscriptions of a node: who wants to know what, and the offering of changes to their queues.
//!
//! Offering costs one load while nobody subscribes, and never waits for a host: it puts a mark in each queue that is
//! concerned ([`super::queue`]).
//!
//! Calls for one (member, key), and for one member, must come in order, one at a time; the table of members is written
//! before a change of a member is offered, the entries before a change of an entry. Locks of the store may be held. No
//! call here logs.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::{DefaultHashBuilder, HashSet};
use parking_lot::RwLock;

use super::entry::Entry;
use super::event::{Level, kind};
use super::members::{MemberView, Members};
use super::own::is_asked_for;
use super::queue::{Note, Queue, Subscriber, Ticket};
use crate::time::Time;

/// What a subscription asks for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Mask of event kinds, [`kind`]; bits that are no kind one may ask for are ignored.
    pub what: u32,
    /// Only this member, by id: its entries and what becomes of it.
    pub member: Option<String>,
    /// Only this key, or with `prefix` only keys that begin with it. Concerns entries, not members.
    pub key: Option<String>,
    /// `key` is a prefix.
    pub prefix: bool,
    /// What exists comes first, then `INITIAL_DONE`.
    pub initial: bool,
    /// Nothing about the node's own entries and membership.
    pub no_self: bool,
}

/// Takes the entries that were visible in one shard; see [`Hub::subscribe`].
pub type Offer<'a> = &'a mut dyn FnMut(&[Entry]);

/// Why a subscription could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// The hub was closed.
    HubClosed,
    /// The queue was closed.
    QueueClosed,
}

/// The subscriptions of one node; see the module. Dropping it closes it.
pub struct Hub {
    shared: Arc<Shared>,
}

/// What queues refer to.
pub(super) struct Shared {
    node: u64,
    own_id: Box<str>,
    members: Arc<Members>,
    hasher: DefaultHashBuilder,
    /// All kinds that any subscription wants.
    wanted: AtomicU32,
    list: RwLock<List>,
}

#[derive(Default)]
struct List {
    subs: Vec<Sub>,
    closed: bool,
}

struct Sub {
    id: u64,
    filter: Filter,
    queue: Arc<Queue>,
    ticket: Ticket,
    /// Lives that were banned while their entries were read for it: these are owed.
    owed: HashSet<u64>,
}

impl Sub {
    fn wants_member(&self, id: &str, own_id: &str) -> bool {
        self.filter.member.as_ref().is_none_or(|wanted| wanted == id) && !(self.filter.no_self && id == own_id)
    }

    fn wants_key(&self, key: &[u8]) -> bool {
        match &self.filter.key {
            None => true,
            Some(prefix) if self.filter.prefix => key.starts_with(prefix.as_bytes()),
            Some(wanted) => key == wanted.as_bytes(),
        }
    }

    fn wants_entry(&self, entry: &Entry, own_id: &str) -> bool {
        let key = entry.key_with_nul();
        let key = &key[..key.len() - 1];
        self.filter.what & CHANGES != 0
            && self.wants_key(key)
            && is_asked_for(key, self.filter.key.as_ref().map(|k| k.as_bytes()))
            && self.wants_member(entry.head().life.id.as_str(), own_id)
    }
}

/// Kinds that come of changes of entries.
const CHANGES: u32 = kind::ENTRY_CHANGED | kind::ENTRY_DELETED;

impl Shared {
    fn wants(&self, kinds: u32) -> bool {
        // A subscription reads what exists after it was noted here, under the locks that writers write under: whoever
        // wrote what it did not see, sees it here.
        self.wanted.load(Ordering::Relaxed) & kinds != 0
    }

    fn hash(&self, nonce: u64, text: &[u8]) -> u32 {
        let hash = self.hasher.hash_one((nonce, text));
        (hash ^ hash >> 32) as u32
    }

    fn hash_entry(&self, entry: &Entry) -> u32 {
        self.hash(entry.head().life.nonce, entry.key_with_nul())
    }

    fn hash_member(&self, view: &MemberView) -> u32 {
        self.hash(0, view.life.id.as_str().as_bytes())
    }

    fn note_wanted(&self, list: &List) {
        let all = if list.closed { 0 } else { list.subs.iter().fold(0, |all, sub| all | sub.filter.what) };
        self.wanted.store(all, Ordering::Relaxed);
    }

    fn entry(&self, entry: &Entry, expired: bool, now: Time) {
        if !self.wants(CHANGES) {
            return;
        }
        let list = self.list.read();
        if list.subs.is_empty() || self.members.is_banned(entry.head().life.nonce) {
            return;
        }
        let mut hash = None;
        for sub in &list.subs {
            if sub.wants_entry(entry, &self.own_id) {
                let hash = *hash.get_or_insert_with(|| self.hash_entry(entry));
                sub.queue.offer_entry(sub.ticket, entry, hash, expired, now);
            }
        }
    }

    /// Whether an entry that was read for a subscription is hidden, its member being banned.
    fn hides(&self, sub: u64, entry: &Entry) -> bool {
        let nonce = entry.head().life.nonce;
        if !self.members.is_banned(nonce) {
            return false;
        }
        let is_owed = |s: &Sub| s.id == sub && s.owed.contains(&nonce);
        if self.list.read().subs.iter().any(is_owed) {
            return true; // noted with an entry before; if the ban was lifted since, what is owed is told
        }
        if let Some(sub) = self.list.write().subs.iter_mut().find(|s| s.id == sub) {
            sub.owed.insert(nonce);
        }
        // Whoever lifts the ban changes the table first and then asks who is owed: one of the two sees the other.
        let hides = self.members.is_banned(nonce);
        if !hides && let Some(sub) = self.list.write().subs.iter_mut().find(|s| s.id == sub) {
            sub.owed.remove(&nonce);
        }
        hides
    }

    fn note(&self, note: impl FnOnce() -> Note, kind: u32, wants: impl Fn(&Sub) -> bool) {
        if !self.wants(kind) {
            return;
        }
        let list = self.list.read();
        let mut subs = list.subs.iter().filter(|sub| sub.filter.what & kind != 0 && wants(sub)).peekable();
        if subs.peek().is_some() {
            let note = note();
            subs.for_each(|sub| sub.queue.offer_note(sub.ticket, &note));
        }
    }

    /// A queue was closed.
    pub(super) fn forget(&self, queue: &Queue) {
        let gone = {
            let mut list = self.list.write();
            let gone: Vec<Sub> = list.subs.extract_if(.., |sub| std::ptr::eq(&*sub.queue, queue)).collect();
            self.note_wanted(&list);
            gone
        };
        drop(gone);
    }
}

impl Hub {
    /// A hub without subscriptions. `node` is what events carry as their node, `own_id` the node's own member id,
    /// `members` the table that statuses are read from.
    pub fn new(node: u64, own_id: &str, members: Arc<Members>) -> Hub {
        let shared = Shared {
            node,
            own_id: own_id.into(),
            members,
            hasher: DefaultHashBuilder::default(),
            wanted: AtomicU32::new(0),
            list: RwLock::default(),
        };
        Hub { shared: Arc::new(shared) }
    }

    /// An entry was set or deleted: `entry` is its newest version, a tombstone if it was deleted.
    pub fn entry_changed(&self, entry: &Entry, now: Time) {
        self.shared.entry(entry, false, now);
    }

    /// An entry's time to live is over: readers do not see this version any more.
    pub fn entry_expired(&self, entry: &Entry, now: Time) {
        self.shared.entry(entry, true, now);
    }

    /// A member is no longer banned: its entries that have not changed meanwhile are told to those that have not been given them
    /// yet. The table of members has it already.
    pub fn unbanned<'a>(&self, nonce: u64, unchanged: impl Iterator<Item = &'a Entry>, now: Time) {
        let shared = &self.shared;
        if !shared.list.read().subs.iter().any(|sub| sub.owed.contains(&nonce)) {
            return;
        }
        for entry in unchanged {
            let list = shared.list.read();
            for sub in
                list.subs.iter().filter(|sub| sub.owed.contains(&nonce) && sub.wants_entry(entry, &shared.own_id))
            {
                sub.queue.offer_entry(sub.ticket, entry, shared.hash_entry(entry), false, now);
            }
        }
        self.gone(nonce);
    }

    /// A life has gone: nobody is owed its entries.
    fn gone(&self, nonce: u64) {
        if self.shared.list.read().subs.iter().any(|sub| sub.owed.contains(&nonce)) {
            self.shared.list.write().subs.iter_mut().for_each(|sub| _ = sub.owed.remove(&nonce));
        }
    }

    /// A member's entry under `key` was not kept, for the reason in `text`. The event has the member, the text, and the
    /// key as its target.
    pub fn entry_refused(&self, member: &MemberView, key: &str, text: &str, _now: Time) {
        let shared = &self.shared;
        let note = || Note {
            kind: kind::ENTRY_REFUSED,
            code: 0,
            text: text.into(),
            target: Some(key.into()),
            member: Some(member.clone()),
        };
        shared.note(note, kind::ENTRY_REFUSED, |sub| {
            sub.wants_key(key.as_bytes()) && sub.wants_member(member.life.id.as_str(), &shared.own_id)
        });
    }

    /// A member has changed: `kind` is one of the member kinds of [`kind`], `view` how it stands now. The table of
    /// members has it already. `MEMBER_REMOVED` comes after the last change of an entry of that life.
    pub fn member(&self, kind: u32, view: &MemberView, _now: Time) {
        let shared = &self.shared;
        if kind == kind::MEMBER_REMOVED {
            self.gone(view.life.nonce);
        }
        // Who wants entries only must still know which lives are gone.
        if !shared.wants(kind::ENTRIES | kind::MEMBERS) {
            return;
        }
        let list = shared.list.read();
        let mut hash = None;
        for sub in &list.subs {
            if sub.filter.what & (kind::ENTRIES | kind::MEMBERS) != 0
                && sub.wants_member(view.life.id.as_str(), &shared.own_id)
            {
                let hash = *hash.get_or_insert_with(|| shared.hash_member(view));
                sub.queue.offer_member(sub.ticket, kind, view, hash);
            }
        }
    }

    /// The node's state has changed; `text` says why.
    pub fn node_state(&self, state: i32, text: &str, _now: Time) {
        let note = || Note { kind: kind::NODE_STATE, code: state, text: text.into(), target: None, member: None };
        self.shared.note(note, kind::NODE_STATE, |_| true);
    }

    /// The node has once been equal to a peer, or is alone without seeds.
    pub fn synced(&self, _now: Time) {
        if !self.shared.wants(kind::SYNCED) {
            return;
        }
        let list = self.shared.list.read();
        for sub in list.subs.iter().filter(|sub| sub.filter.what & kind::SYNCED != 0) {
            sub.queue.offer_synced(sub.ticket);
        }
    }

    /// Who is here has changed, and has come to rest: so many members, with this hash.
    pub fn topology(&self, members: usize, hash: u64, _now: Time) {
        let code = i32::try_from(members).unwrap_or(i32::MAX);
        let text = || format!("{hash:016x}").into();
        let note = || Note { kind: kind::TOPOLOGY, code, text: text(), target: None, member: None };
        self.shared.note(note, kind::TOPOLOGY, |_| true);
    }

    /// Something silent is wrong; `code` is a status, `text` says it in words.
    pub fn warning(&self, code: i32, text: &str, _now: Time) {
        let note = || Note { kind: kind::WARNING, code, text: text.into(), target: None, member: None };
        self.shared.note(note, kind::WARNING, |_| true);
    }

    /// Whether anyone wants log lines of this level: at present levels are all alike here, and the setting `log_level` is
    /// looked at where lines are made.
    pub fn wants_log(&self, _level: Level) -> bool {
        self.shared.wants(kind::LOG)
    }

    /// A log line; `target` is the part of the library that speaks.
    pub fn log(&self, level: Level, target: &str, text: &str, _now: Time) {
        let note = || Note {
            kind: kind::LOG,
            code: level as i32,
            text: text.into(),
            target: Some(target.into()),
            member: None,
        };
        self.shared.note(note, kind::LOG, |_| true);
    }

    /// Subscribes: what `filter` asks for goes to `queue`, with `sub` and `tag` on each event. `sub` is new.
    ///
    /// With `filter.initial`, the members that are present or banned come first (if the mask has `MEMBER_JOINED`), then the entries
    /// that exist (if it has `ENTRY_CHANGED`), then `INITIAL_DONE`; what changes while they are read is in them or
    /// follows, once. `initial` calls its argument once for each shard with the entries visible there; this, and
    /// nothing else, takes time. An initial entry stands for the changes offered while it was read, or else for one.
    pub fn subscribe(
        &self,
        mut filter: Filter,
        queue: &Arc<Queue>,
        sub: u64,
        tag: u64,
        _now: Time,
        initial: &mut dyn FnMut(Offer<'_>),
    ) -> Result<(), SubscribeError> {
        let shared = &self.shared;
        filter.what &= kind::VALID;
        let subscriber = Subscriber {
            tag,
            node: shared.node,
            sub,
            what: filter.what,
            initial: filter.initial,
            members: shared.members.clone(),
            hub: Arc::downgrade(shared),
        };
        let ticket = {
            let mut list = shared.list.write();
            if list.closed {
                return Err(SubscribeError::HubClosed);
            }
            let ticket = queue.register(subscriber).ok_or(SubscribeError::QueueClosed)?;
            list.subs.push(Sub { id: sub, filter: filter.clone(), queue: queue.clone(), ticket, owed: HashSet::new() });
            shared.note_wanted(&list);
            ticket
        };
        if !filter.initial {
            return Ok(());
        }
        let abort = Abort { hub: self, sub };
        let this = Sub { id: sub, filter, queue: queue.clone(), ticket, owed: HashSet::new() };
        if this.filter.what & kind::ENTRY_CHANGED != 0 {
            initial(&mut |entries| {
                let wanted = entries.iter().filter(|entry| this.wants_entry(entry, &shared.own_id));
                // All before the queue's lock is taken: who tells of an entry holds the list's while it waits for that.
                let wanted = wanted.filter(|entry| !shared.hides(sub, entry));
                let wanted: Vec<_> = wanted.map(|entry| (entry, shared.hash_entry(entry))).collect();
                queue.collect(ticket, wanted.into_iter());
            });
        }
        let there = queue.finish(ticket, &shared.members, |view| {
            this.wants_member(view.life.id.as_str(), &shared.own_id).then(|| shared.hash_member(view))
        });
        std::mem::forget(abort);
        // Gone meanwhile: unsubscribed, which is no failure of this call, or the queue was closed.
        if !there && queue.is_closed() {
            return Err(SubscribeError::QueueClosed);
        }
        Ok(())
    }

    /// Ends a subscription at once: when this returns no event of it can be taken any more. False if there is none. Works
    /// on a closed hub too, until the subscription's `CLOSED` has been taken.
    pub fn unsubscribe(&self, sub: u64) -> bool {
        let gone: Vec<Sub> = {
            let mut list = self.shared.list.write();
            let gone = list.subs.extract_if(.., |s| s.id == sub).collect();
            self.shared.note_wanted(&list);
            gone
        };
        let mut found = false;
        for sub in gone {
            found |= sub.queue.unregister(sub.ticket);
        }
        found
    }

    /// Ends all subscriptions: what waits can still be taken, then `CLOSED`. Nothing is offered any more, and nobody
    /// can subscribe.
    pub fn close(&self, _now: Time) {
        let mut list = self.shared.list.write();
        if std::mem::replace(&mut list.closed, true) {
            return;
        }
        self.shared.note_wanted(&list);
        for sub in &list.subs {
            sub.queue.end(sub.ticket);
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.close(Time::default());
    }
}

/// Takes a half-made subscription back if reading what exists panics.
struct Abort<'a> {
    hub: &'a Hub,
    sub: u64,
}

impl Drop for Abort<'_> {
    fn drop(&mut self) {
        self.hub.unsubscribe(self.sub);
    }
}
