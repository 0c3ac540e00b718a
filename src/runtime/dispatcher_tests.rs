//! The thread for callbacks, with a store but without an engine.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use super::*;
use crate::config::settings::Settings;
use crate::store::entry::{Life, LifeRef, MemberId};
use crate::store::members::{Contact, MemberStatus, MemberView};

struct NoWaker;

impl crate::store::Waker for NoWaker {
    fn wake_engine(&self) {}
    fn progress(&self) {}
}

fn dispatcher() -> (Arc<Dispatcher>, Arc<Store>) {
    let life = LifeRef::new(Life { id: MemberId::new("me").unwrap(), generation: 1, nonce: 7 });
    let store = Arc::new(Store::new(1, life.clone(), Arc::new(Settings::default()), Arc::new(NoWaker)));
    let now = clock::now();
    store.members.put(MemberView {
        contact: triomphe::Arc::new(Contact {
            life,
            address: "127.0.0.1:1".parse().unwrap(),
            versions: (1, 1),
            tags: Arc::default(),
        }),
        status: MemberStatus::Alive,
        since: now,
        rtt_us: None,
        is_self: true,
        banned: false,
    });
    (Arc::new(Dispatcher::new(store.clone())), store)
}

fn entries() -> Filter {
    Filter { what: kind::ENTRIES, ..Filter::default() }
}

fn set(store: &Store, key: &str, value: &str) {
    store.set(clock::now(), key, "", value.as_bytes(), None, false).unwrap();
}

fn key_of(event: &Event) -> String {
    event.entry.as_ref().unwrap().entry.key().to_owned()
}

/// Counts its drops.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn end(dispatcher: &Dispatcher) {
    let (tx, rx) = mpsc::channel();
    dispatcher.end(Box::new(move || tx.send(()).unwrap()));
    rx.recv().unwrap();
    dispatcher.join();
}

#[test]
fn callbacks_run_on_one_named_thread_and_are_told_of_the_end() {
    let (dispatcher, store) = dispatcher();
    let (tx, rx) = mpsc::channel();
    let dropped = Arc::new(AtomicUsize::new(0));
    for sub in [10, 11] {
        let (tx, guard) = (tx.clone(), Dropped(dropped.clone()));
        let callback = move |event: &Event| {
            let _ = &guard;
            let thread = std::thread::current().name().map(str::to_owned);
            tx.send((sub, event.sub, event.kind, thread)).unwrap();
        };
        assert!(dispatcher.subscribe(entries(), sub, Box::new(callback)).is_ok());
    }
    drop(tx);
    set(&store, "a", "1");
    assert_eq!(dispatcher.count(), 2);
    store.hub.close(clock::now());
    end(&dispatcher);
    let told: Vec<_> = rx.iter().collect();
    for sub in [10, 11] {
        let kinds: Vec<_> = told.iter().filter(|t| t.0 == sub).map(|t| t.2).collect();
        assert_eq!(kinds, [kind::ENTRY_CHANGED, kind::CLOSED]);
    }
    assert!(told.iter().all(|t| t.0 == t.1 && t.3.as_deref() == Some("gossip-events")));
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    // After the end a callback is handed back.
    assert!(dispatcher.subscribe(entries(), 12, Box::new(|_| ())).is_err_and(|(e, _)| e.status() == Status::Closed));
}

