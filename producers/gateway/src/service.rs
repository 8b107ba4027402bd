//! What a front asks for: one request type per verb, whoever answers it.

use crate::{Outgoing, QueryFound, QueryRequest, Stop, Tally};
use factum_core::{
    AggregateId, Error, Result, Version,
    wire::{Answer, TraceContext},
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Answers the verbs' requests.
pub trait Service: Send + Sync {
    /// Sends one command and waits for its answer.
    ///
    /// # Errors
    /// `Invalid` when there is no such aggregate type or the JSON does not fit
    /// the record; `Unavailable` when no answer came in time.
    fn publish(&self, request: &PublishRequest) -> Result<Answer>;

    /// Whether every command can be encoded; sends nothing.
    ///
    /// # Errors
    /// [`BatchError::at`] names the command that cannot be encoded.
    fn check_all(&self, request: &PublishAllRequest<'_>) -> Result<(), BatchError>;

    /// Sends many commands, of which not one is sent unless all of them can be
    /// encoded, and waits for all answers. `progress` is told how many were answered.
    ///
    /// # Errors
    /// [`BatchError::at`] names the command that cannot be encoded.
    fn publish_all(&self, request: &PublishAllRequest<'_>, progress: &mut dyn FnMut(u64)) -> Result<Tally, BatchError>;

    /// An aggregate's state.
    ///
    /// # Errors
    /// `Invalid` when there is no such aggregate type; what the log says.
    fn state(&self, request: &StateRequest) -> Result<StateFound>;

    /// An aggregate's events, oldest first.
    ///
    /// # Errors
    /// As [`Service::state`].
    fn history(&self, request: &HistoryRequest) -> Result<HistoryFound>;

    /// Rows of a view, once it has passed the positions that the request names.
    ///
    /// # Errors
    /// `Invalid` when there is no such view, it was never built, or the query or a position does not
    /// fit it; `Unavailable` when it has not passed them in time.
    fn query(&self, request: &QueryRequest) -> Result<QueryFound>;
}

/// One command.
#[derive(Debug, Clone)]
pub struct PublishRequest {
    /// The aggregate type, for example `bank.account`.
    pub aggregate_type: String,
    /// The command.
    pub command: Outgoing,
    /// The W3C trace context that it belongs to.
    pub trace: Option<TraceContext>,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

/// Many commands of one aggregate type.
pub struct PublishAllRequest<'a> {
    /// The aggregate type, for example `bank.account`.
    pub aggregate_type: String,
    /// The commands.
    pub commands: &'a dyn Commands,
    /// How long to wait for each answer.
    pub timeout: Duration,
    /// Ends the sending; what was sent is still waited for.
    pub stop: &'a Stop,
}

/// Commands that are made one at a time, so that a large file needs little memory.
pub trait Commands {
    /// How many there are.
    fn count(&self) -> usize;

    /// One of them, by its index.
    fn command(&self, index: usize) -> Outgoing;
}

impl<T> Commands for Vec<T>
where
    for<'a> Outgoing: From<&'a T>,
{
    fn count(&self) -> usize {
        self.len()
    }

    fn command(&self, index: usize) -> Outgoing {
        Outgoing::from(&self[index])
    }
}

impl fmt::Debug for PublishAllRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishAllRequest").field("aggregate_type", &self.aggregate_type).finish_non_exhaustive()
    }
}

/// Why many commands were not all sent.
#[derive(Debug)]
pub struct BatchError {
    /// The index of the command at fault; nothing was sent then.
    pub at: Option<usize>,
    /// What is wrong.
    pub error: Error,
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        BatchError { at: None, error }
    }
}

/// Whose state.
#[derive(Debug, Clone)]
pub struct StateRequest {
    /// The aggregate type, for example `bank.account`.
    pub aggregate_type: String,
    /// The aggregate.
    pub id: AggregateId,
}

/// A state, folded from all events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateFound {
    /// The aggregate.
    pub id: String,
    /// 0 for an aggregate without events.
    pub version: u64,
    /// The state, as its type is serialized.
    pub state: serde_json::Value,
}

/// Whose events.
#[derive(Debug, Clone)]
pub struct HistoryRequest {
    /// The aggregate type, for example `bank.account`.
    pub aggregate_type: String,
    /// The aggregate.
    pub id: AggregateId,
    /// Only later ones.
    pub after: Version,
    /// The most events in one answer.
    pub limit: usize,
}

/// The most events that one answer holds.
pub const MAX_EVENTS: usize = 10_000;

/// Some of an aggregate's events.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HistoryFound {
    /// Oldest first.
    pub events: Vec<EventFound>,
    /// Whether there are later ones.
    pub more: bool,
}

/// One event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventFound {
    /// The aggregate's version with it.
    pub version: u64,
    /// The record's full name.
    #[serde(rename = "type")]
    pub record: String,
    /// Its fields.
    pub event: serde_json::Value,
    /// RFC 3339.
    pub occurred: String,
    /// RFC 3339.
    pub recorded: String,
    /// The command that caused it.
    pub command: String,
    /// The business conversation that it belongs to.
    pub correlation: String,
    /// Who wrote it.
    pub source: String,
    /// Its partition of the events topic.
    pub partition: u32,
    /// Its offset there.
    pub offset: i64,
    /// The W3C trace context of its command.
    pub trace: Option<String>,
}
