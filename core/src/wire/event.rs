//! The header of an event: one binary header, because eleven text headers cost
//! nearly half of the throughput that it leaves (`docs/decisions/0001-event-header.md`).

use crate::{
    CommandId, Error, EventId, Offset, RecordBuilder, RecordRef, Result, TimestampMs, TopicPartition, Version,
    wire::TraceContext,
};

/// The name of the header that every event carries.
pub const EVENT_HEADER: &str = "factum";

/// The longest producer name (`source`), in bytes.
pub const MAX_SOURCE_BYTES: usize = 128;

const LAYOUT: u8 = 1;
const FIXED_BYTES: usize = 50;
const CORRELATION_BYTES: usize = 16;
const TRACE_BYTES: usize = 25;
const CAUSE_BYTES: usize = 20;
const HAS_TRACE: u8 = 1;
const HAS_CORRELATION: u8 = 2;
const HAS_CAUSE: u8 = 4;

/// What an event's header says. Layout 1, integers big endian:
///
/// | bytes | what |
/// |---|---|
/// | 1 | layout, 1 |
/// | 1 | flags; bit 0: a trace context follows, bit 1: a correlation id follows, bit 2: a cause follows |
/// | 8 | aggregate version |
/// | 16 | command id (the causation id) |
/// | 8 | offset of the command |
/// | 4 | index within the command's batch of events, from 0 |
/// | 4 | size of the batch |
/// | 8 | occurred, milliseconds since 1970 |
/// | 16 | only with bit 1: correlation id; without, it is the command id |
/// | 25 | only with bit 0: trace id (16), parent id (8), flags (1) |
/// | 20 | only with bit 2: the event that caused the command: its command id (16), its index (4) |
/// | rest | source: service, instance and version of the producer, UTF-8 |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader<'a> {
    /// The aggregate's version with this event.
    pub version: Version,
    /// The command that caused it.
    pub command: CommandId,
    /// That command's offset in the commands topic, in the same partition.
    pub command_offset: Offset,
    /// Its place among the events of that command, from 0.
    pub index: u32,
    /// How many events that command caused.
    pub size: u32,
    /// When it occurred.
    pub occurred: TimestampMs,
    /// The business conversation that it belongs to.
    pub correlation: CommandId,
    /// The event that caused its command, if one did.
    pub cause: Option<EventId>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// Who wrote it: service, instance and version.
    pub source: &'a str,
}

impl<'a> EventHeader<'a> {
    /// Adds the header to a record.
    pub fn write(&self, record: &mut RecordBuilder<'_>) {
        let mut bytes = [0u8; FIXED_BYTES + CORRELATION_BYTES + TRACE_BYTES + CAUSE_BYTES + MAX_SOURCE_BYTES];
        bytes[0] = LAYOUT;
        bytes[2..10].copy_from_slice(&self.version.0.to_be_bytes());
        bytes[10..26].copy_from_slice(&self.command.0);
        bytes[26..34].copy_from_slice(&self.command_offset.0.to_be_bytes());
        bytes[34..38].copy_from_slice(&self.index.to_be_bytes());
        bytes[38..42].copy_from_slice(&self.size.to_be_bytes());
        bytes[42..50].copy_from_slice(&self.occurred.0.to_be_bytes());
        let mut len = FIXED_BYTES;
        if self.correlation != self.command {
            bytes[1] |= HAS_CORRELATION;
            bytes[len..len + CORRELATION_BYTES].copy_from_slice(&self.correlation.0);
            len += CORRELATION_BYTES;
        }
        if let Some(trace) = &self.trace {
            bytes[1] |= HAS_TRACE;
            bytes[len..len + 16].copy_from_slice(&trace.trace_id);
            bytes[len + 16..len + 24].copy_from_slice(&trace.parent_id);
            bytes[len + 24] = trace.flags;
            len += TRACE_BYTES;
        }
        if let Some(cause) = &self.cause {
            bytes[1] |= HAS_CAUSE;
            bytes[len..len + 16].copy_from_slice(&cause.command.0);
            bytes[len + 16..len + 20].copy_from_slice(&cause.index.to_be_bytes());
            len += CAUSE_BYTES;
        }
        // Cut between characters: a reader takes nothing but UTF-8.
        let end = (0..=self.source.len().min(MAX_SOURCE_BYTES)).rev().find(|&end| self.source.is_char_boundary(end));
        let source = &self.source.as_bytes()[..end.unwrap_or_default()];
        bytes[len..len + source.len()].copy_from_slice(source);
        record.header(EVENT_HEADER, &bytes[..len + source.len()]);
    }

