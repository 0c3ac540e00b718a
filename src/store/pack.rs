//! Events, entries and members as packed bytes: one run that bindings read faster than they could call accessors.
//!
//! The format is `docs/events.md`: records of a head of fixed fields, little-endian, and texts behind it. Fields are only
//! ever appended to the head.

use super::event::{EntryView, Event, kind};
use super::members::MemberView;
use crate::time::Time;
use crate::wire::value::{self, Plain};

/// Bytes of a record's head.
const HEAD: usize = 112;

/// A list of events; ages are as of when each was taken.
pub fn pack_events(events: &[Event]) -> Vec<u8> {
    pack(events, |event| {
        let mut record = Record {
            kind: event.kind,
            tag: event.tag,
            node: event.node,
            sub: event.sub,
            conflated: event.conflated,
            ..Record::default()
        };
        if let Some(view) = &event.entry {
            record.entry(view, event.kind == kind::ENTRY_DELETED);
        } else if let Some(view) = &event.member {
            if event.kind & kind::MEMBERS != 0 {
                record.member(view, event.taken_at);
            } else {
                record.of_member(view);
            }
        }
        if let Some(text) = &event.text {
            record.text = text.as_bytes();
            record.code = event.code;
        }
        if let Some(target) = &event.target {
            record.key = target.as_bytes();
        }
        record
    })
}

/// A list of entries; ages are as of when each was read.
pub fn pack_entries(entries: &[EntryView]) -> Vec<u8> {
    pack(entries, |view| {
        let mut record = Record::default();
        record.entry(view, false);
        record
    })
}

/// A list of members; ages are as of `now`.
pub fn pack_members(members: &[MemberView], now: Time) -> Vec<u8> {
    pack(members, |view| {
        let mut record = Record::default();
        record.member(view, now);
        record
    })
}

fn pack<'a, T>(list: &'a [T], read: impl Fn(&'a T) -> Record<'a>) -> Vec<u8> {
    // Room for keys, ids and small values; what is larger grows it.
    let mut out = Vec::with_capacity(list.len() * (HEAD + 128));
    for item in list {
        read(item).put(&mut out);
    }
    out
}

#[derive(Default)]
struct Record<'a> {
    kind: u32,
    status: i32,
    tag: u64,
    node: u64,
    sub: u64,
    conflated: u64,
    seq: u64,
    generation: u64,
    age_ms: i64,
    number: i64,
    code: i32,
    value_kind: u32,
    plain_off: usize,
    member: &'a [u8],
    key: &'a [u8],
    type_url: &'a [u8],
    value: &'a [u8],
    text: &'a [u8],
    /// A member's address and tags, made here: the text and the value if there is one.
    made: Option<Box<(String, String)>>,
}

impl<'a> Record<'a> {
    fn entry(&mut self, view: &'a EntryView, deleted: bool) {
        let entry = &view.entry;
        let head = entry.head();
        let deleted = deleted || head.deleted;
        self.status = view.status.code();
        self.seq = head.seq;
        self.generation = head.life.generation;
        self.age_ms = millis(view.read_at, head.received);
        self.member = head.life.id.as_str().as_bytes();
        let key = entry.key_with_nul();
        self.key = &key[..key.len() - 1];
        if !deleted {
            self.type_url = entry.type_url().as_bytes();
            self.value = entry.value();
        }
        let plain = value::read(entry.type_url(), entry.value(), deleted);
        self.value_kind = plain.kind() as u32;
        match plain {
            Plain::Text(text) => {
                self.number = text.len() as i64;
                self.plain_off = value::text_offset(entry.value(), text);
            }
            Plain::Bool(b) => self.number = i64::from(b),
            Plain::Int(n) => self.number = n,
            Plain::Double(d) => self.number = d.to_bits() as i64,
            Plain::None | Plain::Bytes(_) | Plain::Message => {}
        }
    }

    /// Which member it is about.
    fn of_member(&mut self, view: &'a MemberView) {
        self.status = view.status.code();
        self.generation = view.life.generation;
        self.member = view.life.id.as_str().as_bytes();
    }

    fn member(&mut self, view: &'a MemberView, now: Time) {
        self.of_member(view);
        self.age_ms = millis(now, view.since);
        self.number = view.rtt_us.map_or(-1, i64::from);
        self.code = i32::from(view.is_self);
        let mut tags = String::new();
        for (name, value) in view.tags.iter() {
            for (text, end) in [(name, '='), (value, '\n')] {
                // A line is a tag, whatever a member has put into its tags.
                tags.extend(text.chars().map(|c| if c == '\n' { ' ' } else { c }));
                tags.push(end);
            }
        }
        self.made = Some(Box::new((view.address.to_string(), tags)));
    }

    fn put(&self, out: &mut Vec<u8>) {
        let (text, value) = match &self.made {
            Some(made) => (made.0.as_bytes(), made.1.as_bytes()),
            None => (self.text, self.value),
        };
        let texts = [self.member, self.key, self.type_url, value, text];
        let len = HEAD + texts.iter().map(|t| t.len()).sum::<usize>();
        let size = len.next_multiple_of(8);
        // Limits of the store keep all lengths far below 4 GiB.
        let Ok(size_field) = u32::try_from(size) else { return };
        let len_of = |text: &[u8]| (text.len() as u32).to_le_bytes();

        let mut head = [0; HEAD];
        let mut at = 0;
        let mut field = |bytes: &[u8]| {
            head[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        field(&size_field.to_le_bytes());
        field(&(HEAD as u32).to_le_bytes());
        field(&self.kind.to_le_bytes());
        field(&self.status.to_le_bytes());
        field(&self.tag.to_le_bytes());
        field(&self.node.to_le_bytes());
        field(&self.sub.to_le_bytes());
        field(&self.conflated.to_le_bytes());
        field(&self.seq.to_le_bytes());
        field(&self.generation.to_le_bytes());
        field(&self.age_ms.to_le_bytes());
        field(&self.number.to_le_bytes());
        field(&self.code.to_le_bytes());
        field(&self.value_kind.to_le_bytes());
        texts.iter().for_each(|text| field(&len_of(text)));
        field(&(self.plain_off as u32).to_le_bytes());

        out.reserve(size);
        out.extend_from_slice(&head);
        texts.iter().for_each(|text| out.extend_from_slice(text));
        out.resize(out.len() + size - len, 0);
    }
}

fn millis(now: Time, then: Time) -> i64 {
    i64::try_from(now.millis_since(then)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
