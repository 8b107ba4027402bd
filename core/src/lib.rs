//! Factum's pure core.
//!
//! What it is: the domain API (aggregates, views, their given/when/then
//! tests), the protocol state machines (handler, tenure and fence,
//! transaction, recovery, view runtime, client retry) and the log's interface.
//!
//! What it is not: it starts no thread, reads no clock, draws no random number
//! and knows neither Kafka nor SQL nor Avro. Inputs come in as arguments,
//! effects go out as values, and a shell in another crate executes them.
//!
//! Invariant: the same inputs give the same effects, so a simulator can run
//! what production runs.

mod aggregate;
mod backoff;
mod careful;
pub mod client;
mod codec;
mod error;
pub mod handler;
mod id;
pub mod log;
pub mod measure;
mod message;
mod panic;
mod partition;
mod protections;
pub mod pulse;
mod rate;
mod record;
pub mod testing;
pub mod topics;
pub mod transaction;
pub mod transform;
pub mod view;
pub mod wire;

pub use aggregate::{Aggregate, Topics};
pub use codec::{AggregateCodec, DecodeError, Decoded, Fingerprint, MessageCodec};
pub use error::{Error, ErrorClass, ErrorKind, Result, Retry};
pub use id::{
    AggregateId, CommandId, EventId, MAX_AGGREGATE_ID_BYTES, Offset, Partition, TimestampMs, TopicId, Version,
};
pub use log::{CommitOffset, GroupEvent, Membership};
pub use message::Message;
pub use panic::panic_text;
pub use partition::{murmur2, partition_of};
pub use protections::Protections;
pub use rate::{Rate, Throttle};
pub use record::{RecordBatch, RecordBuilder, RecordRef, Topic, TopicPartition};
