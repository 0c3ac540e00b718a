//! Waiting until something holds: on a condition variable for threads, on a `Notify` for async hosts. Nothing polls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::store::Waker;

/// What wakes the task of a node, and those who wait for the node.
#[derive(Debug, Default)]
pub struct Signals {
    /// Own entries wait for the engine.
    dirty: AtomicBool,
    /// The task should look around.
    task: Notify,
    /// Counts what waiters may wait for.
    steps: Mutex<u64>,
    stepped: Condvar,
    stepped_async: Notify,
}

impl Signals {
    /// The task should look around: an API call has driven the engine, or the node is being closed.
    pub fn wake_task(&self) {
        self.task.notify_one();
    }

    /// Completes when the task should look around.
    pub async fn task_woken(&self) {
        self.task.notified().await;
    }

    /// Whether own entries were written since the last call.
    pub fn take_dirty(&self) -> bool {
        // The swap is dear on a line that writers share; most wake-ups are not theirs.
        self.dirty.load(Ordering::Relaxed) && self.dirty.swap(false, Ordering::AcqRel)
    }

    /// Waits until `look` gives something; `None` when `timeout` is over (zero: looks once; `None`: waits for ever).
    pub fn wait<T>(&self, timeout: Option<Duration>, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            let seen = *self.steps.lock();
            // Without the lock: `progress` is called under locks that `look` may take.
            if let Some(found) = look() {
                return Some(found);
            }
            let mut steps = self.steps.lock();
            while *steps == seen {
                match deadline {
                    None => self.stepped.wait(&mut steps),
                    Some(deadline) if self.stepped.wait_until(&mut steps, deadline).timed_out() => {
                        drop(steps);
                        return look();
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Completes when `look` gives something; nothing is left behind when it is dropped before.
    pub async fn wait_async<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let stepped = self.stepped_async.notified();
            let mut stepped = std::pin::pin!(stepped);
            stepped.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            stepped.await;
        }
    }
}

impl Waker for Signals {
    fn wake_engine(&self) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            self.task.notify_one();
        }
    }

    fn progress(&self) {
        *self.steps.lock() += 1;
        self.stepped.notify_all();
        self.stepped_async.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_wait_ends_when_it_holds_or_when_its_time_is_over() {
        let signals = Arc::new(Signals::default());
        let value = Arc::new(AtomicU32::new(0));
        let look = |v: &AtomicU32| (v.load(Ordering::SeqCst) >= 3).then_some("three");
        assert_eq!(signals.wait(Some(Duration::ZERO), || look(&value)), None);
        assert_eq!(signals.wait(Some(Duration::from_millis(5)), || look(&value)), None);
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let (signals, value) = (signals.clone(), value.clone());
                std::thread::spawn(move || signals.wait(None, || look(&value)))
            })
            .collect();
        for _ in 0..3 {
            value.fetch_add(1, Ordering::SeqCst);
            signals.progress();
        }
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Some("three"));
        }
        assert_eq!(signals.wait(Some(Duration::ZERO), || look(&value)), Some("three"));
    }

    #[test]
    fn an_async_wait_misses_no_step() {
        let signals = Arc::new(Signals::default());
        let value = Arc::new(AtomicU32::new(0));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            for n in 1..=1000 {
                let (s, v) = (signals.clone(), value.clone());
                let step = tokio::spawn(async move {
                    v.store(n, Ordering::SeqCst);
                    s.progress();
                });
                signals.wait_async(|| (value.load(Ordering::SeqCst) == n).then_some(())).await;
                step.await.unwrap();
            }
        });
    }

    #[test]
    fn dirty_is_said_once_until_it_is_taken() {
        let signals = Signals::default();
        assert!(!signals.take_dirty());
        signals.wake_engine();
        signals.wake_engine();
        assert!(signals.take_dirty());
        assert!(!signals.take_dirty());
    }
}
