//! The work of one transaction: whole batches, the rows that they touch, and the fold.

use super::{
    Counts, Focus, LastEvent, LoadRequest, Loaded, Recorded, RowLife, RowLocking, RowShape, Scope, Stop, StopClass,
    Value, View, Watermark,
    intake::{Held, Item},
};
use crate::{AggregateId, Offset, Result, Topic, TopicPartition, Version, panic_text};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::{Serialize, de::DeserializeOwned};
use std::{
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

/// A record with the slot of its aggregate and the rows that its events touch.
#[derive(Debug)]
struct Event<E> {
    item: Item<E>,
    aggregate: usize,
    rows: Range<usize>,
}

/// A row that an event touches.
#[derive(Debug, Clone, Copy)]
struct Touch {
    /// Which of its record's events it is.
    part: usize,
    /// The slot.
    row: usize,
}

/// How rows are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Whether they can be stored is checked at the end.
    AtTheEnd,
    /// An event cannot be applied: each row is checked after each event, and is
    /// as before where its batch fails.
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
    /// An event could not be applied after rows were folded: load again.
    Again,
}

/// An event that is left aside.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Aside {
    pub(super) place: usize,
    pub(super) aggregate: AggregateId,
    pub(super) version: Version,
    pub(super) offset: Offset,
    /// Why its aggregate is parked; empty where it is behind another.
    pub(super) cause: String,
}

/// What a transaction is to write, and what it means for the partitions.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) upserts: Vec<(String, Vec<Value>)>,
    pub(super) deletes: Vec<String>,
    pub(super) watermarks: Vec<Watermark>,
    pub(super) aside: Vec<Aside>,
    /// Aggregates that were parked before and have events in `aside`.
    pub(super) still: Vec<(Topic, AggregateId)>,
    pub(super) counts: BTreeMap<usize, Counts>,
    /// How many aggregates of each place it parks.
    pub(super) parks: BTreeMap<usize, u64>,
}

/// What a fold goes by, beside the rows.
pub(super) struct Rules<'a> {
    /// Versions have no gap and no repeat.
    pub(super) versions: bool,
    /// Events behind a parked one wait for it.
    pub(super) ordered: bool,
    /// The partition of a place.
    pub(super) at: &'a dyn Fn(usize) -> TopicPartition,
    /// Whether an operator had a place leave out records between two offsets.
    pub(super) was_skipped: &'a dyn Fn(usize, Offset, Offset) -> bool,
}

/// What is to be done with a batch, by its versions and by what is parked.
enum Fate {
    /// Fold these of its events.
    Fold(Range<usize>),
    /// Park or leave aside these, for this cause.
    Aside(Range<usize>, String),
    /// A version is missing.
    Gap(Stop),
}

/// The work of one transaction.
#[derive(Debug)]
pub(super) struct Work<V: View> {
    batches: Vec<Batch>,
    events: Vec<Event<V::Event>>,
    // The touched rows of all events, in a row.
    touched: Vec<Touch>,
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

    /// The place and the offset of the first event, and how many there are.
    pub(super) fn first(&self) -> Option<(usize, Offset, usize)> {
        let batch = self.batches.first()?;
        Some((batch.place, self.events.get(batch.events.start)?.item.offset(), self.events.len()))
    }

