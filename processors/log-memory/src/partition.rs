//! One partition: records in segments, transaction markers, and its ends.

use factum_core::log::{Bounds, Isolation};
use factum_core::{Offset, Partition, RecordBatch, RecordRef, TimestampMs, Topic};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The number of a transaction; every transaction of a log has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TxnNumber(pub(crate) u64);

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Commit,
    Abort,
}

/// The records of one partition. Control records take an offset and nothing
/// else: a marker is a gap.
#[derive(Debug)]
pub(crate) struct PartitionLog {
    segments: VecDeque<Segment>,
    start: Offset,
    end: Offset,
    /// First offset of each transaction that is still open here.
    open: BTreeMap<TxnNumber, Offset>,
    aborted: BTreeSet<TxnNumber>,
}

#[derive(Debug)]
struct Segment {
    base: Offset,
    records: RecordBatch,
    owners: Vec<Option<TxnNumber>>,
    first: TimestampMs,
    newest: TimestampMs,
}

/// When a segment is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentLimit {
    pub(crate) bytes: usize,
    /// The most that a record may be younger than the segment's first.
    pub(crate) ms: i64,
}

/// What retention and compaction look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// Records older than this may go; none keeps them for ever.
    pub(crate) oldest: Option<TimestampMs>,
    /// Beyond this size the oldest segments go; none has no limit.
    pub(crate) bytes: Option<usize>,
}

impl PartitionLog {
    pub(crate) fn new() -> Self {
        PartitionLog {
            segments: VecDeque::new(),
            start: Offset(0),
            end: Offset(0),
            open: BTreeMap::new(),
            aborted: BTreeSet::new(),
        }
    }

    /// Appends a record with a timestamp and returns its offset.
    pub(crate) fn append(
        &mut self,
        (topic, partition): (&Topic, Partition),
        record: RecordRef<'_>,
        timestamp: TimestampMs,
        owner: Option<TxnNumber>,
        limit: SegmentLimit,
    ) -> Offset {
        let offset = self.end;
        self.end = offset.next();
        if let Some(txn) = owner {
            self.open.entry(txn).or_insert(offset);
        }
        if self.segments.back().is_none_or(|last| last.is_full(timestamp, limit)) {
            self.segments.push_back(Segment::new(offset, timestamp));
        }
        let segment = self.segments.back_mut().expect("a segment was added when there was none");
        segment.append((topic, partition), record, offset, timestamp, owner);
        offset
    }

    /// Writes a transaction's marker, which takes an offset.
    pub(crate) fn end_transaction(&mut self, txn: TxnNumber, ending: Ending) {
        if self.open.remove(&txn).is_some() {
            self.end = self.end.next();
            if ending == Ending::Abort {
                self.aborted.insert(txn);
            }
        }
    }

    pub(crate) fn bounds(&self, isolation: Isolation) -> Bounds {
        let end = match isolation {
            Isolation::ReadUncommitted => self.end,
            Isolation::ReadCommitted => self.open.values().min().copied().unwrap_or(self.end),
        };
        Bounds { start: self.start, end: end.max(self.start) }
    }

    /// Whether reading may begin at `offset`.
    pub(crate) fn in_range(&self, offset: Offset) -> bool {
        (self.start..=self.end).contains(&offset)
    }

    /// Copies up to `max` records from `from` on and returns the position
    /// behind them: the next visible record, else the end for this isolation.
    pub(crate) fn read(&self, from: Offset, isolation: Isolation, max: usize, into: &mut RecordBatch) -> Offset {
        let end = self.bounds(isolation).end;
        if from >= end {
            return from;
        }
        let first = self.segments.partition_point(|segment| segment.last().is_none_or(|last| last < from));
        let mut taken = 0;
        for segment in self.segments.iter().skip(first) {
            for index in segment.index_of(from)..segment.owners.len() {
                let record = segment.records.get(index);
                if record.offset() >= end {
                    return end;
                }
                if isolation == Isolation::ReadCommitted && self.is_aborted(segment.owners[index]) {
                    continue;
                }
                if taken == max {
                    return record.offset();
                }
                into.push(record);
                taken += 1;
            }
        }
        end
    }

