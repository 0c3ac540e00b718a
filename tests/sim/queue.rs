//! What is to happen, by time: a heap of small items, their contents in a slab beside it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use cluster_gossip::engine::Reached;
use cluster_gossip::time::Time;

/// Something that happens to a node, or at an address.
pub enum What {
    Datagram {
        to: SocketAddr,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Stream {
        to: SocketAddr,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    StreamFailed {
        node: usize,
        to: SocketAddr,
        why: &'static str,
    },
    Connected {
        node: usize,
        to: SocketAddr,
        reached: Reached,
    },
    /// The network says that nobody can be reached at an address.
    Unreachable {
        node: usize,
        to: SocketAddr,
    },
    Resolved {
        node: usize,
        seed: String,
        result: Result<Vec<SocketAddr>, String>,
    },
    Timer {
        node: usize,
    },
    /// The node goes on: its pause is over, or it is done with what it was busy with.
    Awake {
        node: usize,
    },
}

#[derive(Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<(Time, u64, u32)>>,
    slab: Vec<Option<What>>,
    free: Vec<u32>,
    order: u64,
    /// Buffers that have served and may serve again.
    buffers: Vec<Vec<u8>>,
}

/// Buffers kept for use again.
const BUFFERS: usize = 4096;

impl Agenda {
    /// Adds what is to happen at `at`, after all that is to happen then already.
    pub fn add(&mut self, at: Time, what: What) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot as usize] = Some(what);
                slot
            }
            None => {
                self.slab.push(Some(what));
                u32::try_from(self.slab.len() - 1).expect("fewer than 2^32 things are to happen")
            }
        };
        self.order += 1;
        self.heap.push(Reverse((at, self.order, slot)));
    }

    /// When the next thing is to happen.
    pub fn next(&self) -> Option<Time> {
        self.heap.peek().map(|item| item.0.0)
    }

    pub fn pop(&mut self) -> Option<(Time, What)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        let what = self.slab[slot as usize].take()?;
        self.free.push(slot);
        Some((at, what))
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// A buffer with a copy of `bytes`.
    pub fn buffer(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        buffer
    }

    pub fn give_back(&mut self, buffer: Vec<u8>) {
        if self.buffers.len() < BUFFERS && buffer.capacity() <= 4096 {
            self.buffers.push(buffer);
        }
    }
}

/// Time as a text for messages: seconds since the beginning of the world.
pub fn seconds(now: Time, start: Time) -> f64 {
    Duration::from_micros(now.as_micros() - start.as_micros()).as_secs_f64()
}
