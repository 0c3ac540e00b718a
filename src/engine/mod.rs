//! The protocol, sans-IO: time and bytes in, bytes and events out.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::settings::Settings;
use crate::time::Time;

/// Where bytes are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// One UDP datagram.
    Datagram,
    /// One message on a TCP stream: length-prefixed, at most a few MiB over `max_value_size`.
    Stream,
}

/// Bytes to send.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// To whom.
    pub to: SocketAddr,
    /// How.
    pub path: Path,
    /// The packet.
    pub bytes: Vec<u8>,
}

/// What the engine needs done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look up this `host:port`, then call [`Engine::handle_resolved`].
    Resolve(String),
}

/// What tells a new engine who it is.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Identity {
    /// The member id: setting `id`, or 32 random hex digits.
    pub id: String,
    /// Milliseconds of the wall clock at start.
    pub generation: u64,
    /// Random.
    pub nonce: u64,
    /// What others are told to reach this node at.
    pub address: SocketAddr,
    /// Seeds all randomness of the engine.
    pub rng_seed: u64,
}

/// The protocol of one node.
pub struct Engine {}

#[allow(unused_variables, missing_docs)]
impl Engine {
    pub fn new(settings: Arc<Settings>, identity: Identity, store: Arc<crate::store::Store>, now: Time) -> Engine {
        unimplemented!()
    }
    /// A datagram came in. Never fails: what is wrong is dropped and counted.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        unimplemented!()
    }
    /// A whole message came in on a stream. `from` is the peer's address and port of the connection, not its listening port.
    pub fn handle_stream(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        unimplemented!()
    }
    /// The store has been written to since.
    pub fn handle_dirty(&mut self, now: Time) {
        unimplemented!()
    }
    pub fn handle_timeout(&mut self, now: Time) {
        unimplemented!()
    }
    pub fn handle_resolved(&mut self, now: Time, seed: &str, result: Result<Vec<SocketAddr>, String>) {
        unimplemented!()
    }
    /// Sending to `to` failed; `too_big` for EMSGSIZE.
    pub fn handle_send_failed(&mut self, now: Time, to: SocketAddr, path: Path, too_big: bool, error: &str) {
        unimplemented!()
    }
    /// The address that others are told has been found out or has changed.
    pub fn handle_address(&mut self, now: Time, address: SocketAddr) {
        unimplemented!()
    }
    /// Starts leaving; the end is a change of [`crate::store::Store::state`].
    pub fn leave(&mut self, now: Time) {
        unimplemented!()
    }
    pub fn reconfigure(&mut self, now: Time, settings: Arc<Settings>) {
        unimplemented!()
    }
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        unimplemented!()
    }
    pub fn poll_action(&mut self) -> Option<Action> {
        unimplemented!()
    }
    /// When to call [`Engine::handle_timeout`].
    pub fn next_timeout(&self) -> Time {
        unimplemented!()
    }
    pub fn describe(&self, now: Time) -> String {
        unimplemented!()
    }
    pub fn offsets_json(&self) -> String {
        unimplemented!()
    }
    /// (name, help, is it a gauge, value)
    pub fn metrics(&self) -> Vec<(&'static str, &'static str, bool, u64)> {
        unimplemented!()
    }
}
