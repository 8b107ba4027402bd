//! Parked records in memory.

use super::{MemorySink, Table};
use crate::{ParkedFilter, ParkedKey, ParkedRecords};
use factum_core::{
    AggregateId, Offset, Result, Topic, TopicPartition,
    view::{Owner, Parked, Parking, Redriven},
};
use std::{collections::BTreeMap, ops::Bound};

impl ParkedRecords for MemorySink {
    fn parked_keys(
        &mut self,
        filter: &ParkedFilter,
        after: Option<(&Topic, &AggregateId)>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        let is_meant = |record: &Parked| {
            !record.cause.is_empty()
                && after.is_none_or(|after| (&record.place.topic, &record.aggregate) > after)
                && filter.place.as_ref().is_none_or(|place| *place == record.place)
                && filter.aggregate.as_ref().is_none_or(|aggregate| *aggregate == record.aggregate)
                && filter.cause.as_ref().is_none_or(|cause| record.cause.contains(cause))
        };
        self.with(|table| {
            let firsts = table.parked.values().filter(|record| is_meant(record)).take(limit);
            let key = |first: &Parked| ParkedKey {
                first: first.clone(),
                records: of(table, &first.place.topic, &first.aggregate, None).count() as u64,
            };
            firsts.map(key).collect()
        })
    }

    fn parked_records(
        &mut self,
        topic: &Topic,
        aggregate: &AggregateId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<Parked>> {
        self.with(|table| of(table, topic, aggregate, after).take(limit).cloned().collect())
    }

    fn count_parked(&mut self) -> Result<BTreeMap<TopicPartition, u64>> {
        self.with(|table| {
            let mut counts = BTreeMap::new();
            for record in table.parked.values().filter(|record| !record.cause.is_empty()) {
                *counts.entry(record.place.clone()).or_default() += 1;
            }
            counts
        })
    }

    fn hold(&mut self, place: &TopicPartition) -> Result<()> {
        // Nothing is held here: the commit compares.
        let row = self.with(|table| table.progress.get(place).copied())?;
        self.held = Some((place.clone(), row));
        Ok(())
    }
}

/// The records of a key, after this offset.
fn of<'a>(
    table: &'a Table,
    topic: &Topic,
    aggregate: &AggregateId,
    after: Option<Offset>,
) -> impl Iterator<Item = &'a Parked> {
    let key = |offset| (topic.clone(), aggregate.clone(), offset);
    let from = after.map_or(Bound::Included(key(Offset(0))), |after| Bound::Excluded(key(after)));
    table.parked.range((from, Bound::Included(key(Offset(i64::MAX))))).map(|(_, record)| record)
}

/// Whether a key is parked.
pub(super) fn is_parked(table: &Table, (topic, aggregate): &(Topic, AggregateId)) -> bool {
    of(table, topic, aggregate, None).next().is_some()
}

/// Whether what a commit takes for parked is so.
pub(super) fn is_as_read(table: &Table, parking: &Parking) -> bool {
    let is_as_expected = |Redriven { place, aggregate, expected, .. }: &Redriven| {
        of(table, &place.topic, aggregate, None)
            .map(|record| record.offset)
            .take(expected.len())
            .eq(expected.iter().copied())
    };
    parking.still.iter().all(|key| is_parked(table, key)) && parking.redriven.as_ref().is_none_or(is_as_expected)
}

/// Leaves aside and takes back.
pub(super) fn park(table: &mut Table, parking: &Parking) {
    for record in &parking.aside {
        let key = (record.place.topic.clone(), record.aggregate.clone(), record.offset);
        table.parked.entry(key).or_insert_with(|| record.clone());
    }
    let Some(Redriven { place, aggregate, expected, done, next, owner }) = &parking.redriven else { return };
    for offset in expected.iter().take(*done) {
        table.parked.remove(&(place.topic.clone(), aggregate.clone(), *offset));
    }
    let first = of(table, &place.topic, aggregate, None).next().map(|record| record.offset);
    if let Some(first) = first.and_then(|first| table.parked.get_mut(&(place.topic.clone(), aggregate.clone(), first)))
    {
        (first.cause, first.attempts) = (next.cause.clone(), next.attempts);
    }
    if *owner == Owner::ClaimsAgain
        && let Some(row) = table.progress.get_mut(place)
    {
        row.epoch += 1;
    }
}