#[test]
fn ending_a_subscription_waits_for_its_callback() {
    let (dispatcher, store) = dispatcher();
    let (started, has_started) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (calls, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, guard) = (calls.clone(), Dropped(dropped.clone()));
    let callback = move |_: &Event| {
        let _ = &guard;
        started.send(()).unwrap();
        may_go_on.recv().unwrap();
        count.fetch_add(1, Ordering::SeqCst);
    };
    assert!(dispatcher.subscribe(entries(), 1, Box::new(callback)).is_ok());
    set(&store, "a", "1");
    has_started.recv().unwrap();
    let waiting = {
        let dispatcher = dispatcher.clone();
        std::thread::spawn(move || dispatcher.unsubscribe(1))
    };
    while !dispatcher.inner.slot(1).unwrap().state.lock().ended {
        std::thread::yield_now();
    }
    // What is told now finds no callback.
    set(&store, "b", "1");
    assert_eq!((calls.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (0, 0));
    assert!(!waiting.is_finished());
    go_on.send(()).unwrap();
    assert!(waiting.join().unwrap());
    assert_eq!((calls.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (1, 1));
    assert!(!dispatcher.unsubscribe(1));
    store.hub.close(clock::now());
    end(&dispatcher);
    assert_eq!((calls.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn a_callback_may_end_itself_and_others_and_subscribe() {
    let (dispatcher, store) = dispatcher();
    let dropped = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = mpsc::channel();
    for sub in [1, 2] {
        let (inner, store, tx, guard) =
            (Arc::downgrade(&dispatcher), store.clone(), tx.clone(), Dropped(dropped.clone()));
        let callback = move |event: &Event| {
            let _ = &guard;
            let dispatcher = inner.upgrade().unwrap();
            assert!(dispatcher.wait_for().is_none());
            // The second one to run finds both ended already, or does not run at all.
            dispatcher.unsubscribe_nowait(1);
            dispatcher.unsubscribe_nowait(2);
            let later = tx.clone();
            assert!(
                dispatcher.subscribe(entries(), 3, Box::new(move |event| later.send(key_of(event)).unwrap())).is_ok()
            );
            set(&store, "from the callback", "1");
            tx.send(key_of(event)).unwrap();
        };
        assert!(dispatcher.subscribe(entries(), sub, Box::new(callback)).is_ok());
    }
    assert!(dispatcher.wait_for().is_some());
    set(&store, "a", "1");
    assert_eq!(rx.recv().unwrap(), "a");
    assert_eq!(rx.recv().unwrap(), "from the callback");
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    store.hub.close(clock::now());
    end(&dispatcher);
}

#[test]
fn a_panic_in_a_callback_is_logged_and_the_subscription_goes_on() {
    let (dispatcher, store) = dispatcher();
    let (tx, rx) = mpsc::channel();
    let lines = tx.clone();
    let log = Filter { what: kind::LOG, ..Filter::default() };
    let line = move |event: &Event| {
        if event.kind == kind::LOG {
            lines.send(event.text.as_deref().unwrap().to_owned()).unwrap();
        }
    };
    assert!(dispatcher.subscribe(log, 1, Box::new(line)).is_ok());
    let callback = move |event: &Event| {
        if event.kind == kind::ENTRY_CHANGED {
            if key_of(event) == "bad" {
                panic!("did not like {}", key_of(event));
            }
            tx.send(key_of(event)).unwrap();
        }
    };
    assert!(dispatcher.subscribe(entries(), 2, Box::new(callback)).is_ok());
    set(&store, "bad", "1");
    assert_eq!(rx.recv().unwrap(), "a callback has panicked: did not like bad");
    set(&store, "good", "1");
    assert_eq!(rx.recv().unwrap(), "good");
    store.hub.close(clock::now());
    end(&dispatcher);
}

#[test]
fn without_callbacks_there_is_no_thread() {
    let (dispatcher, store) = dispatcher();
    store.hub.close(clock::now());
    assert!(!dispatcher.thread.lock().started);
    end(&dispatcher);
    assert!(dispatcher.subscribe(entries(), 1, Box::new(|_| ())).is_err_and(|(e, _)| e.status() == Status::Closed));
}

/// A subscription whose callback's destructor runs in a thread of its own, until `go_on` is dropped.
fn dropping(
    dispatcher: &Arc<Dispatcher>,
    inside: impl Fn(&Dispatcher) + Send + 'static,
) -> (mpsc::Sender<()>, std::thread::JoinHandle<bool>) {
    struct Slow<F: Fn(&Dispatcher)>(Arc<Dispatcher>, F, mpsc::Sender<()>, mpsc::Receiver<()>);
    impl<F: Fn(&Dispatcher)> Drop for Slow<F> {
        fn drop(&mut self) {
            self.2.send(()).unwrap();
            let _ = self.3.recv();
            (self.1)(&self.0);
        }
    }
    let (started, has_started) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let slow = Slow(dispatcher.clone(), inside, started, may_go_on);
    let callback = move |_: &Event| {
        let _ = &slow;
    };
    assert!(dispatcher.subscribe(entries(), 1, Box::new(callback)).is_ok());
    let ending = {
        let dispatcher = dispatcher.clone();
        std::thread::spawn(move || dispatcher.unsubscribe_nowait(1))
    };
    has_started.recv().unwrap();
    (go_on, ending)
}

/// Whether it is still blocked after everything else had its turn. Never wrong where it should be blocked.
fn is_blocked<T>(thread: &std::thread::JoinHandle<T>) -> bool {
    (0..1000).for_each(|_| std::thread::yield_now());
    !thread.is_finished()
}

#[test]
fn whoever_ends_a_subscription_waits_for_a_destructor_that_another_thread_runs() {
    let (dispatcher, store) = dispatcher();
    let (go_on, ending) = dropping(&dispatcher, |_| ());
    let second = {
        let dispatcher = dispatcher.clone();
        std::thread::spawn(move || dispatcher.unsubscribe(1))
    };
    assert!(is_blocked(&second));
    assert!(!dispatcher.unsubscribe_nowait(1));
    drop(go_on);
    assert!(ending.join().unwrap());
    assert!(!second.join().unwrap());
    assert_eq!(dispatcher.count(), 0);
    store.hub.close(clock::now());
    end(&dispatcher);
}

#[test]
fn the_end_waits_for_a_destructor_that_another_thread_runs_and_that_cannot_wait_for_the_end() {
    let (dispatcher, store) = dispatcher();
    let (tx, rx) = mpsc::channel();
    let (go_on, ending) = dropping(&dispatcher, move |dispatcher| tx.send(dispatcher.wait_for().is_none()).unwrap());
    store.hub.close(clock::now());
    let closing = {
        let dispatcher = dispatcher.clone();
        std::thread::spawn(move || end(&dispatcher))
    };
    assert!(is_blocked(&closing));
    assert!(dispatcher.wait_for().is_some());
    drop(go_on);
    assert!(rx.recv().unwrap());
    assert!(ending.join().unwrap());
    closing.join().unwrap();
}

#[test]
fn panics_that_carry_a_panic_end_nothing_else() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            // Not while a panic unwinds: that ends the process.
            if !std::thread::panicking() {
                panic!("dropped");
            }
        }
    }
    let (dispatcher, store) = dispatcher();
    let (tx, rx) = mpsc::channel();
    let callback = move |event: &Event| {
        let _ = tx.send(key_of(event));
        std::panic::panic_any(Bomb);
    };
    assert!(dispatcher.subscribe(entries(), 1, Box::new(callback)).is_ok());
    let bomb = Bomb;
    let callback = move |_: &Event| {
        let _ = &bomb;
    };
    assert!(dispatcher.subscribe(entries(), 2, Box::new(callback)).is_ok());
    for key in ["a", "b"] {
        set(&store, key, "1");
        assert_eq!(rx.recv().unwrap(), key);
    }
    assert!(dispatcher.unsubscribe(2));
    assert!(dispatcher.unsubscribe(1));
    store.hub.close(clock::now());
    end(&dispatcher);
}

#[test]
fn a_thread_that_has_died_is_not_waited_for() {
    let (dispatcher, store) = dispatcher();
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = Dropped(dropped.clone());
    let callback = move |_: &Event| {
        let _ = &guard;
    };
    assert!(dispatcher.subscribe(entries(), 1, Box::new(callback)).is_ok());
    // The loop ends, as after a panic of its own, long before the node.
    dispatcher.inner.queue.close();
    while !dispatcher.inner.end.lock().reached {
        std::thread::yield_now();
    }
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    assert!(dispatcher.subscribe(entries(), 2, Box::new(|_| ())).is_err());
    store.hub.close(clock::now());
    end(&dispatcher);
}

#[test]
fn whoever_would_close_a_ring_of_waits_is_told_so() {
    let waits = [(1, 2), (2, 3), (2, 4), (5, 1)];
    assert!(reaches(&waits, 1, &[1]) && reaches(&waits, 1, &[7, 4]) && reaches(&waits, 5, &[3]));
    assert!(!reaches(&waits, 3, &[1]) && !reaches(&waits, 4, &[5]) && !reaches(&waits, 1, &[5]));
    assert!(reaches(&[(1, 2), (2, 1)], 2, &[1]) && !reaches(&[(1, 2), (2, 1)], 2, &[3]), "ends where it goes round");
}
