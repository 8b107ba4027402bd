//! What is asked of the journal: the events of a period, and those of a conversation.

use crate::{Clock, EventFound};
use factum_core::{AggregateId, TimestampMs};
use serde::{Deserialize, Serialize};

/// The most events of one page of an audit.
pub const MAX_AUDIT_EVENTS: usize = 10_000;

/// The most events of a conversation that are shown.
pub const MAX_CAUSED_EVENTS: usize = 10_000;

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct AuditRequest {
    /// From that time on.
    pub since: Option<TimestampMs>,
    /// Before that time.
    pub until: Option<TimestampMs>,
    /// By which of an event's times, for both and for the order.
    pub by: Clock,
    /// Of an aggregate type, or a record by its full name or the last part of it.
    pub kind: Option<String>,
    /// Of one aggregate; `kind` names its type where there are several.
    pub aggregate: Option<AggregateId>,
    /// Only rows of the journal for which this holds; empty for all.
    pub filter: String,
    /// The most events of the page.
    pub limit: usize,
    /// The page after another one.
    pub after: Option<String>,
}

/// An event with its aggregate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditedEvent {
    /// The aggregate type.
    pub aggregate_type: String,
    /// The aggregate.
    pub aggregate: String,
    /// The event.
    #[serde(flatten)]
    pub event: EventFound,
}

/// A page of the events of a period, in the order of their times.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AuditFound {
    /// The events.
    pub events: Vec<AuditedEvent>,
    /// What to ask for the next page with; none if there is none.
    pub next: Option<String>,
    /// How many records the journal was behind the log when it was asked; 0: it has all.
    pub behind: u64,
}

/// Everything that belongs to a conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CausesFound {
    /// The correlation id.
    pub correlation: String,
    /// Its commands with their events: each stands behind the command whose event caused it, one level deeper.
    pub commands: Vec<CausedCommand>,
    /// Whether there are more events than were shown.
    pub more: bool,
    /// As in [`AuditFound`].
    pub behind: u64,
}

/// A command that caused events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CausedCommand {
    /// How many events and commands led to it: 0 for one that no event of the conversation caused.
    pub depth: usize,
    /// Its id.
    pub command: String,
    /// The id of the event that caused it.
    pub causation: Option<String>,
    /// The type of the aggregate that it changed.
    pub aggregate_type: String,
    /// That aggregate.
    pub aggregate: String,
    /// Its events.
    pub events: Vec<EventFound>,
}
