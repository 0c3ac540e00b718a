//! The stages: each measures one thing on the cluster and prints one line of JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::Options;
use crate::cluster::Cluster;
use crate::measure::{cpu, ms, quantile, resident, text, wait_for_all};

/// What has not come by then does not come.
const LIMIT: Duration = Duration::from_secs(60);
/// The same, for members that start at once.
const JOIN_LIMIT: Duration = Duration::from_secs(20);
/// The same, for an update that takes milliseconds or a few gossip intervals.
const SPREAD_LIMIT: Duration = Duration::from_secs(10);
/// The same, for a crash.
const CRASH_LIMIT: Duration = Duration::from_secs(20);
/// After joining, until nothing is left of it.
const QUIET: Duration = Duration::from_secs(4);
/// Entries of the stages "transfer" and "entries".
const TRANSFER: (usize, usize) = (10_000, 1024);
const ENTRIES: (usize, usize) = (100_000, 64);
const LARGEST: usize = 16 << 20;

/// A name for each cluster of this process: what is left of the last one is not heard.
fn name() -> String {
    static CLUSTERS: AtomicUsize = AtomicUsize::new(0);
    format!("bench-{}-{}", std::process::id(), CLUSTERS.fetch_add(1, Ordering::Relaxed))
}

fn say(stage: &str, figures: Value) {
    let mut line = json!({"stage": stage});
    if let (Value::Object(line), Value::Object(figures)) = (&mut line, figures) {
        line.extend(figures);
    }
    println!("{line}");
    // A pipe is not flushed at the end of a line.
    let _ = std::io::stdout().flush();
}

/// A cluster on which stages run.
struct Bench<'a, C> {
    cluster: C,
    options: &'a Options,
    /// The members that have not crashed.
    here: Vec<usize>,
    /// Bytes a second, if it was measured.
    idle: Option<f64>,
}

/// Runs the stages on one cluster, after what they need of it.
pub fn run<C: Cluster>(stages: &str, options: &Options) -> Result<(), String> {
    let mut bench: Option<Bench<C>> = None;
    for stage in stages.split(',') {
        match stage {
            "start" => {
                if let Some(old) = bench.take() {
                    old.cluster.close();
                }
                bench = Some(start(options, options.runs("start", 5)));
            }
            // These open members of their own.
            "transfer" => transfer::<C>(options)?,
            "entries" => entries::<C>()?,
            _ => {
                if bench.is_none() {
                    bench = Some(start(options, 0));
                }
                let bench = bench.as_mut().ok_or("no cluster")?;
                match stage {
                    "idle" => bench.idle(),
                    "published" => bench.published()?,
                    "bytes" => bench.bytes(),
                    "spread64" => bench.spread(stage, 64),
                    "spread1024" => bench.spread(stage, 1024),
                    "largest" => bench.largest(),
                    "crash" => bench.crash(),
                    _ => return Err(format!("{stage}: there is no such stage")),
                }
            }
        }
    }
    if let Some(bench) = bench {
        bench.cluster.close();
    }
    Ok(())
}

