//! Reading one aggregate's events from the log.

use crate::environment::Environment;
use factum_core::{AggregateId, Error, Offset, RecordRef, Result, TopicPartition, log::Isolation, partition_of};
use std::ops::{ControlFlow, Range};

/// Calls `each` for every event of an aggregate, oldest first, up to the end
/// of its partition as it is now, or until `each` breaks off.
///
/// # Errors
/// `Invalid` when the topics do not exist; what the log and `each` say.
pub fn read_events(
    environment: &Environment,
    aggregate_type: &str,
    id: &AggregateId,
    mut each: impl FnMut(RecordRef<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let topics = environment.topics(aggregate_type);
    let mut admin = environment.log.admin()?;
    let found = admin.describe_topic(&topics.events)?.ok_or_else(|| {
        Error::invalid(format!(
            "topic {} does not exist; create it with `factum topics create {}`",
            topics.events, topics.arguments
        ))
    })?;
    let key = id.as_str().as_bytes();
    let place = topics.events.partition(partition_of(key, found.partitions));
    read_partition(environment, &place, None, |record| match record.key() == Some(key) {
        true => each(record),
        false => Ok(ControlFlow::Continue(())),
    })
}

/// Calls `each` for every committed record of a partition, from an offset or
/// its start, up to its end as it is now, or until `each` breaks off.
///
/// # Errors
/// `Unavailable` when nothing moves for a while; what the log and `each` say.
pub(crate) fn read_partition(
    environment: &Environment,
    place: &TopicPartition,
    from: Option<Offset>,
    each: impl FnMut(RecordRef<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    // The last stable offset: what is beyond is not decided yet.
    let bounds = environment.log.admin()?.bounds(place, Isolation::ReadCommitted)?;
    let start = from.unwrap_or(bounds.start).max(bounds.start);
    read_range(environment, place, start..bounds.end, each)
}

/// Calls `each` for every committed record of a partition between two offsets,
/// both of them in the log, or until `each` breaks off.
///
/// # Errors
/// As of [`read_partition`].
pub(crate) fn read_range(
    environment: &Environment,
    place: &TopicPartition,
    range: Range<Offset>,
    each: impl FnMut(RecordRef<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    factum_views::read_range(&*environment.log, place, range, each)
}

/// A record's name and value as JSON, fetching its schema if need be.
///
/// # Errors
/// `Data` when it cannot be decoded, `Unavailable` when its schema cannot be had.
pub fn event_json(environment: &Environment, record: RecordRef<'_>) -> Result<(String, serde_json::Value)> {
    let value = record.value().unwrap_or_default();
    let decoded = environment.schemas.with_schema(|| environment.schemas.to_json(value));
    decoded.map_err(|error| error.context(format!("{record:?}")))
}
