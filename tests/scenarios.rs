//! Single hard situations in the simulator, each with what must come of it.

mod sim;

use std::sync::Arc;
use std::time::Duration;

use cluster_gossip::config::settings::Settings;
use cluster_gossip::engine::{Engine, Path};
use rand::Rng;
use sim::run::{MS, SECOND, at_rest, cluster, converge, must, seeds};
use sim::{Latency, Network, Start, World, check, membership};

/// Everything that must hold once all is quiet.
fn settled(world: &mut World, seed: u64) {
    world.run(5 * SECOND);
    let members = world.members();
    let checked = check::at_rest(world, &members);
    must(seed, checked);
}

/// Random sets and deletes by all members.
fn writes(world: &mut World, rounds: u32, pause: Duration) {
    for round in 0..rounds {
        let members = world.members();
        let node = members[world.rng.random_range(0..members.len())];
        let key = format!("k{}", world.rng.random_range(0..20));
        if world.rng.random_bool(0.3) {
            world.delete(node, &key);
        } else {
            let size = world.rng.random_range(0..400);
            world.set(node, &key, &vec![round as u8; size], None);
        }
        world.run(pause);
    }
}

#[test]
fn a_fifth_of_all_packets_is_lost() {
    for seed in seeds(8) {
        let mut world = at_rest(seed, Network { loss: 0.2, ..Network::default() }, 30);
        for _ in 0..20 {
            writes(&mut world, 20, 20 * MS);
            must(seed, check::order(&mut world));
        }
        converge(&mut world, seed, 20 * SECOND);
        settled(&mut world, seed);
    }
}

#[test]
fn packets_take_up_to_200_ms_and_overtake_each_other() {
    for seed in seeds(8) {
        let net = Network {
            latency: Latency::uniform(MS, 200 * MS),
            reorder: 0.1,
            reorder_by: 400 * MS,
            ..Network::default()
        };
        let mut world = at_rest(seed, net, 30);
        for _ in 0..20 {
            writes(&mut world, 20, 20 * MS);
            must(seed, check::order(&mut world));
        }
        converge(&mut world, seed, 20 * SECOND);
        settled(&mut world, seed);
    }
}

/// With the defaults: tombstones are kept for an hour, the state of the departed for ten minutes. Each side has
/// forgotten the other by then, and what it had deleted.
#[test]
fn a_partition_of_an_hour_with_deletes_on_both_sides() {
    for seed in seeds(2) {
        let mut world = World::new(seed, Network { loss: 0.01, ..Network::default() });
        // All members list the same two seeds, one of each side.
        for i in 0..20 {
            let seeds = vec!["10.0.0.0:4000".to_owned(), "10.0.0.10:4000".to_owned()];
            world.spawn(Start { id: format!("m{i}"), seeds, ..Start::default() }, |_| ());
        }
        for n in 0..20 {
            for k in 0..10 {
                world.set(n, &format!("k{k}"), &[1; 100], None);
            }
        }
        converge(&mut world, seed, 60 * SECOND);
        let side: Vec<usize> = (0..10).collect();
        world.partition(&side);
        for minute in 0..62 {
            if minute < 20 {
                for n in 0..20 {
                    // Deleted long before the end, so that all tombstones are collected before the sides meet again.
                    if minute % 2 == 0 && minute < 10 {
                        world.delete(n, &format!("k{}", minute / 2));
                    }
                    world.set(n, &format!("late{}", minute % 3), &[minute; 50], None);
                }
            }
            world.run(60 * SECOND);
            must(seed, check::order(&mut world));
        }
        for n in 0..20 {
            world.delete(n, "late0");
        }
        world.run(SECOND);
        world.heal();
        converge(&mut world, seed, 120 * SECOND);
        settled(&mut world, seed);
        assert!(world.nodes.iter().all(|n| n.store.get(world.now, None, "k0", true).is_empty()), "seed {seed}");
    }
}

