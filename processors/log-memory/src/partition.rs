//! One partition: records in segments, transaction markers, and its ends.

use crate::ends::Ends;
use crate::journal::Written;
use crate::segment::{Segment, SegmentLimit};
use factum_core::log::{Bounds, Isolation};
use factum_core::{Offset, Partition, RecordBatch, RecordRef, TimestampMs, Topic};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// The number of a transaction; every transaction of a log has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TxnNumber(pub(crate) u64);

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its records and offsets count.
    Commit,
    /// They never do.
    Abort,
}

/// What a record takes beside its bytes, wherever it is kept: an estimate.
const RECORD_BYTES: usize = 24;

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
    /// The ends that readers may see while newer ones are not durable.
    ends: Ends,
    /// Compaction has looked at what is below.
    cleaned: Offset,
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
            ends: Ends::default(),
            cleaned: Offset(0),
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

    /// Tells in which group of the journal the last change was written.
    pub(crate) fn written(&mut self, written: Option<Written>) {
        if let Some(written) = written {
            self.ends.note(written, self.end, self.stable());
        }
    }

    /// Where records begin and end, now and whether durable or not.
    pub(crate) fn bounds(&self, isolation: Isolation) -> Bounds {
        self.bounds_at(isolation, None)
    }

    /// Where records begin and end for a reader that sees what is `durable`.
    pub(crate) fn bounds_at(&self, isolation: Isolation, durable: Option<u64>) -> Bounds {
        let (end, stable) = match durable {
            Some(durable) => self.ends.at(durable),
            None => (self.end, self.stable()),
        };
        let end = match isolation {
            Isolation::ReadUncommitted => end,
            Isolation::ReadCommitted => stable,
        };
        Bounds { start: self.start, end: end.max(self.start) }
    }

    fn stable(&self) -> Offset {
        self.open.values().min().copied().unwrap_or(self.end)
    }

    /// Whether reading may begin at `offset`.
    pub(crate) fn in_range(&self, offset: Offset) -> bool {
        (self.start..=self.end).contains(&offset)
    }

    /// Copies up to `max` records from `from` on and returns the position
    /// behind them: the next visible record, else the end for this isolation.
    pub(crate) fn read(
        &self,
        from: Offset,
        (isolation, durable): (Isolation, Option<u64>),
        max: usize,
        into: &mut RecordBatch,
    ) -> Offset {
        let end = self.bounds_at(isolation, durable).end;
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
    pub(crate) fn offset_for_time(&self, time: TimestampMs, durable: Option<u64>) -> Option<Offset> {
        let bounds = self.bounds_at(Isolation::ReadUncommitted, durable);
        self.segments
            .iter()
            .filter(|segment| segment.newest >= time)
            .flat_map(|segment| segment.records.iter())
            .filter(|record| (bounds.start..bounds.end).contains(&record.offset()))
            .find(|record| record.timestamp().is_some_and(|at| at >= time))
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

    /// Keeps the latest record of each key below `stable`, where every
    /// transaction has ended, and drops tombstones older than
    /// `tombstones_before`. Offsets stay. True when a record went.
    pub(crate) fn compact(&mut self, stable: Offset, tombstones_before: TimestampMs, limit: SegmentLimit) -> bool {
        let mut latest: HashMap<&[u8], Offset> = HashMap::new();
        for (record, owner) in self.all() {
            if record.offset() < stable && !self.is_aborted(owner) {
                latest.insert(record.key().unwrap_or_default(), record.offset());
            }
        }
        let mut kept: VecDeque<Segment> = VecDeque::new();
        let mut aborted = BTreeSet::new();
        let mut dropped = false;
        for (record, owner) in self.all() {
            let dead_tombstone = record.value().is_none() && record.timestamp().is_none_or(|at| at < tombstones_before);
            let below = record.offset() < stable;
            if below
                && (self.is_aborted(owner)
                    || dead_tombstone
                    || latest.get(record.key().unwrap_or_default()) != Some(&record.offset()))
            {
                dropped = true;
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
        self.cleaned = stable;
        dropped
    }

    /// Which part of the records below the last stable offset, from 0 to 1,
    /// no compaction has seen (Kafka's "dirty ratio", by count).
    pub(crate) fn dirty_ratio(&self) -> f64 {
        let count = |below: Offset| -> u32 {
            let segments = self.segments.iter().take_while(|segment| segment.base < below);
            let records: usize = segments.map(|segment| segment.index_of(below)).sum();
            u32::try_from(records).unwrap_or(u32::MAX)
        };
        let all = count(self.stable());
        f64::from(all.saturating_sub(count(self.cleaned))) / f64::from(all.max(1))
    }

    /// About the bytes that the records take.
    pub(crate) fn size_bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.records.size_bytes() + RECORD_BYTES * segment.owners.len()).sum()
    }

    /// How many records there are, those of aborted transactions included.
    pub(crate) fn records(&self) -> usize {
        self.segments.iter().map(|segment| segment.owners.len() - segment.index_of(self.start)).sum()
    }

    /// The transactions that are open here, and the first offset of each.
    pub(crate) fn open_transactions(&self) -> impl Iterator<Item = (TxnNumber, Offset)> {
        self.open.iter().map(|(txn, first)| (*txn, *first))
    }

    /// Copies up to `max` records with their owners, aborted ones left out, of
    /// the offsets `from..end`; returns where to go on.
    pub(crate) fn copy(
        &self,
        (from, end): (Offset, Offset),
        max: usize,
        into: &mut RecordBatch,
        owners: &mut Vec<Option<TxnNumber>>,
    ) -> Offset {
        let first = self.segments.partition_point(|segment| segment.last().is_none_or(|last| last < from));
        for segment in self.segments.iter().skip(first) {
            for index in segment.index_of(from.max(self.start))..segment.owners.len() {
                let (record, owner) = (segment.records.get(index), segment.owners[index]);
                if record.offset() >= end {
                    return end;
                }
                if owners.len() == max {
                    return record.offset();
                }
                if !self.is_aborted(owner) {
                    into.push(record);
                    owners.push(owner);
                }
            }
        }
        end
    }

    /// Leaves a gap up to `offset`, where the next record goes; false when
    /// the log is beyond it already.
    pub(crate) fn skip_to(&mut self, offset: Offset) -> bool {
        let ahead = offset >= self.end;
        self.end = self.end.max(offset);
        ahead
    }

    /// Sets which transactions are open, where the records do not tell.
    pub(crate) fn set_open(&mut self, open: impl Iterator<Item = (TxnNumber, Offset)>) {
        self.open = open.collect();
    }

    /// Everything here is durable: it was read from a journal.
    pub(crate) fn settle(&mut self) {
        self.ends = Ends::starting(self.end, self.stable());
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
        let position = log.read(log.start, (isolation, None), usize::MAX, &mut batch);
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
        assert_eq!(log.read(Offset(0), (Isolation::ReadCommitted, None), 1, &mut batch), Offset(2));
    }

    #[test]
    fn compaction_leaves_the_open_transaction_alone() {
        let mut log = log(&[("a", Some("1"), None), ("a", Some("2"), None), ("b", None, None), ("a", None, Some(1))]);
        log.compact(log.stable(), TimestampMs(1_000), LIMIT);
        assert_eq!(read(&log, Isolation::ReadUncommitted), (vec![1, 3], 4));
        log.end_transaction(TxnNumber(1), Ending::Abort);
        log.compact(log.stable(), TimestampMs(1_000), LIMIT);
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
