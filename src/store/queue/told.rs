//! What a subscription must remember so that nothing is told twice, and which lives are gone.

use std::cmp::Ordering;

use hashbrown::{HashMap, HashTable};

use crate::store::entry::{Entry, Life, LifeRef, MemberId};
use crate::store::event::kind;

/// Tables and rings with more room than this are made smaller when they are less than an eighth full.
pub(super) const SMALL: usize = 64;

/// A version that was told before it was offered.
struct Version {
    hash: u32,
    /// It was told as deleted: its time to live had ended.
    deleted: bool,
    entry: Entry,
}

/// What is known of the latest life of an id.
struct Known {
    life: LifeRef,
    /// It was in the table of members when the subscription was set up.
    listed: bool,
    /// It was told as joined then.
    joined: bool,
    entries: HashTable<Version>,
}

impl Known {
    fn new(life: &LifeRef) -> Known {
        Known { life: life.clone(), listed: false, joined: false, entries: HashTable::new() }
    }
}

/// What was told and may be offered yet:
///
/// - members that were told as joined when the subscription was set up, and lives that were over by then;
/// - entries that were read from the store then, told, and only after that offered by their writer;
/// - entries whose time to live ended while their mark waited, told as deleted before their expiry is offered.
///
/// Each is remembered until what would tell it again has come, or the life goes: never longer than it is part of the
/// state.
#[derive(Default)]
pub(super) struct Told(HashMap<MemberId, Known>);

impl Told {
    /// A life that was in the table of members when the subscription was set up; `joined`: it was told as joined.
    pub fn list(&mut self, life: &LifeRef, joined: bool) {
        let known = self.0.entry(life.id.clone()).or_insert_with(|| Known::new(life));
        if known.life.rank() <= life.rank() {
            *known = Known { listed: true, joined, ..Known::new(life) };
        }
    }

    /// Remembers that a version was told before it was offered.
    pub fn note(&mut self, entry: &Entry, hash: u32, deleted: bool) {
        let life = &entry.head().life;
        let known = self.0.entry(life.id.clone()).or_insert_with(|| Known::new(life));
        if known.life.nonce != life.nonce {
            if known.life.rank() > life.rank() {
                return;
            }
            *known = Known::new(life);
        }
        let told = Version { hash, deleted, entry: entry.clone() };
        match known.entries.find_mut(widen(hash), |t| t.hash == hash && same_key(&t.entry, entry)) {
            Some(old) => *old = told,
            None => drop(known.entries.insert_unique(widen(hash), told, |t| widen(t.hash))),
        }
    }

    /// Whether what is offered was told already, or is of a life that is known to be over.
    pub fn has(&mut self, entry: &Entry, hash: u32, expired: bool) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let life = &entry.head().life;
        let Some(known) = self.0.get_mut(&life.id) else { return false };
        if known.life.nonce != life.nonce {
            return life.rank() < known.life.rank();
        }
        let same = |t: &Version| t.hash == hash && same_key(&t.entry, entry);
        let Ok(found) = known.entries.find_entry(widen(hash), same) else { return false };
        let told = found.get();
        let (was, over) = match entry.version().cmp(&told.entry.version()) {
            Ordering::Less => (true, false),
            Ordering::Equal if expired => (told.deleted, true),
            // If it was told as deleted, the expiry is yet to be offered.
            Ordering::Equal => (true, !told.deleted),
            // The tombstone of what was told as deleted is no news.
            Ordering::Greater => (told.deleted && entry.head().deleted, true),
        };
        if over {
            found.remove();
            shrink(&mut known.entries, |t| t.hash);
            if known.entries.is_empty() && !known.listed {
                self.0.remove(&life.id);
                shrink_map(&mut self.0);
            }
        }
        was
    }

    /// What is to be made of news of a life, which is forgotten if it ends here.
    pub fn news(&mut self, event: u32, life: &Life) -> News {
        let Some(known) = self.0.get(&life.id) else { return News::New };
        let same = known.life.nonce == life.nonce;
        if !same && life.rank() < known.life.rank() {
            return News::Over;
        }
        if same && event != kind::MEMBER_REMOVED {
            let coming = event & (kind::MEMBER_JOINED | kind::MEMBER_RESTARTED) != 0;
            return if coming && known.joined { News::Told } else { News::New };
        }
        self.0.remove(&life.id);
        shrink_map(&mut self.0);
        News::New
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0.allocation_size() + self.0.values().map(|of| of.entries.allocation_size()).sum::<usize>()
    }
}

/// What news of a member is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// To be told.
    New,
    /// The host knows, or will; but the view may be newer.
    Told,
    /// Of a life that was over before the subscription was set up.
    Over,
}

/// Up to where lives of an id are gone.
struct Gone {
    life: LifeRef,
    /// This life too, not only the ones before.
    too: bool,
}

/// Lives that are gone, by id.
#[derive(Default)]
pub(super) struct GoneLives(HashMap<MemberId, Gone>);

impl GoneLives {
    /// `life` has gone, with `too`; without, it has come, and those before it have gone.
    pub fn note(&mut self, life: &LifeRef, too: bool) {
        match self.0.get_mut(&life.id) {
            Some(gone) if gone.life.rank() > life.rank() => {}
            Some(gone) => *gone = Gone { life: life.clone(), too },
            None => drop(self.0.insert(life.id.clone(), Gone { life: life.clone(), too })),
        }
    }

    /// Whether a life has gone.
    pub fn has(&self, life: &Life) -> bool {
        // A life is known by its nonce: this node raises its own generation while it joins, and goes on.
        !self.0.is_empty()
            && self.0.get(&life.id).is_some_and(|gone| match gone.life.nonce == life.nonce {
                true => gone.too,
                false => life.rank() < gone.life.rank(),
            })
    }

    /// Whether a life of this id is known to have gone, be it a former one.
    pub fn knows(&self, id: &MemberId) -> bool {
        self.0.contains_key(id)
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0.allocation_size()
    }
}

pub(super) fn same_key(a: &Entry, b: &Entry) -> bool {
    a.head().life.nonce == b.head().life.nonce && a.key_with_nul() == b.key_with_nul()
}

/// The table takes the low bits and the top ones.
pub(super) fn widen(hash: u32) -> u64 {
    u64::from(hash) | u64::from(hash) << 32
}

pub(super) fn shrink<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u32) {
    if table.capacity() > SMALL && table.len() * 8 < table.capacity() {
        table.shrink_to(table.len() * 2, |t| widen(hash(t)));
    }
}

pub(super) fn shrink_map<V>(map: &mut HashMap<MemberId, V>) {
    if map.capacity() > SMALL && map.len() * 8 < map.capacity() {
        map.shrink_to(map.len() * 2);
    }
}
