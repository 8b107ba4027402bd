//! Ends a process whose domain code does not come to an end: no thread can be stopped from outside,
//! and a process that is started again finds the record.

use factum_core::{Error, Result, pulse::Pulse};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tracing::error;

/// What a process ends with that its watchdog ended (`EX_SOFTWARE` of `sysexits.h`).
pub const STUCK_EXIT_CODE: i32 = 70;

/// How long the domain's code may take for one batch where nobody says otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// What follows where the machine looks for the record, one death after another.
pub(super) const IS_FOUND: &str = "the process ends, and finds the record when it is started again";

/// Watches a processor until it is no more; `then` says what follows its end, or what to do. Turns of the
/// watchdog are counted and not the time: a process that was stopped, or a machine that slept, has not
/// worked meanwhile.
///
/// # Errors
/// `Unavailable` when there is no thread to be had.
pub(super) fn watch(name: &str, pulse: &Arc<Pulse>, deadline: Duration, then: impl Into<String>) -> Result<()> {
    let pulse = Arc::downgrade(pulse);
    let (processor, then) = (name.to_owned(), then.into());
    let turn = (deadline / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
    let spawned = std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        if let Some(work) = stuck(&pulse, turn, deadline) {
            error!(
                processor,
                work,
                deadline_ms = deadline.as_millis(),
                "the domain's code does not come to an end; {then}"
            );
            std::process::exit(STUCK_EXIT_CODE);
        }
    });
    spawned.map(drop).map_err(|error| Error::unavailable(format!("no thread for the watchdog of {name}: {error}")))
}

/// Waits until one piece of work takes longer than the deadline; which one. None once there is no processor.
fn stuck(pulse: &Weak<Pulse>, turn: Duration, deadline: Duration) -> Option<String> {
    let (mut seen, mut worked) = (0, Duration::ZERO);
    loop {
        std::thread::sleep(turn);
        let pulse = pulse.upgrade()?;
        let beats = pulse.beats();
        worked = if beats == seen && pulse.is_working() { worked + turn } else { Duration::ZERO };
        seen = beats;
        if worked > deadline {
            return Some(pulse.work());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::{Offset, Partition, Topic};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn work_that_does_not_end_is_named() {
        let topic = Topic::from("bank.account.commands");
        let pulse = Arc::new(Pulse::new(vec![topic.clone()]));
        let _work = pulse.begin(&topic, Partition(1), Offset(7), 1);
        let found = stuck(&Arc::downgrade(&pulse), MS, 20 * MS);
        assert_eq!(found.as_deref(), Some("the record bank.account.commands/1@7"));
    }

    #[test]
    fn batch_after_batch_and_rest_is_not_stuck() {
        let topic = Topic::from("bank.account.commands");
        let pulse = Arc::new(Pulse::new(vec![topic.clone()]));
        let watched = Arc::downgrade(&pulse);
        let watchdog = std::thread::spawn(move || stuck(&watched, MS, 5_000 * MS));
        for offset in 0..50 {
            drop(pulse.begin(&topic, Partition(1), Offset(offset), 1));
            std::thread::sleep(MS);
        }
        drop(pulse);
        assert_eq!(watchdog.join().unwrap(), None);
    }
}
