//! `run`: one processor.

use super::{
    connect::LogArgs,
    gateway::{GatewayArgs, gateway},
    http::{HttpArgs, Observed},
    output, stop_on_signal,
};
use crate::{
    App,
    host::{Entry, Fleet, HandlerOptions, Running, Stop, ViewHost, ViewMember, ViewProgress},
};
use clap::{Args, Subcommand, ValueEnum};
use factum_core::{
    Error, Result, Throttle,
    handler::{AcceptLost, Granted},
    log::GroupProtocol,
};
use factum_views::Database;
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// Run processors on Kafka: a command handler, one view or several, or the HTTP gateway.
///
/// In production a handler and its views are processes of their own; `up` runs all of them in one.
///
/// Examples:
///   factum run handler bank.account --kafka localhost:9092
///   factum run view balances --views balances.sqlite --kafka localhost:9092
///   factum run view --all --views views.sqlite --kafka localhost:9092
///   factum run gateway --views views.sqlite --kafka localhost:9092
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum RunVerb {
    Handler(HandlerArgs),
    View(ViewArgs),
    Gateway(GatewayArgs),
}

/// Handle the commands of an aggregate type.
///
/// More processes share its partitions; each partition's aggregates are written by one of them. The
/// topics must be there: `topics create`.
///
/// Example: factum run handler bank.account --instance-id handler-1 --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct HandlerArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// A name for this process that it keeps over restarts: it then comes back without a rebalance.
    #[arg(long, env = "FACTUM_INSTANCE_ID", value_name = "NAME")]
    instance_id: Option<String>,
    /// Workers in this process: threads that share the partitions, each with clients of its own.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Milliseconds that a silent process keeps its partitions.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    session_timeout_ms: u64,
    /// Milliseconds after which the broker aborts a transaction that was left open.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    transaction_timeout_ms: u64,
    /// How the processes agree on partitions.
    #[arg(long, default_value = "classic")]
    group_protocol: Protocol,
    /// Milliseconds that the domain's code may take for one batch of commands. The process then ends
    /// with code 70, and finds the command that does not come to an end when it is started again.
    #[arg(long, default_value_t = 60_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    deadline_ms: u64,
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
    /// The most commands a second that this process takes, all workers together; what comes faster waits in its
    /// topic, and nothing is lost. Without it there is no limit.
    #[arg(long, value_name = "N")]
    max_commands_per_second: Option<NonZeroU32>,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Protocol {
    /// Kafka's first one, with cooperative rebalances.
    Classic,
    /// The broker assigns (KIP-848).
    Consumer,
}

impl From<Protocol> for GroupProtocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Classic => GroupProtocol::Classic,
            Protocol::Consumer => GroupProtocol::Consumer,
        }
    }
}

/// Keep views up to date.
///
/// A view's rows and progress are one transaction of its database, so it goes on where it was.
/// `query` shows the rows. Several views in one process do not wait for each other: each has a
/// consumer group, a thread and a connection of its own. One that fails is told by /readyz and
/// started again after a pause; the process ends when none runs any more.
///
/// Examples:
///   factum run view balances --views balances.sqlite --kafka localhost:9092
///   factum run view --all --views views.sqlite --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ViewArgs {
    /// The views' names.
    #[arg(required_unless_present = "all", value_name = "NAME")]
    names: Vec<String>,
    /// All views of this program, and its journal.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Where their tables are: a SQLite file, which one process uses, or postgres://USER@HOST/DATABASE, which processes share. The
    /// password may be in the environment as PGPASSWORD; ?sslmode=verify-full&sslrootcert=FILE encrypts.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL", default_value = "factum-views.sqlite")]
    views: Database,
    /// A name for this process that it keeps over restarts: it then comes back without a rebalance.
    #[arg(long, env = "FACTUM_INSTANCE_ID", value_name = "NAME")]
    instance_id: Option<String>,
    /// Milliseconds that a silent process keeps its partitions.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    session_timeout_ms: u64,
    /// How the processes agree on partitions.
    #[arg(long, default_value = "classic")]
    group_protocol: Protocol,
    /// The most events a second that each view takes: one that catches up leaves broker and database to the
    /// others. Without it there is no limit.
    #[arg(long, value_name = "N")]
    max_events_per_second: Option<NonZeroU32>,
    /// Milliseconds that a view's code may take for one batch of events. The process then ends with
    /// code 70, and finds the event that does not come to an end when it is started again.
    #[arg(long, default_value_t = 60_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    deadline_ms: u64,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Between two looks at how the processors are.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(app: &Arc<App>, verb: RunVerb) -> Result<()> {
    match verb {
        RunVerb::Handler(args) => handler(app, &args),
        RunVerb::View(args) => view(app, &args),
        RunVerb::Gateway(args) => gateway(app, &args),
    }
}

