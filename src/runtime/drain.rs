//! Carrying out what the engine wants done: the same function under the runtime and under the simulator.

use std::net::SocketAddr;
use std::time::Duration;

use crate::engine::{Action, Engine, Path};

/// The outside world, as far as the engine acts on it.
pub trait Io {
    /// Sends a datagram. It may get lost; a failure that is known is told with `Engine::handle_send_failed` later.
    fn datagram(&mut self, to: SocketAddr, bytes: &[u8]);
    /// Sends a message over a stream; a failure is told like that of a datagram.
    fn stream(&mut self, to: SocketAddr, bytes: Vec<u8>);
    /// Looks up `host:port`; the answer is told with `Engine::handle_resolved` later.
    fn resolve(&mut self, seed: String);
    /// Tries a TCP connection; how that went is told with `Engine::handle_connected`, after `timeout` at the latest.
    fn connect(&mut self, to: SocketAddr, timeout: Duration);
}

/// Takes out of the engine what it has to send and to do, in that order, `budget` things at most. Gives whether the
/// budget was used up: there may be more.
pub fn drain(engine: &mut Engine, io: &mut impl Io, budget: usize) -> bool {
    let mut left = budget;
    while left > 0 {
        let Some(transmit) = engine.poll_transmit() else { break };
        left -= 1;
        match transmit.path {
            Path::Datagram => io.datagram(transmit.to, &transmit.bytes),
            Path::Stream => io.stream(transmit.to, transmit.bytes),
        }
    }
    while left > 0 {
        let Some(action) = engine.poll_action() else { break };
        left -= 1;
        match action {
            Action::Resolve(seed) => io.resolve(seed),
            Action::Connect { to, timeout } => io.connect(to, timeout),
        }
    }
    left == 0
}
