//! Records in batches: one arena for many records, no allocation per record.

use crate::{Offset, Partition, TimestampMs};
use std::{fmt, ops::Range, sync::Arc};

/// The name of a topic. Cloning it is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Takes the name as it is; the log checks it when the topic is used.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Topic(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The place of one of its partitions.
    pub fn partition(&self, partition: Partition) -> TopicPartition {
        TopicPartition { topic: self.clone(), partition }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Topic {
    fn from(name: &str) -> Self {
        Topic(name.into())
    }
}

/// A partition of a topic; printed as `topic/partition`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition's number.
    pub partition: Partition,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Many records in one arena. A poll appends to one; a plan is one; it is
/// cleared and used again, so that nothing is allocated per record.
#[derive(Clone, Default)]
pub struct RecordBatch {
    bytes: Vec<u8>,
    records: Vec<Meta>,
    headers: Vec<HeaderMeta>,
    topics: Vec<Topic>,
}

#[derive(Clone)]
struct Meta {
    topic: usize,
    partition: Partition,
    offset: Offset,
    timestamp: Option<TimestampMs>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
}

#[derive(Clone)]
struct HeaderMeta {
    name: Range<usize>,
    value: Option<Range<usize>>,
}

impl RecordBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The bytes that keys, values and headers take.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Keeps the first `len` records.
    pub fn truncate(&mut self, len: usize) {
        if len == 0 {
            self.bytes.clear();
            self.headers.clear();
            self.records.clear();
        } else if let Some(first) = self.records.get(len) {
            let headers = first.headers.start;
            self.records.truncate(len);
            self.headers.truncate(headers);
        }
    }

    /// Begins a record of `topic`; it belongs to the batch once [`RecordBuilder::finish`] is called.
    pub fn start(&mut self, topic: &Topic, partition: Partition) -> RecordBuilder<'_> {
        // The last topic used is nearly always the next one, and there are few.
        let topic_index = match self.topics.iter().position(|t| Arc::ptr_eq(&t.0, &topic.0) || t == topic) {
            Some(index) => index,
            None => {
                self.topics.push(topic.clone());
                self.topics.len() - 1
            }
        };
        let meta = Meta {
            topic: topic_index,
            partition,
            offset: Offset(-1),
            timestamp: None,
            key: None,
            value: None,
            headers: self.headers.len()..self.headers.len(),
        };
        RecordBuilder { start_bytes: self.bytes.len(), batch: self, meta }
    }

    /// Copies a record of another batch.
    pub fn push(&mut self, record: RecordRef<'_>) {
        let mut new = self.start(record.topic(), record.partition());
        new.offset(record.offset());
        if let Some(timestamp) = record.timestamp() {
            new.timestamp(timestamp);
        }
        new.content_of(record);
        new.finish();
    }

    /// The record at `index`.
    ///
    /// # Panics
    /// When there is none.
    pub fn get(&self, index: usize) -> RecordRef<'_> {
        RecordRef { batch: self, meta: &self.records[index] }
    }

    /// The records in the order in which they were appended.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordRef<'_>> + Clone {
        self.records.iter().map(move |meta| RecordRef { batch: self, meta })
    }
}

impl fmt::Debug for RecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A record that is being appended to a [`RecordBatch`]. Dropped without
/// [`finish`](RecordBuilder::finish), it leaves no trace.
pub struct RecordBuilder<'a> {
    batch: &'a mut RecordBatch,
    meta: Meta,
    start_bytes: usize,
}

