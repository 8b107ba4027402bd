//! The view runtime as a pure state machine: what happened in, what to do out.

use super::{
    Awaited, Commit, CommitOutcome, Compare, Counts, Effect, Focus, Loaded, MAX_DEATHS, Mark, Move, Parked, Parking,
    PlaceStatus, RowLocking, RowShape, Scope, Stop, StopClass, View,
    careful::MAX_UNITS,
    denied::Denied,
    parked,
    place::{Phase, Place},
    work::{Aside, Changes, Folded, Met, Rules, Work},
};
use crate::{
    CommitOffset, Error, ErrorClass, GroupEvent, MessageCodec, Offset, Protections, RecordBatch, Result, Retry,
    TimestampMs, TopicPartition, wire::Traces,
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// How often rows that changed under a batch are loaded again before its partitions back off.
const MAX_RELOADS: u32 = 16;

/// The most records of a poll where nobody says otherwise.
const MAX_RECORDS: usize = 5_000;

/// A poll of the group consumer, and what is known after it.
#[derive(Debug)]
pub struct Polled<'a> {
    /// The time of the poll; it paces retries and nothing else.
    pub now: TimestampMs,
    /// The records, read before the event.
    pub records: &'a RecordBatch,
    /// The event, if there was one.
    pub event: Option<&'a GroupEvent>,
    /// The consumer's positions after the poll, of [`ViewMachine::running`].
    pub positions: &'a [(TopicPartition, Offset)],
}

/// The runtime of one view in one member of its group.
///
/// Invariants: a row, its aggregates' watermarks and its partition's progress
/// change in one transaction; no transaction ends inside a command's batch; a
/// partition that stands still says why and holds no other up.
///
/// One transaction at a time is under way: the shell polls again only after
/// the effects of the poll before, and of all that they led to, are done.
pub struct ViewMachine<V: View, C> {
    pub(super) codec: C,
    pub(super) database: String,
    pub(super) protections: Protections,
    pub(super) focus: Focus,
    shape: RowShape<V::Row>,
    pub(super) places: Vec<Place<V::Event>>,
    pub(super) flight: Option<Flight<V>>,
    /// The places whose waiting records are to be taken in once that is written down.
    pub(super) in_hand: Vec<usize>,
    /// How many commands' events may be taken in one by one before the next poll.
    pub(super) units_left: usize,
    /// The most records of a poll.
    pub(super) max_records: usize,
    /// How many deaths park what was in hand.
    pub(super) max_deaths: u32,
    pub(super) traces: Traces,
    /// Of the last event: its neighbours have the same.
    pub(super) source: Arc<str>,
    /// Schemas that the registry does not have.
    pub(super) denied: Denied,
    totals: Counts,
    pub(super) now: TimestampMs,
}

/// The transaction under way.
#[derive(Debug)]
pub(super) struct Flight<V: View> {
    pub(super) work: Work<V>,
    moves: BTreeMap<usize, Offset>,
    changes: Changes,
}

impl<V: View, C> fmt::Debug for ViewMachine<V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewMachine").field("view", &V::NAME).field("places", &self.places).finish_non_exhaustive()
    }
}

impl<V: View, C: MessageCodec<V::Event>> ViewMachine<V, C> {
    /// A machine without partitions.
    ///
    /// # Errors
    /// `Invalid`: the view's row is no table ([`RowShape::learn`]), or its scope does not fit its inputs.
    pub fn new(codec: C, database_id: &str, protections: Protections) -> Result<Self> {
        if V::SCOPE == Scope::Aggregate && V::INPUTS.len() != 1 {
            return Err(Error::invalid(format!(
                "view {} has {} inputs, and Scope::Aggregate is for one: aggregates of several types can have the \
                 same id",
                V::NAME,
                V::INPUTS.len()
            )));
        }
        Ok(ViewMachine {
            codec,
            database: database_id.into(),
            protections,
            focus: Focus::default(),
            shape: RowShape::learn().map_err(|e| e.context(format!("view {}", V::NAME)))?,
            places: Vec::new(),
            flight: None,
            in_hand: Vec::new(),
            units_left: 0,
            max_records: MAX_RECORDS,
            max_deaths: MAX_DEATHS,
            traces: Traces::default(),
            source: "".into(),
            denied: Denied::default(),
            totals: Counts::default(),
            now: TimestampMs(0),
        })
    }

