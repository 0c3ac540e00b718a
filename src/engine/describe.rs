//! What the engine tells of itself: a page for people, committed offsets, figures.

use std::fmt::Write;

use super::metrics::Metric;
use super::{Engine, Member};
use crate::time::Time;

/// Lines about members in the page, at most.
const MEMBER_LINES: usize = 100;

impl Engine {
    /// The engine's part of the page for people: seeds, members, what was dropped and why.
    pub fn describe(&self, now: Time) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_page(&mut page, now);
        page
    }

    fn write_page(&self, page: &mut String, now: Time) -> std::fmt::Result {
        let (state, why) = self.store.state_and_why();
        writeln!(page, "state: {}{}{why}", state.word(), if why.is_empty() { "" } else { ": " })?;
        let me = &self.members[&self.me];
        let (keys, bytes) = self.store.own_size();
        writeln!(
            page,
            "self: {} generation {} at {}; {keys} keys, {bytes} bytes, sequence number {}",
            me.claim.life.id.as_str(),
            me.claim.life.generation,
            me.claim.address,
            me.log.held().watermark,
        )?;
        writeln!(page, "fingerprints: state {:016x}, members {:016x}", self.roots.state, self.roots.members)?;
        writeln!(page, "seeds: {}", self.seeds.len())?;
        for seed in &self.seeds {
            writeln!(page, "  {}", seed.describe(now))?;
        }
        writeln!(page, "members: {} present, {} departed", self.others() + 1, self.members.len() - self.others() - 1)?;
        let mut members: Vec<&Member> = self.members.values().collect();
        members.sort_by(|a, b| a.claim.life.id.cmp(&b.claim.life.id));
        for member in members.iter().take(MEMBER_LINES) {
            let (claim, peer) = (&member.claim, &member.peer);
            let rtt =
                peer.srtt_us().map_or("rtt unknown".to_owned(), |us| format!("rtt {:.2} ms", f64::from(us) / 1000.0));
            let (keys, bytes) = member.log.size();
            write!(
                page,
                "  {} {} for {:.1} s at {}, {rtt}, {keys} keys, {bytes} bytes, held to {}",
                claim.life.id.as_str(),
                claim.status.word(),
                now.since(claim.since).as_secs_f64(),
                claim.address,
                member.log.held().watermark,
            )?;
            if !member.log.held().above.is_empty() {
                write!(page, " and {:?}", member.log.held().above)?;
            }
            if peer.unanswered > 0 {
                write!(page, ", {} requests unanswered", peer.unanswered)?;
            }
            writeln!(page)?;
        }
        if members.len() > MEMBER_LINES {
            writeln!(page, "  and {} more", members.len() - MEMBER_LINES)?;
        }
        writeln!(page, "dropped:")?;
        let drops = self.metrics();
        let drops = drops.iter().filter(|m| m.value > 0 && (m.name.starts_with("dropped") || m.name == "sends_failed"));
        let mut none = true;
        for metric in drops {
            none = false;
            writeln!(page, "  {} {}", metric.value, metric.help)?;
        }
        if none {
            writeln!(page, "  nothing")?;
        }
        Ok(())
    }

    /// What each member is proven to hold of each owner, as JSON: target id → owner id → watermark. The engine keeps
    /// what was said since a target was last proven equal, of other owners than this node for some seconds; for owners that
    /// have not changed since then, a target holds all that this node does.
    pub fn offsets_json(&self) -> String {
        let mut targets = serde_json::Map::new();
        for (nonce, target) in self.members.iter().filter(|(n, m)| **n != self.me && m.is_present()) {
            let mut owners = serde_json::Map::new();
            for (owner_nonce, owner) in self.members.iter() {
                // Fingerprints are over present members: they prove nothing about what is held of departed ones.
                let proven = owner.is_present() && owner.position <= target.peer.proven;
                let offset = if owner_nonce == nonce || proven {
                    owner.log.held().watermark
                } else {
                    match target.peer.offset(*owner_nonce, self.me) {
                        Some(watermark) => watermark,
                        None => continue, // not known: will be asked
                    }
                };
                owners.insert(owner.claim.life.id.as_str().to_owned(), offset.into());
            }
            targets.insert(target.claim.life.id.as_str().to_owned(), owners.into());
        }
        serde_json::Value::Object(targets).to_string()
    }

    /// What this node holds of each member's entries, as JSON: member id → watermark.
    pub fn held_json(&self) -> String {
        let owners: serde_json::Map<_, _> = self
            .members
            .values()
            .map(|m| (m.claim.life.id.as_str().to_owned(), m.log.held().watermark.into()))
            .collect();
        serde_json::Value::Object(owners).to_string()
    }

    /// All figures.
    pub fn metrics(&self) -> Vec<Metric> {
        let gauge = |name, help, value: usize| Metric { name, help, gauge: true, value: value as u64 };
        let mut all = self.counters.metrics();
        let (keys, bytes) = self.members.values().map(|m| m.log.size()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        all.push(gauge("members_present", "Members that are here, this node included", self.others() + 1));
        all.push(gauge(
            "members_departed",
            "Members that are gone and whose state is kept",
            self.members.len() - self.others() - 1,
        ));
        all.push(gauge("departed_records", "Members that are gone and only remembered", self.departed.len()));
        all.push(gauge("health", "Points against this node itself: 0 is well", self.probes.health as usize));
        all.push(gauge("keys", "Entries of all members that are not deleted", keys));
        all.push(gauge("state_bytes", "Bytes of their keys, values and type URLs", bytes));
        all.push(gauge("datagram_limit", "Largest datagram sent, in bytes", self.out.limit()));
        all
    }
}
