//! Newtypes for what would otherwise be a bare integer or string.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest aggregate id, in bytes of UTF-8.
pub const MAX_AGGREGATE_ID_BYTES: usize = 256;

/// The key of an aggregate: 1 to [`MAX_AGGREGATE_ID_BYTES`] bytes of UTF-8. It
/// is the record key of all of the aggregate's commands and events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregateId(Box<str>);

impl AggregateId {
    /// Checks length and takes the id.
    pub fn new(id: impl Into<Box<str>>) -> Result<Self> {
        let id = id.into();
        Self::check(id.as_bytes())?;
        Ok(AggregateId(id))
    }

    /// Checks the bytes of a record key, without a copy.
    ///
    /// # Errors
    /// `Data` when the key is empty, longer than [`MAX_AGGREGATE_ID_BYTES`] or not UTF-8.
    pub fn check(key: &[u8]) -> Result<&str> {
        if key.is_empty() {
            return Err(Error::data("the aggregate id (record key) is empty"));
        }
        if key.len() > MAX_AGGREGATE_ID_BYTES {
            return Err(Error::data(format!(
                "the aggregate id has {} bytes, the limit is {MAX_AGGREGATE_ID_BYTES}",
                key.len()
            )));
        }
        std::str::from_utf8(key).map_err(|e| Error::data(format!("the aggregate id is not UTF-8: {e}")))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AggregateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AggregateId {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        AggregateId::new(s)
    }
}

/// How many events an aggregate has had: its first event has version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl Version {
    /// The version of an aggregate without events.
    pub const NONE: Version = Version(0);

    /// The version `count` events later.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Version(self.0 + count)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The offset of a record in its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    /// The offset after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Offset(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct TimestampMs(pub i64);

/// The identity of a topic (Kafka's topic id, KIP-516): a topic that was
/// deleted and created again has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(&self.0, f)
    }
}

impl FromStr for TopicId {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        parse_uuid(s.as_bytes())
            .map(TopicId)
            .ok_or_else(|| Error::invalid(format!("{s:?} is not a topic id: a UUID is expected")))
    }
}

/// The id of a command: a UUID (RFC 9562). A retry carries the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub [u8; 16]);

impl CommandId {
    /// Reads the 36 characters of a UUID; letters of either case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        parse_uuid(text).map(CommandId)
    }

    /// The id of a command that came without one: derived from its place, so
    /// that a second delivery of the same record has the same id.
    pub fn of_place(topic: TopicId, partition: Partition, offset: Offset) -> Self {
        let mut id = topic.0;
        for (byte, place) in id[..4].iter_mut().zip(partition.0.to_be_bytes()) {
            *byte ^= place;
        }
        for (byte, place) in id[8..].iter_mut().zip(offset.0.to_be_bytes()) {
            *byte ^= place;
        }
        id[6] = (id[6] & 0x0f) | 0x80; // version 8: vendor-specific
        CommandId(id)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(&self.0, f)
    }
}

impl FromStr for CommandId {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        CommandId::parse(s.as_bytes()).ok_or_else(|| {
            Error::invalid(format!(
                "{s:?} is not a command id: a UUID is expected; derive one (version 5) from a key of your own"
            ))
        })
    }
}

/// The id of an event: its command's id and its place among that command's
/// events, from 0. As text `<command id>/<index>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The command that caused it.
    pub command: CommandId,
    /// Its place among the events of that command, from 0.
    pub index: u32,
}

impl EventId {
    /// Reads a UUID, `/` and a decimal number.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (command, index) = text.split_at_checked(36)?;
        let [b'/', index @ ..] = index else { return None };
        // `parse` would take a sign.
        index.first().filter(|first| first.is_ascii_digit())?;
        let index = std::str::from_utf8(index).ok()?.parse().ok()?;
        Some(EventId { command: CommandId::parse(command)?, index })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.command, self.index)
    }
}

impl FromStr for EventId {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        EventId::parse(s.as_bytes())
            .ok_or_else(|| Error::invalid(format!("{s:?} is not an event's id: `<command id>/<index>` is expected")))
    }
}

fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut out = [0u8; 16];
    let mut at = 0;
    for (i, byte) in out.iter_mut().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        *byte = hex(text[at])? << 4 | hex(text[at + 1])?;
        at += 2;
    }
    Some(out)
}

fn hex(c: u8) -> Option<u8> {
    let digit = HEX[usize::from(c)];
    (digit < 16).then_some(digit)
}

/// The value of a hexadecimal digit; 16 for every other character. A table,
/// because every command's id is read with it.
const HEX: [u8; 256] = {
    let mut table = [16; 256];
    let digits = b"0123456789abcdef";
    let mut value = 0u8;
    while value < 16 {
        let digit = digits[value as usize];
        table[digit as usize] = value;
        table[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    table
};

fn write_uuid(id: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, byte) in id.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}
