//! Packets with a right head and checksum but any frames, with time going on between them.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use cluster_gossip::config::settings::Settings;
use cluster_gossip::engine::{Engine, Identity};
use cluster_gossip::store::entry::MemberId;
use cluster_gossip::store::{Store, Waker};
use cluster_gossip::time::Time;
use cluster_gossip::wire::packet::{self, Head};
use libfuzzer_sys::fuzz_target;

struct NoWaker;

impl Waker for NoWaker {
    fn wake_engine(&self) {}
    fn progress(&self) {}
}

fuzz_target!(|input: &[u8]| {
    let settings = Arc::new(Settings { cluster: "fuzz".into(), max_members: 50, ..Settings::default() });
    let identity = Identity {
        id: MemberId::new("me").expect("a good id"),
        generation: 1,
        nonce: 1,
        address: ([127, 0, 0, 1], 1).into(),
        rng_seed: 1,
    };
    let mut now = Time::from_micros(1 << 50);
    let store = Arc::new(Store::new(0, identity.life(), settings.clone(), Arc::new(NoWaker)));
    let mut engine = Engine::new(settings, identity, store.clone(), now);
    store.set(now, "own", "", b"value", None, false).expect("a good key");
    // A packet is: sender, kind of frame, length, body; a length over what is left takes what is left.
    let mut rest = input;
    while let [sender, kind, len, tail @ ..] = rest {
        let (body, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = tail;
        let head = Head { cluster: packet::cluster_tag("fuzz"), sender: u64::from(*sender), target: 0 };
        let mut bytes = packet::begin(head);
        packet::put_frame(&mut bytes, *kind % 9, body);
        packet::finish(&mut bytes);
        engine.handle_datagram(now, ([127, 0, 0, 1], 1000 + u16::from(*sender)).into(), &bytes);
        while let Some(out) = engine.poll_transmit() {
            assert!(!out.bytes.is_empty());
        }
        while engine.poll_action().is_some() {}
        now += Duration::from_millis(u64::from(*sender) * 10);
        if engine.next_timeout() <= now {
            engine.handle_timeout(now);
        }
    }
    assert!(store.get_own(now, "own").is_some());
});
