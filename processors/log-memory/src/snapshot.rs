//! A log's state at one moment, told as effects while the log goes on.

use crate::journal::Effect;
use crate::log::Shared;
use factum_core::log::{CommitOffset, Isolation};
use factum_core::{Offset, RecordBatch, Result, Topic, TopicId, TopicPartition};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Records copied with the log locked, before others have their turn.
const CHUNK_RECORDS: usize = 4_096;

/// All but the records: small enough to be copied at once.
struct Frame {
    topics: Vec<TopicFrame>,
    groups: Vec<GroupFrame>,
    numbers: (u64, u64),
}

struct TopicFrame {
    number: u64,
    id: TopicId,
    name: Topic,
    replication: u16,
    settings: BTreeMap<String, String>,
    partitions: Vec<PartitionFrame>,
}

struct PartitionFrame {
    place: TopicPartition,
    start: Offset,
    end: Offset,
    open: Vec<(u64, Offset)>,
}

struct GroupFrame {
    name: String,
    offsets: Vec<CommitOffset>,
    held: Vec<(u64, Vec<CommitOffset>)>,
}

/// Tells the state at the moment of `cut`. Records that are deleted while it
/// runs may be left out: what comes after the cut tells of their deletion.
pub(crate) fn tell(shared: &Shared, cut: impl FnOnce(), tell: &mut dyn FnMut(&Effect<'_>) -> Result<()>) -> Result<()> {
    let frame = shared.call(|broker, _| {
        cut();
        Frame::of(broker)
    });
    for topic in &frame.topics {
        tell(&Effect::TopicCreated {
            topic: topic.number,
            id: topic.id,
            name: topic.name.clone(),
            partitions: u32::try_from(topic.partitions.len()).expect("a topic is created with a u32 of partitions"),
            replication: topic.replication,
            settings: Cow::Borrowed(&topic.settings),
        })?;
        for partition in &topic.partitions {
            tell_records(shared, topic, partition, tell)?;
            tell(&Effect::PartitionState {
                topic: topic.number,
                partition: partition.place.partition,
                start: partition.start,
                end: partition.end,
                open: Cow::Borrowed(&partition.open),
            })?;
        }
    }
    for group in &frame.groups {
        tell(&Effect::OffsetsCommitted { group: &group.name, offsets: Cow::Borrowed(&group.offsets) })?;
        for (transaction, offsets) in &group.held {
            let (transaction, offsets) = (*transaction, Cow::Borrowed(offsets.as_slice()));
            tell(&Effect::OffsetsHeld { transaction, group: &group.name, offsets })?;
        }
    }
    let (topics, transactions) = frame.numbers;
    tell(&Effect::Numbers { topics, transactions })
}

fn tell_records(
    shared: &Shared,
    topic: &TopicFrame,
    partition: &PartitionFrame,
    tell: &mut dyn FnMut(&Effect<'_>) -> Result<()>,
) -> Result<()> {
    let open: BTreeSet<u64> = partition.open.iter().map(|(number, _)| *number).collect();
    let (mut records, mut owners) = (RecordBatch::new(), Vec::new());
    let mut from = partition.start;
    while from < partition.end {
        records.clear();
        owners.clear();
        from = shared.call(|broker, _| match broker.topics.get(&topic.name) {
            Some(state) if state.id == topic.id => {
                let log = &state.partitions[partition.place.partition.0 as usize];
                log.copy((from, partition.end), CHUNK_RECORDS, &mut records, &mut owners)
            }
            // Deleted since, perhaps created again.
            _ => partition.end,
        });
        for (record, owner) in records.iter().zip(&owners) {
            tell(&Effect::Appended {
                topic: topic.number,
                record,
                offset: record.offset(),
                timestamp: record.timestamp().unwrap_or_default(),
                // Those that ended before the cut were committed.
                transaction: owner.map(|owner| owner.0).filter(|number| open.contains(number)),
            })?;
        }
    }
    Ok(())
}

impl Frame {
    fn of(broker: &crate::broker::Broker) -> Self {
        let partition = |(topic, number): (&Topic, u32), log: &crate::partition::PartitionLog| {
            let bounds = log.bounds(Isolation::ReadUncommitted);
            PartitionFrame {
                place: topic.partition(factum_core::Partition(number)),
                start: bounds.start,
                end: bounds.end,
                open: log.open_transactions().map(|(txn, first)| (txn.0, first)).collect(),
            }
        };
        let topics = broker.topics.iter().map(|(name, state)| TopicFrame {
            number: state.number,
            id: state.id,
            name: name.clone(),
            replication: state.replication,
            settings: state.settings.clone(),
            partitions: (0..).zip(&state.partitions).map(|(number, log)| partition((name, number), log)).collect(),
        });
        let groups = broker.groups.iter().map(|(name, group)| GroupFrame {
            name: name.clone(),
            offsets: group.offsets.all(),
            held: group.offsets.held().map(|(txn, offsets)| (txn.0, offsets)).collect(),
        });
        Frame {
            topics: topics.collect(),
            groups: groups.collect(),
            numbers: (broker.topics.created(), broker.transactions.begun()),
        }
    }
}
