//! The simulation's own time.

use crate::world::World;
use factum_core::TimestampMs;
use factum_handler::{Errand, Surroundings};
use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

/// When a simulation begins: 2030-01-01, in milliseconds since 1970.
const BEGIN: TimestampMs = TimestampMs(1_893_456_000_000);

thread_local! {
    // Shells take plain functions, so the world that they run in is found by its thread.
    static NOW: Cell<TimestampMs> = const { Cell::new(BEGIN) };
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// What production code takes for the process that it runs in.
pub(crate) const SURROUNDINGS: Surroundings = Surroundings { now, sleep, spawn };

/// Begins a world's time on this thread.
pub(crate) fn begin() {
    NOW.set(BEGIN);
    WORLD.set(None);
}

/// Whose time it is when somebody sleeps.
pub(crate) fn belongs_to(world: &Arc<World>) {
    WORLD.set(Some(world.clone()));
}

/// Ends the world's time: the world may be dropped.
pub(crate) fn end() {
    WORLD.set(None);
}

/// The time.
pub(crate) fn now() -> TimestampMs {
    NOW.get()
}

/// Lets time pass without anybody doing anything.
pub(crate) fn pass(ms: i64) {
    NOW.set(TimestampMs(NOW.get().0 + ms));
}

fn sleep(time: Duration) {
    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
    let world = WORLD.with_borrow(Clone::clone);
    match world {
        Some(world) => world.sleep(ms),
        None => pass(ms),
    }
}

/// Does it on the spot: the loop hears of it in its next round.
fn spawn(_name: &str, errand: Errand) -> factum_core::Result<()> {
    errand();
    Ok(())
}
