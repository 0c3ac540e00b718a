//! Failure detection, healing and identity under the simulator. A failing run prints the command that repeats it.

mod sim;

use cluster_gossip::Filter;
use std::time::Duration;

use cluster_gossip::error::Status;
use cluster_gossip::store::NodeState;
use cluster_gossip::store::event::{Event, kind};
use cluster_gossip::store::members::{Cause, MemberStatus};
use cluster_gossip::store::own::key;
use cluster_gossip::store::queue::Queue;
use cluster_gossip::wire::compress::compress;
use cluster_gossip::wire::frame::{self, Join, Record};
use cluster_gossip::wire::packet::{self, Head};
use cluster_gossip::wire::proto::cluster::MemberHeartbeat;
use cluster_gossip::wire::segment::{SegmentBuilder, WireEntry};
use prost::Message;
use rand::Rng;
use sim::run::{MS, SECOND, at_rest, converge, must, seeds};
use sim::{Network, Start, World, check};

fn cluster(seed: u64, n: usize, net: Network) -> World {
    at_rest(seed, net, n)
}

fn status(world: &World, at: usize, id: &str) -> Option<MemberStatus> {
    world.nodes[at].store.members.by_id(id).map(|m| m.status)
}

/// Whether all running members hold `id` to be `wanted`.
fn all_hold(world: &World, id: &str, wanted: MemberStatus) -> bool {
    world.members().iter().all(|n| world.nodes[*n].id == id || status(world, *n, id) == Some(wanted))
}

/// Runs until all hold a member to be dead; gives how long it took.
fn until_dead(world: &mut World, seed: u64, id: &str) -> f64 {
    let start = world.now;
    let known = world.run_until(60 * SECOND, 10 * MS, |w| all_hold(w, id, MemberStatus::Dead));
    assert!(known, "seed {seed}: {id} is not known to be dead everywhere");
    world.now.since(start).as_secs_f64()
}

fn print(what: &str, mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what}: p50 {:.2} s, p99 {:.2} s, worst {:.2} s of {}", at(0.5), at(0.99), at(1.0), times.len());
    at(1.0)
}

#[test]
fn a_crash_is_known_to_all_within_seconds() {
    for (n, loss) in [(2, 0.0), (3, 0.0), (20, 0.0), (100, 0.0), (100, 0.05)] {
        for host in [false, true] {
            let mut times = Vec::new();
            for seed in seeds(4) {
                let mut world = cluster(seed, n, Network { loss, ..Network::default() });
                for victim in (1..n).rev().take(5.min(n / 2).max(1)) {
                    let pause = MS * world.rng.random_range(0..1000);
                    world.run(pause);
                    if host {
                        world.lose_host(victim)
                    } else {
                        world.kill(victim)
                    }
                    times.push(until_dead(&mut world, seed, &format!("m{victim}")));
                }
                must(seed, check::order(&mut world));
            }
            let what = if host { "host lost" } else { "process killed" };
            let worst = print(&format!("{what}, {n} members, loss {loss}"), times);
            // Virtual time: counts of time-outs, not this machine's speed.
            let bound = match (n, host) {
                (2 | 3, true) => 6.5, // nobody, or one, is there to confirm
                (_, true) => 3.3,
                (_, false) if loss == 0.0 => 1.5,
                (_, false) => 2.5,
            };
            assert!(worst < bound, "{worst:.2} s");
        }
    }
}

/// Deaths that members have declared while nobody died.
fn false_deaths(world: &World) -> u64 {
    world.sum("deaths")
}

#[test]
fn no_running_member_is_held_dead_under_loss() {
    for loss in [0.05, 0.2] {
        for seed in seeds(2) {
            let mut world = cluster(seed, 100, Network { loss, ..Network::default() });
            let before = world.sum("suspicions");
            world.run(60 * SECOND);
            let suspicions = world.sum("suspicions") - before;
            println!("loss {loss}, seed {seed}: {suspicions} suspicions, {} deaths", false_deaths(&world));
            assert_eq!(false_deaths(&world), 0, "seed {seed}, loss {loss}");
            assert!(world.converged(), "seed {seed}: {}", check::difference(&world).unwrap_or_default());
        }
    }
}

#[test]
fn stopped_processes_come_back_without_having_been_held_dead() {
    for (share, seed, loss) in [(1, 0, 0.01), (10, 1, 0.05), (25, 2, 0.05), (25, 3, 0.2)] {
        let mut world = cluster(seed, 100, Network { loss, ..Network::default() });
        for _ in 0..20 {
            for _ in 0..share {
                let node = world.rng.random_range(0..100);
                let d = MS * world.rng.random_range(1000..10_000);
                world.pause(node, d);
            }
            world.run(12 * SECOND);
        }
        println!("{share} % stopped: {} suspicions, {} deaths", world.sum("suspicions"), false_deaths(&world));
        assert_eq!(false_deaths(&world), 0, "seed {seed}");
        world.run(5 * SECOND);
        assert!(world.converged(), "seed {seed}: {}", check::difference(&world).unwrap_or_default());
        assert!((0..100).all(|n| all_hold(&world, &format!("m{n}"), MemberStatus::Alive)), "seed {seed}");
    }
}

/// Stops `share` of the members at a time, each for 1 to 30 s, for `time`. Gives whom some member was told to be dead although
/// it ran, or was stopped for up to 10 s.
fn wronged(world: &mut World, seed: u64, share: f64, time: Duration) -> Vec<String> {
    let n = world.nodes.len();
    must(seed, check::order(world));
    world.nodes.iter_mut().for_each(|node| node.subscriber.changes.clear());
    // Until when each is stopped, and whether for long.
    let mut until = vec![(world.now, false); n];
    let mut wronged = Vec::new();
    let end = world.now + time;
    while world.now < end {
        while until.iter().filter(|(at, _)| *at > world.now).count() < (n as f64 * share) as usize {
            let one = world.rng.random_range(0..n);
            if until[one].0 <= world.now {
                let pause = MS * world.rng.random_range(1000..30_000);
                world.pause(one, pause);
                until[one] = (world.now + pause, pause > 10 * SECOND);
            }
        }
        world.run(100 * MS);
        must(seed, check::order(world));
        for observer in 0..n {
            for change in std::mem::take(&mut world.nodes[observer].subscriber.changes) {
                let Some(subject) = world.oracle.node(change.nonce) else { continue };
                let (at, long) = until[subject];
                // What was said while it was stopped may be told a little later.
                let rightly = long && at + 5 * SECOND > world.now;
                if change.kind == kind::MEMBER_DEAD && !rightly {
                    wronged.push(format!("{} at m{observer}, {:.1} s", change.id, world.seconds()));
                }
            }
        }
    }
    wronged
}

