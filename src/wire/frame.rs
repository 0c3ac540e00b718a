//! The frames of a packet, but for segments. Numbers of types are append-only.

use std::net::SocketAddr;

use super::codec::{Decoded, Malformed, Put, Reader};
use crate::store::members::{Cause, MemberStatus, Tags};

/// Types of frame. Append only; a number is never used again for something else.
pub mod kind {
    /// A newcomer to whoever has the address: lets me in. [`super::Join`].
    pub const JOIN: u8 = 1;
    /// The answer to a first `JOIN`: proves that the newcomer has its address. [`super::Challenge`].
    pub const CHALLENGE: u8 = 2;
    /// Records of members. [`super::Record`], one after the other.
    pub const MEMBERS: u8 = 3;
    /// Nonces (u64) whose records the sender wants.
    pub const WANT_MEMBERS: u8 = 4;
    /// What the sender holds of whom. [`super::Statement`].
    pub const STATEMENT: u8 = 5;
    /// Entries of one owner. [`super::super::segment::Segment`].
    pub const SEGMENT: u8 = 6;
    /// The packet was meant for another life (its nonce follows, u64) than the one that has the address.
    pub const NOT_ME: u8 = 7;
    /// A segment of fresh entries with the arc of the ring that the receiver is to pass it on in: two places (u64, after
    /// and up to), then the segment.
    pub const RUMOR: u8 = 8;
    /// A probe: answer with an `ACK`. [`super::super::probe::Ping`].
    pub const PING: u8 = 9;
    /// The answer to a `PING`, also handed on by one that was asked to probe. [`super::super::probe::Ping`].
    pub const ACK: u8 = 10;
    /// Probe that member for me. [`super::super::probe::PingFor`].
    pub const PING_FOR: u8 = 11;
    /// The member that I was to probe has not answered me in time; its `PING_FOR`'s number follows (u32).
    pub const NACK: u8 = 12;
    /// I suspect that member: probe it at once, and tell me if you cannot reach it either. [`super::super::probe::Accusation`].
    pub const CONFIRM: u8 = 13;
    /// I cannot reach that member either. [`super::super::probe::Accusation`].
    pub const ACCUSE: u8 = 14;
    /// Records of members with the arc of the ring that the receiver is to pass them on in: two places (u64, after and
    /// up to), then the records. [`super::Record`].
    pub const CLAIMS: u8 = 15;
    /// Entries that the sender holds, for the receiver to fetch if it lacks them, and to announce further: two places of
    /// an arc like a rumor's, then the owner (u64) and the number (varint) of the last entry.
    pub const ANNOUNCEMENT: u8 = 16;
    /// Other frames, compressed: their bytes before (varint), then an LZ4 block. On streams; never one within another.
    pub const COMPRESSED: u8 = 17;
    /// The sender serves as many streams as it may; the nonce (u64) of a member to ask instead, or 0.
    pub const BUSY: u8 = 18;
    /// Sums of the fingerprints of members, by the highest bits of their nonces: how many bits (u8, 6 to 8), then as many
    /// sums (u32) as they tell apart.
    pub const BUCKETS: u8 = 19;
    /// Whether the same stands under the same numbers: the sender's digest, a range of nonces (u64 each), and the sum of the
    /// contents of the members in it (u128). See `src/engine/content.rs`.
    pub const CONTENT: u8 = 20;
    /// Contents of single owners: 1 as the answer to `CONTENT`, 0 as the answer to that (u8), then for each its nonce (u64),
    /// its watermark (varint) and its content (u128).
    pub const CONTENT_ROWS: u8 = 21;
    /// Nothing: it makes a packet larger, so that the answer to it may be as large.
    pub const PADDING: u8 = 22;
    /// Entries begin to come on a stream: their owner (u64) and the last number (varint) of what is under way.
    pub const COMING: u8 = 23;
}

/// Bytes of a member's tags on the wire, names and values together, at most.
pub const MAX_TAGS: usize = 600;

