//! The segment: the one form in which entries travel, whether as delta, pull or reset.
//!
//! (owner, floor, from, to] with the latest version of every key that the owner changed in that interval; an interval
//! without entries says that all of it was overwritten or collected.

use super::codec::{Decoded, Malformed, Put, Reader, varint_len};
use crate::store::entry::Entry;

/// An entry as it travels. Borrowed from the packet, or from the store when being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireEntry<'a> {
    /// Sequence number.
    pub seq: u64,
    /// A tombstone.
    pub deleted: bool,
    /// The key.
    pub key: &'a str,
    /// Type URL, empty for plain bytes.
    pub type_url: &'a str,
    /// The value.
    pub value: &'a [u8],
    /// ms since the owner wrote it, as far as the sender knows.
    pub age_ms: u64,
    /// ms that readers still may see it; `None` without a time to live.
    pub ttl_ms: Option<u64>,
}

const DELETED: u8 = 0x80;
const TTL: u8 = 0x40;
/// Type URLs that are written as a number; append only, 15 means that the URL follows.
const TYPES: &[&str] = &[
    "",
    "type.googleapis.com/google.protobuf.StringValue",
    "type.googleapis.com/google.protobuf.BoolValue",
    "type.googleapis.com/google.protobuf.Int64Value",
    "type.googleapis.com/google.protobuf.DoubleValue",
];
const TYPE_INLINE: u8 = 15;

impl WireEntry<'_> {
    /// Whether it is the same entry as one that is kept.
    pub fn is(&self, entry: &Entry) -> bool {
        self.seq == entry.seq()
            && self.deleted == entry.head().deleted
            && self.key == entry.key()
            && self.type_url == entry.type_url()
            && self.value == entry.value()
    }

    /// Appends the entry; `last` is the number of the one before it, or the segment's `from`.
    fn put(&self, last: u64, out: &mut Vec<u8>) {
        out.put_varint(self.seq - last);
        let code = TYPES.iter().position(|t| *t == self.type_url).map_or(TYPE_INLINE, |i| i as u8);
        let ttl = if self.ttl_ms.is_some() { TTL } else { 0 };
        out.push(code | ttl | if self.deleted { DELETED } else { 0 });
        out.put_text(self.key);
        if code == TYPE_INLINE {
            out.put_text(self.type_url);
        }
        out.put_varint(self.age_ms);
        if let Some(ttl) = self.ttl_ms {
            out.put_varint(ttl);
        }
        if !self.deleted {
            out.put_varint(self.value.len() as u64);
            out.extend_from_slice(self.value);
        }
    }

    /// At most so many bytes as [`SegmentBuilder`] writes for it.
    pub fn size_bound(&self) -> usize {
        let type_url = if TYPES.contains(&self.type_url) { 0 } else { 1 + self.type_url.len() };
        10 + 1 + 1 + self.key.len() + type_url + varint_len(self.age_ms) + 10 + 10 + self.value.len()
    }
}

/// Head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHead {
    /// Nonce of the life whose entries they are.
    pub owner: u64,
    /// Part of a reset: see the protocol's description.
    pub reset: bool,
    /// Tombstones at or below it are collected.
    pub floor: u64,
    /// The interval's open beginning.
    pub from: u64,
    /// The interval's closed end.
    pub to: u64,
    /// In a reset: a key that its sender does not list up to `to` is gone, or has a number up to this one. Else 0.
    pub end: u64,
}

impl SegmentHead {
    fn read(r: &mut Reader<'_>) -> Decoded<SegmentHead> {
        let owner = r.u64()?;
        let flags = r.u8()?;
        if owner == 0 || flags > 1 {
            return Err(Malformed);
        }
        let reset = flags & 1 != 0;
        let floor = r.varint()?;
        let from = r.varint()?;
        let to = from.checked_add(r.varint()?).ok_or(Malformed)?;
        let end = if reset { to.checked_add(r.varint()?).ok_or(Malformed)? } else { 0 };
        Ok(SegmentHead { owner, reset, floor, from, to, end })
    }
}

/// A segment being read.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Its head.
    pub head: SegmentHead,
    entries: Reader<'a>,
    count: usize,
}

impl<'a> Segment<'a> {
    /// The head alone, and nothing behind it checked: of one's own segments.
    pub fn head_of(body: &[u8]) -> Decoded<SegmentHead> {
        SegmentHead::read(&mut Reader::new(body))
    }

    /// From the body of its frame. Every entry is checked, so that a segment is applied whole or not at all.
    pub fn decode(body: &'a [u8]) -> Decoded<Segment<'a>> {
        let mut r = Reader::new(body);
        let head = SegmentHead::read(&mut r)?;
        let count = r.count(r.len())?;
        let segment = Segment { head, entries: r, count };
        let mut check = segment.iter();
        for entry in &mut check {
            entry?;
        }
        if !check.reader.is_empty() {
            return Err(Malformed);
        }
        Ok(segment)
    }

    /// Its entries, ascending by number, all in (from, to].
    pub fn entries(&self) -> impl Iterator<Item = WireEntry<'a>> + use<'a> {
        self.iter().map_while(Result::ok)
    }

    fn iter(&self) -> Entries<'a> {
        Entries { reader: self.entries, left: self.count, last: self.head.from, to: self.head.to }
    }
}

