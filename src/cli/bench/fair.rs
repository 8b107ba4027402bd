//! `bench fair`: what a client that sends too much costs another one.

use super::{Bench, Common, http, share};
use crate::{
    App,
    cli::output,
    host::{HandlerOptions, Stop},
    service::{self, LocalService},
};
use clap::{Args, value_parser};
use factum_core::{Error, Result, handler::Granted};
use factum_gateway::{Limits, Server};
use factum_views::Database;
use serde_json::json;
use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct FairBench {
    /// The limit of the aggregate type, which two clients share.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = value_parser!(u32).range(10..=100_000))]
    commands_per_second: u32,
    /// Seconds alone, and as many beside the other.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How many times its part of the limit the other one sends.
    #[arg(long, default_value_t = 10, value_name = "X", value_parser = value_parser!(u32).range(1..=1_000))]
    times: u32,
    #[command(flatten)]
    common: Common,
}

/// Where the two clients are: the gateway knows clients by their address.
const QUIET: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const NOISY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// The quiet client sends this part of its part.
const WITHIN: f64 = 0.8;
/// Connections of the noisy one.
const CONNECTIONS: u32 = 8;

/// What a client was told.
#[derive(Debug, Default)]
struct Told {
    sent: u64,
    accepted: u64,
    /// Refused with 429.
    refused: u64,
    /// From the time at which a request was due to its acceptance, sorted.
    times_ms: Vec<f64>,
}

impl Told {
    fn add(mut self, other: Told) -> Self {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.times_ms.extend(other.times_ms);
        self.times_ms.sort_by(f64::total_cmp);
        self
    }
}

pub(super) fn fair(app: &Arc<App>, args: &FairBench) -> Result<()> {
    let bench = Bench::prepare(app, &args.common)?;
    let measured = measure(app, args, &bench);
    bench.remove()?;
    let (alone, beside, noisy) = measured?;
    let seconds = args.seconds as f64;
    let at = |told: &Told| (told.accepted as f64 / seconds, share(&told.times_ms, 0.5), share(&told.times_ms, 0.99));
    let ((rate_alone, p50_alone, p99_alone), (rate_beside, p50_beside, p99_beside)) = (at(&alone), at(&beside));
    let noisy_rate = noisy.accepted as f64 / seconds;
    let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    if args.common.format.json {
        let found = json!({
            "alone_per_second": rate_alone, "alone_p99_ms": p99_alone, "alone_refused": alone.refused,
            "beside_per_second": rate_beside, "beside_p99_ms": p99_beside, "beside_refused": beside.refused,
            "noisy_sent": noisy.sent, "noisy_per_second": noisy_rate, "noisy_refused": noisy.refused,
            "throughput_ratio": ratio(rate_beside, rate_alone), "p99_ratio": ratio(p99_beside, p99_alone),
        });
        output::line(&found.to_string());
        return Ok(());
    }
    let row = |what: &str, told: &Told, rate: f64, p50: f64, p99: f64| {
        let counts = [told.sent, told.accepted, told.refused].map(|count| count.to_string());
        let times = [format!("{rate:.1}"), format!("{p50:.2}"), format!("{p99:.2}")];
        [vec![what.to_owned()], counts.to_vec(), times.to_vec()].concat()
    };
    let (_, p50_noisy, p99_noisy) = at(&noisy);
    let rows = [
        row("quiet, alone", &alone, rate_alone, p50_alone, p99_alone),
        row("quiet, beside the noisy one", &beside, rate_beside, p50_beside, p99_beside),
        row("noisy", &noisy, noisy_rate, p50_noisy, p99_noisy),
    ];
    let columns = ["client", "sent", "accepted", "429", "accepted/s", "median ms", "p99 ms"];
    output::table(&columns.map(String::from), &rows);
    output::line(&format!(
        "beside a client that sends {} times its part of {} commands/s: throughput x{:.3}, p99 x{:.2}",
        args.times,
        args.commands_per_second,
        ratio(rate_beside, rate_alone),
        ratio(p99_beside, p99_alone)
    ));
    Ok(())
}

fn measure(app: &Arc<App>, args: &FairBench, bench: &Bench<'_>) -> Result<(Told, Told, Told)> {
    let folder = tempfile::TempDir::new()
        .map_err(|error| Error::invalid(format!("there is no temporary folder for the views: {error}")))?;
    let database = Database::file(folder.path().join("views.sqlite"));
    let service = Arc::new(LocalService::new(app.clone(), bench.environment.clone(), database));
    let serving = Stop::default();
    let limits = Limits { commands_per_second: NonZeroU32::new(args.commands_per_second), ..Limits::default() };
    let router = service::router(service, service::catalog(app)?, &limits, &serving);
    let server = Server::start_with(SocketAddr::from(([127, 0, 0, 1], 0)), router, limits, &serving)?;
    let stop = Stop::default();
    let options = HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
    let (running, _) = bench.host.start_handler(&bench.environment, options, &stop)?;
    let measured = clients(args, bench, server.address());
    stop.stop();
    let ended = running.join();
    serving.stop();
    server.join().and(ended).and(measured)
}

fn clients(args: &FairBench, bench: &Bench<'_>, address: SocketAddr) -> Result<(Told, Told, Told)> {
    let name = bench.host.aggregate_type();
    let (context, aggregate) = name.rsplit_once('.').unwrap_or_default();
    let path = |key: &str| format!("/{context}/{aggregate}/{key}/commands/{}", bench.sample.record);
    let request = |key: &str| http::post(&path(key), &bench.sample.fields);
    let time = Duration::from_secs(args.seconds);
    let part = f64::from(args.commands_per_second) / 2.0;
    // The first one waits for the group to form.
    http::Connection::open(address)?.ask(&request("first"))?;
    output::note(&format!("the quiet client alone, for {} s", args.seconds));
    let alone = send_at(address, QUIET, &request("quiet"), part * WITHIN, time, None)?;
    output::note(&format!("the quiet client beside one that sends {} times its part", args.times));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let noisy: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let request = request(&format!("noisy-{number}"));
                let rate = part * f64::from(args.times) / f64::from(CONNECTIONS);
                let over = &over;
                scope.spawn(move || send_at(address, NOISY, &request, rate, time * 4, Some(over)))
            })
            .collect();
        let beside = send_at(address, QUIET, &request("quiet"), part * WITHIN, time, None);
        over.store(true, Ordering::Relaxed);
        let panicked = || Err(Error::invalid("a client panicked; its message is above"));
        let mut told = Told::default();
        for noisy in noisy {
            told = told.add(noisy.join().unwrap_or_else(|_| panicked())?);
        }
        Ok((alone, beside?, told))
    })
}

/// Sends one request after the other from an address, each when it is due, for a time or until it is over.
fn send_at(
    to: SocketAddr,
    from: Ipv4Addr,
    request: &[u8],
    per_second: f64,
    time: Duration,
    over: Option<&AtomicBool>,
) -> Result<Told> {
    let mut connection = http::Connection::open_from(to, from)?;
    let mut told = Told::default();
    let begun = Instant::now();
    loop {
        let due = Duration::from_secs_f64(told.sent as f64 / per_second);
        if due >= time || over.is_some_and(|over| over.load(Ordering::Relaxed)) {
            return Ok(told.add(Told::default()));
        }
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        told.sent += 1;
        match connection.status(request)? {
            200 => {
                told.accepted += 1;
                told.times_ms.push((begun.elapsed() - due).as_secs_f64() * 1_000.0);
            }
            429 => told.refused += 1,
            status => return Err(Error::invalid(format!("the gateway answered {status}"))),
        }
    }
}
