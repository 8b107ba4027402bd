//! `parked list` and `parked show`.

use super::{CAUSE_CHARACTERS, Filters, FormatArgs, Which, nothing_parked};
use crate::{
    App,
    aside::{ListParked, ShowParked, Shown},
    cli::output,
    host::Stop,
};
use clap::Args;
use factum_core::Result;
use serde_json::json;
use std::sync::Arc;

/// List the aggregates that a view has parked, and why.
///
/// It only reads the view's database, also while the view runs. While `up` holds the embedded log, that
/// is the database of `up`.
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

pub(in crate::cli) fn list(app: &Arc<App>, args: &ListArgs) -> Result<()> {
    let list = ListParked { meant: args.which.meant(app, &args.filters)?, limit: args.limit };
    let columns = ["key", "record", "version", "records", "tried", "since", "why"].map(str::to_owned);
    let mut rows = Vec::new();
    let all = args.which.doer_without_log(app)?.run(list, &Stop::default(), &mut |line| {
        if args.format.json {
            output::line(&json!(line).to_string());
            return;
        }
        rows.push(vec![
            line.key,
            format!("{}/{}@{}", line.topic, line.partition, line.offset),
            line.version.to_string(),
            line.records.to_string(),
            line.attempts.to_string(),
            line.parked_at,
            short(&line.cause),
        ]);
    })?;
    if args.format.json {
        return Ok(());
    }
    if rows.is_empty() {
        output::line(&nothing_parked(&args.which.view, &args.filters));
        return Ok(());
    }
    output::table(&columns, &rows);
    output::note(&format!(
        "{} of {all} parked aggregates; `parked redrive {}` tries them again, `parked drop` gives one up",
        rows.len(),
        args.which.view
    ));
    Ok(())
}

pub(in crate::cli) fn show(app: &Arc<App>, args: &ShowArgs) -> Result<()> {
    let (view, key) = (app.view_host(&args.which.view)?.name(), &args.key);
    let show = ShowParked { view: view.to_owned(), key: key.clone(), limit: args.limit };
    args.which.doer(app)?.run(show, &Stop::default(), &mut |shown| match (shown, args.format.json) {
        (Shown::Key(line), false) => {
            output::line(&format!("{key} of {view}: {} records, tried {} times", line.records, line.attempts));
            output::line(&format!("why: {}", line.cause));
        }
        (Shown::Record { offset, version, cause, content, .. }, true) => {
            let line = json!({ "key": key, "offset": offset, "cause": cause, "version": version, "record": content });
            output::line(&line.to_string());
        }
        (Shown::Record { place, offset, version, content, .. }, false) => {
            output::line(&format!("  {place}@{offset} version {version}: {content}"));
        }
        (Shown::More(left), false) if left > 0 => {
            output::line(&format!("  … and {left} more; --limit shows more"));
        }
        (Shown::Key(_) | Shown::More(_), _) => {}
    })
}

/// One line of a cause.
fn short(cause: &str) -> String {
    let line = cause.lines().next().unwrap_or_default();
    match line.char_indices().nth(CAUSE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
