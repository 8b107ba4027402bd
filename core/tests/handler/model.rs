//! A model of a topic's partition, and the records that go into it.

use factum_core::{CommandId, Offset, RecordBatch, RecordRef, TimestampMs, Version, wire::EventHeader};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kept {
    Committed,
    Open,
    /// An aborted record or a control record: it only takes an offset.
    Hidden,
}

/// One partition of one topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub(crate) start: i64,
    pub(crate) records: Vec<(Kept, RecordBatch)>,
}

impl Part {
    pub(crate) fn end(&self) -> i64 {
        self.start + i64::try_from(self.records.len()).unwrap()
    }

    pub(crate) fn stable_end(&self) -> i64 {
        let open = self.records.iter().position(|(kept, _)| *kept == Kept::Open);
        open.map_or(self.end(), |at| self.start + i64::try_from(at).unwrap())
    }

    pub(crate) fn push(&mut self, kept: Kept, write: impl FnOnce(&mut RecordBatch, Offset)) -> i64 {
        let mut batch = RecordBatch::new();
        let offset = self.end();
        write(&mut batch, Offset(offset));
        self.records.push((kept, batch));
        offset
    }

    pub(crate) fn committed_from(&self, from: i64) -> impl Iterator<Item = (i64, RecordRef<'_>)> {
        let records = self.records.iter().zip(self.start..self.stable_end());
        records
            .filter(move |((kept, _), at)| *kept == Kept::Committed && *at >= from)
            .map(|((_, b), at)| (at, b.get(0)))
    }
}

/// A command to be sent; every header may be set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cmd {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) partition: Option<u32>,
}

/// A command with the id 1, 2, 3… and an answer wanted.
pub(crate) fn cmd(id: u8, key: &str, text: &str) -> Cmd {
    anonymous(key, text).header("ce_id", &CommandId([id; 16]).to_string()).header("reply-to", "0")
}

/// A command without headers.
pub(crate) fn anonymous(key: &str, text: &str) -> Cmd {
    let value = [&[1], text.as_bytes()].concat();
    Cmd { key: key.into(), value, ..Cmd::default() }
}

impl Cmd {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn schema(mut self, id: u8) -> Self {
        self.value[0] = id;
        self
    }

    pub(crate) fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }
}

/// The header of an event that command `command` caused, at offset `command` of the commands topic.
pub(crate) fn event_header(command: u8, version: u64, index: u32, size: u32) -> EventHeader<'static> {
    EventHeader {
        version: Version(version),
        command: CommandId([command; 16]),
        command_offset: Offset(command.into()),
        index,
        size,
        occurred: TimestampMs(5),
        correlation: CommandId([command; 16]),
        cause: None,
        trace: None,
        source: "test",
    }
}

/// Copies a record to an offset.
pub(crate) fn copy(record: RecordRef<'_>, offset: Offset, batch: &mut RecordBatch) {
    let mut new = batch.start(record.topic(), record.partition());
    new.offset(offset);
    if let Some(timestamp) = record.timestamp() {
        new.timestamp(timestamp);
    }
    if let Some(key) = record.key() {
        new.key(key);
    }
    if let Some(value) = record.value() {
        new.value(value);
    }
    record.headers().for_each(|(name, value)| new.header_opt(name, value));
    new.finish();
}

/// An id whose partition is `partition` of `partitions`.
pub(crate) fn key_in(partition: u32, partitions: u32) -> String {
    (0..1_000)
        .map(|n| format!("k{n}"))
        .find(|key| factum_core::partition_of(key.as_bytes(), partitions).0 == partition)
        .unwrap()
}