/// What is known of a member: the unit in which membership travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The member's id.
    pub id: String,
    /// See [`crate::store::entry::Life`].
    pub generation: u64,
    /// See [`crate::store::entry::Life`].
    pub nonce: u64,
    /// Raised by the member itself to refute a claim or to change its tags or address.
    pub incarnation: u64,
    /// Alive, or the claim that it is not.
    pub status: MemberStatus,
    /// How long the claim has held, in ms; continued by receivers, never restarted.
    pub age_ms: u64,
    /// Where it is reached.
    pub address: SocketAddr,
    /// Wire versions that it reads, from and to.
    pub versions: (u8, u8),
    /// Its tags.
    pub tags: Tags,
    /// Suspect or dead: why.
    pub cause: Cause,
    /// Suspect or dead: nonce of the member that said so first; 0 if not known.
    pub accuser: u64,
}

impl Record {
    /// Appends the record.
    pub fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 2]);
        out.put_text(&self.id);
        out.put_varint(self.generation);
        out.extend_from_slice(&self.nonce.to_le_bytes());
        out.put_varint(self.incarnation);
        out.push(self.status.code() as u8);
        out.put_varint(self.age_ms);
        out.put_address(self.address);
        out.extend_from_slice(&[self.versions.0, self.versions.1]);
        out.put_varint(self.tags.len() as u64);
        for (name, value) in &self.tags {
            out.put_text(name);
            out.put_text(value);
        }
        if self.is_accused() {
            out.push(self.cause.code() as u8);
            out.extend_from_slice(&self.accuser.to_le_bytes());
        }
        // Its length before it: a later version may append to a record what this one passes over.
        let len = (out.len() - start - 2) as u16;
        out[start..start + 2].copy_from_slice(&len.to_le_bytes());
    }

    /// Reads a record.
    pub fn read(r: &mut Reader<'_>) -> Decoded<Record> {
        let len = r.u16()?;
        let mut r = Reader::new(r.bytes(len.into())?);
        let mut record = Record {
            id: r.text()?.to_owned(),
            generation: counter(r.varint()?)?,
            nonce: r.u64()?,
            incarnation: counter(r.varint()?)?,
            status: read_status(r.u8()?)?,
            age_ms: r.varint()?,
            address: r.address()?,
            versions: (r.u8()?, r.u8()?),
            tags: read_tags(&mut r)?,
            cause: Cause::None,
            accuser: 0,
        };
        if record.is_accused() {
            record.cause = Cause::from_code(r.u8()?);
            record.accuser = r.u64()?;
        }
        if record.id.is_empty() || record.nonce == 0 || record.address.port() == 0 {
            return Err(Malformed);
        }
        Ok(record)
    }

    fn is_accused(&self) -> bool {
        matches!(self.status, MemberStatus::Suspect | MemberStatus::Dead)
    }
}

/// Generations and incarnations end here: clocks in ms and counts of refutations never come near. Whoever hears of one has to
/// pass it, so one above is malformed.
pub const COUNTER_LIMIT: u64 = 1 << 53;

/// A number that its reader may have to raise.
pub fn counter(value: u64) -> Decoded<u64> {
    if value < COUNTER_LIMIT { Ok(value) } else { Err(Malformed) }
}

fn read_tags(r: &mut Reader<'_>) -> Decoded<Tags> {
    let mut tags = Tags::new();
    let mut bytes = 0;
    for _ in 0..r.count(MAX_TAGS)? {
        let (name, value) = (r.text()?, r.text()?);
        bytes += name.len() + value.len();
        if name.is_empty() || bytes > MAX_TAGS || tags.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Malformed);
        }
    }
    Ok(tags)
}

fn read_status(byte: u8) -> Decoded<MemberStatus> {
    Ok(match byte {
        1 => MemberStatus::Alive,
        2 => MemberStatus::Suspect,
        3 => MemberStatus::Dead,
        4 => MemberStatus::Leaving,
        5 => MemberStatus::Left,
        6 => MemberStatus::Banned,
        _ => return Err(Malformed),
    })
}

/// See [`kind::JOIN`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// From the challenge; 0 at first.
    pub token: u32,
    /// The newcomer.
    pub record: Record,
}

impl Join {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.token.to_le_bytes());
        self.record.put(&mut out);
        out
    }

    /// From its bytes.
    pub fn decode(body: &[u8]) -> Decoded<Join> {
        let mut r = Reader::new(body);
        Ok(Join { token: r.u32()?, record: Record::read(&mut r)? })
    }
}

