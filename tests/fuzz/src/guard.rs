//! One input, watched.

use crate::Target;
use cap::Cap;
use std::{
    alloc::System,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Counts what is asked for, and refuses what is beyond the limit of an input.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The most memory that an input may have at one time beyond what was there, in bytes; an input
/// that is larger than a [`MEMORY_FACTOR`]th of it may have that many times its size.
///
/// Avro's decoder may claim 16 MiB for one string of a value, by design.
pub const MAX_MEMORY_BYTES: usize = 64 << 20;
/// How many times its size an input may have.
pub const MEMORY_FACTOR: usize = 1_000;
/// The longest that an input may take. No reader needs more than milliseconds; a machine that is busy does.
pub const MAX_TIME: Duration = Duration::from_secs(10);

/// What the last panic said and where.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// A target whose inputs are watched.
pub struct Guarded(Box<dyn Target>);

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Guarded").field(&self.0.name()).finish()
    }
}

impl Guarded {
    /// Watches a target.
    pub fn new(target: Box<dyn Target>) -> Self {
        Guarded(target)
    }

    /// The target.
    pub fn target(&self) -> &dyn Target {
        &*self.0
    }

    /// Has panics kept for [`Guarded::run`] instead of printed; for a process that does nothing else.
    pub fn keep_panics() {
        panic::set_hook(Box::new(|info| {
            *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
        }));
    }

    /// Runs an input. One that asks for more memory at once than it may have ends the process.
    ///
    /// # Errors
    /// What is wrong with how it was read.
    pub fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let began = Instant::now();
        limit(ALLOCATOR.allocated().saturating_add(MAX_MEMORY_BYTES.max(MEMORY_FACTOR * input.len())));
        let ran = panic::catch_unwind(AssertUnwindSafe(|| self.0.run(input)));
        limit(usize::MAX);
        match ran {
            Err(panic) => {
                let kept = std::mem::take(&mut *PANIC.lock().unwrap_or_else(PoisonError::into_inner));
                let said = panic.downcast_ref::<&str>().map(ToString::to_string);
                let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                Err(if kept.is_empty() { format!("it panicked: {said}") } else { kept })
            }
            Ok(Err(wrong)) => Err(wrong),
            Ok(Ok(())) if began.elapsed() > MAX_TIME => Err(format!("it took {:?}", began.elapsed())),
            Ok(Ok(())) => Ok(()),
        }
    }
}

fn limit(bytes: usize) {
    // It refuses a limit below what is there: then other threads have more meanwhile, and the next input is watched.
    ALLOCATOR.set_limit(bytes).unwrap_or_default();
}