#[test]
fn whoever_wakes_up_takes_no_old_news_for_a_death() {
    // Lossy ways besides: a connection that was not answered once is no proof that its host is gone.
    for (loss, share) in [(0.0, 0.25), (0.05, 0.25), (0.2, 0.1)] {
        for seed in seeds(3) {
            let mut world = cluster(seed, 100, Network { loss, ..Network::default() });
            let wronged = wronged(&mut world, seed, share, 150 * SECOND);
            assert_eq!(wronged, Vec::<String>::new(), "seed {seed}, loss {loss}");
        }
    }
}

#[test]
fn who_finds_killed_processes_stays_well() {
    for seed in seeds(4) {
        let mut world = cluster(seed, 30, Network::default());
        for victim in 20..30 {
            world.kill(victim);
            let took = until_dead(&mut world, seed, &format!("m{victim}"));
            assert!(took < 1.5, "seed {seed}: m{victim} after {took:.2} s");
        }
    }
}

#[test]
fn one_that_was_held_dead_is_whole_again_within_a_second_of_its_return() {
    for seed in seeds(8) {
        let mut world = cluster(seed, 50, Network::default());
        world.set(7, "k", b"before", None);
        world.run(SECOND);
        let back = world.now + 40 * SECOND;
        world.pause(7, 40 * SECOND);
        until_dead(&mut world, seed, "m7");
        world.set(3, "k", b"meanwhile", None);
        let rest = back.since(world.now);
        world.run(rest);
        let done = world.run_until(SECOND, 10 * MS, |w| w.converged() && all_hold(w, "m7", MemberStatus::Alive));
        let why = check::difference(&world).unwrap_or_default();
        assert!(done, "seed {seed}: not whole a second after its return: {why}");
        must(seed, check::order(&mut world));
    }
}

#[test]
fn a_partition_of_any_length_heals_by_itself() {
    // Shorter than a death, as long as one, longer than the grace, longer than anyone remembers.
    for length in [2, 8, 30, 90] {
        for seed in seeds(3) {
            let mut world = World::new(seed, Network::default());
            for i in 0..20 {
                let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
                world.start(&format!("m{i}"), &seeds, |s| {
                    s.departed_grace = 15 * SECOND;
                    s.departed_record = 60 * SECOND;
                });
            }
            assert!(world.run_until(60 * SECOND, 100 * MS, World::converged), "seed {seed}");
            let side: Vec<usize> = (10..20).collect();
            world.partition(&side);
            world.run(SECOND);
            world.set(2, "k", b"on one side", None);
            world.set(12, "k", b"on the other", None);
            world.run(length * SECOND);
            let false_before = false_deaths_within(&world, &side);
            world.heal();
            let done = world.run_until(120 * SECOND, 100 * MS, World::converged);
            let why = check::difference(&world).unwrap_or_default();
            assert!(done, "seed {seed}, partition of {length} s: {why}");
            // Nobody was taken for dead by those on its own side, neither during the partition nor by what came from behind it.
            assert_eq!((false_before, false_deaths_within(&world, &side)), (0, 0), "seed {seed}, {length} s");
            must(seed, check::order(&mut world));
        }
    }
}

#[test]
fn two_that_hold_each_other_dead_find_together_soon_after_a_short_partition() {
    for seed in seeds(12) {
        let mut world = cluster(seed, 2, Network::default());
        world.partition(&[0]);
        let apart = |w: &World| all_hold(w, "m0", MemberStatus::Dead) && all_hold(w, "m1", MemberStatus::Dead);
        assert!(world.run_until(20 * SECOND, 10 * MS, apart), "seed {seed}");
        world.run(SECOND);
        world.heal();
        // They call on each other 1, 3, 7 and 15 s after the death.
        let whole = |w: &World| w.converged() && all_hold(w, "m0", MemberStatus::Alive);
        assert!(world.run_until(4 * SECOND, 10 * MS, whole), "seed {seed}: not healed 4 s after the partition");
        must(seed, check::order(&mut world));
    }
}

#[test]
fn calling_on_the_dead_costs_each_member_the_same_in_any_cluster() {
    for n in [10, 100] {
        let mut world = cluster(1, n, Network::default());
        world.lose_host(n - 1);
        until_dead(&mut world, 1, &format!("m{}", n - 1));
        let calls = |w: &World| w.sum("frames_sent_want_members");
        let before = calls(&world);
        world.run(60 * SECOND);
        let called = calls(&world) - before;
        println!("{n} members: a dead one was called on {called} times in 60 s");
        // Each at the steady pace of 7 to 13 s, and the one that declared it dead four times more.
        assert!(called >= 1 && called <= n as u64 * 60 / 7 + 5, "{n} members: {called} calls");
    }
}

/// Members that hold one of their own side to be dead or suspect.
fn false_deaths_within(world: &World, side: &[usize]) -> usize {
    let of_side = |n: usize| side.contains(&n);
    let wrong = |at: usize, of: usize| {
        let held = status(world, at, &world.nodes[of].id);
        matches!(held, Some(MemberStatus::Dead | MemberStatus::Suspect) | None)
    };
    let all = 0..world.nodes.len();
    all.clone()
        .flat_map(|a| all.clone().map(move |b| (a, b)))
        .filter(|(a, b)| of_side(*a) == of_side(*b) && wrong(*a, *b))
        .count()
}

