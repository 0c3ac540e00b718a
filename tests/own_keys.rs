//! Bans, heartbeats and the topology, which the library publishes under keys of its own, under the simulator. A failing run
//! prints its seed.

mod sim;

use std::sync::Arc;
use std::time::Duration;

use cluster_gossip::config::settings::Settings;
use cluster_gossip::error::Status;
use cluster_gossip::store::event::{Event, kind};
use cluster_gossip::store::hub::Filter;
use cluster_gossip::store::members::MemberStatus;
use cluster_gossip::store::own::key;
use cluster_gossip::store::queue::Queue;
use cluster_gossip::time::Time;
use cluster_gossip::wire::proto::cluster_gossip::Bans;
use prost::Message;
use sim::run::{MS, SECOND, at_rest, seeds};
use sim::{Network, Start, World};

const NEVER: Duration = Duration::from_secs(600);

fn status(world: &World, at: usize, id: &str) -> Option<MemberStatus> {
    world.nodes[at].store.members.by_id(id).map(|m| m.status)
}

/// Whether all running members hold `id` to be `wanted`.
fn all_hold(world: &World, id: &str, wanted: MemberStatus) -> bool {
    world.members().iter().all(|n| world.nodes[*n].id == id || status(world, *n, id) == Some(wanted))
}

fn until_all_hold(world: &mut World, seed: u64, id: &str, wanted: MemberStatus) {
    let held = world.run_until(20 * SECOND, 10 * MS, |w| all_hold(w, id, wanted));
    assert!(held, "seed {seed}: {id} is not {} everywhere", wanted.word());
}

/// A cluster of five with heartbeats each second, of which `change` is made for each.
fn beating(seed: u64, change: impl Fn(usize, &mut Settings)) -> World {
    let mut world = World::new(seed, Network::default());
    for i in 0..5 {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
        world.start(&format!("m{i}"), &seeds, |s| {
            (s.heartbeat_interval, s.heartbeat_expiration) = (SECOND, NEVER);
            change(i, s);
        });
    }
    assert!(world.run_until(10 * SECOND, 100 * MS, World::converged), "seed {seed}");
    world
}

/// One in which m0 alone bans for heartbeats, and m2 sends none: it is banned.
fn banned_by_one(seed: u64) -> World {
    let mut world = beating(seed, |i, s| match i {
        0 => s.heartbeat_expiration = 5 * SECOND,
        2 => s.heartbeat_expiration = Duration::ZERO,
        _ => {}
    });
    until_all_hold(&mut world, seed, "m2", MemberStatus::Banned);
    assert!(["m1", "m3", "m4"].iter().all(|id| all_hold(&world, id, MemberStatus::Alive)), "seed {seed}");
    world
}

/// The host of m2 sets a statistic.
fn beat(world: &mut World, value: i64) {
    world.nodes[2].store.set_statistic("echo", Some(value)).unwrap();
    world.call(2, |engine, now| engine.handle_dirty(now));
}

/// The process of a member ends and another one takes its place.
fn restart(world: &mut World, node: usize, change: impl FnOnce(&mut Settings)) -> usize {
    world.kill(node);
    let (id, address) = (world.nodes[node].id.clone(), world.nodes[node].address);
    let seeds = vec![world.nodes[1].address.to_string()];
    world.spawn(Start { id, address: Some(address), seeds, back_ms: 0 }, change)
}

#[test]
fn a_ban_for_a_heartbeat_stands_while_its_banner_restarts_and_ends_with_the_next_heartbeat() {
    for seed in seeds(4) {
        for comes_again in [false, true] {
            let mut world = banned_by_one(seed);
            // What is lifted without a word for a moment only is lifted all the same.
            let queue = cluster_gossip::store::queue::Queue::new(0);
            let what = cluster_gossip::store::event::kind::MEMBER_UNBANNED;
            let filter = cluster_gossip::Filter { what, ..cluster_gossip::Filter::default() };
            world.nodes[1].store.subscribe(world.now, filter, &queue, 1 << 20, 0).unwrap();
            if comes_again {
                restart(&mut world, 0, |s| (s.heartbeat_interval, s.heartbeat_expiration) = (SECOND, 5 * SECOND));
            } else {
                world.kill(0);
            }
            world.run(20 * SECOND);
            assert!(all_hold(&world, "m2", MemberStatus::Banned), "seed {seed}, back {comes_again}");
            let now = world.now;
            assert!(queue.take(0, Some(Duration::ZERO), &|| now).is_err(), "seed {seed}: lifted for a while");
            beat(&mut world, 1);
            until_all_hold(&mut world, seed, "m2", MemberStatus::Alive);
            let bans = world.nodes[1].engine.bans_json();
            assert_eq!(bans, "[]", "seed {seed}, back {comes_again}");
            // And it is banned anew when the next one does not come.
            if comes_again {
                until_all_hold(&mut world, seed, "m2", MemberStatus::Banned);
            }
        }
    }
}