#[test]
fn a_restart_under_the_same_id_with_the_clock_an_hour_back() {
    for seed in seeds(16) {
        let mut world = at_rest(seed, Network { loss: 0.05, ..Network::default() }, 10);
        for life in 0..4u8 {
            let old = world.members().into_iter().find(|n| world.nodes[*n].id == "m3").expect("m3 runs");
            world.set(old, "life", &[life], None);
            world.set(old, &format!("only{life}"), &[life], None);
            let pause = MS * world.rng.random_range(1..2000);
            world.run(pause);
            if life % 2 == 0 {
                world.kill(old)
            } else {
                world.lose_host(old)
            }
            let seeds = vec![world.nodes[usize::from(life)].address.to_string(), world.nodes[5].address.to_string()];
            let address = (life % 2 == 0).then_some(world.nodes[old].address);
            let start = Start { id: "m3".into(), address, seeds, back_ms: 3_600_000 * u64::from(life + 1) };
            let new = world.spawn(start, |_| ());
            world.set(new, "life", &[life + 100], None);
            converge(&mut world, seed, 60 * SECOND);
            let seen = world.nodes[7].store.get(world.now, Some("m3"), "life", false);
            assert_eq!(seen.first().map(|v| v.entry.value().to_vec()), Some(vec![life + 100]), "seed {seed}");
            must(seed, check::order(&mut world));
        }
        settled(&mut world, seed);
    }
}

#[test]
fn a_member_with_50_mb_and_newcomers_that_want_it() {
    let seed = 1;
    let mut world = World::new(seed, Network { loss: 0.01, ..Network::default() });
    for i in 0..4 {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
        world.start(&format!("m{i}"), &seeds, |_| ());
    }
    for i in 0..50 {
        world.set(1, &format!("large{i}"), &vec![i as u8; 1 << 20], None);
    }
    for i in 0..1000 {
        world.set(2, &format!("small{i}"), &[i as u8; 64], None);
    }
    converge(&mut world, seed, 120 * SECOND);
    // While a newcomer takes the large state in, what is small and fresh is not held up.
    let new = world.start("late", &[0], |_| ());
    let mut worst = Duration::ZERO;
    for i in 0..50u8 {
        let start = world.now;
        let seq = world.set(3, "fresh", &[i], None).expect("it is set");
        let seen = |w: &World| {
            let at = |n: usize| w.nodes[n].store.get(w.now, Some("m3"), "fresh", false);
            [0, 2, new].iter().all(|n| at(*n).first().is_some_and(|v| v.entry.seq() >= seq))
        };
        let done = world.run_until(30 * SECOND, MS, seen);
        must(seed, if done { Ok(()) } else { Err("a fresh value is held up by a large state".into()) });
        worst = worst.max(world.now.since(start));
        world.run(20 * MS);
    }
    converge(&mut world, seed, 120 * SECOND);
    println!("50 MB: a fresh value was seen by all after {worst:?} at worst");
    settled(&mut world, seed);
}

#[test]
fn packets_of_576_bytes() {
    for seed in seeds(4) {
        let mut world = World::new(seed, Network { loss: 0.05, ..Network::default() });
        for i in 0..40 {
            let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
            world.start(&format!("m{i}"), &seeds, |s| {
                s.max_packet = 576;
                s.tags = [("role".to_owned(), "x".repeat(100))].into();
            });
        }
        converge(&mut world, seed, 60 * SECOND);
        for (i, size) in [0, 100, 500, 540, 576, 1200, 1400, 30_000].into_iter().enumerate() {
            world.set(i, &format!("size{size}"), &vec![i as u8; size], None);
        }
        writes(&mut world, 300, 10 * MS);
        converge(&mut world, seed, 30 * SECOND);
        settled(&mut world, seed);
    }
}

