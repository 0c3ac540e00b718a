//! Nodes over the loopback interface, through the Rust API.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

use cluster_gossip::wire::proto::cluster::MemberHeartbeat;
use cluster_gossip::{
    Changes, Config, Event, Filter, Format, MemberStatus, Node, NodeState, SetOptions, Status, Value, kind,
};
use prost::Message;

/// So long a test waits before it is called hung.
const LONG: Duration = Duration::from_secs(60);

/// The tests that count threads and file descriptors run alone: they take it for writing, the others for reading.
static ALONE: std::sync::RwLock<()> = std::sync::RwLock::new(());

fn shared() -> std::sync::RwLockReadGuard<'static, ()> {
    ALONE.read().unwrap_or_else(|e| e.into_inner())
}

fn alone() -> std::sync::RwLockWriteGuard<'static, ()> {
    ALONE.write().unwrap_or_else(|e| e.into_inner())
}

fn config(settings: &[(&str, &str)]) -> Config {
    let mut config = Config::new();
    config.set("bind", "127.0.0.1:0").unwrap();
    for (name, value) in settings {
        config.set(name, value).unwrap();
    }
    config
}

fn open(settings: &[(&str, &str)]) -> Node {
    Node::open(&config(settings)).unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "did not come to pass: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A cluster of `n` nodes named `a`, `b`, ... that know each other.
fn cluster(name: &str, n: usize) -> Vec<Node> {
    let first = open(&[("cluster", name), ("id", "a")]);
    let seed = first.address().unwrap().to_string();
    let mut nodes = vec![first];
    for i in 1..n {
        let id = char::from(b'a' + i as u8).to_string();
        nodes.push(open(&[("cluster", name), ("id", &id), ("seeds", &seed)]));
    }
    for node in &nodes {
        node.wait_for_members(n, Some(LONG)).unwrap();
    }
    nodes
}

fn entries() -> Filter {
    Filter { what: kind::ENTRIES, ..Filter::default() }
}

fn figure(node: &Node, name: &str) -> u64 {
    let json: serde_json::Value = serde_json::from_str(&node.metrics(Format::Json).unwrap()).unwrap();
    json[name].as_u64().unwrap_or_else(|| panic!("no figure {name} in {json}"))
}

#[test]
fn two_nodes_read_each_other_and_follow_changes() {
    let _turn = shared();
    let nodes = cluster("two", 2);
    let (a, b) = (&nodes[0], &nodes[1]);
    b.wait_synced(Some(LONG)).unwrap();
    assert_eq!((a.state(), b.state()), (NodeState::Joined, NodeState::Joined));

    let values = [
        Value::from("grüße ✓"),
        Value::from(""),
        Value::from(true),
        Value::from(false),
        Value::from(i64::MIN),
        Value::from(0i64),
        Value::from(-0.1),
        Value::from(vec![0u8; 60_000]),
        Value::from(&b""[..]),
        Value::Message { type_url: "type.example.org/shop.Order".into(), bytes: vec![10, 0] },
    ];
    for (n, value) in values.iter().enumerate() {
        let key = format!("key {n} \u{1f511}");
        a.set_value(&key, value.clone()).unwrap();
        // A set is seen by the caller's next get.
        assert_eq!(a.value("a", &key).unwrap().as_ref(), Some(value));
        until("the other reads it", || b.value("a", &key).unwrap().as_ref() == Some(value));
    }

    let mut changes = b.changes(Filter { member: Some("a".into()), ..entries() }).unwrap();
    let seq = a.set("colour", "", b"red", SetOptions::default()).unwrap();
    let event = changes.next_timeout(Some(LONG)).unwrap();
    let view = event.entry.as_ref().unwrap();
    assert_eq!((event.kind, view.entry.key(), view.entry.seq()), (kind::ENTRY_CHANGED, "colour", seq));
    assert_eq!((view.entry.value(), view.status), (&b"red"[..], MemberStatus::Alive));
    assert_eq!(a.set("colour", "", b"red", SetOptions { if_changed: true, ..SetOptions::default() }).unwrap(), seq);
    a.delete("colour").unwrap();
    assert_eq!(changes.next_timeout(Some(LONG)).unwrap().kind, kind::ENTRY_DELETED);
    assert!(b.entry("a", "colour").unwrap().is_none());
    assert_eq!(a.delete("colour").unwrap_err().status(), Status::NotFound);

    let options = SetOptions { ttl: Some(Duration::from_millis(50)), ..SetOptions::default() };
    a.set_value_with("soon gone", 1i64, options).unwrap();
    until("it expires", || b.value("a", "soon gone").unwrap().is_none() && a.get_own("soon gone").unwrap().is_none());
}

#[test]
fn five_nodes_agree_and_see_one_leave() {
    let _turn = shared();
    let nodes = cluster("five", 5);
    for (n, node) in nodes.iter().enumerate() {
        node.set_value("number", n as i64).unwrap();
    }
    for node in &nodes {
        until("all numbers are everywhere", || node.entries("number").unwrap().len() == 5);
        let read: BTreeMap<String, i64> = node
            .entries("number")
            .unwrap()
            .iter()
            .map(|view| (view.entry.head().life.id.as_str().to_owned(), Value::of(view).unwrap().as_int().unwrap()))
            .collect();
        assert_eq!(read.into_values().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
    let members = Filter { what: kind::MEMBERS, member: Some("e".into()), ..Filter::default() };
    let mut changes = nodes[0].changes(members).unwrap();
    nodes[4].leave(Some(LONG)).unwrap();
    assert_eq!(nodes[4].state(), NodeState::Left);
    assert_eq!(nodes[4].set_value("number", 9i64).unwrap_err().status(), Status::Left);
    // Leaving again is no error.
    nodes[4].leave(Some(LONG)).unwrap();
    nodes[4].close().unwrap();
    loop {
        let event = changes.next_timeout(Some(LONG)).expect("the others are told");
        if event.kind == kind::MEMBER_LEFT {
            break;
        }
    }
    for node in &nodes[..4] {
        until("it is gone from the lists", || node.members(false).unwrap().len() == 4);
        assert_eq!(node.entries("number").unwrap().len(), 4);
        assert_eq!(node.get(None, "number", false, true).unwrap().len(), 5);
    }
}

#[test]
fn large_values_travel_over_streams() {
    let _turn = shared();
    let nodes = cluster("large", 3);
    let value: Vec<u8> = (0..5 << 20).map(|i: u32| (i ^ (i >> 11)) as u8).collect();
    nodes[1].set_value("large", value.clone()).unwrap();
    for node in &nodes {
        until("the value is there", || node.value("b", "large").unwrap() == Some(Value::Bytes(value.clone())));
    }
    assert!(figure(&nodes[1], "tcp_sent_messages") > 0);
    let too_large = vec![0; (16 << 20) + 1];
    assert_eq!(nodes[0].set("x", "", &too_large, SetOptions::default()).unwrap_err().status(), Status::ValueTooLarge);
}

#[test]
fn ipv6_and_both_at_once() {
    let _turn = shared();
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("skipped: this host has no IPv6");
        return;
    }
    let a = open(&[("cluster", "six"), ("bind", "[::1]:0")]);
    assert!(a.address().unwrap().is_ipv6());
    let b = open(&[("cluster", "six"), ("bind", "[::]:0"), ("seeds", &a.address().unwrap().to_string())]);
    b.wait_for_members(2, Some(LONG)).unwrap();
    a.wait_for_members(2, Some(LONG)).unwrap();

    // Bound to every address, reached over IPv4, and known by an IPv4 address.
    let c = open(&[("cluster", "four"), ("bind", "127.0.0.1:0")]);
    let d = open(&[("cluster", "four"), ("bind", "[::]:0"), ("seeds", &c.address().unwrap().to_string())]);
    assert_eq!(d.address().unwrap().ip().to_string(), "127.0.0.1");
    c.wait_for_members(2, Some(LONG)).unwrap();
    d.wait_for_members(2, Some(LONG)).unwrap();
    d.set_value("large", vec![7u8; 100_000]).unwrap();
    let id = d.id().to_owned();
    until("a large value comes over IPv4", || c.value(&id, "large").unwrap().is_some());
}

#[test]
fn a_seed_by_name_is_looked_up() {
    let _turn = shared();
    let a = open(&[("cluster", "name")]);
    let seed = format!("localhost:{}", a.address().unwrap().port());
    // With a wildcard bound, the look-up decides what others are told.
    let b = open(&[("cluster", "name"), ("bind", "0.0.0.0:0"), ("seeds", &seed)]);
    b.wait_for_members(2, Some(LONG)).unwrap();
    until("it is known by loopback", || b.address().unwrap().ip().is_loopback());
    until("the other has its address", || {
        a.members(false).unwrap().iter().any(|m| m.life.id.as_str() == b.id() && m.address == b.address().unwrap())
    });
}

#[test]
fn waits_end_in_time_by_timeout_or_by_close() {
    let _turn = shared();
    let node = open(&[("cluster", "waits"), ("seeds", "127.0.0.1:9")]);
    assert_eq!(node.wait_for_members(2, Some(Duration::ZERO)).unwrap_err().status(), Status::Timeout);
    assert_eq!(node.wait_for_members(2, Some(Duration::from_millis(10))).unwrap_err().status(), Status::Timeout);
    assert_eq!(node.wait_synced(Some(Duration::from_millis(10))).unwrap_err().status(), Status::Timeout);
    node.wait_for_members(1, Some(LONG)).unwrap();
    let waiters: Vec<_> = (0..3)
        .map(|n| {
            let node = node.clone();
            std::thread::spawn(move || if n == 0 { node.wait_synced(None) } else { node.wait_for_members(5, None) })
        })
        .collect();
    node.close().unwrap();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap().unwrap_err().status(), Status::Closed);
    }
    let alone = open(&[("cluster", "waits")]);
    alone.wait_synced(Some(LONG)).unwrap();
    assert_eq!(alone.state(), NodeState::Alone);
}

