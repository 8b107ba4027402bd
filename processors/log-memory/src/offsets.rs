//! The offsets of a group: decided ones, and those of open transactions.

use crate::partition::{Ending, TxnNumber};
use factum_core::log::{CommitOffset, Committed};
use factum_core::{Topic, TopicPartition};
use std::collections::BTreeMap;

/// A group's offsets.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<TopicPartition, Committed>,
    pending: BTreeMap<TxnNumber, BTreeMap<TopicPartition, Committed>>,
}

impl Offsets {
    pub(crate) fn commit(&mut self, offsets: &[CommitOffset]) {
        self.committed.extend(offsets.iter().map(entry));
    }

    /// All that are decided.
    pub(crate) fn all(&self) -> Vec<CommitOffset> {
        self.committed.iter().map(commit).collect()
    }

    /// Those of open transactions.
    pub(crate) fn held(&self) -> impl Iterator<Item = (TxnNumber, Vec<CommitOffset>)> {
        self.pending.iter().map(|(txn, held)| (*txn, held.iter().map(commit).collect()))
    }

    /// Keeps offsets until their transaction ends.
    pub(crate) fn hold(&mut self, txn: TxnNumber, offsets: &[CommitOffset]) {
        self.pending.entry(txn).or_default().extend(offsets.iter().map(entry));
    }

    pub(crate) fn end_transaction(&mut self, txn: TxnNumber, ending: Ending) {
        let held = self.pending.remove(&txn).unwrap_or_default();
        if ending == Ending::Commit {
            self.committed.extend(held);
        }
    }

    /// The committed offset; an error while an open transaction holds another one (KIP-447).
    pub(crate) fn stable(&self, place: &TopicPartition) -> Result<Option<&Committed>, Undecided> {
        if self.pending.values().any(|held| held.contains_key(place)) {
            return Err(Undecided);
        }
        Ok(self.committed.get(place))
    }

    /// Forgets a deleted topic, as Kafka's coordinator does.
    pub(crate) fn forget(&mut self, topic: &Topic) {
        self.committed.retain(|place, _| place.topic != *topic);
        for held in self.pending.values_mut() {
            held.retain(|place, _| place.topic != *topic);
        }
    }
}

/// An offset waits for its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undecided;

fn commit((place, committed): (&TopicPartition, &Committed)) -> CommitOffset {
    CommitOffset { place: place.clone(), offset: committed.offset, metadata: committed.metadata.clone() }
}

fn entry(offset: &CommitOffset) -> (TopicPartition, Committed) {
    (offset.place.clone(), Committed { offset: offset.offset, metadata: offset.metadata.clone() })
}
