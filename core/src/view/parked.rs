//! Records that a view leaves aside: those of a key with an event that cannot be applied.

use crate::{AggregateId, Offset, TimestampMs, Topic, TopicId, TopicPartition, Version};

/// What is kept of a cause, in bytes: it may quote what an event holds.
const MAX_CAUSE_BYTES: usize = 2_000;

/// A record that a view has left aside. It is read again from its topic when it is tried again.
///
/// The first record of a key says why the key is parked; those behind it wait for it, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Its partition.
    pub place: TopicPartition,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// The key: events of one aggregate build on each other, those of others do not.
    pub aggregate: AggregateId,
    /// Where it is.
    pub offset: Offset,
    /// The aggregate's version with it.
    pub version: Version,
    /// Why the key is parked; empty in a record that waits behind the key's first.
    pub cause: String,
    /// How often it was tried and failed; 0 in a record that waits.
    pub attempts: u32,
    /// When it was left aside.
    pub at: TimestampMs,
}

/// What a commit leaves aside and takes back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parking {
    /// Keys that must still be parked: records are put behind theirs. Else the
    /// commit answers [`super::CommitOutcome::RowsChanged`].
    pub still: Vec<(Topic, AggregateId)>,
    /// Records to leave aside. One that is aside already stays as it is.
    pub aside: Vec<Parked>,
    /// A key of which the first records were tried again.
    pub redriven: Option<Redriven>,
}

/// What became of the first records of a parked key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redriven {
    /// The key's partition, whose progress row is held meanwhile.
    pub place: TopicPartition,
    /// The key.
    pub aggregate: AggregateId,
    /// The offsets of the key's first records, in order, as they were read
    /// before. Where they are others now, the commit changes nothing and
    /// answers [`super::CommitOutcome::RowsChanged`].
    pub expected: Vec<Offset>,
    /// How many of them are parked no longer. The key is free when none is left.
    pub done: usize,
    /// What the first of those that are left says from now on.
    pub next: Head,
    /// What the partition's owner must notice.
    pub owner: Owner,
}

/// What the first record of a parked key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Why it is parked.
    pub cause: String,
    /// How often it was tried and failed.
    pub attempts: u32,
}

/// Whether the owner of a partition has to load again what it has loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Its rows are others, or locked ones.
    GoesOn,
    /// It may have loaded the same rows without a lock: the epoch is raised.
    ClaimsAgain,
}

/// The text, cut where it is too long to be kept.
pub(super) fn cause(mut text: String) -> String {
    if text.len() > MAX_CAUSE_BYTES {
        let end = (0..=MAX_CAUSE_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cause_is_cut_between_characters() {
        assert_eq!(cause("why".into()), "why");
        let long = cause("é".repeat(3_000));
        assert_eq!(long.chars().count(), 1_001);
        assert!(long.ends_with("é…"));
    }
}
