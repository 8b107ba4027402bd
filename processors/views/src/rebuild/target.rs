//! Up to where a rebuild folds.

use factum_core::{
    Error, Offset, Result, TimestampMs, Topic, TopicId, TopicPartition,
    log::{Admin, Bounds, Isolation},
    view::Claim,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Up to where a rebuild folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Where the live view is; where there is none, the log's end.
    Live,
    /// Where the log was at a time.
    Past(AsOf),
}

/// A view as it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsOf {
    /// With everything that was recorded up to this time: what could be known then.
    Recorded(TimestampMs),
    /// With everything that had occurred up to this time, also what was recorded
    /// later; folded in the order of the log.
    Occurred(TimestampMs),
}

/// The offsets up to which each partition is to be folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Goal {
    pub(super) ends: BTreeMap<TopicPartition, Offset>,
    /// Whether the live table is at these offsets too.
    pub(super) is_live: bool,
}

impl Goal {
    /// Where the live view is, or the log's end if there is none to compare
    /// with: none ever ran, or the topics were made again or truncated since.
    pub(super) fn live(
        admin: &mut dyn Admin,
        places: &[TopicPartition],
        live: &BTreeMap<TopicPartition, Claim>,
    ) -> Result<Self> {
        let mut ids: BTreeMap<Topic, TopicId> = BTreeMap::new();
        let mut ends = BTreeMap::new();
        let mut is_live = !live.is_empty();
        for place in places {
            let id = match ids.get(&place.topic) {
                Some(id) => *id,
                None => *ids.entry(place.topic.clone()).or_insert(topic_id(admin, &place.topic)?),
            };
            let Bounds { end, .. } = admin.bounds(place, Isolation::ReadCommitted)?;
            is_live &= live.get(place).is_none_or(|row| row.topic_id == id && row.position <= end);
            ends.insert(place.clone(), end);
        }
        if is_live {
            // A partition that the live view has not claimed yet is one of which it has nothing.
            let at = |place: &TopicPartition| live.get(place).map_or(Offset(0), |row| row.position);
            ends.iter_mut().for_each(|(place, end)| *end = at(place));
        }
        Ok(Goal { ends, is_live })
    }

    /// Where the log was.
    pub(super) fn past(admin: &mut dyn Admin, places: &[TopicPartition], as_of: AsOf) -> Result<Self> {
        let mut ends = BTreeMap::new();
        for place in places {
            let later = match as_of {
                // Times of recording never go back within a partition.
                AsOf::Recorded(time) => admin.offset_for_time(place, TimestampMs(time.0.saturating_add(1)))?,
                AsOf::Occurred(_) => None,
            };
            let end = match later {
                Some(later) => later,
                None => admin.bounds(place, Isolation::ReadCommitted)?.end,
            };
            ends.insert(place.clone(), end);
        }
        Ok(Goal { ends, is_live: false })
    }
}

fn topic_id(admin: &mut dyn Admin, topic: &Topic) -> Result<TopicId> {
    let found = admin.describe_topic(topic)?;
    found.map(|found| found.id).ok_or_else(|| Error::unavailable(format!("topic {topic} does not exist")))
}