#[test]
fn a_ban_for_a_heartbeat_that_a_host_has_lifted_stays_so_until_the_next_one_expires() {
    for seed in seeds(4) {
        let mut world = banned_by_one(seed);
        world.call(3, |engine, now| engine.unban(now, "m2")).unwrap();
        until_all_hold(&mut world, seed, "m2", MemberStatus::Alive);
        restart(&mut world, 0, |s| (s.heartbeat_interval, s.heartbeat_expiration) = (SECOND, 5 * SECOND));
        for _ in 0..200 {
            world.run(100 * MS);
            assert_eq!(status(&world, 1, "m2"), Some(MemberStatus::Alive), "seed {seed}: banned again");
        }
        beat(&mut world, 1);
        world.run(2 * SECOND);
        until_all_hold(&mut world, seed, "m2", MemberStatus::Banned);
    }
}

#[test]
fn a_ban_wins_over_what_others_know_of_its_banners_former_life() {
    // 0: a second later; an hour: a wall clock that was set back.
    for (seed, back_ms) in seeds(2).into_iter().flat_map(|seed| [(seed, 0), (seed, 3_600_000)]) {
        let mut world = at_rest(seed, Network::default(), 5);
        for _ in 0..3 {
            world.call(0, |engine, now| engine.ban(now, "m3")).unwrap();
            world.run(SECOND);
            world.call(1, |engine, now| engine.unban(now, "m3")).unwrap();
            world.run(SECOND);
        }
        world.kill(0);
        let address = Some(world.nodes[0].address);
        let seeds = vec![world.nodes[1].address.to_string()];
        let again = world.spawn(Start { id: "m0".into(), address, seeds, back_ms }, |_| ());
        // At once, before it has heard of anybody.
        world.call(again, |engine, now| engine.ban(now, "m3")).unwrap();
        until_all_hold(&mut world, seed, "m3", MemberStatus::Banned);
        world.run(20 * SECOND);
        assert!(all_hold(&world, "m3", MemberStatus::Banned), "seed {seed}, {back_ms} ms back");
        // And any of them lifts it.
        world.call(4, |engine, now| engine.unban(now, "m3")).unwrap();
        until_all_hold(&mut world, seed, "m3", MemberStatus::Alive);
    }
}

/// Takes what is told at a node of m2's entries: kinds and keys, in the order of the keys.
fn told_of(world: &World, queue: &Queue) -> Vec<(u32, String)> {
    let now = world.now;
    let events = queue.take(0, Some(Duration::ZERO), &|| now).unwrap_or_default();
    let of = |event: &Event| {
        let entry = event.entry.as_ref().map(|view| &view.entry)?;
        (entry.head().life.id.as_str() == "m2").then(|| (event.kind, entry.key().to_owned()))
    };
    let mut told: Vec<_> = events.iter().filter_map(of).collect();
    told.sort_by(|a, b| a.1.cmp(&b.1));
    told
}

fn subscribe(world: &World, node: usize, what: u32) -> Arc<Queue> {
    let queue = Queue::new(0);
    let filter = Filter { what, initial: true, ..Filter::default() };
    world.nodes[node].store.subscribe(world.now, filter, &queue, 7, 0).unwrap();
    queue
}

fn told(kind: u32, keys: &[&str]) -> Vec<(u32, String)> {
    keys.iter().map(|key| (kind, (*key).to_owned())).collect()
}

