//! Doing it.

use super::{Plan, Replay};
use crate::host::{PASS_ROWS, RefoldRequest, Stop};
use factum_core::{
    Error, ErrorKind, Offset, Result, TopicPartition,
    log::CommitOffset,
    view::{Counts, Mark, Skipped},
};
use factum_views::Database;
use serde::Serialize;
use std::time::Duration;

/// Between two looks at how far the view is.
const LOOK: Duration = Duration::from_millis(50);

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Outcome {
    /// Events that were read again (and new ones up to the log's end).
    pub(crate) delivered: u64,
    /// Those of them that changed rows, or could have.
    pub(crate) applied: u64,
    /// Those that had been applied before.
    pub(crate) already_applied: u64,
    /// Those of record types that the view does not know.
    pub(crate) unknown: u64,
    /// Rows that were folded again, from how many events of their history.
    pub(crate) rows_folded: u64,
    /// See `rows_folded`.
    pub(crate) events_folded: u64,
    /// What the view leaves out from now on.
    pub(crate) left_out: Vec<String>,
}

/// Does what was planned. `progress` hears how much of how much is done.
///
/// # Errors
/// `Conflict` while the view runs; what log and database say; `Unavailable`
/// when it was stopped before the end: the view goes on from there.
pub(crate) fn run(
    mut replay: Replay<'_>,
    plan: Plan,
    database: &Database,
    stop: &Stop,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome> {
    match plan {
        Plan::Nothing => Ok(Outcome::default()),
        Plan::Reset { offsets, .. } => {
            set_offsets(&mut replay, &offsets)?;
            follow(replay, database, stop, progress)
        }
        Plan::Refold { places, only, .. } => {
            let mut outcome = Outcome::default();
            for (place, from) in places {
                mark(&mut replay, &place)?;
                let request = RefoldRequest { place: &place, from, only: only.as_ref(), pass_rows: PASS_ROWS, stop };
                let done = replay.host.refold(replay.environment, &mut *replay.sink, &request, progress)?;
                outcome.delivered += done.delivered;
                outcome.rows_folded += done.rows;
                outcome.events_folded += done.events;
                outcome.applied += done.delivered;
            }
            Ok(outcome)
        }
    }
}

/// Sets offsets of the view's group, which only works while it has no members.
fn set_offsets(replay: &mut Replay<'_>, offsets: &[CommitOffset]) -> Result<()> {
    replay.admin.reset_group_offsets(&replay.group, offsets).map_err(|error| match error.kind() {
        ErrorKind::Conflict => Error::new(
            ErrorKind::Conflict,
            format!(
                "view {} runs (group {} has members), and a replay needs it down: end every process that runs it (`up`, \
                 `run view`), wait until its session is over (10 s after a kill), and run this again; nothing was changed",
                replay.host.name(),
                replay.group
            ),
        ),
        _ => error,
    })
}

/// Says to the group what the progress row says, so that no reset is honoured beside the fold.
fn mark(replay: &mut Replay<'_>, place: &TopicPartition) -> Result<()> {
    let offset = replay.standing.position(place);
    let Some(at) = replay.places.iter().find(|at| at.place == *place) else { return Ok(()) };
    let mark = Mark { topic_id: at.topic_id, offset, database: replay.sink.database_id() };
    let metadata = mark.to_string();
    set_offsets(replay, &[CommitOffset { place: place.clone(), offset, metadata }])
}

/// Runs the view until it is at the ends of the log as they are now.
fn follow(
    mut replay: Replay<'_>,
    database: &Database,
    stop: &Stop,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Outcome> {
    let name = replay.host.name();
    let ends: Vec<(TopicPartition, Offset)> =
        replay.places.iter().map(|at| (at.place.clone(), at.bounds.end)).collect();
    let ending = Stop::default();
    let (running, view) = replay.host.start(replay.environment, database, &ending)?;
    let total: i64 = ends.iter().map(|(_, end)| end.0).sum();
    let failed = loop {
        let status = view.status();
        if status.has_passed(ends.iter().map(|(place, end)| (place, *end))) {
            break None;
        }
        if let Some(why) = running.failure().or_else(|| view.stopped()) {
            break Some(Error::invalid(why));
        }
        if stop.is_stopped() {
            break Some(Error::unavailable(format!(
                "stopped on the way: view {name} goes on from there when it runs, and this needs not be run again"
            )));
        }
        let done: i64 = status.places.values().filter_map(|place| place.position).map(|position| position.0).sum();
        progress(u64::try_from(done).unwrap_or(0), u64::try_from(total).unwrap_or(0));
        std::thread::sleep(LOOK);
    };
    let Counts { applied, unknown, repeated, parked } = view.status().totals;
    ending.stop();
    running.join()?;
    if let Some(error) = failed {
        return Err(error);
    }
    let before = replay.standing.skipped.clone();
    let after = replay.sink.standing()?.skipped;
    let new = after.into_iter().filter(|skipped| !before.contains(skipped));
    let shown = |Skipped { place, offsets }: Skipped| format!("{place} from {} to {}", offsets.start, offsets.end);
    Ok(Outcome {
        delivered: applied + unknown + repeated + parked,
        applied,
        already_applied: repeated,
        unknown,
        left_out: new.map(shown).collect(),
        ..Outcome::default()
    })
}
