//! A whole batch of a command in another shape.

use super::{FROM_HEADER, MAX_RECORDS_OF_EVENT, Transform, UnknownRecords, remedy};
use crate::{
    MessageCodec, RecordBatch, Topic, TopicId, TopicPartition, panic_text,
    pulse::Pulse,
    view::{
        Recorded, Stop, StopClass,
        intake::{Held, Item},
    },
    wire::{EventHeader, Token},
};
use std::{
    ops::AddAssign,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What became of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Events that were transformed, perhaps to nothing.
    pub read: u64,
    /// Records that they became.
    pub written: u64,
    /// Events of unknown type that were left out.
    pub skipped: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, more: Totals) {
        self.read += more.read;
        self.written += more.written;
        self.skipped += more.skipped;
    }
}

/// Appends what becomes of a batch, or nothing. The pulse tells which record is under way.
///
/// # Errors
/// Why the partition stops before the batch, with the record and what to do.
pub(super) fn append<T: Transform>(
    batch: &Held<T::From>,
    (at, topic_id): (&TopicPartition, TopicId),
    pulse: &Pulse,
    output: &Topic,
    codec: &impl MessageCodec<T::To>,
    into: &mut RecordBatch,
) -> Result<Totals, Stop> {
    let mut tally = Totals::default();
    let mut shapes: Vec<(&Recorded<T::From>, T::To)> = Vec::with_capacity(batch.items.len());
    for item in &batch.items {
        let stop = |why: String| {
            let (place, to_do) = (format!("{at}@{}", item.offset()), remedy::<T>());
            Stop::new(StopClass::Transform, format!("{place}: {why}; nothing was left out; {to_do}"))
        };
        match item {
            Item::Bad { why, .. } => return Err(stop(why.clone())),
            Item::Unknown { record: Some(record), .. } if T::UNKNOWN == UnknownRecords::Fail => {
                return Err(stop(format!("record type {record} is none that the transform knows")));
            }
            Item::Unknown { record, .. } => tally.skipped += u64::from(record.is_some()),
            Item::Known(_) | Item::Parts(_) => {
                let _working = pulse.begin(&at.topic, at.partition, item.offset(), 1);
                for event in item.events() {
                    let made = transform::<T>(event).map_err(stop)?;
                    shapes.extend(made.into_iter().map(|shape| (event, shape)));
                }
                tally.read += 1;
            }
        }
    }
    let before = into.len();
    let size = u32::try_from(shapes.len()).unwrap_or(u32::MAX);
    for (index, (event, shape)) in (0..).zip(&shapes) {
        let _working = pulse.begin(&at.topic, at.partition, event.offset, 1);
        let mut record = into.start(output, at.partition);
        record.key(event.aggregate.as_str().as_bytes());
        record.timestamp(event.recorded);
        EventHeader {
            version: event.version,
            command: event.command,
            command_offset: batch.command_offset,
            index,
            size,
            occurred: event.occurred,
            correlation: event.correlation,
            cause: event.cause,
            trace: event.trace,
            source: &event.source,
        }
        .write(&mut record);
        let from = Token { place: at.clone(), offset: event.offset, topic_id: Some(topic_id) };
        record.header(FROM_HEADER, from.to_string().as_bytes());
        let encoded = record.value_with(|value| codec.encode(shape, value));
        if let Err(why) = encoded {
            drop(record);
            into.truncate(before);
            let reason = format!("{at}@{}: its new shape cannot be encoded: {why}; nothing was left out", event.offset);
            return Err(Stop::new(StopClass::Transform, reason));
        }
        record.finish();
        tally.written += 1;
    }
    Ok(tally)
}

fn transform<T: Transform>(event: &Recorded<T::From>) -> Result<Vec<T::To>, String> {
    match catch_unwind(AssertUnwindSafe(|| T::transform(event))) {
        Ok(made) if made.len() > MAX_RECORDS_OF_EVENT => {
            Err(format!("the transform made {} records of it, and the limit is {MAX_RECORDS_OF_EVENT}", made.len()))
        }
        Ok(made) => Ok(made),
        Err(panic) => Err(format!("the transform panicked: {}", panic_text(&*panic))),
    }
}