/// 10,000 sets a second of two keys: the wire carries the newest only, readers see them in order, the last one at once.
#[test]
fn two_hot_keys_at_10_khz() {
    let seed = 1;
    let mut world = at_rest(seed, Network { loss: 0.01, ..Network::default() }, 20);
    world.most_datagrams = 100_000;
    let before = world.traffic;
    let mut last = 0;
    for i in 0..20_000u32 {
        last = world.set(3, if i % 2 == 0 { "hot0" } else { "hot1" }, &i.to_le_bytes(), None).expect("it is set");
        world.run(MS / 10);
        if i % 500 == 0 {
            must(seed, check::order(&mut world));
        }
    }
    let sent = world.traffic.bytes() - before.bytes();
    let datagrams = world.traffic.datagrams - before.datagrams;
    let start = world.now;
    let seen = |w: &World| {
        let at = |n: usize| w.nodes[n].store.get(w.now, Some("m3"), "hot1", false);
        (0..20).all(|n| at(n).first().is_some_and(|v| v.entry.seq() == last))
    };
    let done = world.run_until(5 * SECOND, MS, seen);
    must(seed, if done { Ok(()) } else { Err("the last value of a hot key does not arrive".into()) });
    println!(
        "two keys at 10 kHz: {} kB in {} datagrams a second and member; the last value was seen by all after {:?}",
        sent / 2 / 20 / 1000,
        datagrams / 2 / 20,
        world.now.since(start)
    );
    // Each of 20,000 values to each of 19 members would be 380,000 entries.
    let applied = world.sum("entries_applied");
    assert!(applied < 200_000, "{applied} entries were taken in: nothing was conflated");
    converge(&mut world, seed, 10 * SECOND);
    settled(&mut world, seed);
}

#[test]
fn flipped_bits_are_dropped_and_spread_nowhere() {
    for seed in seeds(8) {
        let mut world = at_rest(seed, Network { corrupt: 0.2, ..Network::default() }, 20);
        for _ in 0..20 {
            writes(&mut world, 20, 20 * MS);
            // What any subscriber sees is what an owner wrote: the checker of events compares the values.
            must(seed, check::order(&mut world));
        }
        converge(&mut world, seed, 20 * SECOND);
        settled(&mut world, seed);
        let dropped = world.sum("dropped_checksum") + world.sum("dropped_malformed");
        assert!(dropped > 100, "seed {seed}: {dropped} packets were dropped");
    }
}

/// A value over what a receiver takes becomes a stub there, and blocks nothing.
#[test]
fn members_with_different_limits() {
    for seed in seeds(4) {
        let mut world = World::new(seed, Network { loss: 0.05, ..Network::default() });
        world.oracle.limits_differ = true;
        for i in 0..10 {
            let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
            world.start(&format!("m{i}"), &seeds, |s| s.max_value_size = if i % 2 == 0 { 1000 } else { 16 << 20 });
        }
        world.run(10 * SECOND);
        world.set(1, "before", b"b", None);
        world.set(1, "large", &[1; 5000], None);
        world.set(1, "after", b"a", None);
        let small = |w: &World, n: usize, key: &str| !w.nodes[n].store.get(w.now, Some("m1"), key, false).is_empty();
        let all = |w: &World| {
            (0..10).all(|n| small(w, n, "before") && small(w, n, "after") && small(w, n, "large") == (n % 2 == 1))
        };
        let done = world.run_until(30 * SECOND, 100 * MS, all);
        must(seed, if done { Ok(()) } else { Err("a value too large for some blocks others".into()) });
        must(seed, check::order(&mut world));
    }
}

