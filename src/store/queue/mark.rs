//! Marks, the slab that they live in, and the lists that order them.
//!
//! A mark is known by its index, which does not change while it lives. Pages of the slab that hold no mark are given
//! back, so that a queue that was long once does not stay large.

use std::sync::Arc;

use crate::store::entry::Entry;
use crate::store::members::MemberView;

/// No mark.
pub(super) const NIL: u32 = u32::MAX;

/// Marks in a page.
const PAGE: usize = 256;

/// No slot, in the free list of a page.
const FULL: u16 = u16::MAX;

/// What a subscription is to be told.
pub(super) enum What {
    /// Not in use; the next free slot of the page.
    Free(u16),
    /// The newest version of an entry, with flags of [`flag`].
    Entry(Entry, u8),
    /// The newest view of a member.
    Member(Box<MemberMark>),
    /// Words: a warning, a log line, a refused entry, the state of the node.
    Note(Box<Note>),
    /// The node is synced.
    Synced,
    /// What existed has been told.
    InitialDone,
    /// The subscription has ended.
    Closed,
}

/// Flags of entry marks.
pub(super) mod flag {
    /// Collected while the subscription was being set up: the host was not told of the entry, and need not be told of
    /// its end.
    pub const FRESH: u8 = 1;
    /// The version was read from the store, and the change that made it may yet be offered.
    pub const UNCONFIRMED: u8 = 2;
    /// The end of its time to live has been offered.
    pub const EXPIRED: u8 = 4;
}

pub(super) struct MemberMark {
    pub kind: u32,
    pub view: MemberView,
    /// The life was gone and has come again while this waits: of what it had the host may have been told before.
    pub again: bool,
}

/// An event in words.
#[derive(Clone)]
pub(in crate::store) struct Note {
    pub kind: u32,
    pub code: i32,
    pub text: Arc<str>,
    pub target: Option<Arc<str>>,
    pub member: Option<MemberView>,
}

pub(super) struct Mark {
    pub prev: u32,
    pub next: u32,
    /// Whose it is: index of the subscription.
    pub owner: u32,
    /// Of the key in the owner's index.
    pub hash: u32,
    /// How many changes it stands for.
    pub count: u64,
    pub what: What,
}

struct Page {
    /// Empty if the page has been given back.
    marks: Box<[Mark]>,
    live: usize,
    free: u16,
}

impl Page {
    fn new() -> Page {
        let empty = |slot| {
            let next = if slot + 1 < PAGE { (slot + 1) as u16 } else { FULL };
            Mark { prev: NIL, next: NIL, owner: NIL, hash: 0, count: 0, what: What::Free(next) }
        };
        Page { marks: (0..PAGE).map(empty).collect(), live: 0, free: 0 }
    }
}

/// The marks of one queue.
#[derive(Default)]
pub(super) struct Slab {
    pages: Vec<Page>,
    /// Pages with free slots, each once; some may have been given back since.
    open: Vec<u32>,
    /// Pages that were given back, whose place may be used again.
    vacant: Vec<u32>,
    /// An empty page: a queue that swings around a page's end would otherwise ask the allocator each time.
    spare: Option<Page>,
    live: usize,
}

impl Slab {
    pub fn get(&self, at: u32) -> &Mark {
        &self.pages[at as usize / PAGE].marks[at as usize % PAGE]
    }

    pub fn get_mut(&mut self, at: u32) -> &mut Mark {
        &mut self.pages[at as usize / PAGE].marks[at as usize % PAGE]
    }

    pub fn insert(&mut self, owner: u32, hash: u32, count: u64, what: What) -> u32 {
        let page_at = self.open_page();
        let page = &mut self.pages[page_at as usize];
        let slot = page.free;
        let mark = &mut page.marks[slot as usize];
        if let What::Free(next) = mark.what {
            page.free = next;
        }
        *mark = Mark { prev: NIL, next: NIL, owner, hash, count, what };
        page.live += 1;
        self.live += 1;
        if page.free == FULL {
            self.open.pop();
        }
        page_at * PAGE as u32 + u32::from(slot)
    }

    /// The index of a page with a free slot: the last of `open`.
    fn open_page(&mut self) -> u32 {
        while let Some(&page) = self.open.last() {
            if self.pages.get(page as usize).is_some_and(|p| !p.marks.is_empty()) {
                return page;
            }
            self.open.pop();
        }
        let page = self.spare.take().unwrap_or_else(Page::new);
        let at = loop {
            match self.vacant.pop() {
                Some(at) if (at as usize) < self.pages.len() => {
                    self.pages[at as usize] = page;
                    break at;
                }
                Some(_) => {}
                None => {
                    self.pages.push(page);
                    break (self.pages.len() - 1) as u32;
                }
            }
        };
        self.open.push(at);
        at
    }

    pub fn remove(&mut self, at: u32) -> (What, u64) {
        let page_at = at / PAGE as u32;
        let slot = (at % PAGE as u32) as u16;
        let page = &mut self.pages[page_at as usize];
        let mark = &mut page.marks[slot as usize];
        let taken = (std::mem::replace(&mut mark.what, What::Free(page.free)), mark.count);
        mark.owner = NIL;
        if page.free == FULL {
            self.open.push(page_at);
        }
        page.free = slot;
        page.live -= 1;
        self.live -= 1;
        if page.live == 0 {
            self.give_back(page_at);
        }
        taken
    }

