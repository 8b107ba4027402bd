//! `snapshots`: the states that a handler begins with.

use super::{FormatArgs, connect::LogArgs, output, stop_on_signal};
use crate::App;
use clap::{Args, Subcommand};
use factum_core::Result;
use indicatif::ProgressBar;
use serde_json::json;
use std::time::Duration;

/// Look after the states that a handler begins with.
///
/// Example: factum snapshots rebuild bank.account --kafka localhost:9092
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum SnapshotsVerb {
    Rebuild(RebuildArgs),
}

/// Fold every aggregate's state again from all of its events, and write new snapshots.
///
/// For states that a faulty `evolve` made: mend it first. (A change of its meaning is a new
/// FOLD_VERSION, which has its own snapshots and needs no rebuild.) The recent commands that a
/// snapshot knows stay known, so nothing is decided twice. No command is handled meanwhile, and
/// none is lost.
///
/// No handler of this type may run: this says so where one does. It takes the handler's place in its
/// group, so one that starts meanwhile waits, and then begins with the new snapshots. Interrupted, it
/// leaves old and new snapshots, all of which fit the log; run it again.
///
/// Examples:
///   factum snapshots rebuild bank.account
///   factum snapshots rebuild bank.account --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct RebuildArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn snapshots(app: &App, verb: &SnapshotsVerb) -> Result<()> {
    let SnapshotsVerb::Rebuild(args) = verb;
    let host = app.aggregate_host(&args.aggregate_type)?;
    let name = host.aggregate_type();
    let stop = stop_on_signal()?;
    let (environment, _) = args.log.at_rest("snapshots rebuild")?;
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    let tally = host.rebuild_snapshots(&environment, &stop, &mut |tally| {
        bar.set_message(format!("{name}: {} aggregates read, {} snapshots written", tally.aggregates, tally.snapshots));
    });
    bar.finish_and_clear();
    let tally = tally?;
    if args.format.json {
        output::line(&json!({ "aggregate_type": name, "rebuilt": tally }).to_string());
        return Ok(());
    }
    output::line(&format!(
        "{name}: {} snapshots of {} aggregates in {} partitions, folded from {} events",
        tally.snapshots, tally.aggregates, tally.partitions, tally.events
    ));
    Ok(())
}
