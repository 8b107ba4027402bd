//! `snapshots`: the states that a handler begins with.

use super::{FormatArgs, connect::LogArgs, output, stop_on_signal};
use crate::{App, host::SnapshotTally};
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
    Prepare(PrepareArgs),
    Rebuild(RebuildArgs),
}

/// Make the snapshots that a new version of this program will begin with, while the old one runs.
///
/// A version whose state has another schema, or another FOLD_VERSION, has snapshots of its own, and
/// without any its handler folds all events before its first command. Run this with the new program,
/// and then roll it out: its handler reads the snapshots and what came after. The handlers that run
/// go on and notice nothing. Where the state is as before, there is nothing to prepare, and it does
/// no harm.
///
/// It reads all events, and writes when it has read a partition. Interrupted, it leaves what is good
/// to begin with; run it again, also when the roll-out comes much later. One at a time: a second one
/// ends the first. The embedded log has one process at a time, so there it is run between the two.
///
/// Examples:
///   factum snapshots prepare bank.account --kafka localhost:9092
///   factum snapshots prepare bank.account
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct PrepareArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
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
    let (aggregate_type, format, log, what) = match verb {
        SnapshotsVerb::Prepare(PrepareArgs { aggregate_type, format, log }) => {
            (aggregate_type, format, log, "prepared")
        }
        SnapshotsVerb::Rebuild(RebuildArgs { aggregate_type, format, log }) => (aggregate_type, format, log, "rebuilt"),
    };
    let host = app.aggregate_host(aggregate_type)?;
    let name = host.aggregate_type();
    let stop = stop_on_signal()?;
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut progress = |tally: &SnapshotTally| {
        bar.set_message(format!("{name}: {} aggregates read, {} snapshots written", tally.aggregates, tally.snapshots));
    };
    let tally = match verb {
        SnapshotsVerb::Prepare(_) => {
            let (environment, _) = log.at_rest("snapshots prepare")?;
            host.prepare_snapshots(&environment, &stop, &mut progress)
        }
        SnapshotsVerb::Rebuild(_) => {
            let (environment, _) = log.at_rest("snapshots rebuild")?;
            host.rebuild_snapshots(&environment, &stop, &mut progress)
        }
    };
    bar.finish_and_clear();
    let tally = tally?;
    if format.json {
        output::line(&json!({ "aggregate_type": name, what: tally }).to_string());
        return Ok(());
    }
    output::line(&format!(
        "{name}: {} snapshots of {} aggregates in {} partitions {what}, folded from {} events",
        tally.snapshots, tally.aggregates, tally.partitions, tally.events
    ));
    Ok(())
}
