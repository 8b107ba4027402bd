//! A rate limit.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// So many records a second, with a tenth of a second's worth saved up at most, or one record.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: Option<NonZeroU32>,
    /// When everything that was taken so far is paid for.
    paid: Instant,
}

/// The longest time that is saved up, and so the share of a second that one poll may take.
const BURST: Duration = Duration::from_millis(100);

impl Rate {
    /// None for no limit.
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        Rate { per_second, paid: Instant::now() }
    }

    /// How many records may be taken at `now`, at most `wanted`; 0 with the time to wait.
    pub(super) fn allow(&mut self, now: Instant, wanted: usize) -> Result<usize, Duration> {
        let Some(per_second) = self.per_second else { return Ok(wanted) };
        // Of a low rate a single record takes longer than that, and is saved up whole.
        let burst = BURST.max(cost(1, per_second));
        self.paid = self.paid.max(now.checked_sub(burst).unwrap_or(now));
        let saved = now.saturating_duration_since(self.paid);
        let records = saved.as_micros() * u128::from(per_second.get()) / 1_000_000;
        match usize::try_from(records).unwrap_or(usize::MAX).min(wanted) {
            0 => Err((self.paid + cost(1, per_second)).saturating_duration_since(now).max(Duration::from_micros(100))),
            allowed => Ok(allowed),
        }
    }

    /// Pays for records that were taken.
    pub(super) fn pay(&mut self, records: usize) {
        if let Some(per_second) = self.per_second {
            self.paid += cost(records, per_second);
        }
    }
}

fn cost(records: usize, per_second: NonZeroU32) -> Duration {
    let micros = (records as u128 * 1_000_000).div_ceil(u128::from(per_second.get()));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lets_as_many_records_through_as_the_rate_says() {
        let mut rate = Rate::new(NonZeroU32::new(1_000));
        let begin = rate.paid;
        let (mut now, mut taken) = (begin, 0);
        while now < begin + Duration::from_secs(1) {
            match rate.allow(now, 70) {
                Ok(records) => {
                    assert!(records <= 70);
                    rate.pay(records);
                    taken += records;
                }
                Err(wait) => now += wait,
            }
        }
        assert!((950..=1_050).contains(&taken), "{taken}");
    }

    #[test]
    fn a_low_rate_lets_one_record_after_the_other_through() {
        let mut rate = Rate::new(NonZeroU32::new(3));
        let begin = rate.paid;
        let (mut now, mut taken) = (begin, 0);
        while now < begin + Duration::from_secs(10) {
            match rate.allow(now, 70) {
                Ok(records) => {
                    assert_eq!(records, 1);
                    rate.pay(records);
                    taken += records;
                }
                Err(wait) => now += wait,
            }
        }
        assert!((29..=30).contains(&taken), "{taken}");
    }

    #[test]
    fn what_was_not_taken_for_long_is_not_made_up_for_in_one_go() {
        let mut rate = Rate::new(NonZeroU32::new(1_000));
        let later = rate.paid + Duration::from_secs(60);
        assert_eq!(rate.allow(later, 5_000), Ok(100));
    }

    #[test]
    fn without_a_limit_everything_is_let_through() {
        assert_eq!(Rate::new(None).allow(Instant::now(), 5_000), Ok(5_000));
    }
}
