//! A part of a partition: some of its records, one behind the other.

use crate::partition::TxnNumber;
use factum_core::{Offset, Partition, RecordBatch, RecordRef, TimestampMs, Topic};

/// Records with their owners, by offset.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: Offset,
    pub(crate) records: RecordBatch,
    pub(crate) owners: Vec<Option<TxnNumber>>,
    pub(crate) first: TimestampMs,
    pub(crate) newest: TimestampMs,
}

/// When a segment is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentLimit {
    pub(crate) bytes: usize,
    /// The most that a record may be younger than the segment's first.
    pub(crate) ms: i64,
}

impl Segment {
    pub(crate) fn new(base: Offset, first: TimestampMs) -> Self {
        Segment { base, records: RecordBatch::new(), owners: Vec::new(), first, newest: first }
    }

    pub(crate) fn is_full(&self, timestamp: TimestampMs, limit: SegmentLimit) -> bool {
        self.records.size_bytes() >= limit.bytes || timestamp.0.saturating_sub(self.first.0) > limit.ms
    }

    pub(crate) fn append(
        &mut self,
        (topic, partition): (&Topic, Partition),
        record: RecordRef<'_>,
        offset: Offset,
        timestamp: TimestampMs,
        owner: Option<TxnNumber>,
    ) {
        let mut new = self.records.start(topic, partition);
        new.offset(offset);
        new.timestamp(timestamp);
        new.content_of(record);
        new.finish();
        self.owners.push(owner);
        self.newest = self.newest.max(timestamp);
    }

    pub(crate) fn last(&self) -> Option<Offset> {
        self.owners.len().checked_sub(1).map(|last| self.records.get(last).offset())
    }

    /// The index of the first record at or after `offset`.
    pub(crate) fn index_of(&self, offset: Offset) -> usize {
        let (mut low, mut high) = (0, self.owners.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.records.get(middle).offset() < offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
