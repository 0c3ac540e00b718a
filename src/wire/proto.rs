//! Generated from `proto/`: Proto.Actor's messages.
#![allow(missing_docs)] // the .proto files say what each is

/// Package `cluster`.
pub mod cluster {
    include!(concat!(env!("OUT_DIR"), "/cluster.rs"));
}

/// Package `cluster.gossip`.
pub mod gossip {
    include!(concat!(env!("OUT_DIR"), "/cluster.gossip.rs"));
}
