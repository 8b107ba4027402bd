//! Commands whose types are not known, given as JSON.

use factum_core::{AggregateId, CommandId, Error, Result, TimestampMs, Version};
use serde::{Deserialize, Serialize};

/// A command on its way to the client.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its id; none for a new one.
    pub id: Option<CommandId>,
    /// Whom it is for.
    pub aggregate: AggregateId,
    /// Its record: the full name or the last part.
    pub record: String,
    /// The record as JSON.
    pub fields: serde_json::Value,
    /// When it occurred.
    pub occurred: Option<TimestampMs>,
    /// The version that the aggregate must have.
    pub expected_version: Option<Version>,
}

impl Outgoing {
    /// A new command that occurs when it is handled, whatever the aggregate's version.
    pub fn new(aggregate: AggregateId, record: impl Into<String>, fields: serde_json::Value) -> Self {
        Outgoing { id: None, aggregate, record: record.into(), fields, occurred: None, expected_version: None }
    }
}

impl From<&Outgoing> for Outgoing {
    fn from(command: &Outgoing) -> Self {
        command.clone()
    }
}

/// A command as JSON, one of many.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandBody {
    /// Whom it is for.
    pub aggregate: String,
    /// Its record: the full name or the last part.
    pub command: String,
    /// The record as JSON.
    pub fields: serde_json::Value,
    /// Its id; none for a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_ms: Option<i64>,
    /// The version that the aggregate must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
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
