//! A node whose task dies, which no call from outside can bring about.

use super::*;
use crate::store::event::kind;

const LONG: Option<Duration> = Some(Duration::from_secs(60));

#[test]
fn a_node_whose_task_dies_says_so_in_an_event_and_in_every_later_call() {
    let mut config = Config::new();
    config.set("bind", "127.0.0.1:0").unwrap();
    let node = Node::open(&config).unwrap();
    let mut changes = node.changes(Filter { what: kind::NODE_STATE, ..Filter::default() }).unwrap();
    let (tx, rx) = std::sync::mpsc::channel();
    let told = move |event: &Event| tx.send(event.kind).unwrap();
    node.on_change(Filter { what: kind::NODE_STATE, ..Filter::default() }, told).unwrap();
    let address = node.address().unwrap();
    let waiting = {
        let node = node.clone();
        std::thread::spawn(move || node.wait_for_members(2, None))
    };
    let tasks = node.shared().core.lock().as_ref().unwrap().net.tasks.clone();
    tasks.spawn(async { panic!("on purpose") });
    // It is noticed at the next wake-up.
    let failed = loop {
        let event = changes.next_timeout(LONG).expect("the end is told");
        if event.code == NodeState::Failed as i32 {
            break event;
        }
    };
    assert!(failed.text.unwrap().contains("died"));
    assert_eq!(waiting.join().unwrap().unwrap_err().status(), Status::Failed);
    assert_eq!(node.state(), NodeState::Failed);
    assert_eq!(node.set_value("k", 1i64).unwrap_err().status(), Status::Failed);
    assert_eq!(node.describe().unwrap_err().status(), Status::Failed);
    assert_eq!(node.leave(None).unwrap_err().status(), Status::Failed);
    // Its sockets are closed, its subscriptions are not, until it is closed.
    node.shared().signals.wait(LONG, || node.shared().core.lock().is_none().then_some(())).unwrap();
    config.set("bind", &address.to_string()).unwrap();
    Node::open(&config).unwrap().close().unwrap();
    node.close().unwrap();
    assert_eq!(rx.iter().last(), Some(kind::CLOSED));
    assert!(changes.any(|event| event.kind == kind::CLOSED));
    assert_eq!(node.set_value("k", 1i64).unwrap_err().status(), Status::Closed);
}
