//! What must hold in every run, whatever the faults. Each gives what is wrong in words, its own name first.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use std::time::Duration;

use cluster_gossip::store::event::{EntryView, Event};
use cluster_gossip::store::queue::TakeError;
use cluster_gossip::time::Time;

use super::{SimNode, World, bans};

/// Takes all events at every node and checks each: order, nothing twice, nothing back, nothing invented. What waits in a
/// queue tells of each key of a life once at most: that bounds the queue.
pub fn order(world: &mut World) -> Result<(), String> {
    let now = world.now;
    for n in 0..world.nodes.len() {
        let node = &mut world.nodes[n];
        if !node.running() {
            continue;
        }
        let mut entries = 0;
        let mut keys = HashSet::new();
        loop {
            match node.queue.take(0, Some(Duration::ZERO), &|| now) {
                Ok(events) => {
                    events.iter().for_each(|event| trace(&node.id, event, now));
                    for event in &events {
                        if let Some(view) = &event.entry {
                            entries += 1;
                            keys.insert((view.entry.head().life.nonce, view.entry.key().to_owned()));
                        }
                        let checked = node.subscriber.check(event, &world.oracle, now);
                        checked.map_err(|e| format!("{e} (at {})", node.id))?;
                    }
                }
                Err(TakeError::Timeout) => break,
                Err(e) => return Err(format!("queues: taking at {}: {e:?}", node.id)),
            }
        }
        node.subscriber.taken().map_err(|e| format!("{e} (at {})", node.id))?;
        bounded(entries, keys.len(), "events of entries", &node.id)?;
    }
    match world.violations.first() {
        Some(first) => Err(first.clone()),
        None => Ok(()),
    }
}

/// With `SIM_EVENTS=a:b` in the environment, prints what is told at the member a about the member b.
fn trace(at: &str, event: &Event, now: Time) {
    static WANTED: OnceLock<Option<(String, String)>> = OnceLock::new();
    let read = || std::env::var("SIM_EVENTS").ok()?.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned()));
    let Some((observer, subject)) = WANTED.get_or_init(read) else { return };
    let entry = event.entry.as_ref().map(|v| (&v.entry.head().life, v.entry.key(), v.entry.seq()));
    let life = event.member.as_ref().map(|m| &m.life).or(entry.map(|(life, ..)| life));
    if at == observer && life.is_some_and(|life| life.id.as_str() == subject) {
        let seconds = super::queue::seconds(now, super::START);
        let status = event.member.as_ref().map(|m| m.status.word());
        println!("{seconds:.3} s, at {at}: event {:#x} of {life:?} {status:?} {entry:?}", event.kind);
    }
}

/// A queue is bounded by what there is to tell of.
pub fn bounded(waiting: usize, bound: usize, what: &str, id: &str) -> Result<(), String> {
    if waiting > bound {
        return Err(format!("queues: {waiting} {what} waited at {id}, where {bound} are the most"));
    }
    Ok(())
}

/// Packets that one wake-up may make, at most: what the engine sends at once is bounded.
const MOST_PACKETS: usize = 16_384;

/// Nothing was dropped for a full queue, no wake-up made a flood.
pub fn queues(world: &World) -> Result<(), String> {
    for node in &world.nodes {
        bounded(node.metric("dropped_queue_full") as usize, 0, "packets without room in the queue", &node.id)?;
        bounded(node.largest_burst, MOST_PACKETS, "packets of one wake-up", &node.id)?;
    }
    let departed = |n: &SimNode| n.metrics().iter().find(|m| m.name == "departed_records").map_or(0, |m| m.value);
    for node in world.nodes.iter().filter(|n| n.running()) {
        let most = 2 * node.store.members.list(true).len() + 1024;
        bounded(departed(node) as usize, most, "records of departed members", &node.id)?;
    }
    Ok(())
}

/// Events of a node make the picture that its store gives. For nodes that run just now, after [`order`].
pub fn mirrors(world: &World, nodes: &[usize]) -> Result<(), String> {
    for &n in nodes {
        let node = &world.nodes[n];
        if node.running() && !world.is_paused(n) {
            let banned = bans::at(node).into_iter().map(|ban| ban.id).collect();
            node.subscriber.mirror(&node.store, world.now, &banned).map_err(|e| format!("{e} (at {})", node.id))?;
        }
    }
    Ok(())
}

/// What one running member sees of another that is not as it is there.
pub fn difference(world: &World) -> Option<String> {
    let members = world.members();
    let mut truth: Vec<EntryView> = Vec::new();
    for &n in &members {
        let node = &world.nodes[n];
        truth.extend(node.store.get_prefix(world.now, Some(&node.id), "", true));
    }
    truth.sort_by(|a, b| (&a.entry.head().life.id, a.entry.key()).cmp(&(&b.entry.head().life.id, b.entry.key())));
    let alive: HashMap<&str, u64> =
        members.iter().map(|n| (world.nodes[*n].id.as_str(), world.nodes[*n].nonce)).collect();
    members.iter().find_map(|reader| reader_differs(world, &world.nodes[*reader], &truth, &alive))
}

