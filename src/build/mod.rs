//! Folding a view's log again: to build the view anew, to see it as it stood,
//! to find where it drifted from its log.
//!
//! What verbs ask for are errands: they are done in this process, or in the one
//! that holds the embedded log.

mod compared;
mod errands;
mod run;
mod tables;

pub(crate) use compared::Compared;
pub(crate) use errands::{BuildTables, DropTables, ListTables, RollBack, errands};
pub(crate) use run::build;
pub(crate) use tables::{Beside, Listed};

use crate::host::rfc3339;
use factum_core::TimestampMs;
use factum_views::{AsOf, RebuildProgress};
use serde::{Deserialize, Serialize};
use std::{num::NonZeroU32, time::Duration};

/// Events a second of a rebuild that nobody told another rate: so few that a
/// live view in the same database stays less than two seconds behind.
pub(crate) const DEFAULT_RATE: u32 = 20_000;

/// What is to be built.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Plan {
    /// New tables for the live view.
    Rebuild {
        /// What an earlier process left is thrown away.
        anew: bool,
        /// They take the live ones' place although their rows differ.
        allow_diff: bool,
    },
    /// The view as it stood, in tables that stay beside the live ones.
    AsOf {
        /// When, and by which of an event's two times.
        as_of: AsOf,
        /// The suffix of the tables.
        into: String,
    },
    /// Only a comparison.
    Verify {
        /// About so many rows; none for all.
        sample: Option<u64>,
    },
}

/// What is to be built, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuildRequest {
    pub(crate) plan: Plan,
    /// Events a second at most; none for no limit.
    pub(crate) rate: Option<NonZeroU32>,
    /// The most differing rows that are told.
    pub(crate) limit: usize,
}

/// What is heard while it is built.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    Progress(RebuildProgress),
    Note(String),
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Built {
    /// The table that was written.
    pub(crate) table: String,
    /// Against the live table; none where there is none to compare with, or it was not asked for.
    pub(crate) compared: Option<Compared>,
    /// Whether the new tables are the live ones now.
    pub(crate) is_live: bool,
    /// Events that this process folded, and how long that took.
    pub(crate) events: u64,
    pub(crate) folding: Duration,
    /// Aggregates with an event that could not be folded.
    pub(crate) parked: u64,
    /// How long the live view was held still.
    pub(crate) held: Duration,
}

/// A time in words.
pub(crate) fn as_of(as_of: AsOf) -> String {
    let (how, TimestampMs(time)) = match as_of {
        AsOf::Recorded(time) => ("been recorded", time),
        AsOf::Occurred(time) => ("occurred", time),
    };
    format!("with what had {how} by {}", rfc3339(TimestampMs(time)))
}
