//! What tests have in common: clusters, waiting for agreement, failing with the command that repeats the run.

use std::time::Duration;

use super::{World, check};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

/// The seeds to run: so many, or the one that `SIM_SEED` names.
pub fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("SIM_SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}

/// Fails with the seed and the one command that repeats the run.
pub fn must<T>(seed: u64, result: Result<T, String>) -> T {
    result.unwrap_or_else(|e| {
        // The harness names a test's thread after the test.
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let file = env!("CARGO_CRATE_NAME");
        panic!("seed {seed}: {e}\nrepeat with: SIM_SEED={seed} cargo test --profile checks --test {file} {test}")
    })
}

/// Runs until all members agree.
pub fn converge(world: &mut World, seed: u64, limit: Duration) {
    let done = world.run_until(limit, 100 * MS, World::converged);
    let why = check::difference(world).unwrap_or_default();
    if !done {
        world.describe();
    }
    must(seed, if done { Ok(()) } else { Err(format!("{why} (after {limit:?})")) });
}

/// Starts `n` members; the first is everybody's seed.
pub fn cluster(world: &mut World, n: usize) {
    for i in 0..n {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
        world.start(&format!("m{i}"), &seeds, |_| ());
    }
}

/// A world of `n` members that agree and have come to rest.
pub fn at_rest(seed: u64, net: super::Network, n: usize) -> World {
    let mut world = World::new(seed, net);
    cluster(&mut world, n);
    converge(&mut world, seed, 60 * SECOND);
    world.run(5 * SECOND);
    world
}
