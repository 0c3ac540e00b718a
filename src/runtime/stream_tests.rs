//! Uploads and inbound connections against each other, and against peers that misbehave.

use std::io::{Read, Write};

use super::*;
use crate::runtime::socket;

/// A receiving side on a port of its own.
struct Receiver {
    address: SocketAddr,
    stats: Arc<Stats>,
    tasks: Arc<Tasks>,
    inbox: mpsc::Receiver<Input>,
}

fn limits() -> Limits {
    // No test waits for one of these to pass unless it sets it lower.
    let long = Duration::from_secs(600);
    Limits { send_progress: long, keep: long, receive_progress: long, idle: long, ..Limits::default() }
}

fn receiver(limits: Limits, largest_value: usize) -> Receiver {
    let bound = socket::bind("127.0.0.1:0").unwrap();
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let (tx, inbox) = mpsc::channel(1);
    let stats = Arc::new(Stats::default());
    let inbound = Inbound::new(tasks.clone(), limits, move || largest_value, stats.clone(), tx);
    tasks.spawn(inbound.accept(TcpListener::from_std(bound.tcp).unwrap()));
    Receiver { address: bound.local, stats, tasks, inbox }
}

impl Receiver {
    async fn next(&mut self) -> Vec<u8> {
        match self.inbox.recv().await {
            Some(Input::Stream { bytes, .. }) => bytes,
            other => panic!("a message was expected: {other:?}"),
        }
    }
}

struct Sender {
    uploads: Arc<Uploads>,
    stats: Arc<Stats>,
    tasks: Arc<Tasks>,
    inbox: mpsc::Receiver<Input>,
}

fn sender(limits: Limits) -> Sender {
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let (tx, inbox) = mpsc::channel(1);
    let stats = Arc::new(Stats::default());
    Sender { uploads: Uploads::new(limits, Family::V4, stats.clone(), tx), stats, tasks, inbox }
}

impl Sender {
    fn offer(&self, to: SocketAddr, bytes: Vec<u8>) -> Result<(), String> {
        self.uploads.offer(&self.tasks, to, bytes)
    }

    async fn failure(&mut self) -> (SocketAddr, String) {
        match self.inbox.recv().await {
            Some(Input::SendFailed { to, path: Path::Stream, too_big: false, error }) => (to, error),
            other => panic!("a failure was expected: {other:?}"),
        }
    }
}

fn message(n: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + n) as u8).collect()
}

/// Lets the other tasks run until `holds`.
async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
        sleep(Duration::from_millis(1)).await;
    }
}

/// In a thread: a connection that writes `bytes`, then waits for the far end to close.
fn rude(to: SocketAddr, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(to).unwrap();
        // The far end may close in the midst of it.
        let _ = stream.write_all(&bytes);
        let _ = stream.read(&mut [0]);
    })
}

#[tokio::test]
async fn messages_of_all_sizes_arrive_whole_and_in_order() {
    let (mut to, from) = (receiver(limits(), 16 << 20), sender(limits()));
    let sizes = [1, 3, 100, FIRST_STEP - 1, FIRST_STEP, FIRST_STEP + 1, 100_000, 16 << 20, 5];
    for (n, &size) in sizes.iter().enumerate() {
        from.offer(to.address, message(n, size)).unwrap();
    }
    for (n, &size) in sizes.iter().enumerate() {
        assert!(to.next().await == message(n, size), "message {n} of {size} bytes");
    }
    let bytes: usize = sizes.iter().sum();
    until(|| from.stats.tcp_sent_messages.get() == sizes.len() as u64).await;
    assert_eq!((from.stats.tcp_sent_bytes.get(), to.stats.tcp_received_bytes.get()), (bytes as u64, bytes as u64));
    from.tasks.end().await;
    to.tasks.end().await;
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_message_and_given_up_after_a_while() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let from = sender(Limits { keep: Duration::from_millis(20), ..limits() });
    from.offer(to, vec![1]).unwrap();
    let (mut first, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    // The end comes when the time to keep it is over.
    first.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, [1, 0, 0, 0, 1]);
    until(|| from.uploads.queues.lock().peers.is_empty()).await;

    let from = sender(limits());
    from.offer(to, vec![1]).unwrap();
    let (mut second, _) = listener.accept().await.unwrap();
    let mut frame = [0; 5];
    second.read_exact(&mut frame).await.unwrap();
    until(|| from.stats.tcp_sent_messages.get() == 1).await;
    from.offer(to, vec![2]).unwrap();
    second.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame, [1, 0, 0, 0, 2]);
    // Closed by the peer: the next message makes a connection of its own.
    drop(second);
    until(|| from.uploads.queues.lock().peers.is_empty()).await;
    from.offer(to, vec![3]).unwrap();
    let (mut third, _) = listener.accept().await.unwrap();
    third.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame, [1, 0, 0, 0, 3]);
}

#[tokio::test]
async fn few_connections_are_kept() {
    let from = sender(limits());
    let mut peers = Vec::new();
    for n in 0..KEPT + 4 {
        let mut to = receiver(limits(), 1);
        from.offer(to.address, message(n, 9)).unwrap();
        assert_eq!(to.next().await, message(n, 9));
        peers.push(to);
        until(|| from.stats.tcp_sent_messages.get() == n as u64 + 1).await;
        until(|| from.uploads.queues.lock().peers.len() <= KEPT).await;
    }
}

