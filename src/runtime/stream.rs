//! Messages too large for a datagram: over TCP, each as a length (u32, little-endian) and so many bytes.
//!
//! A connection is used one way, by the side that made it. Everything is bounded: connections, uploads at a time, bytes
//! that wait to be sent, bytes of unfinished messages coming in, and the time without progress.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};

use super::fork::FdGuard;
use super::net::{Input, Tasks};
use super::socket::{Family, is_out_of_descriptors, plain};
use super::stats::Stats;
use crate::engine::{Path, Reached};

/// Uploads at a time, connecting included.
const UPLOADS: usize = 4;
/// Messages that wait to be sent.
const QUEUED_MESSAGES: usize = 4096;
/// Connections kept for the next message.
const KEPT: usize = 16;
/// Connections from others at a time.
const INBOUND: usize = 256;
/// What a message may be larger than the largest value: keys, numbers, and the other entries it travels with.
const FRAME_SLACK: usize = 1 << 20;
/// Memory is taken as bytes arrive, from this size on in doubling steps: a length alone costs nothing.
const FIRST_STEP: usize = 16 << 10;

/// The bounds that tests set lower.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that wait to be sent; one message may wait however large it is.
    queued: usize,
    /// Bytes of incoming messages that are not finished or not handled yet, over all connections.
    unfinished: usize,
    /// Connecting, and writing without the peer taking a byte, may take so long.
    send_progress: Duration,
    /// How long a connection is kept for the next message.
    keep: Duration,
    /// Within an incoming message a byte must come at least so often.
    receive_progress: Duration,
    /// A connection without a message is closed after this time, well after its maker should have done so.
    idle: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            queued: 64 << 20,
            unfinished: 64 << 20,
            send_progress: Duration::from_secs(5),
            keep: Duration::from_secs(5),
            receive_progress: Duration::from_secs(10),
            idle: Duration::from_secs(30),
        }
    }
}

/// A connection, unregistered before it is closed.
#[derive(Debug)]
struct Connection {
    _guard: FdGuard,
    stream: TcpStream,
}

impl Connection {
    fn new(stream: TcpStream) -> Connection {
        // Messages are written whole: waiting for more would only delay the last part.
        let _ = stream.set_nodelay(true);
        Connection { _guard: FdGuard::new(&stream), stream }
    }
}

fn no_progress(patience: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no progress for {patience:?}"))
}

/// What waits for one peer. Its task takes from here, and removes this when it ends.
#[derive(Debug)]
struct Peer {
    queue: VecDeque<Vec<u8>>,
    wake: Arc<Notify>,
    /// Since when the connection has been kept without a message.
    idle_since: Option<Instant>,
    /// The connection is to be closed: too many are kept.
    evicted: bool,
}

#[derive(Debug, Default)]
struct Queues {
    peers: HashMap<SocketAddr, Peer>,
    bytes: usize,
    messages: usize,
}

impl Queues {
    /// The peer's task has no more to send: it may keep its connection, at the cost of the one kept longest.
    fn keep(&mut self, to: SocketAddr) {
        let kept = self.peers.iter().filter(|(_, p)| p.idle_since.is_some() && !p.evicted);
        let (count, oldest) = (kept.clone().count(), kept.min_by_key(|(_, p)| p.idle_since).map(|(a, _)| *a));
        if count >= KEPT
            && let Some(peer) = oldest.and_then(|a| self.peers.get_mut(&a))
        {
            peer.evicted = true;
            peer.wake.notify_one();
        }
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.idle_since = Some(Instant::now());
        }
    }

    fn sent(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.messages -= 1;
    }
}

/// The sending side.
#[derive(Debug)]
pub struct Uploads {
    queues: Mutex<Queues>,
    permits: Semaphore,
    limits: Limits,
    family: Family,
    stats: Arc<Stats>,
    inbox: mpsc::Sender<Input>,
}

/// What a peer's task does next.
enum Next {
    Send(Vec<u8>),
    Keep,
    End,
}

impl Uploads {
    /// Without connections yet; failures are told to `inbox`.
    pub fn new(limits: Limits, family: Family, stats: Arc<Stats>, inbox: mpsc::Sender<Input>) -> Arc<Uploads> {
        Arc::new(Uploads { queues: Mutex::default(), permits: Semaphore::new(UPLOADS), limits, family, stats, inbox })
    }