    /// Reads the header of a record of an events topic.
    ///
    /// # Errors
    /// `Data`: the header is missing (somebody else wrote this record) or not of this layout.
    pub fn read(record: RecordRef<'a>) -> Result<Self> {
        let bytes = record.header(EVENT_HEADER).ok_or_else(|| {
            let to_do = pass_over(&record.place(), record.offset());
            Error::data(format!("{record:?} has no header {EVENT_HEADER}: not written by a handler; {to_do}"))
        })?;
        Self::parse(bytes).ok_or_else(|| {
            Error::data(format!(
                "{record:?} has a header {EVENT_HEADER} of {} bytes that is not of layout {LAYOUT}: not written by a \
                 handler; {}",
                bytes.len(),
                pass_over(&record.place(), record.offset())
            ))
        })
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let fixed: &[u8; FIXED_BYTES] = bytes.first_chunk()?;
        if fixed[0] != LAYOUT || fixed[1] & !(HAS_TRACE | HAS_CORRELATION | HAS_CAUSE) != 0 {
            return None;
        }
        let mut rest = &bytes[FIXED_BYTES..];
        let command = CommandId(take(fixed, 10));
        let mut correlation = command;
        if fixed[1] & HAS_CORRELATION != 0 {
            let (found, after) = rest.split_first_chunk::<CORRELATION_BYTES>()?;
            correlation = CommandId(*found);
            rest = after;
        }
        let mut trace = None;
        if fixed[1] & HAS_TRACE != 0 {
            let (found, after) = rest.split_first_chunk::<TRACE_BYTES>()?;
            trace = Some(TraceContext { trace_id: take(found, 0), parent_id: take(found, 16), flags: found[24] });
            rest = after;
        }
        let mut cause = None;
        if fixed[1] & HAS_CAUSE != 0 {
            let (found, after) = rest.split_first_chunk::<CAUSE_BYTES>()?;
            cause = Some(EventId { command: CommandId(take(found, 0)), index: u32::from_be_bytes(take(found, 16)) });
            rest = after;
        }
        let header = EventHeader {
            version: Version(u64::from_be_bytes(take(fixed, 2))),
            command,
            command_offset: Offset(i64::from_be_bytes(take(fixed, 26))),
            index: u32::from_be_bytes(take(fixed, 34)),
            size: u32::from_be_bytes(take(fixed, 38)),
            occurred: TimestampMs(i64::from_be_bytes(take(fixed, 42))),
            correlation,
            cause,
            trace,
            source: std::str::from_utf8(rest).ok().filter(|source| source.len() <= MAX_SOURCE_BYTES)?,
        };
        (header.version.0 > 0 && header.index < header.size && header.command_offset.0 >= 0).then_some(header)
    }

    /// Whether this is the last event of its command's batch.
    pub fn is_last(&self) -> bool {
        self.index + 1 == self.size
    }
}

/// What is wrong when two commands claim one version, and what to do.
pub const CONTESTED: &str = "a handler writes no version twice, so one of the two is not its own; find out which \
                             (the handler's is the one that the command's answer names), take the other writer's \
                             permission, and have all readers go on without it with --pass-over TOPIC/PARTITION@OFFSET";

/// What to do about a record of an events topic that no handler wrote.
pub fn pass_over(at: &TopicPartition, offset: Offset) -> String {
    format!(
        "find out who wrote it, and take their permission; all readers go on without it with --pass-over {at}@{offset}"
    )
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a constant range within a fixed layout")
}
