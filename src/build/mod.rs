//! Folding a view's log again: to build the view anew, to see it as it stood,
//! to find where it drifted from its log.

mod run;
mod tables;

pub(crate) use run::build;
pub(crate) use tables::{Beside, Listed, drop_tables, list, roll_back};

use crate::host::rfc3339;
use factum_core::{TimestampMs, view::Value};
use factum_views::{AsOf, Difference, Parity, RebuildProgress};
use std::{num::NonZeroU32, time::Duration};

/// Events a second of a rebuild that nobody told another rate: so few that a
/// live view in the same database stays less than two seconds behind.
pub(crate) const DEFAULT_RATE: u32 = 20_000;

/// What is to be built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plan<'a> {
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
        into: &'a str,
    },
    /// Only a comparison.
    Verify {
        /// About so many rows; none for all.
        sample: Option<u64>,
    },
}

/// What is to be built of which view, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildRequest<'a> {
    /// The view's name.
    pub(crate) view: &'a str,
    pub(crate) plan: Plan<'a>,
    /// Events a second at most; none for no limit.
    pub(crate) rate: Option<NonZeroU32>,
    /// The most differing rows that are told.
    pub(crate) limit: usize,
}

/// What is heard while it is built.
#[derive(Debug)]
pub(crate) enum Told<'a> {
    Progress(&'a RebuildProgress),
    Note(&'a str),
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Built {
    /// The table that was written.
    pub(crate) table: String,
    /// Against the live table; none where there is none to compare with, or it was not asked for.
    pub(crate) parity: Option<Parity>,
    /// Whether the new tables are the live ones now.
    pub(crate) is_live: bool,
    /// Events that this process folded, and how long that took.
    pub(crate) events: u64,
    pub(crate) folding: Duration,
    /// How long the live view was held still.
    pub(crate) held: Duration,
}

/// A row that differs, in words.
pub(crate) fn difference(difference: &Difference, columns: &[String]) -> String {
    let row = |values: &[Value]| {
        let values: Vec<String> = columns.iter().zip(values).map(|(name, value)| format!("{name}={value}")).collect();
        values.join(" ")
    };
    let Difference { key, live, folded } = difference;
    match (live, folded) {
        (Some(live), Some(folded)) => {
            let changed: Vec<String> = columns
                .iter()
                .zip(live.iter().zip(folded))
                .filter(|(_, (live, folded))| live != folded)
                .map(|(name, (live, folded))| format!("{name}={live}, and its log gives {folded}"))
                .collect();
            format!("altered {key:?}: {}", changed.join("; "))
        }
        (None, Some(folded)) => format!("missing {key:?}: its log gives {}", row(folded)),
        (Some(live), None) => format!("extra   {key:?}: {}", row(live)),
        (None, None) => format!("{key:?}"),
    }
}

/// A time in words.
pub(crate) fn as_of(as_of: AsOf) -> String {
    let (how, TimestampMs(time)) = match as_of {
        AsOf::Recorded(time) => ("been recorded", time),
        AsOf::Occurred(time) => ("occurred", time),
    };
    format!("with what had {how} by {}", rfc3339(TimestampMs(time)))
}