#[test]
fn async_hosts_wait_without_blocking() {
    let _turn = shared();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let a = open(&[("cluster", "async"), ("id", "a")]);
        let b = open(&[("cluster", "async"), ("id", "b"), ("seeds", &a.address().unwrap().to_string())]);
        let both = async {
            a.wait_for_members_async(2).await.unwrap();
            b.wait_for_members_async(2).await.unwrap();
            b.wait_synced_async().await.unwrap();
            let mut changes = b.changes(Filter { member: Some("a".into()), ..entries() }).unwrap();
            for n in 0..20i64 {
                a.set_value("n", n).unwrap();
                let event = changes.next_async().await.unwrap();
                assert_eq!(Value::of(event.entry.as_ref().unwrap()), Some(Value::Int(n)));
            }
            b.leave_async().await.unwrap();
            let end = async {
                while let Some(event) = changes.next_async().await {
                    if event.kind == kind::CLOSED {
                        return;
                    }
                }
                panic!("the end is told as an event");
            };
            let (closed, ()) = tokio::join!(b.close_async(), end);
            closed.unwrap();
            assert!(changes.next_async().await.is_none());
            assert!(changes.has_ended());
            a.close_async().await.unwrap();
        };
        tokio::time::timeout(LONG, both).await.unwrap();
    });
}

