//! What a worker takes from the process that it runs in.

use factum_core::{Error, Result, TimestampMs};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Work to be done beside the worker's loop.
pub type Errand = Box<dyn FnOnce() + Send>;

/// What a worker takes from the process that it runs in. A simulation gives a
/// time of its own, and does errands on the spot.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// The wall clock.
    pub now: fn() -> TimestampMs,
    /// Waits.
    pub sleep: fn(Duration),
    /// Does an errand beside the loop, under this name.
    ///
    /// Errors: `Unavailable` when it cannot be begun now.
    pub spawn: fn(&str, Errand) -> Result<()>,
}

impl Surroundings {
    /// The operating system's clock and threads.
    pub const SYSTEM: Surroundings = Surroundings { now: system_clock, sleep: std::thread::sleep, spawn: spawn_thread };

    /// Whether `since` is so long ago. A clock that was set back makes it due, too.
    pub fn is_due(now: TimestampMs, since: TimestampMs, every: Duration) -> bool {
        u128::from(now.0.abs_diff(since.0)) >= every.as_millis()
    }
}

/// The wall clock.
pub fn system_clock() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn spawn_thread(name: &str, errand: Errand) -> Result<()> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(errand);
    spawned.map(drop).map_err(|error| Error::unavailable(format!("no thread {name}: {error}")))
}
