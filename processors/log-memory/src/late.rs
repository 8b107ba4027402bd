//! Writes that the network holds up: they arrive when their producer has given
//! them up (KIP-890).
//!
//! The leader of a partition takes what comes from a producer whose epoch it
//! has not seen surpassed, there or in a marker, and asks no coordinator: the
//! transaction protocol before KIP-890, with the weakest broker that speaks it.
//! What arrives while its producer has no transaction in the partition begins
//! one that nobody ends before that producer's next one there.

use crate::{partition::TxnNumber, transactions::Epoch};
use factum_core::{RecordBatch, TimestampMs, TopicPartition};
use std::collections::BTreeSet;

/// The records of one partition that are still on their way.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) producer: String,
    pub(crate) epoch: Epoch,
    pub(crate) place: TopicPartition,
    pub(crate) records: RecordBatch,
    due: TimestampMs,
}

/// All that are on their way, and what came of those that were.
#[derive(Debug, Default)]
pub(crate) struct LateWrites {
    ordered: Option<(usize, i64)>,
    waiting: Vec<Late>,
    /// Transactions that late writes began.
    hanging: Vec<(String, TopicPartition, TxnNumber)>,
}

impl LateWrites {
    /// Holds up the next write of a transaction from one of its records on.
    pub(crate) fn order(&mut self, from: usize, late_ms: i64) {
        self.ordered = Some((from, late_ms));
    }

    /// What of a write is held up: the records of one partition from the ordered one on.
    pub(crate) fn take_order(&mut self, records: &RecordBatch) -> Option<(usize, TopicPartition, i64)> {
        let (from, late_ms) = self.ordered.take_if(|_| !records.is_empty())?;
        let from = from % records.len();
        let first = records.get(from);
        Some((from, first.place(), late_ms))
    }

    pub(crate) fn hold(
        &mut self,
        (producer, epoch): (&str, Epoch),
        place: TopicPartition,
        records: RecordBatch,
        due: TimestampMs,
    ) {
        self.waiting.push(Late { producer: producer.to_owned(), epoch, place, records, due });
    }

    /// Takes those that arrive by now.
    pub(crate) fn due(&mut self, now: TimestampMs) -> Vec<Late> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        self.waiting.extract_if(.., |late| late.due <= now).collect()
    }

    /// A producer writes to a partition: what is on its way there from an
    /// earlier epoch is refused from now on, and what is from this one comes
    /// first, for the leader takes sequence numbers in their order.
    pub(crate) fn before_write(&mut self, (producer, epoch): (&str, Epoch), place: &TopicPartition) -> Vec<Late> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let there = |late: &mut Late| late.producer == producer && late.place == *place;
        let mut late: Vec<Late> = self.waiting.extract_if(.., there).collect();
        late.retain(|late| late.epoch == epoch);
        late
    }

    /// A marker with a higher epoch was written: what is on its way there is refused from now on.
    pub(crate) fn refuse(&mut self, producer: &str, places: &BTreeSet<TopicPartition>) {
        self.waiting.retain(|late| late.producer != producer || !places.contains(&late.place));
    }

    /// A late write has begun a transaction.
    pub(crate) fn hangs(&mut self, producer: &str, place: &TopicPartition, number: TxnNumber) {
        self.hanging.push((producer.to_owned(), place.clone(), number));
    }

    /// The transaction that a late write has begun in a partition.
    pub(crate) fn hanging(&self, producer: &str, place: &TopicPartition) -> Option<TxnNumber> {
        self.hanging.iter().find(|(other, at, _)| other == producer && at == place).map(|(_, _, number)| *number)
    }

    /// A producer's marker is written in a partition: it ends what a late write has begun there, too.
    pub(crate) fn end(&mut self, producer: &str, place: &TopicPartition) -> Option<TxnNumber> {
        let number = self.hanging(producer, place)?;
        self.hanging.retain(|(_, _, other)| *other != number);
        Some(number)
    }

    pub(crate) fn next_deadline(&self) -> Option<TimestampMs> {
        self.waiting.iter().map(|late| late.due).min()
    }
}