    /// The same machine, folding only this part of its log.
    #[must_use]
    pub fn focused(mut self, focus: Focus) -> Self {
        self.focus = focus;
        self
    }

    /// The partitions that deliver: those whose positions a poll should bring.
    pub fn running(&self) -> impl Iterator<Item = &TopicPartition> {
        self.places.iter().filter(|place| place.is_running()).map(|place| &place.at)
    }

    /// The health of every partition.
    pub fn status(&self) -> BTreeMap<TopicPartition, PlaceStatus> {
        self.places.iter().map(|place| (place.at.clone(), place.status())).collect()
    }

    /// The commands whose events the last poll brought, if they carry a trace.
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// What became of all events since the machine was made.
    pub fn totals(&self) -> Counts {
        self.totals
    }

    /// Whether a partition may have parked aggregates, which then have to be counted now and then.
    pub fn has_parked(&self) -> bool {
        self.places.iter().any(|place| place.parked > 0)
    }

    /// Takes how many aggregates are parked in each partition, where some are,
    /// as the sink counts them between two transactions.
    pub fn parked_counted(&mut self, counts: &BTreeMap<TopicPartition, u64>) {
        for place in &mut self.places {
            place.parked = counts.get(&place.at).copied().unwrap_or(0);
        }
    }

    /// Takes the outcome of a poll.
    ///
    /// # Panics
    /// While a transaction is under way.
    pub fn polled(&mut self, poll: &Polled<'_>) -> Vec<Effect> {
        assert!(self.flight.is_none(), "a poll comes only after the last one's effects are done");
        self.now = poll.now;
        self.traces.clear();
        let mut effects = Vec::new();
        let mut loss = false;
        if let Some(GroupEvent::Revoked(gone) | GroupEvent::Lost(gone)) = poll.event {
            loss = matches!(poll.event, Some(GroupEvent::Lost(_)));
            self.take_back(|at| gone.contains(at), &mut effects);
            self.places.retain(|place| !gone.contains(&place.at));
        }
        if !loss {
            self.claim_due(&mut effects);
        }
        self.fetch_due(&mut effects);
        if let Some(GroupEvent::Assigned(new)) = poll.event {
            // An assignment is a new tenure, also of a partition that we seem to have.
            self.places.retain(|place| !new.contains(&place.at));
            self.places.extend(new.iter().cloned().map(Place::new));
        }
        let work = self.take_in(poll.records, &mut effects);
        for (at, position) in poll.positions {
            let place = self.places.iter_mut().find(|place| place.at == *at && place.is_running());
            if let Some(place) = place.filter(|place| place.held.is_none() && place.waiting.is_empty()) {
                place.next = place.next.max(*position);
            }
        }
        self.units_left = MAX_UNITS;
        if !work.is_empty() {
            self.load(work, &mut effects);
        } else {
            if poll.records.is_empty() {
                self.move_idle(&mut effects);
            }
            self.go_on(&mut effects);
        }
        effects
    }

