//! The entries of all members, by key: many small maps with a lock each, so that readers rarely meet a writer.

use std::hash::BuildHasher;

use hashbrown::hash_table::Entry as Slot;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use parking_lot::RwLock;

use super::entry::Entry;

/// A power of two. At 100,000 keys a shard holds some 400, so that walking one under its lock stays short.
const SHARDS: usize = 256;

/// The entries of one key. Most keys are one member's own, so that case costs no second map.
enum Row {
    One(Entry),
    Many(Box<HashMap<u64, Entry>>),
}

impl Row {
    /// As bytes: comparing is most of a look-up, and needs no check of UTF-8.
    fn key(&self) -> &[u8] {
        match self {
            Row::One(e) => e.key_bytes(),
            Row::Many(map) => map.values().next().map_or(&[], Entry::key_bytes),
        }
    }

    fn get(&self, nonce: u64) -> Option<&Entry> {
        match self {
            Row::One(e) => (e.head().life.nonce == nonce).then_some(e),
            Row::Many(map) => map.get(&nonce),
        }
    }

    fn each(&self, mut f: impl FnMut(&Entry)) {
        match self {
            Row::One(e) => f(e),
            Row::Many(map) => map.values().for_each(f),
        }
    }

    fn put(&mut self, entry: Entry) -> Option<Entry> {
        match self {
            Row::One(e) if e.head().life.nonce == entry.head().life.nonce => Some(std::mem::replace(e, entry)),
            Row::One(e) => {
                let mut map = HashMap::with_capacity(2);
                map.insert(e.head().life.nonce, e.clone());
                map.insert(entry.head().life.nonce, entry);
                *self = Row::Many(Box::new(map));
                None
            }
            Row::Many(map) => map.insert(entry.head().life.nonce, entry),
        }
    }
}

/// A shard, once there is something in it: most nodes of a process with many have few keys.
type Shard = RwLock<Option<Box<HashTable<Row>>>>;

/// See the module.
pub struct Shards {
    hasher: DefaultHashBuilder,
    shards: Box<[Shard]>,
}

impl Default for Shards {
    fn default() -> Shards {
        Shards { hasher: DefaultHashBuilder::default(), shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Shards {
    fn place(&self, key: &[u8]) -> (u64, &Shard) {
        let hash = self.hasher.hash_one(key);
        // The table uses the top bits and the low ones; the middle is free to choose the shard.
        (hash, &self.shards[(hash >> 24) as usize % SHARDS])
    }

    /// The entry that the life `nonce` has under `key`, tombstones included.
    pub fn get(&self, key: &str, nonce: u64) -> Option<Entry> {
        let key = key.as_bytes();
        let (hash, shard) = self.place(key);
        shard.read().as_ref()?.find(hash, |row| row.key() == key)?.get(nonce).cloned()
    }

    /// Every entry under `key`, tombstones included, in no order.
    pub fn each_of_key(&self, key: &str, f: impl FnMut(&Entry)) {
        let key = key.as_bytes();
        let (hash, shard) = self.place(key);
        if let Some(row) = shard.read().as_ref().and_then(|shard| shard.find(hash, |row| row.key() == key)) {
            row.each(f);
        }
    }

    /// Every entry, shard by shard: `f` is called once a shard, under that shard's read lock.
    pub fn each_shard(&self, mut f: impl FnMut(&mut dyn Iterator<Item = &Entry>)) {
        for shard in &self.shards {
            let shard = shard.read();
            let Some(shard) = shard.as_ref() else { continue };
            f(&mut shard.iter().flat_map(|row| -> Box<dyn Iterator<Item = &Entry>> {
                match row {
                    Row::One(e) => Box::new(std::iter::once(e)),
                    Row::Many(map) => Box::new(map.values()),
                }
            }));
        }
    }

    /// Puts an entry in; gives the one of the same life and key that it replaces.
    pub fn put(&self, entry: Entry) -> Option<Entry> {
        let (hash, shard) = self.place(entry.key_bytes());
        let mut shard = shard.write();
        let shard = shard.get_or_insert_default();
        match shard.entry(hash, |row| row.key() == entry.key_bytes(), |row| self.hasher.hash_one(row.key())) {
            Slot::Occupied(mut slot) => slot.get_mut().put(entry),
            Slot::Vacant(slot) => {
                slot.insert(Row::One(entry));
                None
            }
        }
    }

    /// Takes an entry out, if it is still the version `seq`.
    pub fn take(&self, key: &str, nonce: u64, seq: u64) -> Option<Entry> {
        let key = key.as_bytes();
        let (hash, shard) = self.place(key);
        let mut place = shard.write();
        let shard = place.as_mut()?;
        let mut slot = shard.find_entry(hash, |row| row.key() == key).ok()?;
        let taken = match slot.get_mut() {
            Row::One(e) if e.head().life.nonce == nonce && e.seq() == seq => match slot.remove().0 {
                Row::One(e) => Some(e),
                Row::Many(_) => None,
            },
            Row::One(_) => None,
            Row::Many(map) => {
                if map.get(&nonce).is_none_or(|e| e.seq() != seq) {
                    return None;
                }
                let taken = map.remove(&nonce);
                if map.is_empty() {
                    slot.remove();
                } else if map.len() * 4 < map.capacity() {
                    map.shrink_to_fit();
                }
                taken
            }
        };
        if shard.is_empty() {
            *place = None;
        } else if shard.len() * 4 < shard.capacity() {
            shard.shrink_to_fit(|row| self.hasher.hash_one(row.key()));
        }
        taken
    }
}
