//! One partition that a view has, and what its health says about it.

use super::{
    careful::{Careful, Waiting},
    foreign::Newest,
    intake::Held,
};
use crate::{Offset, TimestampMs, TopicId, TopicPartition, backoff::wait_ms};
use std::{collections::BTreeMap, fmt, ops::Range};

/// Why a partition stands still until somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopClass {
    /// The progress belongs to another topic of this name, or lies beyond the log's end.
    TopicIdentity,
    /// Records were deleted before the view had read them.
    DeletedRecords,
    /// A record was not written by a handler.
    ForeignRecord,
    /// A command's events are not whole.
    TornBatch,
    /// A version of an aggregate is missing.
    VersionGap,
    /// The group's offset was set to where the view cannot go.
    OffsetReset,
    /// The sink refuses, and will again.
    Sink,
    /// A record is of a type that the view has not and must not pass over.
    UnknownRecord,
    /// A record cannot be brought into another shape.
    Transform,
}

impl fmt::Display for StopClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopClass::TopicIdentity => "topic identity",
            StopClass::DeletedRecords => "deleted records",
            StopClass::ForeignRecord => "foreign record",
            StopClass::TornBatch => "torn batch",
            StopClass::VersionGap => "version gap",
            StopClass::OffsetReset => "offset reset",
            StopClass::Sink => "sink",
            StopClass::UnknownRecord => "unknown record",
            StopClass::Transform => "transform",
        })
    }
}

/// A partition's stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The class, for machines.
    pub class: StopClass,
    /// What happened where, for people: names topic, partition and offset.
    pub reason: String,
}

impl Stop {
    pub(crate) fn new(class: StopClass, reason: impl Into<String>) -> Self {
        Stop { class, reason: reason.into() }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.reason)
    }
}

/// What a partition waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// The log.
    Log,
    /// A schema, and so the registry.
    Registry,
    /// The database of the view's rows.
    Database,
    /// Another instance, which claimed the partition later.
    Owner,
}

/// What a partition does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceState {
    /// Its progress row is being claimed.
    Claiming,
    /// It applies what arrives.
    Running,
    /// It waits for the rest of a command's events, of which some have arrived.
    HoldingBatch {
        /// The offset of the batch's first event.
        from: Offset,
    },
    /// Something is away or another owner was faster; it is tried again.
    Waiting {
        /// What for.
        awaited: Awaited,
        /// Why.
        why: String,
    },
    /// It stands still until somebody acts; other partitions go on.
    Stopped(Stop),
}

/// What became of a partition's events since it was assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Applied (perhaps to no row at all).
    pub applied: u64,
    /// Skipped: of a record type that the view does not know.
    pub unknown: u64,
    /// Skipped: their version was applied before.
    pub repeated: u64,
    /// Left aside: they or an earlier one of their aggregate cannot be applied.
    pub parked: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.applied += more.applied;
        self.unknown += more.unknown;
        self.repeated += more.repeated;
        self.parked += more.parked;
    }
}

/// The health of one partition of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceStatus {
    /// The next record to apply, as the database has it; none before the first claim.
    pub position: Option<Offset>,
    /// The end of the log, where it was asked.
    pub end: Option<Offset>,
    /// What it does.
    pub state: PlaceState,
    /// What became of its events.
    pub counts: Counts,
    /// How many aggregates are parked, as it was known last.
    pub parked_keys: u64,
    /// Why its events are applied one command at a time, if they are.
    pub careful: Option<String>,
}

impl PlaceStatus {
    /// Whether everything before these ends was applied. A partition that is not among `places`, for example
    /// because another instance has it, counts as not passed.
    pub fn have_passed<'a>(
        places: &BTreeMap<TopicPartition, PlaceStatus>,
        ends: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
    ) -> bool {
        ends.into_iter().all(|(place, end)| {
            let status = places.get(place);
            end == Offset(0) || status.is_some_and(|status| status.position >= Some(end))
        })
    }

    /// Those that stand still until somebody acts, and why.
    pub fn stopped(places: &BTreeMap<TopicPartition, PlaceStatus>) -> impl Iterator<Item = (&TopicPartition, &Stop)> {
        places.iter().filter_map(|(place, status)| match &status.state {
            PlaceState::Stopped(stop) => Some((place, stop)),
            _ => None,
        })
    }
}

