//! Bans: what members make of them, and what must hold while they stand and once they are lifted. The rules are plain functions,
//! so that they can be tested.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_gossip::error::Status;
use cluster_gossip::store::NodeState;
use cluster_gossip::store::members::MemberStatus;

use super::{SimNode, World};

/// While all is quiet a ban is everywhere within so long.
const SPREADS_WITHIN: Duration = Duration::from_secs(5);

/// A ban that stands: of whom, and who has set it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ban {
    pub id: String,
    pub by: String,
}

/// The bans that stand at a node, in order.
pub fn at(node: &SimNode) -> Vec<Ban> {
    let all: Vec<serde_json::Value> =
        serde_json::from_str(&node.engine.bans_json()).expect("the engine writes a list as JSON");
    let text = |ban: &serde_json::Value, name: &str| ban[name].as_str().expect("a text").to_owned();
    all.iter().map(|ban| Ban { id: text(ban, "id"), by: text(ban, "by") }).collect()
}

/// Whether a member of this status takes part in the protocol: it is seen, or banned.
pub fn takes_part(status: MemberStatus) -> bool {
    status.is_present() || status == MemberStatus::Banned
}

/// The host of a node bans an id. It never is refused: nobody here has that many.
pub fn ban(world: &mut World, node: usize, id: &str) {
    let result = world.call(node, |engine, now| engine.ban(now, id));
    note(world, node, "ban", id, result);
}

/// The host of a node lifts all bans of an id.
pub fn unban(world: &mut World, node: usize, id: &str) {
    let result = world.call(node, |engine, now| engine.unban(now, id));
    note(world, node, "unban", id, result);
}

fn note(world: &mut World, node: usize, what: &str, id: &str, result: cluster_gossip::error::Result<()>) {
    if let Err(error) = result {
        let at = &world.nodes[node].id;
        world.violations.push(format!("bans: {at} cannot {what} {id}: {error}"));
    }
}

/// What a node makes of the bans that it knows.
#[derive(Clone, Debug)]
pub struct View {
    pub id: String,
    pub state: NodeState,
    /// Ids of which a ban stands here.
    pub banned: BTreeSet<String>,
    /// The latest life of each id, and what is held of it.
    pub members: Vec<(String, MemberStatus)>,
    /// Whose entries a reader sees that does not ask for those of departed members.
    pub seen: BTreeSet<String>,
    /// Whether what its host writes is refused because it is banned.
    pub refuses: bool,
}

/// What a running node makes of the bans that it knows.
pub fn view(world: &World, n: usize) -> View {
    let node = &world.nodes[n];
    let all = node.store.members.list(true).into_iter().map(|m| m.id().to_owned());
    let latest = all.filter_map(|id| node.store.members.find(&id).map(|(_, status)| (id, status)));
    let seen = node.store.get_prefix(world.now, None, "", false);
    // There is no such key: where writing is refused altogether, that is said first.
    let refused = node.store.delete(world.now, "never").err().map(|error| error.status());
    View {
        id: node.id.clone(),
        state: node.store.state(),
        banned: at(node).into_iter().map(|ban| ban.id).collect(),
        members: latest.collect(),
        seen: seen.iter().map(|view| view.entry.head().life.id.as_str().to_owned()).collect(),
        refuses: refused == Some(Status::Banned),
    }
}

/// What stands is heeded, and nothing else: the member is hidden, it knows so itself, and its host may not write.
pub fn heeded(view: &View) -> Result<(), String> {
    let View { id: at, state, banned, .. } = view;
    for (id, status) in &view.members {
        if banned.contains(id) && status.is_present() {
            return Err(format!("bans: a ban of {id} stands at {at}, where it is {}", status.word()));
        }
        if !banned.contains(id) && *status == MemberStatus::Banned {
            return Err(format!("bans: {id} is banned at {at}, where no ban stands"));
        }
    }
    if let Some(id) = view.seen.intersection(banned).next() {
        return Err(format!("bans: entries of {id}, which is banned, are seen at {at}"));
    }
    let own = banned.contains(at);
    let may_be = match state {
        NodeState::Starting | NodeState::Joined | NodeState::Alone => !own && !view.refuses,
        NodeState::Banned => own && view.refuses,
        _ => true,
    };
    if !may_be {
        let (stands, refuses) = (if own { "a" } else { "no" }, view.refuses);
        return Err(format!(
            "bans: {stands} ban of {at} stands there, its state is {}, refusing {refuses}",
            state.word()
        ));
    }
    Ok(())
}

/// Members know the same bans; with `expected`, these. Each view: who knows, and what.
pub fn agree(views: &[(String, Vec<Ban>)], expected: Option<&[Ban]>) -> Result<(), String> {
    let Some((first, theirs)) = views.first() else { return Ok(()) };
    for (at, bans) in views {
        match expected {
            Some(expected) if bans != expected => {
                return Err(format!("bans: {bans:?} stand at {at}, where {expected:?} should"));
            }
            None if bans != theirs => {
                return Err(format!("bans: {bans:?} stand at {at}, and {theirs:?} at {first}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where members do not know the same bans (these, with `expected`).
pub fn unlike(world: &World, expected: Option<&[Ban]>) -> Option<String> {
    let members = world.members().into_iter().map(|n| &world.nodes[n]);
    let views: Vec<_> = members.map(|node| (node.id.clone(), at(node))).collect();
    agree(&views, expected).err()
}

/// All members know the same bans (these, with `expected`), and heed them.
pub fn check(world: &World, expected: Option<&[Ban]>) -> Result<(), String> {
    world.members().into_iter().try_for_each(|n| heeded(&view(world, n)))?;
    unlike(world, expected).map_or(Ok(()), Err)
}

/// Runs until all members know these bans, which takes no longer than a change of anything, and heed them.
pub fn until(world: &mut World, expected: &[Ban]) -> Result<(), String> {
    world.run_until(SPREADS_WITHIN, Duration::from_millis(50), |w| unlike(w, Some(expected)).is_none());
    let checked = check(world, Some(expected));
    checked.map_err(|e| format!("{e} (after {SPREADS_WITHIN:?} of quiet)"))
}
