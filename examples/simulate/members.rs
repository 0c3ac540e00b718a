//! Scenarios about members: how fast the end of one is known, and whom alarms wrong.

use std::time::Duration;

use cluster_gossip::store::event::kind;
use rand::Rng;

use super::figures::{Figures, percentile};
use super::options::Options;
use super::sim::check;
use super::{MS, SECOND, checked, grown};

/// What became of crashes.
struct Detection {
    /// Seconds until the first other, and until all others, held it to be gone.
    first: Vec<f64>,
    all: Vec<f64>,
    missed: usize,
}

/// Ends `runs` members one after the other, by losing the host or only the process.
fn crashes(options: &Options, n: usize, runs: usize, host: bool) -> Result<Detection, String> {
    let mut world = grown(options, n, 0)?;
    let mut found = Detection { first: Vec::new(), all: Vec::new(), missed: 0 };
    for _ in 0..runs.min(n / 2) {
        let members = world.members();
        let victim = members[world.rng.random_range(0..members.len())];
        let nonce = world.nodes[victim].nonce;
        let start = world.now;
        if host {
            world.lose_host(victim)
        } else {
            world.kill(victim)
        }
        let mut waiting: Vec<usize> = members.into_iter().filter(|m| *m != victim).collect();
        let others = waiting.len();
        let mut first = None;
        while !waiting.is_empty() && world.now.since(start) < 120 * SECOND {
            world.run(10 * MS);
            waiting.retain(|m| world.nodes[*m].store.members.status(nonce).is_present());
            if first.is_none() && waiting.len() < others {
                first = Some(world.now.since(start).as_secs_f64());
            }
        }
        match waiting.is_empty() {
            true => found.all.push(world.now.since(start).as_secs_f64()),
            false => found.missed += 1,
        }
        found.first.extend(first);
        world.run(2 * SECOND);
        checked(&world)?;
    }
    found.first.sort_by(f64::total_cmp);
    found.all.sort_by(f64::total_cmp);
    Ok(found)
}

pub fn crash(options: &Options, figures: &mut Figures) -> Result<(), String> {
    let n = options.members();
    for (word, host) in [("host lost", true), ("process killed", false)] {
        let mut found = crashes(options, n, options.runs, host)?;
        figures.distribution(&format!("{word}: first to know"), &mut found.first, "s");
        figures.distribution(&format!("{word}: all know"), &mut found.all, "s");
        figures.add(&format!("{word}: not known to all after 120 s"), found.missed, "");
        let last = found.all.len().max(1) as f64;
        let curve = found.all.iter().enumerate().map(|(i, s)| (*s, (i + 1) as f64 / last)).collect();
        let title = if host { "Share of lost hosts known to all" } else { "Share of killed processes known to all" };
        figures.chart(title, "s", "share", curve);
    }
    Ok(())
}

/// What was said of members whose process had not ended.
#[derive(Default)]
struct Alarms {
    /// Of members that ran all the while: suspected, declared dead (each observer counts), and how many members that were.
    suspected: u64,
    dead: u64,
    wronged: std::collections::BTreeSet<usize>,
    /// Of members stopped for at most 10 s, likewise; and of those stopped for longer.
    dead_short: u64,
    dead_long: u64,
    pauses: u64,
}

/// Stops `stopped` of the members at a time, each for 1 to 30 s, for `time`.
fn pauses(options: &Options, n: usize, stopped: f64, time: Duration) -> Result<Alarms, String> {
    let mut world = grown(options, n, kind::MEMBERS)?;
    check::order(&mut world)?;
    world.nodes.iter_mut().for_each(|node| node.subscriber.changes.clear());
    let mut alarms = Alarms::default();
    // Until when each is stopped, and whether for long.
    let mut until = vec![(world.now, false); n];
    let begun = world.now;
    let number = ((n as f64 * stopped).round() as usize).min(n - 1);
    while world.now.since(begun) < time {
        while until.iter().filter(|(at, _)| *at > world.now).count() < number {
            let one = world.rng.random_range(0..n);
            if until[one].0 <= world.now {
                let ms = world.rng.random_range(1000..30_000);
                world.pause(one, MS * ms);
                until[one] = (world.now + MS * ms, ms > 10_000);
                alarms.pauses += 1;
            }
        }
        world.run(100 * MS);
        check::order(&mut world)?;
        for observer in 0..n {
            for change in std::mem::take(&mut world.nodes[observer].subscriber.changes) {
                let Some(subject) = world.oracle.node(change.nonce) else { continue };
                let (at, long) = until[subject];
                // What was begun while it was stopped may be told a little later.
                let touched = at + 5 * SECOND > world.now && alarms.pauses > 0 && at > begun;
                match (change.kind, touched, long) {
                    (kind::MEMBER_SUSPECTED, false, _) => alarms.suspected += 1,
                    (kind::MEMBER_DEAD, false, _) => {
                        alarms.dead += 1;
                        alarms.wronged.insert(subject);
                    }
                    (kind::MEMBER_DEAD, true, false) => alarms.dead_short += 1,
                    (kind::MEMBER_DEAD, true, true) => alarms.dead_long += 1,
                    _ => {}
                }
            }
        }
        checked(&world)?;
    }
    Ok(alarms)
}

