//! What is kept: lives of members, and entries, each entry one allocation.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};

use triomphe::ThinArc;

use crate::time::Time;

/// A member's id: 1 to 255 bytes of UTF-8, followed by a NUL in memory so that it can be handed to C as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(std::sync::Arc<str>);

impl MemberId {
    /// The id `text`; `None` if it is empty, longer than 255 bytes or holds a NUL.
    pub fn new(text: &str) -> Option<MemberId> {
        if text.is_empty() || text.len() > 255 || text.contains('\0') {
            return None;
        }
        Some(MemberId(format!("{text}\0").into()))
    }

    /// The id without its NUL.
    pub fn as_str(&self) -> &str {
        &self.0[..self.0.len() - 1]
    }

    /// The id with its NUL.
    pub fn with_nul(&self) -> &str {
        &self.0
    }
}

// As the text without its NUL, so that tables are looked up by a `&str`. Equality and order are the same with and without.
impl Hash for MemberId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for MemberId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One life of a member: from a start to its end. Two starts of one id are two lives.
#[derive(Debug, PartialEq, Eq)]
pub struct Life {
    /// The member's id.
    pub id: MemberId,
    /// Counts the lives of an id; the higher one is the later.
    pub generation: u64,
    /// Random, drawn at start: tells two processes apart that share an id, and names the life on the wire.
    pub nonce: u64,
}

impl Life {
    /// The order between lives of one id.
    pub fn rank(&self) -> (u64, u64) {
        (self.generation, self.nonce)
    }
}

/// Shared by the entries and views of one life.
pub type LifeRef = triomphe::Arc<Life>;

/// A type URL as kept: shared between entries, with a NUL behind it, empty for plain bytes. One word, for each entry has it.
#[derive(Clone)]
pub struct TypeUrl(ThinArc<(), u8>);

impl TypeUrl {
    /// A new one of its own; entries take theirs from the store, which keeps each once.
    pub fn new(text: &str) -> TypeUrl {
        TypeUrl(ThinArc::from_header_and_slice((), format!("{text}\0").as_bytes()))
    }

    /// With its NUL.
    pub fn with_nul(&self) -> &[u8] {
        &self.0.slice
    }

    /// Without its NUL.
    pub fn as_str(&self) -> &str {
        // Made of a text; the fallback can not be reached.
        std::str::from_utf8(&self.0.slice[..self.0.slice.len() - 1]).unwrap_or("")
    }

    /// Whether nobody else has it.
    pub(super) fn is_unused(&self) -> bool {
        ThinArc::strong_count(&self.0) == 1
    }
}

impl fmt::Debug for TypeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Where an entry is from, in one word: set here, and what it replaces; or received, and when its owner wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin(u64);

impl Origin {
    /// Neither times nor sequence numbers come so far.
    const OWN: u64 = 1 << 63;

    /// Set here. `replaces` is the version of the key in the engine's log that it is to replace; 0 if there is none.
    pub fn own(replaces: u64) -> Origin {
        Origin(replaces | Origin::OWN)
    }

    /// Received from another member that wrote it at `written`, by this node's clock.
    pub fn received(written: Time) -> Origin {
        Origin(written.as_micros() & !Origin::OWN)
    }
}

/// The numbers of an entry. Its bytes (key, NUL, value, NUL) follow in the same allocation.
#[derive(Debug)]
pub struct EntryHead {
    /// Whose entry it is.
    pub life: LifeRef,
    /// Type URL with a NUL behind it.
    pub type_url: TypeUrl,
    /// Sequence number, from 1, the owner's next at each set or delete.
    pub seq: u64,
    /// When this node set or received it, by this node's clock.
    pub received: Time,
    /// Set here, or received.
    pub origin: Origin,
    /// Readers do not see it from then on; [`Time::NEVER`] without a time to live.
    pub expires: Time,
    /// Bytes of the key.
    pub key_len: u8,
    /// A tombstone: the key was deleted with this sequence number.
    pub deleted: bool,
    /// Own entries: the engine has taken it into its log.
    pub drained: AtomicBool,
}

impl EntryHead {
    /// When the owner wrote it, as far as known here: `received` less the age it had on arrival.
    pub fn written(&self) -> Time {
        if self.origin.0 & Origin::OWN != 0 { self.received } else { Time::from_micros(self.origin.0) }
    }

    /// Own entries: the version of the key in the engine's log that this one is to replace; 0 if there is none.
    pub fn replaces(&self) -> u64 {
        if self.origin.0 & Origin::OWN != 0 { self.origin.0 & !Origin::OWN } else { 0 }
    }
}

