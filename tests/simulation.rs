//! The engine under the simulator. A failing run prints its seed; `SIM_SEED=n cargo test --test simulation` repeats it.

#[path = "sim/self_tests.rs"]
mod self_tests;
mod sim;

use std::time::Duration;

use rand::Rng;
use sim::adversary::{self, Adversary};
use sim::membership::Bounds;
use sim::run::{MS, SECOND, cluster, converge, must, seeds};
use sim::{Latency, Network, Start, World, check, pool};

#[test]
fn two_members_see_each_others_values() {
    let mut world = World::new(1, Network::default());
    cluster(&mut world, 2);
    world.set(0, "colour", b"red", None);
    world.set(1, "colour", b"blue", None);
    converge(&mut world, 1, 10 * SECOND);
    let seen = world.nodes[1].store.get(world.now, None, "colour", false);
    assert_eq!(seen.iter().map(|v| v.entry.value()).collect::<Vec<_>>(), [&b"red"[..], b"blue"]);
    must(1, check::order(&mut world));
    assert!(world.nodes.iter().all(|n| n.store.is_synced()));
}

#[test]
fn an_equal_seed_gives_an_equal_run() {
    let run = |seed| {
        let mut world = World::new(seed, Network { loss: 0.1, duplicate: 0.05, ..Network::default() });
        cluster(&mut world, 10);
        for i in 0..50 {
            let node = world.rng.random_range(0..10);
            world.set(node, &format!("k{}", i % 7), &[i], None);
            world.run(37 * MS);
        }
        (world.trace, world.traffic.datagram_bytes)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_hundred_members_find_each_other_and_spread_a_value() {
    let mut world = World::new(3, Network::default());
    cluster(&mut world, 100);
    converge(&mut world, 3, 30 * SECOND);
    world.run(10 * SECOND);
    world.set(42, "k", &[7; 1024], None);
    converge(&mut world, 3, 10 * SECOND);
    must(3, check::order(&mut world));
    must(3, check::queues(&world));
}

#[test]
fn a_quiet_cluster_sends_no_state() {
    let mut world = World::new(4, Network::default());
    cluster(&mut world, 20);
    for n in 0..20 {
        world.set(n, "k", &[n as u8; 100], None);
    }
    converge(&mut world, 4, 30 * SECOND);
    world.run(5 * SECOND);
    let segments = world.sum("segments_sent");
    let bytes = world.traffic.datagram_bytes;
    world.run(10 * SECOND);
    assert_eq!(world.sum("segments_sent"), segments);
    let idle = (world.traffic.datagram_bytes - bytes) / 20 / 10;
    println!("idle: {idle} B/s a member");
    assert!(idle < 300, "{idle} B/s a member while nothing happens");
}

#[test]
fn a_change_in_a_large_state_costs_little() {
    let mut world = World::new(5, Network::default());
    cluster(&mut world, 10);
    for i in 0..10_000 {
        world.set(0, &format!("key-{i}"), &[1; 64], None);
    }
    converge(&mut world, 5, 60 * SECOND);
    world.run(5 * SECOND);
    let before = world.traffic.bytes();
    world.set(0, "key-5000", &[2; 64], None);
    converge(&mut world, 5, 10 * SECOND);
    let each = (world.traffic.bytes() - before) / 10;
    println!("one change among 10,000 entries: {each} B a member");
    assert!(each < 2000, "{each} B a member");
}

#[test]
fn values_of_every_size_arrive() {
    let mut world = World::new(6, Network { loss: 0.05, ..Network::default() });
    cluster(&mut world, 3);
    for (i, size) in [0, 1, 1200, 1400, 5_000, 60_000, 1 << 20, 5 << 20].into_iter().enumerate() {
        world.set(i % 3, &format!("size-{size}"), &vec![i as u8; size], None);
    }
    converge(&mut world, 6, 60 * SECOND);
    must(6, check::order(&mut world));
}

#[test]
fn a_lost_acknowledgement_commits_nothing() {
    let mut world = World::new(7, Network::default());
    cluster(&mut world, 2);
    converge(&mut world, 7, 10 * SECOND);
    world.run(5 * SECOND);
    // What 0 sends arrives; no answer of 1 does.
    world.cuts.one_way(1, 0);
    let seq = world.set(0, "k", b"v", None).expect("it is set");
    world.run(5 * SECOND);
    let offsets: serde_json::Value = world.nodes[0].engine.offsets_json().parse().unwrap();
    assert!(offsets["m1"]["m0"].as_u64().unwrap_or(0) < seq, "{offsets}");
    world.heal();
    // Each may hold the other dead by now, and calls on it.
    converge(&mut world, 7, 30 * SECOND);
    world.run(3 * SECOND);
    let offsets: serde_json::Value = world.nodes[0].engine.offsets_json().parse().unwrap();
    // The topology is published anew as well.
    assert!(offsets["m1"]["m0"].as_u64().is_some_and(|offset| offset >= seq), "{offsets}");
    must(7, check::offsets(&world, &[0, 1], true));
}

#[test]
fn the_dead_stay_dead_and_a_leaver_is_seen_as_left() {
    let mut world = World::new(8, Network::default());
    cluster(&mut world, 8);
    converge(&mut world, 8, 20 * SECOND);
    world.leave(3);
    let left = |world: &World| {
        world
            .members()
            .iter()
            .all(|n| world.nodes[*n].store.members.by_id("m3").is_some_and(|m| m.status.word() == "left"))
    };
    assert!(world.run_until(10 * SECOND, 100 * MS, left));
    assert_eq!(world.nodes[3].store.leave_result(), Some(true));
    world.kill(3);
    world.run(700 * SECOND);
    assert!(world.members().iter().all(|n| world.nodes[*n].store.members.by_id("m3").is_none()));
    must(8, check::order(&mut world));
}

#[test]
fn a_restart_under_the_same_id_replaces_the_former_life_even_with_the_clock_set_back() {
    let mut world = World::new(9, Network::default());
    cluster(&mut world, 5);
    world.run(5 * SECOND);
    let first = world.start("again", &[0], |_| ());
    world.set(first, "k", b"first life", None);
    converge(&mut world, 9, 20 * SECOND);
    let generation = world.nodes[0].store.members.by_id("again").unwrap().life.generation;
    world.kill(first);
    let seeds = vec![world.nodes[1].address.to_string()];
    let start = Start { id: "again".into(), seeds, back_ms: 3_600_000, ..Start::default() };
    let second = world.spawn(start, |_| ());
    world.set(second, "k", b"second life", None);
    converge(&mut world, 9, 20 * SECOND);
    assert!(world.nodes[0].store.members.by_id("again").unwrap().life.generation > generation);
    must(9, check::order(&mut world));
}

#[test]
fn deleted_and_expired_entries_never_come_back() {
    for seed in seeds(8) {
        let mut world = World::new(
            seed,
            Network { loss: 0.1, duplicate: 0.1, latency: Latency::exponential(MS / 5, 20 * MS), ..Network::default() },
        );
        for i in 0..8 {
            let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
            // Tombstones are collected within a second or two, so that members fall behind the floor and need resets.
            world.start(&format!("m{i}"), &seeds, |s| s.tombstone_grace = 300 * MS);
        }
        converge(&mut world, seed, 60 * SECOND);
        for round in 0..20 {
            if round % 5 == 2 {
                world.partition(&[0, 1, 2]);
            }
            if round % 5 == 4 {
                world.heal();
            }
            for n in 0..8 {
                for k in 0..6 {
                    let key = format!("k{k}");
                    match world.rng.random_range(0..4) {
                        0 => _ = world.delete(n, &key),
                        1 => _ = world.set(n, &key, &[round], Some(800 * MS)),
                        _ => _ = world.set(n, &key, &[round], None),
                    }
                }
            }
            world.run(700 * MS);
            must(seed, check::order(&mut world));
        }
        for n in 0..8 {
            for k in 0..6 {
                world.delete(n, &format!("k{k}"));
            }
        }
        world.heal();
        converge(&mut world, seed, 120 * SECOND);
        must(seed, check::order(&mut world));
        assert!(world.nodes.iter().all(|n| n.store.get_prefix(world.now, None, "", true).is_empty()), "seed {seed}");
        assert!(world.sum("resets_received") > 0, "seed {seed}: nobody fell behind a floor");
    }
}

/// Everything at once; see `sim/adversary.rs`. `SIM_SEEDS` and `SIM_SEED` choose other seeds.
fn adversary(members: usize, count: u64) {
    let how = Adversary { members, membership: Some(Bounds::default()), ..Adversary::default() };
    let (first, count) = match std::env::var("SIM_SEED") {
        Ok(seed) => (seed.parse().expect("SIM_SEED is a number"), 1),
        Err(_) => (0, std::env::var("SIM_SEEDS").map_or(count, |n| n.parse().expect("SIM_SEEDS is a number"))),
    };
    let outcome = pool::seeds(first, count, 8, None, |seed| adversary::run(seed, &how));
    for failure in &outcome.failures {
        println!("seed {}: {}\nrepeat with: {}", failure.seed, failure.why, repeat(members, failure.seed));
    }
    let drawn: usize = outcome.done.iter().flat_map(|(_, r)| r.faults.values()).sum();
    let least = outcome.done.iter().map(|(_, r)| r.faults.values().sum::<usize>()).min();
    let slowest = outcome.done.iter().map(|(_, r)| r.agreed_after).max();
    println!(
        "{} seeds of {members} members: {drawn} faults, at least {least:?} a seed; all agreed {slowest:?} after the last",
        outcome.done.len()
    );
    assert!(outcome.failures.is_empty(), "{} seeds failed; their repeating commands are above", outcome.failures.len());
    assert!(least >= Some(200), "{least:?} faults");
}

/// The one command that repeats a run.
fn repeat(members: usize, seed: u64) -> String {
    format!("cargo run --release --example simulate -- --scenario adversary --members {members} --seed {seed}")
}

#[test]
fn whatever_happens_20_members_agree_in_the_end() {
    adversary(20, 256);
}

#[test]
fn whatever_happens_100_members_agree_in_the_end() {
    adversary(100, 32);
}

/// How long one fresh value of `size` bytes takes to all of `n` members, and what it costs: over the median of `runs`
/// values, one at a time, all traffic counted until everyone is quiet again.
fn spread(seed: u64, n: usize, size: usize, net: Network, runs: usize) -> (f64, f64, f64) {
    let mut world = World::new(seed, net);
    cluster(&mut world, n);
    converge(&mut world, seed, 60 * SECOND);
    world.run(5 * SECOND);
    let quiet = |world: &mut World, d: Duration| {
        let before = world.traffic.bytes();
        world.run(d);
        world.traffic.bytes() - before
    };
    let idle = quiet(&mut world, 2 * SECOND);
    let mut times = Vec::new();
    let mut bytes = 0i64;
    for run in 0..runs {
        let owner = world.rng.random_range(0..n);
        let id = world.nodes[owner].id.clone();
        let key = format!("key{run}");
        let (start, before) = (world.now, world.traffic.bytes());
        world.set(owner, &key, &vec![run as u8; size], None);
        let seen = |w: &World| w.nodes.iter().all(|n| !w_get(w, n, &id, &key));
        assert!(world.run_until(30 * SECOND, Duration::from_micros(200), seen), "seed {seed}");
        times.push(world.now.since(start).as_secs_f64() * 1000.0);
        let until = start + 2 * SECOND;
        let rest = until.since(world.now);
        world.run(rest);
        bytes += (world.traffic.bytes() - before) as i64 - idle as i64;
    }
    times.sort_by(f64::total_cmp);
    let amplification = bytes as f64 / runs as f64 / ((n - 1) * size) as f64;
    (times[runs / 2], *times.last().unwrap_or(&0.0), amplification)
}

fn w_get(world: &World, node: &sim::SimNode, member: &str, key: &str) -> bool {
    node.store.get(world.now, Some(member), key, false).is_empty()
}

#[test]
fn a_rumor_reaches_all_at_once() {
    for (n, size, loss) in [(100, 1024, 0.0), (100, 64, 0.0), (100, 1024, 0.1)] {
        let (median, worst, amplification) = spread(21, n, size, Network { loss, ..Network::default() }, 21);
        println!(
            "{n} members, {size} B, loss {loss}: median {median:.1} ms, worst {worst:.1} ms, {amplification:.2} x the payload"
        );
        // Virtual time: these are counts of hops, not of this machine's speed. Under loss some values wait for the interval.
        let bound = if loss > 0.0 { 3000.0 } else { 15.0 };
        assert!(median < bound && worst < bound, "median {median} ms, worst {worst} ms");
    }
}
