//! One partition that a transformer has.

use super::Totals;
use crate::{
    CommitOffset, Offset, TimestampMs, TopicId, TopicPartition,
    backoff::wait_ms,
    transform::claim::Survey,
    view::{Awaited, Counts, PlaceState, PlaceStatus, Stop, foreign::Newest, intake::Held},
};

const FIRST_BACKOFF_MS: i64 = 50;
const LAST_BACKOFF_MS: i64 = 5_000;

/// A partition in the machine.
#[derive(Debug)]
pub(super) struct Place<E> {
    pub(super) at: TopicPartition,
    pub(super) phase: Phase,
    /// The topics that offsets and records are marked with; none before the first claim.
    pub(super) ids: Option<(TopicId, TopicId)>,
    /// The group's offset; none where it has none.
    pub(super) committed: Option<Offset>,
    /// The next record to take in.
    pub(super) next: Offset,
    /// The events of a batch whose last has not arrived.
    pub(super) held: Option<Held<E>>,
    /// The versions that went by.
    pub(super) newest: Newest,
    /// What the transaction under way comes to: the offset after it.
    pub(super) pending: Option<(Offset, Totals)>,
    pub(super) totals: Totals,
    /// Failed attempts in a row, for the backoff.
    attempts: u32,
    /// The schema that was fetched last: fetching it again at once cannot help.
    pub(super) fetched: Option<u32>,
}

/// What a partition does.
#[derive(Debug)]
pub(super) enum Phase {
    /// Where to go on is looked up, from then on; with why it has to be again.
    Claiming { at: TimestampMs, why: Option<String> },
    /// It republishes what arrives.
    Running,
    /// A schema is being fetched (no time), or will be.
    AwaitingSchema { id: u32, retry_at: Option<TimestampMs>, why: String },
    /// It stands still until somebody acts.
    Stopped(Stop),
}

impl<E> Place<E> {
    /// A partition that was assigned just now.
    pub(super) fn new(at: TopicPartition, now: TimestampMs) -> Self {
        Place {
            at,
            phase: Phase::Claiming { at: now, why: None },
            ids: None,
            committed: None,
            next: Offset(0),
            held: None,
            newest: Newest::default(),
            pending: None,
            totals: Totals::default(),
            attempts: 0,
            fetched: None,
        }
    }

    /// Whether it takes records in.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Goes on from a position that a survey gave.
    pub(super) fn begin(&mut self, survey: &Survey, position: Offset) {
        self.ids = Some((survey.input_id, survey.output_id));
        self.committed = survey.committed.as_ref().map(|committed| committed.offset);
        self.next = position;
        self.phase = Phase::Running;
    }

    /// Forgets what was not committed: where to go on is looked up again.
    pub(super) fn rewind(&mut self, why: Option<String>, now: TimestampMs) {
        (self.held, self.pending) = (None, None);
        let at = self.retry_at(now);
        self.phase = Phase::Claiming { at, why };
    }

    /// When to try again, later after each failure in a row.
    pub(super) fn retry_at(&mut self, now: TimestampMs) -> TimestampMs {
        let wait = wait_ms(FIRST_BACKOFF_MS, LAST_BACKOFF_MS, self.attempts, (&self.at, now.0));
        self.attempts = (self.attempts + 1).min(16);
        TimestampMs(now.0 + wait)
    }

    /// Adds to the transaction under way.
    pub(super) fn add(&mut self, next: Offset, more: Totals) {
        let mut totals = self.pending.map_or_else(Totals::default, |(_, totals)| totals);
        totals += more;
        self.pending = Some((next, totals));
    }

    /// What the transaction under way says of it.
    pub(super) fn offset(&self) -> Option<CommitOffset> {
        let ((offset, _), (input_id, output_id)) = self.pending.zip(self.ids)?;
        Some(CommitOffset { place: self.at.clone(), offset, metadata: Survey::mark(input_id, output_id, offset) })
    }

    /// The transaction under way was committed.
    pub(super) fn committed(&mut self) -> Totals {
        let Some((offset, totals)) = self.pending.take() else { return Totals::default() };
        (self.committed, self.attempts) = (Some(offset), 0);
        self.totals += totals;
        totals
    }

    pub(super) fn status(&self) -> PlaceStatus {
        let state = match (&self.phase, &self.held) {
            (Phase::Claiming { why: Some(why), .. }, _) => {
                PlaceState::Waiting { awaited: Awaited::Log, why: why.clone() }
            }
            (Phase::Claiming { why: None, .. }, _) => PlaceState::Claiming,
            (Phase::Running, None) => PlaceState::Running,
            (Phase::Running, Some(held)) => PlaceState::HoldingBatch { from: held.start() },
            (Phase::AwaitingSchema { why, .. }, _) => {
                PlaceState::Waiting { awaited: Awaited::Registry, why: why.clone() }
            }
            (Phase::Stopped(stop), _) => PlaceState::Stopped(stop.clone()),
        };
        PlaceStatus {
            position: self.committed,
            end: None,
            state,
            counts: Counts { applied: self.totals.read, unknown: self.totals.skipped, ..Counts::default() },
            parked_keys: 0,
            careful: None,
        }
    }
}
