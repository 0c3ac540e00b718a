//! The topology: who is here, as one hash, told to the host and published a while after the last change.

use std::time::Duration;

use prost::Message;
use xxhash_rust::xxh3::xxh3_64;

use super::Engine;
use crate::store::own::key;
use crate::time::Time;
use crate::wire::proto::cluster::ClusterTopology;

const TYPE_URL: &str = "type.googleapis.com/cluster.ClusterTopology";

/// The members must have stayed the same for so long.
const SETTLE: Duration = Duration::from_secs(1);

/// When to look, and what was told last.
#[derive(Debug, Default)]
pub struct Topology {
    due: Option<Time>,
    told: Option<(usize, u64)>,
}

impl Topology {
    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        self.due.unwrap_or(Time::NEVER)
    }
}

impl Engine {
    /// A member has come or gone.
    pub(super) fn topology_changed(&mut self, now: Time) {
        self.topology.due = Some(now + SETTLE);
    }

    /// Tells and publishes the topology, if it has come to rest and is another one than before.
    pub(super) fn topology_timeout(&mut self, now: Time) {
        if self.topology.due.is_none_or(|due| due > now) {
            return;
        }
        self.topology.due = None;
        if !self.is_member() {
            return;
        }
        // A sum, so that the order of the members does not matter.
        let here = self.ring.members().iter().filter_map(|nonce| self.members.get(nonce));
        let ids = here.map(|m| xxh3_64(m.claim.life.id.as_str().as_bytes()));
        let (count, hash) = ids.fold((0, 0u64), |(count, sum), hash| (count + 1, sum.wrapping_add(hash)));
        if self.topology.told.replace((count, hash)) == Some((count, hash)) {
            return;
        }
        self.store.hub.topology(count, hash, now);
        if count <= self.settings.topology_members {
            let value = ClusterTopology { topology_hash: hash, ..Default::default() }.encode_to_vec();
            if let Err(error) = self.store.set_reserved(now, key::TOPOLOGY, TYPE_URL, &value, false) {
                self.log(now, crate::store::event::Level::Debug, || format!("the topology is not published: {error}"));
            }
        }
    }
}