#[test]
fn what_has_gone_while_a_member_was_banned_is_told_when_the_ban_is_lifted() {
    for seed in seeds(4) {
        let mut world = World::new(seed, Network::default());
        for i in 0..4 {
            let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
            world.start(&format!("m{i}"), &seeds, |s| s.tombstone_grace = 5 * SECOND);
        }
        assert!(world.run_until(10 * SECOND, 100 * MS, World::converged), "seed {seed}");
        for key in ["deleted", "set", "stays"] {
            world.set(2, key, b"before", None);
        }
        world.set(2, "ends", b"before", Some(3 * SECOND));
        world.run(SECOND);
        // Also at the member itself.
        let queues: Vec<_> = [0, 2].map(|n| subscribe(&world, n, kind::ENTRIES)).into();
        for queue in &queues {
            assert_eq!(told_of(&world, queue), told(kind::ENTRY_CHANGED, &["deleted", "ends", "set", "stays"]));
        }
        // Its host writes before it has heard of that, the others hear of that after they have.
        world.partition(&[2]);
        world.call(1, |engine, now| engine.ban(now, "m2")).unwrap();
        world.run(500 * MS);
        world.delete(2, "deleted");
        world.set(2, "set", b"after", None);
        world.set(2, "short", b"after", Some(2 * SECOND));
        world.heal();
        until_all_hold(&mut world, seed, "m2", MemberStatus::Banned);
        world.run(SECOND);
        assert_eq!(told_of(&world, &queues[0]), [], "seed {seed}");
        told_of(&world, &queues[1]);
        // Nobody keeps the deletes for so long.
        world.run(20 * SECOND);
        for queue in &queues {
            assert_eq!(told_of(&world, queue), [], "seed {seed}");
        }
        world.call(3, |engine, now| engine.unban(now, "m2")).unwrap();
        until_all_hold(&mut world, seed, "m2", MemberStatus::Alive);
        world.run(SECOND);
        let gone = told(kind::ENTRY_DELETED, &["deleted", "ends"]);
        assert_eq!(told_of(&world, &queues[0]), [gone, told(kind::ENTRY_CHANGED, &["set"])].concat(), "seed {seed}");
        // It has seen what its host wrote until it heard of the ban.
        assert_eq!(told_of(&world, &queues[1]), told(kind::ENTRY_DELETED, &["ends", "short"]), "seed {seed}");
    }
}

#[test]
fn of_a_banned_member_that_dies_and_comes_back_nothing_is_told_until_the_ban_is_lifted_and_then_once() {
    for seed in seeds(4) {
        let mut world = at_rest(seed, Network::default(), 5);
        let queue = subscribe(&world, 0, kind::ENTRIES);
        world.call(1, |engine, now| engine.ban(now, "m2")).unwrap();
        until_all_hold(&mut world, seed, "m2", MemberStatus::Banned);
        // The host of one that has not heard of the ban goes on.
        world.partition(&[2]);
        world.nodes[2].store.refuse_writes(None);
        world.set(2, "k", b"v", None);
        assert!(world.run_until(30 * SECOND, 100 * MS, |w| status(w, 0, "m2") == Some(MemberStatus::Dead)));
        assert!(world.nodes[0].store.members.is_banned(world.nodes[2].nonce));
        world.heal();
        until_all_hold(&mut world, seed, "m2", MemberStatus::Banned);
        world.run(5 * SECOND);
        assert_eq!(world.nodes[0].store.get(world.now, Some("m2"), "k", true).len(), 1, "seed {seed}: it is there");
        assert_eq!(told_of(&world, &queue), [], "seed {seed}");
        world.call(3, |engine, now| engine.unban(now, "m2")).unwrap();
        until_all_hold(&mut world, seed, "m2", MemberStatus::Alive);
        world.run(SECOND);
        assert_eq!(told_of(&world, &queue), told(kind::ENTRY_CHANGED, &["k"]), "seed {seed}");
    }
}

#[test]
fn who_subscribes_while_a_member_is_banned_is_told_its_entries_when_the_ban_is_lifted() {
    let mut world = at_rest(1, Network::default(), 4);
    world.set(2, "k", b"v", None);
    world.set(2, "other", b"v", None);
    world.run(SECOND);
    let early = subscribe(&world, 0, kind::ENTRIES);
    assert_eq!(told_of(&world, &early), told(kind::ENTRY_CHANGED, &["k", "other"]));
    world.call(1, |engine, now| engine.ban(now, "m2")).unwrap();
    until_all_hold(&mut world, 1, "m2", MemberStatus::Banned);
    let late = Queue::new(0);
    let filter = Filter { what: kind::ENTRIES | kind::MEMBERS, initial: true, ..Filter::default() };
    world.nodes[0].store.subscribe(world.now, filter, &late, 8, 0).unwrap();
    let now = world.now;
    let events = late.take(0, Some(Duration::ZERO), &|| now).unwrap();
    let banned = events.iter().filter_map(|e| e.member.as_ref()).find(|m| m.id() == "m2").expect("it is here");
    assert_eq!(banned.status, MemberStatus::Banned);
    assert!(events.iter().filter_map(|e| e.entry.as_ref()).all(|v| v.entry.head().life.id.as_str() != "m2"));
    world.call(3, |engine, now| engine.unban(now, "m2")).unwrap();
    until_all_hold(&mut world, 1, "m2", MemberStatus::Alive);
    world.run(SECOND);
    assert_eq!(told_of(&world, &late), told(kind::ENTRY_CHANGED, &["k", "other"]));
    assert_eq!(told_of(&world, &early), []);
    // It is owed nothing any more.
    world.call(1, |engine, now| engine.ban(now, "m2")).unwrap();
    until_all_hold(&mut world, 1, "m2", MemberStatus::Banned);
    world.call(3, |engine, now| engine.unban(now, "m2")).unwrap();
    until_all_hold(&mut world, 1, "m2", MemberStatus::Alive);
    assert_eq!(told_of(&world, &late), []);
}

