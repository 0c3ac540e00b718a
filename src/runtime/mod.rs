//! Sockets, timers, threads: what the sans-IO engine needs to run on a real machine. Holds no protocol rule.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`node`] | [`Node`](node::Node), what a Rust host and the C ABI call |
//! | [`value`], [`changes`] | values as Rust types; changes as an iterator, blocking or async |
//! | `driver`, [`drain`] | the task of a node: inputs to the engine, and its outputs out; `drain` is the simulator's too |
//! | `net`, `socket`, `stream` | UDP and TCP |
//! | `advertise`, `resolve` | the address that others are told; names to addresses |
//! | `dispatcher` | the thread that calls callbacks |
//! | `progress` | waiting for a state, blocking or async |
//! | [`caught`] | panics as texts |
//! | `pool` | the one tokio runtime of the process |
//! | [`clock`] | time and randomness: the only module that asks the system for them |
//! | [`fork`], `signals` | being a good guest in the host's process |

mod advertise;
pub mod caught;
pub mod changes;
pub mod clock;
mod dispatcher;
pub mod drain;
mod driver;
#[allow(unsafe_code)] // pthread_atfork
pub mod fork;
mod net;
pub mod node;
mod open;
mod pool;
mod progress;
mod report;
mod resolve;
mod shared;
#[allow(unsafe_code)] // pthread_sigmask
mod signals;
mod socket;
mod stats;
mod stream;
pub mod value;
