//! `bench views`: what a slow view costs a fast one in the same process.

use super::{
    Bench,
    backlog::{Backlog, rate, wait_for},
    median,
};
use crate::{
    App,
    cli::output,
    host::{PAUSE, Stop, ViewHost},
};
use clap::Args;
use factum_core::{Error, Result};
use factum_views::Database;
use serde_json::json;

#[derive(Debug, Args)]
pub(in crate::cli) struct ViewsBench {
    #[command(flatten)]
    backlog: Backlog,
}

pub(super) fn views(app: &App, args: &ViewsBench) -> Result<()> {
    let bench = Bench::prepare(app, &args.backlog.common)?;
    let outcome = measure(app, args, &bench);
    bench.remove()?;
    let (alone, beside) = outcome?;
    let slow = beside.iter().map(|run| run.slow).max().unwrap_or(0);
    let beside: Vec<f64> = beside.iter().map(|run| run.fast).collect();
    let ratios: Vec<f64> = alone.iter().zip(&beside).map(|(alone, beside)| beside / alone).collect();
    if !args.backlog.common.format.json {
        let rows: Vec<Vec<String>> = (0..alone.len())
            .map(|round| {
                let (alone, beside, ratio) = (alone[round], beside[round], ratios[round]);
                vec![format!("{}", round + 1), format!("{alone:.0}"), format!("{beside:.0}"), format!("{ratio:.2}")]
            })
            .collect();
        output::table(&["round", "alone/s", "beside/s", "ratio"].map(String::from), &rows);
    }
    let (alone, beside, ratio) = (median(alone), median(beside), median(ratios));
    if args.backlog.common.format.json {
        let found =
            json!({ "alone_per_second": alone, "beside_per_second": beside, "ratio": ratio, "slow_events": slow });
        output::line(&found.to_string());
    } else {
        let most = 1.0 / PAUSE.as_secs_f64();
        output::line(&format!(
            "median: alone {alone:.0}/s, beside a view of at most {most:.0}/s {beside:.0}/s, ratio {ratio:.2}; \
             of {events} events the slow view had applied {slow} by then",
            events = args.backlog.records
        ));
    }
    Ok(())
}

/// The fast view's rates alone, and its runs beside the slow one, round by round.
fn measure(app: &App, args: &ViewsBench, bench: &Bench<'_>) -> Result<(Vec<f64>, Vec<Run>)> {
    let backlog = &args.backlog;
    let fast = backlog.view(app, bench)?;
    backlog.write(bench)?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in backlog.rounds() {
        // In turn, so that a machine that slows down does not favour one of them.
        if round % 2 == 1 {
            alone.push(run(bench, fast, Beside::Nothing, backlog.records)?.fast);
        }
        beside.push(run(bench, fast, Beside::SlowView, backlog.records)?);
        if round % 2 == 0 {
            alone.push(run(bench, fast, Beside::Nothing, backlog.records)?.fast);
        }
    }
    Ok((alone, beside))
}

/// What runs beside the fast view.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Nothing,
    SlowView,
}

/// One run to the log's end.
#[derive(Debug)]
struct Run {
    /// Events a second of the fast view, from its first commit on.
    fast: f64,
    /// Events that the slow view had applied in the end.
    slow: u64,
}

/// Runs the fast view to the log's end, into tables of its own.
fn run(bench: &Bench<'_>, fast: &dyn ViewHost, beside: Beside, events: u64) -> Result<Run> {
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
            let rate = rate(&one, events)?;
            let slow = beside.as_ref().map_or(0, |(_, slow)| slow.status().totals.applied);
            if slow >= events {
                return Err(Error::invalid(
                    "the slow view was through before the fast one, so nothing was measured: give more --records",
                ));
            }
            Ok(Run { fast: rate, slow })
        })();
        stop.stop();
        one.0.join().and(measured)
    })();
    stop.stop();
    beside.map_or(Ok(()), |(running, _)| running.join()).and(measured)
}
