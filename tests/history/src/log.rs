//! The log's part of a history.

use crate::{Event, Request};
use factum_core::{
    Error, RecordBatch, RecordRef, Result, Topic,
    log::{Isolation, Log},
    wire::{CommandHeaders, EventHeader},
};
use std::time::{Duration, Instant};

/// A topic that gives nothing for so long cannot be read.
const STALL: Duration = Duration::from_secs(60);
/// How many records one poll may return.
const POLL: usize = 100_000;

/// Every record of a topic up to its last stable offset. One poll waits no longer than `wait`.
///
/// # Errors
/// `Unavailable` when the topic gives nothing for a minute.
pub fn read_committed(log: &dyn Log, topic: &Topic, wait: Duration) -> Result<RecordBatch> {
    let (mut admin, mut reader) = (log.admin()?, log.reader(Isolation::ReadCommitted)?);
    let mut ends = Vec::new();
    for place in admin.partitions(topic)? {
        let bounds = admin.bounds(&place, Isolation::ReadCommitted)?;
        if bounds.start < bounds.end {
            reader.add(&place, bounds.start)?;
            ends.push((place, bounds.end));
        }
    }
    let mut all = RecordBatch::new();
    let mut moved = Instant::now();
    loop {
        let mut behind = None;
        for (place, end) in &ends {
            if reader.position(place)?.is_none_or(|position| position < *end) {
                behind = Some(place);
            }
        }
        let Some(place) = behind else { return Ok(all) };
        let before = all.len();
        reader.poll(POLL, wait, &mut all)?;
        if all.len() > before {
            moved = Instant::now();
        } else if moved.elapsed() > STALL {
            return Err(Error::unavailable(format!("reading {place} stands still")));
        }
    }
}

/// The committed events of a topic.
///
/// # Errors
/// As [`read_committed`]; `Data` for a record without an event's header; what `decode` says.
pub fn read_events(
    log: &dyn Log,
    topic: &Topic,
    wait: Duration,
    decode: impl Fn(RecordRef<'_>) -> Result<factum_bank::Event>,
) -> Result<Vec<Event>> {
    let records = read_committed(log, topic, wait)?;
    let event = |record: RecordRef<'_>| {
        let header = EventHeader::read(record)?;
        Ok(Event {
            account: String::from_utf8_lossy(record.key().unwrap_or_default()).into_owned(),
            partition: record.partition(),
            offset: record.offset(),
            at: record.timestamp().unwrap_or_default(),
            version: header.version,
            command: header.command,
            command_offset: header.command_offset,
            index: header.index,
            event: decode(record)?,
        })
    };
    records.iter().map(event).collect()
}

/// The records of a commands topic that have an id.
///
/// # Errors
/// As [`read_committed`].
pub fn read_requests(log: &dyn Log, topic: &Topic, wait: Duration) -> Result<Vec<Request>> {
    let records = read_committed(log, topic, wait)?;
    let request = |record: RecordRef<'_>| {
        let id = CommandHeaders::read(record).ok()?.id?;
        let account = record.key().unwrap_or_default().to_vec();
        Some(Request { account, partition: record.partition(), offset: record.offset(), id })
    };
    Ok(records.iter().filter_map(request).collect())
}