#[test]
fn one_that_only_can_send_is_held_dead_and_makes_no_one_else_so() {
    for seed in seeds(4) {
        let mut world = cluster(seed, 20, Network::default());
        for other in (0..20).filter(|n| *n != 5) {
            world.cuts.one_way(other, 5);
        }
        world.run(30 * SECOND);
        let others: Vec<usize> = (0..20).filter(|n| *n != 5).collect();
        for n in &others {
            assert_eq!(status(&world, *n, "m5"), Some(MemberStatus::Dead), "seed {seed}: at m{n}");
            for m in &others {
                let held = status(&world, *n, &format!("m{m}"));
                assert_eq!(held, Some(MemberStatus::Alive), "seed {seed}: m{m} at m{n}");
            }
        }
        world.heal();
        assert!(world.run_until(60 * SECOND, 100 * MS, World::converged), "seed {seed}");
    }
}

/// A queue with the events of these kinds at a node from now on.
fn listen(world: &World, node: usize, what: u32) -> std::sync::Arc<Queue> {
    let queue = Queue::new(0);
    let filter = Filter { what, ..Filter::default() };
    world.nodes[node].store.subscribe(world.now, filter, &queue, 1 << 20, 0).unwrap();
    queue
}

fn taken(world: &World, queue: &Queue) -> Vec<Event> {
    let now = world.now;
    queue.take(0, Some(std::time::Duration::ZERO), &move || now).unwrap_or_default()
}

#[test]
fn one_that_was_cut_off_makes_no_one_dead_when_it_is_back() {
    for seed in seeds(24) {
        let mut world = cluster(seed, 7, Network::default());
        world.partition(&[5]);
        until_dead_at_others(&mut world, seed, "m5");
        // It comes back right after it has held one of them dead, when that is no old news yet.
        let others = (0..7).filter(|n| *n != 5);
        let mistaken = |w: &World| others.clone().any(|n| status(w, 5, &format!("m{n}")) == Some(MemberStatus::Dead));
        assert!(world.run_until(60 * SECOND, 10 * MS, mistaken), "seed {seed}");
        let queues: Vec<_> = others.clone().map(|n| (n, listen(&world, n, kind::MEMBER_DEAD))).collect();
        world.heal();
        assert!(world.run_until(60 * SECOND, 10 * MS, World::converged), "seed {seed}");
        for (n, queue) in &queues {
            for event in taken(&world, queue) {
                let of = event.member.map(|m| m.id().to_owned());
                assert_eq!(of.as_deref(), Some("m5"), "seed {seed}: told dead at m{n}");
            }
        }
        must(seed, check::order(&mut world));
    }
}

/// Runs until all but the member itself hold it to be dead.
fn until_dead_at_others(world: &mut World, seed: u64, id: &str) {
    let known = |w: &World| {
        let others = w.members().into_iter().filter(|n| w.nodes[*n].id != id);
        others.into_iter().all(|n| status(w, n, id) == Some(MemberStatus::Dead))
    };
    assert!(world.run_until(60 * SECOND, 10 * MS, known), "seed {seed}: {id} is not known to be dead");
}

#[test]
fn where_tcp_alone_is_blocked_a_warning_says_so() {
    for seed in seeds(4) {
        let mut world = cluster(seed, 5, Network::default());
        let queues: Vec<_> = (0..5).map(|n| listen(&world, n, kind::WARNING | kind::MEMBER_DEAD)).collect();
        world.nodes[3].tcp_blocked = true;
        world.set(0, "large", &vec![7; 300_000], None);
        world.run(30 * SECOND);
        let events: Vec<_> = queues.iter().flat_map(|queue| taken(&world, queue)).collect();
        let warned = |e: &Event| {
            e.text.as_ref().is_some_and(|t| t.contains("answers UDP packets but can not be reached by TCP"))
        };
        assert!(events.iter().any(warned), "seed {seed}");
        assert!(events.iter().all(|e| e.kind == kind::WARNING), "seed {seed}: somebody is held dead");
    }
}

#[test]
fn a_process_that_dies_while_it_is_sent_a_large_value_is_no_sign_of_blocked_tcp() {
    for seed in seeds(4) {
        let mut world = cluster(seed, 5, Network::default());
        let queues: Vec<_> = (0..5).map(|n| listen(&world, n, kind::WARNING)).collect();
        world.set(0, "large", &vec![7; 300_000], None);
        world.run(MS);
        world.kill(3);
        world.run(30 * SECOND);
        let events: Vec<_> = queues.iter().flat_map(|queue| taken(&world, queue)).collect();
        assert!(events.iter().all(|e| !e.text.as_ref().is_some_and(|t| t.contains("by TCP"))), "seed {seed}");
    }
}

#[test]
fn many_that_die_at_once_are_all_found() {
    for seed in seeds(3) {
        let mut world = cluster(seed, 60, Network::default());
        for n in 30..55 {
            if n % 2 == 0 { world.lose_host(n) } else { world.kill(n) }
        }
        let start = world.now;
        let dead = |w: &World| (30..55).all(|n| all_hold(w, &format!("m{n}"), MemberStatus::Dead));
        assert!(world.run_until(60 * SECOND, 50 * MS, dead), "seed {seed}");
        println!("25 of 60 at once: {:.1} s", world.now.since(start).as_secs_f64());
        let living: Vec<usize> = (0..30).chain(55..60).collect();
        assert!(living.iter().all(|n| all_hold(&world, &format!("m{n}"), MemberStatus::Alive)), "seed {seed}");
    }
}

#[test]
fn idle_traffic_does_not_grow_with_the_cluster() {
    for n in [2, 10, 100] {
        let mut world = cluster(1, n, Network::default());
        world.run(10 * SECOND);
        let before = world.traffic.bytes();
        world.run(60 * SECOND);
        let each = (world.traffic.bytes() - before) / 60 / n as u64;
        println!("{n} idle members: {each} B/s each");
        assert!(each <= 120, "{n} members: {each} B/s each");
    }
}

