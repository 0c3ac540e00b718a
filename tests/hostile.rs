//! Packets that no honest peer sends: nothing panics, nothing grows, and the cluster goes on.

mod sim;

use std::net::SocketAddr;
use std::time::Duration;

use cluster_gossip::store::members::{Cause, MemberStatus};
use cluster_gossip::wire::frame::{self, Challenge, Join, Record};
use cluster_gossip::wire::packet::{self, Head};
use proptest::collection::vec;
use proptest::prelude::*;
use sim::run::{MS, SECOND};
use sim::{Network, World, check};

/// What is sent at a member.
#[derive(Clone, Debug)]
enum Hostile {
    /// Any bytes.
    Bytes(Vec<u8>),
    /// A packet whose head and checksum are right, with any frames.
    Frames { sender: Sender, target: bool, frames: Vec<(u8, Vec<u8>)> },
    /// A packet that was really sent, with some bytes changed and the checksum made right again.
    Changed { pick: prop::sample::Index, changes: Vec<(prop::sample::Index, u8)> },
}

#[derive(Clone, Copy, Debug)]
enum Sender {
    Member,
    Itself,
    Stranger,
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let sender = prop_oneof![Just(Sender::Member), Just(Sender::Itself), Just(Sender::Stranger)];
    let frame = (0u8..10, vec(any::<u8>(), 0..80));
    prop_oneof![
        vec(any::<u8>(), 0..200).prop_map(Hostile::Bytes),
        (sender, any::<bool>(), vec(frame, 0..4)).prop_map(|(sender, target, frames)| Hostile::Frames {
            sender,
            target,
            frames
        }),
        (any::<prop::sample::Index>(), vec((any::<prop::sample::Index>(), any::<u8>()), 1..6))
            .prop_map(|(pick, changes)| Hostile::Changed { pick, changes }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_the_cluster_goes_on(attacks in vec(hostile(), 1..60)) {
        let mut world = World::new(11, Network::default());
        for i in 0..3 {
            let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
            world.start(&format!("m{i}"), &seeds, |_| ());
        }
        world.record = true;
        for i in 0..20 {
            world.set(i % 3, &format!("k{i}"), &[i as u8; 30], None);
        }
        world.run(Duration::from_secs(2));
        world.record = false;
        let recorded = std::mem::take(&mut world.recorded);
        let cluster = packet::cluster_tag("default");
        let nonce = |world: &World, n: usize| world.nodes[n].store.members.by_id(&format!("m{n}")).unwrap().life.nonce;
        let from = SocketAddr::from(([10, 9, 9, 9], 999));
        for attack in attacks {
            let bytes = match attack {
                Hostile::Bytes(bytes) => bytes,
                Hostile::Frames { sender, target, frames } => {
                    let sender = match sender {
                        Sender::Member => nonce(&world, 1),
                        Sender::Itself => nonce(&world, 0),
                        Sender::Stranger => 4711,
                    };
                    let target = if target { nonce(&world, 0) } else { 0 };
                    let mut bytes = packet::begin(Head { cluster, sender, target });
                    frames.iter().for_each(|(kind, body)| packet::put_frame(&mut bytes, *kind, body));
                    packet::finish(&mut bytes);
                    bytes
                }
                Hostile::Changed { pick, changes } => {
                    let mut bytes = recorded[pick.index(recorded.len())].clone();
                    for (at, byte) in changes {
                        let at = packet::HEAD + at.index(bytes.len() - packet::HEAD);
                        bytes[at] = byte;
                    }
                    packet::finish(&mut bytes);
                    bytes
                }
            };
            world.inject(0, from, &bytes);
            world.run(Duration::from_millis(5));
        }
        // Unsealed mode trusts what is well-formed, so that a forged record may have done anything to the table; but the
        // engine lives: what its host sets it still drains and keeps.
        world.set(0, "after", b"alive", None);
        world.run(Duration::from_secs(1));
        prop_assert!(world.nodes[0].store.get_own(world.now, "after").is_some());
        prop_assert_eq!(check::queues(&world), Ok(()));
        prop_assert!(world.violations.is_empty(), "{:?}", world.violations);
    }
}

#[test]
fn packets_of_another_cluster_are_counted_and_told_once() {
    let mut world = World::new(12, Network::default());
    world.start("a", &[], |_| ());
    world.start("b", &[0], |s| s.cluster = "another".into());
    world.run(Duration::from_secs(20));
    assert!(world.sum("dropped_cluster") > 5);
    assert!(world.nodes.iter().all(|n| n.store.members.present() == 1));
    assert_eq!(world.nodes[1].store.state().word(), "starting");
}

/// A packet as `sender` would send it to `target`.
fn packet_of(sender: u64, target: u64, frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = packet::begin(Head { cluster: packet::cluster_tag("default"), sender, target });
    frames.iter().for_each(|(kind, body)| packet::put_frame(&mut bytes, *kind, body));
    packet::finish(&mut bytes);
    bytes
}

/// Bytes that go to `from` after a packet from there.
fn answered(world: &mut World, at: usize, from: SocketAddr, bytes: &[u8]) -> usize {
    world.call(at, |engine, now| {
        engine.handle_datagram(now, from, bytes);
        let mut sum = 0;
        while let Some(sent) = engine.poll_transmit() {
            sum += if sent.to == from { sent.bytes.len() } else { 0 };
        }
        sum
    })
}

#[test]
fn no_packet_has_more_sent_to_an_address_that_it_may_not_have_come_from() {
    let mut world = World::new(13, Network::default());
    for i in 0..5 {
        let seeds: Vec<usize> = if i == 0 { vec![] } else { vec![0] };
        world.start(&format!("m{i}"), &seeds, |s| {
            // What is known of a member is much larger than what asks for it.
            s.tags.insert("zone".into(), "x".repeat(250));
            (s.departed_grace, s.departed_record) = (20 * SECOND, 100_000 * SECOND);
        });
    }
    assert!(world.run_until(20 * SECOND, 100 * MS, World::converged));
    let nonces: Vec<u64> = world.nodes.iter().map(|n| n.nonce).collect();
    world.kill(4);
    world.run(60 * SECOND);
    world.kill(3);
    world.run(10 * SECOND);
    let mut settings = (*world.nodes[0].settings).clone();
    settings.departed_grace = settings.departed_record;
    world.call(0, |engine, now| engine.reconfigure(now, settings.into()));
    // A member, one that is held dead, one that is remembered only, nobody.
    let status = |id: &str| world.nodes[0].store.members.by_id(id).map(|m| m.status);
    assert_eq!((status("m3"), status("m4")), (Some(MemberStatus::Dead), None));
    let senders = [nonces[2], nonces[3], nonces[4], 4711];
    let record = |nonce: u64, id: &str, tags: bool| Record {
        id: id.into(),
        generation: 1,
        nonce,
        incarnation: 1,
        status: MemberStatus::Alive,
        age_ms: 0,
        address: ([10, 9, 9, 9], 999).into(),
        versions: (1, 1),
        tags: if tags { world.nodes[0].settings.tags.clone() } else { Default::default() },
        cause: Cause::None,
        accuser: 0,
    };
    let from = record(1, "x", false).address;
    let mut packets = Vec::new();
    for sender in senders {
        for target in [0, nonces[0], 12345] {
            packets.push(packet_of(sender, target, &[]));
            for kind in 0..30 {
                packets.push(packet_of(sender, target, &[(kind, &[])]));
                for body in [&[0u8; 4][..], &[0; 8], &nonces[0].to_le_bytes(), &sender.to_le_bytes(), &[1; 40]] {
                    packets.push(packet_of(sender, target, &[(kind, body)]));
                    packets.push(packet_of(sender, target, &[(kind, body), (kind, body)]));
                }
            }
            let token = |token, generation| Challenge { token, generation }.encode();
            for body in [token(1, 0), token(7, 1), token(7, 1 << 50)] {
                packets.push(packet_of(sender, target, &[(frame::kind::CHALLENGE, &body)]));
            }
            for id in ["x", "m0", "m2", "m3", "m4"] {
                for tags in [false, true] {
                    let mut body = Vec::new();
                    record(sender, id, tags).put(&mut body);
                    // Without sealing, the record of one that nobody knows is believed: then it is a member, there.
                    if sender != 4711 {
                        packets.push(packet_of(sender, target, &[(frame::kind::MEMBERS, &body)]));
                        let twice = [&body[..], &body[..]].concat();
                        packets.push(packet_of(sender, target, &[(frame::kind::MEMBERS, &twice)]));
                    }
                    let join = Join { token: 0, record: record(sender, id, tags) }.encode();
                    packets.push(packet_of(sender, target, &[(frame::kind::JOIN, &join)]));
                    packets.push(packet_of(
                        sender,
                        target,
                        &[(frame::kind::JOIN, &join), (frame::kind::CHALLENGE, &token(1, 0))],
                    ));
                }
            }
        }
    }
    let mut answers = 0;
    for bytes in &packets {
        // Long enough that nothing was told just now.
        world.run(SECOND);
        let sum = answered(&mut world, 0, from, bytes);
        answers += usize::from(sum > 0);
        assert!(sum <= bytes.len(), "{sum} B for {} B: {bytes:02x?}", bytes.len());
    }
    println!("{answers} of {} packets were answered", packets.len());
    assert!(answers > 50);
    assert!(world.sum("answers_withheld") > 0);
}

#[test]
fn a_newcomer_with_much_to_say_joins_through_a_seed_of_small_packets() {
    let mut world = World::new(14, Network::default());
    world.start("seed", &[], |s| s.max_packet = 508);
    world.start("m1", &[0], |s| {
        (0..2).for_each(|n| drop(s.tags.insert(format!("t{n}"), "x".repeat(250))));
    });
    assert!(world.run_until(5 * SECOND, 100 * MS, World::converged));
}