    /// The first record whose timestamp is at or after `time`.
    pub(crate) fn offset_for_time(&self, time: TimestampMs) -> Option<Offset> {
        self.segments
            .iter()
            .filter(|segment| segment.newest >= time)
            .flat_map(|segment| segment.records.iter())
            .find(|record| record.offset() >= self.start && record.timestamp().is_some_and(|at| at >= time))
            .map(|record| record.offset())
    }

    /// Moves the start; `before` lies within the log.
    pub(crate) fn delete_before(&mut self, before: Offset) {
        self.start = self.start.max(before);
        while self.segments.front().is_some_and(|first| first.last().is_none_or(|last| last < self.start)) {
            self.segments.pop_front();
        }
    }

    /// Deletes whole segments that are too old or too much, never one with
    /// records of an open transaction.
    pub(crate) fn retain(&mut self, retention: Retention) {
        let stable = self.bounds(Isolation::ReadCommitted).end;
        let mut size: usize = self.segments.iter().map(|segment| segment.records.size_bytes()).sum();
        while let Some(first) = self.segments.front() {
            let next = self.segments.get(1).map_or(self.end, |second| second.base);
            let rest = size - first.records.size_bytes();
            let too_old = retention.oldest.is_some_and(|oldest| first.newest < oldest);
            let too_much = retention.bytes.is_some_and(|bytes| rest >= bytes);
            if next > stable || !(too_old || too_much) {
                break;
            }
            size = rest;
            self.delete_before(next);
        }
    }

    /// Keeps the latest record of each key below the last stable offset, and
    /// drops tombstones older than `tombstones_before`. Offsets stay.
    pub(crate) fn compact(&mut self, tombstones_before: TimestampMs, limit: SegmentLimit) {
        let stable = self.bounds(Isolation::ReadCommitted).end;
        let mut latest: BTreeMap<Vec<u8>, Offset> = BTreeMap::new();
        for (record, owner) in self.all() {
            if record.offset() < stable && !self.is_aborted(owner) {
                latest.insert(record.key().unwrap_or_default().to_vec(), record.offset());
            }
        }
        let mut kept: VecDeque<Segment> = VecDeque::new();
        let mut aborted = BTreeSet::new();
        for (record, owner) in self.all() {
            let dead_tombstone = record.value().is_none() && record.timestamp().is_none_or(|at| at < tombstones_before);
            let below = record.offset() < stable;
            if below
                && (self.is_aborted(owner)
                    || dead_tombstone
                    || latest.get(record.key().unwrap_or_default()) != Some(&record.offset()))
            {
                continue;
            }
            if let Some(txn) = owner.filter(|txn| self.aborted.contains(txn)) {
                aborted.insert(txn);
            }
            let timestamp = record.timestamp().unwrap_or_default();
            if kept.back().is_none_or(|last| last.is_full(timestamp, limit)) {
                kept.push_back(Segment::new(record.offset(), timestamp));
            }
            let segment = kept.back_mut().expect("a segment was added when there was none");
            segment.append((record.topic(), record.partition()), record, record.offset(), timestamp, owner);
        }
        self.segments = kept;
        self.aborted = aborted;
    }

    fn all(&self) -> impl Iterator<Item = (RecordRef<'_>, Option<TxnNumber>)> {
        self.segments
            .iter()
            .flat_map(|segment| segment.records.iter().zip(segment.owners.iter().copied()))
            .filter(|(record, _)| record.offset() >= self.start)
    }

    fn is_aborted(&self, owner: Option<TxnNumber>) -> bool {
        owner.is_some_and(|txn| self.aborted.contains(&txn))
    }
}

impl Segment {
    fn new(base: Offset, first: TimestampMs) -> Self {
        Segment { base, records: RecordBatch::new(), owners: Vec::new(), first, newest: first }
    }

    fn is_full(&self, timestamp: TimestampMs, limit: SegmentLimit) -> bool {
        self.records.size_bytes() >= limit.bytes || timestamp.0.saturating_sub(self.first.0) > limit.ms
    }

    fn append(
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
        if let Some(key) = record.key() {
            new.key(key);
        }
        if let Some(value) = record.value() {
            new.value(value);
        }
        for (name, value) in record.headers() {
            new.header_opt(name, value);
        }
        new.finish();
        self.owners.push(owner);
        self.newest = self.newest.max(timestamp);
    }

