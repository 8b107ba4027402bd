//! Event records as a handler writes them, and others.

use crate::{CommandId, Offset, RecordBatch, TimestampMs, TopicPartition, Version, wire::EventHeader};

/// Events as a handler writes them.
pub(super) struct Records {
    pub(super) batch: RecordBatch,
    command: u8,
}

impl Records {
    pub(super) fn new() -> Self {
        Records { batch: RecordBatch::new(), command: 0 }
    }

    /// An event that its command caused alone.
    pub(super) fn event(self, at: &TopicPartition, offset: i64, aggregate: &str, version: u64, value: &str) -> Self {
        self.part(at, offset, aggregate, version, (0, 1), value)
    }

    /// An event of a batch: (index, size). Index 0 begins another command's.
    pub(super) fn part(
        mut self,
        at: &TopicPartition,
        offset: i64,
        aggregate: &str,
        version: u64,
        (index, size): (u32, u32),
        value: &str,
    ) -> Self {
        // A command's id is the version with which it began.
        if index == 0 || self.command == 0 {
            self.command = u8::try_from(version - u64::from(index)).unwrap();
        }
        let mut record = self.batch.start(&at.topic, at.partition);
        record.offset(Offset(offset));
        record.timestamp(TimestampMs(1_000 + offset));
        record.key(aggregate.as_bytes());
        record.value(value.as_bytes());
        let header = EventHeader {
            version: Version(version),
            command: CommandId([self.command; 16]),
            command_offset: Offset(self.command.into()),
            index,
            size,
            occurred: TimestampMs(0),
            correlation: CommandId([0; 16]),
            cause: None,
            trace: None,
            source: "test",
        };
        header.write(&mut record);
        record.finish();
        self
    }

    /// The same aggregates, each under a name of its own.
    pub(super) fn relabelled(self, number: i64) -> Self {
        let mut batch = RecordBatch::new();
        for record in self.batch.iter() {
            let mut copy = batch.start(record.topic(), record.partition());
            copy.offset(record.offset());
            let name = format!("{}-{number}", String::from_utf8_lossy(record.key().unwrap()));
            copy.key(name.as_bytes());
            copy.value(record.value().unwrap());
            record.headers().for_each(|(name, value)| copy.header_opt(name, value));
            copy.finish();
        }
        Records { batch, ..self }
    }

    pub(super) fn foreign(mut self, at: &TopicPartition, offset: i64) -> Self {
        let mut record = self.batch.start(&at.topic, at.partition);
        record.offset(Offset(offset));
        record.key(b"ada");
        record.value(b"1:deposited:5");
        record.finish();
        self
    }
}
