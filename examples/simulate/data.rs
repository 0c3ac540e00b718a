//! Scenarios about entries: how fast they spread, and what that costs.

use rand::Rng;

use super::figures::{Figures, percentile, processor_time};
use super::options::Options;
use super::sim::run::converge;
use super::sim::{World, adversary, check};
use super::{MS, SECOND, checked, grown};

/// Bytes sent by all in `d`.
fn bytes_in(world: &mut World, d: std::time::Duration) -> u64 {
    let before = world.traffic.bytes();
    world.run(d);
    world.traffic.bytes() - before
}

pub fn spread(options: &Options, figures: &mut Figures) -> Result<(), String> {
    let n = options.members();
    let mut world = grown(options, n, 0)?;
    let idle = bytes_in(&mut world, 2 * SECOND);
    let (mut full, mut arrivals, mut caused, mut rates) = (Vec::new(), Vec::new(), 0, Vec::new());
    let begun = world.now;
    for run in 0..options.runs {
        let owner = world.rng.random_range(0..n);
        let (id, key) = (world.nodes[owner].id.clone(), format!("value{run}"));
        let (start, before) = (world.now, world.traffic.bytes());
        world.set(owner, &key, &vec![run as u8; options.size], None).ok_or("the value was refused")?;
        let mut waiting: Vec<usize> = (0..n).filter(|i| *i != owner).collect();
        let mut sampled = (world.now, before);
        while !waiting.is_empty() {
            let ms = world.now.since(start).as_secs_f64() * 1000.0;
            waiting.retain(|i| {
                let there = !world.nodes[*i].store.get(world.now, Some(&id), &key, false).is_empty();
                if there {
                    arrivals.push(ms);
                }
                !there
            });
            if ms > 60_000.0 {
                return Err(format!("value {run} of {id} is not at {} members after 60 s", waiting.len()));
            }
            // Finely where most happens, then coarser.
            world.run(if ms < 50.0 { MS / 10 } else { MS });
            sample(&world, begun, &mut sampled, &mut rates);
        }
        full.push(arrivals.last().copied().unwrap_or(0.0));
        while world.now < start + 2 * SECOND {
            world.run(20 * MS);
            sample(&world, begun, &mut sampled, &mut rates);
        }
        let over = world.now.since(start).as_secs_f64() / 2.0;
        caused += (world.traffic.bytes() - before) as i64 - (idle as f64 * over) as i64;
        checked(&world)?;
    }
    arrivals.sort_by(f64::total_cmp);
    let last = arrivals.len().max(1) as f64;
    let curve = arrivals.iter().enumerate().map(|(i, ms)| (*ms, (i + 1) as f64 / last)).collect();
    for (what, share) in [("half", 0.5), ("99 %", 0.99)] {
        let ms = percentile(&arrivals, share).unwrap_or_default();
        figures.add(&format!("at {what} of the members"), ms, "ms");
    }
    figures.distribution("at all members", &mut full, "ms");
    let least = ((n - 1).max(1) * options.size.max(1) * options.runs) as f64;
    figures.add("amplification: bytes over (N-1) × size", caused as f64 / least, "");
    figures.add("idle traffic of a member", idle as f64 / 2.0 / n as f64, "B/s");
    figures.totals(&world);
    figures.chart("Share of members that hold the value", "ms", "share", curve);
    figures.chart("Bytes sent a member", "s", "B/s", rates);
    Ok(())
}

/// Adds the rate of bytes a member since the last sample, if it was long enough ago.
fn sample(
    world: &World,
    begun: cluster_gossip::time::Time,
    last: &mut (cluster_gossip::time::Time, u64),
    rates: &mut Vec<(f64, f64)>,
) {
    let gone = world.now.since(last.0).as_secs_f64();
    if gone >= 0.02 {
        let rate = (world.traffic.bytes() - last.1) as f64 / gone / world.nodes.len() as f64;
        rates.push((world.now.since(begun).as_secs_f64(), rate));
        *last = (world.now, world.traffic.bytes());
    }
}

pub fn idle(options: &Options, figures: &mut Figures) -> Result<(), String> {
    let n = options.members();
    let time = options.time.unwrap_or(60 * SECOND);
    let mut world = grown(options, n, 0)?;
    let (before, worked) = (world.traffic, processor_time());
    let mut rates = Vec::new();
    let begun = world.now;
    let mut last = (world.now, before.bytes());
    while world.now.since(begun) < time {
        world.run(SECOND / 4);
        sample(&world, begun, &mut last, &mut rates);
    }
    let member_seconds = time.as_secs_f64() * n as f64;
    figures.add("bytes a member", (world.traffic.bytes() - before.bytes()) as f64 / member_seconds, "B/s");
    figures.add("datagrams a member", (world.traffic.datagrams - before.datagrams) as f64 / member_seconds, "/s");
    figures.add("steps of an engine", (world.traffic.steps - before.steps) as f64 / member_seconds, "/s");
    if let (Some(before), Some(after)) = (worked, processor_time()) {
        let used = (after - before).as_secs_f64() * 1e6;
        figures.add("processor time a member, engine and simulator", used / member_seconds, "µs/s");
    }
    figures.totals(&world);
    figures.chart("Bytes sent a member", "s", "B/s", rates);
    checked(&world)
}

