//! This library.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster_gossip::{Config, Format, Node};
use serde_json::{Map, Value};

use crate::cluster::Cluster;

struct Member {
    node: Node,
    id: String,
    crashed: bool,
}

/// See [`Cluster`].
pub struct Ours {
    name: String,
    seed: Option<String>,
    members: Vec<Member>,
}

impl Ours {
    fn metrics(&self, at: usize) -> Map<String, Value> {
        let text = self.members[at].node.metrics(Format::Json).expect("the node is open");
        serde_json::from_str(&text).expect("metrics are an object")
    }

    fn here(&self) -> impl Iterator<Item = usize> {
        (0..self.members.len()).filter(|&at| !self.members[at].crashed)
    }
}

/// A metric of this name; that there is none means that it has another name now.
fn figure(metrics: &Map<String, Value>, name: &str) -> u64 {
    metrics.get(name).and_then(Value::as_u64).unwrap_or_else(|| panic!("no metric {name}"))
}

impl Cluster for Ours {
    const NAME: &'static str = "ours";
    const LOOK: Duration = Duration::from_micros(100);
    const SETTLE: Duration = Duration::from_millis(1500);

    fn new(name: &str, seed: Option<&str>) -> Ours {
        Ours { name: name.to_owned(), seed: seed.map(str::to_owned), members: Vec::new() }
    }

    fn add(&mut self) -> usize {
        let mut settings = format!("cluster={}\nbind=127.0.0.1:0", self.name);
        if let Some(seed) = &self.seed {
            settings += &format!("\nseeds={seed}");
        }
        let node = Config::from_text(&settings).and_then(|c| Node::open(&c)).expect("a node can be opened on loopback");
        if self.seed.is_none() {
            self.seed = Some(node.address().expect("the node is open").to_string());
        }
        let id = node.id().to_owned();
        self.members.push(Member { node, id, crashed: false });
        self.members.len() - 1
    }

    fn address(&self) -> String {
        self.members[0].node.address().expect("the node is open").to_string()
    }

    fn alive(&self, at: usize) -> usize {
        self.members[at].node.members(false).expect("the node is open").len()
    }

    fn misses(&self, at: usize, other: usize) -> bool {
        let id = self.members[other].id.as_str();
        let members = self.members[at].node.members(false).expect("the node is open");
        members.iter().all(|m| m.life.id.as_str() != id)
    }

    fn set(&mut self, at: usize, key: &str, value: &str) {
        self.members[at].node.set_value(key, value.as_bytes()).expect("the value can be set");
    }

    fn reads(&self, at: usize, owner: usize, key: &str, value: &str) -> bool {
        let entry = self.members[at].node.entry(&self.members[owner].id, key).expect("the node is open");
        entry.is_some_and(|view| view.entry.value() == value.as_bytes())
    }

    fn keys(&self, at: usize) -> usize {
        // Those that the engine has taken over: what follows a set inside the process is done then.
        figure(&self.metrics(at), "keys") as usize
    }

    fn sent(&self) -> u64 {
        let both = |m: Map<_, _>| figure(&m, "datagram_bytes_sent") + figure(&m, "message_bytes_sent");
        self.here().map(|at| both(self.metrics(at))).sum()
    }

    fn sent_by_kind(&self) -> Vec<(String, u64)> {
        let mut sums = BTreeMap::new();
        for (name, value) in self.here().flat_map(|at| self.metrics(at)) {
            let counted = ["frame", "datagram", "message"].iter().any(|kind| name.starts_with(kind));
            if counted && name.contains("_sent") {
                *sums.entry(name).or_insert(0) += value.as_u64().unwrap_or(0);
            }
        }
        sums.into_iter().collect()
    }

    fn crash(&mut self, at: usize) {
        self.members[at].node.close().expect("not called in a callback");
        self.members[at].crashed = true;
    }

    fn close(self) {
        for member in &self.members {
            let _ = member.node.close_nowait();
        }
        for member in &self.members {
            member.node.close().expect("not called in a callback");
        }
    }
}
