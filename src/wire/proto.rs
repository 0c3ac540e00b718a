//! Generated from `proto/`: Proto.Actor's messages, and those of this library's own.
#![allow(missing_docs)] // the .proto files say what each is

/// Package `cluster`.
pub mod cluster {
    include!(concat!(env!("OUT_DIR"), "/cluster.rs"));
}

/// Package `cluster.gossip`.
pub mod gossip {
    include!(concat!(env!("OUT_DIR"), "/cluster.gossip.rs"));
}

/// Package `cluster_gossip`.
pub mod cluster_gossip {
    include!(concat!(env!("OUT_DIR"), "/cluster_gossip.rs"));
}
