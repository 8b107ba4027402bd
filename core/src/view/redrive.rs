//! The parked records of one key, tried again in their order.

use super::{
    Commit, Compare, Focus, Head, LastEvent, Loaded, Owner, Parked, Parking, Redriven, Refolding, RowLocking, RowShape,
    Scope, View, Watermark,
    intake::{self, Held, Refused},
    parked,
    work::{Changes, Folded, Rules, Work},
};
use crate::{Error, MessageCodec, Offset, RecordRef, Result, TopicPartition, wire::Traces};
use std::sync::Arc;

/// What a key says while a redrive of it has ended between two of its records.
const GOES_ON: &str = "a redrive came to here; run it again to go on";

/// One step of a redrive: the first records of a parked key are read from their
/// topic again, folded with today's code, and parked no longer as far as that goes.
///
/// The shell gives the records that [`Redrive::wants`], loads what
/// [`Redrive::request`] says while it holds the partition's progress row, and
/// commits what [`Redrive::fold`] answers.
pub struct Redrive<V: View, C> {
    codec: C,
    shape: RowShape<V::Row>,
    place: TopicPartition,
    records: Vec<Parked>,
    /// How many of the records were given.
    given: usize,
    /// The numbers of records in whole batches, as these end.
    ends: Vec<usize>,
    work: Work<V>,
    held: Option<Held<V::Event>>,
    source: Arc<str>,
}

impl<V: View, C> std::fmt::Debug for Redrive<V, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redrive").field("view", &V::NAME).field("place", &self.place).finish_non_exhaustive()
    }
}

impl<V: View, C: MessageCodec<V::Event>> Redrive<V, C> {
    /// A step over the first records of a key, in their order.
    ///
    /// # Errors
    /// `Invalid`: there is no record.
    pub fn new(codec: C, records: Vec<Parked>) -> Result<Self> {
        let first = records.first().ok_or_else(|| Error::invalid(format!("view {}: nothing is parked", V::NAME)))?;
        Ok(Redrive {
            codec,
            shape: RowShape::learn()?,
            place: first.place.clone(),
            records,
            given: 0,
            ends: Vec::new(),
            work: Work::new(),
            held: None,
            source: "".into(),
        })
    }

    /// The offset of the record that is to be given next.
    pub fn wants(&self) -> Option<Offset> {
        self.records.get(self.given).map(|record| record.offset)
    }

    /// Takes a record; what is not wanted is passed over.
    ///
    /// # Errors
    /// `Data`: the wanted record is not in its topic any more, or is not a handler's.
    pub fn take(&mut self, record: RecordRef<'_>) -> Result<Refolding> {
        let Some(wanted) = self.wants().filter(|wanted| *wanted <= record.offset()) else {
            return Ok(Refolding::Taken);
        };
        if wanted < record.offset() {
            return Err(Error::data(format!(
                "view {}: {}@{wanted} is parked and is not in its topic any more; `factum parked drop` gives it up",
                V::NAME,
                self.place
            )));
        }
        let (focus, traces) = (Focus::default(), &mut Traces::default());
        match intake::take(&mut self.held, record, &self.codec, &focus, traces, &mut self.source, None) {
            Err(Refused::UnknownSchema(id)) => return Ok(Refolding::NeedsSchema(id)),
            Err(Refused::Stop(stop)) => return Err(Error::data(format!("view {}: {stop}", V::NAME))),
            Ok(_) => self.given += 1,
        }
        V::UNKNOWN.judge(&mut self.held, record).map_err(|stop| Error::data(format!("view {}: {stop}", V::NAME)))?;
        if self.held.as_ref().is_some_and(Held::is_whole)
            && let Some(batch) = self.held.take()
        {
            self.work.add(0, &self.place, batch, &focus);
            self.ends.push(self.given);
        }
        Ok(Refolding::Taken)
    }

    /// Whether what was given makes a step: all events of one command at least.
    pub fn is_ready(&self) -> bool {
        !self.ends.is_empty()
    }

    /// What is to be loaded.
    pub fn request(&self) -> super::LoadRequest {
        let locking = if V::SCOPE == Scope::Shared { RowLocking::Locked } else { RowLocking::Unlocked };
        self.work.request(|_| self.place.clone(), |_| false, locking)
    }

    /// Folds as far as it goes. None: an event cannot be applied, so load again.
    ///
    /// # Errors
    /// `Data`: events are missing between the last one applied and these, or a loaded row is none of the view's.
    pub fn fold(&mut self, loaded: Loaded, was_skipped: &dyn Fn(Offset, Offset) -> bool) -> Result<Option<Commit>> {
        let place = self.place.clone();
        let rules = Rules {
            versions: true,
            ordered: true,
            at: &|_| place.clone(),
            was_skipped: &|_, after, before| was_skipped(after, before),
        };
        let mut met = Vec::new();
        let folded = self.work.fold(&self.shape, loaded, &rules, &mut met)?;
        if let Some(met) = met.first() {
            return Err(Error::data(format!("view {}: {}", V::NAME, met.stop)));
        }
        let Folded::Done(changes) = folded else { return Ok(None) };
        let Changes { upserts, deletes, watermarks, aside, .. } = changes;
        let whole = self.ends.last().copied().unwrap_or_default();
        let (done, next) = match aside.into_iter().next() {
            // The batch is left as a whole, also where its first events were found applied.
            Some(first) => {
                let failed = self.records.iter().position(|record| record.offset == first.offset).unwrap_or_default();
                let done = self.ends.iter().copied().filter(|end| *end <= failed).max().unwrap_or_default();
                let attempts = self.records.get(done).map_or(0, |record| record.attempts) + 1;
                (done, Head { cause: parked::cause(first.cause), attempts })
            }
            None => (whole, Head { cause: GOES_ON.into(), attempts: 0 }),
        };
        let owner = if V::SCOPE == Scope::PartitionLocal { Owner::ClaimsAgain } else { Owner::GoesOn };
        let mut commit = commit(&self.records, done, next, owner);
        (commit.upserts, commit.deletes, commit.watermarks) = (upserts, deletes, watermarks);
        Ok(Some(commit))
    }

    /// Gives up the events of the first command: they count as applied, and no row knows of them.
    pub fn give_up_first(&self) -> Option<Commit> {
        let done = *self.ends.first()?;
        Some(given_up(&self.records, done, "an earlier event was dropped; redrive it"))
    }
}

/// What gives up the first `done` of a key's records: they count as applied, and no row knows of them.
pub fn given_up(records: &[Parked], done: usize, next: &str) -> Commit {
    let done = done.min(records.len());
    let last = done.checked_sub(1).and_then(|index| records.get(index));
    let watermark = last.map(|record| Watermark {
        topic: record.place.topic.clone(),
        aggregate: record.aggregate.clone(),
        last: LastEvent { version: record.version, offset: record.offset },
    });
    let next = Head { cause: next.into(), attempts: 0 };
    Commit { watermarks: watermark.into_iter().collect(), ..commit(records, done, next, Owner::GoesOn) }
}

fn commit(records: &[Parked], done: usize, next: Head, owner: Owner) -> Commit {
    let redriven = records.first().map(|first| Redriven {
        place: first.place.clone(),
        aggregate: first.aggregate.clone(),
        expected: records.iter().map(|record| record.offset).collect(),
        done,
        next,
        owner,
    });
    Commit {
        upserts: Vec::new(),
        deletes: Vec::new(),
        watermarks: Vec::new(),
        moves: Vec::new(),
        parking: Parking { redriven, ..Parking::default() },
        compare: Compare::EpochAndPosition,
    }
}
