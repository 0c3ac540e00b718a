//! What data costs and how fast it is, under the simulator. Virtual time: the figures are counts of hops and bytes, not
//! of this machine's speed. `cargo test --release --test data_plane -- --nocapture` prints them.

mod sim;

use std::time::Duration;

use rand::Rng;
use sim::{Network, World, check};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn cluster(seed: u64, net: Network, n: usize) -> World {
    let mut world = World::new(seed, Network::default());
    for i in 0..n {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
        world.start(&format!("m{i}"), &seeds, |_| ());
    }
    // Roots are compared rather than all that everyone sees: that is N² look-ups.
    let equal = |w: &World| {
        let digest = |i: usize| w.nodes[i].engine.digest();
        (0..n).all(|i| digest(i) == digest(0)) && w.nodes[0].store.members.present() == n
    };
    assert!(world.run_until(120 * SECOND, 100 * MS, equal), "seed {seed}: not equal");
    world.net = net;
    world.run(5 * SECOND);
    world
}

fn sent(world: &World) -> u64 {
    world.traffic.datagram_bytes + world.traffic.message_bytes
}

fn has(world: &World, node: usize, member: &str, key: &str) -> bool {
    !world.nodes[node].store.get(world.now, Some(member), key, true).is_empty()
}

struct Figures {
    median: f64,
    worst: f64,
    amplification: f64,
}

/// Spreads `runs` values of `size` bytes one after the other among `n` members, of which a share is stopped for a second
/// as the value is set; those need not have it in time. All traffic is counted until everyone is quiet again.
fn spread(seed: u64, n: usize, size: usize, net: Network, paused: f64, runs: usize) -> Figures {
    let mut world = cluster(seed, net, n);
    let span = 2 * SECOND;
    let before = sent(&world);
    world.run(span);
    let idle = sent(&world) - before;
    let mut times = Vec::new();
    let mut bytes = 0.0;
    let counted = |w: &World| {
        w.nodes.iter().fold(Vec::new(), |mut sum: Vec<(&str, u64)>, node| {
            for (i, m) in node.engine.metrics().iter().enumerate() {
                if sum.len() <= i {
                    sum.push((m.name, 0));
                }
                sum[i].1 += m.value;
            }
            sum
        })
    };
    let first = counted(&world);
    for run in 0..runs {
        let owner = world.rng.random_range(0..n);
        let stopped: Vec<usize> = (0..n).filter(|i| *i != owner && world.rng.random_bool(paused)).collect();
        for &i in &stopped {
            world.pause(i, SECOND);
        }
        let (id, key) = (format!("m{owner}"), format!("key{run}"));
        let (start, before) = (world.now, sent(&world));
        world.set(owner, &key, &vec![run as u8; size], None);
        let mut left: Vec<usize> = (0..n).filter(|i| !stopped.contains(i)).collect();
        let done = world.run_until(30 * SECOND, Duration::from_micros(200), |w| {
            left.retain(|i| !has(w, *i, &id, &key));
            left.is_empty()
        });
        assert!(done, "seed {seed}: {left:?} never got {key}");
        times.push(world.now.since(start).as_secs_f64() * 1000.0);
        let rest = (start + span).since(world.now);
        world.run(rest);
        bytes += sent(&world) as f64 - before as f64 - idle as f64;
    }
    if std::env::var("SIM_KINDS").is_ok() {
        for ((name, a), (_, b)) in first.iter().zip(counted(&world)) {
            if b > *a {
                println!("    {name}: {:.1} a value", (b - a) as f64 / runs as f64);
            }
        }
    }
    times.sort_by(f64::total_cmp);
    let amplification = bytes / runs as f64 / ((n - 1) * size) as f64;
    let figures = Figures { median: times[runs / 2], worst: times[runs - 1], amplification };
    println!(
        "{n} members, {size} B, loss {}, {paused} stopped: median {:.1} ms, worst {:.1} ms, {:.3} x the payload",
        world.net.loss, figures.median, figures.worst, figures.amplification
    );
    check::order(&mut world).unwrap();
    figures
}

fn lossy(loss: f64) -> Network {
    Network { loss, ..Network::default() }
}

#[test]
fn a_rumor_costs_little_more_than_its_bytes() {
    let f = spread(1, 100, 1024, lossy(0.0), 0.0, 21);
    assert!(f.median < 10.0 && f.worst < 15.0 && f.amplification < 1.2);
}

#[test]
fn under_loss_no_rumor_waits_for_the_interval() {
    let f = spread(2, 100, 1024, lossy(0.1), 0.0, 101);
    assert!(f.median <= 18.0 && f.worst < 100.0 && f.amplification <= 1.5);
}

#[test]
fn stopped_members_hold_nobody_up() {
    let f = spread(3, 100, 1024, lossy(0.0), 0.05, 31);
    assert!(f.median <= 18.0 && f.worst < 100.0);
}

#[test]
fn a_thousand_members_are_told_in_a_few_more_hops() {
    let f = spread(4, 1000, 1024, lossy(0.0), 0.0, 7);
    assert!(f.median < 10.0 && f.worst < 15.0 && f.amplification <= 1.2);
    let f = spread(5, 1000, 1024, lossy(0.1), 0.0, 9);
    assert!(f.median <= 40.0 && f.worst < 150.0 && f.amplification <= 1.5);
}

#[test]
fn what_fits_no_datagram_is_announced_and_fetched() {
    for (size, bound) in [(5_000, 60.0), (100_000, 150.0), (1 << 20, 1000.0)] {
        let f = spread(6, 30, size, lossy(0.05), 0.0, 7);
        assert!(f.median < bound && f.amplification < 1.3, "{size} B");
    }
}