    /// Takes the answer to [`Effect::Load`].
    ///
    /// # Panics
    /// When no load is under way.
    pub fn loaded(&mut self, outcome: Result<Loaded>) -> Vec<Effect> {
        let mut flight = self.flight.take().expect("a load is under way");
        let mut effects = Vec::new();
        let mut met: Vec<Met> = Vec::new();
        let places = &self.places;
        let at = |place: usize| places[place].at.clone();
        let was_skipped = |place: usize, after, before| places[place].was_skipped(after, before);
        let rules = Rules {
            versions: self.protections.version_check,
            ordered: self.protections.ordered_redrive,
            at: &at,
            was_skipped: &was_skipped,
        };
        let folded = outcome.and_then(|loaded| flight.work.fold(&self.shape, loaded, &rules, &mut met));
        for Met { place, stop } in met {
            self.stop(place, stop, &mut effects);
        }
        match folded {
            Err(e) => self.give_up(&flight.work, &e, &mut effects),
            Ok(_) if flight.work.is_empty() => effects.push(Effect::Rollback),
            Ok(Folded::Again) => {
                effects.push(Effect::Rollback);
                self.load(flight.work, &mut effects);
            }
            Ok(Folded::Done(mut changes)) => {
                flight.moves = flight.work.ends();
                let commit = Commit {
                    upserts: std::mem::take(&mut changes.upserts),
                    deletes: std::mem::take(&mut changes.deletes),
                    watermarks: std::mem::take(&mut changes.watermarks),
                    moves: self.moves(&flight.moves),
                    parking: Parking {
                        still: std::mem::take(&mut changes.still),
                        aside: changes.aside.drain(..).map(|aside| self.parked(aside)).collect(),
                        redriven: None,
                    },
                    compare: self.compare(),
                };
                flight.changes = changes;
                self.flight = Some(flight);
                effects.push(Effect::Commit(commit));
            }
        }
        self.go_on(&mut effects);
        effects
    }

    /// Takes the answer to [`Effect::Commit`].
    ///
    /// # Panics
    /// When no commit is under way.
    pub fn committed(&mut self, outcome: Result<CommitOutcome>) -> Vec<Effect> {
        let mut flight = self.flight.take().expect("a commit is under way");
        let mut effects = Vec::new();
        match outcome {
            Ok(CommitOutcome::Committed) => {
                let (mut offsets, mut restarts) = (Vec::with_capacity(flight.moves.len()), Vec::new());
                for (&index, &to) in &flight.moves {
                    let place = &mut self.places[index];
                    place.stored = Some(to);
                    place.attempts = 0;
                    if place.put_down() && !place.waiting.is_empty() {
                        // What waits comes again, as a batch.
                        place.waiting.clear();
                        restarts.push(Effect::Start(place.at.clone(), place.next));
                    }
                    let counts = flight.changes.counts.get(&index).copied().unwrap_or_default();
                    place.counts += counts;
                    place.parked += flight.changes.parks.get(&index).copied().unwrap_or_default();
                    self.totals += counts;
                    let mark = Mark { topic_id: place.topic_id, offset: to, database: &self.database };
                    offsets.push(CommitOffset { place: place.at.clone(), offset: to, metadata: mark.to_string() });
                }
                effects.push(Effect::CommitGroupOffsets(offsets));
                effects.append(&mut restarts);
            }
            Ok(CommitOutcome::ClaimLost(lost)) => {
                for at in &lost {
                    let Some(index) = flight.moves.keys().copied().find(|&index| self.places[index].at == *at) else {
                        continue;
                    };
                    flight.work.drop_place(index);
                    let why =
                        format!("another instance claimed {at} of view {}: it is claimed again if still ours", V::NAME);
                    self.back_off(index, Awaited::Owner, why, &mut effects);
                }
                // The others lost nothing but time.
                if !flight.work.is_empty() {
                    self.load(flight.work, &mut effects);
                }
            }
            Ok(CommitOutcome::RowsChanged) if flight.work.attempts < MAX_RELOADS => {
                flight.work.attempts += 1;
                self.load(flight.work, &mut effects);
            }
            Ok(CommitOutcome::RowsChanged) => {
                let e =
                    Error::unavailable(format!("rows of view {} were changed by others {MAX_RELOADS} times", V::NAME));
                self.give_up(&flight.work, &e, &mut effects);
            }
            Err(e) => {
                // Whether it is durable is not known: the claim reads it from the row.
                effects.push(Effect::Rollback);
                let is_poison = e.kind().class() == ErrorClass::Poison && !flight.work.is_empty();
                let alone = flight.moves.len() == 1;
                for (index, end) in flight.moves {
                    if is_poison && self.places[index].suspect(end, alone, &e, self.max_records) {
                        let why = format!("{} of view {}: {e}", self.places[index].at, V::NAME);
                        self.back_off(index, Awaited::Database, why, &mut effects);
                    } else {
                        self.fail(index, &e, Awaited::Database, &mut effects);
                    }
                }
            }
        }
        self.go_on(&mut effects);
        effects
    }

