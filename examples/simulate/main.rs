//! A simulated cluster, and figures of it: `cargo run --release --example simulate -- --help`.

mod data;
mod figures;
mod large;
mod members;
mod options;
#[path = "../../tests/sim/mod.rs"]
mod sim;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use figures::Figures;
use options::Options;
use sim::adversary::{self, Adversary};
use sim::membership::Bounds;
use sim::{World, pool};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err((text, 0)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err((text, status)) => {
            eprintln!("simulate: {text}");
            return ExitCode::from(status);
        }
    };
    let start = Instant::now();
    let mut figures = Figures::default();
    let result = match options.scenario.as_str() {
        "spread" => data::spread(&options, &mut figures),
        "idle" => data::idle(&options, &mut figures),
        "join" => data::join(&options, &mut figures),
        "partition" => data::partition(&options, &mut figures),
        "churn" => data::churn(&options, &mut figures),
        "crash" => members::crash(&options, &mut figures),
        "pause" => members::pause(&options, &mut figures),
        "detection" => members::detection(&options, &mut figures),
        "large" => large::large(&options, &mut figures),
        "adversary" => return adversary(&options),
        other => Err(format!("there is no scenario {other:?}; --help shows all")),
    };
    figures.add("wall time", start.elapsed().as_secs_f64(), "s");
    if let Some(time) = figures::processor_time() {
        figures.add("processor time", time.as_secs_f64(), "s");
    }
    let written = result.and_then(|()| write(&options, &figures));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!(
                "simulate: seed {}: {why}\nrepeat with: {} --seed {}",
                options.seed, options.command, options.seed
            );
            ExitCode::FAILURE
        }
    }
}

fn write(options: &Options, figures: &Figures) -> Result<(), String> {
    if let Some(file) = &options.json {
        let command = format!("{} --seed {}", options.command, options.seed);
        std::fs::write(file, figures.json(&command)).map_err(|e| format!("{file}: {e}"))?;
    }
    if let Some(file) = &options.svg {
        figures.draw(file).map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(())
}

/// Faults of every kind, for one seed, many, or as many as there is time for.
fn adversary(options: &Options) -> ExitCode {
    let how = Adversary {
        members: options.members.unwrap_or(20),
        time: options.time.unwrap_or(600 * SECOND),
        faults: options.faults,
        only: options.only.clone(),
        membership: Some(Bounds::default()),
        settings: options.settings.clone(),
    };
    let start = Instant::now();
    let count = if options.wall.is_some() { u64::MAX - options.seed } else { options.seeds };
    let outcome = pool::seeds(options.seed, count, usize::MAX, options.wall, |seed| {
        let result = adversary::run(seed, &how);
        if let Err(why) = &result {
            println!("seed {seed}: {why}\nrepeat with: {} --seed {seed}", options.command);
        }
        result
    });
    let faults: usize = outcome.done.iter().flat_map(|(_, report)| report.faults.values()).sum();
    let datagrams: u64 = outcome.done.iter().map(|(_, report)| report.datagrams).sum();
    let slowest = outcome.done.iter().map(|(_, report)| report.agreed_after).max().unwrap_or_default();
    if let [(seed, report)] = &outcome.done[..] {
        println!("seed {seed}: {} processes, {} events, {:?}", report.processes, report.events, report.faults);
    }
    println!(
        "{} seeds in {:.1?}: {} failed; {faults} faults, {datagrams} datagrams, all agreed {slowest:?} after the last fault at most",
        outcome.done.len() + outcome.failures.len(),
        start.elapsed(),
        outcome.failures.len(),
    );
    if outcome.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A world of `n` members that know each other and have come to rest.
fn grown(options: &Options, n: usize, events: u32) -> Result<World, String> {
    let mut world = World::new(options.seed, options.net.clone());
    world.base = adversary::settings(&options.settings)?;
    world.events = events;
    if options.acquainted {
        for i in 0..n {
            world.start(&format!("m{i}"), &[], |_| ());
        }
        world.acquaint();
        return rested(world, n, Duration::ZERO);
    }
    // Some seeds that all know, and members that come one after the other: so do clusters grow.
    for i in 0..n {
        let seeds: Vec<usize> = (0..i.min(3)).collect();
        world.start(&format!("m{i}"), &seeds, |_| ());
        // Large ones in groups: what is told of several together costs no more than of one.
        if i % (n / 100).max(1) == 0 {
            world.run(MS);
        }
    }
    rested(world, n, 300 * SECOND)
}

/// The world once all know all, within `limit`, and have come to rest.
fn rested(mut world: World, n: usize, limit: Duration) -> Result<World, String> {
    let all = |w: &World| w.nodes.iter().all(|node| node.store.members.present() == n);
    if !world.run_until(limit, 500 * MS, all) {
        return Err(format!("{n} members do not all know each other after {limit:?}"));
    }
    world.run(10 * SECOND);
    checked(&world)?;
    Ok(world)
}

/// What the checkers on the way have found.
fn checked(world: &World) -> Result<(), String> {
    world.violations.first().map_or(Ok(()), |first| Err(first.clone()))
}