#[test]
fn a_closed_node_answers_closed() {
    let _turn = shared();
    let node = open(&[("cluster", "closed")]);
    let copy = node.clone();
    let changes = node.changes(Filter { initial: true, ..entries() }).unwrap();
    node.set_value("k", 1i64).unwrap();
    let address = node.address().unwrap();
    node.close().unwrap();
    // The port is free again.
    drop(open(&[("cluster", "closed"), ("bind", &address.to_string())]));
    let closed = |result: Result<(), cluster_gossip::Error>| assert_eq!(result.unwrap_err().status(), Status::Closed);
    closed(copy.set_value("k", 2i64).map(drop));
    closed(copy.delete("k").map(drop));
    closed(copy.entries("k").map(drop));
    closed(copy.get_own("k").map(drop));
    closed(copy.members(true).map(drop));
    closed(copy.me().map(drop));
    closed(copy.reconfigure("tags", "a=b"));
    closed(copy.setting("tags").map(drop));
    closed(copy.leave(None));
    closed(copy.leave_nowait());
    closed(copy.wait_synced(None));
    closed(copy.wait_for_members(1, None));
    closed(copy.describe().map(drop));
    closed(copy.snapshot(Format::Json).map(drop));
    closed(copy.offsets().map(drop));
    closed(copy.metrics(Format::Json).map(drop));
    closed(copy.changes(entries()).map(drop));
    closed(copy.on_change(entries(), |_| ()).map(drop));
    copy.close().unwrap();
    copy.close_nowait().unwrap();
    assert_eq!(copy.state(), NodeState::Alone);
    let kinds: Vec<u32> = changes.map(|event| event.kind).collect();
    assert_eq!(kinds.last(), Some(&kind::CLOSED));
}

