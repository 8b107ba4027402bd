//! The work of one transaction: whole batches, the rows that they touch, and the fold.

use super::{
    Counts, Focus, LastEvent, LoadRequest, Loaded, RowLife, RowLocking, RowShape, Scope, Stop, StopClass, Value, View,
    Watermark,
    intake::{Held, Item},
};
use crate::{AggregateId, Offset, Result, TopicPartition};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    any::Any,
    collections::BTreeMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The events of one command, whole.
#[derive(Debug)]
struct Batch {
    place: usize,
    events: Range<usize>,
    next: Offset,
}

/// An event with the slots of its aggregate and of the rows that it touches.
#[derive(Debug)]
struct Event<E> {
    item: Item<E>,
    aggregate: usize,
    rows: Range<usize>,
}

/// Whether rows are checked for storability one by one or at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    AtTheEnd,
    /// A row could not be stored: find the event that made it.
    EachRow,
}

/// A stop that the work met, to be told to the partition.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) place: usize,
    pub(super) stop: Stop,
}

/// What the fold came to.
#[derive(Debug)]
pub(super) enum Folded {
    /// This is to be written.
    Done(Changes),
    /// A partition's batches left the work after rows were folded: load again.
    Again,
}

/// What a transaction is to write, and what it means for the partitions.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) upserts: Vec<(String, Vec<Value>)>,
    pub(super) deletes: Vec<String>,
    pub(super) watermarks: Vec<Watermark>,
    pub(super) counts: BTreeMap<usize, Counts>,
}

/// The work of one transaction.
#[derive(Debug)]
pub(super) struct Work<V: View> {
    batches: Vec<Batch>,
    events: Vec<Event<V::Event>>,
    // The row slots of all events, in a row.
    touched: Vec<usize>,
    row_slots: HashMap<String, usize, FixedState>,
    // By place: an aggregate's events are all in one partition.
    aggregate_slots: BTreeMap<usize, HashMap<AggregateId, usize, FixedState>>,
    aggregates: Vec<(usize, AggregateId)>,
    care: Care,
    pub(super) attempts: u32,
}

