//! A command on its way, and the answer to come.

use factum_core::{
    AggregateId, CommandId, Error, EventId, Result, TimestampMs, Version,
    client::Fate,
    wire::{Answer, TraceContext},
};
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
    /// The event that caused it.
    pub cause: Option<EventId>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

impl Request {
    /// A command with a new id and the defaults.
    pub fn new(aggregate: AggregateId, value: Vec<u8>) -> Self {
        Request {
            id: new_command_id(),
            aggregate,
            value,
            expected_version: None,
            occurred: None,
            correlation: None,
            cause: None,
            trace: None,
            timeout: crate::DEFAULT_TIMEOUT,
        }
    }
}

/// A command id that no other command has.
pub(crate) fn new_command_id() -> CommandId {
    CommandId(*uuid::Uuid::new_v4().as_bytes())
}

/// A trace that begins here, with the flag *sampled*: for a command whose
/// sender has no trace of its own and wants to follow it through the logs.
pub fn new_trace() -> TraceContext {
    // Both are not zero, as W3C asks: a UUID has its version in byte 6.
    let [trace_id, span] = [(); 2].map(|()| *uuid::Uuid::new_v4().as_bytes());
    let mut parent_id = [0; 8];
    parent_id.copy_from_slice(&span[..8]);
    TraceContext { trace_id, parent_id, flags: 1 }
}

/// The answer to come.
#[derive(Debug)]
pub struct Pending {
    pub(crate) aggregate: AggregateId,
    pub(crate) fate: Receiver<Result<Fate>>,
}

impl Pending {
    /// Whom the command is for.
    pub fn aggregate(&self) -> &AggregateId {
        &self.aggregate
    }

    /// Waits for the answer, at most as long as the request said.
    ///
    /// # Errors
    /// As [`Client::send`](crate::Client::send).
    pub fn wait(self) -> Result<Answer> {
        match self.fate.recv() {
            Ok(Ok(Fate::Answered(answer))) => Ok(answer),
            Ok(Err(error)) => Err(error),
            // A command that waits for its answer is never told its delivery.
            Ok(Ok(Fate::Delivered)) | Err(_) => Err(Error::unavailable("the client ended before the answer came")),
        }
    }
}
