//! The settings as the library uses them: typed, checked, with their defaults.

use std::time::Duration;

use crate::store::event::Level;
use crate::store::members::Tags;

/// All settings of a node after parsing and checking. Made from text by [`super::Config`]; meaning, bounds and defaults
/// stand in `table.rs`.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // `table.rs` documents each
pub struct Settings {
    pub cluster: String,
    /// Empty: 32 random hex digits at each start.
    pub id: String,
    pub tags: Tags,
    /// `host:port` or `[v6]:port`; empty: every address, port 0.
    pub bind: String,
    /// `host`, `host:port` or `[v6]:port`; empty: chosen.
    pub advertise: String,
    /// `host:port` each.
    pub seeds: Vec<String>,
    pub max_packet: usize,
    pub gossip_interval: Duration,
    pub gossip_fanout: usize,
    /// Member states in one exchange.
    pub gossip_max_send: usize,
    pub gossip_settle: Duration,
    pub rumors: bool,
    pub probe_interval: Duration,
    pub probe_random_interval: Duration,
    pub probe_timeout: Duration,
    pub indirect_probes: usize,
    pub lifeguard: bool,
    pub health_max: usize,
    pub confirmers: usize,
    pub confirmations: usize,
    pub suspicion_refused: Duration,
    pub suspicion_min: Duration,
    pub suspicion_silent: Duration,
    pub suspicion_stalled: Duration,
    pub dead_probe_interval: Duration,
    pub heartbeat_interval: Duration,
    pub heartbeat_expiration: Duration,
    pub topology_members: usize,
    pub join_retry: Duration,
    pub join_retry_max: Duration,
    pub seed_interval: Duration,
    pub leave_timeout: Duration,
    pub leave_acks: usize,
    pub max_members: usize,
    pub max_keys_per_member: usize,
    pub max_state_size_per_member: usize,
    pub max_value_size: usize,
    pub tombstone_grace: Duration,
    pub departed_grace: Duration,
    pub departed_record: Duration,
    pub log_level: Option<Level>,
    pub worker_threads: usize,
    pub content_interval: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            cluster: "default".into(),
            id: String::new(),
            tags: Tags::new(),
            bind: String::new(),
            advertise: String::new(),
            seeds: Vec::new(),
            max_packet: 1400,
            gossip_interval: Duration::from_millis(300),
            gossip_fanout: 3,
            gossip_max_send: 50,
            gossip_settle: Duration::from_millis(50),
            rumors: true,
            probe_interval: Duration::from_secs(1),
            probe_random_interval: Duration::from_secs(5),
            probe_timeout: Duration::from_millis(500),
            indirect_probes: 3,
            lifeguard: true,
            health_max: 8,
            confirmers: 5,
            confirmations: 3,
            suspicion_refused: Duration::from_millis(400),
            suspicion_min: Duration::from_secs(1),
            suspicion_silent: Duration::from_secs(4),
            suspicion_stalled: Duration::from_secs(15),
            dead_probe_interval: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(10),
            heartbeat_expiration: Duration::ZERO,
            topology_members: 50,
            join_retry: Duration::from_millis(50),
            join_retry_max: Duration::from_secs(5),
            seed_interval: Duration::from_secs(30),
            leave_timeout: Duration::from_secs(1),
            leave_acks: 3,
            max_members: 16_384,
            max_keys_per_member: 1_000_000,
            max_state_size_per_member: 256 << 20,
            max_value_size: 16 << 20,
            tombstone_grace: Duration::from_secs(3600),
            departed_grace: Duration::from_secs(600),
            departed_record: Duration::from_secs(24 * 3600),
            log_level: Some(Level::Warn),
            worker_threads: 2,
            content_interval: Duration::from_secs(600),
        }
    }
}

impl Settings {
    /// Bytes that the largest packet about this node alone needs: its id and tags, its id once more as a
    /// target, the name of the cluster, and 128 bytes for addresses, numbers and what seals a packet.
    pub fn smallest_packet(&self) -> usize {
        // An id that is not set yet is 32 random digits.
        let id = if self.id.is_empty() { 32 } else { self.id.len() };
        128 + self.cluster.len() + 2 * id + super::parse::tags_size(&self.tags)
    }
}