impl RecordBuilder<'_> {
    /// Sets the offset (records that were read).
    pub fn offset(&mut self, offset: Offset) {
        self.meta.offset = offset;
    }

    /// Sets the record's timestamp.
    pub fn timestamp(&mut self, timestamp: TimestampMs) {
        self.meta.timestamp = Some(timestamp);
    }

    /// Sets the key.
    pub fn key(&mut self, key: &[u8]) {
        self.key_with(|bytes| bytes.extend_from_slice(key));
    }

    /// Sets the key to what `write` appends.
    pub fn key_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.batch.bytes.len();
        write(&mut self.batch.bytes);
        self.meta.key = Some(start..self.batch.bytes.len());
    }

    /// Sets the value; a record without one is a tombstone.
    pub fn value(&mut self, value: &[u8]) {
        let start = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(value);
        self.meta.value = Some(start..self.batch.bytes.len());
    }

    /// Sets the value to what `write` appends.
    ///
    /// # Errors
    /// What `write` returns; the record is then not to be finished.
    pub fn value_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.batch.bytes.len();
        write(&mut self.batch.bytes)?;
        self.meta.value = Some(start..self.batch.bytes.len());
        Ok(())
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        self.header_opt(name, Some(value));
    }

    /// Copies key, value and headers of another record.
    pub fn content_of(&mut self, record: RecordRef<'_>) {
        if let Some(key) = record.key() {
            self.key(key);
        }
        if let Some(value) = record.value() {
            self.value(value);
        }
        for (name, value) in record.headers() {
            self.header_opt(name, value);
        }
    }

    /// Adds a header, perhaps without a value.
    pub fn header_opt(&mut self, name: &str, value: Option<&[u8]>) {
        let bytes = &mut self.batch.bytes;
        let start = bytes.len();
        bytes.extend_from_slice(name.as_bytes());
        let name = start..bytes.len();
        let value = value.map(|value| {
            let start = bytes.len();
            bytes.extend_from_slice(value);
            start..bytes.len()
        });
        self.batch.headers.push(HeaderMeta { name, value });
    }

    /// Makes the record part of the batch.
    pub fn finish(mut self) {
        self.meta.headers.end = self.batch.headers.len();
        self.batch.records.push(self.meta.clone());
        self.start_bytes = self.batch.bytes.len();
    }
}

impl Drop for RecordBuilder<'_> {
    fn drop(&mut self) {
        // After `finish` nothing is left to cut off.
        self.batch.bytes.truncate(self.start_bytes);
        let kept = self.batch.records.last().map_or(0, |last| last.headers.end);
        self.batch.headers.truncate(kept);
    }
}

impl fmt::Debug for RecordBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBuilder").field("partition", &self.meta.partition).finish_non_exhaustive()
    }
}

/// One record of a [`RecordBatch`].
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    batch: &'a RecordBatch,
    meta: &'a Meta,
}

impl<'a> RecordRef<'a> {
    /// The partition that it lies in.
    pub fn place(&self) -> TopicPartition {
        self.topic().partition(self.partition())
    }

    /// The topic.
    pub fn topic(&self) -> &'a Topic {
        &self.batch.topics[self.meta.topic]
    }

    /// The partition.
    pub fn partition(&self) -> Partition {
        self.meta.partition
    }

    /// The offset; -1 for a record that was not read from a log.
    pub fn offset(&self) -> Offset {
        self.meta.offset
    }

    /// The record's timestamp.
    pub fn timestamp(&self) -> Option<TimestampMs> {
        self.meta.timestamp
    }

    /// The key.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.meta.key.clone().map(|range| &self.batch.bytes[range])
    }

    /// The value; none for a tombstone.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.meta.value.clone().map(|range| &self.batch.bytes[range])
    }

    /// The headers in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let bytes = &self.batch.bytes;
        self.batch.headers[self.meta.headers.clone()].iter().map(move |header| {
            let name = std::str::from_utf8(&bytes[header.name.clone()]).unwrap_or("");
            (name, header.value.clone().map(|range| &bytes[range]))
        })
    }

    /// The value of the last header of that name (as Kafka's `Headers.lastHeader`).
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let bytes = &self.batch.bytes;
        self.batch.headers[self.meta.headers.clone()]
            .iter()
            .rev()
            .find(|header| &bytes[header.name.clone()] == name.as_bytes())
            .and_then(|header| header.value.clone().map(|range| &bytes[range]))
    }
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic(), self.partition(), self.offset())
    }
}
