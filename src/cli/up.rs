//! `up`: everything in one process.

use super::{
    FormatArgs,
    connect::{Connected, LogArgs, Place},
    limits::LimitArgs,
    output,
    publish::{self, ImportArgs},
    query, stop_on_signal,
};
use crate::{
    App, aside, build, deprecation,
    environment::Environment,
    errand::{Desk, Here},
    host::Stop,
    import::ImportRow,
    node::{NewTopics, Node},
    observe::{self, Board},
    send::{self, Outgoing},
    service::{self, LocalService, Service},
};
use axum::Router;
use clap::Args;
use factum_core::{
    Error, Result, Topic,
    log::{Admin, Isolation},
};
use factum_gateway::{Limits, Server};
use factum_log_embedded::EmbeddedLog;
use factum_schemas::LogRegistry;
use factum_views::Database;
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// Run everything in one process: log, handlers, views and transforms.
///
/// Without --kafka the log is the embedded one in the folder factum-data, and while this runs, the
/// other verbs ask this process over HTTP. On an empty log a sample is published first, if the
/// program has one. Views are kept in the database that --views names, a SQLite file if none is.
/// Topics that are missing are made, on Kafka too, also those that the program's transforms write.
///
/// Examples:
///   factum up
///   factum up --until-idle --where 'balance < 0'
///   factum up --until-idle --file F.csv --mapping M.toml
///   factum up --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct UpArgs {
    /// End when everything is handled and shown, and print the views.
    #[arg(long)]
    until_idle: bool,
    /// Publish no sample commands.
    #[arg(long)]
    no_sample: bool,
    /// Keep no journal, the built-in view of all events: less work, but `audit` and `trace` have nothing to
    /// read, and `history` and `state` read the log.
    #[arg(long)]
    no_journal: bool,
    /// Run no transforms: their topics get nothing new. A later run republishes, from where they stood, what
    /// happened meanwhile.
    #[arg(long)]
    no_transforms: bool,
    #[command(flatten)]
    import: ImportArgs,
    /// The aggregate type that the file's rows are commands of, where this program has several.
    #[arg(long, value_name = "TYPE")]
    import_type: Option<String>,
    /// How many partitions topics get that do not exist yet.
    #[arg(long, default_value_t = 6, value_name = "N")]
    partitions: u32,
    /// Keep the log in memory: everything is gone at the end.
    #[arg(long, conflicts_with_all = ["kafka", "kafka_config"])]
    memory: bool,
    /// Where to serve HTTP; port 0 takes a free one. Without it 127.0.0.1:8710, and with --until-idle none.
    #[arg(long, env = "FACTUM_HTTP", value_name = "ADDRESS:PORT")]
    http: Option<SocketAddr>,
    /// Where the views are: a SQLite file, or postgres://USER@HOST/DATABASE. Without it the data folder's file, or a temporary one
    /// where the log is elsewhere.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    /// With --until-idle: only rows for which this holds, for example 'balance > 50'.
    #[arg(long = "where", value_name = "FILTER", requires = "until_idle", default_value = "")]
    filter: String,
    /// With --until-idle: the most rows of a view that are printed.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// The address that `up` serves at when it is told none.
