//! What members say of themselves, each kept once for all nodes of a process: in a process with many members of one cluster each
//! of them knows each other.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;
use triomphe::Arc;

use super::members::Contact;

/// See the module. Bounded by what the nodes keep: what none of them has any more is swept out as the table grows.
#[derive(Debug, Default)]
pub struct Contacts {
    hasher: DefaultHashBuilder,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// The latest of each life, by nonce.
    contacts: HashTable<Arc<Contact>>,
    sweep_at: usize,
}

impl Contacts {
    /// The contact of the life `nonce`, if it is known here and `same` says that it is the one that is wanted.
    pub fn find(&self, nonce: u64, same: impl FnOnce(&Contact) -> bool) -> Option<Arc<Contact>> {
        let table = self.table.lock();
        let known = table.contacts.find(self.hasher.hash_one(nonce), |contact| contact.life.nonce == nonce);
        known.filter(|contact| same(contact)).cloned()
    }

    /// Keeps a contact, in the place of a former one of its life.
    pub fn keep(&self, contact: Contact) -> Arc<Contact> {
        let nonce = contact.life.nonce;
        let contact = Arc::new(contact);
        let hash = self.hasher.hash_one(nonce);
        let mut table = self.table.lock();
        if let Some(former) = table.contacts.find_mut(hash, |contact| contact.life.nonce == nonce) {
            *former = contact.clone();
            return contact;
        }
        if table.contacts.len() >= table.sweep_at {
            table.contacts.retain(|contact| Arc::count(contact) > 1);
            table.sweep_at = (table.contacts.len() * 2).max(64);
        }
        table.contacts.insert_unique(hash, contact.clone(), |contact| self.hasher.hash_one(contact.life.nonce));
        contact
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::entry::{Life, LifeRef, MemberId};

    fn contact(nonce: u64, port: u16) -> Contact {
        let life = LifeRef::new(Life { id: MemberId::new("m").unwrap(), generation: 1, nonce });
        Contact { life, address: ([10, 0, 0, 1], port).into(), versions: (1, 1), tags: Default::default() }
    }

    #[test]
    fn it_is_kept_once_until_nobody_has_it() {
        let contacts = Contacts::default();
        let kept = contacts.keep(contact(1, 1));
        let found = contacts.find(1, |c| c.address.port() == 1).unwrap();
        assert!(Arc::ptr_eq(&kept, &found));
        assert!(contacts.find(1, |c| c.address.port() == 2).is_none(), "it has changed");
        let moved = contacts.keep(contact(1, 2));
        assert_eq!((kept.address.port(), contacts.find(1, |_| true).unwrap().address.port()), (1, 2));
        for nonce in 2..100_000 {
            contacts.keep(contact(nonce, 1));
        }
        assert!(contacts.table.lock().contacts.len() <= 128);
        assert!(Arc::ptr_eq(&moved, &contacts.find(1, |_| true).unwrap()));
    }
}
