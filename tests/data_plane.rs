//! What data costs and how fast it is, under the simulator. Virtual time: the figures are counts of hops and bytes, not
//! of this machine's speed. `cargo test --release --test data_plane -- --nocapture` prints them.

mod sim;

use std::time::Duration;

use cluster_gossip::wire::frame::kind;
use cluster_gossip::wire::packet::{self, Head};
use cluster_gossip::wire::segment::{SegmentBuilder, WireEntry};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
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

/// Bytes that do not compress.
fn noise(seed: usize, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    SmallRng::seed_from_u64(seed as u64).fill_bytes(&mut bytes);
    bytes
}

fn sent(world: &World) -> u64 {
    world.traffic.datagram_bytes + world.traffic.message_bytes
}

/// Bytes sent of what carries entries, with the heads of packets and frames, and with an acknowledgement for each rumor.
/// Under loss members are suspected and refute it, which all are told and compare: that is no one value's doing.
fn data_sent(world: &World) -> u64 {
    let frame = |kind| world.sum(&format!("frame_bytes_sent_{kind}")) + 31 * world.sum(&format!("frames_sent_{kind}"));
    ["segment", "rumor", "announcement"].into_iter().map(frame).sum::<u64>() + 42 * world.sum("frames_received_rumor")
}

fn has(world: &World, node: usize, member: &str, key: &str) -> bool {
    !world.nodes[node].store.get(world.now, Some(member), key, true).is_empty()
}

struct Figures {
    median: f64,
    worst: f64,
    /// All traffic beyond the idle one, over the bytes of the value times those who get it.
    amplification: f64,
    /// [`data_sent`] over the same.
    data: f64,
}

/// Spreads `runs` values of `size` bytes one after the other among `n` members, of which a share is stopped for a second
/// as the value is set; those need not have it in time. All traffic is counted until everyone is quiet again.
fn spread(seed: u64, n: usize, size: usize, net: Network, paused: f64, runs: usize) -> Figures {
    spread_in(&mut cluster(seed, net, n), size, paused, runs)
}

fn spread_in(world: &mut World, size: usize, paused: f64, runs: usize) -> Figures {
    let n = world.nodes.len();
    let span = 2 * SECOND;
    let before = sent(world);
    world.run(span * 10);
    let idle = (sent(world) - before) / 10;
    let data = data_sent(world);
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
    let first = counted(world);
    for run in 0..runs {
        let owner = world.rng.random_range(0..n);
        let stopped: Vec<usize> = (0..n).filter(|i| *i != owner && world.rng.random_bool(paused)).collect();
        for &i in &stopped {
            world.pause(i, SECOND);
        }
        let (id, key) = (format!("m{owner}"), format!("key{}", world.now.as_micros()));
        let (start, before) = (world.now, sent(world));
        world.set(owner, &key, &noise(run, size), None);
        let mut left: Vec<usize> = (0..n).filter(|i| !stopped.contains(i)).collect();
        let done = world.run_until(30 * SECOND, Duration::from_micros(200), |w| {
            left.retain(|i| !has(w, *i, &id, &key));
            left.is_empty()
        });
        assert!(done, "{left:?} never got {key}");
        times.push(world.now.since(start).as_secs_f64() * 1000.0);
        let rest = (start + span).since(world.now);
        world.run(rest);
        bytes += sent(world) as f64 - before as f64 - idle as f64;
    }
    if std::env::var("SIM_KINDS").is_ok() {
        for ((name, a), (_, b)) in first.iter().zip(counted(world)) {
            if b > *a {
                println!("    {name}: {:.1} a value", (b - a) as f64 / runs as f64);
            }
        }
    }
    times.sort_by(f64::total_cmp);
    let amplification = bytes / runs as f64 / ((n - 1) * size) as f64;
    let data = (data_sent(world) - data) as f64 / runs as f64 / ((n - 1) * size) as f64;
    let figures = Figures { median: times[runs / 2], worst: times[runs - 1], amplification, data };
    println!(
        "{n} members, {size} B, loss {}, {paused} stopped: median {:.1} ms, worst {:.1} ms, {:.3} x the payload, {:.3} x in data",
        world.net.loss, figures.median, figures.worst, figures.amplification, figures.data
    );
    check::order(world).unwrap();
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
    assert!(f.median <= 18.0 && f.worst < 100.0 && f.data <= 1.5);
}

