//! An event as it is stored.

use crate::{AvroMessage, RecordReader, RecordWriter};
use apache_avro::Schema;
use factum_core::{DecodeError, Error, Message, Result};
use std::sync::Arc;

/// An event of any record type, with its bytes: for readers that keep events
/// without knowing them. Nothing is decoded but the name of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The record's full name.
    pub record: Arc<str>,
    /// The wire bytes: `0x00`, schema id (4 bytes, big endian), Avro binary.
    pub value: Vec<u8>,
}

impl Message for StoredEvent {
    const RECORDS: &'static [&'static str] = &[];

    fn record(&self) -> usize {
        0
    }
}

impl AvroMessage for StoredEvent {
    fn schemas() -> Vec<Schema> {
        Vec::new()
    }

    fn write(&self, _: RecordWriter<'_>) -> Result<(), Error> {
        Err(Error::invalid(format!("{} as it is stored is not written again", self.record)))
    }

    fn read(_: usize, _: RecordReader<'_>) -> Result<Self, DecodeError> {
        Err(DecodeError::Malformed("an event as it is stored is no record of its own".into()))
    }

    fn foreign(name: &Arc<str>, value: &[u8]) -> Option<Self> {
        Some(StoredEvent { record: name.clone(), value: value.to_vec() })
    }
}
