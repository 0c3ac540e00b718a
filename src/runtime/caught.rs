//! Panics that end where they are caught, whatever they carry.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    /// How many calls of [`caught`] this thread is in.
    static WITHIN: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic came from that was not printed.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `call`; a panic in it becomes its text.
///
/// Nothing half-changed may be looked at afterwards: that is the caller's to see to.
pub fn caught<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    // A thread that is ending has no such variables any more.
    let _ = WITHIN.try_with(|within| within.set(within.get() + 1));
    let result = catch_unwind(AssertUnwindSafe(call));
    let _ = WITHIN.try_with(|within| within.set(within.get() - 1));
    result.map_err(|payload| {
        let place = PLACE.try_with(|place| std::mem::take(&mut *place.borrow_mut())).unwrap_or_default();
        let text = text(&*payload).to_owned() + &place;
        // A value of the host's, whose drop might panic as well, where nothing catches it.
        std::mem::forget(payload);
        text
    })
}

/// From now on panics that are caught, and those in threads of the library, are not printed: a library in another
/// language's process has nothing to say on its standard error. They are told as statuses, events and log lines, with
/// the place in the source. For the C interface; a Rust host's own panics are printed as before.
pub fn print_none() {
    static DONE: AtomicBool = AtomicBool::new(false);
    // While it panics a thread may not change what is done at a panic.
    if std::thread::panicking() || DONE.swap(true, Ordering::AcqRel) {
        return;
    }
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_caught = WITHIN.try_with(|within| within.get() > 0).unwrap_or(false);
        if is_caught || std::thread::current().name().is_some_and(|name| name.starts_with("gossip-")) {
            let place = panic.location().map(|at| format!(" (at {}:{})", at.file(), at.line())).unwrap_or_default();
            let _ = PLACE.try_with(|last| last.replace(place));
        } else {
            print(panic);
        }
    }));
}

fn text(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "a panic without a text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_text_and_what_it_carries_is_not_dropped() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| panic!("static")), Err::<(), _>("static".into()));
        assert_eq!(caught(|| panic!("number {}", 7)), Err::<(), _>("number 7".into()));
        assert_eq!(caught(|| std::panic::panic_any(Bomb)), Err::<(), _>("a panic without a text".into()));
    }
}
