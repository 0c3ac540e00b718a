//! Ids of shared objects, and the table that they point into.
//!
//! An id is a number below 2^53 (floating-point hosts can hold it): from the top 3 bits of kind, 8 of the epoch in which
//! it was made (see `runtime::fork`), 22 of generation, 20 of index. The generation of a slot goes up with each object; a slot
//! that is used up is never used again, so that no id names two objects in the life of a process.
//!
//! What an id answers: one that names an object, the object; one that did, `Closed`; one from before a fork, `Forked`;
//! everything else, `InvalidHandle`.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::{Error, Result, Status};
use crate::runtime::caught;
use crate::runtime::fork::{self, PerProcess};

const INDEX_BITS: u32 = 20;
const GENERATION_BITS: u32 = 22;
const EPOCH_BITS: u32 = 8;

const EPOCH_SHIFT: u32 = INDEX_BITS + GENERATION_BITS;
const KIND_SHIFT: u32 = EPOCH_SHIFT + EPOCH_BITS;

const LAST_INDEX: usize = (1 << INDEX_BITS) - 1;
const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;
const EPOCH_MASK: u32 = (1 << EPOCH_BITS) - 1;

/// Freed slots wait until there are this many before the first of them is used again: a slot's generations last longer,
/// and a made-up id is less likely to name anything.
const RESTING: usize = 64;

/// What an id names; the number is in the id, 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// `gossip_config`
    Config = 1,
    /// `gossip_node`
    Node = 2,
    /// `gossip_queue`
    Queue = 3,
    /// `gossip_sub`
    Sub = 4,
}

/// The tables of all kinds; made anew in the child of a fork, where locks of the old ones may be held for ever.
struct Tables {
    configs: Table<super::config::ConfigObject>,
    nodes: Table<super::node::NodeObject>,
    queues: Table<super::queue::QueueObject>,
    subs: Table<super::sub::SubObject>,
}

fn tables() -> &'static Tables {
    static TABLES: PerProcess<Tables> = PerProcess::new();
    TABLES.get(|| {
        // Before the first id exists: a child must know that it is none of its own.
        fork::install();
        caught::print_none();
        Tables {
            configs: Table::new(Kind::Config),
            nodes: Table::new(Kind::Node),
            queues: Table::new(Kind::Queue),
            subs: Table::new(Kind::Sub),
        }
    })
}

/// Objects that have ids.
pub trait Object: Sized + 'static {
    /// What ids of it say.
    const KIND: Kind;
    #[doc(hidden)]
    fn table() -> &'static Table<Self>;
}

macro_rules! objects {
    ($($object:ty = $kind:ident in $table:ident;)*) => {
        $(impl Object for $object {
            const KIND: Kind = Kind::$kind;
            fn table() -> &'static Table<Self> {
                &tables().$table
            }
        })*
    };
}

objects! {
    super::config::ConfigObject = Config in configs;
    super::node::NodeObject = Node in nodes;
    super::queue::QueueObject = Queue in queues;
    super::sub::SubObject = Sub in subs;
}

/// Gives the object an id.
pub fn insert<T: Object>(object: T) -> Result<u64> {
    let id = reserve::<T>()?;
    fill(id, object);
    Ok(id)
}

/// An id that names nothing yet, for objects that must know their id: to be followed by [`fill`] or [`cancel`].
pub fn reserve<T: Object>() -> Result<u64> {
    T::table().reserve().map_err(|status| in_words(T::KIND, status))
}

/// Puts the object to a reserved id.
pub fn fill<T: Object>(id: u64, object: T) {
    T::table().fill(id, Arc::new(object));
}

/// Gives a reserved id up.
pub fn cancel<T: Object>(id: u64) {
    T::table().cancel(id);
}

/// The object that `id` names.
pub fn get<T: Object>(id: u64) -> Result<Arc<T>> {
    check(T::KIND, id).and_then(|()| T::table().get(id)).map_err(|status| in_words(T::KIND, status))
}

/// Takes the object out; the id answers `Closed` from then on. Of several threads one gets it.
pub fn remove<T: Object>(id: u64) -> Result<Arc<T>> {
    check(T::KIND, id).and_then(|()| T::table().remove(id)).map_err(|status| in_words(T::KIND, status))
}

