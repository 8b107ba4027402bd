//! The health of a transform, for other threads.

use factum_core::{
    Offset, TimestampMs, TopicPartition,
    measure::{Histogram, Since},
    transform::Totals,
    view::{PlaceStatus, Stop},
};
use std::collections::BTreeMap;

/// How a transform is doing: its progress, and why it stands still where it does.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformStatus {
    /// Its partitions in this instance.
    pub places: BTreeMap<TopicPartition, PlaceStatus>,
    /// Since when each of them is as it is.
    pub since: BTreeMap<TopicPartition, Since>,
    /// What became of all events since the start.
    pub totals: Totals,
    /// Why the log cannot be used at the moment.
    pub trouble: Option<String>,
    /// Since when it is a member of its group; none if it is not.
    pub joined: Option<TimestampMs>,
    /// When its loop turned last.
    pub turned: TimestampMs,
    /// How long transactions took.
    pub transaction_seconds: Histogram,
}

impl Default for TransformStatus {
    fn default() -> Self {
        TransformStatus {
            places: BTreeMap::new(),
            since: BTreeMap::new(),
            totals: Totals::default(),
            trouble: None,
            joined: None,
            turned: TimestampMs::default(),
            transaction_seconds: Histogram::new(Histogram::SECONDS),
        }
    }
}

impl TransformStatus {
    /// Whether everything before these ends was republished. A partition that another instance has counts as
    /// not passed.
    pub fn has_passed<'a>(&self, ends: impl IntoIterator<Item = (&'a TopicPartition, Offset)>) -> bool {
        PlaceStatus::have_passed(&self.places, ends)
    }

    /// The partitions that stand still until somebody acts, and why.
    pub fn stopped(&self) -> impl Iterator<Item = (&TopicPartition, &Stop)> {
        PlaceStatus::stopped(&self.places)
    }
}
