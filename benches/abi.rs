//! Times of the C interface, in this process: `cargo bench --bench abi [-- --json FILE]`.
//!
//! Each figure is the median of several rounds. The mark is that of the design; the ratio is ours to it, so that less
//! than 1 is better for times and more than 1 for rates.
#![allow(unsafe_code)] // the C interface is called as C calls it

use std::ffi::{CString, c_char, c_void};
use std::io::Write;
use std::ptr;
use std::time::{Duration, Instant};

use cluster_gossip::ffi::bytes::*;
use cluster_gossip::ffi::entries::*;
use cluster_gossip::ffi::events::*;
use cluster_gossip::ffi::members::*;
use cluster_gossip::ffi::node::*;
use cluster_gossip::ffi::queue::*;
use cluster_gossip::ffi::state::*;
use cluster_gossip::ffi::sub::*;
use cluster_gossip::ffi::types::*;

const ROUNDS: usize = 15;

struct Figure {
    name: &'static str,
    unit: &'static str,
    mark: f64,
    ours: f64,
}

fn open(settings: &str) -> gossip_node {
    let text = CString::new(settings).unwrap();
    let mut node = gossip_node { id: 0 };
    // SAFETY: text and out-parameter outlive the call.
    let status = unsafe { gossip_open_text(text.as_ptr(), &mut node, ptr::null_mut(), 0) };
    assert_eq!(status, 0);
    node
}

fn key(key: &str) -> (*const c_char, usize) {
    (key.as_ptr().cast(), key.len())
}

fn set(node: gossip_node, name: &str, value: &[u8]) {
    let (k, len) = key(name);
    // SAFETY: all pointers come with their lengths and outlive the call.
    let status = unsafe {
        gossip_set(node, k, len, ptr::null(), value.as_ptr().cast::<c_void>(), value.len(), ptr::null_mut(), 0)
    };
    assert_eq!(status, 0);
}

fn get(node: gossip_node, member: *const c_char, name: &str) -> usize {
    let (k, len) = key(name);
    let mut list = ptr::null_mut();
    // SAFETY: the list is freed once, after its last use.
    unsafe {
        assert_eq!(gossip_get(node, member, k, len, 0, &mut list), 0);
        let n = gossip_entries_len(list);
        gossip_entries_free(list);
        n
    }
}

/// Median nanoseconds of one call.
fn nanos(calls: u32, mut call: impl FnMut(u32)) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..calls).for_each(&mut call);
            start.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn events_per_second(node: gossip_node, packed: bool) -> f64 {
    let mut queue = gossip_queue { id: 0 };
    let mut sub = gossip_sub { id: 0 };
    // SAFETY: out-parameters outlive the calls; a batch is freed once.
    unsafe {
        assert_eq!(gossip_queue_new(0, &mut queue), 0);
        let what = 0x7;
        assert_eq!(gossip_subscribe_queue(node, what, ptr::null(), ptr::null(), 0, 0, queue, 0, &mut sub), 0);
        let mut rates = Vec::new();
        for round in 0..ROUNDS {
            for i in 0..20_000 {
                set(node, &format!("event-{i}"), &[round as u8; 64]);
            }
            let start = Instant::now();
            let mut taken = 0;
            while taken < 20_000 {
                let mut batch = ptr::null_mut();
                assert_eq!(gossip_queue_take(queue, 1024, 0, &mut batch), 0);
                let n = gossip_events_len(batch);
                if packed {
                    let mut len = 0;
                    std::hint::black_box(gossip_events_packed(batch, &mut len));
                } else {
                    for i in 0..n {
                        let event = gossip_events_at(batch, i);
                        let entry = gossip_event_entry(event);
                        let mut len = 0;
                        std::hint::black_box(gossip_entry_key(entry, &mut len));
                        std::hint::black_box(gossip_entry_value(entry, &mut len));
                        std::hint::black_box(gossip_entry_seq(entry));
                    }
                }
                taken += n;
                gossip_events_free(batch);
            }
            rates.push(f64::from(taken as u32) / start.elapsed().as_secs_f64());
        }
        assert_eq!(gossip_queue_free(queue), 0);
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    }
}