/// Of two live processes with one id the later stays, the other ends; nothing flaps, and no storm breaks out.
#[test]
fn two_processes_with_one_id() {
    for seed in seeds(16) {
        let mut world = at_rest(seed, Network { duplicate: 0.05, ..Network::default() }, 10);
        let seeds = vec![world.nodes[1].address.to_string()];
        let twin = world.spawn(Start { id: "m4".into(), seeds, ..Start::default() }, |_| ());
        world.run(10 * SECOND);
        must(seed, check::order(&mut world));
        let running: Vec<usize> = [4, twin].into_iter().filter(|n| world.nodes[*n].takes_part()).collect();
        assert_eq!(running.len(), 1, "seed {seed}: one of the two takes part");
        converge(&mut world, seed, 30 * SECOND);
    }
}

/// A changed address is followed, also by those that the member cannot have told of it.
#[test]
fn a_member_that_moves_is_followed() {
    for seed in seeds(8) {
        let mut world = at_rest(seed, Network { loss: 0.1, ..Network::default() }, 10);
        let address = "10.1.1.1:5000".parse().expect("an address");
        world.move_to(4, address);
        converge(&mut world, seed, 60 * SECOND);
        world.set(4, "moved", b"yes", None);
        converge(&mut world, seed, 10 * SECOND);
        let known = |w: &World, n: usize| w.nodes[n].store.members.by_id("m4").map(|m| m.address);
        let followed = |w: &World| (0..10).all(|n| known(w, n) == Some(address));
        assert!(world.run_until(10 * SECOND, 100 * MS, followed), "seed {seed}");
    }
}

/// After any partition all ask each other again, though each side had given up the other.
#[test]
fn no_islands_remain_when_nothing_is_new() {
    for seed in seeds(16) {
        let mut world = at_rest(seed, Network::default(), 16);
        for _ in 0..3 {
            let side: Vec<usize> = (0..16).filter(|_| world.rng.random_bool(0.5)).collect();
            world.partition(&side);
            let pause = SECOND * world.rng.random_range(5..40);
            writes(&mut world, 20, 10 * MS);
            world.run(pause);
        }
        world.heal();
        converge(&mut world, seed, 90 * SECOND);
    }
}

/// Two halves that have declared each other gone, with nothing left in common but the name of the seeds.
#[test]
fn the_seeds_name_alone_heals_a_split() {
    for seed in seeds(4) {
        let mut world = World::new(seed, Network::default());
        world.dns.set("seeds.test", vec!["10.0.0.0:4000".parse().expect("an address")]);
        for i in 0..12 {
            let seeds = vec!["seeds.test:4000".to_owned()];
            world.spawn(Start { id: format!("m{i}"), seeds, ..Start::default() }, |s| {
                s.departed_grace = 20 * SECOND;
                s.departed_record = 20 * SECOND;
            });
        }
        converge(&mut world, seed, 60 * SECOND);
        world.partition(&[0, 1, 2, 3, 4, 5]);
        // The old seed is gone for good; the name changes to one of each side.
        world.run(120 * SECOND);
        world.lose_host(0);
        world.run(120 * SECOND);
        let new = [2, 8].map(|n| world.nodes[n].address).to_vec();
        world.dns.set("seeds.test", new);
        world.heal();
        converge(&mut world, seed, 120 * SECOND);
    }
}

/// The floor of an owner that deletes now and then rises while a newcomer is being sent all of its entries.
#[test]
fn a_newcomer_is_sent_all_while_keys_are_deleted() {
    let seed = 1;
    let mut world = World::new(seed, Network { bandwidth: 2e6, ..Network::default() });
    world.base.tombstone_grace = 40 * SECOND;
    cluster(&mut world, 3);
    for i in 0..6_000u32 {
        let value: Vec<u8> = (0..1000).map(|_| world.rng.random()).collect();
        world.set(0, &format!("key-{i}"), &value, None);
    }
    let sessions = |world: &mut World, range: std::ops::Range<u32>| {
        for i in range {
            world.set(0, &format!("session-{i}"), b"s", None);
            world.delete(0, &format!("session-{}", i.saturating_sub(1)));
            world.run(250 * MS);
        }
    };
    sessions(&mut world, 0..240);
    let before = world.sum("tombstone_collections");
    let late = world.start("late", &[1], |_| ());
    // It takes 3 seconds, and may begin again once.
    sessions(&mut world, 240..280);
    assert!(world.sum("tombstone_collections") > before, "the floor did not rise");
    assert_eq!(world.nodes[late].store.get_prefix(world.now, Some("m0"), "key-", true).len(), 6_000);
    assert!(world.nodes[late].store.is_synced());
    converge(&mut world, seed, 10 * SECOND);
    settled(&mut world, seed);
}