#[test]
fn a_banned_member_is_hidden_everywhere_until_the_ban_is_lifted_by_anyone() {
    for seed in seeds(4) {
        let mut world = cluster(seed, 8, Network { loss: 0.05, ..Network::default() });
        world.set(3, "k", b"before", None);
        world.run(SECOND);
        world.call(1, |engine, now| engine.ban(now, "m3")).unwrap();
        world.call(2, |engine, now| engine.ban(now, "m3")).unwrap();
        let hidden = |w: &World| {
            let at_all = (0..8).all(|n| n == 3 || w.nodes[n].store.get(w.now, Some("m3"), "k", false).is_empty());
            at_all && all_hold(w, "m3", MemberStatus::Banned)
        };
        assert!(world.run_until(5 * SECOND, 10 * MS, hidden), "seed {seed}");
        let state = |w: &World| w.nodes[3].store.state();
        assert!(world.run_until(5 * SECOND, 10 * MS, |w| state(w) == NodeState::Banned), "seed {seed}");
        let refused = world.nodes[3].store.set(world.now, "k", "", b"no", None, false);
        assert_eq!(refused.unwrap_err().status(), Status::Banned);
        // The ban outlives those who have set it.
        world.kill(1);
        world.leave(2);
        world.run(30 * SECOND);
        let late = world.start("late", &[0], |_| ());
        world.run(5 * SECOND);
        assert!(hidden(&world) && status(&world, late, "m3") == Some(MemberStatus::Banned), "seed {seed}");
        // Two that ban each other agree about it, and a third lifts both.
        world.call(3, |engine, now| engine.ban(now, "m4")).unwrap();
        world.run(5 * SECOND);
        assert!(all_hold(&world, "m4", MemberStatus::Banned), "seed {seed}");
        world.call(late, |engine, now| engine.unban(now, "m3")).unwrap();
        world.call(late, |engine, now| engine.unban(now, "m4")).unwrap();
        let back = |w: &World| all_hold(w, "m3", MemberStatus::Alive) && all_hold(w, "m4", MemberStatus::Alive);
        assert!(world.run_until(5 * SECOND, 10 * MS, back), "seed {seed}");
        assert!(world.run_until(5 * SECOND, 10 * MS, |w| state(w) == NodeState::Joined), "seed {seed}");
        world.set(3, "k", b"after", None);
        assert!(world.run_until(5 * SECOND, 10 * MS, World::converged), "seed {seed}");
        must(seed, check::order(&mut world));
    }
}

#[test]
fn members_that_see_the_same_members_publish_the_same_topology() {
    let mut world = cluster(1, 10, Network::default());
    let hashes = |w: &World| -> Vec<Vec<u8>> {
        let all = w.nodes[0].store.get(w.now, None, key::TOPOLOGY, false);
        all.iter().map(|v| v.entry.value().to_vec()).collect()
    };
    let before = hashes(&world);
    assert_eq!(before.len(), 10);
    assert!(before.windows(2).all(|w| w[0] == w[1]));
    world.kill(7);
    world.run(10 * SECOND);
    let after = hashes(&world);
    assert_eq!(after.len(), 9);
    assert!(after.windows(2).all(|w| w[0] == w[1]) && after[0] != before[0]);
    // Keys of the library's own are not among the hosts'.
    assert!(world.nodes[0].store.get_prefix(world.now, None, "", false).is_empty());
    assert_eq!(world.nodes[0].store.get_prefix(world.now, None, "cluster:", false).len(), 9);
}

#[test]
fn statistics_are_published_when_they_change_and_not_too_often() {
    let mut world = cluster(1, 5, Network::default());
    let seq = |w: &World| w.nodes[4].store.get(w.now, Some("m2"), key::HEARTBEAT, false).first().map(|v| v.entry.seq());
    assert_eq!(seq(&world), None);
    world.nodes[2].store.set_statistic("echo", Some(3)).unwrap();
    world.call(2, |engine, now| engine.handle_dirty(now));
    world.run(SECOND);
    let first = seq(&world);
    assert!(first.is_some());
    for n in 0..50 {
        world.nodes[2].store.set_statistic("echo", Some(n)).unwrap();
        world.call(2, |engine, now| engine.handle_dirty(now));
        world.run(100 * MS);
    }
    assert_eq!(seq(&world), first, "published again within heartbeat_interval");
    world.run(10 * SECOND);
    let view = world.nodes[4].store.get(world.now, Some("m2"), key::HEARTBEAT, false);
    let beat = MemberHeartbeat::decode(view[0].entry.value()).unwrap();
    assert_eq!(beat.actor_statistics.unwrap().actor_count["echo"], 49);
    assert_eq!(world.nodes[2].store.set_statistic("", Some(1)).unwrap_err().status(), Status::InvalidArgument);
}

#[test]
fn a_heartbeat_that_stops_bans_and_one_that_comes_again_lifts_the_ban() {
    let mut world = World::new(1, Network::default());
    for i in 0..5 {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
        world.start(&format!("m{i}"), &seeds, |s| {
            s.heartbeat_interval = SECOND;
            s.heartbeat_expiration = 5 * SECOND;
        });
    }
    assert!(world.run_until(10 * SECOND, 100 * MS, World::converged));
    world.run(20 * SECOND);
    assert!((0..5).all(|n| all_hold(&world, &format!("m{n}"), MemberStatus::Alive)));
    // It answers all probes and only sends no heartbeat any more: nothing but this can be why it is hidden.
    let expiration = |world: &mut World, expiration| {
        let mut settings = (*world.nodes[2].settings).clone();
        settings.heartbeat_expiration = expiration;
        world.call(2, |engine, now| engine.reconfigure(now, settings.into()));
    };
    let stopped = world.now;
    expiration(&mut world, Duration::ZERO);
    assert!(world.run_until(20 * SECOND, 100 * MS, |w| all_hold(w, "m2", MemberStatus::Banned)));
    assert!(world.now.since(stopped) >= 4 * SECOND, "banned before its last heartbeat had expired");
    assert!([0, 1, 3, 4].iter().all(|n| all_hold(&world, &format!("m{n}"), MemberStatus::Alive)));
    world.run(10 * SECOND);
    assert!(all_hold(&world, "m2", MemberStatus::Banned), "lifted without a heartbeat");
    expiration(&mut world, 5 * SECOND);
    assert!(world.run_until(5 * SECOND, 100 * MS, |w| all_hold(w, "m2", MemberStatus::Alive)));
    assert_eq!((world.sum("suspicions"), world.sum("deaths")), (0, 0));
}

