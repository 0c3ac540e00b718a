//! Panics that end where they are caught, whatever they carry.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `call`; a panic in it becomes its text.
///
/// Nothing half-changed may be looked at afterwards: that is the caller's to see to.
pub fn caught<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let text = text(&*payload).to_owned();
        // A value of the host's, whose drop might panic as well, where nothing catches it.
        std::mem::forget(payload);
        text
    })
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