    /// Adds a whole batch.
    pub(super) fn add(&mut self, place: usize, at: &TopicPartition, batch: Held<V::Event>, focus: &Focus) {
        let first_event = self.events.len();
        for mut item in batch.items {
            let start = self.touched.len();
            if let Err(why) = self.touch(&item, at, focus) {
                // No row of an event that cannot be applied is touched, nor by the others of its record.
                self.touched.truncate(start);
                item = Item::Bad {
                    aggregate: item.aggregate().clone(),
                    version: item.version(),
                    offset: item.offset(),
                    why,
                };
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
    }

    /// Notes the rows that a record's events touch.
    fn touch(&mut self, item: &Item<V::Event>, at: &TopicPartition, focus: &Focus) -> Result<(), String> {
        for (part, event) in item.events().iter().enumerate() {
            for key in keys_of::<V>(event, at)?.into_iter().filter(|key| focus.takes(key)) {
                let next = self.row_slots.len();
                let row = *self.row_slots.entry(key).or_insert(next);
                self.touched.push(Touch { part, row });
            }
        }
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

    /// What is to be loaded. In some places an aggregate may be parked.
    pub(super) fn request(
        &self,
        at: impl Fn(usize) -> TopicPartition,
        may_be_parked: impl Fn(usize) -> bool,
        locking: RowLocking,
    ) -> LoadRequest {
        let mut keys: Vec<String> = match V::ROW_LIFE {
            RowLife::Changes => self.row_slots.keys().cloned().collect(),
            RowLife::WrittenOnce => Vec::new(),
        };
        keys.sort_unstable();
        let aggregates = self.aggregates.iter().map(|(place, id)| (at(*place).topic, id.clone())).collect();
        let numbered = self.aggregates.iter().enumerate();
        let may_be_parked = numbered.filter(|(_, (place, _))| may_be_parked(*place)).map(|(number, _)| number);
        LoadRequest { keys, aggregates, may_be_parked: may_be_parked.collect(), locking }
    }

    /// Folds what was loaded for [`Work::request`], in the order of arrival.
    ///
    /// A gap takes its batch and the later ones of its partition out. An event
    /// that cannot be applied parks its aggregate: its batch is left aside as a
    /// whole, and so are the later ones of the aggregate.
    ///
    /// # Errors
    /// `Data`: a loaded row does not fit the view's row type.
    pub(super) fn fold(
        &mut self,
        shape: &RowShape<V::Row>,
        loaded: Loaded,
        rules: &Rules<'_>,
        met: &mut Vec<Met>,
    ) -> Result<Folded> {
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

        let mut last = loaded.last.clone();
        let mut parked = vec![false; self.aggregates.len()];
        loaded.parked.iter().for_each(|&number| parked[number] = true);
        let mut changes = Changes::default();
        let (mut stops, mut stopped): (Vec<Met>, Vec<usize>) = Default::default();
        let mut stays = Vec::with_capacity(self.batches.len());
        for batch in &self.batches {
            stays.push(!stopped.contains(&batch.place));
            if stopped.contains(&batch.place) {
                continue;
            }
            let mut fate = self.fate(batch, &last, &parked, rules);
            if let Fate::Fold(events) = &fate {
                let before = self.before(events.clone(), &rows);
                if let Err(why) = self.fold_batch(events.clone(), &mut rows, shape, &(rules.at)(batch.place)) {
                    if self.care == Care::AtTheEnd {
                        self.care = Care::EachRow;
                        return Ok(Folded::Again);
                    }
                    before.into_iter().rev().for_each(|(slot, row)| rows[slot] = row);
                    fate = Fate::Aside(events.clone(), why);
                }
            }
            let counts = changes.counts.entry(batch.place).or_default();
            match fate {
                Fate::Gap(stop) => {
                    stops.push(Met { place: batch.place, stop });
                    stopped.push(batch.place);
                    stays.pop();
                    stays.push(false);
                }
                Fate::Aside(events, cause) => {
                    counts.repeated += count(batch.events.start..events.start);
                    counts.parked += count(events.clone());
                    *changes.parks.entry(batch.place).or_default() += u64::from(!cause.is_empty());
                    let causes = std::iter::once(cause).chain(std::iter::repeat(String::new()));
                    for (event, cause) in self.events[events].iter().zip(causes) {
                        parked[event.aggregate] = true;
                        changes.aside.push(Aside {
                            place: batch.place,
                            aggregate: event.item.aggregate().clone(),
                            version: event.item.version(),
                            offset: event.item.offset(),
                            cause,
                        });
                    }
                }
                Fate::Fold(events) => {
                    counts.repeated += count(batch.events.start..events.start);
                    for Event { item, aggregate, .. } in &self.events[events] {
                        match item {
                            Item::Known(_) | Item::Parts(_) => counts.applied += 1,
                            Item::Unknown { .. } | Item::Bad { .. } => counts.unknown += 1,
                        }
                        let last = &mut last[*aggregate];
                        if item.version() > last.version {
                            *last = LastEvent { version: item.version(), offset: item.offset() };
                        }
                    }
                }
            }
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
                changes.watermarks.push(Watermark {
                    topic: (rules.at)(*place).topic,
                    aggregate: id.clone(),
                    last: *new,
                });
            }
        }
        for number in loaded.parked {
            let (place, id) = &self.aggregates[number];
            if changes.aside.iter().any(|aside| aside.place == *place && aside.aggregate == *id) {
                changes.still.push(((rules.at)(*place).topic, id.clone()));
            }
        }
        let mut stays = stays.into_iter();
        self.batches.retain(|_| stays.next().unwrap_or(true));
        met.append(&mut stops);
        Ok(Folded::Done(changes))
    }

    /// What is to be done with a batch. Versions may be missing where records
    /// that an operator had left out lie between the aggregate's last event
    /// applied and this one, and nowhere else. A batch counts as a whole.
    fn fate(&self, batch: &Batch, last: &[LastEvent], parked: &[bool], rules: &Rules<'_>) -> Fate {
        let Some(first) = self.events.get(batch.events.start) else { return Fate::Fold(batch.events.clone()) };
        let (mut known, is_parked) = (last[first.aggregate], parked[first.aggregate]);
        let mut start = batch.events.start;
        if rules.versions {
            let is_new = |index: &usize| self.events[*index].item.version() > known.version;
            start = batch.events.clone().find(is_new).unwrap_or(batch.events.end);
        }
        let events = start..batch.events.end;
        if events.is_empty() {
            return Fate::Fold(events);
        }
        if is_parked && rules.ordered {
            return Fate::Aside(events, String::new());
        }
        for Event { item, .. } in &self.events[events.clone()] {
            let (version, offset) = (item.version(), item.offset());
            let is_gap = version > known.version.plus(1) && !(rules.was_skipped)(batch.place, known.offset, offset);
            if rules.versions && is_gap && !is_parked {
                let why = format!(
                    "at {}@{offset} aggregate {} has version {version}, and the last one applied is {}",
                    (rules.at)(batch.place),
                    item.aggregate(),
                    known.version
                );
                return Fate::Gap(Stop::new(StopClass::VersionGap, why));
            }
            known = LastEvent { version, offset };
        }
        let bad = self.events[events.clone()].iter().find_map(|event| match &event.item {
            Item::Bad { why, .. } => Some(why.clone()),
            _ => None,
        });
        match bad {
            Some(why) => Fate::Aside(events, why),
            None => Fate::Fold(events),
        }
    }

    /// The rows that these events touch, as they are before, where they may have to be again.
    fn before<'a>(&self, events: Range<usize>, rows: &[Row<'a, V::Row>]) -> Vec<(usize, Row<'a, V::Row>)> {
        let events = match self.care {
            Care::AtTheEnd => events.start..events.start,
            Care::EachRow => events,
        };
        let touched = self.events[events].iter().flat_map(|event| &self.touched[event.rows.clone()]);
        touched.map(|touch| (touch.row, rows[touch.row].clone())).collect()
    }

