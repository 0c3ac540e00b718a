//! The topology: who is here, as one hash, told to the host and published a while after the last change.

use std::time::Duration;

use prost::Message;
use rand::Rng;
use xxhash_rust::xxh3::xxh3_64;

use super::Engine;
use crate::store::own::key;
use crate::time::Time;
use crate::wire::proto::cluster::ClusterTopology;

const TYPE_URL: &str = "type.googleapis.com/cluster.ClusterTopology";

/// The members must have stayed the same for so long.
const SETTLE: Duration = Duration::from_secs(1);

/// Then they publish within this time for each member: were all to do it at once, each would have as many rumors to pass on.
const SPREAD: Duration = Duration::from_millis(10);

/// When to look, and what was told last.
#[derive(Debug, Default)]
pub struct Topology {
    due: Option<Time>,
    told: Option<(usize, u64)>,
    /// When what was told is published.
    publish: Option<Time>,
}

impl Topology {
    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        self.due.unwrap_or(Time::NEVER).min(self.publish.unwrap_or(Time::NEVER))
    }
}

impl Engine {
    /// A member has come or gone, or it is to be published otherwise.
    pub(super) fn topology_changed(&mut self, now: Time) {
        self.topology.due = Some(now + SETTLE);
        self.topology.publish = None;
    }

    /// Tells and publishes the topology, if it has come to rest and is another one than before.
    pub(super) fn topology_timeout(&mut self, now: Time) {
        if self.topology.due.is_some_and(|due| due <= now) {
            self.topology.due = None;
            self.tell_topology(now);
        }
        if self.topology.publish.is_some_and(|at| at <= now) {
            self.topology.publish = None;
            self.publish_topology(now);
        }
    }

    fn tell_topology(&mut self, now: Time) {
        if !self.is_member() {
            return;
        }
        // A sum, so that the order of the members does not matter.
        let here = self.ring.members().iter().filter_map(|nonce| self.members.get(nonce));
        let ids = here.map(|m| xxh3_64(m.claim.life.id.as_str().as_bytes()));
        let (count, hash) = ids.fold((0, 0u64), |(count, sum), hash| (count + 1, sum.wrapping_add(hash)));
        if self.topology.told.replace((count, hash)) != Some((count, hash)) {
            self.store.hub.topology(count, hash, now);
        }
        let within = u32::try_from(count).map_or(SPREAD, |count| SPREAD * count);
        self.topology.publish = Some(now + within.mul_f64(self.rng.random()));
    }

    fn publish_topology(&mut self, now: Time) {
        let Some((count, hash)) = self.topology.told.filter(|_| self.is_member()) else { return };
        let result = if count <= self.settings.topology_members {
            let value = ClusterTopology { topology_hash: hash, ..Default::default() }.encode_to_vec();
            self.store.set_reserved(now, key::TOPOLOGY, TYPE_URL, &value, false).map(drop)
        } else {
            // Better none than an old one.
            self.store.delete_reserved(now, key::TOPOLOGY)
        };
        if let Err(error) = result {
            self.log(now, crate::store::event::Level::Debug, || format!("the topology is not published: {error}"));
        }
    }
}
