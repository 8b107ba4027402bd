//! `views`: build views anew beside the live ones, compare them with their log, go back.

mod rebuild;
mod tables;
mod verify;

use super::{connect::LogArgs, output, publish::progress_bar};
use crate::{
    App,
    build::{BuildRequest, BuildTables, Built, Compared, DEFAULT_RATE, Plan, Told},
    errand::Doer,
    host::Stop,
};
use clap::{Args, Subcommand};
use factum_core::Result;
use factum_views::Database;
use serde_json::json;
use std::{num::NonZeroU32, sync::Arc};

/// Build views anew without downtime, compare them with their log, and go back.
///
/// A view's table is `<view>_v<version>`; what is built stands beside it until it takes its place.
///
/// Examples:
///   factum views list --kafka localhost:9092
///   factum views rebuild balances --kafka localhost:9092
///   factum views verify balances --sample 1000 --kafka localhost:9092
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum ViewsVerb {
    List(tables::ListArgs),
    Rebuild(rebuild::RebuildArgs),
    Verify(verify::VerifyArgs),
    Rollback(tables::RollbackArgs),
    DropOld(tables::DropOldArgs),
    Drop(tables::DropArgs),
}

/// A view and where it is.
#[derive(Debug, Args)]
struct Which {
    /// The view's name.
    name: String,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Where views are.
#[derive(Debug, Args)]
struct PlaceArgs {
    /// Where the views are: a SQLite file, or postgres://USER@HOST/DATABASE. Without it the data folder's file, with --kafka factum-views.sqlite.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    #[command(flatten)]
    log: LogArgs,
}

/// How fast a log is folded again.
#[derive(Debug, Args)]
struct RateArgs {
    /// The most events a second; 0 for as fast as it goes, which may hold a live view in the same database up.
    #[arg(long, default_value_t = DEFAULT_RATE, value_name = "EVENTS_PER_SECOND")]
    rate: u32,
}

pub(super) fn views(app: &Arc<App>, verb: &ViewsVerb) -> Result<()> {
    match verb {
        ViewsVerb::List(args) => tables::list(app, args),
        ViewsVerb::Rebuild(args) => rebuild::rebuild(app, args),
        ViewsVerb::Verify(args) => verify::verify(app, args),
        ViewsVerb::Rollback(args) => tables::rollback(app, args),
        ViewsVerb::DropOld(args) => tables::drop_old(app, args),
        ViewsVerb::Drop(args) => tables::drop(app, args),
    }
}

impl PlaceArgs {
    /// Who has the tables, without the log.
    fn doer(&self, app: &Arc<App>) -> Result<Doer> {
        self.log.doer_without_log(app, self.views.as_ref())
    }
}

/// Builds with a progress bar.
fn run(app: &Arc<App>, which: &Which, plan: Plan, rate: u32, limit: usize) -> Result<Built> {
    let stop: Stop = super::stop_on_signal()?;
    let doer = which.place.log.doer(app, which.place.views.as_ref())?;
    let request = BuildRequest { plan, rate: NonZeroU32::new(rate), limit };
    let build = BuildTables { view: which.name.clone(), request };
    let bar = progress_bar(0, "offsets");
    let mut waits = String::new();
    let built = doer.run(build, &stop, &mut |told| match told {
        Told::Progress(progress) => {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            let why = progress.waits.unwrap_or_default();
            if why != waits && !why.is_empty() {
                bar.suspend(|| output::note(&format!("waiting: {why}")));
            }
            waits = why;
        }
        Told::Note(note) => bar.suspend(|| output::note(&note)),
    });
    bar.finish_and_clear();
    built
}

/// The rows that differ.
fn show(compared: &Compared) {
    compared.first.iter().for_each(|row| output::line(&row.text));
    if compared.more() > 0 {
        output::line(&format!("… and {} more; --limit shows more", compared.more()));
    }
}

/// What came of a build, as JSON.
fn told(view: &str, built: &Built) -> String {
    let parity = built.compared.as_ref().map(|compared| {
        json!({
            "equal": compared.equal, "rows": compared.rows, "hash": compared.hash,
            "folded_rows": compared.folded_rows, "folded_hash": compared.folded_hash,
            "altered": compared.altered, "missing": compared.missing, "extra": compared.extra,
            "first": compared.first.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        })
    });
    json!({
        "view": view, "table": built.table, "live": built.is_live, "parity": parity, "events": built.events,
        "parked": built.parked, "folding_seconds": built.folding.as_secs_f64(), "held_ms": built.held.as_secs_f64() * 1_000.0,
    })
    .to_string()
}
