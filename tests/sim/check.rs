//! What must hold in every run, whatever the faults.

use std::collections::HashMap;
use std::time::Duration;

use cluster_gossip::store::event::{Event, kind};
use cluster_gossip::store::queue::TakeError;

use super::World;

/// Generation, nonce, sequence number.
type Version = (u64, u64, u64);

/// Order of events as one subscriber sees them.
#[derive(Default)]
pub struct Order {
    /// Last version seen of each (member id, key), and whether as deleted.
    seen: HashMap<(String, String), (Version, bool)>,
    /// Members reported as joined and not as removed.
    joined: HashMap<String, bool>,
    pub events: u64,
}

impl Order {
    /// Takes an event in; says what is wrong with it.
    pub fn check(&mut self, event: &Event) -> Result<(), String> {
        self.events += 1;
        if let Some(view) = &event.entry {
            let entry = &view.entry;
            let member = entry.head().life.id.as_str().to_owned();
            let version = entry.version();
            if !self.joined.get(&member).copied().unwrap_or(false) {
                return Err(format!("an entry {:?} of {member} came before it joined", entry.key()));
            }
            let slot = self.seen.entry((member.clone(), entry.key().to_owned())).or_default();
            let deleted = event.kind == kind::ENTRY_DELETED;
            // What expires is told as deleted with the number that it was set with.
            let expired = deleted && version == slot.0 && !slot.1;
            if version <= slot.0 && !expired {
                return Err(format!(
                    "{:?} of {member}: event {:#x} of {version:?} (deleted: {}) came after {slot:?}",
                    entry.key(),
                    event.kind,
                    entry.head().deleted,
                ));
            }
            *slot = (version, deleted);
        }
        if let Some(member) = &event.member {
            let id = member.life.id.as_str().to_owned();
            if event.kind == kind::MEMBER_RESTARTED {
                // Removed and back as the same life, in one event: its entries come anew.
                self.seen.retain(|(m, _), (version, _)| *m != id || version.1 != member.life.nonce);
            }
            match event.kind {
                kind::MEMBER_JOINED if self.joined.insert(id.clone(), true) == Some(true) => {
                    return Err(format!("{id} joined twice"));
                }
                kind::MEMBER_REMOVED => {
                    // Its state is gone here; if it comes back from behind a partition, so does all of it.
                    self.seen.retain(|(member, _), _| *member != id);
                    self.joined.insert(id, false);
                }
                kind::ENTRY_REFUSED | kind::MEMBER_JOINED => {}
                _ if !self.joined.get(&id).copied().unwrap_or(false) => {
                    return Err(format!("event {:#x} of {id}, which is not joined", event.kind));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Takes all events at every node and checks their order.
pub fn order(world: &mut World) -> Result<(), String> {
    let now = world.now;
    for node in &mut world.nodes {
        loop {
            match node.queue.take(0, Some(Duration::ZERO), &|| now) {
                Ok(events) => {
                    for event in &events {
                        node.order.check(event).map_err(|e| format!("at {}: {e}", node.id))?;
                    }
                }
                Err(TakeError::Timeout) => break,
                Err(e) => return Err(format!("taking at {}: {e:?}", node.id)),
            }
        }
    }
    Ok(())
}

/// What one running member sees of another that is not as it is there.
pub fn difference(world: &World) -> Option<String> {
    let members = world.members();
    for &owner in &members {
        let node = &world.nodes[owner];
        let own: Vec<_> = node.store.get_prefix(world.now, Some(&node.id), "", true);
        for &reader in &members {
            let at = &world.nodes[reader];
            let Some(view) = at.store.members.by_id(&node.id) else {
                return Some(format!("{} does not know {}", at.id, node.id));
            };
            if !view.status.is_present() {
                return Some(format!("{} holds {} to be {}", at.id, node.id, view.status.word()));
            }
            let seen: Vec<_> = at.store.get_prefix(world.now, Some(&node.id), "", true);
            for (a, b) in own.iter().zip(&seen) {
                if a.entry.version() != b.entry.version() || a.entry.value() != b.entry.value() {
                    return Some(format!(
                        "{} sees {:?} {:?} of {}, which has {:?} {:?}",
                        at.id,
                        b.entry.key(),
                        b.entry.version(),
                        node.id,
                        a.entry.key(),
                        a.entry.version(),
                    ));
                }
            }
            if own.len() != seen.len() {
                return Some(format!("{} sees {} keys of {}, which has {}", at.id, seen.len(), node.id, own.len()));
            }
        }
    }
    None
}

/// No member counts as committed at another more than that one holds.
pub fn offsets(world: &World) -> Result<(), String> {
    let members = world.members();
    let held: HashMap<&str, serde_json::Value> = members
        .iter()
        .map(|n| (world.nodes[*n].id.as_str(), world.nodes[*n].engine.held_json().parse().unwrap()))
        .collect();
    for &n in &members {
        let node = &world.nodes[n];
        let offsets: serde_json::Value = node.engine.offsets_json().parse().unwrap();
        for (target, owners) in offsets.as_object().unwrap() {
            let Some(at_target) = held.get(target.as_str()) else { continue };
            let Some(target_node) = members.iter().map(|n| &world.nodes[*n]).find(|t| t.id == *target) else {
                continue;
            };
            for (owner, offset) in owners.as_object().unwrap() {
                // Of two lives of one id the two may know different ones: then there is nothing to compare.
                let life = |at: &super::SimNode, id: &str| at.store.members.by_id(id).map(|m| m.life.nonce);
                if life(node, owner) != life(target_node, owner) || life(node, target) != life(target_node, target) {
                    continue;
                }
                let holds = at_target.get(owner).and_then(|v| v.as_u64()).unwrap_or(0);
                if offset.as_u64().unwrap() > holds {
                    return Err(format!(
                        "{} counts {offset} of {owner} as committed at {target}, which holds {holds}",
                        node.id
                    ));
                }
            }
        }
    }
    Ok(())
}

/// No datagram was larger than allowed.
pub fn packets(world: &World, limit: usize) -> Result<(), String> {
    match world.traffic.largest {
        largest if largest > limit => Err(format!("a datagram of {largest} bytes, over {limit}")),
        _ => Ok(()),
    }
}
