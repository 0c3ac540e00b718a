//! The ways out of a node, as the engine's outputs use them, and what comes in besides datagrams.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::drain::Io;
use super::fork::FdGuard;
use super::resolve::{literal, reachable, resolve};
use super::socket::{Family, is_refusal, is_too_big, plain, undelivered};
use super::stats::Stats;
use super::stream::{Room, Uploads, reach};
use crate::engine::{Path, Reached};

/// What other tasks hand to the task of the node, for the engine.
#[derive(Debug)]
pub enum Input {
    /// A message that came in on a stream, and its share of the memory for such.
    Stream { from: SocketAddr, bytes: Vec<u8>, room: Room },
    /// Sending failed.
    SendFailed { to: SocketAddr, path: Path, too_big: bool, error: String },
    /// A seed was looked up.
    Resolved { seed: String, result: Result<Vec<SocketAddr>, String> },
    /// A connection was tried.
    Connected { to: SocketAddr, reached: Reached },
    /// The address to advertise has been found out, or why it has not.
    Advertise(Result<SocketAddr, String>),
}

/// Answers of the network taken in at one wake-up.
const UNREACHABLES: usize = 64;

/// Inputs that wait for the task of the node.
pub const INBOX: usize = 64;

/// The tasks that work for a node, so that they end with it.
#[derive(Debug)]
pub struct Tasks {
    set: Mutex<Option<JoinSet<()>>>,
    handle: Handle,
}

impl Tasks {
    /// None yet.
    pub fn new(handle: Handle) -> Arc<Tasks> {
        Arc::new(Tasks { set: Mutex::new(Some(JoinSet::new())), handle })
    }

    /// Starts a task; does nothing when the node is ending.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(set) = self.set.lock().as_mut() {
            set.spawn_on(task, &self.handle);
        }
    }

    /// Forgets the tasks that have ended. Gives whether one of them panicked.
    pub fn reap(&self) -> bool {
        let mut panicked = false;
        if let Some(set) = self.set.lock().as_mut() {
            while let Some(ended) = set.try_join_next() {
                panicked |= ended.is_err_and(|e| e.is_panic());
            }
        }
        panicked
    }

    /// Ends all tasks and starts no more; what they hold is dropped when this completes.
    pub async fn end(&self) {
        let set = self.set.lock().take();
        if let Some(mut set) = set {
            set.shutdown().await;
        }
    }
}

/// The socket for datagrams.
#[derive(Debug)]
pub struct Udp {
    // Before the socket: unregistered before it is closed.
    _guard: FdGuard,
    socket: UdpSocket,
    family: Family,
    /// The network has said that a datagram could not be delivered.
    refused: AtomicBool,
}

impl Udp {
    /// Gives the socket to the event loop in whose context this is called.
    pub fn new(socket: std::net::UdpSocket, family: Family) -> io::Result<Udp> {
        let socket = UdpSocket::from_std(socket)?;
        Ok(Udp { _guard: FdGuard::new(&socket), socket, family, refused: AtomicBool::new(false) })
    }

    /// What can be reached.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Completes when there is something to receive, be it the network's answer that a datagram could not be delivered.
    pub async fn readable(&self) -> io::Result<()> {
        let ready = self.socket.ready(Interest::READABLE | Interest::ERROR).await?;
        self.refused.store(ready.is_error() || self.refused.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(())
    }

    /// Where datagrams could not be delivered, as the network has said since the last call.
    pub fn unreachable(&self) -> Vec<SocketAddr> {
        if !self.refused.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        let mut all = Vec::new();
        // Says to the event loop that there is nothing more, once there is not.
        let _ = self.socket.try_io(Interest::ERROR, || {
            while all.len() < UNREACHABLES {
                match undelivered(&self.socket) {
                    Ok(Some(to)) => all.push(plain(to)),
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        });
        all
    }

    /// Sends a datagram. The system reports what became of an earlier one with the next call: that says nothing about
    /// this one, which is then tried again.
    fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        match self.socket.try_send_to(bytes, to) {
            Err(e) if is_refusal(&e) => {
                self.refused.store(true, Ordering::Relaxed);
                self.socket.try_send_to(bytes, to)
            }
            result => result,
        }
    }

    /// Receives a datagram, if there is one.
    pub fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (n, from) = match self.socket.try_recv_from(buffer) {
            Err(e) if is_refusal(&e) => {
                self.refused.store(true, Ordering::Relaxed);
                self.socket.try_recv_from(buffer)?
            }
            result => result?,
        };
        Ok((n, plain(from)))
    }
}

/// Where the engine's outputs go. What fails at once is kept in `pending` for the end of the drain.
#[derive(Debug)]
pub struct Net {
    pub udp: Arc<Udp>,
    pub uploads: Arc<Uploads>,
    pub tasks: Arc<Tasks>,
    pub inbox: mpsc::Sender<Input>,
    pub stats: Arc<Stats>,
    pub pending: Vec<Input>,
}

impl Net {
    fn failed(&mut self, to: SocketAddr, path: Path, too_big: bool, error: String) {
        self.pending.push(Input::SendFailed { to, path, too_big, error });
    }
}

impl Io for Net {
    fn datagram(&mut self, to: SocketAddr, bytes: &[u8]) {
        let Some(address) = self.udp.family.map(to) else {
            self.stats.udp_send_errors.one();
            return self.failed(to, Path::Datagram, false, "of the other IP version than this node is bound to".into());
        };
        match self.udp.send(bytes, address) {
            Ok(_) => {
                self.stats.udp_sent_packets.one();
                self.stats.udp_sent_bytes.add(bytes.len());
            }
            // Like a packet lost on the way: the protocol sends again what matters.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.stats.udp_send_dropped.one(),
            Err(e) => {
                self.stats.udp_send_errors.one();
                self.failed(to, Path::Datagram, is_too_big(&e), e.to_string());
            }
        }
    }

    fn stream(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        if let Err(error) = self.uploads.offer(&self.tasks, to, bytes) {
            self.failed(to, Path::Stream, false, error);
        }
    }

    fn resolve(&mut self, seed: String) {
        let family = self.udp.family;
        if let Some(address) = literal(&seed) {
            let result = reachable(&seed, vec![address], family);
            return self.pending.push(Input::Resolved { seed, result });
        }
        let (inbox, stats) = (self.inbox.clone(), self.stats.clone());
        self.tasks.spawn(async move {
            let result = resolve(&seed, family).await;
            if result.is_err() {
                stats.resolve_errors.one();
            }
            // An error means that the node has ended.
            let _ = inbox.send(Input::Resolved { seed, result }).await;
        });
    }

    fn connect(&mut self, to: SocketAddr, timeout: Duration) {
        let Some(address) = self.udp.family.map(to) else {
            return self.pending.push(Input::Connected { to, reached: Reached::Silent });
        };
        let (inbox, stats) = (self.inbox.clone(), self.stats.clone());
        self.tasks.spawn(async move {
            stats.tcp_probes.one();
            let reached = reach(address, timeout).await;
            // An error means that the node has ended.
            let _ = inbox.send(Input::Connected { to, reached }).await;
        });
    }
}