fn reader_differs(world: &World, at: &SimNode, truth: &[EntryView], alive: &HashMap<&str, u64>) -> Option<String> {
    let mut known = 0;
    for view in at.store.members.list(true).iter().filter(|m| bans::takes_part(m.status)) {
        match alive.get(view.life.id.as_str()) {
            Some(nonce) if *nonce == view.life.nonce => known += 1,
            Some(_) => return Some(format!("convergence: {} knows a former life of {}", at.id, view.life.id.as_str())),
            None => {}
        }
    }
    if known < alive.len() {
        let missing =
            alive.keys().filter(|id| at.store.members.by_id(id).is_none_or(|m| !bans::takes_part(m.status))).min();
        let status = missing.and_then(|id| at.store.members.by_id(id)).map_or("unknown", |m| m.status.word());
        return Some(format!("convergence: {} holds {} to be {status}", at.id, missing.unwrap_or(&"one")));
    }
    let seen = at.store.get_prefix(world.now, None, "", true);
    let mut seen = seen.iter().filter(|view| alive.contains_key(view.entry.head().life.id.as_str()));
    let mut truth = truth.iter();
    loop {
        let (a, b) = match (truth.next(), seen.next()) {
            (None, None) => return None,
            (a, b) => (a.map(|v| &v.entry), b.map(|v| &v.entry)),
        };
        let same =
            a.zip(b).is_some_and(|(a, b)| a.version() == b.version() && a.key() == b.key() && a.value() == b.value());
        if !same {
            let show = |entry: Option<&cluster_gossip::store::entry::Entry>| match entry {
                Some(e) => format!("{:?} of {} {:?}", e.key(), e.head().life.id.as_str(), e.version()),
                None => "nothing more".into(),
            };
            return Some(format!("convergence: {} sees {}, where the owners have {}", at.id, show(b), show(a)));
        }
    }
}

/// Every running member has exactly what its host wrote last.
pub fn owners(world: &World) -> Result<(), String> {
    for n in world.members() {
        let node = &world.nodes[n];
        let views = node.store.get_prefix(world.now, Some(&node.id), "", true);
        let has: Vec<(&str, u64)> = views.iter().map(|v| (v.entry.key(), v.entry.seq())).collect();
        same_keys(&node.id, &world.oracle.now(node.nonce, world.now), &has)?;
    }
    Ok(())
}

/// What the host of a member wrote, and what is there.
pub fn same_keys(id: &str, wrote: &[(&str, u64)], has: &[(&str, u64)]) -> Result<(), String> {
    if let Some(lost) = wrote.iter().find(|w| !has.contains(w)) {
        return Err(format!("lost: {id} wrote {lost:?}, and does not have it"));
    }
    if let Some(more) = has.iter().find(|h| !wrote.contains(h)) {
        return Err(format!("resurrection: {id} has {more:?} of its own, which it did not write, or deleted"));
    }
    Ok(())
}

/// What counts against the limits is what is there: the host's own keys at the writer, those of all members at the engine.
pub fn sizes(world: &World) -> Result<(), String> {
    for n in world.members() {
        let node = &world.nodes[n];
        // Not what readers see: what has expired stays until its owner's delete comes.
        let hosts = |nonce: u64| {
            let entries = world.oracle.keys(nonce).filter_map(|key| node.store.entry(key, nonce));
            entries.filter(|e| !e.head().deleted).fold((0, 0), |(keys, bytes), e| (keys + 1, bytes + e.size()))
        };
        same_size(&node.id, "of its own", hosts(node.nonce), node.store.own_size())?;
        let all = node.store.members.list(true).iter().fold((0, 0), |sum: (usize, usize), m| {
            let (hosts, library) = (hosts(m.life.nonce), node.store.reserved_size(m.life.nonce));
            (sum.0 + hosts.0 + library.0, sum.1 + hosts.1 + library.1)
        });
        let counted = (node.metric("keys") as usize, node.metric("state_bytes") as usize);
        same_size(&node.id, "of all members", all, counted)?;
    }
    Ok(())
}

/// Keys and bytes that are there, and as they are counted.
pub fn same_size(id: &str, whose: &str, there: (usize, usize), counted: (usize, usize)) -> Result<(), String> {
    if there != counted {
        return Err(format!("sizes: {id} has {there:?} keys and bytes {whose}, and counts {counted:?}"));
    }
    Ok(())
}