#[test]
fn a_taken_port_and_bad_settings_fail_to_open_in_words() {
    let _turn = shared();
    let node = open(&[]);
    let address = node.address().unwrap().to_string();
    let error = Node::open(&config(&[("bind", &address)])).unwrap_err();
    assert_eq!(error.status(), Status::Bind);
    assert!(error.message().contains(&address), "{error}");
    let error = Node::open(&config(&[("bind", "0.0.0.0:0"), ("seeds", "[2001:db8::1]:1")])).unwrap_err();
    assert_eq!(error.status(), Status::Advertise);
    let error = Node::open(&config(&[("join_retry", "10s")])).unwrap_err();
    assert_eq!(error.status(), Status::BadSetting);
}

#[test]
fn settings_are_read_and_changed() {
    let _turn = shared();
    let nodes = cluster("settings", 2);
    let (a, b) = (&nodes[0], &nodes[1]);
    assert_eq!(a.setting("bind").unwrap(), a.address().unwrap().to_string());
    assert_eq!(a.setting("advertise").unwrap(), a.address().unwrap().to_string());
    assert_eq!((a.setting("id").unwrap(), a.setting("gossip_fanout").unwrap()), ("a".into(), "3".into()));
    a.reconfigure("tags", "role=db").unwrap();
    assert_eq!(a.setting("tags").unwrap(), "role=db");
    until("the other sees the tags", || {
        b.members(false).unwrap().iter().any(|m| m.tags.get("role").is_some_and(|role| role == "db"))
    });
    assert_eq!(a.reconfigure("bind", "127.0.0.1:1").unwrap_err().status(), Status::NotLive);
    assert_eq!(a.reconfigure("no such", "").unwrap_err().status(), Status::UnknownSetting);
    assert_eq!(a.reconfigure("gossip_fanout", "none").unwrap_err().status(), Status::BadSetting);
    a.reconfigure("max_value_size", "2kB").or_else(|_| a.reconfigure("max_value_size", "2000")).unwrap();
    assert_eq!(a.set("k", "", &[0; 4000], SetOptions::default()).unwrap_err().status(), Status::ValueTooLarge);
}

#[test]
fn misuse_is_answered_by_a_status() {
    let _turn = shared();
    let node = open(&[]);
    let set = |key: &str| node.set_value(key, 1i64).unwrap_err().status();
    assert_eq!(set(""), Status::InvalidKey);
    assert_eq!(set(&"k".repeat(256)), Status::InvalidKey);
    assert_eq!(set("cluster:heartbeat"), Status::ReservedKey);
    node.set_value(&"k".repeat(255), 1i64).unwrap();
    assert_eq!(node.snapshot(Format::Prometheus).unwrap_err().status(), Status::InvalidArgument);
    assert_eq!(node.metrics(Format::Protobuf).unwrap_err().status(), Status::InvalidArgument);
    assert_eq!(node.unsubscribe(12345).unwrap_err().status(), Status::NotFound);
    assert!(node.entries("no such key").unwrap().is_empty());
    assert!(node.entry("no such member", "k").unwrap().is_none());
}

