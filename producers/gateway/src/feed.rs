//! Live updates, as whoever reads the log gives them.

use factum_core::{AggregateId, Result};
use std::time::Duration;

/// Whose updates, and from where.
#[derive(Debug, Clone)]
pub struct FollowRequest {
    /// Whose.
    pub what: Followed,
    /// Positions as a feed tells them, or a command's position token: behind these. Partitions that
    /// are not named, and all of them without it, begin at the end as it is now.
    pub from: Option<String>,
}

/// What is followed.
#[derive(Debug, Clone)]
pub enum Followed {
    /// The events of an aggregate.
    Aggregate {
        /// Its type.
        aggregate_type: String,
        /// Its id.
        id: AggregateId,
    },
    /// The rows of a view that events touch.
    View(String),
}

/// Updates from the log. It keeps nothing but its position: another process goes on from there.
pub trait Feed: Send {
    /// The updates of the next records, waiting so long for the first of them; none is no end.
    ///
    /// # Errors
    /// What the log says; `Unavailable` also when a view does not come to what was read.
    fn next(&mut self, wait: Duration) -> Result<Vec<Update>>;

    /// Behind everything that [`Feed::next`] gave.
    fn position(&self) -> String;
}

/// One update.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// What it is: `event` or `change`.
    pub name: &'static str,
    /// What is new.
    pub data: serde_json::Value,
    /// From where a feed goes on behind it; none where others follow from the same records.
    pub position: Option<String>,
}
