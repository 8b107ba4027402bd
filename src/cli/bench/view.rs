//! `bench view`: a view in PostgreSQL against what one writes by hand.

use super::{
    Bench,
    backlog::{Backlog, rate},
    median,
    place::Place,
};
use crate::{
    App,
    cli::output,
    host::{Stop, ViewHost},
};
use clap::Args;
use factum_core::Result;
use factum_views::{Database, yardstick::Writing};
use serde_json::json;

#[derive(Debug, Args)]
pub(in crate::cli) struct ViewBench {
    /// The PostgreSQL database; each run has a schema of its own in it, which is dropped.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "URL")]
    views: String,
    #[command(flatten)]
    backlog: Backlog,
}

/// Events a second of each, round by round.
#[derive(Debug, Default)]
struct Rates {
    bare: Vec<f64>,
    view: Vec<f64>,
    row_by_row: Vec<f64>,
}

pub(super) fn view(app: &App, args: &ViewBench) -> Result<()> {
    let bench = Bench::prepare(app, &args.backlog.common)?;
    let outcome = measure(app, args, &bench);
    bench.remove()?;
    let Rates { bare, view, row_by_row } = outcome?;
    let ratios = |to: &[f64]| -> Vec<f64> { view.iter().zip(to).map(|(view, to)| view / to).collect() };
    let (to_bare, to_rows) = (ratios(&bare), ratios(&row_by_row));
    if !args.backlog.common.format.json {
        let rows: Vec<Vec<String>> = (0..view.len())
            .map(|round| {
                let rates = [bare[round], view[round], row_by_row[round]].map(|rate| format!("{rate:.0}"));
                let ratios = [to_bare[round], to_rows[round]].map(|ratio| format!("{ratio:.2}"));
                [vec![format!("{}", round + 1)], rates.to_vec(), ratios.to_vec()].concat()
            })
            .collect();
        let columns = ["round", "bare/s", "view/s", "row by row/s", "view to bare", "view to rows"];
        output::table(&columns.map(String::from), &rows);
    }
    let (bare, view, row_by_row) = (median(bare), median(view), median(row_by_row));
    let (to_bare, to_rows) = (median(to_bare), median(to_rows));
    if args.backlog.common.format.json {
        let found = json!({
            "bare_per_second": bare, "view_per_second": view, "row_by_row_per_second": row_by_row,
            "ratio_to_bare": to_bare, "ratio_to_row_by_row": to_rows,
        });
        output::line(&found.to_string());
    } else {
        output::line(&format!(
            "median: bare {bare:.0}/s, view {view:.0}/s, row by row {row_by_row:.0}/s; the view to the bare loop \
             {to_bare:.2}, to row by row {to_rows:.1}"
        ));
    }
    Ok(())
}

fn measure(app: &App, args: &ViewBench, bench: &Bench<'_>) -> Result<Rates> {
    let backlog = &args.backlog;
    let host = backlog.view(app, bench)?;
    backlog.write(bench)?;
    let mut rates = Rates::default();
    for round in backlog.rounds() {
        let bare = |writing, events| {
            Place::schema(&args.views)?.run(|database| host.project_bare(&bench.environment, database, writing, events))
        };
        // In turn, so that a machine that slows down does not favour one of them.
        if round % 2 == 1 {
            rates.bare.push(bare(Writing::Batched, backlog.records)?);
        }
        let place = Place::schema(&args.views)?;
        rates.view.push(place.run(|database| project(host, bench, database, backlog.records))?);
        if round % 2 == 0 {
            rates.bare.push(bare(Writing::Batched, backlog.records)?);
        }
        // Its rate does not depend on how many there are, and it takes long.
        rates.row_by_row.push(bare(Writing::RowByRow, (backlog.records / 10).max(1))?);
    }
    Ok(rates)
}

/// Events a second of the view, from its first commit to the log's end.
pub(super) fn project(host: &dyn ViewHost, bench: &Bench<'_>, database: &Database, events: u64) -> Result<f64> {
    let stop = Stop::default();
    let one = host.start(&bench.environment, database, &stop)?;
    let measured = rate(&one, events);
    stop.stop();
    one.0.join().and(measured)
}
