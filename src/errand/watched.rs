//! Looking at something while work goes on.

use factum_core::{Error, Result};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{Builder, Thread, park_timeout, scope},
    time::Duration,
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Calls `look` now and then, on a thread of its own, while `work` goes on.
///
/// # Errors
/// `Unavailable` when there is no thread to be had; then no work was done.
pub(super) fn watched<T>(look: impl Fn() + Sync, work: impl FnOnce() -> T) -> Result<T> {
    let is_over = AtomicBool::new(false);
    scope(|scope| {
        let watching = Builder::new().name("errand-watch".to_owned()).spawn_scoped(scope, || {
            while !is_over.load(Ordering::Acquire) {
                look();
                park_timeout(LOOK);
            }
        });
        let watching = watching.map_err(|error| Error::unavailable(format!("no thread for an errand: {error}")))?;
        let _ending = Ending { is_over: &is_over, watching: watching.thread() };
        Ok(work())
    })
}

/// Ends the looking however the work ends, also by a panic.
struct Ending<'a> {
    is_over: &'a AtomicBool,
    watching: &'a Thread,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        self.watching.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{panic::catch_unwind, sync::mpsc};

    #[test]
    fn there_are_looks_until_the_work_is_over() {
        let (looked, looks) = mpsc::channel();
        let done = watched(move || looked.send(()).unwrap_or_default(), || (looks.recv(), looks.recv()));
        assert_eq!(done.unwrap(), (Ok(()), Ok(())));
    }

    #[test]
    fn work_that_panics_ends_the_looking_too() {
        assert!(catch_unwind(|| watched(|| {}, || panic!("the work fails"))).is_err());
    }
}
