//! How long to wait before something is tried again.

use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hash};

/// How long to wait after so many failures in a row before this one, in milliseconds: `first_ms`,
/// doubled by each failure, at most `last_ms`. The second half of that is spread by `salt`, so that
/// not all who wait for the same thing come at once ("equal jitter": M. Brooker, AWS Architecture
/// Blog, 2015). The core draws no numbers: a salt is who waits, and when it failed.
pub(crate) fn wait_ms(first_ms: i64, last_ms: i64, failures: u32, salt: impl Hash) -> i64 {
    let longest = first_ms.saturating_mul(1 << failures.min(32)).min(last_ms);
    let spread = FixedState::with_seed(0).hash_one(salt) >> 32;
    longest - i64::try_from(spread).unwrap_or_default() % (longest / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_wait_is_longer_each_time_and_spread_over_its_second_half() {
        for failures in [0, 1, 2, 3, 7, 40, u32::MAX] {
            let longest = if failures > 6 { 5_000 } else { 50 << failures };
            let waits: BTreeSet<i64> = (0..100).map(|who| wait_ms(50, 5_000, failures, (who, 1_000))).collect();
            let (Some(least), Some(most)) = (waits.first(), waits.last()) else { panic!("there are waits") };
            assert!(longest / 2 <= *least && *most <= longest, "{failures}: {waits:?}");
            assert!(waits.len() > 10, "{failures}: {waits:?}");
        }
    }

    #[test]
    fn who_need_not_wait_does_not() {
        assert_eq!(wait_ms(0, 0, 9, "anything"), 0);
    }
}
