//! What a front asks for: one request type per verb, whoever answers it.

use crate::{
    At, AuditFound, AuditRequest, CausesFound, FollowRequest, Outgoing, Outlet, QueryFound, QueryRequest, Stop, Tally,
};
use factum_core::{
    AggregateId, CommandId, Error, EventId, Result, Version,
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

    /// An aggregate's state, now or at a point in its past.
    ///
    /// # Errors
    /// `Invalid` when there is no such aggregate type or version, or the time is
    /// in the future; what the log says.
    fn state(&self, request: &StateRequest) -> Result<StateFound>;

    /// An aggregate's events, oldest first.
    ///
    /// # Errors
    /// As [`Service::state`].
    fn history(&self, request: &HistoryRequest) -> Result<HistoryFound>;

    /// The events of a period, a page of them.
    ///
    /// # Errors
    /// `Invalid` when there is no such aggregate type or record, no journal, or
    /// the filter does not fit.
    fn audit(&self, request: &AuditRequest) -> Result<AuditFound>;

    /// Everything that belongs to a conversation: its commands under the events that caused them.
    ///
    /// # Errors
    /// `Invalid` when there is no journal.
    fn causes(&self, correlation: CommandId) -> Result<CausesFound>;

    /// Rows of a view, once it has passed the positions that the request names.
    ///
    /// # Errors
    /// `Invalid` when there is no such view, it was never built, or the query or a position does not
    /// fit it; `Unavailable` when it has not passed them in time.
    fn query(&self, request: &QueryRequest) -> Result<QueryFound>;
}

/// What HTTP asks for beside it.
pub trait Backend: Service {
    /// Sends one command and waits until the log has it; gives the command's id.
    ///
    /// # Errors
    /// As [`Service::publish`], where the log takes the place of the handler.
    fn submit(&self, request: &PublishRequest) -> Result<CommandId>;

    /// How a command was accepted, as its aggregate's events tell; none when
    /// there is no event of it.
    ///
    /// # Errors
    /// As [`Service::state`].
    fn outcome(&self, request: &OutcomeRequest) -> Result<Option<Answer>>;

    /// Begins to put live updates into the outlet, until the stream is gone. It waits for no client: one that is
    /// slower than what is new is told so, and its stream ends.
    ///
    /// # Errors
    /// `Invalid` for a position of another topic or outside of the log; what the log says.
    fn follow(&self, request: &FollowRequest, outlet: Outlet) -> Result<()>;
}

/// Which command.
#[derive(Debug, Clone)]
pub struct OutcomeRequest {
    /// The aggregate type.
    pub aggregate_type: String,
    /// The aggregate.
    pub id: AggregateId,
    /// The command.
    pub command: CommandId,
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
    /// The business conversation that it belongs to; none begins one with its id.
    pub correlation: Option<CommandId>,
    /// The event that caused it.
    pub cause: Option<EventId>,
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
    /// At which point in its past; none for now.
    pub at: Option<At>,
}

/// A state, folded from events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateFound {
    /// The aggregate.
    pub id: String,
    /// 0 for an aggregate without events.
    pub version: u64,
    /// The state, told by its schema as commands and events are.
    pub state: serde_json::Value,
    /// Of a past state: how many events were folded on top of a state that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded: Option<u64>,
    /// Of a past state by the time occurred: how many events with an earlier
    /// version occurred later and are not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
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
    /// Its id: the command that caused it, `/`, and its place among that command's events, from 0.
    pub id: String,
    /// The command that caused it.
    pub command: String,
    /// The business conversation that it belongs to.
    pub correlation: String,
    /// The id of the event that caused its command, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// Who wrote it.
    pub source: String,
    /// Its partition of the events topic.
    pub partition: u32,
    /// Its offset there.
    pub offset: i64,
    /// The W3C trace context of its command.
    pub trace: Option<String>,
}