#[test]
fn whoever_leaves_says_so_in_the_state_too() {
    let mut world = cluster(1, 5, Network::default());
    world.leave(3);
    world.run(2 * SECOND);
    assert_eq!(world.nodes[0].store.get(world.now, Some("m3"), key::LEFT, true).len(), 1);
    assert!(all_hold(&world, "m3", MemberStatus::Left));
}

/// Warnings that a node has told, in words.
fn warnings(world: &World, node: usize) -> Vec<String> {
    let now = world.now;
    let mut texts = Vec::new();
    while let Ok(events) = world.nodes[node].queue.take(0, Some(std::time::Duration::ZERO), &|| now) {
        let warned = events.into_iter().filter(|e| e.kind == kind::WARNING).filter_map(|e| e.text);
        texts.extend(warned.map(|text| text.to_string()));
    }
    texts
}

#[test]
fn a_seed_that_does_not_answer_is_complained_of_in_words() {
    let mut world = World::new(1, Network::default());
    world.events = kind::WARNING;
    let gone = world.start("gone", &[], |_| ());
    let blocked = world.start("blocked", &[], |_| ());
    let lost = world.start("lost", &[], |_| ());
    world.kill(gone);
    world.nodes[blocked].udp_blocked = true;
    world.lose_host(lost);
    for (seed, expected) in [(gone, "refused"), (blocked, "UDP is blocked"), (lost, "nor to a TCP connection")] {
        let node = world.start("newcomer", &[seed], |_| ());
        world.run(40 * SECOND);
        let texts = warnings(&world, node);
        let told = texts.iter().filter(|text| text.contains(expected) && text.contains("next in")).count();
        assert!((1..=3).contains(&told), "{expected}: {texts:?}");
        world.kill(node);
    }
}

#[test]
fn tcp_that_does_not_pass_is_complained_of_in_words() {
    let mut world = World::new(1, Network::default());
    world.events = kind::WARNING;
    for i in 0..3 {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
        world.start(&format!("m{i}"), &seeds, |_| ());
    }
    assert!(world.run_until(20 * SECOND, 100 * MS, World::converged));
    world.nodes[1].tcp_blocked = true;
    world.set(0, "large", &vec![7; 100_000], None);
    world.run(20 * SECOND);
    let texts = warnings(&world, 0);
    assert!(texts.iter().any(|text| text.contains("answers UDP packets")), "{texts:?}");
    assert!((0..3).all(|n| all_hold(&world, &format!("m{n}"), MemberStatus::Alive)));
}

#[test]
fn a_timer_that_is_set_late_is_not_taken_for_a_pause() {
    // A name server that takes its time.
    let mut world = World::new(1, Network::default());
    (world.dns.down, world.dns.delay) = (true, 5 * SECOND);
    world.start("m0", &[], |_| ());
    let seeds = vec!["10.0.0.0:4000".into(), "gone:4000".into()];
    world.spawn(Start { id: "m1".into(), seeds, ..Start::default() }, |_| ());
    world.run(60 * SECOND);
    assert_eq!(world.sum("pauses"), 0);
    // A graver cause that is heard of after its time would have been over.
    let mut world = cluster(1, 3, Network::default());
    world.pause(2, 60 * SECOND);
    let subject = world.nodes[0].store.members.by_id("m2").unwrap();
    let (to, accuser) = (world.nodes[0].nonce, world.nodes[1].nonce);
    for cause in [Cause::Silent, Cause::Refused] {
        let record = Record {
            id: "m2".into(),
            generation: subject.life.generation,
            nonce: subject.life.nonce,
            incarnation: 5,
            status: MemberStatus::Suspect,
            age_ms: 0,
            address: subject.address,
            versions: (1, 1),
            tags: Default::default(),
            cause,
            accuser,
        };
        let mut body = Vec::new();
        record.put(&mut body);
        let from = world.nodes[1].address;
        world.inject(0, from, &forged(accuser, to, &[(frame::kind::MEMBERS, body)]));
        world.run(3 * SECOND);
    }
    assert_eq!(world.nodes[0].metric("pauses"), 0);
}

/// A packet as `sender` would send it to `target`.
fn forged(sender: u64, target: u64, frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = packet::begin(Head { cluster: packet::cluster_tag("default"), sender, target });
    frames.iter().for_each(|(kind, body)| packet::put_frame(&mut bytes, *kind, body));
    packet::finish(&mut bytes);
    bytes
}

#[test]
fn one_that_is_often_stopped_for_a_moment_still_finds_a_dead_member() {
    let mut world = cluster(1, 2, Network::default());
    world.lose_host(1);
    for _ in 0..30 {
        world.pause(0, 500 * MS);
        world.run(3 * SECOND);
    }
    assert_eq!(status(&world, 0, "m1"), Some(MemberStatus::Dead));
}

#[test]
fn one_that_was_alone_in_its_names_addresses_finds_those_that_come_later() {
    let mut world = World::new(1, Network::default());
    let both: Vec<_> = (0..2).map(|n| ([10, 0, 0, n], 4000).into()).collect();
    for (n, address) in both.iter().enumerate() {
        world.dns.set("svc", vec![*address]);
        world.spawn(Start { id: format!("m{n}"), seeds: vec!["svc:4000".into()], ..Start::default() }, |_| ());
        world.run(SECOND);
        assert_eq!(world.nodes[n].store.state(), NodeState::Alone);
    }
    world.dns.set("svc", both);
    let joined = |w: &World| w.nodes.iter().all(|n| n.store.members.present() == 2);
    assert!(world.run_until(45 * SECOND, 100 * MS, joined));
}

