//! Frames on their way out: gathered into packets per destination, until the call that made them ends.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::metrics::{Counters, FRAME_KINDS};
use super::{Path, Transmit};
use crate::wire::codec::varint_len;
use crate::wire::compress::compress;
use crate::wire::frame::kind;
use crate::wire::packet::{self, HEAD, Head};

/// Who a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it is reached.
    pub address: SocketAddr,
    /// Which life; 0: whoever has the address.
    pub nonce: u64,
}

/// The longest queue of packets; one more is dropped and counted.
const MAX_QUEUE: usize = 16_384;

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    cluster: u32,
    me: u64,
    limit: usize,
    open: Vec<(Target, Vec<u8>)>,
    queue: VecDeque<Transmit>,
}

impl Outbox {
    /// Packets of the life `me`, datagrams of at most `limit` bytes.
    pub fn new(cluster: u32, me: u64, limit: usize) -> Outbox {
        Outbox { cluster, me, limit, open: Vec::new(), queue: VecDeque::new() }
    }

    /// The largest datagram.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the largest datagram.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Bytes that the body of one frame may have to fit a datagram of its own.
    pub fn room(&self) -> usize {
        self.limit - HEAD - 1 - varint_len(self.limit as u64)
    }

    /// Bytes of a packet of one frame.
    pub fn size(body: usize) -> usize {
        HEAD + 1 + varint_len(body as u64) + body
    }

    fn head(&self, target: Target) -> Head {
        Head { cluster: self.cluster, sender: self.me, target: target.nonce }
    }

    /// Adds a frame. One that fits no datagram goes as a message on a stream.
    pub fn frame(&mut self, target: Target, kind: u8, body: &[u8], counters: &mut Counters) {
        count(kind, body.len(), counters);
        let size = 1 + varint_len(body.len() as u64) + body.len();
        if HEAD + size > self.limit {
            let mut bytes = packet::begin(self.head(target));
            packet::put_frame(&mut bytes, kind, body);
            self.send(target.address, Path::Stream, bytes, counters);
            return;
        }
        if let Some(i) = self.open.iter().position(|(t, _)| *t == target) {
            if self.open[i].1.len() + size <= self.limit {
                packet::put_frame(&mut self.open[i].1, kind, body);
                return;
            }
            let (_, bytes) = self.open.remove(i);
            self.send(target.address, Path::Datagram, bytes, counters);
        }
        let mut bytes = packet::begin(self.head(target));
        packet::put_frame(&mut bytes, kind, body);
        self.open.push((target, bytes));
    }

    /// Sends frames together as one message on a stream, compressed if that helps.
    pub fn message(&mut self, target: Target, frames: &[(u8, Vec<u8>)], counters: &mut Counters) {
        let mut bytes = packet::begin(self.head(target));
        for (kind, body) in frames {
            count(*kind, body.len(), counters);
            packet::put_frame(&mut bytes, *kind, body);
        }
        if let Some(body) = compress(&bytes[HEAD..]) {
            bytes.truncate(HEAD);
            count(kind::COMPRESSED, body.len(), counters);
            packet::put_frame(&mut bytes, kind::COMPRESSED, &body);
        }
        self.send(target.address, Path::Stream, bytes, counters);
    }

    fn send(&mut self, to: SocketAddr, path: Path, mut bytes: Vec<u8>, counters: &mut Counters) {
        if self.queue.len() >= MAX_QUEUE {
            counters.dropped_queue_full += 1;
            return;
        }
        packet::finish(&mut bytes);
        match path {
            Path::Datagram => {
                counters.datagrams_sent += 1;
                counters.datagram_bytes_sent += bytes.len() as u64;
            }
            Path::Stream => {
                counters.messages_sent += 1;
                counters.message_bytes_sent += bytes.len() as u64;
            }
        }
        self.queue.push_back(Transmit { to, path, bytes });
    }

    /// Ends the packets begun.
    pub fn flush(&mut self, counters: &mut Counters) {
        for (target, bytes) in std::mem::take(&mut self.open) {
            self.send(target.address, Path::Datagram, bytes, counters);
        }
    }

    /// The next packet to send.
    pub fn pop(&mut self) -> Option<Transmit> {
        self.queue.pop_front()
    }
}

fn count(kind: u8, len: usize, counters: &mut Counters) {
    let i = usize::from(kind).min(FRAME_KINDS - 1);
    counters.frames_sent[i] += 1;
    counters.frame_bytes_sent[i] += len as u64;
}
