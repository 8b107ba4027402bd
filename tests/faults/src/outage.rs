//! How long nothing was acknowledged, by what struck.

use crate::{
    journal::Answered,
    plan::{Fault, Lane},
};
use std::collections::BTreeMap;

/// No fault takes so long.
const LONGEST_MS: u64 = 600_000;

/// A fault that was injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Injected {
    /// Which.
    pub(crate) fault: Fault,
    /// When it struck, milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// When it was over: undone, and the system had gone on.
    pub(crate) over_ms: u64,
}

/// What broke the silence's calm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// A fault alone.
    One(Fault),
    /// A fault of the path, and before there were answers again the next one.
    Several,
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
    /// The longest time in which no view was read that had passed its reader's token.
    pub(crate) view_ms: u64,
}

/// The costs by type. `injected` is in order of time, `looks_ms` are the times of reads.
pub(crate) fn costs(
    injected: &[Injected],
    answers: &[Answered],
    looks_ms: &[u64],
    partition_of: impl Fn(&Answered) -> Option<u32>,
) -> BTreeMap<Cause, Cost> {
    let mut costs: BTreeMap<Cause, Cost> = BTreeMap::new();
    for fault in injected {
        costs.entry(Cause::One(fault.fault)).or_default().count += 1;
    }
    let mut by_partition: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for answer in answers {
        if let Some(partition) = partition_of(answer) {
            by_partition.entry(partition).or_default().push(answer.at_ms);
        }
    }
    // What stands beside silences no command where the path is struck at the same time; with views it is the other way.
    for (cause, silence) in silences(injected, Lane::Path, answers.iter().map(|answer| answer.at_ms).collect()) {
        let cost = costs.entry(cause).or_default();
        cost.all_ms = cost.all_ms.max(silence);
    }
    for times in by_partition.into_values() {
        for (cause, silence) in silences(injected, Lane::Path, times) {
            let cost = costs.entry(cause).or_default();
            cost.partition_ms = cost.partition_ms.max(silence);
        }
    }
    for (cause, silence) in silences(injected, Lane::Beside, looks_ms.to_vec()) {
        let cost = costs.entry(cause).or_default();
        cost.view_ms = cost.view_ms.max(silence);
    }
    costs
}

/// The times between answers, each with its cause: the fault of `first`'s lane
/// that was not over, or that of the other lane if there is none.
fn silences(injected: &[Injected], first: Lane, mut times: Vec<u64>) -> Vec<(Cause, u64)> {
    times.sort_unstable();
    let mut begin = 0;
    let mut silence = |pair: &[u64]| {
        let (from, to) = (pair[0], pair[1]);
        while injected.get(begin).is_some_and(|fault| fault.at_ms + LONGEST_MS < from) {
            begin += 1;
        }
        let during = || {
            let begun = injected[begin..].iter().take_while(|fault| fault.at_ms < to);
            begun.filter(|fault| fault.over_ms > from)
        };
        let causes: Vec<Fault> = match during().any(|fault| fault.fault.lane() == first) {
            true => during().map(|fault| fault.fault).filter(|fault| fault.lane() == first).collect(),
            false => during().map(|fault| fault.fault).collect(),
        };
        let cause = match *causes.as_slice() {
            [] => return None,
            [one] => Cause::One(one),
            _ => Cause::Several,
        };
        Some((cause, to - from))
    };
    times.windows(2).filter_map(&mut silence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Reply;

    fn struck(fault: Fault, at_ms: u64, over_ms: u64) -> Injected {
        Injected { fault, at_ms, over_ms }
    }

    #[test]
    fn a_silence_is_the_faults_that_was_not_over() {
        let injected = [struck(Fault::HandlerKilled, 5_000, 15_000), struck(Fault::BrokerCut, 20_000, 31_000)];
        let (handler, broker) = (Cause::One(Fault::HandlerKilled), Cause::One(Fault::BrokerCut));
        // Before any fault it is nobody's, and so it is between them.
        let times = vec![0, 4_500, 9_000, 15_500, 19_800, 30_000, 30_100];
        let found = silences(&injected, Lane::Path, times);
        assert_eq!(found, [(handler, 4_500), (handler, 6_500), (broker, 10_200), (broker, 100)]);
        let times = vec![0, 4_500, 30_000, 30_100];
        assert_eq!(silences(&injected, Lane::Path, times), [(Cause::Several, 25_500), (broker, 100)]);
        assert_eq!(silences(&injected, Lane::Path, Vec::new()), []);
    }

    #[test]
    fn where_two_lanes_are_struck_the_one_that_matters_is_the_cause() {
        let injected = [struck(Fault::BrokerCut, 5_000, 15_000), struck(Fault::ViewPaused, 6_000, 14_000)];
        let times = vec![5_500, 13_000];
        assert_eq!(silences(&injected, Lane::Path, times.clone()), [(Cause::One(Fault::BrokerCut), 7_500)]);
        assert_eq!(silences(&injected, Lane::Beside, times), [(Cause::One(Fault::ViewPaused), 7_500)]);
    }

    #[test]
    fn costs_are_the_worst_of_their_type_in_all_of_one_partition_and_of_views() {
        let answer = |at_ms: u64| Answered { id: at_ms.to_string(), at_ms, reply: Reply::Conflict(0) };
        let answers: Vec<_> = [0, 20, 30, 2_000, 2_010, 2_030, 2_040].map(answer).into();
        let injected = [struck(Fault::ViewKilled, 5, 2_000), struck(Fault::ViewKilled, 5_015, 5_030)];
        let even = |answer: &Answered| Some(u32::from(answer.at_ms.is_multiple_of(20)));
        let costs = costs(&injected, &answers, &[10, 1_500], even);
        let expected = Cost { count: 2, all_ms: 1_970, partition_ms: 1_980, view_ms: 1_490 };
        assert_eq!(costs[&Cause::One(Fault::ViewKilled)], expected);
    }
}
