//! `parked redrive` and `parked drop`.

use super::{Filters, FormatArgs, Which, check_expected, for_each, nothing_parked};
use crate::{
    App,
    cli::{output, publish::progress_bar, stop_on_signal},
    host::{Doing, RedriveRequest, RedriveTally},
};
use clap::Args;
use factum_core::{Error, ErrorKind, Result};
use factum_views::{ParkedKey, drop_parked};
use serde_json::json;

/// Try parked records again, in their order, with this program's code.
///
/// Each step is one transaction: it holds the progress of the record's partition, folds up to 500
/// records of an aggregate and takes them off the list. The one that finds the list empty frees the
/// aggregate, and the view goes on with it. Where a record fails again, the aggregate stays parked from
/// there on, and the next aggregate is tried. On Kafka the view may run meanwhile; the embedded log is
/// held by one process, which is to be ended first.
///
/// Two redrives at once, or a redrive and a drop, do no harm: one of them finds that the aggregate
/// moved on and says so. Ctrl-C ends it after the step that is under way; the same command goes on.
///
/// Examples:
///   factum parked redrive balances --dry-run --kafka localhost:9092
///   factum parked redrive balances --cause "cannot be decoded" --kafka localhost:9092
///   factum parked redrive balances --key acc-7 --expect 1042 --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct RedriveArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    filters: Filters,
    /// Only if the first parked record of --key is at this offset; else nothing is changed.
    #[arg(long, value_name = "OFFSET", requires = "key")]
    expect: Option<u64>,
    /// Fold the first records of each, say what would come of it, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// Give parked records up: the view goes on as if their events had changed no row.
///
/// The events stay in the log, and a rebuild meets them again. With --first only the events of the
/// aggregate's first parked command are given up, and the rest can be redriven.
///
/// Examples:
///   factum parked drop balances --key acc-7 --first --kafka localhost:9092
///   factum parked drop balances --key acc-7 --expect 1042 --dry-run
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct DropArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    filters: Filters,
    /// Every parked aggregate that no filter leaves out; without it --key says which.
    #[arg(long)]
    all: bool,
    /// Only the events of the first parked command.
    #[arg(long)]
    first: bool,
    /// Only if the first parked record of --key is at this offset; else nothing is changed.
    #[arg(long, value_name = "OFFSET", requires = "key")]
    expect: Option<u64>,
    /// Say what would be given up, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// What became of all of them.
#[derive(Debug, Default)]
struct Outcome {
    keys: u64,
    records: u64,
    failed: u64,
    moved_on: u64,
}

pub(in crate::cli) fn redrive(app: &App, args: &RedriveArgs) -> Result<()> {
    let (view, host) = (&args.which.view, args.which.host(app)?);
    let database = args.which.database()?;
    let stop = stop_on_signal()?;
    let (environment, _) = args.which.log.at_rest("parked redrive")?;
    let mut sink = database.open(host.table()?)?;
    let filter = args.filters.filter(&mut *sink)?;
    let doing = if args.dry_run { Doing::Try } else { Doing::Apply };
    let bar = progress_bar(sink.count_parked()?.values().sum(), "aggregates");
    let mut outcome = Outcome::default();
    let seen = for_each(&mut *sink, &filter, usize::MAX, |key| {
        if stop.is_stopped() {
            return Ok(());
        }
        check_expected(key, args.expect)?;
        let request = RedriveRequest { first: &key.first, doing, stop: &stop };
        let done = host.redrive(&environment, &database, &request, &mut |records| {
            bar.set_message(format!("{records} records of {}", key.first.aggregate));
        });
        bar.inc(1);
        match done {
            Ok(tally) => {
                outcome.keys += 1;
                outcome.records += tally.records;
                outcome.failed += u64::from(tally.failed.is_some());
                bar.suspend(|| told(key, &tally, args));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                outcome.moved_on += 1;
                bar.suspend(|| output::note(&error.to_string()));
                Ok(())
            }
            Err(error) => Err(error),
        }
    });
    bar.finish_and_clear();
    if seen? == 0 {
        output::line(&nothing_parked(view, &args.filters));
        return Ok(());
    }
    if stop.is_stopped() {
        return Err(Error::unavailable("stopped on the way: the same command goes on"));
    }
    let Outcome { keys, records, failed, moved_on } = outcome;
    if !args.format.json {
        let would = if args.dry_run { "would be " } else { "" };
        output::line(&format!("{view}: {records} records of {keys} aggregates {would}applied, {failed} stay parked"));
    }
    match (moved_on, args.dry_run) {
        (0, _) | (_, true) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Conflict,
            format!("{moved_on} aggregates of view {view} moved on meanwhile and were left alone"),
        )),
    }
}

/// What became of one of them.
fn told(key: &ParkedKey, tally: &RedriveTally, args: &RedriveArgs) {
    let (first, records) = (&key.first, tally.records);
    let why = tally.failed.as_ref().map(|head| head.cause.as_str());
    if args.format.json {
        let line = json!({
            "key": first.aggregate.as_str(), "offset": first.offset.0, "applied": records, "of": key.records,
            "failed": why, "dry_run": args.dry_run,
        });
        output::line(&line.to_string());
        return;
    }
    let would = if args.dry_run { "would be " } else { "" };
    match why {
        Some(why) => output::line(&format!(
            "{}: {records} of {} records {would}applied, then: {why}",
            first.aggregate, key.records
        )),
        None => output::line(&format!("{}: {records} of {} records {would}applied", first.aggregate, key.records)),
    }
}

pub(in crate::cli) fn drop(app: &App, args: &DropArgs) -> Result<()> {
    if args.filters.key.is_none() && !args.all {
        return Err(Error::invalid("say what is to be given up: --key ID for one aggregate, or --all"));
    }
    let (view, host) = (&args.which.view, args.which.host(app)?);
    let database = args.which.database()?;
    let stop = stop_on_signal()?;
    let mut sink = database.open(host.table()?)?;
    let filter = args.filters.filter(&mut *sink)?;
    let mut worker = database.open(host.table()?)?;
    // Only the first command's events have to be found in the log.
    let environment = match args.first && !args.dry_run {
        true => Some(args.which.log.at_rest("parked drop")?.0),
        false => None,
    };
    let (mut keys, mut records) = (0, 0);
    let seen = for_each(&mut *sink, &filter, usize::MAX, |key| {
        if stop.is_stopped() {
            return Ok(());
        }
        check_expected(key, args.expect)?;
        let dropped = match &environment {
            _ if args.dry_run => key.records,
            Some(environment) => {
                let request = RedriveRequest { first: &key.first, doing: Doing::GiveUpFirst, stop: &stop };
                host.redrive(environment, &database, &request, &mut |_| {})?.records
            }
            None => drop_parked(&mut *worker, &key.first, &|| stop.is_stopped(), &mut |_| {})?,
        };
        (keys, records) = (keys + 1, records + dropped);
        if args.format.json {
            let line = json!({ "key": key.first.aggregate.as_str(), "dropped": dropped, "dry_run": args.dry_run });
            output::line(&line.to_string());
        }
        Ok(())
    })?;
    if seen == 0 {
        output::line(&nothing_parked(view, &args.filters));
        return Ok(());
    }
    if stop.is_stopped() {
        return Err(Error::unavailable("stopped on the way: the same command goes on"));
    }
    if !args.format.json {
        let what = match (args.dry_run, args.first) {
            (true, true) => "the first command of each would be given up",
            (true, false) => "would be given up",
            (false, _) => "given up; their events are in the log as before",
        };
        output::line(&format!("{view}: {records} records of {keys} aggregates {what}"));
    }
    Ok(())
}