#[test]
fn a_banned_member_comes_back_from_behind_a_partition_too() {
    let mut world = World::new(1, Network::default());
    for i in 0..5 {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
        world.start(&format!("m{i}"), &seeds, |s| {
            s.departed_grace = 10 * SECOND;
            s.departed_record = 30 * SECOND;
        });
    }
    world.run(10 * SECOND);
    world.call(1, |engine, now| engine.ban(now, "m3")).unwrap();
    world.run(5 * SECOND);
    // Longer than anyone remembers it: only it knows of a seed.
    world.partition(&[3]);
    world.run(120 * SECOND);
    world.heal();
    let back = |w: &World| all_hold(w, "m3", MemberStatus::Banned) && w.nodes[3].store.members.present() == 4;
    assert!(world.run_until(120 * SECOND, 100 * MS, back), "{:?} at m0", status(&world, 0, "m3"));
}

#[test]
fn one_datagram_is_not_answered_with_more_than_it_had() {
    let mut world = cluster(1, 2, Network::default());
    let record = Record {
        id: "x".into(),
        generation: 1,
        nonce: 4711,
        incarnation: 1,
        status: MemberStatus::Alive,
        age_ms: 0,
        address: ([10, 9, 9, 9], 999).into(),
        versions: (1, 1),
        tags: Default::default(),
        cause: Cause::None,
        accuser: 0,
    };
    let join = (frame::kind::JOIN, Join { token: 0, record: record.clone() }.encode());
    let mut plain = Vec::new();
    (0..8000).for_each(|_| packet::put_frame(&mut plain, join.0, &join.1));
    let bomb = vec![(frame::kind::COMPRESSED, compress(&plain).unwrap())];
    for frames in [vec![join.clone()], vec![join; 30], bomb] {
        let bytes = forged(4711, 0, &frames);
        let before = world.traffic.datagram_bytes;
        world.inject(0, record.address, &bytes);
        let answer = world.traffic.datagram_bytes - before;
        assert!(answer <= bytes.len() as u64, "{answer} B for {} B", bytes.len());
    }
}

/// A world in which m2 has been banned because it does not beat.
fn without_beat() -> World {
    let mut world = World::new(1, Network::default());
    for i in 0..5 {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
        world.start(&format!("m{i}"), &seeds, |s| {
            s.heartbeat_interval = SECOND;
            s.heartbeat_expiration = if i == 2 { Duration::ZERO } else { 5 * SECOND };
        });
    }
    world.run(20 * SECOND);
    assert!(all_hold(&world, "m2", MemberStatus::Banned));
    world
}

fn beat(world: &mut World) {
    world.nodes[2].store.set_statistic("echo", Some(1)).unwrap();
    world.call(2, |engine, now| engine.handle_dirty(now));
    world.run(2 * SECOND);
}

#[test]
fn a_heartbeat_lifts_the_bans_for_its_absence_and_no_others() {
    let mut world = without_beat();
    beat(&mut world);
    assert!(all_hold(&world, "m2", MemberStatus::Alive));
    assert_eq!(world.nodes[2].store.state(), NodeState::Joined);
    // One that its host has banned stays so.
    let mut world = without_beat();
    let host = world.start("m5", &[0], |s| (s.heartbeat_interval, s.heartbeat_expiration) = (SECOND, 600 * SECOND));
    world.run(2 * SECOND);
    world.call(host, |engine, now| engine.ban(now, "m2")).unwrap();
    world.run(2 * SECOND);
    beat(&mut world);
    assert!(all_hold(&world, "m2", MemberStatus::Banned));
    assert_eq!(world.nodes[0].engine.bans_json(), r#"[{"by":"m5","id":"m2"}]"#);
}

#[test]
fn what_was_told_when_a_ban_took_effect_is_not_told_again_when_it_is_lifted() {
    let mut world = cluster(1, 3, Network::default());
    must(1, check::order(&mut world));
    // An entry and a ban at the same time, as a wake-up with several packets brings them.
    world.partition(&[1]);
    world.record = true;
    world.set(2, "k", b"v", None);
    let sent = std::mem::take(&mut world.recorded);
    world.heal();
    let (from, target) = (world.nodes[2].address, world.nodes[1].nonce.to_le_bytes());
    for packet in sent.iter().filter(|packet| packet.windows(8).any(|w| w == target)) {
        world.inject(1, from, packet);
    }
    assert_eq!(world.nodes[1].store.get(world.now, Some("m2"), "k", false).len(), 1);
    must(1, check::order(&mut world));
    world.call(1, |engine, now| engine.ban(now, "m2")).unwrap();
    world.run(SECOND);
    world.call(1, |engine, now| engine.unban(now, "m2")).unwrap();
    world.run(SECOND);
    must(1, check::order(&mut world));
}

#[test]
fn the_topology_is_told_although_members_change_their_tags_all_the_time() {
    let mut world = cluster(1, 5, Network::default());
    let hash = |w: &World| w.nodes[1].store.get(w.now, Some("m1"), key::TOPOLOGY, false)[0].entry.value().to_vec();
    let before = hash(&world);
    world.kill(4);
    for i in 0..30 {
        let mut settings = (*world.nodes[2].settings).clone();
        settings.tags.insert("load".into(), i.to_string());
        world.call(2, |engine, now| engine.reconfigure(now, settings.into()));
        world.run(500 * MS);
    }
    assert_ne!(before, hash(&world));
}

#[test]
fn members_that_leave_together_do_not_wait_for_each_other() {
    for n in [2, 8] {
        let mut world = cluster(1, n, Network::default());
        (0..n).for_each(|node| world.leave(node));
        world.run(2 * SECOND);
        assert!(world.nodes.iter().all(|node| node.store.leave_result() == Some(true)), "{n} members");
    }
}

#[test]
fn one_for_whom_there_is_no_room_any_more_is_not_answered_without_end() {
    let mut world = World::new(1, Network::default());
    for i in 0..6 {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![1.min(i - 1)] };
        world.start(&format!("m{i}"), &seeds, |s| {
            if i == 0 {
                (s.max_members, s.departed_grace) = (3, 5 * SECOND);
            }
        });
    }
    world.run(20 * SECOND);
    // One that m0 knows goes, another takes its place there, and it returns.
    let known = (1..6).find(|n| status(&world, 0, &format!("m{n}")).is_some()).unwrap();
    world.partition(&[known]);
    world.run(60 * SECOND);
    world.heal();
    world.run(30 * SECOND);
    assert_eq!(world.violations, Vec::<String>::new());
}

