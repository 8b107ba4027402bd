//! The bank's bytes: the codecs of production, over schemas that a process
//! has to fetch before it knows them.

use crate::{fault::Fault, poison, world::World};
use factum_bank::{Account, Balances, Command, Event};
use factum_core::{
    Aggregate, AggregateCodec, DecodeError, Decoded, Error, Fingerprint, MessageCodec, Result, Topics, view::View,
    wire::Answer,
};
use factum_handler::{AnswerEncoder, SchemaFetch};
use factum_schemas::{AnswerCodec, Codec, MemoryRegistry, SchemaCache};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// The codecs, made once and used by every simulation of a thread.
#[derive(Debug, Clone)]
pub(crate) struct Bank {
    codec: Codec<Account>,
    schemas: Arc<SchemaCache>,
}

impl Bank {
    /// Registers the schemas and makes the codecs.
    ///
    /// # Errors
    /// `Invalid` when the bank's types have no usable schema.
    pub(crate) fn new() -> Result<Self> {
        let schemas = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
        Ok(Bank { codec: Codec::open(&Self::topics(), &schemas)?, schemas })
    }

    /// The bank's topics.
    pub(crate) fn topics() -> Topics {
        Topics::of(Account::TYPE)
    }

    /// What an event's record says.
    pub(crate) fn event(&self, value: &[u8]) -> Result<Event, DecodeError> {
        self.codec.decode_event(value)?.one()
    }

    /// A command's wire bytes.
    pub(crate) fn command(&self, command: &Command, into: &mut Vec<u8>) -> Result<()> {
        self.codec.commands().encode(command, into)
    }

    /// Writes answers.
    pub(crate) fn answer_encoder(&self) -> Result<AnswerEncoder> {
        let answers = AnswerCodec::for_writing(Self::topics().replies.as_str(), &self.schemas)?;
        Ok(Box::new(move |answer, into| answers.encode(answer, into)))
    }

    /// Reads answers.
    pub(crate) fn answer_decoder(&self) -> Result<impl Fn(&[u8]) -> Result<Answer, DecodeError> + Send + use<>> {
        let answers = AnswerCodec::for_reading(&self.schemas)?;
        Ok(move |value: &[u8]| answers.decode(value))
    }

    /// The codec of a process that knows no schema yet.
    pub(crate) fn process(&self) -> ProcessCodec {
        ProcessCodec { codec: self.codec.clone(), known: Known::default() }
    }
}

/// Schemas that a process has fetched.
type Known = Arc<Mutex<BTreeSet<u32>>>;

/// The codec of one process.
#[derive(Debug, Clone)]
pub(crate) struct ProcessCodec {
    codec: Codec<Account>,
    known: Known,
}

impl ProcessCodec {
    /// Fetches a schema from the registry, which may be away.
    pub(crate) fn fetch(&self, world: &Arc<World>, away: Fault) -> SchemaFetch {
        let (known, world) = (self.known.clone(), Arc::downgrade(world));
        Arc::new(move |id| {
            let world = world.upgrade().ok_or_else(|| Error::unavailable("the simulation is over"))?;
            world.ask_registry(away)?;
            known.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
            Ok(())
        })
    }

    fn check(&self, value: &[u8]) -> Result<(), DecodeError> {
        // The Confluent wire format: a zero and the schema's id.
        let Some(&[a, b, c, d]) = value.get(1..5) else { return Ok(()) };
        let id = u32::from_be_bytes([a, b, c, d]);
        match self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&id) {
            true => Ok(()),
            false => Err(DecodeError::UnknownSchema(id)),
        }
    }
}

impl AggregateCodec<Account> for ProcessCodec {
    fn decode_command(&self, value: &[u8]) -> Result<Command, DecodeError> {
        self.check(value)?;
        self.codec.decode_command(value)
    }

    fn encode_event(&self, event: &Event, into: &mut Vec<u8>) -> Result<()> {
        self.codec.encode_event(event, into)
    }

    fn decode_event(&self, value: &[u8]) -> Result<Decoded<Event>, DecodeError> {
        self.check(value)?;
        self.codec.decode_event(value)
    }

    fn fingerprint(&self) -> Fingerprint {
        self.codec.fingerprint()
    }

    fn encode_state(&self, state: &Account, into: &mut Vec<u8>) -> Result<()> {
        self.codec.encode_state(state, into)
    }

    fn decode_state(&self, bytes: &[u8]) -> Result<Account> {
        self.codec.decode_state(bytes)
    }
}

impl MessageCodec<<Balances as View>::Event> for ProcessCodec {
    fn encode(&self, message: &Event, into: &mut Vec<u8>) -> Result<()> {
        self.codec.encode_event(message, into)
    }

    fn decode(&self, value: &[u8]) -> Result<Decoded<Event>, DecodeError> {
        self.check(value)?;
        let events = self.codec.decode_event(value)?;
        events.as_slice().iter().try_for_each(poison::decodes)?;
        Ok(events)
    }
}
