//! Type URLs, each kept once however many entries name it.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::RwLock;

use super::entry::TypeUrl;

/// See the module. Bounded by the entries: what no entry names any more is swept out as the table grows.
#[derive(Default)]
pub struct Interner {
    hasher: DefaultHashBuilder,
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    urls: HashTable<TypeUrl>,
    sweep_at: usize,
}

impl Interner {
    /// The kept form of `url`.
    pub fn intern(&self, url: &str) -> TypeUrl {
        let hash = self.hasher.hash_one(url);
        let same = |kept: &TypeUrl| kept.as_str() == url;
        if let Some(kept) = self.table.read().urls.find(hash, same) {
            return kept.clone();
        }
        let mut table = self.table.write();
        if let Some(kept) = table.urls.find(hash, same) {
            return kept.clone();
        }
        if table.urls.len() >= table.sweep_at {
            table.urls.retain(|kept| !kept.is_unused());
            table.sweep_at = (table.urls.len() * 2).max(64);
        }
        let kept = TypeUrl::new(url);
        let key = |kept: &TypeUrl| self.hasher.hash_one(kept.as_str());
        table.urls.insert_unique(hash, kept.clone(), key);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_url_is_kept_once_and_unused_ones_go() {
        let interner = Interner::default();
        let a = interner.intern("type.example.org/a");
        assert!(std::ptr::eq(a.as_str(), interner.intern("type.example.org/a").as_str()));
        for i in 0..100_000 {
            interner.intern(&format!("type.example.org/{i}"));
        }
        assert!(interner.table.read().urls.len() <= 128);
        assert!(std::ptr::eq(a.as_str(), interner.intern("type.example.org/a").as_str()));
    }
}