/// What can be said of an id without looking at any table.
fn check(kind: Kind, id: u64) -> std::result::Result<(), Status> {
    if id >> KIND_SHIFT != kind as u64 {
        return Err(Status::InvalidHandle);
    }
    let (made, now) = ((id >> EPOCH_SHIFT) as u32 & EPOCH_MASK, fork::epoch());
    if made == now & EPOCH_MASK {
        Ok(())
    } else if made != 0 && made < now {
        Err(Status::Forked)
    } else {
        Err(Status::InvalidHandle)
    }
}

#[cold]
fn in_words(kind: Kind, status: Status) -> Error {
    let what = match kind {
        Kind::Config => "configuration",
        Kind::Node => "node",
        Kind::Queue => "queue",
        Kind::Sub => "subscription",
    };
    let text = match status {
        Status::Closed => format!("the {what} was closed"),
        Status::Forked => format!("the {what} belongs to the process that this one was forked from"),
        Status::NoResources => format!("there are too many {what} objects"),
        _ => format!("the id names no {what}"),
    };
    Error::new(status, text)
}

/// The objects of one kind.
pub struct Table<T> {
    kind: Kind,
    /// Of the ids that are made here.
    epoch: u32,
    slots: RwLock<Slots<T>>,
}

struct Slots<T> {
    all: Vec<Slot<T>>,
    /// Slots without an object, the longest free first.
    free: VecDeque<u32>,
}

struct Slot<T> {
    /// Of the id that names the object; without an object, of the id that is given next.
    generation: u32,
    content: Content<T>,
}

enum Content<T> {
    Nothing,
    /// The id was given, the object comes.
    Reserved,
    Object(Arc<T>),
}

impl<T> Table<T> {
    fn new(kind: Kind) -> Table<T> {
        Table {
            kind,
            epoch: fork::epoch() & EPOCH_MASK,
            slots: RwLock::new(Slots { all: Vec::new(), free: VecDeque::new() }),
        }
    }

    fn id(&self, index: usize, generation: u32) -> u64 {
        (self.kind as u64) << KIND_SHIFT
            | u64::from(self.epoch) << EPOCH_SHIFT
            | u64::from(generation) << INDEX_BITS
            | index as u64
    }

    fn reserve(&self) -> std::result::Result<u64, Status> {
        let mut slots = self.slots.write();
        let fresh = slots.all.len();
        let index = if slots.free.len() > RESTING || fresh > LAST_INDEX {
            slots.free.pop_front().ok_or(Status::NoResources)? as usize
        } else {
            slots.all.push(Slot { generation: 0, content: Content::Nothing });
            fresh
        };
        let slot = &mut slots.all[index];
        slot.content = Content::Reserved;
        Ok(self.id(index, slot.generation))
    }

    fn fill(&self, id: u64, object: Arc<T>) {
        if let Some(slot) = self.slots.write().all.get_mut(index(id)) {
            slot.content = Content::Object(object);
        }
    }

    fn cancel(&self, id: u64) {
        self.slots.write().free(index(id));
    }

    fn get(&self, id: u64) -> std::result::Result<Arc<T>, Status> {
        self.slots.read().named(id).cloned()
    }

    fn remove(&self, id: u64) -> std::result::Result<Arc<T>, Status> {
        let mut slots = self.slots.write();
        let object = slots.named(id)?.clone();
        slots.free(index(id));
        Ok(object)
    }
}

impl<T> Slots<T> {
    fn named(&self, id: u64) -> std::result::Result<&Arc<T>, Status> {
        let slot = self.all.get(index(id)).ok_or(Status::InvalidHandle)?;
        match (&slot.content, generation(id).cmp(&slot.generation)) {
            (Content::Object(object), Ordering::Equal) => Ok(object),
            (_, Ordering::Less) => Err(Status::Closed),
            _ => Err(Status::InvalidHandle),
        }
    }

    fn free(&mut self, index: usize) {
        if let Some(slot) = self.all.get_mut(index) {
            slot.content = Content::Nothing;
            slot.generation += 1;
            if slot.generation <= LAST_GENERATION {
                self.free.push_back(index as u32);
            }
        }
    }
}