#[test]
fn stopped_members_hold_nobody_up() {
    let f = spread(3, 100, 1024, lossy(0.0), 0.05, 31);
    assert!(f.median <= 18.0 && f.worst < 100.0 && f.data <= 1.3);
}

#[test]
fn a_thousand_members_are_told_in_a_few_more_hops() {
    let mut world = cluster(4, lossy(0.0), 1000);
    let f = spread_in(&mut world, 1024, 0.0, 5);
    assert!(f.median < 10.0 && f.worst < 15.0 && f.amplification <= 1.2);
    world.net = lossy(0.1);
    let f = spread_in(&mut world, 1024, 0.0, 9);
    assert!(f.median <= 40.0 && f.worst < 300.0 && f.data <= 1.5);
}

#[test]
fn what_fits_no_datagram_is_announced_and_fetched() {
    for (size, bound) in [(5_000, 60.0), (100_000, 150.0), (1 << 20, 1000.0)] {
        let f = spread(6, 30, size, lossy(0.05), 0.0, 7);
        assert!(f.median < bound && f.amplification < 1.3, "{size} B");
    }
}

/// How many entries of `member` a node has.
fn count(world: &World, node: usize, member: &str) -> usize {
    world.nodes[node].store.get_prefix(world.now, Some(member), "", true).len()
}

#[test]
fn ten_megabytes_reach_a_newcomer_in_a_few_round_trips() {
    let mut world = cluster(7, lossy(0.0), 3);
    for i in 0..10_000 {
        world.set(0, &format!("key-{i}"), &noise(i, 1024), None);
    }
    world.run(20 * SECOND);
    let before = sent(&world);
    let start = world.now;
    let late = world.start("late", &[1], |_| ());
    assert!(world.run_until(10 * SECOND, MS, |w| count(w, late, "m0") == 10_000));
    let (took, bytes) = (world.now.since(start), sent(&world) - before);
    println!("10,000 entries of 1 KiB: {took:?}, {bytes} B");
    // What one message takes is the bandwidth of the simulated stream; one after the other would be 104 ms of that.
    assert!(took < 300 * MS && bytes < 15_000_000, "{took:?}, {bytes} B");
}

fn slow() -> Network {
    Network { bandwidth: 1e6, shared: true, ..Network::default() }
}

/// A newcomer to `n` members gets 6 MB over a way of 1 MB a second. Gives the time and the bytes sent; with `dies`, whoever
/// sends most ends midway.
fn catch_up(seed: u64, n: usize, net: Network, dies: bool) -> (Duration, u64) {
    let mut world = cluster(seed, lossy(0.0), n);
    for i in 0..6_000 {
        world.set(0, &format!("key-{i}"), &noise(i, 1000), None);
    }
    assert!(world.run_until(20 * SECOND, 500 * MS, |w| (0..n).all(|i| count(w, i, "m0") == 6_000)));
    world.run(10 * SECOND);
    world.net = net;
    let sent_by = |w: &World| (0..n).map(|i| w.nodes[i].engine.counters().message_bytes_sent).collect::<Vec<_>>();
    let (before, by, start) = (sent(&world), sent_by(&world), world.now);
    let late = world.start("late", &[1], |_| ());
    if dies {
        assert!(world.run_until(20 * SECOND, 20 * MS, |w| count(w, late, "m0") > 1_500));
        let more: Vec<u64> = sent_by(&world).iter().zip(by).map(|(a, b)| a - b).collect();
        let serves = (0..n).max_by_key(|i| more[*i]).unwrap();
        assert!(serves != 0, "seed {seed}: the owner serves: {more:?}");
        // The kernel of a host that is there tells of the death; one that is lost is only silent.
        if seed.is_multiple_of(2) { world.lose_host(serves) } else { world.kill(serves) }
    }
    assert!(world.run_until(60 * SECOND, 20 * MS, |w| count(w, late, "m0") == 6_000), "seed {seed}");
    let figures = (world.now.since(start), sent(&world) - before);
    println!("seed {seed}, {n} members, shared: {}, one dies: {dies}: {figures:?}", world.net.shared);
    figures
}

