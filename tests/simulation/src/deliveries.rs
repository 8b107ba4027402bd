//! What was delivered to a view again after an operator had set its group's offsets.

use factum_core::{Offset, RecordRef, TopicPartition};
use factum_history::Event;
use std::collections::{BTreeMap, BTreeSet};

/// Deliveries since the last reset of each partition of each group.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(BTreeMap<String, BTreeMap<TopicPartition, Since>>);

#[derive(Debug)]
struct Since {
    from: Offset,
    offsets: BTreeSet<Offset>,
}

impl Deliveries {
    /// An operator set this offset.
    pub(crate) fn reset(&mut self, group: &str, place: &TopicPartition, from: Offset) {
        let since = Since { from, offsets: BTreeSet::new() };
        self.0.entry(group.to_owned()).or_default().insert(place.clone(), since);
    }

    /// A member of the group was given these.
    pub(crate) fn delivered<'a>(&mut self, group: &str, records: impl Iterator<Item = RecordRef<'a>>) {
        let Some(places) = self.0.get_mut(group) else { return };
        for record in records {
            if let Some(since) = places.get_mut(&record.place()) {
                since.offsets.insert(record.offset());
            }
        }
    }

    /// Events that a reset is to have brought again, and did not.
    pub(crate) fn missing(&self, events: &[Event]) -> Vec<String> {
        let mut missing = Vec::new();
        for (group, places) in &self.0 {
            for (place, Since { from, offsets }) in places {
                let wanted = events.iter().filter(|event| event.partition == place.partition && event.offset >= *from);
                if let Some(event) = wanted.into_iter().find(|event| !offsets.contains(&event.offset)) {
                    missing.push(format!(
                        "an operator set the offset of group {group} to {place}@{from}, and {} was not delivered since",
                        event.offset
                    ));
                }
            }
        }
        missing
    }
}
