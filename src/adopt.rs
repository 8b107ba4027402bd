//! Taking a recreated commands topic as a new one.

use crate::environment::Environment;
use factum_core::{
    Error, Partition, RecordBatch, Result, TimestampMs, Topic, TopicId,
    log::{Admin, CommitOffset, Isolation, TopicDescription},
    wire::{Progress, SnapshotKey},
};
use std::time::Duration;

/// Writes, for every partition, a position record that begins anew: commands of
/// the topic as it is now have not been handled, and events written so far
/// belong to an earlier one. Returns the topic's id.
///
/// # Errors
/// `Conflict` while a handler runs; `Invalid` when a topic is missing.
pub(crate) fn adopt_commands_topic(environment: &Environment, aggregate_type: &str) -> Result<TopicId> {
    let topics = environment.topics(aggregate_type);
    let mut admin = environment.log.admin()?;
    let commands = describe(&mut *admin, &topics.commands)?;
    let events = describe(&mut *admin, &topics.events)?;
    let mut batch = RecordBatch::new();
    let mut reset = Vec::new();
    for partition in (0..commands.partitions).map(Partition) {
        let end = admin.bounds(&topics.events.partition(partition), Isolation::ReadUncommitted)?.end;
        let start = admin.bounds(&topics.commands.partition(partition), Isolation::ReadUncommitted)?.start;
        let progress = Progress {
            events: end,
            next_command: start,
            floor: end,
            clock: TimestampMs(0),
            commands_id: commands.id,
            events_id: events.id,
        };
        let mut record = batch.start(&topics.snapshots, partition);
        record.key_with(|key| SnapshotKey::Position.write(key));
        record.value_with(|value| {
            progress.write(value);
            Ok::<_, Error>(())
        })?;
        record.finish();
        let metadata = format!("factum:{}", commands.id);
        reset.push(CommitOffset { place: topics.commands.partition(partition), offset: start, metadata });
    }
    // The log refuses this while the group has members: nobody decides meanwhile.
    admin.reset_group_offsets(&environment.handler_group(aggregate_type), &reset)?;
    let mut producer = environment.log.producer()?;
    producer.produce(&batch)?;
    producer.flush(Duration::from_secs(30))?;
    Ok(commands.id)
}

fn describe(admin: &mut dyn Admin, topic: &Topic) -> Result<TopicDescription> {
    admin.describe_topic(topic)?.ok_or_else(|| Error::invalid(format!("topic {topic} does not exist")))
}
