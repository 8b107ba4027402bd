//! Retention and compaction.

use crate::broker::Broker;
use crate::journal::Effect;
use crate::topic::Target;
use factum_core::log::Isolation;
use factum_core::{TimestampMs, TopicPartition};

/// When a partition is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compaction {
    /// Now.
    Always,
    /// When `min.cleanable.dirty.ratio` of it is new.
    WhenDirty,
}

/// Cleans a partition by its topic's policy; one that is gone is no error.
pub(crate) fn clean(broker: &mut Broker, place: &TopicPartition, compaction: Compaction, now: TimestampMs) {
    let Ok(Target { number: topic, rules, log }) = broker.topics.target(&place.topic, place.partition) else { return };
    let partition = place.partition;
    if rules.delete {
        let start = log.bounds(Isolation::ReadUncommitted).start;
        log.retain(rules.retention(now));
        let before = log.bounds(Isolation::ReadUncommitted).start;
        if before > start {
            broker.recorder.record(|| Effect::RecordsDeleted { topic, partition, before });
        }
    }
    if rules.compact && (compaction == Compaction::Always || rules.is_dirty(log.dirty_ratio())) {
        let below = log.bounds(Isolation::ReadCommitted).end;
        let tombstones_before = rules.tombstones_before(now);
        if log.compact(below, tombstones_before, rules.segment) {
            broker.recorder.record(|| Effect::Compacted { topic, partition, below, tombstones_before });
        }
    }
}
