//! `bench overload`: several times the capacity for a while, and what became of it.

mod load;
mod memory;
mod proof;

use super::{Bench, Common, share};
use crate::{
    App,
    cli::output,
    host::{HandlerOptions, Stop},
    send,
};
use clap::{Args, value_parser};
use factum_core::{Error, Result, client::ClientConfig, handler::Granted};
use load::{Load, Told};
use memory::Memory;
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct OverloadBench {
    /// Seconds of overload.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How many times the capacity is offered.
    #[arg(long, default_value_t = 3.0, value_name = "X")]
    times: f64,
    /// Seconds for which the capacity is measured.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=3_600))]
    warm: u64,
    /// Aggregates that the commands are spread over.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000))]
    aggregates: u64,
    /// The most commands under way; beyond it a command is refused as overloaded.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    in_flight: u32,
    /// How much the process may grow during the overload, beside the records of the embedded log, which are
    /// in its memory.
    #[arg(long, default_value_t = 256, value_name = "MIB")]
    max_growth_mib: u64,
    /// How long latency may take to come back.
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    recovery: u64,
    #[command(flatten)]
    common: Common,
}

/// Latency is back when so many probes in a row, but for one, are within twice the unloaded p99.
const PROBES: usize = 20;
/// After so long without that it does not come back.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of what was to be offered, at least this part has to be for the run to count.
const REALLY_OFFERED: f64 = 0.9;

/// What the embedded log, which has all of its records in memory (`docs/decisions/0008-embedded-log.md`), takes
/// for one command at most: the command, its event and its answer.
const EMBEDDED_BYTES: u64 = 2048;

/// What was measured.
struct Ran {
    capacity: f64,
    unloaded_p99_ms: f64,
    offered: f64,
    told: Told,
    memory: Memory,
    /// None if latency did not come back.
    recovery: Option<Duration>,
}

/// What was found.
struct Found {
    ran: Ran,
    /// What the process may hold because the log is in it.
    log_mib: u64,
    proof: proof::Proof,
}

pub(in crate::cli::bench) fn overload(app: &Arc<App>, args: &OverloadBench) -> Result<()> {
    if !(args.times.is_finite() && args.times >= 1.0) {
        return Err(Error::invalid("--times is at least 1"));
    }
    let bench = Bench::prepare(app, &args.common)?;
    let found = measure(&bench, args);
    bench.remove()?;
    let found = found?;
    found.print(args);
    match found.broken(args) {
        broken if broken.is_empty() => Ok(()),
        broken => Err(Error::invalid(format!("the overload was not borne: {}", broken.join("; ")))),
    }
}

fn measure(bench: &Bench<'_>, args: &OverloadBench) -> Result<Found> {
    let stop = Stop::default();
    let options = HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
    let (running, _) = bench.host.start_handler(&bench.environment, options, &stop)?;
    let max_in_flight = usize::try_from(args.in_flight).unwrap_or(usize::MAX);
    let config = ClientConfig { max_in_flight, ..ClientConfig::default() };
    let topics = bench.environment.topics(bench.host.aggregate_type());
    let client = send::Client::connect(&*bench.environment.log, topics.clone(), &bench.environment.schemas, config)?;
    let encode = bench.host.encoder(&bench.environment)?;
    let load =
        Load::new(&client, encode(&bench.sample.record, &bench.sample.fields)?, args.aggregates, bench.partitions);
    let ran = run(&load, args);
    stop.stop();
    running.join()?;
    let ran = ran?;
    output::note("reading the log: is everything acknowledged in it, and once?");
    let proof = proof::read(&bench.environment, &topics.events, &load)?;
    let log_mib = bench.embedded.as_ref().map_or(0, |_| ran.told.accepted * EMBEDDED_BYTES / (1024 * 1024));
    Ok(Found { ran, log_mib, proof })
}

fn run(load: &Load<'_>, args: &OverloadBench) -> Result<Ran> {
    // The first one waits for the group to form.
    load.probe()?;
    output::note("measuring the time to an answer without load");
    let mut unloaded_ms = Vec::new();
    let begun = Instant::now();
    while unloaded_ms.len() < 200 || (begun.elapsed() < Duration::from_secs(3) && unloaded_ms.len() < 5_000) {
        unloaded_ms.push(load.probe()?.as_secs_f64() * 1_000.0);
    }
    unloaded_ms.sort_by(f64::total_cmp);
    let unloaded_p99_ms = share(&unloaded_ms, 0.99);
    output::note(&format!("measuring the capacity for {} s", args.warm));
    let capacity = load.closed(Duration::from_secs(args.warm))?;
    let rate = capacity * args.times;
    output::note(&format!(
        "capacity {capacity:.0} commands/s; offering {rate:.0}/s for {} s, whatever becomes of them",
        args.seconds
    ));
    let memory = Memory::begin()?;
    let (offered, (told, recovery)) = load.open(rate, Duration::from_secs(args.seconds), &memory, || {
        recover(load, Duration::from_secs_f64(unloaded_p99_ms * 2.0 / 1_000.0))
    })?;
    Ok(Ran { capacity, unloaded_p99_ms, offered, told, memory: memory.end(), recovery })
}