#[test]
fn one_that_was_away_for_longer_than_anyone_remembers_brings_nobody_back() {
    for seed in seeds(4) {
        let mut world = World::new(seed, Network::default());
        for i in 0..8 {
            let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
            world.start(&format!("m{i}"), &seeds, |s| {
                s.departed_grace = 15 * SECOND;
                s.departed_record = 60 * SECOND;
            });
        }
        assert!(world.run_until(20 * SECOND, 100 * MS, World::converged), "seed {seed}");
        world.set(5, "k", b"mine", None);
        world.set(3, "k", b"of one that dies", None);
        world.run(2 * SECOND);
        world.pause(5, 300 * SECOND);
        world.run(40 * SECOND);
        world.kill(3);
        world.run(258 * SECOND);
        for _ in 0..400 {
            world.run(100 * MS);
            let back = world.members().iter().find(|n| **n != 5 && status(&world, **n, "m3").is_some()).copied();
            assert_eq!(back, None, "seed {seed}: m3 is back");
        }
        assert!(world.run_until(20 * SECOND, 100 * MS, World::converged), "seed {seed}");
        assert_eq!(world.nodes[0].store.get(world.now, Some("m5"), "k", false).len(), 1, "seed {seed}");
        must(seed, check::order(&mut world));
    }
}

#[test]
fn a_new_member_at_a_dead_ones_address_ends_its_grace() {
    let mut world = cluster(1, 5, Network::default());
    let address = world.nodes[3].address;
    world.set(3, "k", b"v", None);
    world.kill(3);
    until_dead(&mut world, 1, "m3");
    assert_eq!(world.nodes[1].store.get(world.now, Some("m3"), "k", true).len(), 1);
    let start = sim::Start {
        id: "other".into(),
        address: Some(address),
        seeds: vec![world.nodes[0].address.to_string()],
        back_ms: 0,
    };
    world.spawn(start, |_| ());
    world.run(3 * SECOND);
    assert!(world.members().iter().all(|n| status(&world, *n, "m3").is_none()));
    assert!(all_hold(&world, "other", MemberStatus::Alive));
}

/// A record of a member as `at` knows it.
fn record_of(world: &World, at: usize, id: &str) -> Record {
    let member = world.nodes[at].store.members.by_id(id).unwrap();
    Record {
        id: id.into(),
        generation: member.life.generation,
        nonce: member.life.nonce,
        incarnation: 1,
        status: MemberStatus::Alive,
        age_ms: 0,
        address: member.address,
        versions: (1, 1),
        tags: Default::default(),
        cause: Cause::None,
        accuser: 0,
    }
}

/// `sender` seems to tell `to` this record, down the tree to everyone and in an answer.
fn tell(world: &mut World, sender: usize, to: usize, record: &Record) {
    let mut members = Vec::new();
    record.put(&mut members);
    let mut claims = [5u64.to_le_bytes(), 4u64.to_le_bytes()].concat(); // the whole ring
    claims.extend_from_slice(&members);
    for frame in [(frame::kind::CLAIMS, claims), (frame::kind::MEMBERS, members)] {
        let bytes = forged(world.nodes[sender].nonce, world.nodes[to].nonce, &[frame]);
        let from = world.nodes[sender].address;
        world.inject(to, from, &bytes);
    }
}

#[test]
fn nobodys_word_alone_moves_a_member() {
    for (seed, elsewhere) in [(1, None), (2, Some(3)), (3, None)] {
        let mut world = cluster(seed, 8, Network::default());
        let home = world.nodes[1].address;
        // Nobody is there, or another member.
        let elsewhere = elsewhere.map_or(([10, 7, 7, 7], 7).into(), |n: usize| world.nodes[n].address);
        for status in [MemberStatus::Alive, MemberStatus::Suspect, MemberStatus::Dead] {
            let record = record_of(&world, 0, "m1");
            let record =
                Record { incarnation: 50, address: elsewhere, status, accuser: world.nodes[2].nonce, ..record };
            tell(&mut world, 2, 0, &record);
            for _ in 0..300 {
                world.run(10 * MS);
                for n in 0..8 {
                    let at = world.nodes[n].store.members.by_id("m1").map(|m| m.address);
                    assert_eq!(at, Some(home), "seed {seed}: at m{n}, {status:?}");
                }
            }
        }
        assert!(world.run_until(10 * SECOND, 100 * MS, |w| w.converged() && all_hold(w, "m1", MemberStatus::Alive)));
        // It moves in earnest, and all follow within a moment.
        let address = ([10, 1, 1, 1], 5000).into();
        world.move_to(1, address);
        let followed =
            |w: &World| (0..8).all(|n| w.nodes[n].store.members.by_id("m1").is_some_and(|m| m.address == address));
        assert!(world.run_until(SECOND, 10 * MS, followed), "seed {seed}");
        assert!((0..8).all(|n| all_hold(&world, &format!("m{n}"), MemberStatus::Alive)), "seed {seed}");
    }
}

