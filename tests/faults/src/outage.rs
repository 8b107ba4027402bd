//! How long nothing was acknowledged, by what struck.

use crate::{journal::Answered, plan::Fault};
use std::collections::BTreeMap;

/// A silence that begins so soon before a fault is the fault's: the last answer
/// before it, and then none.
const BEFORE_MS: u64 = 1_000;

/// A fault that was injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Injected {
    /// Which.
    pub(crate) fault: Fault,
    /// When it struck, milliseconds since 1970.
    pub(crate) at_ms: u64,
}

/// What broke the silence's calm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// A fault alone.
    One(Fault),
    /// A fault, and before there were answers again the next one.
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
}

/// The costs by type. `injected` is in order of time.
pub(crate) fn costs(
    injected: &[Injected],
    answers: &[Answered],
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
    for (cause, silence) in silences(injected, answers.iter().map(|answer| answer.at_ms).collect()) {
        let cost = costs.entry(cause).or_default();
        cost.all_ms = cost.all_ms.max(silence);
    }
    for times in by_partition.into_values() {
        for (cause, silence) in silences(injected, times) {
            let cost = costs.entry(cause).or_default();
            cost.partition_ms = cost.partition_ms.max(silence);
        }
    }
    costs
}

/// The times between answers, each with its cause: the last fault that had
/// struck when it began, unless another one struck before it ended.
fn silences(injected: &[Injected], mut times: Vec<u64>) -> Vec<(Cause, u64)> {
    times.sort_unstable();
    let silence = |pair: &[u64]| {
        let before = injected.partition_point(|fault| fault.at_ms <= pair[0] + BEFORE_MS && fault.at_ms < pair[1]);
        let cause = match injected.get(before) {
            Some(next) if next.at_ms < pair[1] && before > 0 => Cause::Several,
            _ => Cause::One(injected[before.checked_sub(1)?].fault),
        };
        Some((cause, pair[1] - pair[0]))
    };
    times.windows(2).filter_map(silence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Reply;

    fn struck(fault: Fault, at_ms: u64) -> Injected {
        Injected { fault, at_ms }
    }

    #[test]
    fn a_silence_is_the_faults_that_had_struck_when_it_began() {
        let injected = [struck(Fault::ViewKilled, 5_000), struck(Fault::BrokerCut, 20_000)];
        let (view, broker) = (Cause::One(Fault::ViewKilled), Cause::One(Fault::BrokerCut));
        // Before any fault it is nobody's.
        let times = vec![0, 4_500, 9_000, 19_800, 30_000, 30_100];
        assert_eq!(silences(&injected, times), [(view, 4_500), (view, 10_800), (broker, 10_200), (broker, 100)]);
        let times = vec![0, 4_500, 30_000, 30_100];
        assert_eq!(silences(&injected, times), [(Cause::Several, 25_500), (broker, 100)]);
        assert_eq!(silences(&injected, Vec::new()), []);
    }

    #[test]
    fn costs_are_the_worst_of_their_type_in_all_and_of_one_partition() {
        let answer = |at_ms: u64| Answered { id: at_ms.to_string(), at_ms, reply: Reply::Conflict(0) };
        let answers: Vec<_> = [0, 20, 30, 2_000, 2_010, 2_030, 2_040].map(answer).into();
        let injected = [struck(Fault::ViewKilled, 5), struck(Fault::ViewKilled, 2_015)];
        let even = |answer: &Answered| Some(u32::from(answer.at_ms.is_multiple_of(20)));
        let costs = costs(&injected, &answers, even);
        assert_eq!(costs[&Cause::One(Fault::ViewKilled)], Cost { count: 2, all_ms: 1_970, partition_ms: 1_980 });
    }
}