pub fn join(options: &Options, figures: &mut Figures) -> Result<(), String> {
    let n = options.members();
    let mut world = World::new(options.seed, options.net.clone());
    world.base = adversary::settings(&options.settings)?;
    world.events = 0;
    for i in 0..n {
        let seeds: Vec<usize> = (0..i.min(3)).collect();
        world.start(&format!("m{i}"), &seeds, |_| ());
    }
    let start = world.now;
    let (mut curve, mut rates) = (Vec::new(), Vec::new());
    let mut last = (start, 0);
    loop {
        let known: usize = world.nodes.iter().map(|node| node.store.members.present()).sum();
        curve.push((world.now.since(start).as_secs_f64() * 1000.0, known as f64 / (n * n) as f64));
        if known == n * n {
            break;
        }
        if world.now.since(start) > 300 * SECOND {
            return Err(format!("{n} members that start at once do not all know each other after 300 s"));
        }
        world.run(if n > 300 { 20 * MS } else { 5 * MS });
        sample(&world, start, &mut last, &mut rates);
    }
    figures.add("all know all", world.now.since(start).as_secs_f64() * 1000.0, "ms");
    figures.add("bytes until then a member", world.traffic.bytes() as f64 / n as f64, "B");
    world.run(10 * SECOND);
    for i in 0..options.keys {
        world.set(0, &format!("key{i}"), &vec![i as u8; options.size], None).ok_or("an entry was refused")?;
    }
    converge(&mut world, options.seed, 600 * SECOND);
    world.run(5 * SECOND);
    let (start, before) = (world.now, world.traffic.bytes());
    let newcomer = world.start("newcomer", &[1.min(n - 1)], |_| ());
    let key = format!("key{}", options.keys.saturating_sub(1));
    let has = |w: &World| {
        let node = &w.nodes[newcomer];
        !node.store.get(w.now, Some("m0"), &key, false).is_empty()
            && node.store.get_prefix(w.now, Some("m0"), "", false).len() == options.keys
    };
    if !world.run_until(600 * SECOND, 5 * MS, has) {
        return Err("the newcomer does not have all entries after 600 s".into());
    }
    figures.add("a newcomer has all entries", world.now.since(start).as_secs_f64() * 1000.0, "ms");
    let state = (options.keys * options.size).max(1) as f64;
    figures.add("bytes sent over the size of the state", (world.traffic.bytes() - before) as f64 / state, "");
    figures.totals(&world);
    figures.chart("Share of (member, member) that know each other", "ms", "share", curve);
    figures.chart("Bytes sent a member", "s", "B/s", rates);
    checked(&world)
}

fn random_write(world: &mut World, size: usize) {
    let members = world.members();
    let node = members[world.rng.random_range(0..members.len())];
    let key = format!("k{}", world.rng.random_range(0..20));
    if world.rng.random_bool(0.3) {
        world.delete(node, &key);
    } else {
        world.set(node, &key, &vec![1; size], None);
    }
}

/// Runs until all agree; gives how many seconds it took, or what is still different.
fn agree(world: &mut World, limit: std::time::Duration) -> Result<f64, String> {
    let start = world.now;
    if !world.run_until(limit, 250 * MS, World::converged) {
        return Err(format!("{} (after {limit:?})", check::difference(world).unwrap_or_default()));
    }
    Ok(world.now.since(start).as_secs_f64())
}

pub fn partition(options: &Options, figures: &mut Figures) -> Result<(), String> {
    let n = options.members();
    let time = options.time.unwrap_or(3600 * SECOND);
    let mut world = grown(options, n, 0)?;
    for _ in 0..3 * n {
        random_write(&mut world, options.size);
        world.run(MS);
    }
    agree(&mut world, 60 * SECOND)?;
    let side: Vec<usize> = (0..n).step_by(2).collect();
    world.partition(&side);
    let (begun, mut last) = (world.now, (world.now, world.traffic.bytes()));
    let mut rates = Vec::new();
    while world.now.since(begun) < time {
        random_write(&mut world, options.size);
        world.run(time / 500);
        sample(&world, begun, &mut last, &mut rates);
    }
    world.heal();
    let before = world.traffic.bytes();
    let took = agree(&mut world, 300 * SECOND)?;
    figures.add("partition", time.as_secs_f64(), "s");
    figures.add("all agree after its end", took, "s");
    figures.add("bytes until then a member", (world.traffic.bytes() - before) as f64 / n as f64, "B");
    figures.totals(&world);
    figures.chart("Bytes sent a member", "s", "B/s", rates);
    checked(&world)
}

pub fn churn(options: &Options, figures: &mut Figures) -> Result<(), String> {
    let n = options.members();
    let time = options.time.unwrap_or(600 * SECOND);
    let mut world = grown(options, n, 0)?;
    let (begun, mut last) = (world.now, (world.now, world.traffic.bytes()));
    let (mut rates, mut changes) = (Vec::new(), 0);
    while world.now.since(begun) < time {
        let members = world.members();
        // The first three are the seeds of all.
        let one = members[world.rng.random_range(0..members.len())];
        match world.rng.random_range(0..3) {
            0 if one > 2 && members.len() > n / 2 => world.kill(one),
            1 if one > 2 && members.len() > n / 2 => world.leave(one),
            _ => {
                let id = format!("m{}", world.nodes.len());
                world.start(&id, &[0, 1, 2], |_| ());
            }
        }
        changes += 1;
        random_write(&mut world, options.size);
        world.run(SECOND * 60 / n as u32);
        sample(&world, begun, &mut last, &mut rates);
        checked(&world)?;
    }
    let took = agree(&mut world, 300 * SECOND)?;
    figures.add("members that came or went", changes, "");
    figures.add("all agree after the last", took, "s");
    figures.totals(&world);
    figures.chart("Bytes sent a member", "s", "B/s", rates);
    Ok(())
}
