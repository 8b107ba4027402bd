//! The ends of the log, looked at now and then.

use super::board::{Board, Inner, Member};
use factum_core::{
    Error, Offset, Partition, Result, TimestampMs, TopicPartition,
    log::{Admin, Isolation},
};
use factum_handler::system_clock;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, Weak},
    time::{Duration, Instant},
};
use tracing::debug;

/// Between two looks at the ends.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks for partitions whose ends are not known yet, and for the end of the process.
const GLANCE: Duration = Duration::from_millis(100);

/// What is known of the ends.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ends {
    /// One beyond the last record that is to be handled.
    pub(super) known: BTreeMap<TopicPartition, Offset>,
    /// When all of them were seen last.
    pub(super) looked: Option<TimestampMs>,
    /// Why the last look failed.
    pub(super) trouble: Option<String>,
}

/// Looks at the ends on a thread of its own, until the process stops or the board is gone.
pub(super) fn watch(board: &Board) -> Result<()> {
    let mut admin = board.0.environment.log.admin()?;
    let board = Arc::downgrade(&board.0);
    std::thread::Builder::new()
        .name("ends".to_owned())
        .spawn(move || {
            let mut last: Option<Instant> = None;
            while let Some(inner) = running(&board) {
                let wanted = wanted(&inner);
                let news = {
                    let ends = inner.ends.lock().unwrap_or_else(PoisonError::into_inner);
                    ends.trouble.is_none() && wanted.iter().any(|(place, _)| !ends.known.contains_key(place))
                };
                if news || last.is_none_or(|last| last.elapsed() >= LOOK) {
                    let seen = look(&mut *admin, &wanted);
                    take(&inner, seen);
                    last = Some(Instant::now());
                }
                drop(inner);
                std::thread::sleep(GLANCE);
            }
        })
        .map(drop)
        .map_err(|error| Error::unavailable(format!("no thread to look at the log's ends: {error}")))
}

fn running(board: &Weak<Inner>) -> Option<Arc<Inner>> {
    board.upgrade().filter(|inner| !inner.stop.is_stopped())
}

/// The partitions of this process, each with the records that its processor will see.
fn wanted(inner: &Inner) -> Vec<(TopicPartition, Isolation)> {
    let members = inner.members.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wanted = Vec::new();
    for member in &*members {
        match member {
            Member::Handler { commands, status, .. } => {
                let status = status.lock().unwrap_or_else(PoisonError::into_inner);
                // Commands behind a transaction that is left open wait as well.
                let place = |partition| (commands.partition(partition), Isolation::ReadUncommitted);
                wanted.extend(status.partitions.iter().map(|health| place(health.partition)));
                // A member without partitions asks for one all the same, to learn whether the log is there.
                if status.partitions.is_empty() {
                    wanted.push(place(Partition(0)));
                }
            }
            Member::View(view) => {
                wanted.extend(view.status().places.into_keys().map(|place| (place, Isolation::ReadCommitted)));
            }
            Member::Transform(transform) => {
                wanted.extend(transform.status().places.into_keys().map(|place| (place, Isolation::ReadCommitted)));
            }
        }
    }
    wanted
}

fn look(admin: &mut dyn Admin, wanted: &[(TopicPartition, Isolation)]) -> Result<BTreeMap<TopicPartition, Offset>> {
    wanted.iter().map(|(place, isolation)| Ok((place.clone(), admin.bounds(place, *isolation)?.end))).collect()
}

fn take(inner: &Inner, seen: Result<BTreeMap<TopicPartition, Offset>>) {
    let mut ends = inner.ends.lock().unwrap_or_else(PoisonError::into_inner);
    match seen {
        Ok(known) => *ends = Ends { known, looked: Some(system_clock()), trouble: None },
        Err(error) => {
            debug!(%error, "the ends of the log are not known");
            ends.trouble = Some(error.to_string());
        }
    }
}
