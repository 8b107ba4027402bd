//! The health of a view, for other threads.

use factum_core::{
    Offset, TopicPartition,
    view::{PlaceState, PlaceStatus, Stop},
};
use std::collections::BTreeMap;

/// How a view is doing: its progress against the ends, and why it stands still where it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewStatus {
    /// Its partitions in this instance.
    pub places: BTreeMap<TopicPartition, PlaceStatus>,
    /// Why the log cannot be used at the moment.
    pub trouble: Option<String>,
}

impl ViewStatus {
    /// Whether the view has applied everything before these ends. A partition
    /// that another instance has counts as not passed.
    pub fn has_passed<'a>(&self, ends: impl IntoIterator<Item = (&'a TopicPartition, Offset)>) -> bool {
        ends.into_iter().all(|(place, end)| {
            let status = self.places.get(place);
            end == Offset(0) || status.is_some_and(|status| status.position >= Some(end))
        })
    }

    /// The partitions that stand still until somebody acts, and why.
    pub fn stopped(&self) -> impl Iterator<Item = (&TopicPartition, &Stop)> {
        self.places.iter().filter_map(|(place, status)| match &status.state {
            PlaceState::Stopped(stop) => Some((place, stop)),
            _ => None,
        })
    }
}
