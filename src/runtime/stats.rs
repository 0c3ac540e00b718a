//! What the runtime counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! stats {
    ($($name:ident: $help:literal;)*) => {
        /// The counters of a node's sockets.
        #[derive(Debug, Default)]
        pub struct Stats {
            $(#[doc = $help] pub $name: Count,)*
        }

        impl Stats {
            /// Name, meaning and count of each.
            pub fn list(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), $help, self.$name.get()),)*]
            }
        }
    };
}

stats! {
    udp_sent_packets: "Datagrams handed to the operating system.";
    udp_sent_bytes: "Payload bytes of those datagrams.";
    udp_received_packets: "Datagrams received.";
    udp_received_bytes: "Payload bytes of those datagrams.";
    udp_send_dropped: "Datagrams dropped because the socket's send buffer was full.";
    udp_send_errors: "Datagrams that the operating system refused to send.";
    udp_unreachable: "Datagrams that the network said could not be delivered.";
    udp_receive_errors: "Errors on receiving datagrams.";
    tcp_probes: "Connections tried only to see whether a member that does not answer is still there.";
    tcp_sent_messages: "Messages written to streams.";
    tcp_sent_bytes: "Bytes of those messages, without their length prefix.";
    tcp_received_messages: "Messages received on streams.";
    tcp_received_bytes: "Bytes of those messages, without their length prefix.";
    tcp_send_dropped: "Messages dropped because too many bytes were waiting to be sent.";
    tcp_send_errors: "Messages that could not be sent: no connection, or no progress.";
    tcp_receive_errors: "Connections ended in the midst of a message, stuck, or with a length out of bounds.";
    tcp_refused: "Connections closed because of too many connections or too many unfinished bytes.";
    tcp_accept_errors: "Connections that could not be accepted.";
    resolve_errors: "Names that could not be looked up.";
}
