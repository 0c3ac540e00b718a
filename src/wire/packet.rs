//! The packet: a head of 28 bytes, then frames. The same for a datagram and for a message on a stream.
//!
//! | offset | type | field |
//! | ---: | --- | --- |
//! | 0 | u8 | magic, 0xC6 |
//! | 1 | u8 | version of the wire format |
//! | 2 | u8 | flags; bit 0: sealed (reserved, with the next byte as key id and nonce and tag around the frames) |
//! | 3 | u8 | key id, 0 when not sealed |
//! | 4 | u32 | cluster: 32 bits of the hash of its name |
//! | 8 | u32 | CRC-32 (IEEE) of all other bytes |
//! | 12 | u64 | nonce of the sending life |
//! | 20 | u64 | nonce of the life it is meant for; 0: whoever has the address |
//!
//! A frame is its type (u8), the length of its body (varint) and its body. Frames of unknown type are passed over.

use super::codec::{Decoded, Malformed, Put, Reader};

/// First byte of every packet.
pub const MAGIC: u8 = 0xC6;
/// The wire format written here, and the oldest that is read.
pub const VERSION: u8 = 1;
/// Bytes before the first frame.
pub const HEAD: usize = 28;

const FLAG_SEALED: u8 = 1;

/// The head of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// [`cluster_tag`] of the cluster's name.
    pub cluster: u32,
    /// Nonce of the sending life.
    pub sender: u64,
    /// Nonce of the life it is meant for, or 0.
    pub target: u64,
}

/// Why a packet is dropped before its frames are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// Not one of ours, or cut off.
    Malformed,
    /// Of a version that is not read here.
    Version(u8),
    /// Of another cluster.
    Cluster,
    /// Sealed, which this node cannot open.
    Sealed,
    /// Changed on the way.
    Checksum,
}

/// What stands for the cluster's name in packets.
pub fn cluster_tag(name: &str) -> u32 {
    xxhash_rust::xxh3::xxh3_64_with_seed(name.as_bytes(), 0x636c_7573_7465_7200) as u32
}

/// Begins a packet; frames are appended to what it gives, then [`finish`].
pub fn begin(head: Head) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(&[MAGIC, VERSION, 0, 0]);
    bytes.extend_from_slice(&head.cluster.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&head.sender.to_le_bytes());
    bytes.extend_from_slice(&head.target.to_le_bytes());
    bytes
}

/// Appends a frame.
pub fn put_frame(bytes: &mut Vec<u8>, kind: u8, body: &[u8]) {
    bytes.push(kind);
    bytes.put_varint(body.len() as u64);
    bytes.extend_from_slice(body);
}

/// Fills in the checksum.
pub fn finish(bytes: &mut [u8]) {
    let sum = checksum(bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..8]);
    hasher.update(&bytes[12..]);
    hasher.finalize()
}

/// Checks a packet and gives its head and its frames.
pub fn open(bytes: &[u8], cluster: u32) -> Result<(Head, Frames<'_>), Reject> {
    let mut r = Reader::new(bytes);
    let mut head = || -> Decoded<_> {
        if r.u8()? != MAGIC {
            return Err(Malformed);
        }
        let (version, flags, _key) = (r.u8()?, r.u8()?, r.u8()?);
        Ok((version, flags, r.u32()?, r.u32()?, r.u64()?, r.u64()?))
    };
    let (version, flags, tag, sum, sender, target) = head().map_err(|Malformed| Reject::Malformed)?;
    if version != VERSION {
        return Err(Reject::Version(version));
    }
    if flags & FLAG_SEALED != 0 {
        return Err(Reject::Sealed);
    }
    if sum != checksum(bytes) {
        return Err(Reject::Checksum);
    }
    if tag != cluster {
        return Err(Reject::Cluster);
    }
    if sender == 0 {
        return Err(Reject::Malformed);
    }
    Ok((Head { cluster: tag, sender, target }, Frames(r)))
}

/// Frames that stand in `bytes` without a head before them.
pub fn frames(bytes: &[u8]) -> Frames<'_> {
    Frames(Reader::new(bytes))
}

/// The frames of a packet, in order, as type and body.
#[derive(Clone, Debug)]
pub struct Frames<'a>(Reader<'a>);

impl<'a> Iterator for Frames<'a> {
    type Item = Decoded<(u8, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut read = || {
            let kind = self.0.u8()?;
            let len = self.0.count(self.0.len())?;
            Ok((kind, self.0.bytes(len)?))
        };
        let item = read();
        if item.is_err() {
            self.0 = Reader::new(&[]); // what follows a broken length means nothing
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Vec<u8> {
        let mut bytes = begin(Head { cluster: cluster_tag("shop"), sender: 7, target: 9 });
        put_frame(&mut bytes, 200, b"later");
        put_frame(&mut bytes, 1, b"");
        finish(&mut bytes);
        bytes
    }

    #[test]
    fn a_packet_reads_back() {
        let bytes = packet();
        let (head, frames) = open(&bytes, cluster_tag("shop")).unwrap();
        assert_eq!(head, Head { cluster: cluster_tag("shop"), sender: 7, target: 9 });
        assert_eq!(frames.collect::<Vec<_>>(), [Ok((200, &b"later"[..])), Ok((1, &b""[..]))]);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = packet();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&bad, cluster_tag("shop")).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = packet();
        for len in 0..bytes.len() {
            assert!(open(&bytes[..len], cluster_tag("shop")).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn another_cluster_and_another_version_are_told_apart() {
        assert_eq!(open(&packet(), cluster_tag("shoq")).unwrap_err(), Reject::Cluster);
        let mut bytes = packet();
        bytes[1] = 77;
        finish(&mut bytes);
        assert_eq!(open(&bytes, cluster_tag("shop")).unwrap_err(), Reject::Version(77));
    }
}
