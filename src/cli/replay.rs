//! `replay`: a view gets events again, or leaves some out.

use super::{FormatArgs, connect::LogArgs, output, publish, stop_on_signal};
use crate::{
    App,
    replay::{self, Outcome, PartitionName, Plan, Replay, To, Wishes},
};
use clap::Args;
use factum_core::{AggregateId, Error, Result};
use factum_views::Database;
use serde_json::json;

/// Give a view events again, or have it leave some out. The view must be down.
///
/// To `earliest` builds the whole view again; readers see it growing (`views rebuild` keeps the
/// old rows until then). To an offset or a time, events from there on are delivered again: those
/// that were applied are not applied twice, and it is said how many. To `latest`, or to an offset
/// ahead, what lies between is left out, and is not taken for a gap.
///
/// Where the view's fold changed (its FOLD_VERSION), delivering again would change nothing. Then
/// the rows that these events touch are folded again from their whole history, if the view says
/// that a row is of one aggregate (Scope::Aggregate); else this is refused. With --aggregate that
/// is done to one row.
///
/// It must be down: end `up` and every `run view` first; this says so where one runs. Kafka's own
/// kafka-consumer-groups --reset-offsets on the view's group does the same when the view starts.
///
/// Examples:
///   factum replay balances --to earliest --dry-run
///   factum replay balances --to 2026-01-31T08:00:00Z
///   factum replay balances --to 1200 --partition 3 --kafka localhost:9092
///   factum replay balances --to earliest --aggregate anna
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ReplayArgs {
    /// The view's name.
    view: String,
    /// From where on: earliest, latest, an offset (of one partition), or a time as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "earliest|latest|OFFSET|TIME", allow_hyphen_values = true)]
    to: To,
    /// Only this partition: its number, with its topic where the view reads several (bank.account.events/3).
    #[arg(long, value_name = "P")]
    partition: Option<PartitionName>,
    /// Fold the row of this aggregate again from its history.
    #[arg(long, value_name = "ID")]
    aggregate: Option<String>,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Where the views are: a SQLite file, or postgres://USER@HOST/DATABASE. Without it the data folder's file, with --kafka factum-views.sqlite.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn replay(app: &App, args: &ReplayArgs) -> Result<()> {
    let host = app.view_host(&args.view)?;
    let aggregate = args.aggregate.as_ref().map(|id| AggregateId::new(id.clone()));
    let aggregate = aggregate.transpose().map_err(|error| Error::invalid(format!("--aggregate: {error}")))?;
    let wishes = Wishes { to: args.to, partition: args.partition.clone(), aggregate };
    let stop = stop_on_signal()?;
    let (environment, default) = args.log.at_rest("replay")?;
    let database = args.views.clone().unwrap_or(default);
    if let Some(file) = database.path().filter(|file| !file.exists()) {
        return Err(Error::invalid(format!(
            "there is no file {}: view {} has not run with it, so there is nothing to replay; --views names another",
            file.display(),
            args.view
        )));
    }
    let sink = database.open(host.table()?)?;
    let mut replay = Replay::look(&environment, host, sink)?;
    let plan = replay.plan(&wishes)?;
    if plan == Plan::Nothing {
        output::note(&format!("view {} stands there already; nothing is to be done", args.view));
    }
    for line in plan.told() {
        output::note(&format!("{}{line}", if args.dry_run { "would do: " } else { "" }));
    }
    if args.dry_run {
        if args.format.json {
            output::line(&json!({ "view": args.view, "plan": plan.told() }).to_string());
        }
        return Ok(());
    }
    let bar = publish::progress_bar(0, "records");
    let outcome = replay::run(replay, plan, &database, &stop, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    print(&args.view, &outcome?, args.format);
    Ok(())
}

fn print(view: &str, outcome: &Outcome, format: FormatArgs) {
    if format.json {
        output::line(&json!({ "view": view, "outcome": outcome }).to_string());
        return;
    }
    let Outcome { delivered, applied, already_applied, unknown, rows_folded, events_folded, left_out } = outcome;
    if *rows_folded > 0 {
        output::line(&format!(
            "{view}: {rows_folded} rows folded again from {events_folded} events of their history, {delivered} of them \
             from there on"
        ));
    } else {
        output::line(&format!(
            "{view}: {delivered} events delivered: {applied} applied, {already_applied} found already applied, \
             {unknown} of types that it does not know"
        ));
    }
    left_out.iter().for_each(|range| output::line(&format!("{view}: left out {range}")));
}