    fn last(&self) -> Option<Offset> {
        self.owners.len().checked_sub(1).map(|last| self.records.get(last).offset())
    }

    /// The index of the first record at or after `offset`.
    fn index_of(&self, offset: Offset) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: SegmentLimit = SegmentLimit { bytes: 64, ms: i64::MAX };

    fn log(records: &[(&str, Option<&str>, Option<u64>)]) -> PartitionLog {
        let mut log = PartitionLog::new();
        append(&mut log, records);
        log
    }

    fn append(log: &mut PartitionLog, records: &[(&str, Option<&str>, Option<u64>)]) {
        let topic = Topic::from("t");
        for (key, value, txn) in records {
            let mut batch = RecordBatch::new();
            let mut record = batch.start(&topic, Partition(0));
            record.key(key.as_bytes());
            if let Some(value) = value {
                record.value(value.as_bytes());
            }
            record.finish();
            let at = TimestampMs(log.end.0 * 10);
            log.append((&topic, Partition(0)), batch.get(0), at, txn.map(TxnNumber), LIMIT);
        }
    }

    fn read(log: &PartitionLog, isolation: Isolation) -> (Vec<i64>, i64) {
        let mut batch = RecordBatch::new();
        let position = log.read(log.start, isolation, usize::MAX, &mut batch);
        (batch.iter().map(|record| record.offset().0).collect(), position.0)
    }

    #[test]
    fn the_earliest_open_transaction_holds_the_stable_offset() {
        let mut log = log(&[("a", Some("1"), None), ("b", Some("2"), Some(1)), ("c", Some("3"), Some(2))]);
        assert_eq!(read(&log, Isolation::ReadCommitted), (vec![0], 1));
        log.end_transaction(TxnNumber(2), Ending::Commit);
        assert_eq!(read(&log, Isolation::ReadCommitted), (vec![0], 1));
        log.end_transaction(TxnNumber(1), Ending::Abort);
        assert_eq!(read(&log, Isolation::ReadCommitted), (vec![0, 2], 5));
        assert_eq!(read(&log, Isolation::ReadUncommitted), (vec![0, 1, 2], 5));
    }

    #[test]
    fn a_bounded_read_ends_at_the_next_visible_record() {
        let mut log = log(&[("a", Some("1"), None), ("b", Some("2"), Some(1)), ("c", Some("3"), None)]);
        log.end_transaction(TxnNumber(1), Ending::Abort);
        let mut batch = RecordBatch::new();
        assert_eq!(log.read(Offset(0), Isolation::ReadCommitted, 1, &mut batch), Offset(2));
    }

    #[test]
    fn compaction_leaves_the_open_transaction_alone() {
        let mut log = log(&[("a", Some("1"), None), ("a", Some("2"), None), ("b", None, None), ("a", None, Some(1))]);
        log.compact(TimestampMs(1_000), LIMIT);
        assert_eq!(read(&log, Isolation::ReadUncommitted), (vec![1, 3], 4));
        log.end_transaction(TxnNumber(1), Ending::Abort);
        log.compact(TimestampMs(1_000), LIMIT);
        assert_eq!(read(&log, Isolation::ReadUncommitted), (vec![1], 5));
    }

    #[test]
    fn retention_stops_at_an_open_transaction() {
        let mut log = log(&[("a", Some("1"), Some(1))]);
        let all = Retention { oldest: Some(TimestampMs(1_000)), bytes: None };
        log.retain(all);
        assert_eq!(log.start, Offset(0));
        log.end_transaction(TxnNumber(1), Ending::Commit);
        log.retain(all);
        assert_eq!((log.start, log.end), (Offset(2), Offset(2)));
    }

    #[test]
    fn a_size_limit_keeps_at_least_that_much() {
        let mut log = PartitionLog::new();
        for _ in 0..10 {
            append(&mut log, &[("k", Some(&"x".repeat(63)), None)]);
        }
        log.retain(Retention { oldest: None, bytes: Some(200) });
        assert_eq!(log.start, Offset(6));
    }
}
