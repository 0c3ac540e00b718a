//! The whole state at once: as Proto.Actor encodes it, and as JSON.

use prost::Message;

use super::Store;
use super::entry::Entry;
use crate::time::Time;
use crate::wire::proto::gossip::gossip_state::GossipMemberState;
use crate::wire::proto::gossip::{GossipKeyValue, GossipState};

impl Store {
    /// All visible entries of present members as `cluster.gossip.GossipState`.
    ///
    /// `wall_ms` is the wall clock now in ms since 1970: entries carry the wall time at which this node received them.
    pub fn snapshot(&self, now: Time, wall_ms: i64) -> GossipState {
        let mut state = GossipState::default();
        for member in self.members.list(false) {
            state.members.insert(member.life.id.as_str().to_owned(), GossipMemberState::default());
        }
        for view in self.get_prefix(now, None, "", false) {
            let entry = &view.entry;
            let member = state.members.entry(entry.head().life.id.as_str().to_owned()).or_default();
            let value = GossipKeyValue {
                sequence_number: entry.seq() as i64,
                value: Some(prost_types::Any { type_url: entry.type_url().to_owned(), value: entry.value().to_vec() }),
                local_timestamp_unix_milliseconds: wall_ms - age_ms(entry, now),
            };
            member.values.insert(entry.key().to_owned(), value);
        }
        state
    }

    /// [`Store::snapshot`] as bytes.
    pub fn snapshot_protobuf(&self, now: Time, wall_ms: i64) -> Vec<u8> {
        self.snapshot(now, wall_ms).encode_to_vec()
    }

    /// The same as JSON: member → key → sequence number, type URL, value in hex, timestamp.
    pub fn snapshot_json(&self, now: Time, wall_ms: i64) -> String {
        let members: serde_json::Map<_, _> = self
            .snapshot(now, wall_ms)
            .members
            .into_iter()
            .map(|(member, state)| {
                let values: serde_json::Map<_, _> = state
                    .values
                    .into_iter()
                    .map(|(key, kv)| {
                        let any = kv.value.unwrap_or_default();
                        let hex: String = any.value.iter().map(|b| format!("{b:02x}")).collect();
                        let value = serde_json::json!({
                            "sequence_number": kv.sequence_number,
                            "type_url": any.type_url,
                            "value_hex": hex,
                            "local_timestamp_unix_milliseconds": kv.local_timestamp_unix_milliseconds,
                        });
                        (key, value)
                    })
                    .collect();
                (member, serde_json::Value::Object(values))
            })
            .collect();
        serde_json::json!({ "members": members }).to_string()
    }
}

fn age_ms(entry: &Entry, now: Time) -> i64 {
    i64::try_from(now.millis_since(entry.head().received)).unwrap_or(i64::MAX)
}