fn index(id: u64) -> usize {
    id as usize & LAST_INDEX
}

fn generation(id: u64) -> u32 {
    (id >> INDEX_BITS) as u32 & LAST_GENERATION
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<u32> {
        Table::new(Kind::Queue)
    }

    fn put(table: &Table<u32>, object: u32) -> u64 {
        let id = table.reserve().unwrap();
        table.fill(id, Arc::new(object));
        id
    }

    #[test]
    fn ids_fit_a_double_and_say_their_kind_and_epoch() {
        let table = table();
        let id = put(&table, 7);
        assert!(id > 0 && id < 1 << 53);
        assert_eq!(check(Kind::Queue, id), Ok(()));
        assert_eq!(check(Kind::Node, id), Err(Status::InvalidHandle));
        assert!(Table::<u32>::new(Kind::Sub).id(LAST_INDEX, LAST_GENERATION) < 1 << 53);
        for made_up in [0, 1, u64::MAX, id | 1 << 60, id | 1 << 53] {
            assert_eq!(check(Kind::Queue, made_up), Err(Status::InvalidHandle), "{made_up:x}");
        }
    }

    #[test]
    fn ids_of_other_epochs_are_forked_or_never_were() {
        let now = fork::epoch();
        let id_of = |epoch: u32| Table::<u32> { epoch, ..Table::new(Kind::Node) }.id(0, 0);
        assert_eq!(check(Kind::Node, id_of(now)), Ok(()));
        assert_eq!(check(Kind::Node, id_of(now + 1)), Err(Status::InvalidHandle));
        assert_eq!(check(Kind::Node, id_of(0)), Err(Status::InvalidHandle));
        if now > 1 {
            assert_eq!(check(Kind::Node, id_of(now - 1)), Err(Status::Forked));
        }
    }

    #[test]
    fn a_freed_id_is_closed_and_one_never_given_is_invalid() {
        let table = table();
        let id = put(&table, 7);
        assert_eq!(*table.get(id).unwrap(), 7);
        assert_eq!(table.get(id + 1), Err(Status::InvalidHandle));
        let next_generation = id + (1 << INDEX_BITS);
        assert_eq!(table.get(next_generation), Err(Status::InvalidHandle));
        assert_eq!(*table.remove(id).unwrap(), 7);
        assert_eq!(table.get(id), Err(Status::Closed));
        assert_eq!(table.remove(id), Err(Status::Closed));
        // The id that the slot gives next was not given yet.
        assert_eq!(table.get(next_generation), Err(Status::InvalidHandle));
        assert_eq!(table.remove(next_generation), Err(Status::InvalidHandle));
    }

    #[test]
    fn a_reserved_id_names_nothing_until_filled() {
        let table = table();
        let id = table.reserve().unwrap();
        assert_eq!(table.get(id), Err(Status::InvalidHandle));
        assert_eq!(table.remove(id), Err(Status::InvalidHandle));
        table.cancel(id);
        assert_eq!(table.get(id), Err(Status::Closed));
        let other = table.reserve().unwrap();
        table.fill(other, Arc::new(1));
        assert_eq!(*table.get(other).unwrap(), 1);
    }

    #[test]
    fn slots_are_used_again_ids_never() {
        let table = table();
        let mut seen = std::collections::HashSet::new();
        for round in 0..10_000 {
            let id = put(&table, round);
            assert!(seen.insert(id));
            table.remove(id).unwrap();
        }
        assert!(table.slots.read().all.len() <= RESTING + 1);
        assert!(seen.iter().all(|id| table.get(*id) == Err(Status::Closed)));
    }

    #[test]
    fn a_slot_that_is_used_up_is_retired() {
        let table = table();
        let id = put(&table, 1);
        table.slots.write().all[index(id)].generation = LAST_GENERATION;
        let last = table.id(index(id), LAST_GENERATION);
        assert_eq!(*table.remove(last).unwrap(), 1);
        assert!(table.slots.read().free.is_empty());
        assert_eq!(table.get(last), Err(Status::Closed));
    }
}