#[test]
fn over_a_slow_way_one_alone_sends_what_a_newcomer_lacks() {
    for seed in 1..4 {
        for n in [3, 10] {
            for shared in [true, false] {
                let (took, bytes) = catch_up(seed, n, Network { shared, ..slow() }, false);
                assert!(bytes < 9_000_000, "{bytes} B in {took:?}");
            }
        }
    }
}

#[test]
fn one_that_dies_while_it_serves_a_newcomer_is_replaced() {
    for seed in 1..4 {
        for n in [3, 10] {
            let (took, bytes) = catch_up(seed, n, slow(), true);
            // 6 s are the bytes themselves; what was on the way is lost with it.
            assert!(took < 12 * SECOND && bytes < 9_000_000, "{bytes} B in {took:?}");
        }
    }
}

#[test]
fn what_compresses_travels_compressed() {
    let mut world = cluster(12, lossy(0.0), 2);
    for i in 0..2_000 {
        world.set(0, &format!("key-{i}"), &[b'a'; 1024], None);
    }
    world.run(20 * SECOND);
    let before = sent(&world);
    let late = world.start("late", &[1], |_| ());
    assert!(world.run_until(10 * SECOND, MS, |w| count(w, late, "m0") == 2_000));
    let bytes = sent(&world) - before;
    assert!(bytes < 500_000, "{bytes} B");
}

#[test]
fn an_interrupted_transfer_goes_on_where_it_stopped() {
    // What was under way at the interruption comes twice, and that may be a fifth: one run says little.
    let seeds = 1..13;
    let twice: Vec<u64> = seeds.map(interrupted).collect();
    let mean = twice.iter().sum::<u64>() / twice.len() as u64;
    assert!(mean < 3_000, "{mean} entries came twice on average: {twice:?}");
}

/// How many of 20,000 entries come twice where the transfer is interrupted when 8,000 or more are there.
fn interrupted(seed: u64) -> u64 {
    let mut world = cluster(seed, lossy(0.0), 2);
    for i in 0..20_000 {
        let value = noise(i, 1000);
        world.set(0, &format!("key-{i}"), &value, None);
        if i % 1000 == 0 {
            world.run(MS);
        }
    }
    world.run(20 * SECOND);
    let late = world.start("late", &[0], |_| ());
    let half = |w: &World| count(w, late, "m0") > 8_000;
    assert!(world.run_until(10 * SECOND, 2 * MS, half), "seed {seed}");
    let there = count(&world, late, "m0");
    assert!(there < 19_000, "seed {seed}: it was over before it could be interrupted");
    world.partition(&[late]);
    world.run(2 * SECOND);
    world.heal();
    assert!(world.run_until(60 * SECOND, 10 * MS, |w| count(w, late, "m0") == 20_000), "seed {seed}");
    let known = world.nodes[late].engine.counters().entries_known;
    println!("seed {seed}: {there} entries were there at the interruption; {known} came twice");
    known
}

#[test]
fn many_newcomers_at_once_are_sent_from_one_to_the_other() {
    let mut world = cluster(9, lossy(0.0), 3);
    for i in 0..3_000 {
        world.set(0, &format!("key-{i}"), &noise(i, 1000), None);
    }
    world.run(20 * SECOND);
    let late: Vec<usize> = (0..12).map(|i| world.start(&format!("late{i}"), &[0], |_| ())).collect();
    assert!(world.run_until(60 * SECOND, 50 * MS, |w| late.iter().all(|n| count(w, *n, "m0") == 3_000)));
    let refused = world.sum("uploads_refused");
    println!("{refused} times somebody was told to ask another");
    assert!(refused > 0);
    // Nobody was sent much more than once.
    let received: u64 = late.iter().map(|n| world.nodes[*n].engine.counters().message_bytes_received).sum();
    assert!(received < 12 * 3_000_000 * 2, "{received} B");
}

