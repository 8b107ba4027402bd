//! How long nothing was acknowledged, by what struck.

use crate::{journal::Answered, plan::Fault};
use std::collections::BTreeMap;

/// A fault that was injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Injected {
    /// Which.
    pub(crate) fault: Fault,
    /// When it struck, milliseconds since 1970.
    pub(crate) from_ms: u64,
    /// When the next one could strike.
    pub(crate) to_ms: u64,
}

/// What faults of one type cost at most, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cost {
    /// How many there were.
    pub(crate) count: usize,
    /// The longest time without any acknowledged command.
    pub(crate) all_ms: u64,
    /// The longest time without one of some partition.
    pub(crate) partition_ms: u64,
}

/// The costs by type. A silence is a fault's if they overlap.
pub(crate) fn costs(
    injected: &[Injected],
    answers: &[Answered],
    partition_of: impl Fn(&Answered) -> Option<u32>,
) -> BTreeMap<Fault, Cost> {
    let mut all: Vec<u64> = answers.iter().map(|answer| answer.at_ms).collect();
    all.sort_unstable();
    let mut by_partition: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for answer in answers {
        if let Some(partition) = partition_of(answer) {
            by_partition.entry(partition).or_default().push(answer.at_ms);
        }
    }
    by_partition.values_mut().for_each(|times| times.sort_unstable());
    let mut costs: BTreeMap<Fault, Cost> = BTreeMap::new();
    for fault in injected {
        let cost = costs.entry(fault.fault).or_default();
        cost.count += 1;
        cost.all_ms = cost.all_ms.max(longest(&all, fault.from_ms, fault.to_ms));
        let partitions = by_partition.values().map(|times| longest(times, fault.from_ms, fault.to_ms));
        cost.partition_ms = cost.partition_ms.max(partitions.max().unwrap_or_default());
    }
    costs
}

/// The longest time between two neighbours of `times` (in order) that overlaps the time from `from` to `to`.
fn longest(times: &[u64], from: u64, to: u64) -> u64 {
    let first = times.partition_point(|time| *time < from).saturating_sub(1);
    let gaps = times[first.min(times.len())..].windows(2).take_while(|pair| pair[0] < to);
    gaps.filter(|pair| pair[1] > from).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Reply;

    #[test]
    fn the_longest_silence_is_that_which_overlaps_the_fault() {
        let times = [0, 10, 20, 100, 110, 500];
        assert_eq!(longest(&times, 12, 18), 10);
        assert_eq!(longest(&times, 15, 30), 80);
        assert_eq!(longest(&times, 30, 40), 80);
        assert_eq!(longest(&times, 101, 105), 10);
        assert_eq!(longest(&times, 0, 1_000), 390);
        assert_eq!(longest(&times, 600, 700), 0);
        assert_eq!(longest(&[], 0, 1), 0);
    }

    #[test]
    fn costs_are_the_worst_of_their_type_in_all_and_of_one_partition() {
        let answer = |at_ms: u64| Answered { id: at_ms.to_string(), at_ms, reply: Reply::Conflict(0) };
        let answers: Vec<_> = [0, 10, 20, 30, 90, 100, 110].map(answer).into();
        let injected = |from_ms, to_ms| Injected { fault: Fault::ViewKilled, from_ms, to_ms };
        let even = |answer: &Answered| Some(u32::from(answer.at_ms.is_multiple_of(20)));
        let costs = costs(&[injected(5, 15), injected(35, 50)], &answers, even);
        assert_eq!(costs[&Fault::ViewKilled], Cost { count: 2, all_ms: 60, partition_ms: 80 });
    }
}
