//! `views rebuild`: fold a view's log again, beside the live view.

use super::{RateArgs, Which, run, show, told};
use crate::{
    App,
    build::{self, Plan},
    cli::{FormatArgs, output, publish::parse_time},
};
use clap::{Args, ValueEnum};
use factum_core::{Error, Result, TimestampMs};
use factum_handler::system_clock;
use factum_views::AsOf;
use std::sync::Arc;

/// Build a view anew beside the live one, compare both, and switch in one transaction.
///
/// The live view and its queries go on meanwhile. When the new tables are where the live ones are, the
/// live view is held still for a moment, both are compared row by row, and the new ones take their
/// place. Where rows differ nothing is switched, unless --allow-diff says that the fold was meant to
/// change: deploy the new fold first, then rebuild. The old tables stay, for `views rollback`, until
/// `views drop-old`.
///
/// Ctrl-C, or the end of the process however it comes, loses nothing: the same command goes on. One
/// build of a view runs at a time.
///
/// With --as-of and --into the view is built as it stood, in tables that stay beside the live ones and
/// never take their place.
///
/// Examples:
///   factum views rebuild balances --kafka localhost:9092
///   factum views rebuild balances --allow-diff --rate 50000
///   factum views rebuild balances --as-of 2026-01-01T00:00:00Z --into year_end
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct RebuildArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    rate: RateArgs,
    /// Switch although rows differ: the fold was meant to change.
    #[arg(long)]
    allow_diff: bool,
    /// Throw away what an earlier process left half built.
    #[arg(long)]
    anew: bool,
    /// The view as it stood at this time (RFC 3339).
    #[arg(long, value_name = "TIME", requires = "into", conflicts_with_all = ["allow_diff", "anew"], value_parser = parse_time)]
    as_of: Option<TimestampMs>,
    /// By which of an event's times --as-of goes.
    #[arg(long, default_value = "recorded", value_name = "WHICH", requires = "as_of")]
    time: Time,
    /// What the tables of --as-of end with: `<view>_v<version>_<SUFFIX>`.
    #[arg(long, value_name = "SUFFIX", requires = "as_of")]
    into: Option<String>,
    /// The most differing rows that are shown.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Time {
    /// When the handler wrote it: what could be known at the time.
    Recorded,
    /// When it occurred, also if it was recorded later.
    Occurred,
}

pub(in crate::cli) fn rebuild(app: &Arc<App>, args: &RebuildArgs) -> Result<()> {
    let host = app.view_host(&args.which.name)?;
    let as_of = match (args.as_of, &args.into) {
        (Some(time), Some(into)) => {
            let now = system_clock();
            if time > now {
                return Err(Error::invalid(format!(
                    "--as-of lies in the future: it is {} now",
                    crate::host::rfc3339(now)
                )));
            }
            let as_of = match args.time {
                Time::Recorded => AsOf::Recorded(time),
                Time::Occurred => AsOf::Occurred(time),
            };
            Some((as_of, into.clone()))
        }
        _ => None,
    };
    let plan = match as_of.clone() {
        Some((as_of, into)) => Plan::AsOf { as_of, into },
        None => Plan::Rebuild { anew: args.anew, allow_diff: args.allow_diff },
    };
    let built = run(app, &args.which, plan, args.rate.rate, args.limit)?;
    let name = host.name();
    if args.format.json {
        output::line(&told(name, &built));
    } else {
        let seconds = built.folding.as_secs_f64().max(0.001);
        let rate = built.events as f64 / seconds;
        output::line(&format!("{name}: {} events folded in {seconds:.1} s, {rate:.0} a second", built.events));
        if built.parked > 0 {
            output::line(&format!(
                "{name}: {} aggregates are parked, each with an event that this program cannot fold; once the new \
                 tables are live, `parked list {name}` says why",
                built.parked
            ));
        }
        match &built.compared {
            Some(compared) => {
                show(compared);
                output::line(&format!(
                    "{name}: {}; the live view was held still for {:.0?}",
                    compared.text, built.held
                ));
            }
            None if built.is_live => output::line(&format!("{name}: there was no live view to compare with")),
            None => {}
        }
        match &as_of {
            Some((as_of, _)) => {
                output::line(&format!("{} is the view {}", built.table, build::as_of(*as_of)));
            }
            _ if built.is_live => output::line(&format!(
                "{name}: the new tables are live; `views rollback {name}` goes back, `views drop-old {name}` frees the space"
            )),
            _ => {}
        }
    }
    if built.is_live || as_of.is_some() {
        return Ok(());
    }
    Err(Error::data(format!(
        "view {name} differs from its log, and nothing was switched: if the fold was meant to change, the same command \
         with --allow-diff goes on from here and switches"
    )))
}
