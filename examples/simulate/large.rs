//! What is shown of clusters of thousands, one after the other on one cluster, for beginning is most of the work: a value that
//! spreads, a lost host and a killed process that all notice, a partition that heals.

use std::time::Instant;

use rand::Rng;

use super::figures::{Figures, processor_time};
use super::options::Options;
use super::sim::World;
use super::{MS, SECOND, checked, grown};

/// Wall time of a stage.
struct Stage(Instant);

impl Stage {
    fn end(self, figures: &mut Figures, name: &str, world: &World) -> Result<Stage, String> {
        figures.add(&format!("{name}: wall time"), self.0.elapsed().as_secs_f64(), "s");
        figures.memory(world);
        checked(world)?;
        Ok(Stage(Instant::now()))
    }
}

pub fn large(options: &Options, figures: &mut Figures) -> Result<(), String> {
    let n = options.members();
    let stage = Stage(Instant::now());
    let mut world = grown(options, n, 0)?;
    let stage = stage.end(figures, "begin, and 10 s of rest", &world)?;
    spread(&mut world, options, figures)?;
    let stage = stage.end(figures, "spread", &world)?;
    for (name, host) in [("host lost", true), ("process killed", false)] {
        crash(&mut world, figures, name, host)?;
    }
    let stage = stage.end(figures, "crashes", &world)?;
    partition(&mut world, options, figures)?;
    stage.end(figures, "partition", &world)?;
    if let Some(time) = processor_time() {
        figures.add("virtual over processor time", world.seconds() / time.as_secs_f64(), "");
    }
    figures.totals(&world);
    Ok(())
}

fn spread(world: &mut World, options: &Options, figures: &mut Figures) -> Result<(), String> {
    let idle = {
        let before = world.traffic.bytes();
        world.run(2 * SECOND);
        (world.traffic.bytes() - before) as f64 / 2.0
    };
    let n = world.nodes.len();
    figures.add("idle traffic of a member", idle / n as f64, "B/s");
    let (mut times, mut caused) = (Vec::new(), 0.0);
    let runs = options.runs.min(3);
    for run in 0..runs {
        let owner = world.rng.random_range(0..n);
        let (id, key) = (world.nodes[owner].id.clone(), format!("value{run}"));
        let (start, before) = (world.now, world.traffic.bytes());
        world.set(owner, &key, &vec![run as u8; options.size], None).ok_or("the value was refused")?;
        let has = |w: &World, i: usize| !w.nodes[i].store.get(w.now, Some(&id), &key, false).is_empty();
        let mut waiting: Vec<usize> = (0..n).collect();
        let all = |w: &World| {
            waiting.retain(|i| !has(w, *i));
            waiting.is_empty()
        };
        if !world.run_until(60 * SECOND, MS / 5, all) {
            return Err(format!("value {run} of {id} is not at all members after 60 s"));
        }
        times.push(world.now.since(start).as_secs_f64() * 1000.0);
        world.run(2 * SECOND);
        caused += (world.traffic.bytes() - before) as f64 - idle * world.now.since(start).as_secs_f64();
    }
    figures.distribution("a value at all members", &mut times, "ms");
    let least = ((n - 1) * options.size.max(1) * runs) as f64;
    figures.add("amplification: bytes over (N-1) × size", caused / least, "");
    Ok(())
}

fn crash(world: &mut World, figures: &mut Figures, name: &str, host: bool) -> Result<(), String> {
    let mut waiting = world.members();
    let victim = waiting.swap_remove(world.rng.random_range(0..waiting.len()));
    let (start, nonce) = (world.now, world.nodes[victim].nonce);
    if host {
        world.lose_host(victim);
    } else {
        world.kill(victim);
    }
    let known = |w: &World| {
        waiting.retain(|m| w.nodes[*m].store.members.status(nonce).is_present());
        waiting.is_empty()
    };
    if !world.run_until(120 * SECOND, 10 * MS, known) {
        return Err(format!("{name}: not known to all after 120 s"));
    }
    figures.add(&format!("{name}: all know"), world.now.since(start).as_secs_f64(), "s");
    world.run(2 * SECOND);
    Ok(())
}

/// Some are cut off until the others hold them to be gone and, but for `--apart-for`, they the others as well, and a little more;
/// then until all are equal.
fn partition(world: &mut World, options: &Options, figures: &mut Figures) -> Result<(), String> {
    let members = world.members();
    let cut = ((members.len() as f64 * options.apart) as usize).clamp(1, members.len() - 1);
    let (side, rest) = members.split_at(cut);
    let see = |w: &World, who: &[usize], n: usize| who.iter().all(|m| w.nodes[*m].store.members.present() == n);
    world.partition(side);
    let (start, before) = (world.now, world.traffic.bytes());
    if !world.run_until(600 * SECOND, SECOND / 2, |w| see(w, rest, rest.len())) {
        return Err("the others do not hold those cut off to be gone after 600 s".into());
    }
    figures.add("partition: those cut off are gone for the others", world.now.since(start).as_secs_f64(), "s");
    if options.apart_for.is_none() {
        if !world.run_until(600 * SECOND, SECOND / 2, |w| see(w, side, side.len())) {
            return Err("those cut off do not hold the others to be gone after 600 s".into());
        }
        figures.add("partition: the others are gone for those cut off", world.now.since(start).as_secs_f64(), "s");
    }
    for one in [side[0], rest[0]] {
        world.set(one, "while apart", &vec![1; options.size], None).ok_or("the value was refused")?;
    }
    world.run(options.apart_for.map_or(5 * SECOND, |wanted| wanted.saturating_sub(world.now.since(start))));
    let held = side.iter().map(|m| world.nodes[*m].store.members.present() as f64).sum::<f64>() / side.len() as f64;
    figures.add("partition: members that one cut off still holds to be there", held, "");
    figures.add("... bytes until then a member", (world.traffic.bytes() - before) as f64 / members.len() as f64, "B");
    world.heal();
    let (start, before) = (world.now, world.traffic.bytes());
    let equal = |w: &World| {
        let digest = w.nodes[members[0]].engine.digest();
        see(w, &members, members.len()) && members.iter().all(|m| w.nodes[*m].engine.digest() == digest)
    };
    if !world.run_until(300 * SECOND, SECOND / 2, equal) {
        return Err("the members are not equal 300 s after the partition".into());
    }
    figures.add("healed: all are equal", world.now.since(start).as_secs_f64(), "s");
    figures.add("... bytes until then a member", (world.traffic.bytes() - before) as f64 / members.len() as f64, "B");
    Ok(())
}
