//! `parked redrive` and `parked drop`.

use super::{Filters, FormatArgs, Which, nothing_parked};
use crate::{
    App,
    aside::{DropParked, Dropped, RedriveParked, Redriven, Redriving},
    cli::{output, publish::progress_bar, stop_on_signal},
};
use clap::Args;
use factum_core::{Error, ErrorKind, Result};
use serde_json::json;
use std::sync::Arc;

/// Try parked records again, in their order, with mended code.
///
/// Each step is one transaction: it holds the progress of the record's partition, folds up to 500
/// records of an aggregate and takes them off the list. The one that finds the list empty frees the
/// aggregate, and the view goes on with it. Where a record fails again, the aggregate stays parked from
/// there on, and the next aggregate is tried. The view may run meanwhile.
///
/// Whose code it is: on Kafka that of the program that you run this with. While `up` holds the embedded
/// log, that process does it, with its code, so start the mended program as `up` first; without `up` it
/// is this program's. What is parked because it ended its process is tried beside `up` only by its
/// --key: if it is not mended, it ends `up`.
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

pub(in crate::cli) fn redrive(app: &Arc<App>, args: &RedriveArgs) -> Result<()> {
    let (view, dry_run) = (&args.which.view, args.dry_run);
    let redrive = RedriveParked { meant: args.which.meant(app, &args.filters)?, expect: args.expect, dry_run };
    let stop = stop_on_signal()?;
    let doer = args.which.doer(app)?;
    let bar = progress_bar(0, "aggregates");
    let done = doer.run(redrive, &stop, &mut |told| match told {
        Redriving::Begun { aggregates } => bar.set_length(aggregates),
        Redriving::Progress { key, records } => bar.set_message(format!("{records} records of {key}")),
        Redriving::Tried { key, offset, applied, of, failed } => {
            bar.inc(1);
            bar.suspend(|| {
                if args.format.json {
                    let line = json!({
                        "key": key, "offset": offset, "applied": applied, "of": of, "failed": failed, "dry_run": dry_run,
                    });
                    return output::line(&line.to_string());
                }
                let then = failed.map_or_else(String::new, |why| format!(", then: {why}"));
                output::line(&format!("{key}: {applied} of {of} records {}applied{then}", would(dry_run)));
            });
        }
        Redriving::LeftAlone { why, .. } => {
            bar.inc(1);
            bar.suspend(|| output::note(&why));
        }
    });
    bar.finish_and_clear();
    let Redriven { seen, keys, records, failed, moved_on, dangerous } = done?;
    if seen == 0 {
        output::line(&nothing_parked(view, &args.filters));
        return Ok(());
    }
    if !args.format.json {
        let would = would(dry_run);
        output::line(&format!("{view}: {records} records of {keys} aggregates {would}applied, {failed} stay parked"));
    }
    if let Some(process) = doer.other_process().filter(|_| failed > 0) {
        output::note(&format!(
            "they were tried with the code of {process}: if that is not the mended program, end it (`up` ends with \
             Ctrl-C), start the mended one as `up`, and run this again"
        ));
    }
    if dry_run {
        return Ok(());
    }
    let conflict = |what: String| Err(Error::new(ErrorKind::Conflict, what));
    if dangerous > 0 {
        return conflict(format!(
            "{dangerous} aggregates of view {view} ended their process and were left alone, since they may end `up`: once \
             the mended program runs as `up`, --key tries one; or end it and run this without it"
        ));
    }
    if moved_on > 0 {
        return conflict(format!("{moved_on} aggregates of view {view} moved on meanwhile and were left alone"));
    }
    Ok(())
}

fn would(dry_run: bool) -> &'static str {
    if dry_run { "would be " } else { "" }
}

pub(in crate::cli) fn drop(app: &Arc<App>, args: &DropArgs) -> Result<()> {
    if args.filters.key.is_none() && !args.all {
        return Err(Error::invalid("say what is to be given up: --key ID for one aggregate, or --all"));
    }
    let (view, dry_run) = (&args.which.view, args.dry_run);
    let meant = args.which.meant(app, &args.filters)?;
    let give_up = DropParked { meant, first: args.first, expect: args.expect, dry_run };
    let stop = stop_on_signal()?;
    let doer = if give_up.needs_log() { args.which.doer(app)? } else { args.which.doer_without_log(app)? };
    let (mut keys, mut all) = (0, 0);
    let seen = doer.run(give_up, &stop, &mut |Dropped { key, records }| {
        (keys, all) = (keys + 1, all + records);
        if args.format.json {
            output::line(&json!({ "key": key, "dropped": records, "dry_run": dry_run }).to_string());
        }
    })?;
    if seen == 0 {
        output::line(&nothing_parked(view, &args.filters));
        return Ok(());
    }
    if !args.format.json {
        let what = match (dry_run, args.first) {
            (true, true) => "the first command of each would be given up",
            (true, false) => "would be given up",
            (false, _) => "given up; their events are in the log as before",
        };
        output::line(&format!("{view}: {all} records of {keys} aggregates {what}"));
    }
    Ok(())
}
