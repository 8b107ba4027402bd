//! Topics, their settings, and the ends of their partitions.

use crate::{Offset, Partition, Result, TimestampMs, Topic, TopicId, TopicPartition};
use std::{collections::BTreeMap, fmt, time::Duration};

use super::{CommitOffset, Committed, Isolation};

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub topic: Topic,
    /// How many partitions, at least 1.
    pub partitions: u32,
    /// How many replicas; none leaves it to the broker.
    pub replication: Option<u16>,
    /// Settings by Kafka's own names.
    pub settings: BTreeMap<String, String>,
}

/// What a topic is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub topic: Topic,
    /// Its identity.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: u32,
    /// Replicas of each partition (the fewest that any has).
    pub replication: u16,
    /// Effective settings by Kafka's own names (`cleanup.policy`, `retention.ms`, …).
    pub settings: BTreeMap<String, String>,
}

/// Where a partition's records begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that can still be read.
    pub start: Offset,
    /// One beyond the last offset: the high watermark when asked with
    /// [`Isolation::ReadUncommitted`], the last stable offset otherwise.
    pub end: Offset,
}

/// A client for topics, offsets and settings.
pub trait Admin: Send + fmt::Debug {
    /// Creates topics. Those that exist are left alone.
    ///
    /// # Errors
    /// `Invalid` for a name, count or setting that the log refuses.
    fn create_topics(&mut self, topics: &[TopicSpec]) -> Result<()>;

    /// Deletes topics; one that does not exist is no error.
    fn delete_topics(&mut self, topics: &[Topic]) -> Result<()>;

    /// Changes settings of a topic, leaving the others as they are.
    fn alter_topic(&mut self, topic: &Topic, settings: &BTreeMap<String, String>) -> Result<()>;

    /// Adds partitions until the topic has `partitions`.
    fn add_partitions(&mut self, topic: &Topic, partitions: u32) -> Result<()>;

    /// Describes a topic; none if it does not exist.
    fn describe_topic(&mut self, topic: &Topic) -> Result<Option<TopicDescription>>;

    /// The ends of a partition, asked from its leader now.
    fn bounds(&mut self, place: &TopicPartition, isolation: Isolation) -> Result<Bounds>;

    /// The offset of the first record whose timestamp is at or after `time`;
    /// none if there is no such record.
    fn offset_for_time(&mut self, place: &TopicPartition, time: TimestampMs) -> Result<Option<Offset>>;

    /// Deletes the records before `before` (moves the log start).
    fn delete_records(&mut self, place: &TopicPartition, before: Offset) -> Result<()>;

    /// A group's committed offsets; a partition without one is left out.
    /// Waits until offsets of open transactions are decided (KIP-447).
    fn group_offsets(&mut self, group: &str, places: &[TopicPartition]) -> Result<Vec<(TopicPartition, Committed)>>;

    /// Sets a group's offsets, as an operator does.
    ///
    /// # Errors
    /// `Conflict` while the group has members.
    fn reset_group_offsets(&mut self, group: &str, offsets: &[CommitOffset]) -> Result<()>;

    /// Waits until a topic created or changed just now is known to every
    /// client: all of its partitions have a leader.
    fn wait_for_topic(&mut self, topic: &Topic, partitions: u32, timeout: Duration) -> Result<()> {
        // Most implementations know at once.
        match self.describe_topic(topic)? {
            Some(found) if found.partitions == partitions => Ok(()),
            _ => Err(crate::Error::unavailable(format!(
                "topic {topic} has no {partitions} partitions after {} ms",
                timeout.as_millis()
            ))),
        }
    }

    /// All partitions of a topic.
    fn partitions(&mut self, topic: &Topic) -> Result<Vec<TopicPartition>> {
        let description = self
            .describe_topic(topic)?
            .ok_or_else(|| crate::Error::invalid(format!("topic {topic} does not exist")))?;
        Ok((0..description.partitions).map(|p| topic.partition(Partition(p))).collect())
    }
}
