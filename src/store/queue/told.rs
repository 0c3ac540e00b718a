//! What a subscription must remember so that nothing is told twice, and which lives are gone.

use hashbrown::{HashMap, HashTable};

use crate::store::entry::{Entry, Life, LifeRef, MemberId};

/// Tables and rings with more room than this are made smaller when they are less than an eighth full.
pub(super) const SMALL: usize = 64;

/// A version that was told before it was offered.
struct Version {
    hash: u32,
    /// It was told as deleted: its time to live had ended.
    deleted: bool,
    entry: Entry,
}

/// What was told early of the latest life of an id.
struct ToldOf {
    life: LifeRef,
    entries: HashTable<Version>,
}

/// Versions that were told and may be offered yet: one that was read from the store while a subscription was set up, told,
/// and only then offered by its writer; and one whose time to live ended while its mark waited, told as deleted before its
/// expiry is offered.
///
/// Each is remembered until what would tell it again has come, or the life goes: never longer than it is part of the
/// state.
#[derive(Default)]
pub(super) struct Told(HashMap<MemberId, ToldOf>);

impl Told {
    /// Remembers that a version was told before it was offered.
    pub fn note(&mut self, entry: &Entry, hash: u32, deleted: bool) {
        let life = &entry.head().life;
        let of = self.0.entry(life.id.clone());
        let of = of.or_insert_with(|| ToldOf { life: life.clone(), entries: HashTable::new() });
        if of.life.nonce != life.nonce {
            if of.life.rank() > life.rank() {
                return;
            }
            *of = ToldOf { life: life.clone(), entries: HashTable::new() };
        }
        let told = Version { hash, deleted, entry: entry.clone() };
        match of.entries.find_mut(widen(hash), |t| t.hash == hash && same_key(&t.entry, entry)) {
            Some(old) => *old = told,
            None => drop(of.entries.insert_unique(widen(hash), told, |t| widen(t.hash))),
        }
    }

    /// Whether what is offered was told already.
    pub fn has(&mut self, entry: &Entry, hash: u32, expired: bool) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let life = &entry.head().life;
        let Some(of) = self.0.get_mut(&life.id) else { return false };
        if of.life.nonce != life.nonce {
            if of.life.rank() < life.rank() {
                self.0.remove(&life.id);
            }
            return false;
        }
        let same = |t: &Version| t.hash == hash && same_key(&t.entry, entry);
        let Ok(found) = of.entries.find_entry(widen(hash), same) else { return false };
        let told = found.get();
        let (was, over) = match entry.version().cmp(&told.entry.version()) {
            std::cmp::Ordering::Less => (true, false),
            std::cmp::Ordering::Equal if expired => (told.deleted, true),
            // If it was told as deleted, the expiry is yet to be offered.
            std::cmp::Ordering::Equal => (true, !told.deleted),
            // The tombstone of what was told as deleted is no news.
            std::cmp::Ordering::Greater => (told.deleted && entry.head().deleted, true),
        };
        if over {
            found.remove();
            shrink(&mut of.entries, |t| t.hash);
            if of.entries.is_empty() {
                self.0.remove(&life.id);
                shrink_map(&mut self.0);
            }
        }
        was
    }

    /// A life has come, or with `removed` gone: forgets what it puts an end to.
    pub fn forget(&mut self, life: &Life, removed: bool) {
        if self.0.get(&life.id).is_some_and(|of| is_past(&of.life, life, removed)) {
            self.0.remove(&life.id);
            shrink_map(&mut self.0);
        }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0.allocation_size() + self.0.values().map(|of| of.entries.allocation_size()).sum::<usize>()
    }
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

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0.allocation_size()
    }
}

pub(super) fn same_key(a: &Entry, b: &Entry) -> bool {
    a.head().life.nonce == b.head().life.nonce && a.key_with_nul() == b.key_with_nul()
}

/// Whether `old` is over once `life` has come, or with `removed` has gone.
fn is_past(old: &Life, life: &Life, removed: bool) -> bool {
    if old.nonce == life.nonce { removed } else { old.rank() < life.rank() }
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