/// A value that is set while all is quiet reaches everyone as a rumor, long before the gossip interval would find it.
pub fn at_once(world: &mut World, node: usize) -> Result<(), String> {
    let within = Duration::from_millis(100);
    let Some(seq) = world.set(node, "fresh", b"f", None) else { return Ok(()) };
    let (id, nonce) = (world.nodes[node].id.clone(), world.nodes[node].nonce);
    let has = |world: &World, n: usize| world.nodes[n].store.entry("fresh", nonce).is_some_and(|e| e.seq() >= seq);
    let all = |world: &World| world.members().into_iter().all(|n| has(world, n));
    if world.run_until(within, Duration::from_millis(5), all) {
        return Ok(());
    }
    let without = world.members().into_iter().find(|n| !has(world, *n)).map_or("", |n| &world.nodes[n].id);
    Err(format!("slow: what {id} set has not reached {without} within {within:?}, though all was quiet"))
}

/// The end of every time to live is told at every node. A while is left for those that have only just ended.
pub fn ends(world: &World) -> Result<(), String> {
    for n in world.members() {
        let node = &world.nodes[n];
        node.subscriber.ends(world.now.back(Duration::from_secs(2))).map_err(|e| format!("{e} (at {})", node.id))?;
    }
    Ok(())
}

/// Target → owner → number.
pub type Offsets = HashMap<String, HashMap<String, u64>>;

fn parse_offsets(json: &str) -> Offsets {
    serde_json::from_str::<HashMap<String, HashMap<String, u64>>>(json).expect("the engine writes JSON")
}

/// No member counts as committed at another more than that one holds. `observers`: those to look at. While faults go on
/// (`strict` is false), pairs are passed over where the target has dropped the owner meanwhile, or is another life.
pub fn offsets(world: &World, observers: &[usize], strict: bool) -> Result<(), String> {
    let members = world.members();
    let held: HashMap<String, HashMap<String, u64>> = members
        .iter()
        .map(|n| {
            let node = &world.nodes[*n];
            let held = serde_json::from_str(&node.engine.held_json()).expect("the engine writes JSON");
            (node.id.clone(), held)
        })
        .collect();
    let by_id: HashMap<&str, usize> = members.iter().map(|n| (world.nodes[*n].id.as_str(), *n)).collect();
    for &n in observers.iter().filter(|n| world.nodes[**n].takes_part()) {
        let node = &world.nodes[n];
        let passed_over = |target: &str, owner: &str| {
            let Some(at_target) = by_id.get(target).map(|n| &world.nodes[*n]) else { return true };
            let life = |at: &SimNode, id: &str| at.store.members.by_id(id).map(|m| m.life.nonce);
            let here = life(node, owner);
            here != life(at_target, owner)
                || life(node, target) != Some(at_target.nonce)
                || !strict && here.is_some_and(|nonce| at_target.subscriber.has_removed(nonce))
        };
        let counted = parse_offsets(&node.engine.offsets_json());
        compare_offsets(&node.id, &counted, &held, passed_over)?;
    }
    Ok(())
}

/// `counted`: what `id` takes as committed, by target and owner; `held`: what each target holds of each owner.
pub fn compare_offsets(
    id: &str,
    counted: &Offsets,
    held: &Offsets,
    passed_over: impl Fn(&str, &str) -> bool,
) -> Result<(), String> {
    let mut targets: Vec<_> = counted.iter().collect();
    targets.sort_by_key(|(target, _)| *target);
    for (target, owners) in targets {
        let Some(at_target) = held.get(target) else { continue };
        for (owner, offset) in owners {
            let holds = at_target.get(owner).copied().unwrap_or(0);
            if *offset > holds && !passed_over(target, owner) {
                return Err(format!(
                    "offsets: {id} counts {offset} of {owner} as committed at {target}, which holds {holds}"
                ));
            }
        }
    }
    Ok(())
}

/// What must hold once faults have ended and all have had time to agree.
pub fn at_rest(world: &mut World, observers: &[usize]) -> Result<(), String> {
    order(world)?;
    if let Some(difference) = difference(world) {
        return Err(difference);
    }
    owners(world)?;
    offsets(world, observers, true)?;
    mirrors(world, &world.members())?;
    bans::check(world, Some(&[]))?;
    ends(world)?;
    sizes(world)?;
    queues(world)
}

/// Frames sent by kind, over all nodes.
pub fn kinds(world: &World) -> String {
    let mut sums: std::collections::BTreeMap<&str, u64> = Default::default();
    for metric in world.nodes.iter().flat_map(SimNode::metrics) {
        if let Some(kind) = metric.name.strip_prefix("frames_sent_") {
            *sums.entry(kind).or_default() += metric.value;
        }
    }
    let shown: Vec<String> = sums.iter().filter(|(_, n)| **n > 0).map(|(kind, n)| format!("{kind} {n}")).collect();
    shown.join(", ")
}
