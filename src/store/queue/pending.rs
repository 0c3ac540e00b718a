//! What waits for one subscription: its marks, and what it must remember of what was told.
//!
//! Everything here runs under the queue's lock. Marks lie in the queue's slab and its one list, so that events of all
//! subscriptions of a queue come in the order in which they were first offered. While a subscription with
//! [`initial`](crate::store::hub::Filter::initial) is being set up its marks are in a list of its own, *aside*, where
//! they can not be taken.
//!
//! # Entries
//!
//! One mark a (life, key), with the newest version; it keeps its place when a newer one comes. When it is taken, the
//! newest version decides the kind: `ENTRY_CHANGED` if a reader would see it, else `ENTRY_DELETED`. Where only one of the
//! two kinds is wanted, a mark goes when a version comes that calls for the other.
//!
//! What could be told twice is remembered: [`super::told`].

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use hashbrown::{HashMap, HashTable};

use super::mark::{List, MemberMark, NIL, Note, Slab, What, flag};
use super::told::{GoneLives, News, SMALL, Told, same_key, shrink, widen};
use crate::store::entry::{Entry, MemberId};
use crate::store::event::kind;
use crate::store::hub::Shared;
use crate::store::members::{MemberStatus, MemberView, Members};
use crate::time::Time;

/// Lives that may be gone while marks of theirs wait. A host that does not take while more members come and go is told
/// nothing of the entries of those that are gone by then, else they would pile up for ever.
pub(super) const GONE_LIVES: usize = 1024;

/// The queue's marks, and the order of those that can be taken.
pub(super) struct Lists<'a> {
    pub slab: &'a mut Slab,
    pub ready: &'a mut List,
}

/// Place of a mark in the index. With the hash beside it a table grows and shrinks without touching entries.
struct Place {
    hash: u32,
    at: u32,
}

/// What is known while a subscription with `initial` is being set up, and until what existed was taken.
#[derive(Default)]
struct Initial {
    gone: GoneLives,
    /// The table of members is being read: what is offered meanwhile may not be in what was read.
    listing: bool,
    /// Members of which something was offered while `listing`; `None` if the life was removed.
    news: HashMap<u64, Option<MemberView>>,
}

/// See the module.
pub(super) struct Pending {
    /// Index of the subscription: owner of its marks.
    pub slot: u32,
    /// Tells it apart from others that had the slot.
    pub serial: u64,
    pub tag: u64,
    pub node: u64,
    pub sub: u64,
    /// Kinds wanted.
    pub what: u32,
    pub members: Arc<Members>,
    /// Who is to forget the subscription when the queue is closed.
    pub hub: Weak<Shared>,
    /// It was unsubscribed: its marks only wait to be removed.
    pub dead: bool,
    /// Nothing more is accepted but what is still being read for `initial`.
    pub ended: bool,
    /// Marks it has.
    pub live: usize,
    /// Marks that wait until everything that exists was read.
    aside: Option<List>,
    initial: Option<Box<Initial>>,
    index: HashTable<Place>,
    /// Warnings, log lines and refusals, oldest first.
    lines: VecDeque<u32>,
    max_lines: usize,
    state: u32,
    synced: u32,
    told: Told,
    /// Lives that went while marks waited, and how many times one did.
    gone: GoneLives,
    departures: usize,
}

impl Pending {
    #[allow(clippy::too_many_arguments)] // each a field
    pub fn new(
        (slot, serial): (u32, u64),
        (tag, node, sub): (u64, u64, u64),
        what: u32,
        initial: bool,
        max_lines: usize,
        members: Arc<Members>,
        hub: Weak<Shared>,
    ) -> Pending {
        Pending {
            slot,
            serial,
            tag,
            node,
            sub,
            what,
            members,
            hub,
            dead: false,
            ended: false,
            live: 0,
            aside: initial.then(List::default),
            initial: initial.then(Default::default),
            index: HashTable::new(),
            lines: Default::default(),
            max_lines,
            state: NIL,
            synced: NIL,
            told: Told::default(),
            gone: GoneLives::default(),
            departures: 0,
        }
    }