#[test]
fn bulk_does_not_hold_up_what_is_small_and_fresh() {
    let mut world = cluster(10, lossy(0.01), 5);
    for i in 0..20_000 {
        world.set(0, &format!("key-{i}"), &noise(i, 1000), None);
    }
    assert!(world.run_until(10 * SECOND, MS, |w| count(w, 4, "m0") > 1_000));
    let late = 4;
    assert!(count(&world, late, "m0") < 15_000, "the transfer is over before anything is beside it");
    let start = world.now;
    world.set(1, "fresh", b"small", None);
    assert!(world.run_until(10 * SECOND, MS, |w| has(w, late, "m1", "fresh")));
    let took = world.now.since(start);
    println!("a fresh value beside a transfer of 20 MB: {took:?}");
    assert!(took < 50 * MS, "{took:?}");
}

#[test]
fn a_difference_that_no_row_tells_is_found_by_buckets() {
    const N: usize = 200;
    let mut world = cluster(13, lossy(0.0), N);
    // More owners change than one answer has rows for, while one member hears nothing.
    world.partition(&[7]);
    for i in 0..150 {
        world.set(if i == 7 { 160 } else { i }, "k", b"v", None);
        world.run(20 * MS);
    }
    world.run(SECOND);
    let (before, rows) = (sent(&world), world.sum("frame_bytes_sent_statement"));
    world.heal();
    let start = world.now;
    let all = |w: &World| (0..150).all(|i| has(w, 7, &format!("m{}", if i == 7 { 160 } else { i }), "k"));
    assert!(world.run_until(30 * SECOND, 10 * MS, all));
    let buckets = world.sum("frames_sent_buckets");
    println!(
        "150 of {N} owners repaired in {:?}, {} B, {} B of them statements, {buckets} times by buckets",
        world.now.since(start),
        sent(&world) - before,
        world.sum("frame_bytes_sent_statement") - rows,
    );
    assert!(buckets > 0);
}

#[test]
fn hot_keys_are_conflated_and_delay_nothing_else() {
    let mut world = cluster(11, lossy(0.01), 10);
    let tick = Duration::from_micros(100);
    let everywhere = |w: &World, member: &str, key: &str| (0..10).all(|n| has(w, n, member, key));
    let hot = |world: &mut World, n: u32| {
        for i in 0..n {
            for key in ["hot-a", "hot-b"] {
                world.set(0, key, &noise(i as usize, 1024), None);
            }
            world.run(tick);
        }
    };
    hot(&mut world, 5_000);
    let before = sent(&world);
    let (start, rumors) = (world.now, world.sum("rumors_started"));
    world.set(3, "fresh", b"of another member", None);
    world.set(0, "fresh", b"of the same member", None);
    let mut took = [None; 2];
    for _ in 0..200 {
        hot(&mut world, 10);
        for (i, member) in ["m3", "m0"].into_iter().enumerate() {
            if took[i].is_none() && everywhere(&world, member, "fresh") {
                took[i] = Some(world.now.since(start));
            }
        }
    }
    let seconds = world.now.since(start).as_secs_f64();
    let rate = (sent(&world) - before) as f64 / 10.0 / seconds;
    let rumors = (world.sum("rumors_started") - rumors) as f64 / seconds;
    println!("two keys at 10 kHz: {rumors:.0} rumors and {rate:.0} B a second and member; fresh keys in {took:?}");
    assert!(took.iter().all(|t| t.is_some_and(|t| t < 100 * MS)), "{took:?}");
    // 20,000 versions of 1 KiB a second were set.
    assert!(rumors < 3_000.0 && rate < 10e6, "{rumors} rumors, {rate} B/s");
    world.run(SECOND);
    assert!(world.converged());
}