    /// Queues a message, or says why it was dropped.
    pub fn offer(self: &Arc<Self>, tasks: &Tasks, to: SocketAddr, bytes: Vec<u8>) -> Result<(), String> {
        let Some(address) = self.family.map(to) else {
            self.stats.tcp_send_errors.one();
            return Err("of the other IP version than this node is bound to".into());
        };
        if u32::try_from(bytes.len()).is_err() {
            self.stats.tcp_send_errors.one();
            return Err("larger than a message can be".into());
        }
        let mut queues = self.queues.lock();
        if queues.messages > 0
            && (queues.bytes + bytes.len() > self.limits.queued || queues.messages >= QUEUED_MESSAGES)
        {
            self.stats.tcp_send_dropped.one();
            return Err(format!("{} messages of {} bytes wait to be sent already", queues.messages, queues.bytes));
        }
        queues.bytes += bytes.len();
        queues.messages += 1;
        if let Some(peer) = queues.peers.get_mut(&to) {
            peer.queue.push_back(bytes);
            peer.wake.notify_one();
            return Ok(());
        }
        let wake = Arc::new(Notify::new());
        let peer = Peer { queue: VecDeque::from([bytes]), wake: wake.clone(), idle_since: None, evicted: false };
        queues.peers.insert(to, peer);
        drop(queues);
        tasks.spawn(self.clone().serve(to, address, wake));
        Ok(())
    }

    fn next(&self, to: SocketAddr, connected: bool) -> Next {
        let mut queues = self.queues.lock();
        let Some(peer) = queues.peers.get_mut(&to) else { return Next::End };
        if let Some(bytes) = peer.queue.pop_front() {
            peer.idle_since = None;
            return Next::Send(bytes);
        }
        let over = peer.idle_since.is_some_and(|since| since.elapsed() >= self.limits.keep);
        if !connected || peer.evicted || over {
            queues.peers.remove(&to);
            return Next::End;
        }
        if peer.idle_since.is_none() {
            queues.keep(to);
        }
        Next::Keep
    }

