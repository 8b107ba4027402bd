//! The health of a view, for other threads.

use factum_core::{
    Offset, TimestampMs, TopicPartition,
    measure::{Histogram, Since},
    view::{Counts, PlaceStatus, Stop},
};
use std::collections::BTreeMap;

/// How a view is doing: its progress against the ends, and why it stands still where it does.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewStatus {
    /// Its partitions in this instance.
    pub places: BTreeMap<TopicPartition, PlaceStatus>,
    /// Since when each of them is as it is.
    pub since: BTreeMap<TopicPartition, Since>,
    /// What became of all events since the start.
    pub totals: Counts,
    /// Why the log cannot be used at the moment.
    pub trouble: Option<String>,
    /// Since when it is a member of its group; none if it is not.
    pub joined: Option<TimestampMs>,
    /// When its loop turned last.
    pub turned: TimestampMs,
    /// How long the database's commits took.
    pub commit_seconds: Histogram,
    /// How many records polls brought; those that brought none are left out.
    pub batch_records: Histogram,
}

impl Default for ViewStatus {
    fn default() -> Self {
        ViewStatus {
            places: BTreeMap::new(),
            since: BTreeMap::new(),
            totals: Counts::default(),
            trouble: None,
            joined: None,
            turned: TimestampMs::default(),
            commit_seconds: Histogram::new(Histogram::SECONDS),
            batch_records: Histogram::new(Histogram::RECORDS),
        }
    }
}

impl ViewStatus {
    /// Whether the view has applied everything before these ends. A partition
    /// that another instance has counts as not passed.
    pub fn has_passed<'a>(&self, ends: impl IntoIterator<Item = (&'a TopicPartition, Offset)>) -> bool {
        PlaceStatus::have_passed(&self.places, ends)
    }

    /// The partitions that stand still until somebody acts, and why.
    pub fn stopped(&self) -> impl Iterator<Item = (&TopicPartition, &Stop)> {
        PlaceStatus::stopped(&self.places)
    }
}