#[test]
fn what_is_told_of_a_node() {
    let _turn = shared();
    let nodes = cluster("told", 2);
    let a = &nodes[0];
    a.set_value("k", "text").unwrap();
    let page = a.describe().unwrap();
    for part in [env!("CARGO_PKG_VERSION"), "joined", &a.address().unwrap().to_string(), "cluster = told", "b alive"] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    until("figures count", || figure(a, "udp_received_packets") > 0 && figure(a, "udp_sent_bytes") > 0);
    assert_eq!(figure(a, "members_present"), 2);
    let text = a.metrics(Format::Prometheus).unwrap();
    for line in text.lines() {
        assert!(
            line.starts_with("# HELP cluster_gossip_") || line.starts_with("# TYPE cluster_gossip_") || {
                let (name, number) = line.rsplit_once(' ').unwrap();
                name.starts_with("cluster_gossip_") && name.ends_with("{member=\"a\"}") && number.parse::<u64>().is_ok()
            },
            "{line}"
        );
    }
    assert!(text.contains("# TYPE cluster_gossip_members_present gauge"));
    assert!(text.contains("# TYPE cluster_gossip_udp_sent_packets_total counter"));
    let json: serde_json::Value = serde_json::from_slice(&a.snapshot(Format::Json).unwrap()).unwrap();
    assert!(json.to_string().contains("\"k\""), "{json}");
    assert!(!a.snapshot(Format::Protobuf).unwrap().is_empty());
    until("b is known to hold it", || a.offsets().unwrap().contains("\"b\""));
}

/// Collects what a callback is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(u32, String)>>>);

impl Told {
    fn lock(&self) -> MutexGuard<'_, Vec<(u32, String)>> {
        self.0.lock().unwrap()
    }

    fn note(&self, event: &Event) {
        let key = event.entry.as_ref().map_or("", |view| view.entry.key());
        self.lock().push((event.kind, key.to_owned()));
    }
}

#[test]
fn callbacks_may_call_back_in() {
    let _turn = shared();
    let node = open(&[("cluster", "callbacks")]);
    let told = Told::default();
    let (inner, log) = (node.clone(), told.clone());
    let (statuses, results) = mpsc::channel();
    let sub = node
        .on_change(Filter { key: Some("go".into()), ..entries() }, move |event| {
            log.note(event);
            if event.kind != kind::ENTRY_CHANGED {
                return;
            }
            // Everything but what waits for this very callback works in here.
            inner.set_value("from within", 1i64).unwrap();
            assert!(inner.get_own("from within").unwrap().is_some());
            let nested = inner.on_change(entries(), |_| ()).unwrap();
            statuses.send(inner.end(nested)).unwrap();
            inner.end_nowait(nested).unwrap();
            statuses.send(inner.close()).unwrap();
            inner.describe().unwrap();
        })
        .unwrap();
    node.set_value("go", 1i64).unwrap();
    for _ in 0..2 {
        assert_eq!(results.recv_timeout(LONG).unwrap().unwrap_err().status(), Status::WouldDeadlock);
    }
    node.end(sub).unwrap();
    assert_eq!(node.end(sub).unwrap_err().status(), Status::NotFound);
    node.set_value("go", 2i64).unwrap();
    node.close().unwrap();
    assert_eq!(*told.lock(), [(kind::ENTRY_CHANGED, "go".to_owned())]);
}

#[test]
fn a_node_may_be_closed_from_its_callback() {
    let _turn = shared();
    let node = open(&[("cluster", "callbacks")]);
    let told = Told::default();
    let (inner, log) = (node.clone(), told.clone());
    node.on_change(entries(), move |event| {
        log.note(event);
        inner.close_nowait().unwrap();
    })
    .unwrap();
    node.set_value("go", 1i64).unwrap();
    until("the end is told", || told.lock().last().is_some_and(|last| last.0 == kind::CLOSED));
    // What waits is on this thread, not in the callback.
    node.close().unwrap();
    assert_eq!(told.lock().len(), 2);
}

