//! Many seeds at once: one thread a core, one world a seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A seed that failed, and why.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub why: String,
}

/// What became of a run over many seeds.
#[derive(Debug)]
pub struct Outcome<T> {
    pub done: Vec<(u64, T)>,
    pub failures: Vec<Failure>,
}

/// Runs `run` for the seeds from `first` on, `count` of them, in as many threads as there are cores. Stops taking new
/// seeds once `most` have failed, or when `limit` of wall time is over. A panic is a failure like any other.
pub fn seeds<T: Send>(
    first: u64,
    count: u64,
    most: usize,
    limit: Option<Duration>,
    run: impl Fn(u64) -> Result<T, String> + Sync,
) -> Outcome<T> {
    let next = AtomicU64::new(first);
    let outcome = Mutex::new(Outcome { done: Vec::new(), failures: Vec::new() });
    let start = Instant::now();
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let enough = outcome.lock().expect("no run holds it").failures.len() >= most;
            if seed - first >= count || enough || limit.is_some_and(|limit| start.elapsed() >= limit) {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                Err(format!("panic: {}", text.or(panic.downcast_ref::<String>().cloned()).unwrap_or_default()))
            });
            let mut outcome = outcome.lock().expect("no run holds it");
            match result {
                Ok(value) => outcome.done.push((seed, value)),
                Err(why) => outcome.failures.push(Failure { seed, why }),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
    let mut outcome = outcome.into_inner().expect("no run holds it");
    outcome.done.sort_by_key(|(seed, _)| *seed);
    outcome.failures.sort_by_key(|f| f.seed);
    outcome
}