/// An entry: one allocation, shared by readers, queues and the engine; immutable but for `drained`.
#[derive(Clone, Debug)]
pub struct Entry(ThinArc<EntryHead, u8>);

impl Entry {
    /// Makes the entry. `key` must be 1 to 255 bytes: checked where it enters (API or wire).
    pub fn new(head: EntryHead, key: &str, value: &[u8]) -> Entry {
        debug_assert_eq!(head.key_len as usize, key.len());
        let mut bytes = Vec::with_capacity(key.len() + value.len() + 2);
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
        Entry(ThinArc::from_header_and_slice(head, &bytes))
    }

    /// The same entry of another member, whose generation is another now.
    pub fn of_life(&self, life: &LifeRef) -> Entry {
        self.copy(life.clone(), self.head().received)
    }

    /// The same entry of another member, as received at another time.
    pub fn received_at(&self, now: Time) -> Entry {
        self.copy(self.head().life.clone(), now)
    }

    fn copy(&self, life: LifeRef, received: Time) -> Entry {
        let h = self.head();
        let drained = AtomicBool::new(true);
        let head = EntryHead { life, type_url: h.type_url.clone(), received, drained, ..*h };
        Entry::new(head, self.key(), self.value())
    }

    /// The numbers.
    pub fn head(&self) -> &EntryHead {
        &self.0.header.header
    }

    /// The key.
    pub fn key(&self) -> &str {
        // Keys were checked to be UTF-8 where they came in; the fallback can not be reached.
        std::str::from_utf8(self.key_bytes()).unwrap_or("")
    }

    /// The key, as bytes.
    pub fn key_bytes(&self) -> &[u8] {
        &self.0.slice[..self.head().key_len as usize]
    }

    /// The key with its NUL, as bytes.
    pub fn key_with_nul(&self) -> &[u8] {
        &self.0.slice[..self.head().key_len as usize + 1]
    }

    /// The value; empty for a tombstone. A NUL follows it in memory.
    pub fn value(&self) -> &[u8] {
        &self.0.slice[self.head().key_len as usize + 1..self.0.slice.len() - 1]
    }

    /// The type URL without its NUL.
    pub fn type_url(&self) -> &str {
        self.head().type_url.as_str()
    }

    /// Sequence number.
    pub fn seq(&self) -> u64 {
        self.head().seq
    }

    /// Order between all versions of a key of one member, over its lives.
    pub fn version(&self) -> (u64, u64, u64) {
        let h = self.head();
        (h.life.generation, h.life.nonce, h.seq)
    }

    /// Whether a reader sees it at `now`: neither deleted nor expired.
    pub fn is_visible(&self, now: Time) -> bool {
        let h = self.head();
        !h.deleted && h.expires > now
    }

    /// Bytes that count against `max_state_size_per_member`: key, value and type URL.
    pub fn size(&self) -> usize {
        self.0.slice.len() - 2 + self.type_url().len()
    }

    /// Whether both stand for the same write, which may have been taken in twice: its member has raised its generation since.
    pub fn is_same_write(&self, other: &Entry) -> bool {
        let write = |e: &Entry| (e.head().life.nonce, e.seq(), e.head().deleted);
        write(self) == write(other) && self.type_url() == other.type_url() && self.value() == other.value()
    }

    /// Whether both are the same allocation.
    pub fn same(&self, other: &Entry) -> bool {
        std::ptr::eq(self.head(), other.head())
    }

    /// Whether the engine has taken it into its log.
    pub fn is_drained(&self) -> bool {
        self.head().drained.load(Ordering::Acquire)
    }

    /// Marks it as taken into the engine's log.
    pub fn set_drained(&self) {
        self.head().drained.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_an_entry_are_small() {
        let size = size_of::<EntryHead>();
        println!("bytes of the numbers of an entry: {size}");
        assert!(size <= 56, "each entry has them: {size}");
    }

    #[test]
    fn an_origin_is_either_of_two() {
        let head = |origin| EntryHead {
            life: LifeRef::new(Life { id: MemberId::new("m").unwrap(), generation: 1, nonce: 2 }),
            type_url: TypeUrl::new("t"),
            seq: 9,
            received: Time::from_micros(70),
            origin,
            expires: Time::NEVER,
            key_len: 1,
            deleted: false,
            drained: AtomicBool::new(false),
        };
        let (own, other) = (head(Origin::own(7)), head(Origin::received(Time::from_micros(60))));
        assert_eq!((own.written(), own.replaces()), (Time::from_micros(70), 7));
        assert_eq!((other.written(), other.replaces()), (Time::from_micros(60), 0));
        assert_eq!((own.type_url.as_str(), own.type_url.with_nul()), ("t", &b"t\0"[..]));
    }
}
