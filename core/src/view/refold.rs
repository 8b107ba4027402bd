//! Rows of single aggregates, folded again from their whole history.

use super::{
    Focus, LastEvent, RowShape, Scope, Stop, View, Watermark,
    intake::{self, Held, Item, Refused},
};
use crate::{AggregateId, Error, MessageCodec, RecordRef, Result, Topic, panic_text, wire::Traces};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refolding {
    /// It was taken in, or is another aggregate's.
    Taken,
    /// Fetch this schema, teach it to the codec, and give the record again.
    NeedsSchema(u32),
}

/// Rows that were folded again, in chunks for transactions.
#[derive(Debug, Clone, PartialEq)]
pub struct Refolded {
    /// Rows to insert or replace.
    pub upserts: Vec<(String, Vec<super::Value>)>,
    /// Keys that have no row.
    pub deletes: Vec<String>,
    /// The aggregates' last events.
    pub watermarks: Vec<Watermark>,
}

/// One aggregate's row on its way.
struct Folding<R> {
    id: AggregateId,
    row: Option<R>,
    last: LastEvent,
}

/// The fold of some aggregates of one partition, for a view with [`Scope::Aggregate`]:
/// give it the partition's records from the log's start on.
pub struct Refold<V: View, C> {
    codec: C,
    shape: RowShape<V::Row>,
    aggregates: BTreeMap<String, Folding<V::Row>>,
    held: Option<Held<V::Event>>,
    source: Arc<str>,
    events: u64,
}

impl<V: View, C> std::fmt::Debug for Refold<V, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refold").field("view", &V::NAME).field("events", &self.events).finish_non_exhaustive()
    }
}

impl<V: View, C: MessageCodec<V::Event>> Refold<V, C> {
    /// A fold of these aggregates.
    ///
    /// # Errors
    /// `Invalid`: the view's rows are not keyed by aggregate.
    pub fn new(codec: C, aggregates: BTreeSet<AggregateId>) -> Result<Self> {
        if V::SCOPE != Scope::Aggregate {
            return Err(Error::invalid(format!(
                "the rows of view {} are not declared to be of one aggregate each (`Scope::Aggregate`), so none can be \
                 folded again alone: build the view anew with `factum views rebuild {}`",
                V::NAME,
                V::NAME
            )));
        }
        Ok(Refold {
            codec,
            shape: RowShape::learn()?,
            aggregates: aggregates
                .into_iter()
                .map(|id| (id.to_string(), Folding { id, row: None, last: LastEvent::NONE }))
                .collect(),
            held: None,
            source: "".into(),
            events: 0,
        })
    }

    /// How many events of these aggregates were taken in.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Takes the partition's next record.
    ///
    /// # Errors
    /// `Data`: what would stop the view, too.
    pub fn take(&mut self, record: RecordRef<'_>) -> Result<Refolding> {
        let key = record.key().unwrap_or_default();
        if self.held.is_none() && !std::str::from_utf8(key).is_ok_and(|key| self.aggregates.contains_key(key)) {
            return Ok(Refolding::Taken);
        }
        match intake::take(
            &mut self.held,
            record,
            &self.codec,
            &Focus::default(),
            &mut Traces::default(),
            &mut self.source,
            None,
        ) {
            Err(Refused::UnknownSchema(id)) => return Ok(Refolding::NeedsSchema(id)),
            Err(Refused::Stop(stop)) => return Err(refused::<V>(&stop)),
            Ok(is_whole) => {
                V::UNKNOWN.judge(&mut self.held, record).map_err(|stop| refused::<V>(&stop))?;
                if !is_whole {
                    return Ok(Refolding::Taken);
                }
            }
        }
        for item in self.held.take().into_iter().flat_map(|held| held.items) {
            self.fold(&item)?;
        }
        Ok(Refolding::Taken)
    }

    fn fold(&mut self, item: &Item<V::Event>) -> Result<()> {
        let id = item.aggregate();
        // A batch is of one aggregate, whose id was looked up.
        let Some(Folding { row, last, .. }) = self.aggregates.get_mut(id.as_str()) else { return Ok(()) };
        let (version, offset) = (item.version(), item.offset());
        if version <= last.version {
            return Ok(());
        }
        if version > last.version.plus(1) {
            return Err(Error::data(format!(
                "view {}: at offset {offset} aggregate {id} has version {version}, and the last one before it is {}: \
                 events are missing",
                V::NAME,
                last.version
            )));
        }
        *last = LastEvent { version, offset };
        self.events += 1;
        if let Item::Bad { why, .. } = item {
            return Err(Error::data(format!("view {}: {why}", V::NAME)));
        }
        for event in item.events() {
            let old = row.take();
            let folded = catch_unwind(AssertUnwindSafe(|| match V::keys(event).as_slice() {
                [] => Ok(old),
                [key] if key == id.as_str() => Ok(V::fold(key, old, event)),
                keys => Err(format!("touches the rows {keys:?}, and its scope says one aggregate's row only")),
            }));
            let folded = folded.unwrap_or_else(|panic| Err(format!("panicked: {}", panic_text(&*panic))));
            let failed = |why| Error::data(format!("{} of aggregate {id}, offset {offset}: {why}", V::NAME));
            *row = folded.map_err(failed)?;
        }
        Ok(())
    }

    /// The rows and watermarks, at most `limit` aggregates in one.
    ///
    /// # Errors
    /// `Data`: a row cannot be stored.
    pub fn finish(self, topic: &Topic, limit: usize) -> Result<Vec<Refolded>> {
        let mut chunks = Vec::new();
        let all: Vec<_> = self.aggregates.into_values().collect();
        for chunk in all.chunks(limit.max(1)) {
            let mut done = Refolded { upserts: Vec::new(), deletes: Vec::new(), watermarks: Vec::new() };
            for Folding { id, row, last } in chunk {
                match row {
                    Some(row) => done.upserts.push((id.as_str().to_owned(), self.shape.values(row)?)),
                    None => done.deletes.push(id.as_str().to_owned()),
                }
                // Also of one without events: what is delivered later is new to it.
                done.watermarks.push(Watermark { topic: topic.clone(), aggregate: id.clone(), last: *last });
            }
            chunks.push(done);
        }
        Ok(chunks)
    }
}

fn refused<V: View>(stop: &Stop) -> Error {
    Error::data(format!("view {}: {stop}", V::NAME))
}
