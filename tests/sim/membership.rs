//! What must hold of who is in the cluster: nobody who lives is left out, nobody who is gone stays, views agree, nothing
//! flaps. The rules are plain functions, so that they can be tested; [`check`] and [`agreement`] put the world's views in.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use cluster_gossip::store::event::kind;

use super::subscriber::Change;
use super::{World, bans};

/// How long things may take once no fault touches the two members any more.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Until a live, connected member is among the present ones.
    pub back: Duration,
    /// Until one that has ended is not.
    pub gone: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        // Seeds are asked every 30 s (± 30 %); a stopped process is waited for 15 s, told by its own silence.
        Bounds { back: Duration::from_secs(60), gone: Duration::from_secs(30) }
    }
}

/// What one member holds of another, and for how long nothing has disturbed the two.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub observer: &'a str,
    pub subject: &'a str,
    /// Its process runs and takes part.
    pub lives: bool,
    /// The observer holds it to be present.
    pub present: bool,
    /// Since when neither was touched by a fault, and the subject is as it is.
    pub calm: Duration,
}

/// A live, connected member is never left out, a dead one never stays, beyond the bounds. Who is banned counts as present: it
/// takes part, and is to be there when the ban is lifted.
pub fn held_rightly(view: View<'_>, bounds: Bounds) -> Result<(), String> {
    let View { observer, subject, lives, present, calm } = view;
    if lives && !present && calm > bounds.back {
        return Err(format!(
            "left out: {subject} lives, is reached, and is not present at {observer}, after {calm:.1?}"
        ));
    }
    if !lives && present && calm > bounds.gone {
        return Err(format!("stays: {subject} has ended, and is present at {observer}, after {calm:.1?}"));
    }
    Ok(())
}

/// Members hold the same lives to be present. Each view: who sees, and the (id, nonce) that it sees.
pub fn agree(views: &[(String, BTreeSet<(String, u64)>)]) -> Result<(), String> {
    let Some((first, seen)) = views.first() else { return Ok(()) };
    for (other, theirs) in &views[1..] {
        if let Some((id, _)) = seen.symmetric_difference(theirs).next() {
            return Err(format!("agreement: {first} and {other} do not hold the same of {id}"));
        }
    }
    Ok(())
}

/// A third member that is stopped, slow or cut off may suspect one wrongly, and take it back: so many changes are no fault
/// of the observer or the subject.
pub const ALARMS: u32 = 4;

/// Counts changes of status, by observer and subject.
#[derive(Default)]
pub struct Flaps {
    counts: HashMap<(usize, u64), u32>,
}

impl Flaps {
    /// Takes changes in that the node `observer` was told of. `faults` gives how many faults have touched the observer or
    /// the life so far.
    pub fn note(
        &mut self,
        observer: usize,
        changes: impl IntoIterator<Item = Change>,
        faults: impl Fn(u64) -> u32,
    ) -> Result<(), String> {
        const STATUS: u32 = kind::MEMBER_SUSPECTED | kind::MEMBER_ALIVE | kind::MEMBER_DEAD | kind::MEMBER_LEFT;
        for change in changes {
            if change.kind & STATUS == 0 {
                continue;
            }
            let count = self.counts.entry((observer, change.nonce)).or_default();
            *count += 1;
            let faults = faults(change.nonce);
            if *count > ALARMS + 2 * faults {
                return Err(format!("flaps: the status of {} changed {count} times for {faults} faults", change.id));
            }
        }
        Ok(())
    }
}

/// Holds every member's view against the truth. Where nobody runs whom an observer could hear, nothing is asked.
pub fn check(world: &World, bounds: Bounds) -> Result<(), String> {
    let members = world.members();
    let reachable = |a: usize, b: usize| {
        let blocked = |n: usize| world.nodes[n].udp_blocked || world.nodes[n].tcp_blocked;
        world.cuts.passes(a, b) && world.cuts.passes(b, a) && !blocked(a) && !blocked(b)
    };
    let awake = |n: usize| !world.is_paused(n) && world.nodes[n].work.is_zero();
    for &o in members.iter().filter(|n| awake(**n)) {
        let observer = &world.nodes[o];
        for (s, subject) in world.nodes.iter().enumerate() {
            let lives = subject.takes_part();
            // The end of a process takes nobody's attention off; what is neither running nor ended is not judged.
            let judged = s != o && if lives { awake(s) && reachable(o, s) } else { subject.ended.is_some() };
            if !judged {
                continue;
            }
            let since = observer.disturbed.max(subject.disturbed).max(subject.started).max(observer.started);
            let calm = world.now.since(since);
            if calm <= bounds.back.min(bounds.gone) {
                continue;
            }
            let status = observer.store.members.get(subject.nonce).map(|m| m.status);
            let present = status.is_some_and(bans::takes_part);
            held_rightly(View { observer: &observer.id, subject: &subject.id, lives, present, calm }, bounds)?;
        }
    }
    Ok(())
}

/// After quiet all members see the same.
pub fn agreement(world: &World) -> Result<(), String> {
    let views: Vec<_> = world
        .members()
        .iter()
        .map(|n| {
            let node = &world.nodes[*n];
            let seen = node.store.members.list(false).into_iter();
            (node.id.clone(), seen.map(|m| (m.life.id.as_str().to_owned(), m.life.nonce)).collect())
        })
        .collect();
    agree(&views)
}

/// Counts the changes that nodes were told of since the last call; after [`super::check::order`].
pub fn flaps(world: &mut World, flaps: &mut Flaps) -> Result<(), String> {
    for o in 0..world.nodes.len() {
        let changes = std::mem::take(&mut world.nodes[o].subscriber.changes);
        let faults = |nonce: u64| {
            let subject = world.oracle.node(nonce).map_or(0, |n| world.nodes[n].faults);
            subject + world.nodes[o].faults
        };
        flaps.note(o, changes, faults).map_err(|e| format!("{e} (at {})", world.nodes[o].id))?;
    }
    Ok(())
}