/// See [`kind::CHALLENGE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// To be given back in the next `JOIN`.
    pub token: u32,
    /// The highest generation known of another life of the newcomer's id; 0 if none is.
    pub generation: u64,
}

impl Challenge {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.token.to_le_bytes());
        out.put_varint(self.generation);
        out
    }

    /// From its bytes.
    pub fn decode(body: &[u8]) -> Decoded<Challenge> {
        let mut r = Reader::new(body);
        Ok(Challenge { token: r.u32()?, generation: counter(r.varint()?)? })
    }
}

/// At most so many intervals above the watermark.
pub const MAX_INTERVALS: usize = 16;

/// What a member holds of an owner's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Held {
    /// Complete up to here.
    pub watermark: u64,
    /// Complete intervals (from, to] above it: ascending, apart from each other.
    pub above: Vec<(u64, u64)>,
}

/// One row of a statement: what the sender knows of a member, and holds of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which life.
    pub nonce: u64,
    /// Its incarnation, as far as the sender knows.
    pub incarnation: u64,
    /// Its status, likewise.
    pub status: MemberStatus,
    /// What the sender holds.
    pub held: Held,
    /// Highest number collected, as far as the sender knows.
    pub floor: u64,
    /// A reset is under way and has come to this number.
    pub reset: Option<u64>,
    /// What the sender lacks it has asked another member for: it needs not be sent.
    pub asked: bool,
}

const ROW_ABOVE: u8 = 0x10;
const ROW_RESET: u8 = 0x20;
const ROW_FLOOR: u8 = 0x40;
const ROW_ASKED: u8 = 0x80;

impl Row {
    /// Appends the row.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.nonce.to_le_bytes());
        out.put_varint(self.incarnation);
        let mut flags = self.status.code() as u8;
        flags |= if self.held.above.is_empty() { 0 } else { ROW_ABOVE };
        flags |= if self.reset.is_some() { ROW_RESET } else { 0 };
        flags |= if self.floor > 0 { ROW_FLOOR } else { 0 };
        flags |= if self.asked { ROW_ASKED } else { 0 };
        out.push(flags);
        out.put_varint(self.held.watermark);
        if !self.held.above.is_empty() {
            out.push(self.held.above.len() as u8);
            let mut last = self.held.watermark;
            for &(from, to) in &self.held.above {
                out.put_varint(from - last);
                out.put_varint(to - from);
                last = to;
            }
        }
        if let Some(pos) = self.reset {
            out.put_varint(pos);
        }
        if self.floor > 0 {
            out.put_varint(self.floor);
        }
    }

    /// Reads a row.
    pub fn read(r: &mut Reader<'_>) -> Decoded<Row> {
        let nonce = r.u64()?;
        let incarnation = counter(r.varint()?)?;
        let flags = r.u8()?;
        let mut held = Held { watermark: r.varint()?, above: Vec::new() };
        if flags & ROW_ABOVE != 0 {
            let n = usize::from(r.u8()?);
            if n == 0 || n > MAX_INTERVALS {
                return Err(Malformed);
            }
            let mut last = held.watermark;
            for _ in 0..n {
                let from = last.checked_add(r.varint()?).ok_or(Malformed)?;
                let to = from.checked_add(r.varint()?).ok_or(Malformed)?;
                if from == last || to == from {
                    return Err(Malformed);
                }
                held.above.push((from, to));
                last = to;
            }
        }
        let reset = if flags & ROW_RESET != 0 { Some(r.varint()?) } else { None };
        let floor = if flags & ROW_FLOOR != 0 { r.varint()? } else { 0 };
        if nonce == 0 {
            return Err(Malformed);
        }
        let (status, asked) = (read_status(flags & 0x0f)?, flags & ROW_ASKED != 0);
        Ok(Row { nonce, incarnation, status, held, floor, reset, asked })
    }
}

