//! Everything of one aggregate type.

use crate::{
    AvroMessage, RecordCodec, SchemaCache,
    message::{How, RecordReader, RecordWriter},
    newest::{self, Newest},
    shape,
};
use apache_avro::{AvroSchema, Schema};
use factum_core::{Aggregate, AggregateCodec, DecodeError, Decoded, Error, Fingerprint, MessageCodec, Result, Topics};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc};

/// Commands, events and states of one aggregate type. Each thread has its own;
/// a clone is cheap.
pub struct Codec<A: Aggregate> {
    commands: RecordCodec<A::Command>,
    events: RecordCodec<A::Event>,
    state: &'static Newest,
    fingerprint: Fingerprint,
}

impl<A> Codec<A>
where
    A: Aggregate + AvroSchema,
    A::Command: AvroMessage,
    A::Event: AvroMessage,
{
    /// Registers the newest schemas of commands and events under the
    /// aggregate's topics. Blocks while it asks.
    ///
    /// # Errors
    /// `Unavailable` when the registry is away, `Invalid` when it refuses a
    /// schema or a derived schema is not usable.
    pub fn open(topics: &Topics, cache: &Arc<SchemaCache>) -> Result<Self> {
        let state = newest::of_type::<A>()?;
        if let Some(retired) = A::Command::retired().first() {
            return Err(Error::invalid(format!(
                "command {} is retired, and commands are not upcast: keep it as a variant until none is on its way",
                retired.name()
            )));
        }
        Ok(Codec {
            commands: RecordCodec::for_writing(topics.commands.as_str(), cache)?,
            events: RecordCodec::for_writing(topics.events.as_str(), cache)?,
            state,
            fingerprint: Fingerprint(shape::fingerprint(&state.schema, A::FOLD_VERSION)),
        })
    }
}

impl<A: Aggregate> Codec<A> {
    /// The codec of the commands, for those who send them.
    pub fn commands(&self) -> &RecordCodec<A::Command> {
        &self.commands
    }

    /// The newest schema of the state.
    pub fn state_schema(&self) -> &'static Schema {
        &self.state.schema
    }

    /// The codec of the events.
    pub fn events(&self) -> &RecordCodec<A::Event> {
        &self.events
    }
}

impl<A> AggregateCodec<A> for Codec<A>
where
    A: Aggregate + AvroSchema + Serialize + DeserializeOwned,
    A::Command: AvroMessage,
    A::Event: AvroMessage,
{
    fn decode_command(&self, value: &[u8]) -> Result<A::Command, DecodeError> {
        self.commands.decode_one(value)
    }

    fn encode_event(&self, event: &A::Event, into: &mut Vec<u8>) -> Result<(), Error> {
        self.events.encode(event, into)
    }

    fn decode_event(&self, value: &[u8]) -> Result<Decoded<A::Event>, DecodeError> {
        self.events.decode(value)
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn encode_state(&self, state: &A, into: &mut Vec<u8>) -> Result<(), Error> {
        let before = into.len();
        let written = RecordWriter { newest: self.state, into }.write(state);
        if written.is_err() {
            into.truncate(before);
        }
        written
    }

    fn decode_state(&self, bytes: &[u8]) -> Result<A, Error> {
        let reader = RecordReader { newest: self.state, how: How::Direct, id: None, bytes };
        reader.read().map_err(|e| Error::from(e).context(format_args!("a state of {}", A::TYPE)))
    }
}

impl<A: Aggregate> Clone for Codec<A> {
    fn clone(&self) -> Self {
        Codec {
            commands: self.commands.clone(),
            events: self.events.clone(),
            state: self.state,
            fingerprint: self.fingerprint,
        }
    }
}

impl<A: Aggregate> fmt::Debug for Codec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec")
            .field("aggregate", &A::TYPE)
            .field("commands", &self.commands)
            .field("events", &self.events)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}
