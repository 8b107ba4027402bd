//! `bench rebuild`: a rebuild against the live view's own drain, and the live view's lag meanwhile.

use super::{
    Bench,
    backlog::{Backlog, wait_for},
    lag::Lag,
    median,
    place::BenchViews,
    view::project,
};
use crate::{
    App,
    build::{self, BuildRequest, Built, DEFAULT_RATE, Plan},
    cli::output,
    host::{HandlerOptions, Stop, ViewHost, ViewProgress},
    send::{self, Outgoing},
};
use clap::Args;
use factum_core::{AggregateId, Error, Result, handler::Granted};
use factum_views::{Database, OLD};
use serde_json::json;
use std::{
    collections::VecDeque,
    num::NonZeroU32,
    time::{Duration, Instant},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct RebuildBench {
    #[command(flatten)]
    views: BenchViews,
    #[command(flatten)]
    backlog: Backlog,
    /// Commands a second while the lag of the live view is measured.
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    commands_per_second: u32,
    /// Events a second of the rebuild beside the live view, as of `views rebuild`; 0 for no limit.
    #[arg(long, default_value_t = DEFAULT_RATE, value_name = "EVENTS_PER_SECOND")]
    rate: u32,
}

/// Between two handfuls of commands.
const TICK: Duration = Duration::from_millis(20);
/// How long the commands go on before anything is measured, and then without a rebuild.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long a command may take to be answered.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The most commands that wait for their answers.
const MAX_PENDING: usize = 1_000;

/// A drain and a rebuild of the same events, events a second.
struct Round {
    live: f64,
    rebuild: f64,
    built: Built,
}

/// The lag of a live view under commands.
struct Lagged {
    without: Duration,
    beside: Duration,
    seconds: f64,
    built: Built,
}

pub(super) fn rebuild(app: &App, args: &RebuildBench) -> Result<()> {
    let bench = Bench::prepare(app, &args.backlog.common)?;
    let outcome = measure(app, args, &bench);
    bench.remove()?;
    let (rounds, lagged) = outcome?;
    let held_ms = |built: &Built| built.held.as_secs_f64() * 1_000.0;
    if !args.backlog.common.format.json {
        let rows: Vec<Vec<String>> = rounds
            .iter()
            .zip(1..)
            .map(|(round, number)| {
                let Round { live, rebuild, built } = round;
                let held = held_ms(built);
                let ratio = rebuild / live;
                vec![
                    format!("{number}"),
                    format!("{live:.0}"),
                    format!("{rebuild:.0}"),
                    format!("{ratio:.2}"),
                    format!("{held:.0}"),
                ]
            })
            .collect();
        output::table(&["round", "live/s", "rebuild/s", "ratio", "held ms"].map(String::from), &rows);
    }
    let of = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    let (live, rebuild, ratio) = (of(|round| round.live), of(|round| round.rebuild), of(|r| r.rebuild / r.live));
    let held = median(rounds.iter().map(|round| held_ms(&round.built)).collect());
    let Lagged { without, beside, seconds, built } = lagged;
    if args.backlog.common.format.json {
        let found = json!({
            "live_per_second": live, "rebuild_per_second": rebuild, "ratio": ratio, "held_ms": held,
            "commands_per_second": args.commands_per_second, "rate": args.rate,
            "lag_ms": beside.as_secs_f64() * 1_000.0, "lag_without_rebuild_ms": without.as_secs_f64() * 1_000.0,
            "beside_seconds": seconds, "beside_held_ms": held_ms(&built), "beside_events": built.events,
        });
        output::line(&found.to_string());
    } else {
        output::line(&format!(
            "median: live {live:.0}/s, rebuild {rebuild:.0}/s, ratio {ratio:.2}; the live view was held still for \
             {held:.0} ms"
        ));
        output::line(&format!(
            "at {} commands a second the live view was at most {:.2} s behind while it was built anew at {} events a \
             second ({seconds:.1} s, held still for {:.0} ms), and {:.2} s without that",
            args.commands_per_second,
            beside.as_secs_f64(),
            args.rate,
            held_ms(&built),
            without.as_secs_f64()
        ));
    }
    Ok(())
}

fn measure(app: &App, args: &RebuildBench, bench: &Bench<'_>) -> Result<(Vec<Round>, Lagged)> {
    let host = args.backlog.view(app, bench)?;
    args.backlog.write(bench)?;
    let mut rounds = Vec::new();
    for _ in args.backlog.rounds() {
        rounds.push(args.views.place()?.run(|database| one_round(args, bench, host, database))?);
    }
    let lagged = args.views.place()?.run(|database| lag(args, bench, host, database))?;
    Ok((rounds, lagged))
}

fn one_round(args: &RebuildBench, bench: &Bench<'_>, host: &dyn ViewHost, database: &Database) -> Result<Round> {
    let live = project(host, bench, database, args.backlog.records)?;
    if live == 0.0 {
        return Err(Error::invalid(
            "the first transaction had all events, so nothing was measured: give more --records",
        ));
    }
    let begun = Instant::now();
    let built = build_anew(bench, host, database, 0)?;
    let rebuild = built.events as f64 / begun.elapsed().as_secs_f64().max(f64::EPSILON);
    Ok(Round { live, rebuild, built })
}

/// All of `views rebuild`, the comparison and the switch included.
fn build_anew(bench: &Bench<'_>, host: &dyn ViewHost, database: &Database, rate: u32) -> Result<Built> {
    let plan = Plan::Rebuild { anew: true, allow_diff: false };
    let request = BuildRequest { plan, rate: NonZeroU32::new(rate), limit: 1 };
    let built = build::build(host, &bench.environment, database, &request, &Stop::default(), &mut |_| {})?;
    if !built.is_live {
        return Err(Error::data(format!("what was built differs from the live view: {:?}", built.compared)));
    }
    let old = host.table()?.beside(OLD)?;
    database.open_rebuild(host.table()?)?.drop_table(&old)?;
    Ok(built)
}

/// The lag of a live view under commands, without and beside a rebuild.
fn lag(args: &RebuildBench, bench: &Bench<'_>, host: &dyn ViewHost, database: &Database) -> Result<Lagged> {
    let (processors, traffic) = (Stop::default(), Stop::default());
    let options = HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
    let (handler, _) = bench.host.start_handler(&bench.environment, options, &processors)?;
    let started = host.start(&bench.environment, database, &processors);
    let measured = started.and_then(|live| {
        let measured = wait_for(&live, args.backlog.records).and_then(|_| {
            std::thread::scope(|scope| {
                let sender = scope.spawn(|| send_steadily(args, bench, &traffic));
                let measured = under_traffic(args, bench, host, database, &live.1);
                traffic.stop();
                let sent = sender.join().map_err(|_| Error::invalid("the sender of commands panicked"))?;
                sent.and(measured)
            })
        });
        processors.stop();
        live.0.join().and(measured)
    });
    processors.stop();
    handler.join().and(measured)
}

fn under_traffic(
    args: &RebuildBench,
    bench: &Bench<'_>,
    host: &dyn ViewHost,
    database: &Database,
    live: &ViewProgress,
) -> Result<Lagged> {
    let topic = bench.environment.topics(bench.host.aggregate_type()).events;
    let mut lag = Lag::of(&bench.environment, &topic, live)?;
    lag.watch_for(WARM_UP)?;
    lag.forget();
    lag.watch_for(WARM_UP)?;
    let without = lag.forget();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let building = scope.spawn(|| build_anew(bench, host, database, args.rate));
        while !building.is_finished() {
            lag.look()?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        // What the end of it held up is seen until the view is where it was.
        lag.watch_for(WARM_UP)?;
        let built = building.join().map_err(|_| Error::invalid("the rebuild panicked; its message is above"))??;
        Ok(Lagged { without, beside: lag.forget(), seconds, built })
    })
}

