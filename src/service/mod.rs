//! What the verbs ask for: one request type per verb, whoever answers it.
//!
//! [`LocalService`] answers in this process, on any log (the embedded one, one
//! in memory, Kafka). [`RemoteService`] asks the process that holds the embedded
//! log, over its HTTP interface, which in turn is a [`LocalService`] behind
//! [`router`].

mod http;
mod local;
mod remote;

pub(crate) use http::router;
pub(crate) use local::{LocalService, query_database};
pub(crate) use remote::RemoteService;

use crate::{
    host::Stop,
    import::ImportRow,
    send::{Outgoing, Tally},
};
use factum_core::{
    AggregateId, Error, Result, TimestampMs, Version,
    wire::{Answer, TraceContext},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Answers the verbs' requests.
pub(crate) trait Service {
    /// Sends one command and waits for its answer.
    ///
    /// # Errors
    /// `Invalid` when there is no such aggregate type or the JSON does not fit
    /// the record; `Unavailable` when no answer came in time.
    fn publish(&self, request: &PublishRequest) -> Result<Answer>;

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

    /// The rows of a view, by key.
    ///
    /// # Errors
    /// `Invalid` when there is no such view, or the filter does not fit it.
    fn query(&self, request: &QueryRequest) -> Result<QueryFound>;
}

/// One command.
#[derive(Debug, Clone)]
pub(crate) struct PublishRequest {
    pub(crate) aggregate_type: String,
    pub(crate) command: Outgoing,
    /// The W3C trace context that it belongs to.
    pub(crate) trace: Option<TraceContext>,
    /// How long to wait for the answer.
    pub(crate) timeout: Duration,
}

/// Many commands of one aggregate type.
pub(crate) struct PublishAllRequest<'a> {
    pub(crate) aggregate_type: String,
    pub(crate) commands: &'a dyn Commands,
    /// How long to wait for each answer.
    pub(crate) timeout: Duration,
    /// Ends the sending; what was sent is still waited for.
    pub(crate) stop: &'a Stop,
}

/// Commands that are made one at a time, so that a large file needs little memory.
pub(crate) trait Commands {
    /// How many there are.
    fn count(&self) -> usize;

    /// One of them, by its index.
    fn command(&self, index: usize) -> Outgoing;
}

impl Commands for Vec<ImportRow> {
    fn count(&self) -> usize {
        self.len()
    }

    fn command(&self, index: usize) -> Outgoing {
        Outgoing::from(&self[index])
    }
}

impl Commands for Vec<Outgoing> {
    fn count(&self) -> usize {
        self.len()
    }

    fn command(&self, index: usize) -> Outgoing {
        self[index].clone()
    }
}

/// Why many commands were not all sent.
#[derive(Debug)]
pub(crate) struct BatchError {
    /// The index of the command at fault; nothing was sent then.
    pub(crate) at: Option<usize>,
    pub(crate) error: Error,
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        BatchError { at: None, error }
    }
}

/// Whose state.
#[derive(Debug, Clone)]
pub(crate) struct StateRequest {
    pub(crate) aggregate_type: String,
    pub(crate) id: AggregateId,
}

/// A state, folded from all events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StateFound {
    pub(crate) id: String,
    /// 0 for an aggregate without events.
    pub(crate) version: u64,
    pub(crate) state: serde_json::Value,
}

/// Whose events.
#[derive(Debug, Clone)]
pub(crate) struct HistoryRequest {
    pub(crate) aggregate_type: String,
    pub(crate) id: AggregateId,
    /// Only later ones.
    pub(crate) after: Version,
    /// The most events in one answer.
    pub(crate) limit: usize,
}

/// The most events that one answer holds.
pub(crate) const MAX_EVENTS: usize = 10_000;

/// Some of an aggregate's events.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct HistoryFound {
    pub(crate) events: Vec<EventFound>,
    /// Whether there are later ones.
    pub(crate) more: bool,
}

/// One event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EventFound {
    pub(crate) version: u64,
    /// The record's full name.
    #[serde(rename = "type")]
    pub(crate) record: String,
    /// Its fields.
    pub(crate) event: serde_json::Value,
    /// RFC 3339.
    pub(crate) occurred: String,
    /// RFC 3339.
    pub(crate) recorded: String,
    /// The command that caused it.
    pub(crate) command: String,
    pub(crate) correlation: String,
    /// Who wrote it.
    pub(crate) source: String,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    /// The W3C trace context of its command.
    pub(crate) trace: Option<String>,
}

/// Which rows.
#[derive(Debug, Clone)]
pub(crate) struct QueryRequest {
    pub(crate) view: String,
    /// As of `--where`; empty for all rows.
    pub(crate) filter: String,
    /// The most rows in the answer.
    pub(crate) limit: usize,
}

/// The most rows that one answer holds.
pub(crate) const MAX_ROWS: usize = 10_000;

/// Rows of a view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct QueryFound {
    pub(crate) view: String,
    /// The columns' names, the key first.
    pub(crate) columns: Vec<String>,
    /// The columns' values in their order; bytes as hexadecimal text.
    pub(crate) rows: Vec<Vec<serde_json::Value>>,
}

/// A command as JSON, one of many.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandBody {
    pub(crate) aggregate: String,
    pub(crate) command: String,
    pub(crate) fields: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) occurred_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expected_version: Option<u64>,
}

impl From<&Outgoing> for CommandBody {
    fn from(command: &Outgoing) -> Self {
        CommandBody {
            aggregate: command.aggregate.as_str().to_owned(),
            command: command.record.clone(),
            fields: command.fields.clone(),
            id: command.id.map(|id| id.to_string()),
            occurred_ms: command.occurred.map(|time| time.0),
            expected_version: command.expected_version.map(|version| version.0),
        }
    }
}

impl TryFrom<CommandBody> for Outgoing {
    type Error = Error;
    fn try_from(body: CommandBody) -> Result<Self> {
        Ok(Outgoing {
            id: body.id.map(|id| id.parse()).transpose()?,
            aggregate: AggregateId::new(body.aggregate).map_err(|error| Error::invalid(error.to_string()))?,
            record: body.command,
            fields: body.fields,
            occurred: body.occurred_ms.map(TimestampMs),
            expected_version: body.expected_version.map(Version),
        })
    }
}
