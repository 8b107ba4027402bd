//! Trying the parked records of a key again, from their topic.

use crate::{Sink, read_range};
use factum_core::{
    Error, ErrorKind, MessageCodec, Offset, Result, TopicPartition,
    log::{Isolation, Log},
    view::{Commit, CommitOutcome, Head, Parked, Redrive, Redriven, Refolding, Scope, View},
};
use std::{fmt, ops::ControlFlow};

/// Records of one step, which is one transaction.
const STEP_RECORDS: usize = 500;
/// The most records of one step; no command has more events.
const MAX_STEP_RECORDS: usize = 131_072;
/// From a gap of so many offsets on, what lies between two parked records is not read.
const FAR: i64 = 20_000;
/// How often a step whose rows others changed is done again.
const MAX_ATTEMPTS: u32 = 16;

/// What is to be done with a parked key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Fold the first step's records, and change nothing.
    Try,
    /// Apply all that can be applied.
    Apply,
    /// Give up the events of the key's first command.
    GiveUpFirst,
}

/// What became of a parked key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Records that were applied, or would be, or were given up.
    pub records: u64,
    /// Why the next one cannot be applied; none where none is left, or it was not tried.
    pub failed: Option<Head>,
}

/// Who tries parked records again: where it reads them, and when it ends.
pub struct Redriver<'a> {
    /// The view's log.
    pub log: &'a dyn Log,
    /// Makes a schema known to the codec that asked for it.
    pub fetch_schema: &'a dyn Fn(u32) -> Result<()>,
    /// Ends it between two steps.
    pub is_stopped: &'a dyn Fn() -> bool,
}

impl fmt::Debug for Redriver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redriver").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Redriver<'_> {
    /// Goes on from a key's first record, as it was read, in steps that are transactions of their own.
    /// Each step has a codec of its own; `progress` is told how many records are done.
    ///
    /// # Errors
    /// `Conflict`: the key's first record is another one by now, so the key moved on and is left alone.
    /// `Data`: what is parked is not in its topic any more. What log, registry and database say.
    pub fn redrive<V: View, C: MessageCodec<V::Event>>(
        &self,
        codec: &dyn Fn() -> Result<C>,
        sink: &mut dyn Sink,
        first: &Parked,
        doing: Doing,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Tally> {
        let place = &first.place;
        self.check_topic::<V>(first)?;
        let mut tally = Tally::default();
        let mut expected = Some(first.offset);
        let mut size = STEP_RECORDS;
        while !(self.is_stopped)() {
            let records = sink.parked_records(&place.topic, &first.aggregate, None, size)?;
            let count = records.len();
            if records.first().map(|record| record.offset) != expected {
                return Err(moved_on::<V>(first));
            }
            if records.is_empty() {
                break;
            }
            let mut step = Redrive::<V, C>::new(codec()?, records)?;
            self.read(place, &mut step)?;
            if !step.is_ready() {
                if count < size || size >= MAX_STEP_RECORDS {
                    let what = format!("view {}: {place}@{} begins no whole command", V::NAME, first.offset);
                    return Err(Error::data(what));
                }
                size *= 2;
                continue;
            }
            let done = run(sink, &mut step, place, doing)?;
            let Redriven { done, next, .. } = done.ok_or_else(|| moved_on::<V>(first))?;
            tally.records += done as u64;
            progress(tally.records);
            tally.failed = (next.attempts > 0 && done < count).then_some(next);
            if doing != Doing::Apply || tally.failed.is_some() {
                break;
            }
            let rest = sink.parked_records(&place.topic, &first.aggregate, None, 1)?;
            expected = rest.first().map(|record| record.offset);
            if expected.is_none() {
                break;
            }
        }
        Ok(tally)
    }

    /// Gives a step the records that it wants.
    fn read<V: View, C: MessageCodec<V::Event>>(&self, place: &TopicPartition, step: &mut Redrive<V, C>) -> Result<()> {
        let bounds = self.log.admin()?.bounds(place, Isolation::ReadCommitted)?;
        while let Some(wanted) = step.wants() {
            if wanted < bounds.start {
                return Err(Error::data(format!(
                    "view {}: {place}@{wanted} is parked, and the log begins at {}: `factum parked drop` gives it up",
                    V::NAME,
                    bounds.start
                )));
            }
            read_range(self.log, place, wanted..bounds.end, |record| {
                if let Refolding::NeedsSchema(id) = step.take(record)? {
                    (self.fetch_schema)(id)?;
                    step.take(record)?;
                }
                Ok(match step.wants() {
                    Some(next) if next.0 - record.offset().0 < FAR => ControlFlow::Continue(()),
                    _ => ControlFlow::Break(()),
                })
            })?;
            if step.wants() == Some(wanted) {
                return Err(Error::data(format!("view {}: {place}@{wanted} is parked and not in its topic", V::NAME)));
            }
        }
        Ok(())
    }

    fn check_topic<V: View>(&self, first: &Parked) -> Result<()> {
        let topic = &first.place.topic;
        let found = self.log.admin()?.describe_topic(topic)?;
        match found {
            Some(found) if found.id == first.topic_id => Ok(()),
            _ => Err(Error::invalid(format!(
                "what view {} has parked is of a topic {topic} with the id {}, which is there no more: `factum parked \
                 drop` gives it up, `factum views rebuild {}` folds the topic that is there",
                V::NAME,
                first.topic_id,
                V::NAME
            ))),
        }
    }
}