impl<C: Cluster> Bench<'_, C> {
    /// Opens all members, with a pause after each; gives the time until all know all, if they do.
    fn open(options: &Options, pause: Duration) -> (Bench<'_, C>, Option<Duration>) {
        let mut cluster = C::new(&name(), None);
        let n = options.members;
        let began = Instant::now();
        for _ in 0..n {
            cluster.add();
            sleep(pause);
        }
        let began = if pause.is_zero() { began } else { Instant::now() };
        let took = wait_for_all(began, JOIN_LIMIT, Duration::from_millis(1), 0..n, |at| cluster.alive(at) == n);
        (Bench { cluster, options, here: (0..n).collect(), idle: None }, took)
    }

    fn idle(&mut self) {
        let window = Duration::from_secs_f64(self.options.seconds);
        let (sent, used, began) = (self.cluster.sent(), cpu(), Instant::now());
        sleep(window);
        // The time of the process first: reading the counters is not part of being idle.
        let (used, seconds) = (cpu().saturating_sub(used), began.elapsed().as_secs_f64());
        let rate = (self.cluster.sent() - sent) as f64 / seconds;
        self.idle = Some(rate);
        let each = self.here.len() as f64;
        say(
            "idle",
            json!({
                "bytes_per_second": rate / each,
                "cpu_ms_per_second": ms(used) / seconds / each,
                "resident_mib": resident() as f64 / f64::from(1 << 20),
                "seconds": seconds,
            }),
        );
    }

    /// Memory once each member has set one key, all have it, and it is quiet again.
    fn published(&mut self) -> Result<(), String> {
        for at in self.here.clone() {
            self.cluster.set(at, "published", &text(64));
        }
        let (cluster, all) = (&self.cluster, self.here.len());
        let there = self.here.iter().copied();
        wait_for_all(Instant::now(), LIMIT, Duration::from_millis(5), there, |at| cluster.keys(at) >= all)
            .ok_or("not all members have what all have set")?;
        sleep(Duration::from_secs_f64(self.options.seconds));
        say("published", json!({"resident_mib": resident() as f64 / f64::from(1 << 20)}));
        Ok(())
    }

    /// One update of 1 KiB at a time, with all that it causes, less what is sent anyway.
    fn bytes(&mut self) {
        let updates = self.options.runs("bytes", 8);
        sleep(C::SETTLE);
        let window = C::SETTLE * u32::try_from(updates).unwrap_or(1);
        let idle = self.idle.unwrap_or_else(|| {
            let (sent, began) = (self.cluster.sent(), Instant::now());
            sleep(window);
            (self.cluster.sent() - sent) as f64 / began.elapsed().as_secs_f64()
        });
        let kinds = self.cluster.sent_by_kind();
        let (sent, began) = (self.cluster.sent(), Instant::now());
        for _ in 0..updates {
            let from = self.here[fastrand::usize(..self.here.len())];
            self.cluster.set(from, "bytes", &text(1024));
            sleep(C::SETTLE);
        }
        let caused = (self.cluster.sent() - sent) as f64 - idle * began.elapsed().as_secs_f64();
        let kinds: Map<_, _> = self
            .cluster
            .sent_by_kind()
            .into_iter()
            .zip(kinds)
            .map(|((k, n), (_, old))| (k, (n - old).into()))
            .collect();
        let needed = (updates * (self.here.len() - 1) * 1024) as f64;
        let ratio = caused / needed;
        say("bytes", json!({"ratio": ratio, "updates": updates, "idle_bytes_per_second": idle, "by_kind": kinds}));
    }

    /// From a set at a random member until each of them reads it.
    fn spread(&mut self, stage: &str, size: usize) {
        let runs = self.options.runs(stage, if C::LOOK < Duration::from_millis(1) { 60 } else { 30 });
        let (mut times, mut lost) = (Vec::new(), 0);
        for _ in 0..runs {
            // At no fixed place within a gossip interval.
            sleep(Duration::from_millis(fastrand::u64(50..250)));
            let from = self.here[fastrand::usize(..self.here.len())];
            let value = text(size);
            let began = Instant::now();
            self.cluster.set(from, stage, &value);
            let cluster = &self.cluster;
            let all = self.here.iter().copied();
            match wait_for_all(began, SPREAD_LIMIT, C::LOOK, all, |at| cluster.reads(at, from, stage, &value)) {
                Some(time) => times.push(ms(time)),
                None => lost += 1,
            }
        }
        let (median, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        say(stage, json!({"median_ms": median, "p99_ms": p99, "runs": runs, "lost": lost}));
    }

    /// A value of 16 MiB, until one other member reads it.
    fn largest(&mut self) {
        let mut times = Vec::new();
        for _ in 0..self.options.runs("largest", 5) {
            let value = text(LARGEST);
            let began = Instant::now();
            self.cluster.set(self.here[0], "largest", &value);
            let (cluster, from) = (&self.cluster, self.here[0]);
            let other = self.here[1];
            let read = |at| cluster.reads(at, from, "largest", &value);
            if let Some(time) = wait_for_all(began, LIMIT, C::LOOK, [other], read) {
                times.push(ms(time));
            }
            sleep(Duration::from_millis(500));
        }
        say("largest", json!({"median_ms": quantile(&mut times, 0.5), "runs": times.len()}));
    }

    /// A member ends without a word, its sockets closed, until each of the others has taken it out of its live members.
    /// Another takes its place for the next run.
    fn crash(&mut self) {
        let (mut times, mut missed) = (Vec::new(), 0);
        for _ in 0..self.options.runs("crash", 5) {
            // Not the first: it is the seed of those who come later.
            let gone = self.here.swap_remove(fastrand::usize(1..self.here.len()));
            sleep(Duration::from_millis(fastrand::u64(0..1000)));
            let began = Instant::now();
            self.cluster.crash(gone);
            let cluster = &self.cluster;
            let all = self.here.iter().copied();
            match wait_for_all(began, CRASH_LIMIT, Duration::from_millis(5), all, |at| cluster.misses(at, gone)) {
                Some(time) => times.push(ms(time)),
                None => missed += 1,
            }
            if missed > 0 {
                break;
            }
            self.here.push(self.cluster.add());
            let (cluster, here) = (&self.cluster, &self.here);
            let known = |at| cluster.alive(at) == here.len();
            let all = here.iter().copied();
            if wait_for_all(Instant::now(), JOIN_LIMIT, Duration::from_millis(5), all, known).is_none() {
                break;
            }
            sleep(QUIET / 4);
        }
        let median = if missed > 0 { None } else { quantile(&mut times, 0.5) };
        let most = quantile(&mut times, 1.0);
        say("crash", json!({"median_ms": median, "max_ms": most, "runs": times.len(), "missed": missed}));
    }
}

