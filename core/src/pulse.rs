//! What a thread that cannot be interrupted is at, for one that watches it.

use crate::{Offset, Partition, RecordBatch, Topic};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The domain's code that a processor's thread runs now: decoding, deciding, folding. It is noted for
/// each batch (a transform notes each record), without a lock and without a clock; who watches has the
/// clock.
///
/// ```
/// use factum_core::{Offset, Partition, Topic, pulse::Pulse};
///
/// let pulse = Pulse::new(vec![Topic::from("bank.account.events")]);
/// let before = pulse.beats();
/// let work = pulse.begin(&Topic::from("bank.account.events"), Partition(3), Offset(1_042), 12);
/// assert!(pulse.is_working());
/// assert_eq!(pulse.work(), "12 records from bank.account.events/3@1042 on");
/// drop(work);
/// assert!(!pulse.is_working() && pulse.beats() > before);
/// ```
#[derive(Debug)]
pub struct Pulse {
    topics: Vec<Topic>,
    /// Goes up by one when work begins and when it ends: odd while it is under way.
    beats: AtomicU64,
    topic: AtomicUsize,
    partition: AtomicU32,
    first: AtomicI64,
    records: AtomicUsize,
}

/// Work under way; it ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Working<'a>(&'a Pulse);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.beats.fetch_add(1, Ordering::Release);
    }
}

impl Pulse {
    /// A thread at rest, which reads these topics.
    pub fn new(topics: Vec<Topic>) -> Self {
        Pulse {
            topics,
            beats: AtomicU64::new(0),
            topic: AtomicUsize::new(0),
            partition: AtomicU32::new(0),
            first: AtomicI64::new(0),
            records: AtomicUsize::new(0),
        }
    }

    /// Begins work on so many records, of which this is the first.
    pub fn begin(&self, topic: &Topic, partition: Partition, first: Offset, records: usize) -> Working<'_> {
        let number = self.topics.iter().position(|known| known == topic).unwrap_or(usize::MAX);
        self.topic.store(number, Ordering::Relaxed);
        self.partition.store(partition.0, Ordering::Relaxed);
        self.first.store(first.0, Ordering::Relaxed);
        self.records.store(records, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Release);
        Working(self)
    }

    /// Begins work on a batch, unless it is empty.
    pub fn begin_batch(&self, records: &RecordBatch) -> Option<Working<'_>> {
        let first = records.iter().next()?;
        Some(self.begin(first.topic(), first.partition(), first.offset(), records.len()))
    }

    /// Another number whenever work began or ended in between.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Acquire)
    }

    /// Whether work is under way.
    pub fn is_working(&self) -> bool {
        self.beats() % 2 == 1
    }

    /// The work under way, or the last one, for people.
    pub fn work(&self) -> String {
        let topic = self.topics.get(self.topic.load(Ordering::Relaxed)).map_or("?", Topic::as_str);
        let (partition, first) = (self.partition.load(Ordering::Relaxed), self.first.load(Ordering::Relaxed));
        match self.records.load(Ordering::Relaxed) {
            1 => format!("the record {topic}/{partition}@{first}"),
            records => format!("{records} records from {topic}/{partition}@{first} on"),
        }
    }
}