pub fn pause(options: &Options, figures: &mut Figures) -> Result<(), String> {
    let time = options.time.unwrap_or(600 * SECOND);
    let alarms = pauses(options, options.members(), options.stopped, time)?;
    figures.add("pauses of 1 to 30 s", alarms.pauses, "");
    figures.add("running members suspected (by each observer)", alarms.suspected, "");
    figures.add("running members declared dead (by each observer)", alarms.dead, "");
    figures.add("running members ever declared dead", alarms.wronged.len(), "");
    figures.add("stopped for up to 10 s, declared dead", alarms.dead_short, "");
    figures.add("stopped for longer, declared dead", alarms.dead_long, "");
    Ok(())
}

/// The tables of issue and design: detection over loss, false alarms over loss and shares of stopped members.
pub fn detection(options: &Options, figures: &mut Figures) -> Result<(), String> {
    let sizes = options.members.map_or(vec![100, 1000], |n| vec![n]);
    println!("crash of 1 of N, seconds until all others hold it to be gone ({} crashes each)", options.runs);
    println!(
        "{:>6} {:>6} {:<15} {:>8} {:>8} {:>8} {:>8} {:>7}",
        "N", "loss", "what", "first", "p50", "p99", "max", "missed"
    );
    for &n in &sizes {
        for loss in [0.0, 0.05, 0.2] {
            for (word, host) in [("host lost", true), ("process killed", false)] {
                let mut one = options.clone();
                one.net.loss = loss;
                let found = crashes(&one, n, options.runs, host)?;
                let at = |all: &[f64], share| percentile(all, share).unwrap_or(f64::NAN);
                let (first, p50) = (at(&found.first, 0.5), at(&found.all, 0.5));
                let (p99, max) = (at(&found.all, 0.99), at(&found.all, 1.0));
                println!(
                    "{n:>6} {loss:>6} {word:<15} {first:>8.2} {p50:>8.2} {p99:>8.2} {max:>8.2} {:>7}",
                    found.missed
                );
                figures.keep(
                    &format!("crash, N {n}, loss {loss}, {word}"),
                    serde_json::json!({"first": first, "p50": p50, "p99": p99, "max": max, "missed": found.missed}),
                );
            }
        }
    }
    println!("\nfalse alarms: members stopped for 1 to 30 s at random, so many at a time");
    println!("dead: each observer counts; short: stopped for up to 10 s; long: for longer");
    println!(
        "{:>6} {:>6} {:>6} {:>8} {:>8} {:>10} {:>8} {:>8} {:>8} {:>8}",
        "N", "time", "loss", "stopped", "pauses", "suspected", "dead", "members", "short", "long"
    );
    for &n in &sizes {
        // As much is stopped in a short time of many members as in a long time of few.
        let time = options.time.unwrap_or(600 * SECOND * 100 / n.max(100) as u32);
        for loss in [0.0, 0.05, 0.2] {
            for stopped in [0.0, 0.01, 0.1, 0.25] {
                let mut one = options.clone();
                one.net.loss = loss;
                let a = pauses(&one, n, stopped, time)?;
                println!(
                    "{n:>6} {:>5}s {loss:>6} {stopped:>8} {:>8} {:>10} {:>8} {:>8} {:>8} {:>8}",
                    time.as_secs(),
                    a.pauses,
                    a.suspected,
                    a.dead,
                    a.wronged.len(),
                    a.dead_short,
                    a.dead_long
                );
                figures.keep(
                    &format!("pauses, N {n}, loss {loss}, stopped {stopped}"),
                    serde_json::json!({"pauses": a.pauses, "suspected": a.suspected, "dead": a.dead,
                        "members": a.wronged.len(), "short": a.dead_short, "long": a.dead_long}),
                );
            }
        }
    }
    Ok(())
}
