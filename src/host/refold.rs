//! Folding rows of single aggregates again, from their history in the log.

use super::Stop;
use crate::{environment::Environment, history::read_range};
use factum_core::{
    AggregateId, Error, ErrorKind, Offset, Result, TopicPartition,
    log::Isolation,
    view::{Commit, CommitOutcome, Compare, Move, Parking, Refold, Refolding, View},
};
use factum_schemas::{AvroMessage, RecordCodec};
use factum_views::Sink;
use std::{collections::BTreeSet, ops::ControlFlow};

/// The most rows of one transaction.
const CHUNK_ROWS: usize = 5_000;
/// As many rows as are in memory at a time without it mattering; each such part of them is one pass over the log.
pub const PASS_ROWS: usize = 50_000;
/// More parts than this take longer than to build the view anew, and all their keys are in memory.
const MAX_PASSES: usize = 20;
/// Records between two words about progress.
const TELL_RECORDS: u64 = 1_000;

/// Which rows to fold again.
#[derive(Debug, Clone, Copy)]
pub struct RefoldRequest<'a> {
    /// Of which partition.
    pub place: &'a TopicPartition,
    /// Those that events at or behind this offset touch.
    pub from: Offset,
    /// Or this one only.
    pub only: Option<&'a AggregateId>,
    /// The most rows in memory at a time, at least one; [`PASS_ROWS`].
    pub pass_rows: usize,
    /// Ends it with nothing changed, or some rows.
    pub stop: &'a Stop,
}

/// What was folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RefoldTally {
    /// Events that the request named.
    pub delivered: u64,
    /// Rows.
    pub rows: u64,
    /// The events of their histories.
    pub events: u64,
}

/// Folds up to the view's position, which stays, and holds at most
/// [`RefoldRequest::pass_rows`] rows in memory: more are more passes over the log. Rows change in transactions of
/// [`CHUNK_ROWS`]; each compares the progress row, so a view that runs after
/// all makes it fail and not differ.
pub(super) fn refold<V: View>(
    environment: &Environment,
    sink: &mut dyn Sink,
    request: &RefoldRequest<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<RefoldTally>
where
    V::Event: AvroMessage,
{
    let RefoldRequest { place, from, only, pass_rows, stop } = *request;
    let mut admin = environment.log.admin()?;
    let topic = admin.describe_topic(&place.topic)?;
    let topic = topic.ok_or_else(|| Error::invalid(format!("topic {} does not exist", place.topic)))?;
    let start = admin.bounds(place, Isolation::ReadCommitted)?.start;
    let claim = sink.claim(place, topic.id)?;
    if claim.topic_id != topic.id || start > Offset(0) {
        return Err(Error::invalid(format!(
            "view {} cannot fold rows of {place} again: the topic was made again or begins at {start}; build the view \
             anew with `factum views rebuild {}`",
            V::NAME,
            V::NAME
        )));
    }
    let go_on = || match stop.is_stopped() {
        true => Err(Error::unavailable("stopped before the end: run the same again")),
        false => Ok(ControlFlow::Continue(())),
    };
    let most = pass_rows.max(1).saturating_mul(MAX_PASSES);
    let mut done = RefoldTally::default();
    let mut aggregates: BTreeSet<AggregateId> = only.cloned().into_iter().collect();
    read_range(environment, place, from..claim.position, |record| {
        let key = record.key().unwrap_or_default();
        if only.is_none_or(|only| only.as_str().as_bytes() == key) {
            done.delivered += 1;
            if only.is_none() {
                aggregates.insert(
                    AggregateId::check(key)
                        .and_then(AggregateId::new)
                        .map_err(|error| Error::data(format!("{record:?}: {error}")))?,
                );
            }
        }
        if aggregates.len() > most {
            return Err(Error::invalid(format!(
                "the events of {place} from {from} on touch more than {most} rows, which are too many to fold one by \
                 one: build the view anew with `factum views rebuild {}`",
                V::NAME
            )));
        }
        go_on()
    })?;
    done.rows = aggregates.len() as u64;
    let end = u64::try_from(claim.position.0).unwrap_or(0);
    let total = end * aggregates.len().div_ceil(pass_rows.max(1)) as u64;
    let mut before = 0;
    while let Some(last) = aggregates.iter().take(pass_rows.max(1)).next_back().cloned() {
        let codec = RecordCodec::<V::Event>::for_reading(&environment.schemas)?;
        let mut later = aggregates.split_off(&last);
        later.remove(&last);
        aggregates.insert(last);
        let mut refold = Refold::<V, _>::new(codec, std::mem::replace(&mut aggregates, later))?;
        let mut read = 0;
        read_range(environment, place, Offset(0)..claim.position, |record| {
            if let Refolding::NeedsSchema(id) = refold.take(record)? {
                environment.schemas.fetch(id)?;
                refold.take(record)?;
            }
            read += 1;
            if read % TELL_RECORDS == 0 {
                progress(before + u64::try_from(record.offset().0).unwrap_or(0), total);
            }
            go_on()
        })?;
        before += end;
        done.events += refold.events();
        for chunk in refold.finish(&place.topic, CHUNK_ROWS)? {
            let moved = Move {
                place: place.clone(),
                topic_id: topic.id,
                epoch: claim.epoch,
                from: claim.position,
                to: claim.position,
            };
            let commit = Commit {
                upserts: chunk.upserts,
                deletes: chunk.deletes,
                watermarks: chunk.watermarks,
                moves: vec![moved],
                parking: Parking::default(),
                compare: Compare::EpochAndPosition,
            };
            commit_alone::<V>(sink, &commit)?;
        }
    }
    Ok(done)
}

/// Commits rows of a view that is down.
fn commit_alone<V: View>(sink: &mut dyn Sink, commit: &Commit) -> Result<()> {
    match sink.commit(commit)? {
        CommitOutcome::Committed => Ok(()),
        CommitOutcome::ClaimLost(_) | CommitOutcome::RowsChanged => Err(Error::new(
            ErrorKind::Conflict,
            format!("view {} runs: end every process that runs it, and run this again", V::NAME),
        )),
    }
}