    fn give_back(&mut self, page_at: u32) {
        if self.pages.len() == 1 {
            return;
        }
        let gone = Page { marks: Box::default(), live: 0, free: FULL };
        let page = std::mem::replace(&mut self.pages[page_at as usize], gone);
        self.spare.get_or_insert(page);
        if self.live == 0 {
            let spare = self.spare.take();
            *self = Slab { spare, ..Slab::default() };
            return;
        }
        self.vacant.push(page_at);
        while self.pages.last().is_some_and(|p| p.marks.is_empty()) {
            self.pages.pop();
        }
    }

    /// How many pages there are to walk with [`Slab::owned_in`].
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The marks of `owner` in a page.
    pub fn owned_in(&self, page: usize, owner: u32) -> Vec<u32> {
        let Some(page_of) = self.pages.get(page) else { return Vec::new() };
        let owned = page_of.marks.iter().enumerate().filter(|(_, m)| m.owner == owner);
        owned.map(|(slot, _)| (page * PAGE + slot) as u32).collect()
    }

    /// Bytes held, without what marks refer to.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        let pages = self.pages.iter().chain(&self.spare).map(|p| p.marks.len()).sum::<usize>();
        pages * size_of::<Mark>()
            + self.pages.capacity() * size_of::<Page>()
            + (self.open.capacity() + self.vacant.capacity()) * size_of::<u32>()
    }
}

/// Marks in order, linked through the slab.
#[derive(Clone, Copy)]
pub(super) struct List {
    pub head: u32,
    tail: u32,
}

impl Default for List {
    fn default() -> List {
        List { head: NIL, tail: NIL }
    }
}

impl List {
    pub fn is_empty(&self) -> bool {
        self.head == NIL
    }

    pub fn push(&mut self, slab: &mut Slab, at: u32) {
        let mark = slab.get_mut(at);
        mark.prev = self.tail;
        mark.next = NIL;
        match self.tail {
            NIL => self.head = at,
            tail => slab.get_mut(tail).next = at,
        }
        self.tail = at;
    }

    pub fn unlink(&mut self, slab: &mut Slab, at: u32) {
        let mark = slab.get(at);
        let (prev, next) = (mark.prev, mark.next);
        match prev {
            NIL => self.head = next,
            prev => slab.get_mut(prev).next = next,
        }
        match next {
            NIL => self.tail = prev,
            next => slab.get_mut(next).prev = prev,
        }
    }

    /// Puts all of `other` behind.
    pub fn append(&mut self, slab: &mut Slab, other: List) {
        if other.is_empty() {
            return;
        }
        match self.tail {
            NIL => self.head = other.head,
            tail => {
                slab.get_mut(tail).next = other.head;
                slab.get_mut(other.head).prev = tail;
            }
        }
        self.tail = other.tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(list: &List, slab: &Slab) -> Vec<u64> {
        let mut at = list.head;
        let mut found = Vec::new();
        while at != NIL {
            found.push(slab.get(at).count);
            at = slab.get(at).next;
        }
        found
    }

    #[test]
    fn marks_keep_their_order_and_pages_are_given_back() {
        let mut slab = Slab::default();
        let mut list = List::default();
        let mut ats = Vec::new();
        for n in 0..10_000 {
            let at = slab.insert(n % 3, 0, u64::from(n), What::Synced);
            list.push(&mut slab, at);
            ats.push(at);
        }
        assert_eq!(order(&list, &slab), (0..10_000).collect::<Vec<_>>());
        let full = slab.bytes();
        // All but every 1,000th go, in an order that meets every case of linking.
        for n in (0..10_000).rev().step_by(2).chain((0..10_000).step_by(2)) {
            if n % 1000 != 0 {
                list.unlink(&mut slab, ats[n]);
                assert_eq!(slab.remove(ats[n]).1, n as u64);
            }
        }
        assert_eq!(order(&list, &slab), (0..10).map(|n| n * 1000).collect::<Vec<_>>());
        assert!(slab.bytes() * 3 < full, "{} of {full}", slab.bytes());
        for round in 0..3 {
            let new: Vec<u32> = (0..5000).map(|n| slab.insert(0, 0, n, What::Synced)).collect();
            assert!(new.iter().all(|at| ats.iter().step_by(1000).all(|old| old != at)), "round {round}");
            new.into_iter().for_each(|at| drop(slab.remove(at)));
        }
        for n in (0..10_000).step_by(1000) {
            list.unlink(&mut slab, ats[n]);
            slab.remove(ats[n]);
        }
        assert!(list.is_empty());
        assert!(slab.bytes() <= PAGE * size_of::<Mark>(), "one page is kept, not {} bytes", slab.bytes());
    }

    #[test]
    fn lists_are_joined() {
        let mut slab = Slab::default();
        let mut lists = [List::default(); 3];
        for n in 0..4 {
            let at = slab.insert(0, 0, n, What::Closed);
            lists[n as usize % 2].push(&mut slab, at);
        }
        let [mut a, b, empty] = lists;
        a.append(&mut slab, empty);
        a.append(&mut slab, b);
        assert_eq!(order(&a, &slab), [0, 2, 1, 3]);
        let mut c = List::default();
        c.append(&mut slab, a);
        assert_eq!(order(&c, &slab), [0, 2, 1, 3]);
    }

    #[test]
    fn a_mark_is_small() {
        assert!(size_of::<Mark>() <= 40, "{}", size_of::<Mark>());
    }
}
