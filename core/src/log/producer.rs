//! Writing: idempotent, or in transactions that carry offsets.

use crate::{Error, Membership, Offset, RecordBatch, Result};
use std::{fmt, time::Duration};

use super::CommitOffset;

/// How a transactional producer is known to the log.
#[derive(Debug, Clone)]
pub struct TransactionOptions {
    /// The transactional id. It only aborts a predecessor's open transaction
    /// early; what fences is the group's generation.
    pub transactional_id: String,
    /// After this time the log aborts a transaction that was left open.
    pub timeout: Duration,
}

/// The fate of one produced record, told once.
#[derive(Debug)]
pub struct Delivery {
    /// The number that [`Producer::produce`] gave it.
    pub sequence: u64,
    /// The record's offset.
    pub result: Result<Offset>,
}

/// An idempotent producer without transactions.
pub trait Producer: Send + fmt::Debug {
    /// Takes the records of a batch, each to its own partition, and returns
    /// the sequence number of the first; the others follow by ones. Waits
    /// while the queue is full.
    ///
    /// # Errors
    /// `Invalid` for a record that the log will never take (unknown topic,
    /// too large): the records before it are taken, it and those after are not.
    fn produce(&mut self, records: &RecordBatch) -> Result<u64>;

    /// Serves delivery reports, waiting up to `timeout` for the first.
    fn poll(&mut self, timeout: Duration, into: &mut Vec<Delivery>) -> Result<()>;

    /// Records taken whose fate is not known yet.
    fn in_flight(&self) -> usize;

    /// Waits until nothing is in flight, at most `timeout`; the reports are lost.
    fn flush(&mut self, timeout: Duration) -> Result<()>;
}

/// Why a step of a transaction failed, named by what is to be done.
#[derive(Debug)]
pub enum TxnError {
    /// The same step again.
    Retry(Error),
    /// Abort the transaction; the producer stays usable.
    Abort(Error),
    /// The group refused this member's generation: abort, then poll.
    StaleMember(Error),
    /// The producer is fenced or broken: new client objects.
    Fatal(Error),
}

impl TxnError {
    /// The error without its class.
    pub fn into_error(self) -> Error {
        match self {
            TxnError::Retry(e) | TxnError::Abort(e) | TxnError::StaleMember(e) | TxnError::Fatal(e) => e,
        }
    }

    /// The error without its class.
    pub fn error(&self) -> &Error {
        match self {
            TxnError::Retry(e) | TxnError::Abort(e) | TxnError::StaleMember(e) | TxnError::Fatal(e) => e,
        }
    }
}

impl fmt::Display for TxnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

/// A transactional producer (KIP-98, KIP-447).
pub trait TransactionalProducer: Send + fmt::Debug {
    /// Registers the transactional id; aborts what a predecessor left open.
    fn init(&mut self) -> Result<(), TxnError>;

    /// Opens a transaction.
    fn begin(&mut self) -> Result<(), TxnError>;

    /// Hands over every record of the batch, each to its own partition.
    fn produce(&mut self, records: &RecordBatch) -> Result<(), TxnError>;

    /// Waits until the log has every record and appends their offsets, in the batch's order.
    fn deliver(&mut self, offsets: &mut Vec<Offset>) -> Result<(), TxnError>;

    /// Adds a group's offsets to the transaction, fenced by `member`.
    fn send_offsets(&mut self, member: &Membership, offsets: &[CommitOffset]) -> Result<(), TxnError>;

    /// Commits. After any other error than [`TxnError::Retry`] the outcome is unknown.
    fn commit(&mut self) -> Result<(), TxnError>;

    /// Aborts.
    fn abort(&mut self) -> Result<(), TxnError>;
}
