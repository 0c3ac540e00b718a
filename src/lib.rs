//! Cluster Gossip: programs of any language in one cluster that share small pieces of state.
//!
//! The floors of the house, top to bottom; a module uses only those below it:
//!
//! | module | what it is |
//! | --- | --- |
//! | [`ffi`] | the C ABI: pointer checks, panic guard, status mapping |
//! | [`runtime`] | sockets, timers, threads; [`Node`] for Rust hosts; the only reader of clock and OS randomness |
//! | [`engine`] | the protocol, sans-IO: time and bytes in, bytes and events out |
//! | [`store`] | the entries, shared by API calls and engine; subscriptions and queues |
//! | [`wire`] | packets and protobuf messages as bytes |
//! | [`config`] | the settings |

pub mod config;
pub mod engine;
pub mod error;
#[allow(unsafe_code)] // the border to C
pub mod ffi;
pub mod runtime;
pub mod store;
pub mod time;
pub mod wire;

pub use config::Config;
pub use error::{Error, Result, Status};
pub use runtime::changes::Changes;
pub use runtime::node::{Format, Node, SetOptions, Subscription};
pub use runtime::value::Value;
pub use store::NodeState;
pub use store::event::{EntryView, Event, Level, kind};
pub use store::hub::Filter;
pub use store::members::{MemberStatus, MemberView};
