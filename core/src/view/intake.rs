//! From records to whole batches: the checks on stored records, below decoding,
//! and the decoding itself.

use super::{Focus, Recorded, Stop, StopClass};
use crate::{
    AggregateId, CommandId, DecodeError, Decoded, Message, MessageCodec, Offset, RecordRef, Version,
    wire::{EventHeader, Traces, pass_over},
};
use std::sync::Arc;

/// The most events of one command that a view holds back while the rest is missing.
pub const MAX_HELD_EVENTS: usize = 65_536;

/// One record of a batch.
#[derive(Debug)]
pub(crate) enum Item<E> {
    /// An event of the view.
    Known(Recorded<E>),
    /// What upcasters made of a retired record: at least one event. They are
    /// folded or left aside together, for versions, watermarks and parking count records.
    Parts(Vec<Recorded<E>>),
    /// Not to be folded: of a record type that the reader has not, of one that upcasters drop, or out of
    /// focus (the two without the type's name). Its version counts.
    Unknown { aggregate: AggregateId, version: Version, offset: Offset, record: Option<String> },
    /// It cannot be applied, now or later, by this code.
    Bad { aggregate: AggregateId, version: Version, offset: Offset, why: String },
}

impl<E> Item<E> {
    /// The events that are folded, in their order.
    pub(crate) fn events(&self) -> &[Recorded<E>] {
        match self {
            Item::Known(event) => std::slice::from_ref(event),
            Item::Parts(events) => events,
            Item::Unknown { .. } | Item::Bad { .. } => &[],
        }
    }

    pub(crate) fn aggregate(&self) -> &AggregateId {
        match self {
            Item::Known(event) => &event.aggregate,
            Item::Parts(events) => &events[0].aggregate,
            Item::Unknown { aggregate, .. } | Item::Bad { aggregate, .. } => aggregate,
        }
    }

    pub(crate) fn version(&self) -> Version {
        match self {
            Item::Known(event) => event.version,
            Item::Parts(events) => events[0].version,
            Item::Unknown { version, .. } | Item::Bad { version, .. } => *version,
        }
    }

    pub(crate) fn offset(&self) -> Offset {
        match self {
            Item::Known(event) => event.offset,
            Item::Parts(events) => events[0].offset,
            Item::Unknown { offset, .. } | Item::Bad { offset, .. } => *offset,
        }
    }
}

/// The records of a batch, of which the last has perhaps not arrived.
#[derive(Debug)]
pub(crate) struct Held<E> {
    pub(crate) command: CommandId,
    pub(crate) command_offset: Offset,
    size: u32,
    start: Offset,
    /// The offset after the last event held.
    pub(crate) next: Offset,
    pub(crate) items: Vec<Item<E>>,
}

impl<E> Held<E> {
    /// The offset of the batch's first event.
    pub(crate) fn start(&self) -> Offset {
        self.start
    }

    /// Whether its last event is in it.
    pub(crate) fn is_whole(&self) -> bool {
        usize::try_from(self.size).is_ok_and(|size| size == self.items.len())
    }

    fn is_followed_by(&self, header: &EventHeader<'_>) -> bool {
        self.command == header.command
            && self.command_offset == header.command_offset
            && self.size == header.size
            && usize::try_from(header.index).is_ok_and(|index| index == self.items.len())
    }
}

/// Why a record was not taken in.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Its partition stops at the start of the record's batch.
    Stop(Stop),
    /// Its schema has to be fetched first.
    UnknownSchema(u32),
}

/// The text as `last` if it is the same, which it nearly always is.
fn shared(last: &mut Arc<str>, text: &str) -> Arc<str> {
    if **last != *text {
        *last = text.into();
    }
    last.clone()
}