/// Sends commands at a steady rate until it is stopped; all of them are accepted.
fn send_steadily(args: &RebuildBench, bench: &Bench<'_>, stop: &Stop) -> Result<()> {
    let client = send::connect(&bench.environment, bench.host.aggregate_type())?;
    let encode = bench.host.encoder(&bench.environment)?;
    let begun = Instant::now();
    let (mut sent, mut pending) = (0_u64, VecDeque::new());
    while !stop.is_stopped() {
        let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        while sent < elapsed_ms.saturating_mul(u64::from(args.commands_per_second)) / 1_000 {
            let aggregate = AggregateId::new(format!("account-{:08}", sent % args.backlog.aggregates.max(1)))?;
            let command = Outgoing::new(aggregate, &bench.sample.record, bench.sample.fields.clone());
            pending.push_back(client.submit(send::request(&encode, &command, TIMEOUT)?)?);
            sent += 1;
            // With a wait here the handler is slower than the commands, and the time shows it.
            if pending.len() > MAX_PENDING
                && let Some(first) = pending.pop_front()
            {
                send::expect_accepted(&first.wait()?)?;
            }
        }
        std::thread::sleep(TICK);
    }
    pending.into_iter().try_for_each(|answer| send::expect_accepted(&answer.wait()?).map(drop))
}