/// All members started at once, until all know all; gives the last such cluster. With no `runs` one is
/// just opened, bit by bit.
fn start<C: Cluster>(options: &Options, runs: usize) -> Bench<'_, C> {
    let (mut times, mut missed) = (Vec::new(), 0);
    let last = loop {
        // All at once only where that is what is measured.
        let pause = if runs > 0 { Duration::ZERO } else { Duration::from_millis(20) };
        let (bench, took) = Bench::<C>::open(options, pause);
        match took {
            Some(time) => times.push(ms(time)),
            None => missed += 1,
        }
        // One that does not come together is taken as it is, rather than tried for ever.
        if times.len() + missed >= runs && took.is_some() || missed > 1 {
            if took.is_none() {
                eprintln!("{}: not all of {} members know each other after {JOIN_LIMIT:?}", C::NAME, options.members);
            }
            break bench;
        }
        bench.cluster.close();
    };
    if runs > 0 {
        let (median, most, runs) = (quantile(&mut times, 0.5), quantile(&mut times, 1.0), times.len());
        say("start", json!({"median_ms": median, "max_ms": most, "runs": runs, "missed": missed}));
    }
    sleep(QUIET);
    last
}

fn fill<C: Cluster>(cluster: &mut C, (entries, size): (usize, usize)) {
    for i in 0..entries {
        cluster.set(0, &format!("entry-{i:06}"), &text(size));
    }
    while cluster.keys(0) < entries {
        sleep(Duration::from_millis(1));
    }
}

/// From opening a member until it reads all that another one holds.
fn transfer<C: Cluster>(options: &Options) -> Result<(), String> {
    let mut times = Vec::new();
    let runs = options.runs("transfer", if C::LOOK < Duration::from_millis(1) { 5 } else { 1 });
    for _ in 0..runs {
        let mut cluster = C::new(&name(), None);
        cluster.add();
        fill(&mut cluster, TRANSFER);
        let began = Instant::now();
        let new = cluster.add();
        let time = wait_for_all(began, LIMIT, Duration::from_millis(3), [new], |at| cluster.keys(at) == TRANSFER.0)
            .ok_or("the state did not come")?;
        times.push(ms(time));
        cluster.close();
    }
    say("transfer", json!({"median_ms": quantile(&mut times, 0.5), "runs": runs}));
    Ok(())
}

/// Memory of an entry, here at its owner and in another process at a member that has received it.
fn entries<C: Cluster>() -> Result<(), String> {
    let name = name();
    let mut cluster = C::new(&name, None);
    cluster.add();
    let before = resident();
    fill(&mut cluster, ENTRIES);
    let owner = resident().saturating_sub(before) as f64 / ENTRIES.0 as f64;

    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut child = Command::new(program)
        .args([C::NAME, "receive", "--seed", &cluster.address(), "--cluster", &name])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("the receiver could not be started: {e}"))?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("the receiver has no output")?;
    let read = BufReader::new(stdout).read_line(&mut line);
    let status = child.wait().map_err(|e| e.to_string())?;
    read.map_err(|e| e.to_string())?;
    let received: Value = serde_json::from_str(&line).map_err(|e| format!("the receiver ended with {status}: {e}"))?;
    cluster.close();
    say("entries", json!({"owner_bytes": owner, "receiver_bytes": received["bytes"], "ms": received["ms"]}));
    Ok(())
}

/// The receiving process of [`entries`].
pub fn receive<C: Cluster>(name: &str, seed: &str) -> Result<(), String> {
    // Threads and the like belong to the process, not to the entries.
    let mut alone = C::new("alone", None);
    alone.add();
    let mut cluster = C::new(name, Some(seed));
    let before = resident();
    let began = Instant::now();
    cluster.add();
    let took = wait_for_all(began, LIMIT, Duration::from_millis(200), [0], |at| cluster.keys(at) == ENTRIES.0)
        .ok_or("the entries did not come")?;
    let bytes = resident().saturating_sub(before) as f64 / ENTRIES.0 as f64;
    say("receive", json!({"bytes": bytes, "ms": ms(took)}));
    cluster.close();
    alone.close();
    Ok(())
}
