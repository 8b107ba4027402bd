//! What the benchmarks of views share: a backlog of events, and how fast a view takes it.

use super::{Bench, Common};
use crate::{
    App,
    host::{HandlerOptions, Running, ViewHost, ViewProgress},
};
use clap::Args;
use factum_core::{Error, Result, handler::Granted};
use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

/// Between two looks at how far a view is.
const LOOK: Duration = Duration::from_millis(1);
/// A view that stands still for so long has stopped.
const STALL: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct Backlog {
    /// The view; without it the first that reads only the aggregate type.
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    /// Events in the backlog.
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    pub(super) records: u64,
    /// Aggregates that they are spread over.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(super) aggregates: u64,
    /// How often it is run; the medians count.
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Backlog {
    /// The view that is measured.
    pub(super) fn view<'a>(&self, app: &'a App, bench: &Bench<'_>) -> Result<&'a dyn ViewHost> {
        view_of(app, self.view.as_deref(), bench)
    }

    /// Writes the events.
    pub(super) fn write(&self, bench: &Bench<'_>) -> Result<()> {
        bench.fill(self.records, self.aggregates)?;
        let options = HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
        bench.host.drain(&bench.environment, options, self.records).map(drop)
    }

    /// The rounds, from 1.
    pub(super) fn rounds(&self) -> RangeInclusive<usize> {
        1..=self.rounds.max(1)
    }
}

/// The view of that name, or the first that reads only the aggregate type.
pub(super) fn view_of<'a>(app: &'a App, name: Option<&str>, bench: &Bench<'_>) -> Result<&'a dyn ViewHost> {
    if let Some(name) = name {
        return app.view_host(name);
    }
    let inputs = [bench.host.aggregate_type()];
    let found = app.views.iter().find(|host| host.inputs() == inputs);
    found.map(|host| &**host).ok_or_else(|| {
        Error::invalid(format!("no view reads only {}; name the view with --view", bench.host.aggregate_type()))
    })
}

/// A view that was started.
pub(super) type Started = (Running, ViewProgress);

/// Events a second of a view, from its first commit to that of so many events.
pub(super) fn rate(one: &Started, events: u64) -> Result<f64> {
    let from = wait_for(one, 1)?;
    let begun = Instant::now();
    let to = wait_for(one, events)?;
    Ok((to - from) as f64 / begun.elapsed().as_secs_f64().max(f64::EPSILON))
}

/// Waits until a view has applied so many events; returns how many they are.
pub(super) fn wait_for((running, progress): &Started, events: u64) -> Result<u64> {
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