const DEFAULT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8710);
/// How long an answer to a command of the sample or of a file may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long requests under way have at the end.
const DRAIN: Duration = Duration::from_secs(3);
/// Between two looks at whether all goes well.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn up(app: &Arc<App>, args: UpArgs) -> Result<()> {
    // A file that is broken anywhere is not sent at all.
    let rows = args.rows(app)?;
    let stop = stop_on_signal()?;
    args.log.start_local_kafka()?;
    let (log, Connected { environment, registry }) = args.open()?;
    let (views, _temporary) = args.database()?;
    // Not the signal's stop: what is on its way is answered before everything ends.
    let mut node = Node::new(environment.clone(), Stop::default());
    let topics = NewTopics { partitions: args.partitions, replication: args.log.replication() };
    for host in &app.aggregates {
        node.start_handler(app, host.aggregate_type(), topics)?;
    }
    for host in app.views.iter().map(|host| &**host).chain(app.journal().filter(|_| !args.no_journal)) {
        node.start_view(app, host.name(), &views, topics)?;
    }
    for host in app.transforms.iter().filter(|_| !args.no_transforms) {
        node.start_transform(&**host, topics)?;
        output::note(&format!(
            "transform {} republishes the events of {} in {} (--no-transforms leaves it out)",
            host.name(),
            host.input(),
            host.output(&environment.prefix)
        ));
    }
    let transforms = node.transforms().to_vec();
    let service = Arc::new(LocalService::new(app.clone(), environment.clone(), views.clone()));
    // The server ends after the processors, so that it can tell that they are ending.
    let serving = Stop::default();
    let board = Board::start(&environment, &stop, Board::READY_LAG)?;
    node.show_on(&board);
    let limits = args.limits.limits(DRAIN)?;
    let router = router(app, service.clone(), board, registry, &limits, &serving)?;
    // On a cluster, other processes read the log by themselves.
    let router = match log {
        Some(_) => {
            let desk = Desk::new(Here::new(app.clone(), environment.clone(), views), &serving);
            router.merge(desk.router(deprecation::errands(aside::errands(build::errands(Router::new())))))
        }
        None => router,
    };
    let server = args.serve(router, log.as_deref(), limits, &serving)?;
    let worked = work(&args, rows, &node, &service, &environment, server.as_ref(), &stop);
    let ended = node.end();
    transforms.iter().for_each(|transform| output::note(&transform.tally()));
    serving.stop();
    worked.and(ended).and(server.map_or(Ok(()), Server::join))
}

impl UpArgs {
    /// The rows of the file, all of them checked, and whose commands they are; none when no file is named.
    fn rows(&self, app: &App) -> Result<Option<(&'static str, Vec<ImportRow>)>> {
        if !self.import.is_given() {
            return Ok(None);
        }
        let name = app.only_aggregate(self.import_type.as_deref(), "--import-type")?.aggregate_type();
        Ok(self.import.rows(name)?.map(|rows| (name, rows)))
    }

    fn open(&self) -> Result<(Option<Arc<EmbeddedLog>>, Connected)> {
        if self.memory {
            output::note("the log is in memory: everything is gone when this ends");
            return Ok((None, self.log.connect_memory()?));
        }
        match self.log.place() {
            Place::Kafka => Ok((None, self.log.connect_cluster()?)),
            Place::Embedded(folder) => {
                let (log, connected) = self.log.open(&folder)?;
                output::note(&format!(
                    "the log is the embedded one in {}: not Kafka, one process on one machine (--kafka HOST:PORT takes a cluster)",
                    folder.display()
                ));
                let found = log.opened();
                if !found.fresh {
                    output::note(&format!(
                        "found {} records of earlier runs ({} KiB)",
                        found.records,
                        found.bytes.div_ceil(1024)
                    ));
                }
                Ok((Some(log), connected))
            }
        }
    }

    /// Where the rows of the views are, and the folder of it that goes with this process.
    fn database(&self) -> Result<(Database, Option<TempDir>)> {
        match (&self.views, self.log.place()) {
            (Some(database), _) => Ok((database.clone(), None)),
            (None, Place::Embedded(folder)) if !self.memory => Ok((Database::file(folder.join("views.sqlite")), None)),
            (None, _) => {
                let folder = TempDir::new()
                    .map_err(|error| Error::invalid(format!("there is no temporary folder for the views: {error}")))?;
                Ok((Database::file(folder.path().join("views.sqlite")), Some(folder)))
            }
        }
    }

