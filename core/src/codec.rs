//! Between values and bytes: what the state machines need of a codec.
//!
//! The codec itself (Avro in the Confluent wire format) is the crate
//! `factum-schemas`; the core knows no schema language.

use crate::{Aggregate, Error, Message};
use std::fmt;

/// Why bytes could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The schema of this id is not known yet: fetch it and try again.
    UnknownSchema(u32),
    /// The schema is known and names a record that this enum has not.
    UnknownRecord(String),
    /// The bytes are not what they say, now or later.
    Malformed(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::UnknownSchema(id) => write!(f, "schema id {id} is not known yet"),
            DecodeError::UnknownRecord(name) => write!(f, "record type {name} is not one of this topic's"),
            DecodeError::Malformed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::UnknownSchema(_) => Error::unavailable(error.to_string()),
            _ => Error::data(error.to_string()),
        }
    }
}

/// Encodes and decodes the records of one enum.
pub trait MessageCodec<M: Message>: Send {
    /// Appends the wire bytes of a value.
    ///
    /// # Errors
    /// `Data` when the value does not fit its schema; `into` is then as before.
    fn encode(&self, message: &M, into: &mut Vec<u8>) -> Result<(), Error>;

    /// Reads wire bytes of any version of any of the enum's records.
    fn decode(&self, value: &[u8]) -> Result<M, DecodeError>;
}

/// Identifies the schema of a state and the version of its fold: snapshots are
/// kept by it, so that two versions of the code can run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Encodes and decodes everything of one aggregate type.
pub trait AggregateCodec<A: Aggregate>: Send {
    /// Reads a command.
    fn decode_command(&self, value: &[u8]) -> Result<A::Command, DecodeError>;

    /// Appends an event's wire bytes.
    fn encode_event(&self, event: &A::Event, into: &mut Vec<u8>) -> Result<(), Error>;

    /// Reads an event.
    fn decode_event(&self, value: &[u8]) -> Result<A::Event, DecodeError>;

    /// The state's schema and fold version, in short.
    fn fingerprint(&self) -> Fingerprint;

    /// Appends a state's bytes; they are read only under the same fingerprint.
    fn encode_state(&self, state: &A, into: &mut Vec<u8>) -> Result<(), Error>;

    /// Reads a state.
    fn decode_state(&self, bytes: &[u8]) -> Result<A, Error>;
}