#[tokio::test]
async fn a_refused_connection_fails_all_that_waits_for_it() {
    let gone = socket::bind("127.0.0.1:0").unwrap().local;
    let mut from = sender(limits());
    for n in 0..3 {
        from.offer(gone, message(n, 10)).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(from.failure().await.0, gone);
    }
    until(|| from.uploads.queues.lock().peers.is_empty()).await;
    let queues = from.uploads.queues.lock();
    assert_eq!((queues.bytes, queues.messages), (0, 0));
    assert_eq!(from.stats.tcp_send_errors.get(), 3);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_fails_the_message() {
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut from = sender(Limits { send_progress: Duration::from_millis(50), ..limits() });
    from.offer(deaf.local_addr().unwrap(), vec![0; 32 << 20]).unwrap();
    let (_, error) = from.failure().await;
    assert!(error.contains("no progress"), "{error}");
}

#[tokio::test]
async fn what_waits_to_be_sent_is_bounded() {
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let from = sender(Limits { queued: 1000, ..limits() });
    // Nothing runs on this thread between these calls, so nothing is sent.
    from.offer(deaf, vec![0; 5000]).unwrap();
    assert!(from.offer(deaf, vec![0; 1]).is_err());
    assert_eq!(from.stats.tcp_send_dropped.get(), 1);
    assert!(from.offer("[::1]:1".parse().unwrap(), vec![0; 1]).unwrap_err().contains("IP version"));
}

#[tokio::test]
async fn bad_lengths_and_torn_messages_end_the_connection_only() {
    let mut to = receiver(limits(), 1000);
    let cases: [&[u8]; 5] = [
        &[0, 0, 0, 0],                // empty
        &[0xff, 0xff, 0xff, 0xff, 1], // 4 GiB
        &[0xe9, 0x03, 0x10, 0, 1],    // one over the largest
        &[9, 0],                      // torn in the length
        &[9, 0, 0, 0, 1, 2],          // torn in the message
    ];
    for (n, case) in cases.into_iter().enumerate() {
        let mut stream = TcpStream::connect(to.address).await.unwrap();
        stream.write_all(case).await.unwrap();
        stream.shutdown().await.unwrap();
        until(|| to.stats.tcp_receive_errors.get() == n as u64 + 1).await;
    }
    // An end between two messages is none.
    drop(TcpStream::connect(to.address).await.unwrap());
    let from = sender(limits());
    from.offer(to.address, vec![42]).unwrap();
    assert_eq!(to.next().await, [42]);
    assert_eq!(to.stats.tcp_receive_errors.get(), cases.len() as u64);
}

#[tokio::test]
async fn a_peer_that_stops_in_the_midst_is_given_up() {
    let to = receiver(Limits { receive_progress: Duration::from_millis(20), ..limits() }, 1000);
    let torn = rude(to.address, vec![9, 0, 0, 0, 1, 2]);
    until(|| to.stats.tcp_receive_errors.get() == 1).await;
    torn.join().unwrap();
    let idle = receiver(Limits { idle: Duration::from_millis(20), ..limits() }, 1000);
    let silent = rude(idle.address, Vec::new());
    until(|| silent.is_finished()).await;
    assert_eq!(idle.stats.tcp_receive_errors.get(), 0);
}

#[tokio::test]
async fn a_length_alone_takes_no_memory_and_what_arrives_is_bounded() {
    let limits = Limits { unfinished: 1 << 20, ..limits() };
    let largest = 1 << 20; // with the slack, 2 MiB for one message, which is then the bound
    let to = receiver(limits, largest);
    let whole = |length: u32, sent: usize| [&length.to_le_bytes()[..], &vec![7; sent]].concat();
    let mut open = Vec::new();
    for _ in 0..40 {
        // Each says 2 MiB and brings a little.
        let mut stream = TcpStream::connect(to.address).await.unwrap();
        stream.write_all(&whole(2 << 20, 10)).await.unwrap();
        open.push(stream);
    }
    // Now more than there is room for, on two of them.
    let rest = vec![7; (2 << 20) - 20];
    for stream in open.iter_mut().take(2) {
        let _ = stream.write_all(&rest).await;
    }
    until(|| to.stats.tcp_refused.get() >= 1).await;
}

#[tokio::test]
async fn connections_from_others_are_bounded() {
    let to = receiver(limits(), 1000);
    let mut open = Vec::new();
    for _ in 0..INBOUND + 10 {
        open.push(TcpStream::connect(to.address).await.unwrap());
    }
    until(|| to.stats.tcp_refused.get() == 10).await;
    open.clear();
    // With the others gone there is room again.
    let from = sender(limits());
    until(|| {
        let _ = from.offer(to.address, vec![1]);
        to.stats.tcp_received_messages.get() > 0
    })
    .await;
}

#[tokio::test]
async fn ending_drops_everything() {
    let (to, from) = (receiver(limits(), 1000), sender(limits()));
    from.offer(to.address, message(0, 500)).unwrap();
    until(|| from.stats.tcp_sent_messages.get() == 1).await;
    let (uploads, sending) = (Arc::downgrade(&from.uploads), from.tasks.clone());
    drop(from);
    sending.end().await;
    assert!(uploads.upgrade().is_none());
    to.tasks.end().await;
    assert!(TcpStream::connect(to.address).await.is_err());
    sending.spawn(async { panic!("a task was started after the end") });
    assert!(!sending.reap());
}
