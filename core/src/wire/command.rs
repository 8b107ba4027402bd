//! The headers of a command: text, so that any Kafka client can write them.

use crate::{
    CommandId, EventId, RecordRef, TimestampMs, Version,
    wire::{MAX_SOURCE_BYTES, TraceContext},
};

/// The names of a command's headers.
pub mod header {
    /// The command's id, a UUID (CloudEvents `id`).
    pub const ID: &str = "ce_id";
    /// Who sends it: service, instance and version, UTF-8, at most 128 bytes (CloudEvents `source`).
    pub const SOURCE: &str = "ce_source";
    /// When it occurred, RFC 3339 (CloudEvents `time`).
    pub const TIME: &str = "ce_time";
    /// The partition of the replies topic that the answer goes to, in decimal.
    pub const REPLY_TO: &str = "reply-to";
    /// The version that the aggregate must have, in decimal.
    pub const EXPECTED_VERSION: &str = "expected-version";
    /// The time after which the command must not be decided, RFC 3339.
    pub const DEADLINE: &str = "deadline";
    /// The id of the business conversation, a UUID.
    pub const CORRELATION_ID: &str = "correlation-id";
    /// The id of the event that caused the command, `<command id>/<index>`.
    pub const CAUSATION_ID: &str = "causation-id";
    /// The W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
}

/// What a command's headers say; every one of them may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommandHeaders {
    /// The command's id; without one a retry cannot be recognised.
    pub id: Option<CommandId>,
    /// When it occurred.
    pub time: Option<TimestampMs>,
    /// The partition of the replies topic that the answer goes to.
    pub reply_to: Option<u32>,
    /// The version that the aggregate must have.
    pub expected_version: Option<Version>,
    /// The time after which it must not be decided.
    pub deadline: Option<TimestampMs>,
    /// The id of the business conversation.
    pub correlation: Option<CommandId>,
    /// The event that caused it.
    pub cause: Option<EventId>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
}

impl CommandHeaders {
    /// Who sent the command, if it says so: nothing is decided by it, so it is not among the
    /// headers that each command is asked for.
    pub fn source(record: RecordRef<'_>) -> Option<&str> {
        let (_, value) = record.headers().filter(|(name, _)| *name == header::SOURCE).last()?;
        std::str::from_utf8(value?).ok().filter(|source| (1..=MAX_SOURCE_BYTES).contains(&source.len()))
    }

    /// Reads a record's headers; unknown ones are passed over, of two with one name the last counts.
    ///
    /// # Errors
    /// The header's name and what is wrong with it; together with what could
    /// be read, so that the requester can still be told.
    pub fn read(record: RecordRef<'_>) -> Result<Self, Box<(String, Self)>> {
        let mut headers = CommandHeaders::default();
        let mut wrong = None;
        for (name, value) in record.headers() {
            let value = value.unwrap_or_default();
            let good = match name {
                header::ID => keep(&mut headers.id, CommandId::parse(value)),
                header::TIME => keep(&mut headers.time, timestamp(value)),
                header::REPLY_TO => keep(&mut headers.reply_to, number(value).and_then(|n| u32::try_from(n).ok())),
                header::EXPECTED_VERSION => keep(&mut headers.expected_version, number(value).map(Version)),
                header::DEADLINE => keep(&mut headers.deadline, timestamp(value)),
                header::CORRELATION_ID => keep(&mut headers.correlation, CommandId::parse(value)),
                header::CAUSATION_ID => keep(&mut headers.cause, EventId::parse(value)),
                header::TRACEPARENT => {
                    headers.trace = TraceContext::parse(value);
                    true
                }
                _ => true,
            };
            if !good && wrong.is_none() {
                wrong = Some(format!(
                    "header {name} is not valid: {:?} {}",
                    String::from_utf8_lossy(clip(value)),
                    expected(name)
                ));
            }
        }
        match wrong {
            None => Ok(headers),
            Some(wrong) => Err(Box::new((wrong, headers))),
        }
    }
}

fn keep<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    *slot = value;
    slot.is_some()
}

fn clip(value: &[u8]) -> &[u8] {
    &value[..value.len().min(64)]
}

fn expected(name: &str) -> &'static str {
    match name {
        header::ID | header::CORRELATION_ID => "is not a UUID",
        header::CAUSATION_ID => "is not an event's id, a UUID/index",
        header::TIME | header::DEADLINE => "is not an RFC 3339 time",
        _ => "is not a decimal number",
    }
}

fn number(text: &[u8]) -> Option<u64> {
    // `parse` would take a sign.
    text.first().filter(|first| first.is_ascii_digit())?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn timestamp(text: &[u8]) -> Option<TimestampMs> {
    let time: jiff::Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(TimestampMs(time.as_millisecond()))
}