    /// The task of one peer: sends what is queued, keeps the connection a while, ends.
    async fn serve(self: Arc<Self>, to: SocketAddr, address: SocketAddr, wake: Arc<Notify>) {
        let mut connection = None;
        loop {
            match self.next(to, connection.is_some()) {
                Next::End => return,
                Next::Keep => {
                    let gone = async {
                        match &connection {
                            Some(Connection { stream, .. }) => is_closed(stream).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = wake.notified() => {}
                        () = sleep(self.limits.keep) => {}
                        () = gone => connection = None,
                    }
                }
                Next::Send(bytes) => {
                    let sent = match self.permits.acquire().await {
                        Ok(_permit) => send(&mut connection, address, &bytes, self.limits.send_progress).await,
                        Err(_) => return,
                    };
                    let mut lost = Vec::new();
                    {
                        let mut queues = self.queues.lock();
                        queues.sent(bytes.len());
                        if sent.is_err() {
                            connection = None;
                            // What waits for the same peer would wait as long and fail as well.
                            if let Some(peer) = queues.peers.get_mut(&to) {
                                lost.extend(peer.queue.drain(..).map(|b| b.len()));
                            }
                            lost.iter().for_each(|&n| queues.sent(n));
                        }
                    }
                    match sent {
                        Ok(()) => {
                            self.stats.tcp_sent_messages.one();
                            self.stats.tcp_sent_bytes.add(bytes.len());
                        }
                        Err(e) => {
                            for _ in 0..=lost.len() {
                                self.stats.tcp_send_errors.one();
                                let failed =
                                    Input::SendFailed { to, path: Path::Stream, too_big: false, error: e.to_string() };
                                if self.inbox.send(failed).await.is_err() {
                                    return;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Completes when the peer has closed: it never sends anything on a connection that it did not make.
async fn is_closed(stream: &TcpStream) {
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut [0]) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

async fn send(connection: &mut Option<Connection>, to: SocketAddr, bytes: &[u8], patience: Duration) -> io::Result<()> {
    if let Some(kept) = connection {
        if write(&mut kept.stream, bytes, patience).await.is_ok() {
            return Ok(());
        }
        // The peer may have ended, and another have taken its place, while the connection was kept.
        *connection = None;
    }
    let stream = timeout(patience, TcpStream::connect(to)).await.map_err(|_| no_progress(patience))??;
    let new = connection.insert(Connection::new(stream));
    write(&mut new.stream, bytes, patience).await
}

/// Tries to connect, only to see whether somebody listens.
pub async fn reach(to: SocketAddr, patience: Duration) -> Reached {
    match timeout(patience, TcpStream::connect(to)).await {
        Ok(Ok(stream)) => {
            drop(Connection::new(stream));
            Reached::Accepted
        }
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => Reached::Refused,
        Ok(Err(_)) | Err(_) => Reached::Silent,
    }
}

async fn write(stream: &mut TcpStream, bytes: &[u8], patience: Duration) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?.to_le_bytes();
    let mut done = 0;
    while done < length.len() + bytes.len() {
        let step = async {
            match length.get(done..).filter(|rest| !rest.is_empty()) {
                Some(rest) => stream.write_vectored(&[io::IoSlice::new(rest), io::IoSlice::new(bytes)]).await,
                None => stream.write(&bytes[done - length.len()..]).await,
            }
        };
        match timeout(patience, step).await {
            Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(Ok(n)) => done += n,
            Ok(Err(e)) => return Err(e),
            Err(_) => return Err(no_progress(patience)),
        }
    }
    Ok(())
}

/// A share of the memory for messages that come in, given back when dropped.
#[derive(Debug)]
pub struct Room {
    used: Arc<AtomicUsize>,
    taken: usize,
}

impl Room {
    /// Takes `more` bytes on top; `false` if there is not so much left.
    fn grow(&mut self, more: usize, limit: usize) -> bool {
        let take = |used: usize| used.checked_add(more).filter(|&sum| sum <= limit);
        let got = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok();
        if got {
            self.taken += more;
        }
        got
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used.fetch_sub(self.taken, Ordering::AcqRel);
    }
}

/// The receiving side.
pub struct Inbound {
    tasks: Arc<Tasks>,
    limits: Limits,
    largest_value: Box<dyn Fn() -> usize + Send + Sync>,
    stats: Arc<Stats>,
    inbox: mpsc::Sender<Input>,
    connections: Arc<Semaphore>,
    unfinished: Arc<AtomicUsize>,
}

impl Inbound {
    /// Messages go to `inbox`; `largest_value` is asked for each of them.
    pub fn new(
        tasks: Arc<Tasks>,
        limits: Limits,
        largest_value: impl Fn() -> usize + Send + Sync + 'static,
        stats: Arc<Stats>,
        inbox: mpsc::Sender<Input>,
    ) -> Arc<Inbound> {
        let connections = Arc::new(Semaphore::new(INBOUND));
        let largest_value = Box::new(largest_value);
        Arc::new(Inbound { tasks, limits, largest_value, stats, inbox, connections, unfinished: Arc::default() })
    }

    /// Accepts until the task is ended. No error is the end: what fails now may go well later.
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        let _guard = FdGuard::new(&listener);
        loop {
            match listener.accept().await {
                Ok((stream, from)) => match self.connections.clone().try_acquire_owned() {
                    Ok(permit) => {
                        let serving = self.clone();
                        let connection = Connection::new(stream);
                        self.tasks.spawn(async move { serving.serve(connection, plain(from), permit).await });
                    }
                    Err(_) => self.stats.tcp_refused.one(),
                },
                Err(e) => {
                    self.stats.tcp_accept_errors.one();
                    // A connection that cannot be accepted stays: without a pause this would run in circles.
                    let pause = if is_out_of_descriptors(&e) { 100 } else { 5 };
                    sleep(Duration::from_millis(pause)).await;
                }
            }
        }
    }

    async fn serve(&self, mut connection: Connection, from: SocketAddr, _permit: OwnedSemaphorePermit) {
        loop {
            let (bytes, room) = match self.receive(&mut connection.stream).await {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(Refused::Full) => return self.stats.tcp_refused.one(),
                Err(Refused::Bad) => return self.stats.tcp_receive_errors.one(),
            };
            self.stats.tcp_received_messages.one();
            self.stats.tcp_received_bytes.add(bytes.len());
            if self.inbox.send(Input::Stream { from, bytes, room }).await.is_err() {
                return;
            }
        }
    }

    /// The next message; `None` at the end of the connection between two messages.
    async fn receive(&self, stream: &mut TcpStream) -> Result<Option<(Vec<u8>, Room)>, Refused> {
        let mut length = [0; 4];
        let mut got = 0;
        while got < length.len() {
            let patience = if got == 0 { self.limits.idle } else { self.limits.receive_progress };
            match timeout(patience, stream.read(&mut length[got..])).await {
                Ok(Ok(0)) | Ok(Err(_)) | Err(_) if got == 0 => return Ok(None),
                Ok(Ok(n)) if n > 0 => got += n,
                _ => return Err(Refused::Bad),
            }
        }
        let length = u32::from_le_bytes(length) as usize;
        let largest = (self.largest_value)().saturating_add(FRAME_SLACK);
        if length == 0 || length > largest {
            return Err(Refused::Bad);
        }

        let mut bytes = Vec::new();
        let mut room = Room { used: self.unfinished.clone(), taken: 0 };
        while bytes.len() < length {
            if bytes.len() == bytes.capacity() {
                let size = (bytes.len() * 2).max(FIRST_STEP).min(length);
                if !room.grow(size - bytes.len(), self.limits.unfinished.max(largest)) {
                    return Err(Refused::Full);
                }
                bytes.reserve_exact(size - bytes.len());
            }
            let rest = (length - bytes.len()) as u64;
            match timeout(self.limits.receive_progress, (&mut *stream).take(rest).read_buf(&mut bytes)).await {
                Ok(Ok(n)) if n > 0 => {}
                _ => return Err(Refused::Bad),
            }
        }
        Ok(Some((bytes, room)))
    }
}

/// Why a message was not received to its end.
enum Refused {
    /// No memory is left for it.
    Full,
    /// The connection failed or got stuck in its midst, or its length is out of bounds.
    Bad,
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