/// A partition in the machine.
#[derive(Debug)]
pub(super) struct Place<E> {
    pub(super) at: TopicPartition,
    pub(super) phase: Phase,
    pub(super) topic_id: TopicId,
    pub(super) epoch: u64,
    /// The position in the database; none before the first claim.
    pub(super) stored: Option<Offset>,
    /// The next record to take in.
    pub(super) next: Offset,
    /// Where an operator had it leave records out: from each first offset to before the second.
    pub(super) skipped: Vec<Range<Offset>>,
    /// The events of a batch whose last has not arrived.
    pub(super) held: Option<Held<E>>,
    /// The versions that went by.
    pub(super) newest: Newest,
    pub(super) counts: Counts,
    /// Parked aggregates; not below what there are while the partition is ours.
    pub(super) parked: u64,
    /// Records that came before they may be taken in.
    pub(super) waiting: Waiting,
    /// How often the process ended with the records at `stored` in hand.
    pub(super) deaths: u32,
    /// What was written down last: a position, and how often was begun from it.
    pub(super) marked: Option<(Offset, u32)>,
    /// Whether what a process before this one may have had in hand is done: batches up to there are
    /// written down, and the first one in any case.
    pub(super) begun: bool,
    pub(super) begun_at: Offset,
    pub(super) careful: Option<Careful>,
    /// Why the database refuses the content of the command's events that begin at this position.
    pub(super) refused: Option<(Offset, String)>,
    /// Failed attempts in a row, for the backoff.
    pub(super) attempts: u32,
    /// The schema that was fetched last: fetching it again at once cannot help.
    pub(super) fetched: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// New; may be claimed by a later poll that reports no loss.
    Assigned,
    /// A claim is under way.
    Claiming,
    /// Delivering.
    Running,
    /// Paused until this schema is known; a fetch is under way unless `retry_at` says when to try.
    AwaitingSchema {
        id: u32,
        retry_at: Option<TimestampMs>,
        /// Which record has it.
        what: String,
        /// The same, and what the registry said last.
        why: String,
    },
    /// Paused; claimed again by a poll at or after `until` that reports no loss.
    Backoff { until: TimestampMs, awaited: Awaited, why: String },
    /// Paused for good.
    Stopped(Stop),
}

const FIRST_BACKOFF_MS: i64 = 50;
const LAST_BACKOFF_MS: i64 = 5_000;

impl<E> Place<E> {
    pub(super) fn new(at: TopicPartition) -> Self {
        Place {
            at,
            phase: Phase::Assigned,
            topic_id: TopicId::default(),
            epoch: 0,
            stored: None,
            next: Offset(0),
            skipped: Vec::new(),
            held: None,
            newest: Newest::default(),
            counts: Counts::default(),
            parked: 0,
            waiting: Waiting::default(),
            deaths: 0,
            marked: None,
            begun: false,
            begun_at: Offset(0),
            careful: None,
            refused: None,
            attempts: 0,
            fetched: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Whether records were left out behind the offset `after` and before `before`.
    pub(super) fn was_skipped(&self, after: Offset, before: Offset) -> bool {
        self.skipped.iter().any(|range| range.start < before && range.end > after.next())
    }

    /// When to try again: within 50 ms after `now`, doubled by each failure in a row, at most 5 s. The
    /// second half of that is spread over partitions and moments, so that not all of them come at once.
    pub(super) fn retry_at(&mut self, now: TimestampMs) -> TimestampMs {
        let wait = wait_ms(FIRST_BACKOFF_MS, LAST_BACKOFF_MS, self.attempts, (&self.at, now.0));
        self.attempts = (self.attempts + 1).min(16);
        TimestampMs(now.0 + wait)
    }

    pub(super) fn status(&self) -> PlaceStatus {
        let state = match (&self.phase, &self.held) {
            (Phase::Assigned | Phase::Claiming, _) => PlaceState::Claiming,
            (Phase::Running, None) => PlaceState::Running,
            (Phase::Running, Some(held)) => PlaceState::HoldingBatch { from: held.start() },
            (Phase::AwaitingSchema { why, .. }, _) => {
                PlaceState::Waiting { awaited: Awaited::Registry, why: why.clone() }
            }
            (Phase::Backoff { awaited, why, .. }, _) => PlaceState::Waiting { awaited: *awaited, why: why.clone() },
            (Phase::Stopped(stop), _) => PlaceState::Stopped(stop.clone()),
        };
        PlaceStatus {
            position: self.stored,
            end: None,
            state,
            counts: self.counts,
            parked_keys: self.parked,
            careful: self.careful.as_ref().map(|careful| careful.why.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Partition, Topic};
    use std::collections::BTreeSet;

    #[test]
    fn retries_wait_longer_each_time_and_partitions_do_not_come_at_once() {
        let mut waits: Vec<BTreeSet<i64>> = vec![BTreeSet::new(); 10];
        for partition in 0..50 {
            let mut place = Place::<()>::new(Topic::from("bank.account.events").partition(Partition(partition)));
            for waits in &mut waits {
                waits.insert(place.retry_at(TimestampMs(1_000)).0 - 1_000);
            }
        }
        for (failures, waits) in (0..).zip(&waits) {
            let longest = (50_i64 << failures).min(5_000);
            let (Some(least), Some(most)) = (waits.first(), waits.last()) else { panic!("there are waits") };
            assert!(longest / 2 <= *least && *most <= longest, "{failures}: {waits:?}");
            assert!(waits.len() > 10, "{failures}: {waits:?}");
        }
    }
}
