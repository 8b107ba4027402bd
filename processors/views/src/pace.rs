//! How often something is looked at.

use factum_core::TimestampMs;
use std::time::Duration;

/// Something that is done now and then, by the runner's clock: with a clock
/// that is given, what happens when is given too.
#[derive(Debug, Default)]
pub(crate) struct Pace(Option<TimestampMs>);

impl Pace {
    /// Whether it is to be done now, and then it counts as done: the first time, and again after `interval`. A clock
    /// that was set back does not hold it up for longer than that either.
    pub(crate) fn is_due(&mut self, now: TimestampMs, interval: Duration) -> bool {
        let due = self.0.is_none_or(|last| u128::from(now.0.abs_diff(last.0)) >= interval.as_millis());
        if due {
            self.0 = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_at_first_and_after_each_interval_whichever_way_the_clock_was_set() {
        let mut pace = Pace::default();
        let mut is_due = |ms| pace.is_due(TimestampMs(ms), Duration::from_secs(1));
        assert_eq!(
            [5_000, 5_999, 6_000, 6_001, 3_000, 3_001].map(&mut is_due),
            [true, false, true, false, true, false]
        );
    }

    #[test]
    fn an_interval_without_an_end_is_due_once() {
        let mut pace = Pace::default();
        assert_eq!([0, i64::MAX].map(|ms| pace.is_due(TimestampMs(ms), Duration::MAX)), [true, false]);
    }
}
