//! A command on its way, and the answer to come.

use factum_core::{AggregateId, CommandId, Error, Result, TimestampMs, Version, wire::Answer};
use std::{sync::mpsc::Receiver, time::Duration};

/// A command to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The command's id; a retry, also by a later process, has the same one.
    pub id: CommandId,
    /// Whom it is for.
    pub aggregate: AggregateId,
    /// The command in the Confluent wire format.
    pub value: Vec<u8>,
    /// The version that the aggregate must have.
    pub expected_version: Option<Version>,
    /// When it occurred; none: when it is handled.
    pub occurred: Option<TimestampMs>,
    /// The business conversation that it belongs to.
    pub correlation: Option<CommandId>,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

impl Request {
    /// A command with a new id and the defaults.
    pub fn new(aggregate: AggregateId, value: Vec<u8>) -> Self {
        Request {
            id: CommandId(*uuid::Uuid::new_v4().as_bytes()),
            aggregate,
            value,
            expected_version: None,
            occurred: None,
            correlation: None,
            timeout: crate::DEFAULT_TIMEOUT,
        }
    }
}

/// The answer to come.
#[derive(Debug)]
pub struct Pending(pub(crate) Receiver<Result<Answer>>);

impl Pending {
    /// Waits for the answer, at most as long as the request said.
    ///
    /// # Errors
    /// As [`Client::send`](crate::Client::send).
    pub fn wait(self) -> Result<Answer> {
        self.0.recv().unwrap_or_else(|_| Err(Error::unavailable("the client ended before the answer came")))
    }
}