struct Entries<'a> {
    reader: Reader<'a>,
    left: usize,
    last: u64,
    to: u64,
}

impl<'a> Entries<'a> {
    fn read(&mut self) -> Decoded<WireEntry<'a>> {
        let r = &mut self.reader;
        let step = r.varint()?;
        let seq = self.last.checked_add(step).filter(|seq| step > 0 && *seq <= self.to).ok_or(Malformed)?;
        let flags = r.u8()?;
        let deleted = flags & DELETED != 0;
        let code = flags & 0x0f;
        if flags & !(DELETED | TTL | 0x0f) != 0 {
            return Err(Malformed);
        }
        let key = r.key()?;
        let type_url = match code {
            TYPE_INLINE => r.text()?,
            code => TYPES.get(usize::from(code)).ok_or(Malformed)?,
        };
        let age_ms = r.varint()?;
        let ttl_ms = if flags & TTL != 0 { Some(r.varint()?) } else { None };
        let value = if deleted {
            &[]
        } else {
            let len = r.count(r.len())?;
            r.bytes(len)?
        };
        Ok(WireEntry { seq, deleted, key, type_url, value, age_ms, ttl_ms })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Decoded<WireEntry<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.read();
        match &entry {
            Ok(e) => self.last = e.seq,
            Err(Malformed) => self.left = 0,
        }
        Some(entry)
    }
}

/// Writes a segment, entry by entry.
#[derive(Debug)]
pub struct SegmentBuilder {
    owner: u64,
    reset: bool,
    floor: u64,
    from: u64,
    last: u64,
    end: u64,
    count: u64,
    entries: Vec<u8>,
}

impl SegmentBuilder {
    /// A segment that begins after `from`.
    pub fn new(owner: u64, floor: u64, from: u64, reset: bool) -> SegmentBuilder {
        SegmentBuilder { owner, reset, floor, from, last: from, end: 0, count: 0, entries: Vec::new() }
    }

    /// Of a reset: the highest number that the sender has or knows to lack.
    pub fn set_end(&mut self, end: u64) {
        self.end = end;
    }

    /// Bytes so far, head included, at most.
    pub fn len(&self) -> usize {
        8 + 1 + 10 * 5 + self.entries.len()
    }

    /// Whether it has no entry yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number of the last entry, or `from`.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Appends an entry; numbers must ascend.
    pub fn push(&mut self, entry: &WireEntry<'_>) {
        entry.put(self.last, &mut self.entries);
        self.last = entry.seq;
        self.count += 1;
    }

    /// The body of the frame, for a segment that ends at `to`, at or after its last entry.
    pub fn finish(self, to: u64) -> Vec<u8> {
        debug_assert!(to >= self.last);
        let mut out = Vec::with_capacity(self.len());
        out.extend_from_slice(&self.owner.to_le_bytes());
        out.push(u8::from(self.reset));
        out.put_varint(self.floor);
        out.put_varint(self.from);
        out.put_varint(to - self.from);
        if self.reset {
            out.put_varint(self.end.saturating_sub(to));
        }
        out.put_varint(self.count);
        out.extend_from_slice(&self.entries);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    type Owned = (u64, bool, String, String, Vec<u8>, u64, Option<u64>);

    fn entry() -> impl Strategy<Value = Owned> {
        let url = prop_oneof![Just(String::new()), Just(TYPES[3].to_owned()), "[a-z./]{1,40}"];
        (1u64..1000, any::<bool>(), "\\PC{1,40}", url, vec(any::<u8>(), 0..100), any::<u64>(), any::<Option<u64>>())
    }

    proptest! {
        #[test]
        fn a_segment_reads_back(entries in vec(entry(), 0..30), from in 0u64..1 << 50, floor: u64, more in 0u64..100, reset: bool, end in 0u64..1 << 51) {
            let mut builder = SegmentBuilder::new(42, floor, from, reset);
            builder.set_end(end);
            let mut seq = from;
            let mut expected = Vec::new();
            for (step, deleted, key, type_url, value, age_ms, ttl_ms) in &entries {
                seq += step;
                let value = if *deleted { &[][..] } else { value };
                let entry = WireEntry { seq, deleted: *deleted, key, type_url, value, age_ms: *age_ms, ttl_ms: *ttl_ms };
                let before = builder.len();
                builder.push(&entry);
                prop_assert!(builder.len() - before <= entry.size_bound());
                expected.push(entry);
            }
            let body = builder.finish(seq + more);
            let segment = Segment::decode(&body).unwrap();
            prop_assert_eq!(segment.head, SegmentHead {
                owner: 42, reset, floor, from, to: seq + more, end: if reset { end.max(seq + more) } else { 0 }
            });
            prop_assert_eq!(Segment::head_of(&body), Ok(segment.head));
            prop_assert_eq!(segment.entries().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
            if let Ok(segment) = Segment::decode(&bytes) {
                prop_assert!(segment.entries().all(|e| e.seq > segment.head.from && e.seq <= segment.head.to));
            }
        }
    }
}