/// How many bans members publish, lifted ones included.
fn published(world: &World) -> usize {
    let count = |n: usize| {
        let own = world.nodes[n].store.get_own(world.now, key::BANNED);
        own.map_or(0, |v| Bans::decode(v.entry.value()).unwrap().bans.len())
    };
    world.members().into_iter().map(count).sum()
}

#[test]
fn lifted_bans_are_forgotten_and_none_comes_back() {
    for seed in seeds(3) {
        let mut world = World::new(seed, Network::default());
        for i in 0..6 {
            let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
            world.start(&format!("m{i}"), &seeds, |s| {
                (s.tombstone_grace, s.departed_grace, s.departed_record) = (30 * SECOND, 40 * SECOND, 120 * SECOND);
            });
        }
        assert!(world.run_until(20 * SECOND, 100 * MS, World::converged), "seed {seed}");
        for n in 0..50 {
            world.call(1, |engine, now| engine.ban(now, &format!("x{n}"))).unwrap();
        }
        world.call(1, |engine, now| engine.ban(now, "m5")).unwrap();
        until_all_hold(&mut world, seed, "m5", MemberStatus::Banned);
        // The banner does not hear that all are lifted, and is away for longer than tombstones and its state are kept.
        world.partition(&[1]);
        for n in 0..50 {
            world.call(2, |engine, now| engine.unban(now, &format!("x{n}"))).unwrap();
        }
        world.call(2, |engine, now| engine.unban(now, "m5")).unwrap();
        world.run(80 * SECOND);
        world.heal();
        let whole = |w: &World| w.nodes[0].store.members.present() == 6 && all_hold(w, "m5", MemberStatus::Alive);
        assert!(world.run_until(60 * SECOND, 100 * MS, whole), "seed {seed}");
        for _ in 0..1400 {
            world.run(100 * MS);
            assert!(all_hold(&world, "m5", MemberStatus::Alive), "seed {seed}: the old ban is back");
        }
        assert_eq!(published(&world), 0, "seed {seed}: lifted bans are remembered for ever");
        assert_eq!(world.nodes[4].engine.bans_json(), "[]", "seed {seed}");
    }
}

#[test]
fn a_statistic_is_published_as_soon_as_the_interval_that_is_now_in_force_allows() {
    let mut world = at_rest(1, Network::default(), 3);
    let seq = |w: &World| w.nodes[0].store.get(w.now, Some("m2"), key::HEARTBEAT, false).first().map(|v| v.entry.seq());
    let interval = |world: &mut World, interval| {
        let mut settings = (*world.nodes[2].settings).clone();
        settings.heartbeat_interval = interval;
        world.call(2, |engine, now| engine.reconfigure(now, settings.into()));
    };
    interval(&mut world, 3600 * SECOND);
    beat(&mut world, 1);
    world.run(SECOND);
    let first = seq(&world);
    beat(&mut world, 2);
    world.run(5 * SECOND);
    assert_eq!(seq(&world), first);
    interval(&mut world, SECOND);
    world.run(SECOND);
    assert_ne!(seq(&world), first, "it waits for the interval that is no more");
}

#[test]
fn a_banned_member_publishes_its_statistics_and_one_that_could_not_be_published_is_tried_again() {
    let mut world = at_rest(1, Network::default(), 3);
    let seq = |w: &World, id: &str| {
        w.nodes[0].store.get(w.now, Some(id), key::HEARTBEAT, true).first().map(|v| v.entry.seq())
    };
    world.call(1, |engine, now| engine.ban(now, "m2")).unwrap();
    world.run(SECOND);
    beat(&mut world, 1);
    world.run(SECOND);
    assert!(seq(&world, "m2").is_some());
    world.call(0, |engine, now| engine.unban(now, "m2")).unwrap();
    world.run(SECOND);
    // Writing is refused for a while, as it is for whatever reason.
    world.nodes[2].store.refuse_writes(Some(Status::Failed));
    let before = seq(&world, "m2");
    world.run(20 * SECOND);
    beat(&mut world, 2);
    world.run(SECOND);
    assert_eq!(seq(&world, "m2"), before);
    world.nodes[2].store.refuse_writes(None);
    world.run(2 * SECOND);
    assert!(seq(&world, "m2") > before, "what was refused once is lost");
}

