//! Who still writes what is deprecated, as the log tells it.

mod owner;
#[cfg(test)]
mod tests;

pub(crate) use owner::{ask_owner, errands};

use crate::{
    environment::Environment,
    history::{event_json, read_range},
    host::Stop,
};
use factum_core::{
    Error, Offset, RecordRef, Result, TimestampMs, TopicPartition,
    log::Isolation,
    wire::{CommandHeaders, EventHeader, Token},
};
use factum_schemas::Deprecation;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::{ControlFlow, Range},
};

/// More writers than this of one mark are counted together.
const MAX_SOURCES: usize = 1_000;
/// What they are called then.
const OTHERS: &str = "(others)";
/// Who sent a command that does not tell it.
const UNKNOWN: &str = "(who does not say)";
/// Records between two words about the progress.
const TELL: u64 = 1_000;

/// A mark on a record or on one of its fields, and who carries on.
#[derive(Debug)]
pub(crate) struct Marked {
    /// The record's full name.
    pub(crate) record: String,
    pub(crate) mark: Deprecation,
    /// By who wrote it, as events and commands tell it: service, instance and version (`ce_source`).
    pub(crate) writers: BTreeMap<String, Written>,
}

/// What is written into a topic of an aggregate type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Events,
    Commands,
}

/// A topic to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) aggregate_type: String,
    pub(crate) kind: Kind,
}

/// What one of them wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// How many records.
    pub(crate) records: u64,
    /// Where the last one is.
    #[serde(with = "as_text")]
    pub(crate) last: Token,
    /// When it was recorded.
    pub(crate) time: TimestampMs,
}

/// What was read.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    /// Events and commands.
    pub(crate) records: u64,
    /// Those of them that could not be read.
    pub(crate) unreadable: u64,
    /// Why not the first one.
    pub(crate) cause: Option<String>,
    /// Whether it was stopped before the end.
    pub(crate) is_stopped: bool,
}

/// How far it is: offsets of all partitions that were read, and of those to be read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) done: u64,
    pub(crate) total: u64,
}

/// Reads what was recorded in these topics at `since` or later, up to the end as
/// it is now, and notes who wrote what is marked. Topics that do not exist are
/// empty.
///
/// # Errors
/// What the log says. A record that cannot be read is counted, and is no error.
pub(crate) fn find_writers(
    environment: &Environment,
    sources: &[Source],
    since: Option<TimestampMs>,
    marked: &mut [Marked],
    stop: &Stop,
    tell: &mut dyn FnMut(Progress),
) -> Result<Seen> {
    let ranges = ranges(environment, sources, since)?;
    let length = |range: &Range<Offset>| u64::try_from(range.end.0 - range.start.0).unwrap_or_default();
    let mut progress = Progress { done: 0, total: ranges.iter().map(|(_, _, range)| length(range)).sum() };
    let mut seen = Seen::default();
    for (kind, place, range) in ranges {
        let before = progress.done;
        let (start, whole) = (range.start.0, length(&range));
        read_range(environment, &place, range, |record| {
            if stop.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            seen.records += 1;
            if let Err(error) = note(environment, kind, record, marked) {
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
    sources: &[Source],
    since: Option<TimestampMs>,
) -> Result<Vec<(Kind, TopicPartition, Range<Offset>)>> {
    let mut admin = environment.log.admin()?;
    let mut ranges = Vec::new();
    for Source { aggregate_type, kind } in sources {
        let topics = environment.topics(aggregate_type);
        let topic = match kind {
            Kind::Events => topics.events,
            Kind::Commands => topics.commands,
        };
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
            ranges.push((*kind, place, start..bounds.end.max(start)));
        }
    }
    Ok(ranges)
}

/// Counts a record for the marks that it carries.
fn note(environment: &Environment, kind: Kind, record: RecordRef<'_>, marked: &mut [Marked]) -> Result<()> {
    let schemas = &environment.schemas;
    let value = record.value().unwrap_or_default();
    let name = schemas.with_schema(|| schemas.record_name(value))?;
    if !marked.iter().any(|marked| marked.record == *name) {
        return Ok(());
    }
    let source = match kind {
        Kind::Events => EventHeader::read(record)?.source,
        Kind::Commands => CommandHeaders::source(record).unwrap_or(UNKNOWN),
    };
    let (_, value) = event_json(environment, record)?;
    // Every log tells it of what it has.
    let time = record.timestamp().unwrap_or_default();
    for marked in marked.iter_mut().filter(|marked| marked.record == *name && marked.mark.is_in(&value)) {
        let is_full = marked.writers.len() >= MAX_SOURCES && !marked.writers.contains_key(source);
        let source = if is_full { OTHERS } else { source };
        let last = Token { place: record.place(), offset: record.offset(), topic_id: None };
        let now = Written { records: 1, last, time };
        match marked.writers.entry(source.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(now);
            }
            Entry::Occupied(mut entry) => {
                let records = entry.get().records + 1;
                if (entry.get().time, entry.get().last.offset) <= (now.time, now.last.offset) {
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
            remarks
                .push(format!("{} records cannot be read and were passed over; the first: {cause}", self.unreadable));
        }
        if self.is_stopped {
            remarks.push(format!("stopped after {} records: there may be more writers", self.records));
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

/// A position as its text.
mod as_text {
    use factum_core::wire::Token;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(token: &Token, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(token)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Token, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
