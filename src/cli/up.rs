//! `up`: everything in one process.

use super::{
    FormatArgs,
    connect::LogArgs,
    output,
    publish::{self, ImportArgs},
    query, stop_on_signal,
};
use crate::{
    App,
    environment::Environment,
    host::{HandlerOptions, Running, Stop, ViewProgress},
    send::{self, Outgoing},
};
use clap::Args;
use factum_core::{
    AggregateId, Error, Offset, Result,
    handler::{Activity, Granted},
    log::{Admin, Isolation},
};
use factum_handler::WorkerStatus;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Run everything in one process: log, handlers and views.
///
/// Without --kafka the log is in memory and gone at the end. On an empty log a
/// few sample commands are published first.
///
/// Examples:
///   factum up --until-idle
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
    #[command(flatten)]
    import: ImportArgs,
    /// The aggregate type that the file's rows are commands of.
    #[arg(long, default_value = "bank.account", value_name = "TYPE")]
    import_type: String,
    /// How many partitions topics get that do not exist yet.
    #[arg(long, default_value_t = 6)]
    partitions: u32,
    /// The SQLite file of the views; without it they are in memory.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE")]
    views: Option<PathBuf>,
    /// With --until-idle: only rows for which this holds, for example 'balance > 50'.
    #[arg(long = "where", value_name = "FILTER", requires = "until_idle", default_value = "")]
    filter: String,
    /// With --until-idle: the most rows of a view that are printed.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

const LOOK: Duration = Duration::from_millis(20);
/// Between words about progress.
const TELL: Duration = Duration::from_secs(5);

/// What runs in this process.
#[derive(Debug)]
struct Node {
    environment: Environment,
    running: Vec<Running>,
    handlers: BTreeMap<&'static str, Arc<Mutex<WorkerStatus>>>,
    views: Vec<ViewProgress>,
    stop: Stop,
}

pub(super) fn up(app: &App, args: UpArgs) -> Result<()> {
    // A file that is broken anywhere is not sent at all.
    let rows = args.import.rows(&args.import_type)?;
    let stop = stop_on_signal()?;
    let environment = args.log.connect()?;
    let views = query::Database::new(args.views.clone())?;
    let mut node = Node { environment, running: Vec::new(), handlers: BTreeMap::new(), views: Vec::new(), stop };
    for host in &app.aggregates {
        let name = host.aggregate_type();
        node.environment.create_topics(name, args.partitions, args.log.replication())?;
        // One process that belongs to one user: every command is permitted.
        let options = HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
        let (running, status) = host.start_handler(&node.environment, options, &node.stop)?;
        node.running.push(running);
        node.handlers.insert(name, status);
    }
    for host in &app.views {
        let (running, status) = host.start(&node.environment, &views.path(), &node.stop)?;
        node.running.push(running);
        node.views.push(status);
    }
    let worked = node.work(app, &args, rows, &views);
    node.stop.stop();
    let ended: Vec<Result<()>> = node.running.into_iter().map(Running::join).collect();
    worked?;
    ended.into_iter().collect()
}