impl<V: View> Work<V> {
    pub(super) fn new() -> Self {
        Work {
            batches: Vec::new(),
            events: Vec::new(),
            touched: Vec::new(),
            row_slots: HashMap::default(),
            aggregate_slots: BTreeMap::new(),
            aggregates: Vec::new(),
            care: Care::AtTheEnd,
            attempts: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Adds a whole batch. On a stop nothing of it was added.
    pub(super) fn add(
        &mut self,
        place: usize,
        at: &TopicPartition,
        batch: Held<V::Event>,
        focus: &Focus,
    ) -> Result<(), Stop> {
        let (first_event, first_touched) = (self.events.len(), self.touched.len());
        for item in batch.items {
            let keys = match &item {
                Item::Unknown { .. } => Vec::new(),
                Item::Known(event) => match catch_unwind(AssertUnwindSafe(|| V::keys(event))) {
                    Ok(keys) if is_in_scope::<V>(&keys, event) => keys,
                    outcome => {
                        self.events.truncate(first_event);
                        self.touched.truncate(first_touched);
                        let why = match outcome {
                            Ok(keys) => format!("gave {keys:?}, and Scope::Aggregate says the aggregate's id"),
                            Err(panic) => format!("panicked: {}", text(&*panic)),
                        };
                        let why = format!("{}::keys at {at}@{}: {why}", V::NAME, event.offset);
                        return Err(Stop::new(StopClass::PoisonEvent, why));
                    }
                },
            };
            let start = self.touched.len();
            for key in keys.into_iter().filter(|key| focus.takes(key)) {
                let next = self.row_slots.len();
                self.touched.push(*self.row_slots.entry(key).or_insert(next));
            }
            let slots = self.aggregate_slots.entry(place).or_default();
            let aggregate = match slots.get(item.aggregate()) {
                Some(&slot) => slot,
                None => {
                    let slot = self.aggregates.len();
                    slots.insert(item.aggregate().clone(), slot);
                    self.aggregates.push((place, item.aggregate().clone()));
                    slot
                }
            };
            self.events.push(Event { item, aggregate, rows: start..self.touched.len() });
        }
        self.batches.push(Batch { place, events: first_event..self.events.len(), next: batch.next });
        Ok(())
    }

    /// Takes a partition's batches out.
    pub(super) fn drop_place(&mut self, place: usize) {
        self.batches.retain(|batch| batch.place != place);
    }

    /// The partitions with batches, and where each stands after them.
    pub(super) fn ends(&self) -> BTreeMap<usize, Offset> {
        // Later batches of a place come later in the list, so the last one wins.
        self.batches.iter().map(|batch| (batch.place, batch.next)).collect()
    }

    /// What is to be loaded.
    pub(super) fn request(&self, at: impl Fn(usize) -> TopicPartition, locking: RowLocking) -> LoadRequest {
        let mut keys: Vec<String> = match V::ROW_LIFE {
            RowLife::Changes => self.row_slots.keys().cloned().collect(),
            RowLife::WrittenOnce => Vec::new(),
        };
        keys.sort_unstable();
        let aggregates = self.aggregates.iter().map(|(place, id)| (at(*place).topic, id.clone())).collect();
        LoadRequest { keys, aggregates, locking }
    }

    /// Folds what was loaded for [`Work::request`], in the order of arrival.
    /// `was_skipped` knows whether an operator had a partition leave out
    /// records between two offsets.
    ///
    /// # Errors
    /// `Data`: a loaded row does not fit the view's row type.
    pub(super) fn fold(
        &mut self,
        shape: &RowShape<V::Row>,
        loaded: Loaded,
        check_versions: bool,
        at: impl Fn(usize) -> TopicPartition,
        was_skipped: impl Fn(usize, Offset, Offset) -> bool,
        met: &mut Vec<Met>,
    ) -> Result<Folded> {
        // Versions first: what they stop leaves the work before any row is folded.
        let mut last = loaded.last.clone();
        let mut changes = Changes::default();
        let applies = self.check_versions(&mut last, check_versions, &at, &was_skipped, &mut changes, met);

        let mut keys: Vec<(&String, usize)> = self.row_slots.iter().map(|(key, &slot)| (key, slot)).collect();
        keys.sort_unstable();
        let mut rows: Vec<Row<'_, V::Row>> = keys.iter().map(|_| Row::default()).collect();
        // What is written once was not asked for.
        let found = loaded.rows.into_iter().chain(std::iter::repeat(None));
        for (&(key, slot), values) in keys.iter().zip(found) {
            let row = values.map(|values| shape.row(values)).transpose();
            let row = row.map_err(|e| e.context(format!("row {key:?} of view {}", V::NAME)))?;
            rows[slot] = Row { key, existed: row.is_some(), row, touched: false };
        }

        let mut poisoned = None;
        'batches: for (number, batch) in self.batches.iter().enumerate() {
            for index in batch.events.clone() {
                let event = &self.events[index];
                let Item::Known(recorded) = &event.item else { continue };
                if !applies[index] {
                    continue;
                }
                for &slot in &self.touched[event.rows.clone()] {
                    let row = &mut rows[slot];
                    if let Err(why) = row.fold::<V>(recorded, shape, self.care) {
                        let place = at(batch.place);
                        let why =
                            format!("{}::fold of row {:?} at {place}@{}: {why}", V::NAME, row.key, recorded.offset);
                        met.push(Met { place: batch.place, stop: Stop::new(StopClass::PoisonEvent, why) });
                        poisoned = Some(number);
                        break 'batches;
                    }
                }
            }
        }
        if let Some(number) = poisoned {
            self.drop_from(number);
            return Ok(Folded::Again);
        }

        for &(key, slot) in &keys {
            let row = &rows[slot];
            match &row.row {
                Some(value) if row.touched => match shape.values(value) {
                    Ok(values) => changes.upserts.push((key.clone(), values)),
                    Err(_) => {
                        self.care = Care::EachRow;
                        return Ok(Folded::Again);
                    }
                },
                None if row.existed => changes.deletes.push(key.clone()),
                _ => {}
            }
        }
        for ((place, id), (old, new)) in self.aggregates.iter().zip(loaded.last.iter().zip(&last)) {
            if old != new {
                changes.watermarks.push(Watermark { topic: at(*place).topic, aggregate: id.clone(), last: *new });
            }
        }
        Ok(Folded::Done(changes))
    }

    /// Which events are to be folded. A gap takes its batch and the later ones of its partition out.
    ///
    /// Versions may be missing where records that an operator had left out lie
    /// between the aggregate's last event applied and this one, and nowhere else.
    fn check_versions(
        &mut self,
        last: &mut [LastEvent],
        check: bool,
        at: &impl Fn(usize) -> TopicPartition,
        was_skipped: &impl Fn(usize, Offset, Offset) -> bool,
        changes: &mut Changes,
        met: &mut Vec<Met>,
    ) -> Vec<bool> {
        let mut applies = vec![false; self.events.len()];
        let mut stopped: Vec<usize> = Vec::new();
        self.batches.retain(|batch| {
            if stopped.contains(&batch.place) {
                return false;
            }
            // A batch counts as a whole, so a gap behind its first event undoes that one.
            let before: Vec<(usize, LastEvent)> =
                self.events[batch.events.clone()].iter().map(|e| (e.aggregate, last[e.aggregate])).collect();
            let mut counts = Counts::default();
            for index in batch.events.clone() {
                let event = &self.events[index];
                let (version, offset) = (event.item.version(), event.item.offset());
                let known = last[event.aggregate];
                if check && version > known.version.plus(1) && !was_skipped(batch.place, known.offset, offset) {
                    before.into_iter().rev().for_each(|(slot, old)| last[slot] = old);
                    let why = format!(
                        "at {}@{offset} aggregate {} has version {version}, and the last one applied is {}",
                        at(batch.place),
                        event.item.aggregate(),
                        known.version
                    );
                    met.push(Met { place: batch.place, stop: Stop::new(StopClass::VersionGap, why) });
                    stopped.push(batch.place);
                    return false;
                }
                if check && version <= known.version {
                    counts.repeated += 1;
                    continue;
                }
                if version > known.version {
                    last[event.aggregate] = LastEvent { version, offset };
                }
                match &event.item {
                    Item::Known(_) => {
                        applies[index] = true;
                        counts.applied += 1;
                    }
                    Item::Unknown { .. } => counts.unknown += 1,
                }
            }
            *changes.counts.entry(batch.place).or_default() += counts;
            true
        });
        applies
    }

    /// Takes a batch and all later ones of its partition out.
    fn drop_from(&mut self, number: usize) {
        let place = self.batches[number].place;
        let mut index = 0;
        self.batches.retain(|batch| {
            index += 1;
            batch.place != place || index <= number
        });
    }
}

/// A row during the fold.
struct Row<'a, R> {
    key: &'a str,
    row: Option<R>,
    existed: bool,
    touched: bool,
}

