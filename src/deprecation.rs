//! Who still writes what is deprecated, as the log tells it.

#[cfg(test)]
mod tests;

use crate::{
    environment::Environment,
    history::{event_json, read_range},
    host::Stop,
};
use factum_core::{Error, Offset, RecordRef, Result, TimestampMs, TopicPartition, log::Isolation, wire::EventHeader};
use factum_schemas::Deprecation;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::{ControlFlow, Range},
};

/// More writers than this of one mark are counted together.
const MAX_SOURCES: usize = 1_000;
/// What they are called then.
const OTHERS: &str = "(others)";
/// Records between two words about the progress.
const TELL: u64 = 1_000;

/// A mark on a record or on one of its fields, and who carries on.
#[derive(Debug)]
pub(crate) struct Marked {
    /// The record's full name.
    pub(crate) record: String,
    pub(crate) mark: Deprecation,
    /// By who wrote it, as events tell it: service, instance and version (`ce_source` of the journal).
    pub(crate) writers: BTreeMap<String, Written>,
}

/// What one of them wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// How many records.
    pub(crate) records: u64,
    /// Where the last one is.
    pub(crate) place: TopicPartition,
    pub(crate) offset: Offset,
    /// When it was recorded.
    pub(crate) time: TimestampMs,
}

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Events.
    pub(crate) records: u64,
    /// Those of them that could not be read.
    pub(crate) unreadable: u64,
    /// Why not the first one.
    pub(crate) cause: Option<String>,
    /// Whether it was stopped before the end.
    pub(crate) is_stopped: bool,
}

/// How far it is: offsets of all partitions that were read, and of those to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) done: u64,
    pub(crate) total: u64,
}

/// Reads the events of these aggregate types that were recorded at `since` or
/// later, up to the end as it is now, and notes who wrote what is marked.
/// Topics that do not exist have no events.
///
/// # Errors
/// What the log says. A record that cannot be read is counted, and is no error.
pub(crate) fn find_writers(
    environment: &Environment,
    aggregate_types: &[&str],
    since: Option<TimestampMs>,
    marked: &mut [Marked],
    stop: &Stop,
    tell: &mut dyn FnMut(Progress),
) -> Result<Seen> {
    let ranges = ranges(environment, aggregate_types, since)?;
    let length = |range: &Range<Offset>| u64::try_from(range.end.0 - range.start.0).unwrap_or_default();
    let mut progress = Progress { done: 0, total: ranges.iter().map(|(_, range)| length(range)).sum() };
    let mut seen = Seen::default();
    for (place, range) in ranges {
        let before = progress.done;
        let (start, whole) = (range.start.0, length(&range));
        read_range(environment, &place, range, |record| {
            if stop.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            seen.records += 1;
            if let Err(error) = note(environment, record, marked) {
                seen.unreadable += 1;
                seen.cause.get_or_insert_with(|| error.to_string());
            }
            if seen.records.is_multiple_of(TELL) {
                progress.done = before + u64::try_from(record.offset().0 - start).unwrap_or_default();
                tell(progress);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if stop.is_stopped() {
            seen.is_stopped = true;
            break;
        }
        progress.done = before + whole;
        tell(progress);
    }
    Ok(seen)
}

/// What is to be read of each partition.
fn ranges(
    environment: &Environment,
    aggregate_types: &[&str],
    since: Option<TimestampMs>,
) -> Result<Vec<(TopicPartition, Range<Offset>)>> {
    let mut admin = environment.log.admin()?;
    let mut ranges = Vec::new();
    for aggregate_type in aggregate_types {
        let topic = environment.topics(aggregate_type).events;
        if admin.describe_topic(&topic)?.is_none() {
            continue;
        }
        for place in admin.partitions(&topic)? {
            let bounds = admin.bounds(&place, Isolation::ReadCommitted)?;
            let start = match since {
                None => bounds.start,
                // Nothing is as late as that where there is no offset.
                Some(time) => admin.offset_for_time(&place, time)?.map_or(bounds.end, |it| it.max(bounds.start)),
            };
            ranges.push((place, start..bounds.end.max(start)));
        }
    }
    Ok(ranges)
}

/// Counts a record for the marks that it carries.
fn note(environment: &Environment, record: RecordRef<'_>, marked: &mut [Marked]) -> Result<()> {
    let schemas = &environment.schemas;
    let value = record.value().unwrap_or_default();
    let name = schemas.with_schema(|| schemas.record_name(value))?;
    if !marked.iter().any(|marked| marked.record == *name) {
        return Ok(());
    }
    let header = EventHeader::read(record)?;
    let (_, event) = event_json(environment, record)?;
    let time = record.timestamp().unwrap_or(header.occurred);
    for marked in marked.iter_mut().filter(|marked| marked.record == *name && marked.mark.is_in(&event)) {
        let is_full = marked.writers.len() >= MAX_SOURCES && !marked.writers.contains_key(header.source);
        let source = if is_full { OTHERS } else { header.source };
        let now = Written { records: 1, place: record.place(), offset: record.offset(), time };
        match marked.writers.entry(source.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(now);
            }
            Entry::Occupied(mut entry) => {
                let records = entry.get().records + 1;
                if (entry.get().time, entry.get().offset) <= (now.time, now.offset) {
                    entry.insert(now);
                }
                entry.get_mut().records = records;
            }
        }
    }
    Ok(())
}

impl Seen {
    /// What a user should know of it beside the result.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(cause) = &self.cause {
            remarks.push(format!("{} events cannot be read and were passed over; the first: {cause}", self.unreadable));
        }
        if self.is_stopped {
            remarks.push(format!("stopped after {} events: there may be more writers", self.records));
        }
        remarks
    }
}

/// Of a mark: the record, and the field if it is one's.
pub(crate) fn called(marked: &Marked) -> String {
    match &marked.mark.field {
        Some(field) => format!("{}, field {field}", marked.record),
        None => marked.record.clone(),
    }
}

/// The check of `--since`, which lies in the past.
///
/// # Errors
/// `Invalid` for a time after `now`.
pub(crate) fn check_since(since: Option<TimestampMs>, now: TimestampMs) -> Result<()> {
    match since {
        Some(since) if since > now => Err(Error::invalid("--since lies in the future: nothing was written then")),
        _ => Ok(()),
    }
}
