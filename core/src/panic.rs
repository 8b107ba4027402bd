//! Panics of the domain's code that were caught.

use std::any::Any;

/// What a panic said: the payload that `catch_unwind` gives.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no text",
    }
}
