//! `audit`: the events of a period.

use super::{
    connect::{LogArgs, Needs},
    output, stop_on_signal,
};
use crate::{
    App,
    journal::JOURNAL,
    service::{AuditRequest, AuditedEvent, Clock, parse_time},
};
use clap::{Args, ValueEnum};
use factum_core::{AggregateId, Error, Result, TimestampMs};
use factum_views::Database;
use std::sync::Arc;

/// Show who did what and when: the events of a period, of all aggregates.
///
/// They come in the order of their times, in pages, so that a long period needs little memory. The
/// journal answers, a built-in view; --where takes any of its columns: event_type, occurred_ms,
/// recorded_ms, command, correlation, causation, trace, source, partition, offset.
///
/// Examples:
///   factum audit --since 2026-01-31 --until 2026-02-01 --type bank.account
///   factum audit --type Withdrawn --aggregate anna --format csv
///   factum audit --by recorded --where "source like 'handler/%'" --limit 0 --format json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct AuditArgs {
    /// From that time on: RFC 3339, or a date, which begins at midnight UTC.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<TimestampMs>,
    /// Before that time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<TimestampMs>,
    /// Which of an event's two times counts: occurred or recorded.
    #[arg(long, value_name = "TIME", default_value_t)]
    by: Clock,
    /// An aggregate type, or an event by its full name or the last part of it.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// One aggregate.
    #[arg(long, value_name = "ID")]
    aggregate: Option<AggregateId>,
    /// Only events for which this holds, as for `query`.
    #[arg(long = "where", value_name = "FILTER", default_value = "")]
    filter: String,
    /// The most events that are shown; 0 shows all.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    limit: u64,
    /// How they are shown: a table, one JSON value a line, or CSV with a header.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
    /// Where the journal is: a SQLite file, or postgres://USER@HOST/DATABASE. Without it the data folder's file, with
    /// --kafka factum-views.sqlite.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

/// Events of one page.
const PAGE: usize = 1_000;

const COLUMNS: [&str; 11] = [
    "occurred",
    "recorded",
    "aggregate_type",
    "aggregate",
    "version",
    "event",
    "fields",
    "source",
    "command",
    "correlation",
    "causation",
];

/// So many of them has the table.
const SHORT: usize = 8;

pub(super) fn audit(app: &Arc<App>, args: &AuditArgs) -> Result<()> {
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        return Err(Error::invalid("--since is not before --until: nothing can be between them"));
    }
    let stop = stop_on_signal()?;
    let session = args.log.session(app, args.views.clone(), Needs::View(JOURNAL))?;
    let mut request = AuditRequest {
        since: args.since,
        until: args.until,
        by: args.by,
        kind: args.kind.clone(),
        aggregate: args.aggregate.clone(),
        filter: args.filter.clone(),
        limit: PAGE,
        after: None,
    };
    let most = if args.limit == 0 { u64::MAX } else { args.limit };
    let columns = COLUMNS.map(String::from);
    let mut printer = Printer { format: args.format, table: output::Table::new(&columns[..SHORT]), is_begun: false };
    let mut shown = 0;
    let more = loop {
        request.limit = usize::try_from(most - shown).unwrap_or(PAGE).min(PAGE);
        let found = session.service().audit(&request)?;
        tell_behind(found.behind);
        printer.print(&found.events)?;
        shown += found.events.len() as u64;
        request.after = found.next;
        if request.after.is_none() || shown >= most || stop.is_stopped() {
            break request.after.is_some();
        }
    };
    if shown == 0 {
        output::note("no event is in that period");
    } else if more {
        output::note(&format!("there are more than these {shown}: --limit 0 shows all"));
    }
    session.end()
}

/// Says that what was answered is not all that is in the log.
pub(super) fn tell_behind(records: u64) {
    if records > 0 {
        output::note(&format!("the journal is {records} records behind the log: the last events may be missing"));
    }
}

/// Prints pages, with what stands above the first one.
struct Printer<'a> {
    format: Format,
    table: output::Table<'a>,
    is_begun: bool,
}

impl Printer<'_> {
    fn print(&mut self, events: &[AuditedEvent]) -> Result<()> {
        match self.format {
            Format::Json => {
                for event in events {
                    let text = serde_json::to_string(event);
                    output::line(&text.map_err(|error| Error::data(format!("the event cannot be shown: {error}")))?);
                }
            }
            Format::Table => {
                // The ids need half a screen each; the other formats have them.
                let rows: Vec<Vec<String>> = events.iter().map(|event| cells(event)[..SHORT].to_vec()).collect();
                if !rows.is_empty() {
                    self.table.rows(&rows);
                }
            }
            Format::Csv => {
                if !self.is_begun {
                    output::line(&COLUMNS.join(","));
                }
                for event in events {
                    output::line(&cells(event).map(|cell| csv_field(&cell)).join(","));
                }
            }
        }
        self.is_begun = true;
        Ok(())
    }
}

/// A field as RFC 4180 writes it.
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// In the order of [`COLUMNS`].
fn cells(audited: &AuditedEvent) -> [String; 11] {
    let event = &audited.event;
    [
        event.occurred.clone(),
        event.recorded.clone(),
        audited.aggregate_type.clone(),
        audited.aggregate.clone(),
        event.version.to_string(),
        event.record.clone(),
        event.event.to_string(),
        event.source.clone(),
        event.command.clone(),
        event.correlation.clone(),
        event.causation.clone().unwrap_or_default(),
    ]
}
