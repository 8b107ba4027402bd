//! `parked list` and `parked show`.

use super::{CAUSE_CHARACTERS, Filters, FormatArgs, Which, as_json, for_each, nothing_parked};
use crate::{
    App,
    cli::output,
    environment::Environment,
    history::{event_json, read_range},
    host::rfc3339,
};
use clap::Args;
use factum_core::{AggregateId, Error, Offset, Result, log::Isolation, view::Parked};
use serde_json::json;
use std::ops::ControlFlow;

/// List the aggregates that a view has parked, and why.
///
/// It only reads the view's database, also while the view runs.
///
/// Examples:
///   factum parked list balances --kafka localhost:9092
///   factum parked list balances --partition 3 --cause "cannot be decoded" --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    filters: Filters,
    /// The most aggregates that are listed.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    format: FormatArgs,
}

/// Show the parked records of one aggregate, with what is in them.
///
/// Example: factum parked show balances --key acc-7 --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// The aggregate.
    #[arg(long, value_name = "ID")]
    key: String,
    /// The most records that are shown.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    format: FormatArgs,
}

pub(in crate::cli) fn list(app: &App, args: &ListArgs) -> Result<()> {
    let mut sink = args.which.database()?.open(args.which.host(app)?.table()?)?;
    let filter = args.filters.filter(&mut *sink)?;
    let columns = ["key", "record", "version", "records", "tried", "since", "why"].map(str::to_owned);
    let mut rows = Vec::new();
    let seen = for_each(&mut *sink, &filter, args.limit, |key| {
        if args.format.json {
            output::line(&as_json(key).to_string());
            return Ok(());
        }
        let first = &key.first;
        rows.push(vec![
            first.aggregate.to_string(),
            format!("{}@{}", first.place, first.offset),
            first.version.to_string(),
            key.records.to_string(),
            first.attempts.to_string(),
            rfc3339(first.at),
            short(&first.cause),
        ]);
        Ok(())
    })?;
    if args.format.json {
        return Ok(());
    }
    if rows.is_empty() {
        output::line(&nothing_parked(&args.which.view, &args.filters));
        return Ok(());
    }
    output::table(&columns, &rows);
    let all: u64 = sink.count_parked()?.values().sum();
    output::note(&format!(
        "{seen} of {all} parked aggregates; `parked redrive {}` tries them again, `parked drop` gives one up",
        args.which.view
    ));
    Ok(())
}

pub(in crate::cli) fn show(app: &App, args: &ShowArgs) -> Result<()> {
    let view = &args.which.view;
    let mut sink = args.which.database()?.open(args.which.host(app)?.table()?)?;
    let aggregate = AggregateId::new(args.key.clone()).map_err(|error| Error::invalid(format!("--key: {error}")))?;
    let filters = Filters { key: Some(args.key.clone()), partition: None, cause: None };
    let filter = filters.filter(&mut *sink)?;
    let mut keys = Vec::new();
    for_each(&mut *sink, &filter, usize::MAX, |key| {
        keys.push(key.clone());
        Ok(())
    })?;
    if keys.is_empty() {
        return Err(Error::invalid(format!("{aggregate} of view {view} is not parked")));
    }
    let (environment, _) = args.which.log.at_rest("parked show")?;
    for key in keys {
        let first = &key.first;
        if !args.format.json {
            output::line(&format!("{aggregate} of {view}: {} records, tried {} times", key.records, first.attempts));
            output::line(&format!("why: {}", first.cause));
        }
        for record in sink.parked_records(&first.place.topic, &aggregate, None, args.limit)? {
            let content = content(&environment, &record)?;
            if args.format.json {
                let mut line = json!({ "key": aggregate.as_str(), "offset": record.offset.0, "cause": record.cause });
                line["version"] = record.version.0.into();
                line["record"] = content;
                output::line(&line.to_string());
            } else {
                output::line(&format!("  {}@{} version {}: {content}", record.place, record.offset, record.version));
            }
        }
        let left = key.records.saturating_sub(args.limit as u64);
        if left > 0 && !args.format.json {
            output::line(&format!("  … and {left} more; --limit shows more"));
        }
    }
    Ok(())
}

/// What is in the record, as far as it can be read.
fn content(environment: &Environment, record: &Parked) -> Result<serde_json::Value> {
    let bounds = environment.log.admin()?.bounds(&record.place, Isolation::ReadCommitted)?;
    let mut found = json!("not in its topic any more");
    if record.offset < bounds.start || record.offset >= bounds.end {
        return Ok(found);
    }
    read_range(environment, &record.place, record.offset..Offset(record.offset.0 + 1), |read| {
        if read.offset() == record.offset {
            found = match event_json(environment, read) {
                Ok((name, value)) => json!({ "event": name, "value": value }),
                Err(error) => json!({ "error": error.to_string(), "bytes": read.value().map_or(0, <[u8]>::len) }),
            };
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// One line of a cause.
fn short(cause: &str) -> String {
    let line = cause.lines().next().unwrap_or_default();
    match line.char_indices().nth(CAUSE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
