//! Who gets which partition: balanced, and sticky (KIP-54, KIP-429).

use factum_core::{Partition, Topic, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

/// What a member wants and what it has.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) topics: &'a BTreeSet<Topic>,
    /// What it holds now.
    pub(crate) owned: &'a BTreeSet<TopicPartition>,
    /// What it was to hold after the last rebalance.
    pub(crate) assigned: &'a BTreeSet<TopicPartition>,
}

/// A balanced assignment that moves as few partitions as it can. A partition
/// that another member still holds is left out of its new owner's share: it is
/// given when the old one has revoked it.
pub(crate) fn assign(
    candidates: &BTreeMap<&str, Candidate<'_>>,
    partitions: &BTreeMap<Topic, u32>,
) -> BTreeMap<String, BTreeSet<TopicPartition>> {
    let mut shares: BTreeMap<&str, BTreeSet<TopicPartition>> =
        candidates.keys().map(|id| (*id, BTreeSet::new())).collect();
    let wants = |id: &str, place: &TopicPartition| candidates[id].topics.contains(&place.topic);

    for (topic, count) in partitions {
        for place in (0..*count).map(|number| topic.partition(Partition(number))) {
            let holder = candidates.iter().find(|(id, c)| c.owned.contains(&place) && wants(id, &place));
            let heir = || candidates.iter().find(|(id, c)| c.assigned.contains(&place) && wants(id, &place));
            let member = holder
                .or_else(heir)
                .map(|(id, _)| *id)
                .or_else(|| shares.keys().copied().filter(|id| wants(id, &place)).min_by_key(|id| shares[id].len()));
            if let Some(member) = member {
                shares.entry(member).or_default().insert(place);
            }
        }
    }
    // Every round makes the difference of two shares smaller, so this ends.
    while let Some((from, to, place)) = next_move(&shares, &wants) {
        shares.entry(from).or_default().remove(&place);
        shares.entry(to).or_default().insert(place);
    }

    shares
        .iter()
        .map(|(id, share)| {
            let held_elsewhere =
                |place: &TopicPartition| candidates.iter().any(|(other, c)| other != id && c.owned.contains(place));
            ((*id).to_owned(), share.iter().filter(|place| !held_elsewhere(place)).cloned().collect())
        })
        .collect()
}

fn next_move<'a>(
    shares: &BTreeMap<&'a str, BTreeSet<TopicPartition>>,
    wants: &impl Fn(&str, &TopicPartition) -> bool,
) -> Option<(&'a str, &'a str, TopicPartition)> {
    let mut by_size: Vec<&'a str> = shares.keys().copied().collect();
    by_size.sort_by_key(|id| shares[id].len());
    for to in &by_size {
        for from in by_size.iter().rev().filter(|from| shares[*from].len() >= shares[to].len() + 2) {
            if let Some(place) = shares[from].iter().rev().find(|place| wants(to, place)) {
                return Some((from, to, place.clone()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    type Holding = (&'static str, &'static [u32]);

    fn check(partitions: u32, members: &[Holding], expected: &[Holding]) {
        let topic = Topic::from("t");
        let topics = BTreeSet::from([topic.clone()]);
        let places = |numbers: &[u32]| numbers.iter().map(|n| topic.partition(Partition(*n))).collect();
        let owned: BTreeMap<&str, BTreeSet<TopicPartition>> =
            members.iter().map(|(id, numbers)| (*id, places(numbers))).collect();
        let candidates =
            owned.iter().map(|(id, owned)| (*id, Candidate { topics: &topics, owned, assigned: owned })).collect();
        let shares = assign(&candidates, &BTreeMap::from([(topic.clone(), partitions)]));
        let expected = expected.iter().map(|(id, numbers)| ((*id).to_owned(), places(numbers))).collect();
        assert_eq!(shares, expected);
    }

    #[test]
    fn free_partitions_are_shared_evenly() {
        check(5, &[("a", &[]), ("b", &[])], &[("a", &[0, 2, 4]), ("b", &[1, 3])]);
    }

    #[test]
    fn a_moving_partition_waits_for_its_revocation() {
        check(4, &[("a", &[0, 1, 2, 3]), ("b", &[])], &[("a", &[0, 1]), ("b", &[])]);
        check(4, &[("a", &[0, 1]), ("b", &[])], &[("a", &[0, 1]), ("b", &[2, 3])]);
    }

    #[test]
    fn nothing_moves_when_all_is_even() {
        check(3, &[("a", &[0, 2]), ("b", &[1])], &[("a", &[0, 2]), ("b", &[1])]);
    }
}