/// Takes a record in behind what is held. The batch is whole when this answers true.
/// A command's trace is noted with its first event; `source` is that of the record before.
/// With the cause of `killed` the record is not decoded, for this is what it did.
pub(crate) fn take<E: Message, C: MessageCodec<E>>(
    held: &mut Option<Held<E>>,
    record: RecordRef<'_>,
    codec: &C,
    focus: &Focus,
    traces: &mut Traces,
    source: &mut Arc<str>,
    killed: Option<&str>,
) -> Result<bool, Refused> {
    let stop = |class, reason: String| Err(Refused::Stop(Stop::new(class, reason)));
    let header = match EventHeader::read(record) {
        Ok(header) => header,
        Err(e) => return stop(StopClass::ForeignRecord, e.to_string()),
    };
    let aggregate = match AggregateId::check(record.key().unwrap_or_default()).and_then(AggregateId::new) {
        Ok(aggregate) => aggregate,
        Err(e) => {
            return stop(
                StopClass::ForeignRecord,
                format!("{record:?}: {e}; {}", pass_over(&record.place(), record.offset())),
            );
        }
    };
    match held {
        Some(before)
            if before.is_followed_by(&header)
                && before.items.first().is_some_and(|item| *item.aggregate() != aggregate) =>
        {
            return stop(
                StopClass::ForeignRecord,
                format!("{record:?} is an event of {aggregate} in a batch of another aggregate"),
            );
        }
        Some(before) if !before.is_followed_by(&header) => {
            return stop(
                StopClass::TornBatch,
                format!(
                    "the batch of command {} that begins at {}/{}@{} has {} events, and after {} of them comes \
                     {record:?}, event {} of {} of command {}",
                    before.command,
                    record.topic(),
                    record.partition(),
                    before.start,
                    before.size,
                    before.items.len(),
                    u64::from(header.index) + 1,
                    header.size,
                    header.command
                ),
            );
        }
        Some(before) if before.items.len() >= MAX_HELD_EVENTS => {
            return stop(
                StopClass::TornBatch,
                format!("{record:?}: a batch of {} events, the limit is {MAX_HELD_EVENTS}", header.size),
            );
        }
        None if header.index != 0 => {
            return stop(
                StopClass::TornBatch,
                format!(
                    "{record:?} is event {} of {} of command {}, and those before it did not come",
                    u64::from(header.index) + 1,
                    header.size,
                    header.command
                ),
            );
        }
        _ => {}
    }
    let (version, offset) = (header.version, record.offset());
    let is_out_of_focus = focus.occurred_by.is_some_and(|time| header.occurred > time);
    let item = match record.value().filter(|_| killed.is_none()).map(|value| codec.decode(value)) {
        Some(Err(DecodeError::UnknownSchema(id))) => return Err(Refused::UnknownSchema(id)),
        Some(Err(DecodeError::UnknownRecord(name))) => Item::Unknown { aggregate, version, offset, record: Some(name) },
        _ if is_out_of_focus => Item::Unknown { aggregate, version, offset, record: None },
        Some(Ok(Decoded::One(event))) => {
            Item::Known(Recorded::new(record, &header, aggregate, shared(source, header.source), (0, event)))
        }
        Some(Ok(Decoded::Upcast(events))) if events.is_empty() => {
            Item::Unknown { aggregate, version, offset, record: None }
        }
        Some(Ok(Decoded::Upcast(events))) => {
            let source = shared(source, header.source);
            let part = |part| Recorded::new(record, &header, aggregate.clone(), source.clone(), part);
            Item::Parts((0..).zip(events).map(part).collect())
        }
        Some(Err(DecodeError::Malformed(why))) => {
            Item::Bad { aggregate, version, offset, why: format!("{record:?} cannot be decoded: {why}") }
        }
        None => {
            let why = killed.map_or_else(|| format!("{record:?} has no value"), |why| format!("{record:?}: {why}"));
            Item::Bad { aggregate, version, offset, why }
        }
    };
    if let Some(trace) = header.trace.filter(|_| header.index == 0) {
        traces.push(header.command, trace);
    }
    let batch = held.get_or_insert_with(|| Held {
        command: header.command,
        command_offset: header.command_offset,
        size: header.size,
        start: record.offset(),
        next: record.offset(),
        items: Vec::with_capacity(1),
    });
    batch.items.push(item);
    batch.next = record.offset().next();
    Ok(header.is_last())
}