/// Bytes a member's 100,000 entries of 64 B take in this process.
fn bytes_per_entry() -> f64 {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        text.split(' ').nth(1).and_then(|p| p.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
    };
    let node = open("cluster=memory\nbind=127.0.0.1:0");
    let before = resident();
    for i in 0..100_000 {
        set(node, &format!("entry-{i:06}"), &[7; 64]);
    }
    // The engine's log is part of it: wait until it has drained everything.
    let drained = Instant::now();
    loop {
        let mut page = ptr::null_mut();
        // SAFETY: the bytes are read before they are freed.
        let text = unsafe {
            assert_eq!(gossip_describe(node, &mut page), 0);
            let mut len = 0;
            let data = gossip_bytes_data(page, &mut len);
            let text = String::from_utf8_lossy(std::slice::from_raw_parts(data, len)).into_owned();
            gossip_bytes_free(page);
            text
        };
        if text.contains("held to 100000") || drained.elapsed() > Duration::from_secs(30) {
            break;
        }
        std::thread::yield_now();
    }
    let bytes = (resident() - before) / 100_000.0;
    assert_eq!(gossip_close(node), 0);
    bytes
}

fn main() {
    let mut figures = Vec::new();
    figures.push(Figure {
        name: "memory of an entry of 64 B, key of 12 B, at its owner",
        unit: "B",
        mark: 250.0,
        ours: bytes_per_entry(),
    });

    let first = open("cluster=bench\nbind=127.0.0.1:0\nid=first");
    let mut me = ptr::null_mut();
    // SAFETY: the address is copied before the list is freed.
    let address = unsafe {
        assert_eq!(gossip_self(first, &mut me), 0);
        let mut len = 0;
        let text = gossip_member_address(gossip_members_at(me, 0), &mut len);
        let text = std::ffi::CStr::from_ptr(text).to_str().unwrap().to_owned();
        gossip_members_free(me);
        text
    };
    let second = open(&format!("cluster=bench\nbind=127.0.0.1:0\nid=second\nseeds={address}"));
    assert_eq!(gossip_wait_for_members(first, 2, 30_000), 0);
    set(second, "remote", &[9; 64]);
    while get(first, ptr::null(), "remote") == 0 {
        std::thread::yield_now();
    }
    set(first, "own", &[9; 64]);

    let member = c"second".as_ptr();
    figures.push(Figure {
        name: "gossip_get of 64 B, one member named",
        unit: "ns",
        mark: 150.0,
        ours: nanos(200_000, |_| assert_eq!(get(first, member, "remote"), 1)),
    });
    figures.push(Figure {
        name: "gossip_get of 64 B, all members",
        unit: "ns",
        mark: 150.0,
        ours: nanos(200_000, |_| assert_eq!(get(first, ptr::null(), "remote"), 1)),
    });
    let keys: Vec<String> = (0..1000).map(|i| format!("set-{i}")).collect();
    figures.push(Figure {
        name: "gossip_set of 64 B, 1,000 keys in turn, a peer listening",
        unit: "ns",
        mark: 1500.0,
        ours: nanos(20_000, |i| set(first, &keys[i as usize % 1000], &[i as u8; 64])),
    });
    for (name, packed) in [("events a second to C, by accessors", false), ("events a second, packed", true)] {
        figures.push(Figure { name, unit: "/s", mark: 1e6, ours: events_per_second(first, packed) });
    }
    assert_eq!(gossip_close(second), 0);
    assert_eq!(gossip_close(first), 0);

    for f in &figures {
        println!("{:<58} {:>12.0} {:<3} mark {:>9.0}  ratio {:.2}", f.name, f.ours, f.unit, f.mark, f.ours / f.mark);
    }
    let mut args = std::env::args().skip_while(|a| a != "--json").skip(1);
    if let Some(path) = args.next() {
        let rows: Vec<_> = figures
            .iter()
            .map(|f| {
                serde_json::json!({
                    "name": f.name, "unit": f.unit, "mark": f.mark, "ours": f.ours, "peer": null, "ratio": f.ours / f.mark,
                })
            })
            .collect();
        let text = serde_json::to_string_pretty(&rows).expect("figures are plain numbers");
        std::fs::File::create(&path)
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .expect("the JSON file can be written");
    }
}