#[test]
fn of_two_nodes_whose_callbacks_close_each_other_the_second_is_told_that_it_would_wait_for_ever() {
    let _turn = shared();
    let nodes = [open(&[("cluster", "callbacks-0")]), open(&[("cluster", "callbacks-1")])];
    let both = Arc::new(std::sync::Barrier::new(2));
    let (statuses, results) = mpsc::channel();
    for (i, node) in nodes.iter().enumerate() {
        let (other, both, statuses) = (nodes[1 - i].clone(), both.clone(), statuses.clone());
        node.on_change(entries(), move |event| {
            if event.kind == kind::ENTRY_CHANGED {
                both.wait();
                statuses.send(other.close()).unwrap();
            }
        })
        .unwrap();
    }
    for node in &nodes {
        node.set_value("go", 1i64).unwrap();
    }
    let told: Vec<_> = (0..2).map(|_| results.recv_timeout(LONG).expect("both wait for each other")).collect();
    let refused: Vec<_> = told.into_iter().filter_map(std::result::Result::err).map(|e| e.status()).collect();
    assert_eq!(refused, [Status::WouldDeadlock]);
    nodes.iter().for_each(|node| node.close().unwrap());
}

#[test]
fn a_callback_that_panics_harms_nobody() {
    let _turn = shared();
    let nodes = cluster("panics", 2);
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let mut lines = nodes[0].changes(Filter { what: kind::LOG, ..Filter::default() }).unwrap();
    nodes[0]
        .on_change(Filter { member: Some("b".into()), ..entries() }, move |event| {
            if event.kind == kind::ENTRY_CHANGED && count.fetch_add(1, Ordering::SeqCst) == 0 {
                panic!("this callback does so on purpose");
            }
        })
        .unwrap();
    nodes[1].set_value("one", 1i64).unwrap();
    until("the first call", || calls.load(Ordering::SeqCst) == 1);
    nodes[1].set_value("two", 1i64).unwrap();
    until("the second call", || calls.load(Ordering::SeqCst) == 2);
    let line = next_line(&mut lines);
    assert!(line.contains("this callback does so on purpose"), "{line}");
    nodes[0].set_value("three", 1i64).unwrap();
    nodes[0].close().unwrap();
}

fn next_line(lines: &mut Changes) -> String {
    let event = lines.next_timeout(Some(LONG)).expect("a log line");
    event.text.as_deref().unwrap_or("").to_owned()
}

#[test]
fn a_crash_and_a_restart_at_the_same_address() {
    let _turn = shared();
    let a = open(&[("cluster", "restart"), ("id", "a")]);
    let seeds = a.address().unwrap().to_string();
    let b = open(&[("cluster", "restart"), ("id", "b"), ("seeds", &seeds)]);
    b.set_value("life", 1i64).unwrap();
    until("the first life is read", || a.value("b", "life").unwrap() == Some(Value::Int(1)));
    let address = b.address().unwrap().to_string();
    b.close().unwrap();
    let b = open(&[("cluster", "restart"), ("id", "b"), ("seeds", &seeds), ("bind", &address)]);
    b.set_value("life", 2i64).unwrap();
    until("the second life is read", || a.value("b", "life").unwrap() == Some(Value::Int(2)));
    assert_eq!(a.members(false).unwrap().len(), 2);
}