#[test]
fn an_incarnation_out_of_reach_mutes_nobody() {
    for incarnation in [1 << 40, (1 << 53) - 1, (1 << 63) - 1, u64::MAX] {
        for status in [MemberStatus::Alive, MemberStatus::Dead] {
            let mut world = cluster(1, 5, Network::default());
            let record = Record { incarnation, status, accuser: world.nodes[2].nonce, ..record_of(&world, 0, "m1") };
            for to in [0, 1] {
                let (dropped, doubted) = (world.sum("dropped_malformed"), world.sum("claims_implausible"));
                tell(&mut world, 2, to, &record);
                assert!(world.sum("dropped_malformed") + world.sum("claims_implausible") > dropped + doubted);
            }
            world.run(2 * SECOND);
            assert!(all_hold(&world, "m1", MemberStatus::Alive), "{incarnation}, {status:?}");
            // What it says of itself is heard, and so is its end.
            let mut settings = (*world.nodes[1].settings).clone();
            settings.tags.insert("a".into(), "b".into());
            world.call(1, |engine, now| engine.reconfigure(now, settings.into()));
            let heard =
                |w: &World| (0..5).all(|n| w.nodes[n].store.members.by_id("m1").is_some_and(|m| m.tags.len() == 1));
            assert!(world.run_until(5 * SECOND, 100 * MS, heard), "{incarnation}, {status:?}");
            world.kill(1);
            assert!(until_dead(&mut world, 1, "m1") < 3.0, "{incarnation}, {status:?}");
        }
    }
}

#[test]
fn a_generation_out_of_reach_keeps_nobody_out() {
    let mut world = cluster(1, 5, Network::default());
    let record = Record { id: "late".into(), nonce: 4711, status: MemberStatus::Dead, ..record_of(&world, 0, "m1") };
    for generation in [(1 << 63) - 1, u64::MAX] {
        let dropped = world.sum("dropped_malformed");
        tell(&mut world, 2, 0, &Record { generation, ..record.clone() });
        assert_eq!(world.sum("dropped_malformed"), dropped + 2);
    }
    world.start("late", &[0], |_| ());
    assert!(world.run_until(10 * SECOND, 100 * MS, |w| w.converged() && all_hold(w, "late", MemberStatus::Alive)));
}

/// Its log begins anew then, but what it had deleted and collected stays so, whatever old segments still come.
#[test]
fn what_was_collected_stays_so_when_a_generation_is_raised() {
    let mut world = World::new(1, Network::default());
    world.base.tombstone_grace = SECOND;
    sim::run::cluster(&mut world, 5);
    let goes = world.set(0, "goes", b"old", None).unwrap();
    world.set(0, "stays", b"s", None);
    converge(&mut world, 1, 10 * SECOND);
    world.delete(0, "goes");
    converge(&mut world, 1, 10 * SECOND);
    world.run(5 * SECOND);
    assert!(world.nodes[0].metric("tombstone_collections") > 0, "the floor did not rise");
    let record = record_of(&world, 1, "m0");
    let generation = record.generation + 5;
    tell(&mut world, 2, 0, &Record { generation, nonce: 4711, status: MemberStatus::Dead, ..record.clone() });
    let raised = |w: &World| w.nodes[1].store.members.by_id("m0").unwrap().life.generation > generation;
    assert!(world.run_until(10 * SECOND, MS / 10, raised), "the generation was not raised");
    // As one that has not heard of the delete would send it, before anything of the new log comes.
    let mut segment = SegmentBuilder::new(record.nonce, 0, 0, false);
    let value = b"old";
    segment.push(&WireEntry { seq: goes, deleted: false, key: "goes", type_url: "", value, age_ms: 0, ttl_ms: None });
    let body = segment.finish(goes);
    for to in 1..5 {
        let bytes = forged(world.nodes[3].nonce, world.nodes[to].nonce, &[(frame::kind::SEGMENT, body.clone())]);
        let from = world.nodes[3].address;
        world.inject(to, from, &bytes);
    }
    world.run(10 * SECOND);
    assert!(world.converged(), "{:?}", check::difference(&world));
    assert!((0..5).all(|n| world.nodes[n].store.get(world.now, Some("m0"), "goes", true).is_empty()));
    must(1, check::order(&mut world));
}

#[test]
fn on_a_long_way_those_asked_to_probe_are_heard_in_time() {
    for rtt in [80, 120, 160] {
        let net = Network { latency: sim::Latency::constant(MS * rtt / 2), ..Network::default() };
        let mut world = cluster(1, 12, net);
        world.run(60 * SECOND);
        for victim in [9, 10, 11] {
            let (nacks, before) = (world.sum("frames_received_nack"), world.now);
            world.lose_host(victim);
            let took = until_dead(&mut world, 1, &format!("m{victim}"));
            println!("{rtt} ms: {took:.2} s");
            assert!(world.sum("frames_received_nack") > nacks);
            // Nobody takes the silence of those it asked for its own illness, and is slow from then on.
            let health: Vec<u64> = world.members().iter().map(|n| world.nodes[*n].metric("health")).collect();
            assert!(health.iter().all(|points| *points == 0), "{rtt} ms: {health:?} {:?}", before);
        }
    }
}

/// A process that had stood still finds itself replaced by a later one, which is held dead only because it stands still now.
#[test]
fn of_two_lives_that_take_each_other_for_dead_one_stays() {
    for seed in seeds(8) {
        let mut world = cluster(seed, 8, Network::default());
        world.pause(4, 60 * SECOND);
        world.run(5 * SECOND);
        let seeds = vec![world.nodes[1].address.to_string()];
        let twin = world.spawn(Start { id: "m4".into(), seeds, ..Start::default() }, |_| ());
        world.run(5 * SECOND);
        let pause = SECOND * world.rng.random_range(40..70);
        world.pause(twin, pause);
        world.run(90 * SECOND);
        must(seed, check::order(&mut world));
        let running: Vec<usize> = [4, twin].into_iter().filter(|n| world.nodes[*n].takes_part()).collect();
        assert_eq!(running.len(), 1, "seed {seed}: one of the two takes part");
        world.set(running[0], "k", b"v", None);
        assert!(world.run_until(30 * SECOND, 100 * MS, World::converged), "seed {seed}");
        must(seed, check::order(&mut world));
    }
}
