//! How much may be taken a second, by whoever polls.

use crate::TimestampMs;
use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// So many records a second, with a tenth of a second's worth saved up at most, or one record.
/// Times are since any fixed moment.
#[derive(Debug, Clone)]
pub struct Rate {
    per_second: Option<NonZeroU32>,
    /// When everything that was taken so far is paid for.
    paid: Duration,
}

/// The longest time that is saved up, and so the share of a second that one poll may take.
const BURST: Duration = Duration::from_millis(100);
/// A clock that was set back stops nothing for longer.
const MAX_DEBT: Duration = Duration::from_secs(5);

impl Rate {
    /// None for no limit.
    pub fn new(per_second: Option<NonZeroU32>) -> Self {
        Rate { per_second, paid: Duration::ZERO }
    }

    /// How many records may be taken at `now`, at most `wanted`.
    ///
    /// # Errors
    /// The time to wait until one may be.
    pub fn allow(&mut self, now: Duration, wanted: usize) -> Result<usize, Duration> {
        let Some(per_second) = self.per_second else { return Ok(wanted) };
        // Of a low rate a single record takes longer than that, and is saved up whole.
        let burst = BURST.max(cost(1, per_second));
        self.paid = self.paid.clamp(now.saturating_sub(burst), now + MAX_DEBT);
        let saved = now.saturating_sub(self.paid);
        let records = saved.as_micros() * u128::from(per_second.get()) / 1_000_000;
        match usize::try_from(records).unwrap_or(usize::MAX).min(wanted) {
            0 if wanted > 0 => {
                Err((self.paid + cost(1, per_second)).saturating_sub(now).max(Duration::from_micros(100)))
            }
            allowed => Ok(allowed),
        }
    }

    /// Pays for records that were taken.
    pub fn pay(&mut self, records: usize) {
        if let Some(per_second) = self.per_second {
            self.paid += cost(records, per_second);
        }
    }
}

/// A rate that several pollers of one process share; or no limit.
#[derive(Debug, Clone, Default)]
pub struct Throttle(Option<Arc<Mutex<Rate>>>);

impl Throttle {
    /// None for no limit.
    pub fn new(per_second: Option<NonZeroU32>) -> Self {
        Throttle(per_second.map(|per_second| Arc::new(Mutex::new(Rate::new(Some(per_second))))))
    }

    /// As [`Rate::allow`].
    ///
    /// # Errors
    /// The time to wait until one record may be taken.
    pub fn allow(&self, now: TimestampMs, wanted: usize) -> Result<usize, Duration> {
        let Some(rate) = &self.0 else { return Ok(wanted) };
        let now = Duration::from_millis(u64::try_from(now.0).unwrap_or_default());
        rate.lock().unwrap_or_else(PoisonError::into_inner).allow(now, wanted)
    }

    /// As [`Rate::pay`].
    pub fn pay(&self, records: usize) {
        if let Some(rate) = &self.0 {
            rate.lock().unwrap_or_else(PoisonError::into_inner).pay(records);
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

    const BEGIN: Duration = Duration::from_secs(1_000);

    /// What is taken in ten seconds by somebody who always wants more.
    fn taken(rate: &mut Rate, wanted: usize) -> usize {
        rate.paid = BEGIN;
        let (mut now, mut taken) = (BEGIN, 0);
        while now < BEGIN + Duration::from_secs(10) {
            match rate.allow(now, wanted) {
                Ok(records) => {
                    rate.pay(records);
                    taken += records;
                }
                Err(wait) => now += wait,
            }
        }
        taken
    }

    #[test]
    fn a_second_lets_as_many_records_through_as_the_rate_says() {
        let taken = taken(&mut Rate::new(NonZeroU32::new(1_000)), 70);
        assert!((9_900..=10_100).contains(&taken), "{taken}");
    }

    #[test]
    fn a_low_rate_lets_one_record_after_the_other_through() {
        let taken = taken(&mut Rate::new(NonZeroU32::new(3)), 1);
        assert!((29..=30).contains(&taken), "{taken}");
    }

    #[test]
    fn what_was_not_taken_for_long_is_not_made_up_for_in_one_go() {
        let mut rate = Rate::new(NonZeroU32::new(1_000));
        assert_eq!(rate.allow(BEGIN, 5_000), Ok(100));
    }

    #[test]
    fn a_clock_that_was_set_back_stops_it_for_seconds_at_most() {
        let mut rate = Rate::new(NonZeroU32::new(1_000));
        assert_eq!(rate.allow(BEGIN, 100), Ok(100));
        rate.pay(100);
        let wait = rate.allow(Duration::from_secs(10), 1).unwrap_err();
        assert!(wait <= MAX_DEBT + Duration::from_millis(1), "{wait:?}");
    }

    #[test]
    fn pollers_that_share_a_rate_have_it_together() {
        let throttle = Throttle::new(NonZeroU32::new(1_000));
        let other = throttle.clone();
        let begin = TimestampMs(1_000_000);
        assert_eq!(throttle.allow(begin, 5_000), Ok(100));
        throttle.pay(100);
        let wait = other.allow(begin, 5_000).unwrap_err();
        let then = TimestampMs(begin.0 + i64::try_from(wait.as_millis()).unwrap());
        assert_eq!(other.allow(then, 5_000), Ok(1));
        assert_eq!(Throttle::default().allow(begin, 5_000), Ok(5_000));
    }

    #[test]
    fn without_a_limit_everything_is_let_through() {
        assert_eq!(Rate::new(None).allow(BEGIN, 5_000), Ok(5_000));
    }
}
