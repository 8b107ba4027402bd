//! Retention and compaction.

use crate::broker::Broker;
use factum_core::TimestampMs;

/// Cleans every partition by its topic's policy.
pub(crate) fn run(broker: &mut Broker, now: TimestampMs) {
    for topic in broker.topics.iter_mut() {
        let rules = &topic.rules;
        for log in &mut topic.partitions {
            if rules.delete {
                log.retain(rules.retention(now));
            }
            if rules.compact {
                log.compact(rules.tombstones_before(now), rules.segment);
            }
        }
    }
}