    /// Whether what exists is still being read.
    pub fn is_initializing(&self) -> bool {
        self.aside.is_some()
    }

    fn list<'a>(&'a mut self, lists: &'a mut Lists<'_>) -> (&'a mut List, &'a mut Slab) {
        (self.aside.as_mut().unwrap_or(lists.ready), lists.slab)
    }

    /// Puts a new mark at the end.
    fn push(&mut self, lists: &mut Lists<'_>, hash: u32, count: u64, what: What) -> u32 {
        let at = lists.slab.insert(self.slot, hash, count, what);
        let (list, slab) = self.list(lists);
        list.push(slab, at);
        self.live += 1;
        at
    }

    /// Puts a new mark of an entry or member at the end.
    fn push_indexed(&mut self, lists: &mut Lists<'_>, hash: u32, count: u64, what: What) -> u32 {
        let at = self.push(lists, hash, count, what);
        self.index.insert_unique(widen(hash), Place { hash, at }, |p| widen(p.hash));
        at
    }

    fn move_to_end(&mut self, lists: &mut Lists<'_>, at: u32) {
        let (list, slab) = self.list(lists);
        list.unlink(slab, at);
        list.push(slab, at);
    }

    fn find(&self, slab: &Slab, hash: u32, is: impl Fn(&What) -> bool) -> Option<u32> {
        let found = self.index.find(widen(hash), |p| p.hash == hash && is(&slab.get(p.at).what));
        found.map(|p| p.at)
    }

    fn find_entry(&self, slab: &Slab, hash: u32, entry: &Entry) -> Option<u32> {
        self.find(slab, hash, |what| matches!(what, What::Entry(held, _) if same_key(held, entry)))
    }

    /// Takes a mark out of list, index and slab.
    pub fn remove(&mut self, lists: &mut Lists<'_>, at: u32) -> (What, u64) {
        let (list, slab) = self.list(lists);
        list.unlink(slab, at);
        let hash = slab.get(at).hash;
        let taken = slab.remove(at);
        self.live -= 1;
        match &taken.0 {
            What::Entry(..) | What::Member(_) => {
                if let Ok(place) = self.index.find_entry(widen(hash), |p| p.at == at) {
                    place.remove();
                }
                shrink(&mut self.index, |p| p.hash);
            }
            What::Note(note) if note.kind == kind::NODE_STATE => self.state = NIL,
            What::Note(_) => {
                // The oldest line, but when one of its kind is dropped out of turn.
                match self.lines.iter().position(|line| *line == at) {
                    Some(0) => drop(self.lines.pop_front()),
                    Some(n) => drop(self.lines.remove(n)),
                    None => {}
                }
                if self.lines.is_empty() && self.lines.capacity() > SMALL {
                    self.lines = Default::default();
                }
            }
            What::Synced => self.synced = NIL,
            What::Free(_) | What::InitialDone | What::Closed => {}
        }
        taken
    }

    /// A mark was removed, and nothing more is to be remembered of it.
    pub fn removed(&mut self) {
        if self.live == 0 {
            self.gone = GoneLives::default();
            self.departures = 0;
        }
    }

    fn wants_entry(&self, visible: bool) -> bool {
        self.what & if visible { kind::ENTRY_CHANGED } else { kind::ENTRY_DELETED } != 0
    }

    /// An entry has changed, or with `expired` its time to live is over.
    pub fn entry(&mut self, lists: &mut Lists<'_>, entry: &Entry, hash: u32, expired: bool, now: Time) {
        if self.ended || self.told.has(entry, hash, expired) {
            return;
        }
        let initializing = self.is_initializing();
        let visible = !expired && entry.is_visible(now);
        let wanted = self.wants_entry(visible);
        let mut flags = if expired { flag::EXPIRED } else { 0 };
        let Some(at) = self.find_entry(lists.slab, hash, entry) else {
            // While setting up every version counts: an older one may yet be read from the store.
            if initializing {
                flags |= flag::FRESH;
            }
            if wanted || initializing {
                self.push_indexed(lists, hash, 1, What::Entry(entry.clone(), flags));
            }
            return;
        };
        let mark = lists.slab.get_mut(at);
        let What::Entry(held, held_flags) = &mut mark.what else { return };
        let fresh = *held_flags & flag::FRESH;
        match entry.version().cmp(&held.version()) {
            Ordering::Less => return,
            Ordering::Equal => {
                *held_flags &= !flag::UNCONFIRMED;
                if !expired || *held_flags & flag::EXPIRED != 0 {
                    return;
                }
                *held_flags |= flag::EXPIRED;
            }
            Ordering::Greater => mark.what = What::Entry(entry.clone(), flags | fresh),
        }
        mark.count += 1;
        if !initializing && (!wanted || fresh != 0 && !visible) {
            self.remove(lists, at);
            self.removed();
        }
    }

    /// An entry that exists, as it was read from the store.
    pub fn collect(&mut self, lists: &mut Lists<'_>, entry: &Entry, hash: u32) {
        if !self.is_initializing() {
            return;
        }
        match self.find_entry(lists.slab, hash, entry) {
            None => {
                let what = What::Entry(entry.clone(), flag::FRESH | flag::UNCONFIRMED);
                self.push_indexed(lists, hash, 0, what);
            }
            Some(at) => {
                if let What::Entry(held, flags) = &mut lists.slab.get_mut(at).what
                    && entry.version() > held.version()
                {
                    (*held, *flags) = (entry.clone(), flag::FRESH | flag::UNCONFIRMED);
                }
            }
        }
    }

    /// The kind of event that an entry's mark calls for as it is taken; `None` if there is nothing to tell.
    pub fn take_entry(&mut self, entry: &Entry, flags: u8, hash: u32, now: Time) -> Option<u32> {
        let visible = flags & flag::EXPIRED == 0 && entry.is_visible(now);
        // Its end has come unnoticed, and will be offered.
        let early = !visible && flags & flag::EXPIRED == 0 && !entry.head().deleted;
        let fresh = flags & flag::FRESH != 0;
        let life = &entry.head().life;
        if fresh && self.initial.as_ref().is_some_and(|i| i.gone.has(life)) {
            return None;
        }
        let again = if visible { flags & flag::UNCONFIRMED != 0 } else { early };
        if again && self.wants_entry(visible) {
            // Of a life that is gone nothing more will be offered.
            if !self.gone.has(life) {
                self.told.note(entry, hash, early);
            }
        }
        match visible {
            true if self.wants_entry(true) => Some(kind::ENTRY_CHANGED),
            false if self.wants_entry(false) && !fresh => Some(kind::ENTRY_DELETED),
            _ => None,
        }
    }

    /// Notes which lives go when a member changes, whether or not anyone wants to know of members. Gives whether one that was
    /// gone comes again.
    fn note_lives(&mut self, lists: &mut Lists<'_>, event: u32, view: &MemberView) -> bool {
        let removed = event == kind::MEMBER_REMOVED;
        if !removed && event & (kind::MEMBER_JOINED | kind::MEMBER_RESTARTED) == 0 {
            return false;
        }
        let life = &view.life;
        let gone = match &self.initial {
            Some(initial) if self.aside.is_some() => &initial.gone,
            _ => &self.gone,
        };
        let returns = !removed && gone.knows(&life.id);
        let again = !removed && gone.has(life);
        if returns && self.what & (kind::MEMBER_REMOVED | kind::MEMBER_RESTARTED) != 0 {
            self.forget_entries(lists, life.nonce);
        }
        if self.is_initializing() {
            if let Some(initial) = &mut self.initial {
                initial.gone.note(life, removed);
            }
        } else if self.live > 0 && (removed || event == kind::MEMBER_RESTARTED || returns) {
            self.gone.note(life, removed);
            self.departures += 1;
        }
        again
    }

    /// Removes the entries that wait of a life that comes again after it was gone: the host will be told of that after
    /// them, and what the life still has is offered anew. Or of one that is over before the host was told that it came again.
    pub(super) fn forget_entries(&mut self, lists: &mut Lists<'_>, nonce: u64) {
        let of_life = |at: &u32| matches!(&lists.slab.get(*at).what, What::Entry(e, _) if e.head().life.nonce == nonce);
        let over: Vec<u32> = self.index.iter().map(|p| p.at).filter(of_life).collect();
        for at in over {
            self.remove(lists, at);
        }
    }

    /// Removes what waits of lives that are gone.
    fn forget_gone(&mut self, lists: &mut Lists<'_>) {
        let gone = std::mem::take(&mut self.gone);
        self.departures = 0;
        let is_gone = |at: u32| match &lists.slab.get(at).what {
            What::Entry(entry, _) => gone.has(&entry.head().life),
            What::Member(member) => gone.has(&member.view.life),
            _ => false,
        };
        let knows_members = self.what & kind::MEMBER_JOINED != 0;
        let over = |at: &u32| {
            let mark = lists.slab.get(*at);
            let What::Member(member) = &mark.what else { return is_gone(*at) };
            // A host that was told that the member had joined must hear the end of it.
            let joining = member.kind == kind::MEMBER_JOINED;
            let second = self.find_member(lists.slab, mark.hash, &member.view.life.id, !joining);
            is_gone(*at) && second.map_or(joining || !knows_members, is_gone)
        };
        let over: Vec<u32> = self.index.iter().map(|p| p.at).filter(over).collect();
        for at in over {
            self.remove(lists, at);
        }
    }

    /// A member has changed; the table of members has it already.
    pub fn member(&mut self, lists: &mut Lists<'_>, event: u32, view: &MemberView, hash: u32) {
        if self.ended && !self.is_initializing() {
            return;
        }
        let news = self.told.news(event, &view.life);
        if news == News::Over {
            return;
        }
        let again = self.note_lives(lists, event, view);
        let wants_joined = self.what & kind::MEMBER_JOINED != 0;
        if let Some(initial) = &mut self.initial
            && self.aside.is_some()
            && wants_joined
        {
            // The table of members will tell, with what is offered while it is read.
            if initial.listing {
                let removed = event == kind::MEMBER_REMOVED;
                initial.news.insert(view.life.nonce, (!removed).then(|| view.clone()));
            }
            return;
        }
        if self.ended {
            return;
        }
        self.merge_member(lists, event, view, hash, news == News::Told, again);
        if self.departures > GONE_LIVES {
            self.forget_gone(lists);
        }
    }

    pub(super) fn find_member(&self, slab: &Slab, hash: u32, id: &MemberId, joining: bool) -> Option<u32> {
        self.find(slab, hash, |what| {
            matches!(what, What::Member(m) if (m.kind == kind::MEMBER_JOINED) == joining && m.view.life.id == *id)
        })
    }

    pub(super) fn push_member(&mut self, lists: &mut Lists<'_>, event: u32, view: &MemberView, hash: u32, again: bool) {
        let mark = MemberMark { kind: event, view: view.clone(), again };
        self.push_indexed(lists, hash, 1, What::Member(Box::new(mark)));
    }

    /// Gives a member's mark another kind and the newest view, in its place or at the end.
    pub(super) fn change_member(
        &mut self,
        lists: &mut Lists<'_>,
        at: u32,
        event: Option<u32>,
        view: &MemberView,
        end: bool,
    ) {
        let mark = lists.slab.get_mut(at);
        if let What::Member(member) = &mut mark.what {
            member.view = view.clone();
            if let Some(event) = event {
                member.kind = event;
                mark.count += 1;
            }
        }
        if end {
            self.move_to_end(lists, at);
        }
    }

    /// A warning, a log line or a refused entry; the state of the node.
    pub fn note(&mut self, lists: &mut Lists<'_>, note: &Note) {
        if self.ended {
            return;
        }
        if note.kind == kind::NODE_STATE {
            if self.state != NIL {
                let mark = lists.slab.get_mut(self.state);
                mark.what = What::Note(Box::new(note.clone()));
                mark.count += 1;
            } else {
                self.state = self.push(lists, 0, 1, What::Note(Box::new(note.clone())));
            }
            return;
        }
        let mut dropped = 0;
        if self.lines.len() >= self.max_lines
            && let Some(&oldest) = self.lines.front()
        {
            dropped = self.remove(lists, oldest).1;
        }
        let at = self.push(lists, 0, 1, What::Note(Box::new(note.clone())));
        self.lines.push_back(at);
        if let Some(&next) = self.lines.front() {
            lists.slab.get_mut(next).count += dropped;
        }
    }

    /// The node is synced.
    pub fn synced(&mut self, lists: &mut Lists<'_>) {
        if self.ended {
            return;
        }
        match self.synced {
            NIL => self.synced = self.push(lists, 0, 1, What::Synced),
            at => lists.slab.get_mut(at).count += 1,
        }
    }

    /// All entries were read; the table of members is about to be.
    pub fn begin_listing(&mut self) {
        if let Some(initial) = &mut self.initial {
            initial.listing = true;
        }
    }

    /// Everything was read: makes what waits aside takeable, after the members that are present and before
    /// `INITIAL_DONE`. `listed` is the table of members, and `hash` finds a member's place in the index.
    pub fn finish(
        &mut self,
        lists: &mut Lists<'_>,
        listed: Vec<MemberView>,
        hash: impl Fn(&MemberView) -> Option<u32>,
    ) {
        let Some(aside) = self.aside.take() else { return };
        if let Some(initial) = &mut self.initial {
            let mut news = std::mem::take(&mut initial.news);
            let mut all: Vec<MemberView> = Vec::with_capacity(listed.len());
            for view in listed {
                match news.remove(&view.life.nonce) {
                    None => all.push(view),
                    Some(Some(newer)) => all.push(newer),
                    Some(None) => {}
                }
            }
            let known = all.len();
            all.extend(news.into_values().flatten());
            all[known..].sort_by(|a, b| (&a.life.id, a.life.rank()).cmp(&(&b.life.id, b.life.rank())));
            for view in &all {
                initial.gone.note(&view.life, false);
            }
            all.retain(|view| !initial.gone.has(&view.life));
            let wants_joined = self.what & kind::MEMBER_JOINED != 0;
            for view in all {
                let Some(hash) = hash(&view) else { continue };
                // Who is banned is here all the same, as a newcomer that is banned is told as joined.
                let here = view.status.is_present() || view.status == MemberStatus::Banned;
                let joined = wants_joined && here;
                self.told.list(&view.life, joined);
                if joined {
                    // The list is already the one of what can be taken, which what waits aside is not in yet.
                    self.push_member(lists, kind::MEMBER_JOINED, &view, hash, false);
                }
            }
        }
        lists.ready.append(lists.slab, aside);
        self.push(lists, 0, 1, What::InitialDone);
        if self.ended {
            self.push(lists, 0, 1, What::Closed);
        }
    }

    /// What existed has been taken.
    pub fn initial_taken(&mut self) {
        self.initial = None;
    }

    /// The node was closed: `CLOSED` comes last.
    pub fn end(&mut self, lists: &mut Lists<'_>) {
        if !std::mem::replace(&mut self.ended, true) && !self.is_initializing() {
            self.push(lists, 0, 1, What::Closed);
        }
    }

    /// Bytes held to remember what was told.
    #[cfg(test)]
    pub fn told_bytes(&self) -> usize {
        self.told.bytes()
    }

    /// Bytes held beside the slab, without what entries themselves take.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.index.allocation_size() + self.lines.capacity() * size_of::<u32>() + self.told.bytes() + self.gone.bytes()
    }
}
