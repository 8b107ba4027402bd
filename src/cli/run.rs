//! `run`: one processor.

use super::{connect::LogArgs, output, shared, stop_on_signal};
use crate::{
    App,
    host::{HandlerOptions, Running, Stop},
};
use clap::{Args, Subcommand, ValueEnum};
use factum_core::{
    Result,
    handler::{AcceptLost, Granted},
    log::GroupProtocol,
};
use std::{path::PathBuf, time::Duration};

#[derive(Debug, Subcommand)]
pub(super) enum RunVerb {
    /// Handle the commands of an aggregate type. More processes share its partitions.
    Handler(HandlerArgs),
    /// Keep a view up to date.
    View(ViewArgs),
}

#[derive(Debug, Args)]
pub(super) struct HandlerArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// A name for this process that it keeps over restarts: it then comes back without a rebalance.
    #[arg(long, env = "FACTUM_INSTANCE_ID", value_name = "NAME")]
    instance_id: Option<String>,
    /// Milliseconds that a silent process keeps its partitions.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    session_timeout_ms: u64,
    /// Milliseconds after which the broker aborts a transaction that was left open.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    transaction_timeout_ms: u64,
    /// How the processes agree on partitions.
    #[arg(long, default_value = "classic")]
    group_protocol: Protocol,
    /// Grant commands this permission, for example import. May be repeated.
    #[arg(long, value_name = "PERMISSION")]
    grant: Vec<String>,
    /// Go on although commands were deleted or skipped before they were handled.
    #[arg(long)]
    accept_lost_commands: bool,
    /// The most commands in one transaction.
    #[arg(long, value_name = "N")]
    max_batch: Option<usize>,
    /// Events of a partition between two checkpoints: what a restart reads at most.
    #[arg(long, value_name = "N")]
    checkpoint_every: Option<u64>,
    /// Events of an aggregate between two snapshots.
    #[arg(long, value_name = "N")]
    snapshot_every: Option<u64>,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Protocol {
    /// Kafka's first one, with cooperative rebalances.
    Classic,
    /// The broker assigns (KIP-848).
    Consumer,
}

#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    /// The view's name.
    name: String,
    /// The SQLite file that holds its table.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE", default_value = "factum-views.sqlite")]
    views: PathBuf,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn run(app: &App, verb: RunVerb) -> Result<()> {
    match verb {
        RunVerb::Handler(args) => handler(app, args),
        RunVerb::View(args) => view(app, &args),
    }
}

fn handler(app: &App, args: HandlerArgs) -> Result<()> {
    let host = app.aggregate_host(&args.aggregate_type)?;
    let stop = stop_on_signal()?;
    let environment = shared(&args.log, "run handler")?;
    let options = HandlerOptions {
        instance_id: args.instance_id,
        session_timeout: Duration::from_millis(args.session_timeout_ms),
        protocol: match args.group_protocol {
            Protocol::Classic => GroupProtocol::Classic,
            Protocol::Consumer => GroupProtocol::Consumer,
        },
        transaction_timeout: Duration::from_millis(args.transaction_timeout_ms),
        granted: Granted::Only(args.grant.into_iter().collect()),
        accept_lost_commands: if args.accept_lost_commands { AcceptLost::Yes } else { AcceptLost::No },
        max_batch_commands: args.max_batch,
        checkpoint_every_events: args.checkpoint_every,
        snapshot_every_events: args.snapshot_every,
        ..HandlerOptions::default()
    };
    let (running, _) = host.start_handler(&environment, options, &stop)?;
    output::note(&format!("handling {}; Ctrl-C ends", host.aggregate_type()));
    wait(running, &stop)
}

fn view(app: &App, args: &ViewArgs) -> Result<()> {
    let host = app.view_host(&args.name)?;
    let stop = stop_on_signal()?;
    let environment = shared(&args.log, "run view")?;
    let (running, _) = host.start(&environment, &args.views, &stop)?;
    output::note(&format!("keeping {} in {} up to date; Ctrl-C ends", host.table()?.name(), args.views.display()));
    wait(running, &stop)
}

fn wait(running: Running, stop: &Stop) -> Result<()> {
    while !stop.is_stopped() && running.failure().is_none() {
        std::thread::sleep(Duration::from_millis(100));
    }
    running.join()
}
