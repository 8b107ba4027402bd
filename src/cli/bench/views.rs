//! `bench views`: what a slow view costs a fast one in the same process.

use super::{Bench, Common, median};
use crate::{
    App,
    cli::output,
    host::{HandlerOptions, PAUSE, Running, Stop, ViewHost, ViewProgress},
};
use clap::Args;
use factum_core::{Error, Result, handler::Granted};
use factum_views::Database;
use serde_json::json;
use std::time::{Duration, Instant};

/// Between two looks at how far a view is.
const LOOK: Duration = Duration::from_millis(1);
/// A view that stands still for so long has stopped.
const STALL: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(in crate::cli) struct ViewsBench {
    /// The view that is to be fast; without it the first that reads only the aggregate type.
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    /// Events in the backlog.
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    records: u64,
    /// Aggregates that they are spread over.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    aggregates: u64,
    /// How often it is run; the medians count.
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    #[command(flatten)]
    common: Common,
}

pub(super) fn views(app: &App, args: &ViewsBench) -> Result<()> {
    let bench = Bench::prepare(app, &args.common)?;
    let outcome = measure(app, args, &bench);
    bench.remove()?;
    let (alone, beside) = outcome?;
    let ratios: Vec<f64> = alone.iter().zip(&beside).map(|(alone, beside)| beside / alone).collect();
    if !args.common.format.json {
        let rows: Vec<Vec<String>> = (0..alone.len())
            .map(|round| {
                let (alone, beside, ratio) = (alone[round], beside[round], ratios[round]);
                vec![format!("{}", round + 1), format!("{alone:.0}"), format!("{beside:.0}"), format!("{ratio:.2}")]
            })
            .collect();
        output::table(&["round", "alone/s", "beside/s", "ratio"].map(String::from), &rows);
    }
    let (alone, beside, ratio) = (median(alone), median(beside), median(ratios));
    if args.common.format.json {
        let found = json!({ "alone_per_second": alone, "beside_per_second": beside, "ratio": ratio });
        output::line(&found.to_string());
    } else {
        let slow = 1.0 / PAUSE.as_secs_f64();
        output::line(&format!(
            "median: alone {alone:.0}/s, beside a view of at most {slow:.0}/s {beside:.0}/s, ratio {ratio:.2}"
        ));
    }
    Ok(())
}

/// The fast view's rates alone and beside the slow one, round by round.
fn measure(app: &App, args: &ViewsBench, bench: &Bench<'_>) -> Result<(Vec<f64>, Vec<f64>)> {
    let fast = fast_view(app, args, bench)?;
    bench.fill(args.records, args.aggregates)?;
    let options = HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
    bench.host.drain(&bench.environment, options, args.records)?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds.max(1) {
        // In turn, so that a machine that slows down does not favour one of them.
        if round % 2 == 1 {
            alone.push(run(bench, fast, Beside::Nothing, args.records)?);
        }
        beside.push(run(bench, fast, Beside::SlowView, args.records)?);
        if round % 2 == 0 {
            alone.push(run(bench, fast, Beside::Nothing, args.records)?);
        }
    }
    Ok((alone, beside))
}

fn fast_view<'a>(app: &'a App, args: &ViewsBench, bench: &Bench<'_>) -> Result<&'a dyn ViewHost> {
    if let Some(name) = &args.view {
        return app.view_host(name);
    }
    let inputs = [bench.host.aggregate_type()];
    let found = app.views.iter().find(|host| host.inputs() == inputs);
    found.map(|host| &**host).ok_or_else(|| {
        Error::invalid(format!("no view reads only {}; name the view with --view", bench.host.aggregate_type()))
    })
}

/// What runs beside the fast view.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Nothing,
    SlowView,
}

/// Events a second of the fast view, from its first commit to the log's end, into tables of its own.
fn run(bench: &Bench<'_>, fast: &dyn ViewHost, beside: Beside, events: u64) -> Result<f64> {
    let folder = tempfile::TempDir::new()
        .map_err(|error| Error::invalid(format!("there is no temporary folder for the views: {error}")))?;
    let database = Database::file(folder.path().join("views.sqlite"));
    let stop = Stop::default();
    let beside = match beside {
        Beside::Nothing => None,
        Beside::SlowView => Some(fast.start_slowed(&bench.environment, &database, &stop)?),
    };
    let measured = (|| {
        if let Some(one) = &beside {
            wait_for(one, 1)?;
        }
        let one = fast.start(&bench.environment, &database, &stop)?;
        let measured = (|| {
            let from = wait_for(&one, 1)?;
            let begun = Instant::now();
            let to = wait_for(&one, events)?;
            let seconds = begun.elapsed().as_secs_f64();
            match &beside {
                Some((_, slow)) if slow.status().totals.applied >= events => Err(Error::invalid(
                    "the slow view was through before the fast one, so nothing was measured: give more --records",
                )),
                _ => Ok((to - from) as f64 / seconds.max(f64::EPSILON)),
            }
        })();
        stop.stop();
        one.0.join().and(measured)
    })();
    stop.stop();
    beside.map_or(Ok(()), |(running, _)| running.join()).and(measured)
}

/// Waits until a view has applied so many events; returns how many they are.
pub(super) fn wait_for((running, progress): &(Running, ViewProgress), events: u64) -> Result<u64> {
    let (mut seen, mut moved) = (0, Instant::now());
    loop {
        let applied = progress.status().totals.applied;
        if applied >= events {
            return Ok(applied);
        }
        if let Some(why) = running.failure().or_else(|| progress.stopped()) {
            return Err(Error::invalid(why));
        }
        if applied > seen {
            (seen, moved) = (applied, Instant::now());
        } else if moved.elapsed() > STALL {
            return Err(Error::unavailable(format!("{applied} of {events} events were applied; nothing moves")));
        }
        std::thread::sleep(LOOK);
    }
}
