//! `bench gateway`: what HTTP adds to a command, and how many rows a second it serves.

use super::{
    Bench, Common,
    backlog::{view_of, wait_for},
    http::{Connection, get, post},
    share,
};
use crate::{
    App,
    cli::output,
    host::{HandlerOptions, Stop, ViewHost},
    send::{self, Outgoing},
    service::{self, LocalService},
};
use clap::{Args, value_parser};
use factum_core::{AggregateId, Error, Result, handler::Granted};
use factum_gateway::{Limits, Server};
use factum_views::Database;
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct GatewayBench {
    /// Commands to send each way.
    #[arg(long, default_value_t = 500, value_name = "N")]
    commands: usize,
    /// Rows of the view that is read.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    rows: u64,
    /// Seconds for which rows are read.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u64,
    /// Connections that read, each from a thread of its own.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = value_parser!(u16).range(1..=256))]
    connections: u16,
    /// The view that is read; without it the first that reads only the aggregate type.
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    /// Where its rows are: postgres://USER@HOST/DATABASE, in a schema of its own that is dropped; without it a
    /// SQLite file that is deleted.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "URL")]
    views: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Milliseconds from a command to its answer, sorted.
struct Answers {
    client: Vec<f64>,
    http: Vec<f64>,
}

/// What the readers got.
#[derive(Debug, Default)]
struct Reads {
    per_second: f64,
    /// Milliseconds from a request to its answer, sorted.
    times: Vec<f64>,
}

pub(super) fn gateway(app: &Arc<App>, args: &GatewayBench) -> Result<()> {
    let bench = Bench::prepare(app, &args.common)?;
    let outcome = in_database(args.views.as_deref(), |database| measure(app, args, &bench, database));
    bench.remove()?;
    let (answers, reads) = outcome?;
    let at = |times: &[f64]| (share(times, 0.5), share(times, 0.99));
    let ((client_p50, client_p99), (http_p50, http_p99)) = (at(&answers.client), at(&answers.http));
    let (read_p50, read_p99) = at(&reads.times);
    let Reads { per_second, .. } = reads;
    let connections = args.connections;
    if args.common.format.json {
        let found = json!({
            "client_p50_ms": client_p50, "client_p99_ms": client_p99, "http_p50_ms": http_p50, "http_p99_ms": http_p99,
            "added_p50_ms": http_p50 - client_p50, "added_p99_ms": http_p99 - client_p99,
            "gets_per_second": per_second, "get_p50_ms": read_p50, "get_p99_ms": read_p99,
            "connections": connections, "load": LOAD,
        });
        output::line(&found.to_string());
        return Ok(());
    }
    let row = |what: &str, p50: f64, p99: f64| vec![what.to_owned(), format!("{p50:.2}"), format!("{p99:.2}")];
    let rows = [
        row("client", client_p50, client_p99),
        row("HTTP", http_p50, http_p99),
        row("added by HTTP", http_p50 - client_p50, http_p99 - client_p99),
    ];
    output::table(&["command to reply", "median ms", "p99 ms"].map(String::from), &rows);
    output::line(&format!(
        "GET of one row: {per_second:.0}/s over {connections} connections, median {read_p50:.2} ms, p99 {read_p99:.2} ms"
    ));
    output::line(&format!("load: {LOAD}"));
    Ok(())
}

/// What made the load.
const LOAD: &str = "factum's own client, kept connections, a thread for each, in the gateway's process";

/// Runs with tables of its own, which are gone afterwards.
fn in_database<T>(views: Option<&str>, run: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
    match views.map(Database::parse).transpose()? {
        Some(Database::Postgres(url)) => {
            let schema = url.make_schema(&format!("factum_bench_{}", uuid::Uuid::new_v4().simple()))?;
            let ran = run(&Database::Postgres(schema.url().clone()));
            schema.remove().and(ran)
        }
        _ => {
            let folder = tempfile::TempDir::new()
                .map_err(|error| Error::invalid(format!("there is no temporary folder for the views: {error}")))?;
            run(&Database::file(folder.path().join("views.sqlite")))
        }
    }
}

fn measure(app: &Arc<App>, args: &GatewayBench, bench: &Bench<'_>, database: &Database) -> Result<(Answers, Reads)> {
    let host = view_of(app, args.view.as_deref(), bench)?;
    let events = args.rows.max(1);
    bench.fill(events, events)?;
    let options = || HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
    bench.host.drain(&bench.environment, options(), events)?;
    project(host, bench, database, events)?;

    let service = Arc::new(LocalService::new(app.clone(), bench.environment.clone(), database.clone()));
    let serving = Stop::default();
    // All of the load comes from one client.
    let limits = Limits { max_in_flight_per_client: Limits::default().max_in_flight, ..Limits::default() };
    let router = service::router(service, service::catalog(app)?, &limits, &serving);
    let server = Server::start_with(SocketAddr::from(([127, 0, 0, 1], 0)), router, limits, &serving)?;
    let stop = Stop::default();
    let (running, _) = bench.host.start_handler(&bench.environment, options(), &stop)?;
    let measured = answers(args, bench, server.address());
    stop.stop();
    let measured = running.join().and(measured).and_then(|answers| {
        let requests = keys(events).map(|key| get(&format!("/views/{}?where=key%3D%27{key}%27", host.name())));
        Ok((answers, reads(args, server.address(), &requests.collect::<Vec<_>>())?))
    });
    serving.stop();
    server.join().and(measured)
}

/// The aggregates that [`Bench::fill`] sends to.
fn keys(count: u64) -> impl Iterator<Item = String> {
    (0..count).map(|index| format!("account-{index:08}"))
}

/// Puts the rows into their table.
fn project(host: &dyn ViewHost, bench: &Bench<'_>, database: &Database, events: u64) -> Result<()> {
    let stop = Stop::default();
    let one = host.start(&bench.environment, database, &stop)?;
    let applied = wait_for(&one, events);
    stop.stop();
    one.0.join().and(applied).map(|_| ())
}

/// The time of each command, one at a time, by the client and by HTTP in turn, so that a machine that
/// slows down does not favour one of them.
fn answers(args: &GatewayBench, bench: &Bench<'_>, address: SocketAddr) -> Result<Answers> {
    let name = bench.host.aggregate_type();
    let client = send::connect(&bench.environment, name)?;
    let encode = bench.host.encoder(&bench.environment)?;
    let mut connection = Connection::open(address)?;
    let record = &bench.sample.record;
    let (context, aggregate) = name.rsplit_once('.').unwrap_or_default();
    let mut answers = Answers { client: Vec::new(), http: Vec::new() };
    for (index, key) in (0..=args.commands).zip(keys(100).collect::<Vec<_>>().into_iter().cycle()) {
        let command = Outgoing::new(AggregateId::new(key.as_str())?, &bench.sample.record, bench.sample.fields.clone());
        let path = format!("/{context}/{aggregate}/{key}/commands/{record}");
        let request = post(&path, &bench.sample.fields);
        let begun = Instant::now();
        // As in the gateway, making the bytes is part of it.
        send::expect_accepted(&client.send(send::request(&encode, &command, Duration::from_secs(60))?)?)?;
        let by_client = begun.elapsed();
        let begun = Instant::now();
        connection.ask(&request)?;
        let by_http = begun.elapsed();
        // The first ones wait for groups to form and connections to be made, and are not counted.
        if index > 0 {
            answers.client.push(by_client.as_secs_f64() * 1_000.0);
            answers.http.push(by_http.as_secs_f64() * 1_000.0);
        }
    }
    answers.client.sort_by(f64::total_cmp);
    answers.http.sort_by(f64::total_cmp);
    Ok(answers)
}

/// Asks for one row after the other over all connections.
fn reads(args: &GatewayBench, address: SocketAddr, requests: &[Vec<u8>]) -> Result<Reads> {
    // What is asked first is not counted: connections to the database are made then.
    let warm = Duration::from_secs(1);
    let seconds = Duration::from_secs(args.seconds.max(1));
    let read = |number: usize| -> Result<Vec<f64>> {
        let mut connection = Connection::open(address)?;
        let mut times = Vec::new();
        let started = Instant::now();
        // Each connection begins elsewhere and asks in steps that reach every row.
        for request in requests.iter().cycle().skip(number * 997 % requests.len()) {
            let begun = Instant::now();
            if begun - started >= warm + seconds {
                break;
            }
            connection.ask(request)?;
            if begun - started >= warm {
                times.push(begun.elapsed().as_secs_f64() * 1_000.0);
            }
        }
        Ok(times)
    };
    let outcomes: Vec<Result<Vec<f64>>> = std::thread::scope(|scope| {
        let readers: Vec<_> =
            (0..usize::from(args.connections)).map(|number| scope.spawn(move || read(number))).collect();
        let panicked = || Err(Error::invalid("a reader panicked; its message is above"));
        readers.into_iter().map(|reader| reader.join().unwrap_or_else(|_| panicked())).collect()
    });
    let mut times = outcomes.into_iter().collect::<Result<Vec<_>>>()?.concat();
    times.sort_by(f64::total_cmp);
    Ok(Reads { per_second: times.len() as f64 / seconds.as_secs_f64(), times })
}