/// What a statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Says what the sender holds now, so that the receiver can send more or knows that it need not.
    Inform = 0,
    /// Asks for a `Reply`, or for `Equal`.
    Request = 1,
    /// Answers the request of the same number: the digests differ.
    Reply = 2,
    /// Acknowledges: what the sender lacks is under way to it, or it asks for it later.
    Ack = 3,
    /// Answers the request of the same number: the digests are equal.
    Equal = 4,
    /// Asks what the receiver holds of the owners of the rows.
    Query = 5,
}

impl Purpose {
    fn read(bits: u8) -> Decoded<Purpose> {
        use Purpose::*;
        [Inform, Request, Reply, Ack, Equal, Query].into_iter().find(|p| *p as u8 == bits).ok_or(Malformed)
    }

    /// Whether a request and its answers are told apart by a number.
    fn is_numbered(self) -> bool {
        matches!(self, Purpose::Request | Purpose::Reply | Purpose::Equal)
    }
}

/// Fingerprints over the present members: equal sums mean equal knowledge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// Over what is held of each member's entries.
    pub state: u64,
    /// Over who the members are.
    pub members: u64,
}

impl Roots {
    /// Both in one number, as it travels: a sum like each of them.
    pub fn digest(self) -> u64 {
        self.state.wrapping_add(self.members)
    }
}

/// See [`kind::STATEMENT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it is for.
    pub purpose: Purpose,
    /// Number of the request; 0 where there is none.
    pub id: u32,
    /// [`Roots::digest`] of the sender.
    pub digest: Option<u64>,
    /// The rows are all that the sender has with nonces in this inclusive range.
    pub range: Option<(u64, u64)>,
    /// The rows.
    pub rows: Vec<Row>,
}

const STATEMENT_DIGEST: u8 = 0x10;
const STATEMENT_RANGE: u8 = 0x20;

impl Statement {
    /// One of rows alone.
    pub fn of_rows(purpose: Purpose, rows: Vec<Row>) -> Statement {
        Statement { purpose, id: 0, digest: None, range: None, rows }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.rows.len() * 16);
        let mut flags = self.purpose as u8;
        flags |= if self.digest.is_some() { STATEMENT_DIGEST } else { 0 };
        flags |= if self.range.is_some() { STATEMENT_RANGE } else { 0 };
        out.push(flags);
        if self.purpose.is_numbered() {
            out.extend_from_slice(&self.id.to_le_bytes());
        }
        if let Some(digest) = self.digest {
            out.extend_from_slice(&digest.to_le_bytes());
        }
        if let Some((lo, hi)) = self.range {
            out.extend_from_slice(&lo.to_le_bytes());
            out.extend_from_slice(&hi.to_le_bytes());
        }
        for row in &self.rows {
            row.put(&mut out);
        }
        out
    }

    /// From its bytes.
    pub fn decode(body: &[u8]) -> Decoded<Statement> {
        let mut r = Reader::new(body);
        let flags = r.u8()?;
        if flags & !(0x0f | STATEMENT_DIGEST | STATEMENT_RANGE) != 0 {
            return Err(Malformed);
        }
        let purpose = Purpose::read(flags & 0x0f)?;
        let id = if purpose.is_numbered() { r.u32()? } else { 0 };
        let digest = if flags & STATEMENT_DIGEST != 0 { Some(r.u64()?) } else { None };
        let range = match flags & STATEMENT_RANGE {
            0 => None,
            _ => Some((r.u64()?, r.u64()?)).filter(|(lo, hi)| lo <= hi).map(Some).ok_or(Malformed)?,
        };
        let mut rows = Vec::new();
        while !r.is_empty() {
            rows.push(Row::read(&mut r)?);
        }
        Ok(Statement { purpose, id, digest, range, rows })
    }
}

/// Records as the body of a `MEMBERS` frame.
pub fn decode_records(body: &[u8]) -> Decoded<Vec<Record>> {
    let mut r = Reader::new(body);
    let mut records = Vec::new();
    while !r.is_empty() {
        records.push(Record::read(&mut r)?);
    }
    Ok(records)
}

/// Sums as the body of a `BUCKETS` frame.
pub fn encode_buckets(sums: &[u32]) -> Vec<u8> {
    let mut body = vec![sums.len().ilog2() as u8];
    sums.iter().for_each(|sum| body.extend_from_slice(&sum.to_le_bytes()));
    body
}

