//! Reading events from the journal, and from the log what the journal has not yet.

use super::{
    entry::{Entry, Journal},
    key,
};
use crate::{environment::Environment, history};
use factum_core::{
    AggregateId, Error, ErrorKind, Offset, RecordRef, Result, TimestampMs, TopicId, TopicPartition, Version,
    partition_of,
    view::{RowShape, Value, ViewTable},
    wire::{CONTESTED, EventHeader},
};
use factum_gateway::Clock;
use factum_views::{Page, Query, Rows};
use std::{ops::ControlFlow, sync::Arc};

/// The most rows of one page.
pub(crate) const PAGE: usize = 1_000;

/// Reads the journal of a database, and the log.
pub(crate) struct Reader {
    environment: Environment,
    rows: Arc<dyn Rows>,
    table: ViewTable,
    shape: RowShape<Entry>,
}

/// An aggregate whose events are read.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// Where its events are.
    pub(crate) place: TopicPartition,
    /// The identity of their topic.
    pub(crate) topic_id: TopicId,
    /// What the keys of its rows begin with.
    pub(crate) start: String,
    /// The first offset of its partition that the journal may not have; none when there is no journal.
    pub(crate) position: Option<Offset>,
    id: AggregateId,
}

/// Only events up to a time.
pub(crate) type Until = Option<(Clock, TimestampMs)>;

impl Reader {
    /// Reads the journal of these views.
    pub(crate) fn new(environment: &Environment, rows: Arc<dyn Rows>) -> Result<Self> {
        Ok(Reader {
            environment: environment.clone(),
            rows,
            table: ViewTable::of::<Journal>()?,
            shape: RowShape::learn()?,
        })
    }

    /// The rows of its database.
    pub(crate) fn rows(&self) -> &dyn Rows {
        &*self.rows
    }

    /// The journal's table.
    pub(crate) fn table(&self) -> &ViewTable {
        &self.table
    }

    /// An aggregate, and how far the journal is with its partition now.
    ///
    /// # Errors
    /// `Invalid` when the topics do not exist; what log and database say.
    pub(crate) fn subject(&self, aggregate_type: &str, id: &AggregateId) -> Result<Subject> {
        let topics = self.environment.topics(aggregate_type);
        let found = self.environment.log.admin()?.describe_topic(&topics.events)?.ok_or_else(|| {
            Error::invalid(format!(
                "topic {} does not exist; create it with `factum topics create {}`",
                topics.events, topics.arguments
            ))
        })?;
        let place = topics.events.partition(partition_of(id.as_str().as_bytes(), found.partitions));
        let position = self.position(&place, found.id)?;
        let start = key::start_of(&topics.events, id);
        Ok(Subject { place, topic_id: found.id, start, position, id: id.clone() })
    }

    /// How far the journal is with a partition of this topic; none where there is no journal of it.
    pub(crate) fn position(&self, place: &TopicPartition, topic_id: TopicId) -> Result<Option<Offset>> {
        let progress = match self.rows.progress(&self.table) {
            Ok(progress) => progress,
            // It was never built.
            Err(error) if error.kind() == ErrorKind::Invalid => Vec::new(),
            Err(error) => return Err(error),
        };
        let found = progress.into_iter().find(|progress| progress.place == *place && progress.topic_id == topic_id);
        Ok(found.map(|progress| progress.position))
    }