/// Who was away while tombstones were collected is sent all entries anew, in pieces: a key whose new number comes in a later
/// piece, or after the last, is not told as deleted meanwhile.
#[test]
fn what_was_overwritten_while_one_was_away_is_not_told_as_deleted() {
    for seed in seeds(10) {
        let net = Network { latency: Latency::uniform(MS, 100 * MS), loss: 0.05, ..Network::default() };
        let mut world = World::new(seed, net);
        world.base.tombstone_grace = SECOND;
        cluster(&mut world, 5);
        world.set(0, "stays", b"once", None);
        world.set(0, "goes", b"once", None);
        converge(&mut world, seed, 10 * SECOND);
        world.partition(&[4]);
        world.delete(0, "goes");
        world.run(5 * SECOND);
        assert!(world.nodes[0].metric("tombstone_collections") > 0, "the floor did not rise");
        for i in 0..3 + 2 * seed {
            let value: Vec<u8> = (0..1100).map(|_| world.rng.random()).collect();
            world.set(0, &format!("k{i}"), &value, None);
        }
        world.set(0, "stays", b"again", None);
        world.run(SECOND);
        world.heal();
        // Single steps, so that nothing that is told is conflated with what follows.
        for _ in 0..20_000 {
            world.run(MS);
            must(seed, check::order(&mut world));
        }
        converge(&mut world, seed, 20 * SECOND);
        assert!(world.nodes[4].metric("resets_received") > 0, "there was no reset");
        settled(&mut world, seed);
    }
}

/// Who has refused a value cannot pass it on: the others do not wait for it until they happen to meet its owner.
#[test]
fn a_value_that_most_refuse_is_had_of_its_owner() {
    for seed in seeds(4) {
        let mut world = World::new(seed, Network { loss: 0.02, ..Network::default() });
        world.base.max_value_size = 1000;
        world.oracle.limits_differ = true;
        cluster(&mut world, 59);
        let owner = world.start("owner", &[0], |s| s.max_value_size = 16 << 20);
        world.run(15 * SECOND);
        let equal = |w: &World| w.nodes.iter().all(|n| n.engine.digest() == w.nodes[0].engine.digest());
        assert!(world.run_until(30 * SECOND, 100 * MS, equal), "seed {seed}");
        world.set(owner, "large", &[1; 5000], None);
        assert!(world.run_until(5 * SECOND, 100 * MS, equal), "seed {seed}: some wait for a value that others refused");
        for (id, limit) in [("late", 1000), ("late-large", 16 << 20)] {
            let late = world.start(id, &[7], |s| s.max_value_size = limit);
            assert!(world.run_until(10 * SECOND, 100 * MS, equal), "seed {seed}: {id} does not get on");
            let has = !world.nodes[late].store.get(world.now, Some("owner"), "large", false).is_empty();
            assert_eq!(has, limit > 5000, "seed {seed}: {id}");
        }
        must(seed, check::order(&mut world));
    }
}