#[test]
fn entries_that_differ_under_the_same_numbers_are_fetched_anew_from_their_owner() {
    let mut world = cluster(14, lossy(0.0), 5);
    world.set(0, "other", b"value", None);
    world.run(5 * SECOND);
    let life = |w: &World, id: &str| w.nodes[1].store.members.by_id(id).unwrap().life.nonce;
    let (owner, sender, target) = (life(&world, "m0"), life(&world, "m3"), life(&world, "m1"));
    // Before its owner sets it, another member tells member 1 a wrong value, and a key that there never was.
    let held = world.nodes[0].engine.held_json();
    let held: serde_json::Value = held.parse().unwrap();
    let seq = held["m0"].as_u64().unwrap();
    let mut segment = SegmentBuilder::new(owner, 0, seq, false);
    for (seq, key) in [(seq + 1, "never"), (seq + 2, "k")] {
        let value = b"wrong";
        segment.push(&WireEntry { seq, deleted: false, key, type_url: "", value, age_ms: 0, ttl_ms: None });
    }
    let mut bytes =
        packet::begin(Head { cluster: packet::cluster_tag(&world.nodes[0].store.settings().cluster), sender, target });
    packet::put_frame(&mut bytes, kind::SEGMENT, &segment.finish(seq + 2));
    packet::finish(&mut bytes);
    let from = world.nodes[3].address;
    world.inject(1, from, &bytes);
    world.set(0, "k", b"overwritten", None);
    assert_eq!(world.set(0, "k", b"right", None), Some(seq + 2));
    world.run(30 * SECOND);
    // All digests are equal, and still:
    assert!((1..5).all(|n| world.nodes[n].engine.digest() == world.nodes[0].engine.digest()));
    assert!(!world.converged());
    assert!(world.run_until(40 * 60 * SECOND, SECOND, World::converged), "{:?}", check::difference(&world));
    assert!(world.sum("content_differences") > 0 && world.sum("contents_compared") > 0);
    // Whoever compares next finds nothing.
    world.run(5 * SECOND);
    let found = world.sum("content_differences");
    let compared = world.sum("contents_compared");
    world.run(30 * 60 * SECOND);
    assert_eq!(world.sum("content_differences"), found);
    assert!(world.sum("contents_compared") > compared + 5);
}

#[test]
fn contents_are_compared_as_often_as_is_set_and_at_once_when_that_changes() {
    let mut world = World::new(15, lossy(0.0));
    world.base.content_interval = 10 * SECOND;
    sim::run::cluster(&mut world, 3);
    world.run(120 * SECOND);
    let compared = |w: &World| w.sum("contents_compared");
    let first = compared(&world);
    assert!((24..=48).contains(&first), "{first} comparisons of 3 members in 120 s, at one in 10 s");
    let set = |world: &mut World, interval| {
        for n in 0..3 {
            let mut settings = (*world.nodes[n].settings).clone();
            settings.content_interval = interval;
            world.call(n, |engine, now| engine.reconfigure(now, settings.into()));
        }
    };
    set(&mut world, 24 * 3600 * SECOND);
    world.run(600 * SECOND);
    assert!(compared(&world) <= first + 3, "the former interval counts on");
    let before = compared(&world);
    set(&mut world, 5 * SECOND);
    world.run(60 * SECOND);
    assert!(compared(&world) >= before + 24, "a day is waited for");
}

/// A question about contents is small, and its answer costs hashing all that is held.
#[test]
fn questions_about_contents_cost_a_bounded_amount_of_work() {
    let mut world = cluster(15, lossy(0.0), 3);
    for i in 0..10_000 {
        world.set(0, &format!("key-{i}"), &noise(i, 1024), None);
    }
    world.run(20 * SECOND);
    let answers =
        |w: &World| w.nodes[1].engine.metrics().iter().find(|m| m.name == "frames_sent_content_rows").unwrap().value;
    let before = answers(&world);
    let cluster = packet::cluster_tag(&world.nodes[0].store.settings().cluster);
    let mut bytes = packet::begin(Head { cluster, sender: world.nodes[2].nonce, target: world.nodes[1].nonce });
    for wrong in 0..30 {
        let mut body = Vec::new();
        for number in [world.nodes[1].engine.digest(), 0, u64::MAX, wrong, wrong] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        packet::put_frame(&mut bytes, kind::CONTENT, &body);
    }
    packet::finish(&mut bytes);
    let from = world.nodes[2].address;
    world.inject(1, from, &bytes);
    let answered = answers(&world) - before;
    assert!((1..8).contains(&answered), "{answered} of 30 questions about 10 MB were answered at once");
}
