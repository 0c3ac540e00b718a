//! The heartbeat: the host's statistics, published when they change. Information, not liveness: that is what probes are for.
//!
//! Expiry as Proto.Actor has it exists, and is off by default: a member whose heartbeat has not come for so long is banned
//! until it comes again, which Proto.Actor never allows. See the module on bans.

use std::time::Duration;

use prost::Message;

use super::Engine;
use crate::store::members::MemberStatus;
use crate::store::own::key;
use crate::time::Time;
use crate::wire::proto::cluster::{ActorStatistics, MemberHeartbeat};

const TYPE_URL: &str = "type.googleapis.com/cluster.MemberHeartbeat";

/// What could not be published is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// When the heartbeat was published, and is to be.
#[derive(Debug, Default)]
pub struct Heartbeat {
    last: Option<Time>,
    due: Option<Time>,
}

impl Heartbeat {
    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        self.due.unwrap_or(Time::NEVER)
    }
}

impl Engine {
    /// The host may have changed its statistics.
    pub(super) fn heartbeat_changed(&mut self, now: Time) {
        if self.heartbeat.due.is_none() && self.store.statistics.has_changed() {
            let earliest = self.heartbeat.last.map_or(now, |last| last + self.settings.heartbeat_interval);
            self.heartbeat.due = Some(earliest.max(now));
            self.heartbeat_timeout(now);
        }
    }

    /// Publishes what is due.
    pub(super) fn heartbeat_timeout(&mut self, now: Time) {
        if self.settings.heartbeat_expiration.is_zero() {
            if self.heartbeat.due.is_none_or(|due| due > now) {
                return;
            }
        } else if self.heartbeat.due.is_some_and(|due| due > now) {
            return;
        }
        self.heartbeat.due = None;
        if !self.is_member() {
            return;
        }
        // Where heartbeats expire, they are given whether or not anything has changed.
        let beats = !self.settings.heartbeat_expiration.is_zero();
        let changed = self.store.statistics.take_changed();
        let news = changed.is_some();
        let mut next = self.settings.heartbeat_interval;
        if let Some(actor_count) = changed.or_else(|| beats.then(|| self.store.statistics.list())) {
            let value = MemberHeartbeat { actor_statistics: Some(ActorStatistics { actor_count }) }.encode_to_vec();
            match self.store.set_reserved(now, key::HEARTBEAT, TYPE_URL, &value, beats) {
                Ok(_) => self.heartbeat.last = Some(now),
                Err(error) => {
                    if news {
                        self.store.statistics.note_changed();
                    }
                    next = next.min(AGAIN);
                    self.heartbeat.due = Some(now + next);
                    self.warn(now, "heartbeat", error.status(), || {
                        format!(
                            "the heartbeat cannot be published: {error}; tried again in {:.1} s",
                            next.as_secs_f64()
                        )
                    });
                }
            }
        }
        if beats {
            self.heartbeat.due = Some(now + next);
        }
    }

    /// Other settings are in force: what waits for the former interval waits for the new one.
    pub(super) fn reschedule_heartbeat(&mut self, now: Time) {
        let beats = !self.settings.heartbeat_expiration.is_zero();
        if beats || self.heartbeat.due.is_some() {
            let earliest = self.heartbeat.last.map_or(now, |last| last + self.settings.heartbeat_interval);
            self.heartbeat.due = Some(earliest.max(now));
            self.heartbeat_timeout(now);
            self.drain_own(now);
        }
    }

    /// Bans members whose heartbeat has expired.
    pub(super) fn expire_heartbeats(&mut self, now: Time) {
        let expiration = self.settings.heartbeat_expiration;
        if expiration.is_zero() || !self.is_member() {
            return;
        }
        self.heartbeat_timeout(now);
        let mut expired = Vec::new();
        for (nonce, member) in self.members.iter().filter(|(nonce, m)| **nonce != self.me && m.is_present()) {
            let beat = self.store.entry(key::HEARTBEAT, *nonce).map(|e| e.head().written);
            // A newcomer has its time to send the first.
            let last = beat.unwrap_or(member.claim.since).max(member.claim.since);
            if now.since(last) > expiration && member.claim.status == MemberStatus::Alive {
                expired.push(member.claim.life.id.as_str().to_owned());
            }
        }
        if let Err(error) = self.ban_for_heartbeats(now, &expired) {
            self.warn(now, "bans", error.status(), || {
                format!("members cannot be banned for heartbeats that do not come: {error}")
            });
        }
    }
}