/// One step; none where the key is not as it was read.
fn run<V: View, C: MessageCodec<V::Event>>(
    sink: &mut dyn Sink,
    step: &mut Redrive<V, C>,
    place: &TopicPartition,
    doing: Doing,
) -> Result<Option<Redriven>> {
    let skipped = sink.standing()?.skipped_of(place);
    let was_skipped =
        |after: Offset, before: Offset| skipped.iter().any(|range| range.start < before && range.end > after.next());
    for _ in 0..MAX_ATTEMPTS {
        let Some(commit) = fold(sink, step, place, doing, &was_skipped)? else {
            sink.rollback()?;
            continue;
        };
        let redriven = commit.parking.redriven.clone();
        if doing == Doing::Try {
            sink.rollback()?;
            return Ok(redriven);
        }
        match sink.commit(&commit)? {
            CommitOutcome::Committed => return Ok(redriven),
            CommitOutcome::ClaimLost(_) | CommitOutcome::RowsChanged => sink.rollback()?,
        }
        let Some(Redriven { aggregate, expected, .. }) = &redriven else { continue };
        let now = sink.parked_records(&place.topic, aggregate, None, expected.len())?;
        if !now.iter().map(|record| record.offset).eq(expected.iter().copied()) {
            return Ok(None);
        }
    }
    Err(Error::unavailable(format!(
        "rows of view {} were changed by others {MAX_ATTEMPTS} times in a row: run this again",
        V::NAME
    )))
}

/// What is to be committed; none to load again.
fn fold<V: View, C: MessageCodec<V::Event>>(
    sink: &mut dyn Sink,
    step: &mut Redrive<V, C>,
    place: &TopicPartition,
    doing: Doing,
    was_skipped: &dyn Fn(Offset, Offset) -> bool,
) -> Result<Option<Commit>> {
    // Who folds shared rows locks them first and the progress last, and so does this.
    if V::SCOPE != Scope::Shared {
        sink.hold(place)?;
    }
    if doing == Doing::GiveUpFirst {
        return Ok(step.give_up_first());
    }
    let loaded = sink.load(&step.request());
    let folded = loaded.and_then(|loaded| step.fold(loaded, was_skipped));
    if folded.is_err() {
        sink.rollback()?;
    }
    folded
}

fn moved_on<V: View>(first: &Parked) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "{} of view {} is not parked at {}@{} any more: another redrive or drop was faster; `factum parked list {}` \
             shows what is left",
            first.aggregate,
            V::NAME,
            first.place,
            first.offset,
            V::NAME
        ),
    )
}

/// Gives a key up: its records count as applied, and no row knows of them. Answers how many.
///
/// # Errors
/// `Conflict`: the key's first record is another one by now; what the database says.
pub fn drop_parked(
    sink: &mut dyn Sink,
    first: &Parked,
    is_stopped: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<u64> {
    let (topic, aggregate) = (&first.place.topic, &first.aggregate);
    let (mut dropped, mut expected) = (0, first.offset);
    while !is_stopped() {
        sink.hold(&first.place)?;
        let records = sink.parked_records(topic, aggregate, None, STEP_RECORDS + 1)?;
        let done = records.len().min(STEP_RECORDS);
        let commit = factum_core::view::given_up(&records, done, "an earlier event was dropped; drop or redrive it");
        let is_expected = records.first().is_some_and(|record| record.offset == expected);
        if !is_expected || sink.commit(&commit)? != CommitOutcome::Committed {
            sink.rollback()?;
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "{aggregate} is not parked at {}@{expected} any more: another redrive or drop was faster, or the \
                     view parked more; {dropped} of its records were dropped",
                    first.place
                ),
            ));
        }
        dropped += done as u64;
        progress(dropped);
        match records.get(done) {
            Some(next) => expected = next.offset,
            None => break,
        }
    }
    Ok(dropped)
}