/// Sums from the body of a `BUCKETS` frame.
pub fn decode_buckets(body: &[u8]) -> Decoded<Vec<u32>> {
    let mut r = Reader::new(body);
    let bits = r.u8()?;
    if !(6..=8).contains(&bits) {
        return Err(Malformed);
    }
    let sums = (0..1 << bits).map(|_| r.u32()).collect::<Decoded<_>>()?;
    if r.is_empty() { Ok(sums) } else { Err(Malformed) }
}

/// Nonces as the body of a `WANT_MEMBERS` frame.
pub fn decode_nonces(body: &[u8]) -> Decoded<Vec<u64>> {
    let mut r = Reader::new(body);
    let mut nonces = Vec::with_capacity(body.len() / 8);
    while !r.is_empty() {
        nonces.push(r.u64()?);
    }
    Ok(nonces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn status() -> impl Strategy<Value = MemberStatus> {
        (1u8..=6).prop_map(|b| read_status(b).unwrap())
    }

    fn row() -> impl Strategy<Value = Row> {
        let above = vec((1u64..1000, 1u64..1000), 0..=MAX_INTERVALS);
        (1u64.., any::<u64>(), status(), 0u64..1 << 40, above, any::<Option<u64>>()).prop_map(
            |(nonce, incarnation, status, watermark, steps, reset)| {
                let mut last = watermark;
                let above = steps
                    .into_iter()
                    .map(|(gap, len)| {
                        let from = last + gap;
                        last = from + len;
                        (from, last)
                    })
                    .collect();
                let floor = incarnation >> 40;
                let (held, asked) = (Held { watermark, above }, incarnation & 1 != 0);
                Row { nonce, incarnation: incarnation >> 11, status, held, floor, reset, asked }
            },
        )
    }

    fn record() -> impl Strategy<Value = Record> {
        let tags = proptest::collection::btree_map("[a-z]{1,8}", "[ -~]{0,20}", 0..5);
        ("[^\0]{1,60}", any::<[u64; 2]>(), 1u64.., status(), 1u16.., tags, any::<[u8; 4]>()).prop_map(
            |(id, [generation, age_ms], nonce, status, port, tags, ip)| {
                let accused = matches!(status, MemberStatus::Suspect | MemberStatus::Dead);
                Record {
                    id,
                    generation: generation >> 11,
                    nonce,
                    incarnation: age_ms >> 11,
                    status,
                    age_ms,
                    address: SocketAddr::from((ip, port)),
                    versions: (1, 1),
                    tags,
                    cause: if accused { Cause::from_code((nonce % 5) as u8) } else { Cause::None },
                    accuser: if accused { generation } else { 0 },
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_statement_reads_back(rows in vec(row(), 0..40), id: u32, purpose in 0u8..6, with in any::<[bool; 2]>(), a: u64, b: u64) {
            let purpose = Purpose::read(purpose).unwrap();
            let statement = Statement {
                purpose,
                id: if purpose.is_numbered() { id } else { 0 },
                digest: with[0].then_some(a),
                range: with[1].then_some((a.min(b), a.max(b))),
                rows,
            };
            prop_assert_eq!(Statement::decode(&statement.encode()), Ok(statement));
        }

        #[test]
        fn records_read_back(records in vec(record(), 0..5), token: u32) {
            let mut body = Vec::new();
            records.iter().for_each(|r| r.put(&mut body));
            prop_assert_eq!(decode_records(&body), Ok(records.clone()));
            for record in records {
                let join = Join { token, record };
                prop_assert_eq!(Join::decode(&join.encode()), Ok(join));
            }
        }

        #[test]
        fn buckets_read_back(sums in vec(any::<u32>(), 256), bits in 6u32..=8) {
            let sums = &sums[..1 << bits];
            prop_assert_eq!(decode_buckets(&encode_buckets(sums)), Ok(sums.to_vec()));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
            let _ = decode_buckets(&bytes);
            let _ = Statement::decode(&bytes);
            let _ = decode_records(&bytes);
            let _ = decode_nonces(&bytes);
            let _ = Join::decode(&bytes);
            let _ = Challenge::decode(&bytes);
        }
    }
}
