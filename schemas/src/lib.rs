//! Avro contracts of Factum: codec, schema registry, schema files.
//!
//! What it is: the values of commands, events, snapshots and answers as bytes
//! (Confluent's wire format: `0x00`, schema id in 4 bytes big endian, Avro
//! binary of one record), the registry that gives schemas their ids, a cache in
//! front of it that survives a restart, and the check that a Rust type and its
//! committed `.avsc` files agree.
//!
//! What it is not: it does not know topics' settings, clients or threads, and
//! its registry client is blocking: not for a tokio thread (see [`HttpRegistry`]).
//!
//! Invariant: bytes that decode at all decode completely; truncated, trailing
//! or hostile bytes are [`Malformed`](factum_core::DecodeError::Malformed),
//! never a panic and never a value with parts missing.
//!
//! ```
//! use factum_core::{DecodeError, Error, Message, MessageCodec};
//! use factum_schemas::{AvroMessage, MemoryRegistry, Record, RecordCodec, RecordReader, RecordWriter, Schema, SchemaCache};
//! use std::sync::Arc;
//!
//! // What `#[event("bank.account")]` and `#[event]` write, by hand.
//! #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
//! #[avro(namespace = "bank.account")]
//! struct Deposited { cents: i64 }
//! impl Record for Deposited {
//!     const NAME: &'static str = "bank.account.Deposited";
//! }
//!
//! #[derive(Debug, Clone, PartialEq)]
//! enum Event { Deposited(Deposited) }
//! impl Message for Event {
//!     const RECORDS: &'static [&'static str] = &[Deposited::NAME];
//!     fn record(&self) -> usize {
//!         match self { Event::Deposited(_) => 0 }
//!     }
//! }
//! impl AvroMessage for Event {
//!     fn schemas() -> Vec<Schema> {
//!         vec![factum_schemas::schema_of::<Deposited>()]
//!     }
//!     fn write(&self, to: RecordWriter<'_>) -> Result<(), Error> {
//!         match self { Event::Deposited(record) => to.write(record) }
//!     }
//!     fn read(_record: usize, from: RecordReader<'_>) -> Result<Self, DecodeError> {
//!         from.read().map(Event::Deposited)
//!     }
//! }
//!
//! let cache = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
//! let codec = RecordCodec::<Event>::for_writing("bank.account.events", &cache)?;
//! let mut bytes = Vec::new();
//! codec.encode(&Event::Deposited(Deposited { cents: 100 }), &mut bytes)?;
//! assert_eq!(bytes, [0, 0, 0, 0, 1, 200, 1]);
//! assert_eq!(codec.decode_one(&bytes)?, Event::Deposited(Deposited { cents: 100 }));
//! # Ok::<(), factum_core::Error>(())
//! ```

mod bounds;
mod cache;
mod codec;
mod committed;
mod compare;
mod deprecation;
mod disk;
mod frame;
mod json;
mod message;
mod mistakes;
mod newest;
mod parse;
pub mod plain;
mod plan;
mod registry;
mod resolution;
pub mod rules;
mod shape;
mod stored;
mod traps;
mod upcast;

pub use apache_avro::{AvroSchema, Schema};
pub use cache::SchemaCache;
pub use codec::{AnswerCodec, Codec, RecordCodec};
pub use committed::{
    Breach, CommittedRecord, CommittedVersion, Report, between, check_committed, check_messages, clashes, committed,
};
pub use compare::{Rollout, changes};
pub use deprecation::{Deprecation, deprecations};
pub use disk::MAX_SCHEMA_BYTES;
pub use factum_derive::{command, event};
pub use json::{MAX_JSON_DEPTH, json_schema, parse_json};
pub use message::{AvroMessage, Record, RecordReader, RecordWriter, marked, schema_of};
pub use mistakes::{Mistake, mistakes};
pub use newest::{newest_schema, newest_schemas, retired_schemas};
pub use parse::parse_schema;
pub use registry::{
    Access, Credentials, HttpRegistry, LogRegistry, MemoryRegistry, RegisteredVersion, Registry, RegistryClient,
    SCHEMAS_TOPIC, subject,
};
pub use shape::{compact, pretty, same};
pub use stored::StoredEvent;
pub use upcast::{MAX_UPCAST_EVENTS, Retired, Successor, Upcast, Upcasted};