fn handler(app: &App, args: &HandlerArgs) -> Result<()> {
    let host = app.aggregate_host(&args.aggregate_type)?;
    let stop = stop_on_signal()?;
    let environment = args.log.cluster("run handler")?;
    let observed = args.http.serve(&environment, &stop)?;
    let throttle = Throttle::new(args.max_commands_per_second);
    let workers = (0..args.workers).map(|worker| {
        let (running, status) = host.start_handler(&environment, args.options(worker, &throttle), &stop)?;
        if let Some(board) = observed.board() {
            board.add_handler(host.aggregate_type(), status);
        }
        Ok(running)
    });
    let workers = workers.collect::<Result<Vec<_>>>()?;
    output::note(&format!("handling {}; Ctrl-C ends", host.aggregate_type()));
    wait(workers, &stop, observed)
}

impl HandlerArgs {
    fn options(&self, worker: u16, throttle: &Throttle) -> HandlerOptions {
        HandlerOptions {
            // Each worker is a member of the group.
            instance_id: self.instance_id.as_ref().map(|name| match self.workers {
                1 => name.clone(),
                _ => format!("{name}-{worker}"),
            }),
            session_timeout: Duration::from_millis(self.session_timeout_ms),
            protocol: self.group_protocol.into(),
            transaction_timeout: Duration::from_millis(self.transaction_timeout_ms),
            granted: Granted::Only(self.grant.iter().cloned().collect()),
            accept_lost_commands: if self.accept_lost_commands { AcceptLost::Yes } else { AcceptLost::No },
            max_batch_commands: self.max_batch,
            checkpoint_every_events: self.checkpoint_every,
            snapshot_every_events: self.snapshot_every,
            deadline: Duration::from_millis(self.deadline_ms),
            throttle: throttle.clone(),
            ..HandlerOptions::default()
        }
    }
}

fn view(app: &App, args: &ViewArgs) -> Result<()> {
    let hosts = args.hosts(app)?;
    let stop = stop_on_signal()?;
    let environment = args.log.cluster("run view")?;
    let observed = args.http.serve(&environment, &stop)?;
    let views = hosts.iter().map(|host| Entry {
        progress: ViewProgress::new(host.name(), host.inputs()),
        start: Box::new(|| host.start_as_member(&environment, &args.views, &args.member(), &stop)),
    });
    let started = Fleet::start(views, observed.board(), &stop);
    let worked = started.and_then(|mut fleet| {
        let tables = hosts.iter().map(|host| Ok(host.table()?.name())).collect::<Result<Vec<_>>>()?;
        output::note(&format!("keeping {} in {} up to date; Ctrl-C ends", tables.join(", "), args.views));
        let mut tended = Ok(());
        while tended.is_ok() && !stop.is_stopped() {
            std::thread::sleep(LOOK);
            tended = fleet.tend();
        }
        stop.stop();
        tended.and(fleet.end())
    });
    stop.stop();
    worked.and(observed.end())
}

impl ViewArgs {
    fn member(&self) -> ViewMember {
        ViewMember {
            // Each view has a group of its own, so one name does for all.
            instance_id: self.instance_id.clone(),
            session_timeout: Duration::from_millis(self.session_timeout_ms),
            protocol: self.group_protocol.into(),
            deadline: Duration::from_millis(self.deadline_ms),
            throttle: Throttle::new(self.max_events_per_second),
        }
    }

    /// The views that are meant, each once.
    fn hosts<'a>(&self, app: &'a App) -> Result<Vec<&'a dyn ViewHost>> {
        if self.all {
            let hosts: Vec<&dyn ViewHost> = app.views.iter().map(|host| &**host).chain(app.journal()).collect();
            return if hosts.is_empty() { Err(Error::invalid("there is no view here")) } else { Ok(hosts) };
        }
        if let Some(twice) = self.names.iter().enumerate().find(|(index, name)| self.names[..*index].contains(name)) {
            return Err(Error::invalid(format!("view {} is named twice; name it once", twice.1)));
        }
        self.names.iter().map(|name| app.view_host(name)).collect()
    }
}

/// Until it is told to end, or one of them cannot go on.
fn wait(running: Vec<Running>, stop: &Stop, observed: Observed) -> Result<()> {
    while !stop.is_stopped() && running.iter().all(|one| one.failure().is_none()) {
        std::thread::sleep(LOOK);
    }
    stop.stop();
    let ended: Vec<Result<()>> = running.into_iter().map(Running::join).collect();
    observed.end()?;
    ended.into_iter().collect()
}
