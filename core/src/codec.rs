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

/// What one stored record stands for.
///
/// Whatever is checked or counted on stored records (versions, batches,
/// positions, what is parked) goes by the record; only folds see these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<M> {
    /// The record is one of the enum's: the value itself, without an allocation.
    One(M),
    /// The record is retired: the values that its upcasters made of it, in order, perhaps none.
    Upcast(Vec<M>),
}

impl<M> Decoded<M> {
    /// The values in their order.
    pub fn as_slice(&self) -> &[M] {
        match self {
            Decoded::One(value) => std::slice::from_ref(value),
            Decoded::Upcast(values) => values,
        }
    }

    /// The values in their order.
    pub fn into_vec(self) -> Vec<M> {
        match self {
            Decoded::One(value) => vec![value],
            Decoded::Upcast(values) => values,
        }
    }

    /// The value, where there is exactly one.
    ///
    /// # Errors
    /// `Malformed` when upcasters made none or several.
    pub fn one(self) -> Result<M, DecodeError> {
        match self {
            Decoded::One(value) => Ok(value),
            Decoded::Upcast(mut values) => match (values.pop(), values.len()) {
                (Some(value), 0) => Ok(value),
                (last, before) => Err(DecodeError::Malformed(format!(
                    "the record stands for {} values, and one is wanted",
                    before + usize::from(last.is_some())
                ))),
            },
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

    /// Reads wire bytes of any version of any of the enum's records, and of
    /// those that it had before, as what their upcasters make of them.
    fn decode(&self, value: &[u8]) -> Result<Decoded<M>, DecodeError>;

    /// Reads what stands for one value, as a command does.
    ///
    /// # Errors
    /// Those of [`MessageCodec::decode`] and [`Decoded::one`].
    fn decode_one(&self, value: &[u8]) -> Result<M, DecodeError> {
        self.decode(value)?.one()
    }
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

    /// Reads the events that a stored record stands for.
    fn decode_event(&self, value: &[u8]) -> Result<Decoded<A::Event>, DecodeError>;

    /// The state's schema and fold version, in short.
    fn fingerprint(&self) -> Fingerprint;

    /// Appends a state's bytes; they are read only under the same fingerprint.
    fn encode_state(&self, state: &A, into: &mut Vec<u8>) -> Result<(), Error>;

    /// Reads a state.
    fn decode_state(&self, bytes: &[u8]) -> Result<A, Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_record_that_stands_for_one_value_is_one() {
        assert_eq!(Decoded::One(1).one(), Ok(1));
        assert_eq!(Decoded::Upcast(vec![2]).one(), Ok(2));
        for (values, count) in [(vec![], 0), (vec![1, 2, 3], 3)] {
            let why = format!("the record stands for {count} values, and one is wanted");
            assert_eq!(Decoded::<i32>::Upcast(values).one(), Err(DecodeError::Malformed(why)));
        }
    }
}