/// A value far over what a receiver takes comes with others in one message, which is read all the same.
#[test]
fn a_value_of_megabytes_becomes_a_stub_too() {
    let seed = 1;
    let mut world = World::new(seed, Network { loss: 0.02, ..Network::default() });
    cluster(&mut world, 1);
    world.base.max_value_size = 1000;
    world.oracle.limits_differ = true;
    let start = |world: &mut World, id: &str| world.start(id, &[0], |_| ());
    start(&mut world, "m1");
    start(&mut world, "m2");
    world.run(10 * SECOND);
    let noise: Vec<u8> = (0..12 << 20).map(|_| world.rng.random()).collect();
    for value in [&noise[..], &[7; 4 << 20]] {
        world.set(0, "before", b"b", None);
        world.set(0, "large", value, None);
        for i in 0..100 {
            world.set(0, &format!("after{i}"), &[1; 900], None);
        }
        let late = format!("late{}", value.len());
        start(&mut world, &late);
        let equal = |w: &World| w.nodes.iter().all(|n| n.engine.digest() == w.nodes[0].engine.digest());
        assert!(world.run_until(10 * SECOND, 100 * MS, equal), "what is too large holds up the rest");
        for node in &world.nodes[1..] {
            assert_eq!(node.store.get_prefix(world.now, Some("m0"), "", false).len(), 101);
        }
        must(seed, check::order(&mut world));
    }
}

/// A way that carries less than was thought: the datagrams of the one that learns it get smaller, and all agree.
#[test]
fn a_datagram_too_large_for_the_way() {
    let mut world = at_rest(1, Network::default(), 10);
    let to = world.nodes[7].address;
    for limit in [1232, 508, 508] {
        let failed = |engine: &mut Engine, now| engine.handle_send_failed(now, to, Path::Datagram, true, "too long");
        world.call(3, failed);
        assert_eq!(world.nodes[3].metric("datagram_limit"), limit);
        // What is over the limit of the settings is reported.
        let settings = Settings { max_packet: limit as usize, ..(*world.nodes[3].settings).clone() };
        world.nodes[3].settings = Arc::new(settings);
        writes(&mut world, 20, 20 * MS);
        world.set(3, "large", &[limit as u8; 5000], None);
        converge(&mut world, 1, 5 * SECOND);
        must(1, check::order(&mut world));
    }
    settled(&mut world, 1);
}

/// What the network says of an address is no verdict: a member that answers stays, whatever is said.
#[test]
fn an_address_said_to_be_unreachable_that_answers() {
    // Long ways, so that probes are under way when it is said.
    let net = Network { latency: Latency::uniform(40 * MS, 60 * MS), ..Network::default() };
    let mut world = at_rest(1, net, 10);
    let to = world.nodes[7].address;
    for _ in 0..200 {
        for n in 0..7 {
            world.call(n, |engine, now| engine.handle_unreachable(now, to));
        }
        world.run(50 * MS);
    }
    assert!(world.sum("probes_indirect") > 0, "no probe went round");
    assert_eq!((world.sum("suspicions"), world.sum("deaths")), (0, 0));
    settled(&mut world, 1);
}

/// Nobody is accused for what a sleeping host has missed.
#[test]
fn a_host_that_slept() {
    let mut world = at_rest(1, Network::default(), 10);
    for _ in 0..20 {
        world.pause(4, 3 * SECOND);
        world.run(3 * SECOND);
        world.call(4, |engine, now| engine.handle_sleep(now, 3 * SECOND));
        writes(&mut world, 5, 20 * MS);
        world.run(SECOND);
    }
    assert_eq!((world.nodes[4].metric("deaths"), world.sum("deaths")), (0, 0));
    converge(&mut world, 1, 10 * SECOND);
    settled(&mut world, 1);
}

