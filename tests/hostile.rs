//! Packets that no honest peer sends: nothing panics, nothing grows, and the cluster goes on.

mod sim;

use std::net::SocketAddr;
use std::time::Duration;

use cluster_gossip::wire::packet::{self, Head};
use proptest::collection::vec;
use proptest::prelude::*;
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