#[test]
fn bans_statistics_topology_and_a_death() {
    let _turn = shared();
    let a = open(&[("cluster", "bans"), ("id", "a"), ("heartbeat_interval", "50ms")]);
    let what = kind::TOPOLOGY | kind::MEMBER_DEAD;
    let mut changes = a.changes(Filter { what, ..Filter::default() }).unwrap();
    let b = open(&[("cluster", "bans"), ("id", "b"), ("seeds", &a.address().unwrap().to_string())]);
    b.set_value("k", 1i64).unwrap();
    until("it is read", || a.value("b", "k").unwrap() == Some(Value::Int(1)));
    let mut topology = |members: i32, mut dead: usize| loop {
        let event = changes.next_timeout(Some(LONG)).expect("an event");
        match event.kind {
            kind::MEMBER_DEAD if event.member.as_ref().unwrap().life.id.as_str() == "b" && dead > 0 => dead -= 1,
            kind::TOPOLOGY => {
                let hash = event.text.as_deref().unwrap().to_owned();
                assert!(hash.len() == 16 && hash.bytes().all(|c| c.is_ascii_hexdigit()), "{hash}");
                if event.code == members {
                    assert_eq!(dead, 0);
                    return hash;
                }
            }
            other => panic!("an event of kind {other:#x}"),
        }
    };
    let two = topology(2, 0);

    a.set_statistic("actors", Some(i64::MIN)).unwrap();
    a.set_statistic("rooms", Some(7)).unwrap();
    let statistics = || {
        let entry = b.entry("a", "cluster:heartbeat").unwrap()?;
        let beat = MemberHeartbeat::decode(entry.entry.value()).unwrap();
        Some(beat.actor_statistics?.actor_count.into_iter().collect::<Vec<_>>())
    };
    until("both are read", || statistics() == Some(vec![("actors".into(), i64::MIN), ("rooms".into(), 7)]));
    a.set_statistic("actors", None).unwrap();
    until("one is gone", || statistics() == Some(vec![("rooms".into(), 7)]));
    assert_eq!(a.set_statistic("", Some(1)).unwrap_err().status(), Status::InvalidArgument);
    // The library's own keys are given by name, and not among the hosts'.
    assert_eq!(a.get(None, "", true, false).unwrap().len(), 1);
    assert!(a.get(Some("a"), "cluster:", true, false).unwrap().len() >= 2);

    let mut bans =
        a.changes(Filter { what: kind::MEMBER_BANNED | kind::MEMBER_UNBANNED, ..Filter::default() }).unwrap();
    assert_eq!(a.ban("a").unwrap_err().status(), Status::InvalidArgument);
    for id in ["", "x\0", &"x".repeat(256)] {
        assert_eq!(a.ban(id).unwrap_err().status(), Status::InvalidArgument);
        assert_eq!(a.unban(id).unwrap_err().status(), Status::InvalidArgument);
    }
    a.ban("b").unwrap();
    assert_eq!(a.bans_json().unwrap(), r#"[{"by":"a","id":"b"}]"#);
    assert_eq!(bans.next_timeout(Some(LONG)).unwrap().kind, kind::MEMBER_BANNED);
    assert!(a.value("b", "k").unwrap().is_none());
    until("the banned one knows it", || b.state() == NodeState::Banned);
    assert_eq!(b.set_value("k", 2i64).unwrap_err().status(), Status::Banned);
    b.unban("b").unwrap();
    assert_eq!(bans.next_timeout(Some(LONG)).unwrap().kind, kind::MEMBER_UNBANNED);
    assert_eq!(a.value("b", "k").unwrap(), Some(Value::Int(1)));
    drop(bans);

    b.close().unwrap();
    assert_ne!(topology(1, 1), two);
    assert!(a.value("b", "k").unwrap().is_none());
    assert_eq!(a.members(true).unwrap().iter().find(|m| m.id() == "b").unwrap().status, MemberStatus::Dead);

    // A ban that cannot be published takes no effect here either.
    a.ban("x").unwrap();
    a.leave(Some(LONG)).unwrap();
    assert_eq!(a.ban("y").unwrap_err().status(), Status::Left);
    assert_eq!(a.unban("x").unwrap_err().status(), Status::Left);
    assert_eq!(a.bans_json().unwrap(), r#"[{"by":"a","id":"x"}]"#);
}

#[test]
fn packets_of_strangers_are_dropped_and_told_of() {
    let _turn = shared();
    let node = open(&[("cluster", "mine")]);
    let mut warnings = node.changes(Filter { what: kind::WARNING, ..Filter::default() }).unwrap();
    let other = open(&[("cluster", "theirs"), ("seeds", &node.address().unwrap().to_string())]);
    let event = warnings.next_timeout(Some(LONG)).expect("a warning");
    assert!(event.text.as_deref().unwrap().contains("another cluster"), "{event:?}");
    assert!(figure(&node, "dropped_cluster") > 0);
    assert_eq!((node.members(false).unwrap().len(), other.members(false).unwrap().len()), (1, 1));
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for size in [0, 1, 7, 100, 1400] {
        stranger.send_to(&vec![0xa5; size], node.address().unwrap()).unwrap();
    }
    until("they are counted", || figure(&node, "udp_received_packets") >= 5);
    node.set_value("still", "alive").unwrap();
    assert_eq!(node.state(), NodeState::Alone);
}

#[cfg(target_os = "linux")]
mod guest {
    use super::*;

    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .filter(|name| name.starts_with("gossip-"))
            .count()
    }

    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    /// Bytes that the allocator has handed out.
    fn allocated() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    fn rounds(n: usize) {
        for round in 0..n {
            let node = open(&[("cluster", "rounds")]);
            node.set_value("k", vec![7u8; 10_000]).unwrap();
            match round % 4 {
                0 => node.close().unwrap(),
                1 => {
                    node.on_change(entries(), |_| ()).unwrap();
                    node.close().unwrap();
                }
                2 => {
                    let mut changes = node.changes(Filter { initial: true, ..entries() }).unwrap();
                    assert!(changes.next_timeout(Some(LONG)).is_some());
                    drop(changes);
                    node.leave(Some(LONG)).unwrap();
                    node.close().unwrap();
                }
                _ => drop(node),
            }
        }
    }

    #[test]
    fn a_thousand_opens_and_closes_leave_nothing_behind() {
        let _turn = alone();
        // What is made once a process is made before the first count.
        rounds(100);
        until("all threads are gone", || threads() == 0);
        let (fds, memory) = (descriptors(), allocated());
        rounds(1000);
        until("all threads are gone", || threads() == 0);
        until("all file descriptors are closed", || descriptors() <= fds);
        // 1,000 nodes that kept as little as their 10 kB value would show here.
        let grown = allocated().saturating_sub(memory);
        assert!(grown < 5 << 20, "memory has grown by {grown} bytes");
    }

    #[test]
    fn close_returns_when_the_threads_are_gone() {
        let _turn = alone();
        for _ in 0..20 {
            let nodes: Vec<Node> = (0..3).map(|_| open(&[("cluster", "gone")])).collect();
            nodes[0].on_change(entries(), |_| ()).unwrap();
            // A thread gives itself its name when it starts to run.
            until("two workers and the one for callbacks have started", || threads() == 3);
            nodes.iter().for_each(|node| node.close().unwrap());
            // The kernel takes a moment to forget a thread that was joined.
            until("all threads are gone", || threads() == 0);
        }
    }

    #[test]
    fn threads_are_few_and_shared_by_all_nodes() {
        let _turn = alone();
        let nodes: Vec<Node> = (0..50).map(|_| open(&[("cluster", "many")])).collect();
        until("the workers have started", || threads() >= 2);
        assert_eq!(threads(), 2);
        drop(nodes);
        until("all threads are gone", || threads() == 0);
    }

    #[test]
    #[allow(unsafe_code)]
    fn a_forked_child_has_nodes_of_its_own_only() {
        let _turn = alone();
        let node = open(&[("cluster", "fork"), ("id", "parent")]);
        node.on_change(entries(), |_| ()).unwrap();
        let mut changes = node.changes(entries()).unwrap();
        let address = node.address().unwrap().to_string();
        // SAFETY: the child leaves by _exit, and runs nothing of the test harness.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let child = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let forked = |result: Result<(), cluster_gossip::Error>| result.unwrap_err().status() == Status::Forked;
                let all = forked(node.set_value("k", 1i64).map(drop))
                    && forked(node.entries("k").map(drop))
                    && forked(node.wait_for_members(2, None))
                    && forked(node.leave(None))
                    && forked(node.unsubscribe(1))
                    && forked(node.close_nowait())
                    && forked(node.close());
                drop(changes);
                drop(node);
                let own = open(&[("cluster", "fork"), ("id", "child"), ("seeds", &address)]);
                own.on_change(entries(), |_| ()).unwrap();
                own.set_value("k", "from the child").unwrap();
                own.wait_for_members(2, Some(LONG)).unwrap();
                until("the parent's answer", || own.value("parent", "answer").unwrap().is_some());
                own.leave(Some(LONG)).unwrap();
                own.close().unwrap();
                all && threads() == 0
            }));
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if child.is_ok_and(|all| all) { 0 } else { 1 }) };
        }
        until("the child's value is read", || node.value("child", "k").unwrap() == Some(Value::from("from the child")));
        node.set_value("answer", true).unwrap();
        assert!(changes.next_timeout(Some(LONG)).is_some());
        let mut status = -1;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(status, 0);
        node.close().unwrap();
        until("all threads are gone", || threads() == 0);
    }
}