    /// Folds these events in. After an error the rows that they touch are undefined.
    fn fold_batch(
        &self,
        events: Range<usize>,
        rows: &mut [Row<'_, V::Row>],
        shape: &RowShape<V::Row>,
        place: &TopicPartition,
    ) -> Result<(), String> {
        for event in &self.events[events] {
            let parts = event.item.events();
            for &Touch { part, row } in &self.touched[event.rows.clone()] {
                let (recorded, row) = (&parts[part], &mut rows[row]);
                row.fold::<V>(recorded, shape, self.care).map_err(|why| {
                    format!("{}::fold of row {:?} at {place}@{}: {why}", V::NAME, row.key, recorded.offset)
                })?;
            }
        }
        Ok(())
    }
}

/// The keys of the rows that an event touches, or why there are none to be had.
fn keys_of<V: View>(event: &Recorded<V::Event>, at: &TopicPartition) -> Result<Vec<String>, String> {
    let why = match catch_unwind(AssertUnwindSafe(|| V::keys(event))) {
        Ok(keys) if is_in_scope::<V>(&keys, event) => return Ok(keys),
        Ok(keys) => format!("gave {keys:?}, and Scope::Aggregate says the aggregate's id"),
        Err(panic) => format!("panicked: {}", panic_text(&*panic)),
    };
    Err(format!("{}::keys at {at}@{}: {why}", V::NAME, event.offset))
}

fn count(events: Range<usize>) -> u64 {
    events.len() as u64
}

/// A row during the fold.
#[derive(Clone)]
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
        event: &Recorded<V::Event>,
        shape: &RowShape<R>,
        care: Care,
    ) -> Result<(), String> {
        let old = self.row.take();
        self.touched = true;
        match catch_unwind(AssertUnwindSafe(|| V::fold(self.key, old, event))) {
            Ok(new) => self.row = new,
            Err(panic) => return Err(format!("panicked: {}", panic_text(&*panic))),
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
fn is_in_scope<V: View>(keys: &[String], event: &Recorded<V::Event>) -> bool {
    V::SCOPE != Scope::Aggregate || matches!(keys, [] | [_]) && keys.iter().all(|key| key == event.aggregate.as_str())
}
