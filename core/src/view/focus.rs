//! Which part of its log a view is folded from.

use crate::TimestampMs;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// Which part of its log a view is folded from. A live view folds all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Focus {
    /// Only events that occurred up to this time; the versions of the others count.
    pub occurred_by: Option<TimestampMs>,
    /// Only these rows.
    pub sample: Option<Sample>,
}

impl Focus {
    /// Whether a row is folded.
    pub fn takes(&self, key: &str) -> bool {
        self.sample.is_none_or(|sample| sample.takes(key))
    }
}

/// One row key in so many, chosen by a hash: whether a key is in it does not
/// depend on which rows there are, so that missing rows are missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    seed: u64,
    one_in: u64,
}

impl Sample {
    /// A sample of about `wanted` of `rows` rows. Another seed takes other rows.
    pub fn about(wanted: u64, rows: u64, seed: u64) -> Self {
        Sample { seed, one_in: (rows / wanted.max(1)).max(1) }
    }

    /// Whether a row is in it.
    pub fn takes(&self, key: &str) -> bool {
        // The high bits, which differ in a multiplicative hash.
        (FixedState::with_seed(self.seed).hash_one(key) >> 16).is_multiple_of(self.one_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_takes_about_as_many_keys_as_wanted_and_another_seed_takes_others() {
        let keys: Vec<String> = (0..100_000).map(|number| format!("account-{number:06}")).collect();
        let taken = |seed| -> Vec<&String> {
            let sample = Sample::about(1_000, 100_000, seed);
            keys.iter().filter(|key| sample.takes(key)).collect()
        };
        let (one, other) = (taken(1), taken(2));
        assert!((700..1_300).contains(&one.len()), "{}", one.len());
        assert!((700..1_300).contains(&other.len()), "{}", other.len());
        assert!(one.iter().filter(|key| other.contains(key)).count() < 50);
        assert!(keys.iter().all(|key| Sample::about(5, 3, 1).takes(key)));
    }
}
