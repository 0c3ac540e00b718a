//! A table of lives, found by their nonce: rows side by side, and an index of four bytes each. Each node has a row for each
//! member, so that what a row costs counts as members × nodes in a process of many.

use std::hash::BuildHasher;
use std::ops::Index;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::entry::Life;

/// What stands in a table of lives.
pub trait OfLife {
    /// Whose it is.
    fn life(&self) -> &Life;
}

/// See the module. In no order.
#[derive(Debug)]
pub struct Lives<T> {
    rows: Vec<T>,
    hasher: DefaultHashBuilder,
    by_nonce: HashTable<u32>,
}

impl<T> Default for Lives<T> {
    fn default() -> Lives<T> {
        Lives { rows: Vec::new(), hasher: DefaultHashBuilder::default(), by_nonce: HashTable::new() }
    }
}

/// Makes room for one more, in small steps: doubling would leave a third of all rows empty.
pub fn make_room<T>(rows: &mut Vec<T>) {
    if rows.len() == rows.capacity() {
        rows.reserve_exact((rows.len() / 8).max(4));
    }
}

impl<T: OfLife> Lives<T> {
    /// Where the row of a life stands.
    pub fn slot(&self, nonce: u64) -> Option<usize> {
        let found = self.by_nonce.find(self.hasher.hash_one(nonce), |at| self.rows[*at as usize].life().nonce == nonce);
        found.map(|at| *at as usize)
    }

    /// The row that stands there.
    pub fn at(&self, slot: usize) -> &T {
        &self.rows[slot]
    }

    /// The row of a life.
    pub fn get(&self, nonce: &u64) -> Option<&T> {
        self.slot(*nonce).map(|at| &self.rows[at])
    }

    /// The row of a life, to change it; not its nonce.
    pub fn get_mut(&mut self, nonce: &u64) -> Option<&mut T> {
        self.slot(*nonce).map(|at| &mut self.rows[at])
    }

    /// Whether there is a row of a life.
    pub fn contains_key(&self, nonce: &u64) -> bool {
        self.slot(*nonce).is_some()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All nonces.
    pub fn keys(&self) -> impl Iterator<Item = &u64> {
        self.rows.iter().map(|row| &row.life().nonce)
    }

    /// All rows.
    pub fn values(&self) -> std::slice::Iter<'_, T> {
        self.rows.iter()
    }

    /// All rows, to change them; not their nonces.
    pub fn values_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.rows.iter_mut()
    }

    /// All rows with their nonces.
    pub fn iter(&self) -> impl Iterator<Item = (&u64, &T)> {
        self.rows.iter().map(|row| (&row.life().nonce, row))
    }

    /// Puts a row in; gives the one of the same life that it replaces.
    pub fn insert(&mut self, row: T) -> Option<T> {
        let nonce = row.life().nonce;
        if let Some(at) = self.slot(nonce) {
            return Some(std::mem::replace(&mut self.rows[at], row));
        }
        let at = u32::try_from(self.rows.len()).ok()?;
        make_room(&mut self.rows);
        self.rows.push(row);
        let (rows, hasher) = (&self.rows, &self.hasher);
        let hash = |at: &u32| hasher.hash_one(rows[*at as usize].life().nonce);
        self.by_nonce.insert_unique(hasher.hash_one(nonce), at, hash);
        None
    }

    /// Takes a row out. The last one moves to where it stood.
    pub fn remove(&mut self, nonce: &u64) -> Option<T> {
        let (rows, hasher) = (&self.rows, &self.hasher);
        let is_it = |at: &u32| rows[*at as usize].life().nonce == *nonce;
        let (slot, _) = self.by_nonce.find_entry(hasher.hash_one(*nonce), is_it).ok()?.remove();
        let row = self.rows.swap_remove(slot as usize);
        if let Some(moved) = self.rows.get(slot as usize) {
            let before = self.rows.len() as u32;
            if let Some(at) = self.by_nonce.find_mut(self.hasher.hash_one(moved.life().nonce), |at| *at == before) {
                *at = slot;
            }
        }
        if self.rows.len() * 4 < self.rows.capacity() {
            self.rows.shrink_to(self.rows.len() * 2);
            let (rows, hasher) = (&self.rows, &self.hasher);
            self.by_nonce.shrink_to_fit(|at| hasher.hash_one(rows[*at as usize].life().nonce));
        }
        Some(row)
    }
}

impl<T: OfLife> Index<&u64> for Lives<T> {
    type Output = T;
    fn index(&self, nonce: &u64) -> &T {
        self.get(nonce).expect("there is a row of that life")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::store::entry::MemberId;

    struct Row(Life, u8);

    impl OfLife for Row {
        fn life(&self) -> &Life {
            &self.0
        }
    }

    fn row(nonce: u64, value: u8) -> Row {
        Row(Life { id: MemberId::new("m").unwrap(), generation: 1, nonce }, value)
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((0u64..40, any::<u8>(), any::<bool>()), 0..300)) {
            let (mut lives, mut map) = (Lives::default(), BTreeMap::new());
            for (nonce, value, puts) in steps {
                if puts {
                    prop_assert_eq!(lives.insert(row(nonce, value)).map(|r| r.1), map.insert(nonce, value));
                } else {
                    prop_assert_eq!(lives.remove(&nonce).map(|r| r.1), map.remove(&nonce));
                }
                prop_assert_eq!(lives.len(), map.len());
                for nonce in 0..40 {
                    prop_assert_eq!(lives.get(&nonce).map(|r| r.1), map.get(&nonce).copied());
                }
            }
            let all: BTreeMap<u64, u8> = lives.iter().map(|(nonce, row)| (*nonce, row.1)).collect();
            prop_assert_eq!(all, map);
        }
    }
}
