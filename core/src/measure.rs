//! What the processors' shells measure: distributions, and since when things are as they are.

use crate::TimestampMs;
use std::collections::BTreeMap;

/// The most upper bounds of a [`Histogram`].
const BUCKETS: usize = 16;

/// How often a value was at most each of a few bounds. Counts only go up.
///
/// ```
/// use factum_core::measure::Histogram;
///
/// let mut seconds = Histogram::new(&[0.1, 1.0]);
/// seconds.record(0.5);
/// seconds.record(7.0);
/// assert_eq!(seconds.buckets().collect::<Vec<_>>(), [(0.1, 0), (1.0, 1)]);
/// assert_eq!((seconds.count(), seconds.sum()), (2, 7.5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// Values of each bucket alone; those beyond the last bound are only in `count`.
    counts: [u64; BUCKETS],
    count: u64,
    sum: f64,
}

impl Histogram {
    /// Seconds of a transaction or a commit.
    pub const SECONDS: &'static [f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    /// Records of a batch.
    pub const RECORDS: &'static [f64] =
        &[1.0, 2.0, 5.0, 10.0, 25.0, 100.0, 250.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 25_000.0];

    /// Without values. Of the bounds, which are ascending, the first 16 count.
    pub fn new(bounds: &'static [f64]) -> Self {
        let bounds = &bounds[..bounds.len().min(BUCKETS)];
        Histogram { bounds, counts: [0; BUCKETS], count: 0, sum: 0.0 }
    }

    /// Adds a value.
    pub fn record(&mut self, value: f64) {
        if let Some(bucket) = self.bounds.iter().position(|bound| value <= *bound) {
            self.counts[bucket] += 1;
        }
        self.count += 1;
        self.sum += value;
    }

    /// Adds the values of another histogram with the same bounds.
    pub fn add(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.count += other.count;
        self.sum += other.sum;
    }

    /// Each bound with the number of values in its bucket alone.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds.iter().copied().zip(self.counts)
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

/// Since when a partition is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Since {
    /// When it began to do what it does.
    pub state: TimestampMs,
    /// When its position moved last, or it was first seen.
    pub progress: TimestampMs,
}

/// Since when each of several partitions is as it is.
///
/// `K` names a partition, `S` tells states apart, `P` is a position.
#[derive(Debug, Clone)]
pub struct Clocks<K, S, P>(BTreeMap<K, (S, P, Since)>);

impl<K, S, P> Default for Clocks<K, S, P> {
    fn default() -> Self {
        Clocks(BTreeMap::new())
    }
}

impl<K: Ord + Clone, S: PartialEq, P: PartialEq> Clocks<K, S, P> {
    /// Takes what all partitions do `now` and where they stand. One that is not among them is forgotten.
    pub fn see(&mut self, partitions: impl IntoIterator<Item = (K, S, P)>, now: TimestampMs) -> BTreeMap<K, Since> {
        let mut before = std::mem::take(&mut self.0);
        let mut seen = BTreeMap::new();
        for (partition, state, position) in partitions {
            let since = match before.remove(&partition) {
                None => Since { state: now, progress: now },
                Some((known, stood, since)) => Since {
                    state: if known == state { since.state } else { now },
                    progress: if stood == position { since.progress } else { now },
                },
            };
            seen.insert(partition.clone(), since);
            self.0.insert(partition, (state, position, since));
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_of_several_workers_add_up() {
        let (mut one, mut other) = (Histogram::new(Histogram::RECORDS), Histogram::new(Histogram::RECORDS));
        [1.0, 3.0, 1e9].into_iter().for_each(|value| one.record(value));
        other.record(3.0);
        one.add(&other);
        assert_eq!((one.count(), one.sum()), (4, 1e9 + 7.0));
        assert_eq!(one.buckets().map(|(_, count)| count).sum::<u64>(), 3, "one is beyond the last bound");
        assert_eq!(one.buckets().find(|(bound, _)| *bound == 5.0), Some((5.0, 2)));
    }

    #[test]
    fn state_and_progress_have_times_of_their_own() {
        let mut clocks = Clocks::default();
        let mut see = |state, position, now| {
            let since = clocks.see([(0, state, position), (1, "ready", 7)], TimestampMs(now));
            assert_eq!(since[&1], Since { state: TimestampMs(10), progress: TimestampMs(10) });
            (since[&0].state.0, since[&0].progress.0)
        };
        assert_eq!(see("recovering", 0, 10), (10, 10));
        assert_eq!(see("recovering", 5, 20), (10, 20));
        assert_eq!(see("ready", 5, 30), (30, 20));
        assert_eq!(see("ready", 5, 40), (30, 20));
        assert!(clocks.see([], TimestampMs(50)).is_empty());
        assert_eq!(clocks.see([(0, "ready", 5)], TimestampMs(60))[&0].state, TimestampMs(60), "it was forgotten");
    }
}