    /// Calls `each` for an aggregate's events with a later version than `after`,
    /// in the order of versions, up to the last one now or until `each` breaks
    /// off: from the journal in pages of so many rows, and from the log what is not in it yet.
    ///
    /// # Errors
    /// What log, database and `each` say.
    pub(crate) fn read(
        &self,
        subject: &Subject,
        after: Version,
        until: Until,
        page: usize,
        mut each: impl FnMut(Version, Entry) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut last = after;
        let mut newest: Option<(String, i64)> = None;
        // One without a progress row may have rows of a topic that was made anew.
        while subject.position.is_some() {
            let low = key::key_of(&subject.start, last);
            let mut filter = format!("key > {} and {}", key::quoted(&low), below(&subject.start));
            if let Some((clock, time)) = until {
                filter += &format!(" and {} <= {}", column(clock), time.0);
            }
            let page = self.rows.page(&Query::new(&self.table).filtered(&filter)?.limited(page.clamp(1, PAGE))?)?;
            let is_last = page.next.is_none();
            for (key, entry) in self.entries(page)? {
                let Some(version) = key::version_of(&key) else { continue };
                last = version;
                newest = Some((entry.command.clone(), entry.offset));
                if each(version, entry)?.is_break() {
                    return Ok(());
                }
            }
            if is_last {
                break;
            }
        }
        let id = subject.id.as_str().as_bytes();
        history::read_partition(&self.environment, &subject.place, subject.position, |record| {
            if record.key() != Some(id) {
                return Ok(ControlFlow::Continue(()));
            }
            let header = EventHeader::read(record)?;
            let entry = self.entry(record, &header)?;
            if let Some((command, offset)) = newest.as_ref().filter(|_| header.version == last)
                && *command != entry.command
                && *offset < entry.offset
            {
                return Err(Error::data(format!(
                    "{record:?}: version {last} of {} is claimed by command {} here and by command {command} at offset \
                     {offset}: {CONTESTED}",
                    subject.id, entry.command
                )));
            }
            let time = |clock| if clock == Clock::Occurred { entry.occurred_ms } else { entry.recorded_ms };
            // The journal may have gone on since its position was read.
            if header.version <= last || until.is_some_and(|(clock, until)| time(clock) > until.0) {
                return Ok(ControlFlow::Continue(()));
            }
            (last, newest) = (header.version, Some((entry.command.clone(), entry.offset)));
            each(header.version, entry)
        })
    }

    /// The first version in the journal whose time is later; none if there is none.
    pub(crate) fn first_later(&self, subject: &Subject, clock: Clock, time: TimestampMs) -> Result<Option<Version>> {
        if subject.position.is_none() {
            return Ok(None);
        }
        let low = key::key_of(&subject.start, Version::NONE);
        let range = format!("key > {} and {}", key::quoted(&low), below(&subject.start));
        let filter = format!("{range} and {} > {}", column(clock), time.0);
        let query = Query::new(&self.table).filtered(&filter)?.projected("key")?.limited(1)?;
        Ok(match self.rows.page(&query)?.rows.first().map(Vec::as_slice) {
            Some([Value::Text(key)]) => key::version_of(key),
            _ => None,
        })
    }

    /// The last version in the journal.
    pub(crate) fn last_version(&self, subject: &Subject) -> Result<Version> {
        let low = key::key_of(&subject.start, Version::NONE);
        let filter = format!("key > {} and {}", key::quoted(&low), below(&subject.start));
        let query = Query::new(&self.table).filtered(&filter)?.ordered("-key")?.projected("key")?.limited(1)?;
        Ok(match self.rows.page(&query)?.rows.first().map(Vec::as_slice) {
            Some([Value::Text(key)]) if subject.position.is_some() => key::version_of(key).unwrap_or_default(),
            _ => Version::NONE,
        })
    }

    /// The rows of a page with all columns, each with its key.
    pub(crate) fn entries(&self, page: Page) -> Result<Vec<(String, Entry)>> {
        let entry = |mut row: Vec<Value>| match row.first_mut().map(|key| std::mem::replace(key, Value::Null)) {
            Some(Value::Text(key)) => Ok((key, self.shape.row(row.split_off(1))?)),
            _ => Err(Error::data("a row of the journal has no key")),
        };
        page.rows.into_iter().map(entry).collect()
    }

    pub(crate) fn entry(&self, record: RecordRef<'_>, header: &EventHeader<'_>) -> Result<Entry> {
        let payload = record.value().unwrap_or_default().to_vec();
        let schemas = &self.environment.schemas;
        let name = schemas.with_schema(|| schemas.record_name(&payload));
        Ok(Entry {
            event_type: name.map_err(|error| error.context(format!("{record:?}")))?.to_string(),
            occurred_ms: header.occurred.0,
            recorded_ms: record.timestamp().unwrap_or(header.occurred).0,
            command: header.command.to_string(),
            event_index: header.index,
            correlation: header.correlation.to_string(),
            causation: header.cause.map(|cause| cause.to_string()),
            trace: header.trace.map(|trace| trace.to_string()),
            source: header.source.to_owned(),
            partition: record.partition().0,
            offset: record.offset().0,
            payload,
        })
    }
}

/// The column of a time.
pub(crate) fn column(clock: Clock) -> &'static str {
    match clock {
        Clock::Occurred => "occurred_ms",
        Clock::Recorded => "recorded_ms",
    }
}

/// The condition that a key with this start is still one of its rows: the digits end before `:`.
pub(crate) fn below(start: &str) -> String {
    format!("key < {}", key::quoted(&format!("{start}:")))
}
