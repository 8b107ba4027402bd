//! The rows of the journal.

use super::key;
use factum_core::view::{Recorded, RowLife, View};
use factum_schemas::StoredEvent;
use serde::{Deserialize, Serialize};

/// The view.
#[derive(Debug)]
pub(crate) struct Journal;

/// An event, by its key (`<aggregate type>/<id>/<version>`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The record's full name.
    pub(crate) event_type: String,
    /// When it occurred, milliseconds since 1970.
    pub(crate) occurred_ms: i64,
    /// When it was recorded, milliseconds since 1970.
    pub(crate) recorded_ms: i64,
    /// The id of the command that caused it.
    pub(crate) command: String,
    /// Its place among the events of that command, from 0.
    pub(crate) event_index: u32,
    /// The business conversation that it belongs to.
    pub(crate) correlation: String,
    /// The id of the event that caused its command.
    pub(crate) causation: Option<String>,
    /// The W3C trace context of its command.
    pub(crate) trace: Option<String>,
    /// Who wrote it.
    pub(crate) source: String,
    /// Its partition of the events topic.
    pub(crate) partition: u32,
    /// Its offset there.
    pub(crate) offset: i64,
    /// The wire bytes: `0x00`, schema id (4 bytes, big endian), Avro binary.
    #[serde(with = "as_bytes")]
    pub(crate) payload: Vec<u8>,
}

impl View for Journal {
    const NAME: &'static str = "journal";
    const VERSION: u32 = 1;
    /// Those of the program that hosts it.
    const INPUTS: &'static [&'static str] = &[];
    const ROW_LIFE: RowLife = RowLife::WrittenOnce;
    const INDEXES: &'static [&'static [&'static str]] = &[&["correlation"], &["occurred_ms"], &["recorded_ms"]];
    type Event = StoredEvent;
    type Row = Entry;

    fn keys(event: &Recorded<StoredEvent>) -> Vec<String> {
        vec![key::key_of(&key::start_of(&event.topic, &event.aggregate), event.version)]
    }

    fn fold(_: &str, _: Option<Entry>, event: &Recorded<StoredEvent>) -> Option<Entry> {
        Some(Entry {
            event_type: event.event.record.to_string(),
            occurred_ms: event.occurred.0,
            recorded_ms: event.recorded.0,
            command: event.command.to_string(),
            event_index: event.index,
            correlation: event.correlation.to_string(),
            causation: event.cause.map(|cause| cause.to_string()),
            trace: event.trace.map(|trace| trace.to_string()),
            source: event.source.to_string(),
            partition: event.partition.0,
            offset: event.offset.0,
            payload: event.event.value.clone(),
        })
    }
}

/// A column of bytes: a `Vec<u8>` alone is a list to serde.
pub(super) mod as_bytes {
    use serde::{Deserializer, Serializer, de};
    use std::fmt;

    pub(in crate::journal) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(in crate::journal) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        from.deserialize_byte_buf(Visitor)
    }
}