impl<R> Default for Row<'_, R> {
    fn default() -> Self {
        Row { key: "", row: None, existed: false, touched: false }
    }
}

impl<R: Serialize + DeserializeOwned> Row<'_, R> {
    /// Folds an event in. After an error the row is lost and has to be loaded again.
    fn fold<V: View<Row = R>>(
        &mut self,
        event: &super::Recorded<V::Event>,
        shape: &RowShape<R>,
        care: Care,
    ) -> Result<(), String> {
        let old = self.row.take();
        self.touched = true;
        match catch_unwind(AssertUnwindSafe(|| V::fold(self.key, old, event))) {
            Ok(new) => self.row = new,
            Err(panic) => return Err(format!("panicked: {}", text(&*panic))),
        }
        match &self.row {
            Some(row) if care == Care::EachRow => match shape.values(row) {
                Ok(_) => Ok(()),
                Err(e) => Err(format!("its row cannot be stored: {e}")),
            },
            _ => Ok(()),
        }
    }
}

/// Whether an event touches only rows that the view's scope allows it to.
fn is_in_scope<V: View>(keys: &[String], event: &super::Recorded<V::Event>) -> bool {
    V::SCOPE != Scope::Aggregate || matches!(keys, [] | [_]) && keys.iter().all(|key| key == event.aggregate.as_str())
}

/// What a panic said.
pub(super) fn text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no text",
    }
}
