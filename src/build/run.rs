//! The steps of a build.

use super::{BuildRequest, Built, Compared, Plan, Told};
use crate::{
    environment::Environment,
    host::{Stop, ViewHost, rfc3339},
};
use factum_core::{
    Error, ErrorKind, Result,
    view::{Sample, ViewTable},
};
use factum_handler::system_clock;
use factum_views::{Database, Parity, Query, REBUILD, RebuildOptions, RebuildProgress, Rebuilder, Target, VERIFY};
use std::time::{Duration, Instant};

/// How often the live view is tried to be held still.
const ATTEMPTS: u32 = 20;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Builds, compares, and switches where that is the plan.
///
/// # Errors
/// `Conflict` when the view is being built by somebody else or tables are in
/// the way; `Unavailable` when it was stopped: the same request goes on then.
pub(crate) fn build(
    host: &dyn ViewHost,
    environment: &Environment,
    database: &Database,
    request: &BuildRequest,
    stop: &Stop,
    tell: &mut dyn FnMut(Told),
) -> Result<Built> {
    let live = host.table()?;
    let (suffix, target, sample, anew) = match &request.plan {
        Plan::Rebuild { anew, .. } => (REBUILD, Target::Live, None, *anew),
        Plan::AsOf { as_of, into } => (into.as_str(), Target::Past(*as_of), None, false),
        Plan::Verify { sample } => {
            let page = database.rows().page(&Query::new(&live).limited(1)?.counted())?;
            let sample = sample.map(|wanted| Sample::about(wanted, page.count.unwrap_or_default(), seed()));
            (VERIFY, Target::Live, sample, true)
        }
    };
    let options = RebuildOptions { suffix: suffix.into(), target, sample, anew, rate: request.rate, owner: owner() };
    let rebuild = host.rebuild(environment, database, options)?;
    let mut built = Built {
        table: live.beside(suffix)?.name(),
        compared: None,
        is_live: false,
        events: 0,
        folding: Duration::ZERO,
        parked: 0,
        held: Duration::ZERO,
    };
    let mut rebuild = match fold(rebuild, &mut built, stop, tell)? {
        Some(rebuild) => rebuild,
        None => {
            let what = if matches!(request.plan, Plan::Verify { .. }) { "verified" } else { "built" };
            return Err(Error::unavailable(format!(
                "stopped before view {} was {what}; the same command goes on",
                host.name()
            )));
        }
    };
    if let Plan::AsOf { .. } = request.plan {
        rebuild.leave(true)?;
        return Ok(built);
    }
    for attempt in 1.. {
        let begun = Instant::now();
        let error = match rebuild.compare(request.limit) {
            Ok(parity) => {
                built.events = rebuild.applied();
                end(rebuild, &request.plan, parity.as_ref(), &live, &mut built)?;
                built.held = begun.elapsed();
                break;
            }
            Err(error) => error,
        };
        if error.kind() != ErrorKind::Unavailable || attempt == ATTEMPTS {
            return Err(error);
        }
        tell(Told::Note(format!("{error}; trying again")));
        std::thread::sleep(PAUSE);
        rebuild = match fold(rebuild, &mut built, stop, tell)? {
            Some(rebuild) => rebuild,
            None => return Err(Error::unavailable(format!("stopped; the same command goes on with {}", built.table))),
        };
    }
    Ok(built)
}

/// Folds until it is close to its target; none if it was stopped before.
fn fold(
    mut rebuild: Rebuilder,
    built: &mut Built,
    stop: &Stop,
    tell: &mut dyn FnMut(Told),
) -> Result<Option<Rebuilder>> {
    let begun = Instant::now();
    let is_close = rebuild.fold(stop.flag(), &mut |progress: &RebuildProgress| {
        built.events = progress.applied;
        built.parked = progress.parked;
        tell(Told::Progress(progress.clone()));
    })?;
    built.folding += begun.elapsed();
    if is_close {
        return Ok(Some(rebuild));
    }
    rebuild.leave(false)?;
    Ok(None)
}

/// Ends the time in which the live view is held still.
fn end(rebuild: Rebuilder, plan: &Plan, parity: Option<&Parity>, live: &ViewTable, built: &mut Built) -> Result<()> {
    let is_equal = parity.is_none_or(Parity::is_equal);
    built.compared = parity.map(|parity| Compared::new(parity, live));
    match plan {
        Plan::Rebuild { allow_diff, .. } if is_equal || *allow_diff => {
            rebuild.switch()?;
            built.is_live = true;
            Ok(())
        }
        Plan::Rebuild { .. } | Plan::AsOf { .. } => rebuild.leave(false),
        Plan::Verify { .. } => rebuild.discard(),
    }
}

/// Who builds, for people.
pub(super) fn owner() -> String {
    format!("process {} since {}", std::process::id(), rfc3339(system_clock()))
}

/// Another one each time, so that samples differ.
fn seed() -> u64 {
    u64::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..8].try_into().unwrap_or_default())
}
