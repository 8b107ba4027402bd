//! Topics, settings and offsets, for operators and start-up checks.

use crate::log::Shared;
use factum_core::log::{Admin, Bounds, CommitOffset, Committed, Isolation, TopicDescription, TopicSpec};
use factum_core::{Error, Offset, Result, TimestampMs, Topic, TopicPartition};
use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

/// How long committed offsets are waited for while a transaction holds them.
pub(crate) const UNDECIDED_WAIT: Duration = Duration::from_millis(200);

/// The admin client of the log in memory.
#[derive(Debug)]
pub(crate) struct MemoryAdmin {
    shared: Shared,
}

impl MemoryAdmin {
    pub(crate) fn new(shared: Shared) -> Self {
        MemoryAdmin { shared }
    }
}

impl Admin for MemoryAdmin {
    fn create_topics(&mut self, topics: &[TopicSpec]) -> Result<()> {
        self.shared.durably(|broker, _| topics.iter().try_for_each(|spec| broker.create_topic(spec)))
    }

    fn delete_topics(&mut self, topics: &[Topic]) -> Result<()> {
        self.shared.durably(|broker, _| {
            topics.iter().for_each(|topic| broker.delete_topic(topic));
            Ok(())
        })
    }

    fn alter_topic(&mut self, topic: &Topic, settings: &BTreeMap<String, String>) -> Result<()> {
        self.shared.durably(|broker, _| broker.alter_topic(topic, settings))
    }

    fn add_partitions(&mut self, topic: &Topic, partitions: u32) -> Result<()> {
        self.shared.durably(|broker, _| broker.add_partitions(topic, partitions))
    }

    fn describe_topic(&mut self, topic: &Topic) -> Result<Option<TopicDescription>> {
        self.shared.settled(|broker, _| {
            Ok(broker.topics.get(topic).map(|state| TopicDescription {
                topic: topic.clone(),
                id: state.id,
                partitions: state.count(),
                replication: state.replication,
                settings: state.settings.clone(),
            }))
        })
    }

    fn bounds(&mut self, place: &TopicPartition, isolation: Isolation) -> Result<Bounds> {
        self.shared.settled(|broker, _| {
            if isolation == Isolation::ReadUncommitted {
                broker.recorder.want_everything();
            }
            // They are told when they are durable.
            Ok(broker.topics.partition(place)?.bounds(isolation))
        })
    }

    fn offset_for_time(&mut self, place: &TopicPartition, time: TimestampMs) -> Result<Option<Offset>> {
        self.shared.call(|broker, _| {
            let durable = broker.recorder.durable();
            Ok(broker.topics.partition(place)?.offset_for_time(time, durable))
        })
    }

    fn delete_records(&mut self, place: &TopicPartition, before: Offset) -> Result<()> {
        self.shared.durably(|broker, _| broker.delete_records(place, before))
    }

    fn group_offsets(&mut self, group: &str, places: &[TopicPartition]) -> Result<Vec<(TopicPartition, Committed)>> {
        let committed = wait_for_committed(&self.shared, group, places)?;
        Ok(places.iter().cloned().zip(committed).filter_map(|(place, found)| Some((place, found?))).collect())
    }

    fn reset_group_offsets(&mut self, group: &str, offsets: &[CommitOffset]) -> Result<()> {
        self.shared.durably(|broker, _| broker.reset_offsets(group, offsets))
    }
}

/// Committed offsets, waiting a little for those that a transaction holds.
pub(crate) fn wait_for_committed(
    shared: &Shared,
    group: &str,
    places: &[TopicPartition],
) -> Result<Vec<Option<Committed>>> {
    let (committed, group) = shared
        .wait(UNDECIDED_WAIT, |broker, _| match broker.committed(group, places) {
            Some(committed) => ControlFlow::Break((committed, broker.recorder.wanted())),
            None => ControlFlow::Continue(()),
        })
        .ok_or_else(|| Error::unavailable(format!("group {group} has offsets in an open transaction")))?;
    shared.sync(group)?;
    Ok(committed)
}
