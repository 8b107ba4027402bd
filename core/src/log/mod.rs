//! The log's interface: shaped by batches and transactions, implemented in
//! memory, on disk and on Kafka, and checked by one contract suite.
//!
//! Every call is synchronous and belongs to one thread. Nothing here decides:
//! which offsets to commit, when to abort and whom to trust is the work of the
//! state machines of this crate, so that they are the same on every log.

mod admin;
mod consumer;
mod producer;

pub use admin::{Admin, Bounds, TopicDescription, TopicSpec};
pub use consumer::{
    CommitOffset, Committed, GroupConsumer, GroupEvent, GroupOptions, GroupProtocol, Isolation, Membership, Reader,
};
pub use producer::{Delivery, Producer, TransactionOptions, TransactionalProducer, TxnError};

use crate::Result;
use std::fmt;

/// A log: hands out clients. Each client is used by one thread.
pub trait Log: Send + Sync + fmt::Debug {
    /// A client for topics, offsets and settings.
    fn admin(&self) -> Result<Box<dyn Admin>>;

    /// A member of a consumer group. Reads committed records only.
    fn group_consumer(&self, options: &GroupOptions) -> Result<Box<dyn GroupConsumer>>;

    /// A consumer of partitions that its owner names, outside any group.
    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>>;

    /// An idempotent producer without transactions.
    fn producer(&self) -> Result<Box<dyn Producer>>;

    /// A transactional producer; [`TransactionalProducer::init`] comes first.
    fn transactional_producer(&self, options: &TransactionOptions) -> Result<Box<dyn TransactionalProducer>>;
}