/// The time until answers come as fast as before: until the first of many in a row, but for one, that do.
fn recover(load: &Load<'_>, limit: Duration) -> Option<Duration> {
    let ended = Instant::now();
    let (mut in_a_row, mut slow, mut since) = (0, 0, ended);
    while ended.elapsed() < PATIENCE {
        let begun = Instant::now();
        let is_fast = load.probe().is_ok_and(|took| took <= limit);
        slow += usize::from(!is_fast);
        match in_a_row {
            0 if is_fast => (in_a_row, slow, since) = (1, 0, begun),
            0 => std::thread::sleep(Duration::from_millis(2)),
            _ if slow > 1 => in_a_row = 0,
            before if before + 1 == PROBES => return Some(since - ended),
            before => in_a_row = before + 1,
        }
    }
    None
}

impl Found {
    /// Which promises were not kept.
    fn broken(&self, args: &OverloadBench) -> Vec<String> {
        let mut broken = Vec::new();
        let planned = self.ran.capacity * args.times;
        if self.ran.offered < planned * REALLY_OFFERED {
            broken.push(format!("only {:.0} of {planned:.0} commands/s were offered: too few cores", self.ran.offered));
        }
        if self.ran.memory.growth_mib() > args.max_growth_mib + self.log_mib {
            let (grown, most) = (self.ran.memory.growth_mib(), args.max_growth_mib + self.log_mib);
            broken.push(format!("the process grew by {grown} MiB, which may be {most}"));
        }
        match self.ran.recovery {
            Some(took) if took <= Duration::from_secs(args.recovery) => {}
            Some(took) => broken.push(format!("latency took {:.1} s to come back", took.as_secs_f64())),
            None => broken.push("latency did not come back".to_owned()),
        }
        if self.proof.lost > 0 {
            broken.push(format!("{} acknowledged commands are not in the log", self.proof.lost));
        }
        if self.proof.twice > 0 {
            broken.push(format!("{} commands are in the log twice", self.proof.twice));
        }
        if let Some((answer, count)) = self.ran.told.undocumented() {
            broken.push(format!("{count} commands got another answer than the documented ones: {answer}"));
        }
        broken
    }

    fn print(&self, args: &OverloadBench) {
        let recovery_s = self.ran.recovery.map(|took| took.as_secs_f64());
        let verdict = if self.broken(args).is_empty() { "borne" } else { "not borne" };
        let (p50, p99) = (self.ran.told.latency_ms(0.5), self.ran.told.latency_ms(0.99));
        if args.common.format.json {
            let found = json!({
                "capacity_per_second": self.ran.capacity.round(), "offered_per_second": self.ran.offered.round(),
                "seconds": args.seconds, "offered": self.ran.told.offered, "accepted": self.ran.told.accepted,
                "overloaded": self.ran.told.overloaded, "expired": self.ran.told.expired, "other": self.ran.told.other.len(),
                "acknowledged": self.proof.acknowledged, "lost": self.proof.lost, "twice": self.proof.twice,
                "unloaded_p99_ms": self.ran.unloaded_p99_ms, "loaded_p50_ms": p50, "loaded_p99_ms": p99,
                "before_mib": self.ran.memory.before_mib(), "peak_mib": self.ran.memory.peak_mib(),
                "recovery_s": recovery_s, "verdict": verdict,
            });
            output::line(&found.to_string());
            return;
        }
        let row = |what: &str, value: String| vec![what.to_owned(), value];
        let told = &self.ran.told;
        let rows = [
            row("capacity, commands/s", format!("{:.0}", self.ran.capacity)),
            row("offered, commands/s", format!("{:.0} for {} s", self.ran.offered, args.seconds)),
            row("offered", told.offered.to_string()),
            row("accepted", told.accepted.to_string()),
            row("refused: overloaded", told.overloaded.to_string()),
            row("no answer in time", told.expired.to_string()),
            row("other answers", told.other.values().sum::<u64>().to_string()),
            row("acknowledged, with warm-up", self.proof.acknowledged.to_string()),
            row("acknowledged and lost", self.proof.lost.to_string()),
            row("twice in the log", self.proof.twice.to_string()),
            row("p99 without load, ms", format!("{:.1}", self.ran.unloaded_p99_ms)),
            row("p50 and p99 of accepted, ms", format!("{p50:.1} and {p99:.1}")),
            row("memory before, MiB", self.ran.memory.before_mib().to_string()),
            row("memory at most, MiB", self.ran.memory.peak_mib().to_string()),
            row("of them records of the log, MiB, about", self.log_mib.to_string()),
            row("recovery, s", recovery_s.map_or("never".to_owned(), |took| format!("{took:.2}"))),
        ];
        output::table(&["overload", "found"].map(String::from), &rows);
        output::line(&format!("verdict: {verdict}"));
    }
}