/// Keys over what a receiver takes become stubs there; once the owner has room again, so has the receiver.
#[test]
fn a_member_that_takes_fewer_keys() {
    for seed in seeds(4) {
        let mut world = World::new(seed, Network { loss: 0.05, ..Network::default() });
        for i in 0..6 {
            let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
            world.start(&format!("m{i}"), &seeds, |s| s.max_keys_per_member = if i == 5 { 5 } else { 1000 });
        }
        world.run(10 * SECOND);
        for k in 0..50 {
            world.set(1, &format!("k{k}"), &[1; 10], None);
            world.run(10 * MS);
        }
        let keys = |w: &World, n: usize| w.nodes[n].store.get_prefix(w.now, Some("m1"), "k", false).len();
        let all = |w: &World| (0..5).all(|n| keys(w, n) == 50);
        assert!(world.run_until(10 * SECOND, 100 * MS, all), "seed {seed}");
        assert!((1..=10).contains(&keys(&world, 5)), "seed {seed}: {} keys", keys(&world, 5));
        assert!(world.nodes[5].metric("entries_refused") > 0, "seed {seed}");
        must(seed, check::sizes(&world));
        for k in 0..50 {
            world.delete(1, &format!("k{k}"));
        }
        world.run(5 * SECOND);
        world.set(1, "k0", b"again", None);
        converge(&mut world, seed, 10 * SECOND);
        settled(&mut world, seed);
    }
}

/// Nobody holds any life of a member to be there, not those either who were cut off while its last one came and went.
#[test]
fn a_later_life_that_came_and_went_unseen() {
    for seed in seeds(8) {
        let mut world = at_rest(seed, Network::default(), 10);
        let cut_off = [0, 1, 2, 3];
        world.partition(&cut_off);
        world.kill(9);
        world.run(SECOND);
        let seeds = vec![world.nodes[5].address.to_string()];
        let later = world.spawn(Start { id: "m9".into(), seeds, ..Start::default() }, |_| ());
        world.run(SECOND);
        world.leave(later);
        world.run(SECOND);
        world.heal();
        let over = |w: &World| {
            w.members().iter().all(|n| w.nodes[*n].store.members.by_id("m9").is_none_or(|m| !m.status.is_present()))
        };
        assert!(world.run_until(60 * SECOND, 100 * MS, over), "seed {seed}: somebody holds m9 to be there");
        converge(&mut world, seed, 60 * SECOND);
        must(seed, membership::agreement(&world));
        settled(&mut world, seed);
    }
}

/// One in the midst of a reset passes over what one that is behind the same floor could send, and answers it all the same: neither
/// goes on about it.
#[test]
fn one_that_is_behind_the_floor_is_of_no_use_to_a_reset() {
    let seed = 1;
    let mut world = World::new(seed, Network { bandwidth: 2e6, ..Network::default() });
    world.base.tombstone_grace = SECOND;
    cluster(&mut world, 2);
    let (owner, behind) = (0, 1);
    for i in 0..80 {
        world.set(owner, &format!("first{i}"), &[1; 40], None);
    }
    converge(&mut world, seed, 10 * SECOND);
    // It misses all the rest, and the delete at the end of it.
    let cut = |world: &mut World, a: usize, b: usize| {
        world.cuts.one_way(a, b);
        world.cuts.one_way(b, a);
    };
    cut(&mut world, owner, behind);
    for i in 0..4_000u32 {
        let value: Vec<u8> = (0..1000).map(|_| world.rng.random()).collect();
        world.set(owner, &format!("later{i}"), &value, None);
    }
    world.set(owner, "over", b"", None);
    world.delete(owner, "over");
    world.run(2500 * MS);
    assert!(world.nodes[owner].metric("tombstone_collections") > 0);
    // The first message of the reset comes; then there is only the one that is behind.
    let late = world.start("late", &[owner, behind], |_| ());
    let began = |w: &World| !w.nodes[late].store.get(w.now, Some("m0"), "later500", true).is_empty();
    assert!(world.run_until(20 * SECOND, MS, began), "the reset has not begun");
    cut(&mut world, owner, late);
    let before = world.sum("segments_sent");
    world.run(20 * SECOND);
    let sent = world.sum("segments_sent") - before;
    assert!(sent < 100, "{sent} segments were sent to one that can not use them");
    world.heal();
    converge(&mut world, seed, 60 * SECOND);
    settled(&mut world, seed);
}