#[test]
fn keys_of_the_librarys_own_take_none_of_the_hosts_share() {
    let mut world = World::new(1, Network::default());
    for i in 0..3 {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
        world.start(&format!("m{i}"), &seeds, |s| {
            (s.max_keys_per_member, s.max_state_size_per_member, s.max_value_size) = (1, 1024, 1);
        });
    }
    assert!(world.run_until(20 * SECOND, 100 * MS, World::converged));
    world.run(5 * SECOND);
    world.call(2, |engine, now| engine.ban(now, "x")).unwrap();
    beat(&mut world, 1);
    assert!(world.set(2, "a", b"1", None).is_some(), "the only key that this host may have");
    assert_eq!(world.nodes[2].store.set(world.now, "b", "", b"1", None, false).unwrap_err().status(), Status::Limit);
    assert_eq!(
        world.nodes[2].store.set(world.now, "a", "", b"12", None, false).unwrap_err().status(),
        Status::ValueTooLarge
    );
    world.run(5 * SECOND);
    for at in 0..3 {
        for key in ["a", key::TOPOLOGY, key::HEARTBEAT, key::BANNED] {
            let held = world.nodes[at].store.get(world.now, Some("m2"), key, false).len();
            assert_eq!(held, 1, "{key} at m{at}");
        }
    }
    assert_eq!(world.sum("entries_refused"), 0);
}

#[test]
fn more_bans_than_a_member_may_publish_are_refused_and_the_others_stand() {
    let mut world = at_rest(1, Network::default(), 2);
    let id = |n: usize| format!("{n:0>255}");
    let refused = (0..4000).find_map(|n| {
        let result = world.call(1, |engine, now| engine.ban(now, &id(n)));
        result.err().map(|error| (n, error))
    });
    let (count, error) = refused.expect("bans without end");
    assert_eq!(error.status(), Status::Limit, "{error}");
    world.run(5 * SECOND);
    let known: Vec<serde_json::Value> = serde_json::from_str(&world.nodes[0].engine.bans_json()).unwrap();
    assert_eq!(known.len(), count);
    // Where there is no room for more, lifting works all the same.
    world.call(0, |engine, now| engine.unban(now, &id(0))).unwrap();
    world.run(5 * SECOND);
    assert!(!world.nodes[1].engine.bans_json().contains(&id(0)));
}

/// When each member has published its topology as it is now, at a node.
fn topologies(world: &World, at: usize) -> Vec<Time> {
    let all = world.nodes[at].store.get(world.now, None, key::TOPOLOGY, false);
    all.iter().map(|view| view.entry.head().written()).collect()
}

#[test]
fn a_topology_that_is_too_large_to_be_published_does_not_stay_as_it_was() {
    for live in [false, true] {
        let mut world = World::new(1, Network::default());
        world.base.topology_members = 5;
        sim::run::cluster(&mut world, 5);
        assert!(world.run_until(20 * SECOND, 100 * MS, World::converged));
        world.run(5 * SECOND);
        assert_eq!(topologies(&world, 0).len(), 5);
        if live {
            for n in 0..5 {
                let mut settings = (*world.nodes[n].settings).clone();
                settings.topology_members = 4;
                world.call(n, |engine, now| engine.reconfigure(now, settings.into()));
            }
        } else {
            world.start("m5", &[0], |_| ());
        }
        world.run(10 * SECOND);
        assert_eq!(topologies(&world, 0).len(), 0, "the old one is still read");
        if !live {
            world.leave(5);
            world.run(10 * SECOND);
            assert_eq!(topologies(&world, 0).len(), 5, "few enough again");
        }
    }
}

#[test]
fn many_that_join_at_once_do_not_publish_the_topology_at_once() {
    let mut world = World::new(1, Network::default());
    world.base.topology_members = 1000;
    sim::run::cluster(&mut world, 100);
    assert!(world.run_until(60 * SECOND, 100 * MS, World::converged));
    world.run(20 * SECOND);
    let mut times = topologies(&world, 0);
    assert_eq!(times.len(), 100);
    times.sort();
    let most =
        times.iter().map(|from| times.iter().filter(|t| **t >= *from && t.since(*from) < 100 * MS).count()).max();
    println!("{most:?} of 100 within 100 ms");
    assert!(most < Some(40), "{most:?} of 100 within 100 ms");
}