impl Node {
    fn work(
        &self,
        app: &App,
        args: &UpArgs,
        rows: Option<Vec<crate::import::ImportRow>>,
        views: &query::Database,
    ) -> Result<()> {
        if args.log.is_in_memory() {
            output::note("the log is in memory: everything is gone when this ends (--kafka HOST:PORT keeps it)");
        }
        if let Some(rows) = rows {
            let host = app.aggregate_host(&args.import_type)?;
            let count = rows.len();
            let tally = publish::import(&self.environment, host, rows, Duration::from_secs(60))?;
            output::note(&format!("{count} rows: {tally}"));
        } else if !args.no_sample {
            self.publish_sample(app)?;
        }
        if args.until_idle {
            self.wait_until_idle()?;
            for host in &app.views {
                query::print(&**host, &views.path(), &args.filter, args.limit, args.format)?;
            }
            return Ok(());
        }
        output::note("serving; Ctrl-C ends");
        while !self.stop.is_stopped() {
            self.check()?;
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn publish_sample(&self, app: &App) -> Result<()> {
        let mut admin = self.environment.log.admin()?;
        for name in self.handlers.keys() {
            let commands = app.sample.iter().filter(|command| command.aggregate_type == *name).map(|sample| {
                Ok(Outgoing {
                    id: None,
                    aggregate: AggregateId::new(sample.id)?,
                    record: sample.record.to_owned(),
                    fields: sample.fields.clone(),
                    occurred: None,
                    expected_version: None,
                })
            });
            let commands = commands.collect::<Result<Vec<_>>>()?;
            if commands.is_empty() || total_end(&mut *admin, &self.environment.topics(name).commands)? > 0 {
                continue;
            }
            let encode = app.aggregate_host(name)?.encoder(&self.environment)?;
            let client = send::connect(&self.environment, name)?;
            let requests = commands.iter().map(|command| send::request(&encode, command, Duration::from_secs(60)));
            let tally = send::send_all(&client, requests, |_| {})?;
            output::note(&format!("{name}: {} sample commands: {tally}", commands.len()));
        }
        Ok(())
    }

    /// Fails when something of this process cannot go on.
    fn check(&self) -> Result<()> {
        if let Some(failure) = self.running.iter().find_map(Running::failure).filter(|_| !self.stop.is_stopped()) {
            return Err(Error::invalid(failure));
        }
        for (name, status) in &self.handlers {
            for partition in &lock(status).partitions {
                if let Activity::Stopped(reason) = &partition.activity {
                    return Err(Error::invalid(format!(
                        "{name}.commands/{} stands still: {reason}",
                        partition.partition
                    )));
                }
            }
        }
        for view in &self.views {
            if let Some(stopped) = view.stopped() {
                return Err(Error::invalid(stopped));
            }
        }
        Ok(())
    }

    fn wait_until_idle(&self) -> Result<()> {
        let mut admin = self.environment.log.admin()?;
        let mut told = Instant::now();
        while !self.stop.is_stopped() {
            self.check()?;
            let waiting_for = self.behind(&mut *admin)?;
            let Some(waiting_for) = waiting_for else { return Ok(()) };
            if told.elapsed() >= TELL {
                told = Instant::now();
                output::note(&format!("waiting for {waiting_for}"));
            }
            std::thread::sleep(LOOK);
        }
        Err(Error::unavailable("stopped before everything was handled"))
    }

    /// What is not at its log's end yet.
    fn behind(&self, admin: &mut dyn Admin) -> Result<Option<String>> {
        for (name, status) in &self.handlers {
            let known: BTreeMap<_, _> = {
                let status = lock(status);
                status.partitions.iter().map(|health| (health.partition, health.next_command)).collect()
            };
            for place in admin.partitions(&self.environment.topics(name).commands)? {
                let end = admin.bounds(&place, Isolation::ReadUncommitted)?.end;
                if known.get(&place.partition).is_none_or(|next| *next < end) && end > Offset(0) {
                    return Ok(Some(format!("the handler at {place}@{end}")));
                }
            }
        }
        for view in &self.views {
            let positions = view.positions();
            for input in view.inputs {
                for place in admin.partitions(&self.environment.topics(input).events)? {
                    let end = admin.bounds(&place, Isolation::ReadCommitted)?.end;
                    if positions.get(&place).is_none_or(|position| *position < end) && end > Offset(0) {
                        return Ok(Some(format!("the view {} at {place}@{end}", view.name)));
                    }
                }
            }
        }
        Ok(None)
    }
}

fn total_end(admin: &mut dyn Admin, topic: &factum_core::Topic) -> Result<i64> {
    let mut total = 0;
    for place in admin.partitions(topic)? {
        total += admin.bounds(&place, Isolation::ReadUncommitted)?.end.0;
    }
    Ok(total)
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