    /// Moves progress past control records, which no batch will do.
    fn move_idle(&mut self, effects: &mut Vec<Effect>) {
        let moves: BTreeMap<usize, Offset> = self
            .places
            .iter()
            .enumerate()
            .filter(|(_, place)| place.is_running() && place.held.is_none() && place.waiting.is_empty())
            .filter(|(_, place)| place.stored < Some(place.next))
            .map(|(index, place)| (index, place.next))
            .collect();
        if moves.is_empty() {
            return;
        }
        effects.push(Effect::Commit(Commit {
            upserts: Vec::new(),
            deletes: Vec::new(),
            watermarks: Vec::new(),
            moves: self.moves(&moves),
            parking: Parking::default(),
            compare: self.compare(),
        }));
        self.flight = Some(Flight { work: Work::new(), moves, changes: Changes::default() });
    }

    pub(super) fn load(&mut self, work: Work<V>, effects: &mut Vec<Effect>) {
        let shared = V::SCOPE == Scope::Shared && self.protections.shared_row_locking;
        let locking = if shared { RowLocking::Locked } else { RowLocking::Unlocked };
        effects.push(Effect::Load(work.request(
            |place| self.places[place].at.clone(),
            |place| self.places[place].parked > 0,
            locking,
        )));
        self.flight = Some(Flight { work, moves: BTreeMap::new(), changes: Changes::default() });
    }

    fn moves(&self, ends: &BTreeMap<usize, Offset>) -> Vec<Move> {
        ends.iter()
            .map(|(&index, &to)| {
                let place = &self.places[index];
                Move {
                    place: place.at.clone(),
                    topic_id: place.topic_id,
                    epoch: place.epoch,
                    from: place.stored.expect("a partition with events was claimed"),
                    to,
                }
            })
            .collect()
    }

    /// A record as it is kept aside.
    fn parked(&self, aside: Aside) -> Parked {
        let Aside { place: index, aggregate, version, offset, cause } = aside;
        let place = &self.places[index];
        Parked {
            place: place.at.clone(),
            topic_id: place.topic_id,
            aggregate,
            offset,
            version,
            attempts: u32::from(!cause.is_empty()),
            cause: parked::cause(cause),
            at: self.now,
        }
    }

    fn compare(&self) -> Compare {
        if self.protections.progress_compare_and_set { Compare::EpochAndPosition } else { Compare::Nothing }
    }

    /// Ends a transaction that failed before its commit.
    fn give_up(&mut self, work: &Work<V>, error: &Error, effects: &mut Vec<Effect>) {
        effects.push(Effect::Rollback);
        for index in work.ends().into_keys() {
            self.fail(index, error, Awaited::Database, effects);
        }
    }

    pub(super) fn fail(&mut self, index: usize, error: &Error, awaited: Awaited, effects: &mut Vec<Effect>) {
        let what = format!("{} of view {}: {error}", self.places[index].at, V::NAME);
        match error.kind().retry() {
            Retry::No => self.stop(index, Stop::new(StopClass::Sink, what), effects),
            Retry::Same | Retry::AfterReload => self.back_off(index, awaited, what, effects),
        }
    }

    pub(super) fn back_off(&mut self, index: usize, awaited: Awaited, why: String, effects: &mut Vec<Effect>) {
        let place = &mut self.places[index];
        if matches!(place.phase, Phase::Stopped(_)) {
            return;
        }
        place.held = None;
        place.waiting.clear();
        place.phase = Phase::Backoff { until: place.retry_at(self.now), awaited, why: why.clone() };
        effects.push(Effect::Wait { place: place.at.clone(), why });
    }

    pub(super) fn stop(&mut self, index: usize, stop: Stop, effects: &mut Vec<Effect>) {
        let place = &mut self.places[index];
        if matches!(place.phase, Phase::Stopped(_)) {
            return;
        }
        place.held = None;
        place.waiting.clear();
        place.phase = Phase::Stopped(stop.clone());
        effects.push(Effect::Stop { place: place.at.clone(), stop });
    }
}
