//! `state`: an aggregate's state, folded from its events.

use super::{
    FormatArgs,
    connect::{LogArgs, Needs},
    output,
};
use crate::{
    App,
    service::{At, Clock, StateRequest, parse_time},
};
use clap::Args;
use factum_core::{AggregateId, Result, TimestampMs, Version};
use factum_views::Database;
use serde_json::json;
use std::sync::Arc;

/// Show an aggregate's state and version, folded from its events.
///
/// With --at-version or --at-time a past one. By the time recorded it is what was known then; by
/// the time occurred it is what is known now of then: an event that was recorded late counts from
/// when it occurred.
///
/// Examples:
///   factum state bank.account anna
///   factum state bank.account anna --at-version 3
///   factum state bank.account anna --at-time 2026-01-31T12:00:00Z --by recorded
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct StateArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// The aggregate's id.
    id: AggregateId,
    /// The state after the event of that version; 0 is before the first one.
    #[arg(long, value_name = "N", conflicts_with = "at_time")]
    at_version: Option<u64>,
    /// The state at that time: RFC 3339, or a date, which begins at midnight UTC.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at_time: Option<TimestampMs>,
    /// Which of an event's two times --at-time is: occurred or recorded.
    #[arg(long, value_name = "TIME", default_value_t, requires = "at_time")]
    by: Clock,
    /// Where the journal is, which spares reading the log: a SQLite file, or postgres://USER@HOST/DATABASE. Without it
    /// the data folder's file, with --kafka factum-views.sqlite. The answer is the same with it and without it.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn state(app: &Arc<App>, args: &StateArgs) -> Result<()> {
    app.aggregate_host(&args.aggregate_type)?;
    let session = args.log.session(app, args.views.clone(), Needs::Log)?;
    let at = match (args.at_version, args.at_time) {
        (Some(version), _) => Some(At::Version(Version(version))),
        (None, Some(time)) => Some(At::Time(time, args.by)),
        (None, None) => None,
    };
    let request = StateRequest { aggregate_type: args.aggregate_type.clone(), id: args.id.clone(), at };
    let found = session.service().state(&request)?;
    if args.format.json {
        output::line(&json!(found).to_string());
    } else if found.version == 0 {
        let then = if at.is_some() { "had no events then" } else { "has no events" };
        output::note(&format!("{} {} {then}", args.aggregate_type, args.id));
    } else {
        output::line(&format!("{} {} at version {}: {}", args.aggregate_type, args.id, found.version, found.state));
    }
    if let Some(count) = found.left_out {
        output::note(&format!("{count} events with an earlier version occurred later and are not in it"));
    }
    session.end()
}