    /// Answers the verbs of other processes, unless this one ends by itself.
    fn serve(&self, router: Router, log: Option<&EmbeddedLog>, limits: Limits, stop: &Stop) -> Result<Option<Server>> {
        let Some(address) = self.http.or((!self.until_idle).then_some(DEFAULT_HTTP)) else { return Ok(None) };
        let server = Server::start_with(address, router, limits, stop)?;
        if let Some(log) = log {
            log.announce(server.address())?;
        }
        Ok(Some(server))
    }
}

/// Everything that the process serves.
fn router(
    app: &App,
    service: Arc<LocalService>,
    board: Board,
    registry: Option<Arc<LogRegistry>>,
    limits: &Limits,
    serving: &Stop,
) -> Result<Router> {
    let catalog = service::catalog(app)?;
    let router = service::router(service, catalog, limits, serving).merge(observe::router(board));
    Ok(match registry {
        Some(registry) => router.nest("/registry", factum_registry::router(registry)),
        None => router,
    })
}

fn work(
    args: &UpArgs,
    rows: Option<(&'static str, Vec<ImportRow>)>,
    node: &Node,
    service: &LocalService,
    environment: &Environment,
    server: Option<&Server>,
    stop: &Stop,
) -> Result<()> {
    if let Some(server) = server {
        output::note(&format!("serving at http://{}", server.address()));
    }
    if let Some((aggregate_type, rows)) = rows {
        let tally = publish::import(service, aggregate_type, &rows, ANSWER_TIMEOUT, stop)?;
        output::note(&format!("{} rows: {tally}", rows.len()));
    } else if !args.no_sample {
        publish_samples(service, environment, stop)?;
    }
    if stop.is_stopped() {
        return Ok(());
    }
    if args.until_idle {
        node.wait_until_idle(|what| output::note(&format!("waiting for {what}")))?;
        for host in &service.app().views {
            let request = query::of_view(host.name(), &args.filter, args.limit);
            query::print(&service.query(&request)?, args.format.into());
        }
        return Ok(());
    }
    output::note("ready; Ctrl-C ends");
    while !stop.is_stopped() {
        node.check()?;
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Publishes the samples of aggregate types that have no commands yet, and
/// what is missing of one that was interrupted.
fn publish_samples(service: &LocalService, environment: &Environment, stop: &Stop) -> Result<()> {
    let mut admin = environment.log.admin()?;
    for sample in &service.app().samples {
        let name = sample.aggregate_type();
        let commands = environment.topics(name).commands;
        let there = total_end(&mut *admin, &commands)?;
        // A log with more than the sample was begun by somebody else, or the sample is long done.
        if there >= i64::try_from(sample.count()).unwrap_or(i64::MAX) {
            continue;
        }
        let known = if there == 0 { HashSet::new() } else { send::command_ids(environment, &commands)? };
        let missing = |command: &Outgoing| command.id.is_none_or(|id| !known.contains(&id));
        let rest = sample.commands().filter(missing).count() as u64;
        if rest == 0 || (there > 0 && rest == sample.count()) {
            continue;
        }
        if there > 0 {
            output::note(&format!("{name}: going on with {}, {rest} commands are missing", sample.title()));
        }
        let bar = publish::progress_bar(rest, "commands");
        let rest_of_it = sample.commands().filter(missing).take_while(|_| !stop.is_stopped());
        let tally = service.publish_sample(name, rest_of_it, ANSWER_TIMEOUT, |done| bar.set_position(done));
        bar.finish_and_clear();
        let tally = tally?;
        if stop.is_stopped() {
            output::note(&format!("{name}: {} was interrupted; the next run goes on with it", sample.title()));
            return Ok(());
        }
        output::note(&format!("{name}: {}, {rest} commands: {tally}", sample.title()));
    }
    Ok(())
}

fn total_end(admin: &mut dyn Admin, topic: &Topic) -> Result<i64> {
    let mut total = 0;
    for place in admin.partitions(topic)? {
        total += admin.bounds(&place, Isolation::ReadUncommitted)?.end.0;
    }
    Ok(total)
}
