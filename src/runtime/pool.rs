//! The one tokio runtime of this process: made when the first node opens, ended when the last node has ended.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

use super::caught::caught;
use super::{fork, signals};
use crate::error::{Error, Result, Status};
use crate::store::contacts::Contacts;

/// How long ending waits for threads of the runtime. Workers end at once; only a look-up of a name, which is a blocking
/// call of libc, can be later than that, and such a thread then ends by itself.
const END_WAIT: Duration = Duration::from_secs(1);

/// Look-ups of names at a time, over all nodes of the process.
const MAX_BLOCKING: usize = 8;

#[derive(Default)]
struct State {
    users: usize,
    runtime: Option<Runtime>,
    contacts: Arc<Contacts>,
}

static POOL: fork::PerProcess<Mutex<State>> = fork::PerProcess::new();

/// A share in the runtime. Dropping the last one ends it without waiting for its threads.
pub struct PoolRef {
    state: &'static Mutex<State>,
    handle: Handle,
    contacts: Arc<Contacts>,
    given_back: bool,
}

/// Takes a share in the runtime, which is made with `worker_threads` workers if there is none.
pub fn acquire(worker_threads: usize) -> Result<PoolRef> {
    share(POOL.get(Mutex::default), worker_threads)
}

fn share(pool: &'static Mutex<State>, worker_threads: usize) -> Result<PoolRef> {
    let mut state = pool.lock();
    let handle = match &state.runtime {
        Some(runtime) => runtime.handle().clone(),
        None => {
            let runtime = make(worker_threads)?;
            let handle = runtime.handle().clone();
            state.runtime = Some(runtime);
            handle
        }
    };
    state.users += 1;
    let contacts = state.contacts.clone();
    Ok(PoolRef { state: pool, handle, contacts, given_back: false })
}

fn make(worker_threads: usize) -> Result<Runtime> {
    let build = || {
        Builder::new_multi_thread()
            .worker_threads(worker_threads.max(1))
            .max_blocking_threads(MAX_BLOCKING)
            .thread_keep_alive(Duration::from_secs(1))
            .thread_name("gossip-worker")
            .enable_io()
            .enable_time()
            .build()
    };
    // tokio answers a refused thread with a panic.
    match signals::with_quiet_mask(|| caught(build)) {
        Ok(Ok(runtime)) => Ok(runtime),
        Ok(Err(e)) => Err(Error::new(Status::NoResources, format!("the library's event loop can not be made: {e}"))),
        Err(_) => Err(Error::new(Status::NoResources, "the operating system refuses the library's threads")),
    }
}

impl PoolRef {
    /// The runtime.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What members say of themselves, for all nodes of this process.
    pub fn contacts(&self) -> Arc<Contacts> {
        self.contacts.clone()
    }

    /// Gives the share back. If it is the last one, the threads are gone when this returns (but see `END_WAIT`).
    pub fn release_and_wait(mut self) {
        let Some(mut runtime) = self.give_back().map(|r| Ending(Some(r))) else { return };
        if Handle::try_current().is_ok() {
            // tokio panics if a runtime is waited for inside another one, the host's; a thread of our own may wait.
            let thread = std::thread::Builder::new().name("gossip-end".into());
            if let Ok(thread) = signals::with_quiet_mask(|| thread.spawn(move || runtime.wait())) {
                let _ = thread.join();
            }
        } else {
            runtime.wait();
        }
    }

    fn give_back(&mut self) -> Option<Runtime> {
        if std::mem::replace(&mut self.given_back, true) {
            return None;
        }
        let mut state = self.state.lock();
        state.users = state.users.saturating_sub(1);
        if state.users > 0 {
            return None;
        }
        state.contacts = Arc::default();
        state.runtime.take()
    }
}

impl Drop for PoolRef {
    fn drop(&mut self) {
        drop(self.give_back().map(|r| Ending(Some(r))));
    }
}

/// A runtime that, when dropped, ends without waiting: dropping a bare one waits, or panics where that is forbidden.
struct Ending(Option<Runtime>);

impl Ending {
    fn wait(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(END_WAIT);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool of the test's own: the process's is shared with other tests.
    fn pool() -> &'static Mutex<State> {
        Box::leak(Box::default())
    }

    #[test]
    fn shares_are_of_one_runtime_that_can_be_ended_from_within_and_made_again() {
        let pool = pool();
        let a = share(pool, 2).unwrap();
        let b = share(pool, 7).unwrap();
        assert_eq!(a.handle().id(), b.handle().id());
        let name = a.handle().clone().block_on(async {
            tokio::spawn(async { std::thread::current().name().map(str::to_owned) }).await.unwrap()
        });
        assert_eq!(name.as_deref(), Some("gossip-worker"));
        let id = a.handle().id();
        drop(a);
        // From a task of the runtime itself, as a node's task does.
        let handle = b.handle().clone();
        let (tx, rx) = std::sync::mpsc::channel();
        handle.spawn(async move {
            drop(b);
            let _ = tx.send(());
        });
        let _ = rx.recv();
        let c = share(pool, 1).unwrap();
        assert_ne!(c.handle().id(), id);
        c.release_and_wait();
    }

    #[test]
    fn can_be_waited_for_inside_a_runtime_of_the_host() {
        let host = Builder::new_current_thread().build().unwrap();
        host.block_on(async { share(pool(), 1).unwrap().release_and_wait() });
    }
}
