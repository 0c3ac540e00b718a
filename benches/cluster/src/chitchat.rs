//! The crate chitchat: its defaults, at the gossip interval of 200 ms.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket, Transport, UdpTransport};
use chitchat::{
    ChitchatConfig, ChitchatEnvelope, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion,
    spawn_chitchat,
};
use tokio::runtime::Runtime;

use crate::cluster::Cluster;

/// Its own transport over UDP, with what it sends counted.
struct Counted(Arc<AtomicU64>);

struct CountedSocket {
    socket: Box<dyn Socket>,
    sent: Arc<AtomicU64>,
}

#[async_trait]
impl Transport for Counted {
    async fn open(&self, address: SocketAddr) -> Result<Box<dyn Socket>, anyhow::Error> {
        Ok(Box::new(CountedSocket { socket: UdpTransport.open(address).await?, sent: self.0.clone() }))
    }
}

#[async_trait]
impl Socket for CountedSocket {
    fn local_addr(&self) -> Result<SocketAddr, anyhow::Error> {
        self.socket.local_addr()
    }

    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> Result<SendOutcome, anyhow::Error> {
        let outcome = self.socket.send(to, envelope).await?;
        self.sent.fetch_add(outcome.num_bytes_sent as u64, Ordering::Relaxed);
        Ok(outcome)
    }

    async fn recv(&mut self) -> Result<RecvOutcome, anyhow::Error> {
        self.socket.recv().await
    }
}

struct Member {
    id: ChitchatId,
    /// `None` once it has crashed.
    handle: Option<ChitchatHandle>,
}

/// See [`Cluster`].
pub struct Chitchat {
    name: String,
    seed: Option<String>,
    members: Vec<Member>,
    sent: Arc<AtomicU64>,
    runtime: Runtime,
}

impl Chitchat {
    fn with<R>(&self, at: usize, read: impl FnOnce(&mut chitchat::Chitchat) -> R) -> R {
        let handle = self.members[at].handle.as_ref().expect("a crashed member is not asked");
        read(&mut handle.chitchat().blocking_lock())
    }

    fn config(&self, address: SocketAddr) -> ChitchatConfig {
        let number = self.members.len();
        ChitchatConfig {
            // Short ids: they are in each of its packets.
            chitchat_id: ChitchatId {
                node_id: format!("node-{number}-{}", std::process::id()).into(),
                generation_id: 0,
                gossip_advertise_addr: address,
            },
            cluster_id: self.name.clone(),
            gossip_interval: Duration::from_millis(200),
            listen_addr: address,
            seed_nodes: self.seed.iter().cloned().collect(),
            failure_detector_config: FailureDetectorConfig::default(),
            marked_for_deletion_grace_period: Duration::from_secs(3600),
            catchup_callback: None,
            extra_liveness_predicate: None,
            // The newer and smaller of the two formats.
            protocol_version: ProtocolVersion::V1,
        }
    }
}

/// A port that is free now: chitchat must know its own before it opens its socket.
fn free_address() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    socket.local_addr().expect("the socket is bound")
}

impl Cluster for Chitchat {
    const NAME: &'static str = "chitchat";
    const LOOK: Duration = Duration::from_millis(1);
    const SETTLE: Duration = Duration::from_millis(1500);

    fn new(name: &str, seed: Option<&str>) -> Chitchat {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().expect("threads can be started");
        Chitchat {
            name: name.to_owned(),
            seed: seed.map(str::to_owned),
            members: Vec::new(),
            sent: Arc::default(),
            runtime,
        }
    }

    fn add(&mut self) -> usize {
        // Another process may take the port before chitchat does; then there is another.
        let (id, handle) = loop {
            let config = self.config(free_address());
            let id = config.chitchat_id.clone();
            let transport = Counted(self.sent.clone());
            match self.runtime.block_on(spawn_chitchat(config, Vec::new(), &transport)) {
                Ok(handle) => break (id, handle),
                Err(e) => eprintln!("another port for chitchat: {e:#}"),
            }
        };
        self.seed.get_or_insert_with(|| id.gossip_advertise_addr.to_string());
        self.members.push(Member { id, handle: Some(handle) });
        self.members.len() - 1
    }

    fn address(&self) -> String {
        self.members[0].id.gossip_advertise_addr.to_string()
    }

    fn alive(&self, at: usize) -> usize {
        self.with(at, |c| c.live_nodes().count())
    }

    fn misses(&self, at: usize, other: usize) -> bool {
        self.with(at, |c| c.live_nodes().all(|id| *id != self.members[other].id))
    }

    fn set(&mut self, at: usize, key: &str, value: &str) {
        self.with(at, |c| c.self_node_state().set(key, value));
    }

    fn reads(&self, at: usize, owner: usize, key: &str, value: &str) -> bool {
        self.with(at, |c| c.node_state(&self.members[owner].id).is_some_and(|s| s.get(key) == Some(value)))
    }

    fn keys(&self, at: usize) -> usize {
        self.with(at, |c| c.node_states().values().map(|s| s.num_key_values()).sum())
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn crash(&mut self, at: usize) {
        if let Some(handle) = self.members[at].handle.take() {
            handle.abort();
        }
    }

    fn close(self) {
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}
