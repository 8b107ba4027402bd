//! A run's history from where it lies: journals, topics, tables.

use crate::{
    checker::{Event, History, Row},
    journal::{Entry, Journal},
};
use factum::{Aggregate, view::ViewTable};
use factum::{
    DecodeError, Error, KafkaConfig, KafkaLog, MessageCodec, Offset, RecordBatch, RecordRef, Result, Topic,
    environment::Environment,
    log::Isolation,
    schemas::{LogRegistry, RecordCodec, SchemaCache},
    wire::EventHeader,
};
use factum_bank::{Account, Balances};
use postgres::{Client, NoTls};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// A topic that gives nothing for so long cannot be read.
const STALL: Duration = Duration::from_secs(60);
/// A view that has stood still for so long will not catch up.
const CATCH_UP: Duration = Duration::from_secs(120);

/// Where a run's data are.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) kafka: &'a str,
    pub(crate) views: &'a str,
    pub(crate) journals: Vec<&'a Path>,
}

impl Sources<'_> {
    /// Reads everything; waits until the view has applied what is in the log.
    /// Returns the history, and the looks that found the view behind.
    ///
    /// # Errors
    /// `Unavailable` when topics or tables cannot be read.
    pub(crate) fn read(&self) -> Result<(History, Vec<String>)> {
        let mut history = History::default();
        let mut behind = Vec::new();
        for path in &self.journals {
            for entry in Journal::open(path)?.1 {
                match entry {
                    Entry::Sent(sent) => history.sent.push(sent),
                    Entry::Answered(answered) => history.answers.push(answered),
                    Entry::Looked(looked) => history.looks.push(looked),
                    Entry::Behind(why) => behind.push(why),
                }
            }
        }
        let log = Arc::new(KafkaLog::new(KafkaConfig::bootstrap(self.kafka))?);
        let schemas = Arc::new(SchemaCache::in_memory(Arc::new(LogRegistry::open(log.clone(), None)?)));
        let environment = Environment { log, schemas, prefix: String::new() };
        let topics = environment.topics(Account::TYPE);
        let codec = RecordCodec::<factum_bank::Event>::for_reading(&environment.schemas)?;
        let events = read_topic(&environment, &topics.events)?;
        history.events = events.iter().map(|record| event(&environment, &codec, record)).collect::<Result<_>>()?;
        history.dead_letters = read_topic(&environment, &topics.dead_letters)?.len();
        history.rows = self.rows(history.events.len())?;
        Ok((history, behind))
    }

    /// The view's rows, once it has as many entries as the log has events or stands still.
    fn rows(&self, events: usize) -> Result<BTreeMap<String, Row>> {
        let failed = |error: postgres::Error| Error::unavailable(format!("the view's table cannot be read: {error}"));
        let mut client = Client::connect(self.views, NoTls).map_err(failed)?;
        let sql = format!("SELECT key, balance, entries FROM {}", ViewTable::of::<Balances>()?.name());
        let (mut moved, mut last) = (Instant::now(), -1);
        loop {
            let rows = client.query(&sql, &[]).map_err(failed)?;
            let rows: BTreeMap<String, Row> =
                rows.iter().map(|row| (row.get(0), Row { balance_cents: row.get(1), entries: row.get(2) })).collect();
            let entries: i64 = rows.values().map(|row| row.entries).sum();
            if usize::try_from(entries).is_ok_and(|entries| entries >= events) || moved.elapsed() > CATCH_UP {
                return Ok(rows);
            }
            if entries != last {
                (moved, last) = (Instant::now(), entries);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// All committed records of a topic.
fn read_topic(environment: &Environment, topic: &Topic) -> Result<RecordBatch> {
    let mut admin = environment.log.admin()?;
    let mut reader = environment.log.reader(Isolation::ReadCommitted)?;
    let mut batch = RecordBatch::new();
    let mut ends = Vec::new();
    for place in admin.partitions(topic)? {
        // What lies beyond the last stable offset is of a transaction that has not ended.
        let (committed, all) =
            (admin.bounds(&place, Isolation::ReadCommitted)?, admin.bounds(&place, Isolation::ReadUncommitted)?);
        if committed.end != all.end {
            return Err(Error::unavailable(format!(
                "{place} has an open transaction at {}: its end is {}",
                committed.end, all.end
            )));
        }
        if committed.start < committed.end {
            reader.add(&place, committed.start)?;
            ends.push((place, committed.end));
        }
    }
    let mut moved = Instant::now();
    loop {
        let before = batch.len();
        reader.poll(100_000, Duration::from_millis(50), &mut batch)?;
        let mut missing = None;
        for (place, end) in &ends {
            if reader.position(place)?.unwrap_or(Offset(0)) < *end {
                missing = Some(place);
            }
        }
        let Some(place) = missing else { return Ok(batch) };
        if batch.len() > before {
            moved = Instant::now();
        } else if moved.elapsed() > STALL {
            return Err(Error::unavailable(format!("reading {place} stands still")));
        }
    }
}

fn event(environment: &Environment, codec: &RecordCodec<factum_bank::Event>, record: RecordRef<'_>) -> Result<Event> {
    let header = EventHeader::read(record)?;
    let value = record.value().unwrap_or_default();
    let decoded = codec.decode(value).or_else(|error| match error {
        DecodeError::UnknownSchema(id) => {
            environment.schemas.fetch(id)?;
            codec.decode(value).map_err(|error| Error::data(format!("{record:?}: {error}")))
        }
        other => Err(Error::data(format!("{record:?}: {other}"))),
    })?;
    Ok(Event {
        account: String::from_utf8_lossy(record.key().unwrap_or_default()).into_owned(),
        partition: record.partition().0,
        offset: record.offset().0,
        version: header.version.0,
        command: header.command.to_string(),
        change_cents: decoded.change_cents(),
    })
}
