//! Parked records in SQLite.

use super::SqliteSink;
use crate::{ParkedFilter, ParkedKey, ParkedRecords};
use factum_core::{
    AggregateId, Error, Offset, Partition, Result, TimestampMs, Topic, TopicPartition, Version,
    view::{LoadRequest, Owner, Parked, Parking, Redriven},
};
use rusqlite::{Connection, Row, params, types::Value};
use std::{collections::BTreeMap, rc::Rc};

/// The table of what all views leave aside, and an index of the keys' first records.
pub(super) const TABLES: &str = "CREATE TABLE IF NOT EXISTS factum_parked (
         view TEXT NOT NULL,
         topic TEXT NOT NULL,
         aggregate TEXT NOT NULL,
         record_offset INTEGER NOT NULL,
         partition INTEGER NOT NULL,
         topic_id TEXT NOT NULL,
         version INTEGER NOT NULL,
         cause TEXT NOT NULL,
         attempts INTEGER NOT NULL,
         parked_at INTEGER NOT NULL,
         PRIMARY KEY (view, topic, aggregate, record_offset)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX IF NOT EXISTS factum_parked_keys ON factum_parked (view, topic, partition) WHERE cause <> '';";

const COLUMNS: &str = "topic, aggregate, record_offset, partition, topic_id, version, cause, attempts, parked_at";

const FIND: &str = "SELECT a.rowid FROM rarray(?1) AS a WHERE EXISTS (SELECT 1 FROM factum_parked AS p \
    WHERE p.view = ?2 AND p.topic = ?3 AND p.aggregate = a.value)";

const FIRST: &str = "SELECT record_offset FROM factum_parked WHERE view = ?1 AND topic = ?2 AND aggregate = ?3 \
    ORDER BY record_offset LIMIT ?4";

const PARK: &str = "INSERT INTO factum_parked (view, topic, aggregate, record_offset, partition, topic_id, version, \
    cause, attempts, parked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING";

const TAKE: &str = "DELETE FROM factum_parked WHERE view = ?1 AND topic = ?2 AND aggregate = ?3 \
    AND record_offset IN (SELECT value FROM rarray(?4))";

const HEAD: &str = "UPDATE factum_parked SET cause = ?4, attempts = ?5 WHERE view = ?1 AND topic = ?2 \
    AND aggregate = ?3 AND record_offset = (SELECT min(record_offset) FROM factum_parked \
        WHERE view = ?1 AND topic = ?2 AND aggregate = ?3)";

const RAISE: &str = "UPDATE factum_progress SET epoch = epoch + 1 WHERE view = ?1 AND topic = ?2 AND partition = ?3";

impl ParkedRecords for SqliteSink {
    fn parked_keys(
        &mut self,
        filter: &ParkedFilter,
        after: Option<(&Topic, &AggregateId)>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        let (topic, aggregate) = after.map_or(("", ""), |(topic, aggregate)| (topic.as_str(), aggregate.as_str()));
        let sql = format!(
            "SELECT {COLUMNS}, (SELECT count(*) FROM factum_parked AS r \
                 WHERE r.view = p.view AND r.topic = p.topic AND r.aggregate = p.aggregate) \
             FROM factum_parked AS p WHERE view = ?1 AND cause <> '' AND (topic, aggregate) > (?2, ?3) \
             AND ifnull(topic = ?4, 1) AND ifnull(partition = ?5, 1) AND ifnull(aggregate = ?6, 1) \
             AND ifnull(instr(cause, ?7) > 0, 1) ORDER BY topic, aggregate LIMIT ?8"
        );
        let place = filter.place.as_ref();
        let select = || {
            let mut select = self.connection.prepare_cached(&sql)?;
            let rows = select.query_map(
                params![
                    self.table.name(),
                    topic,
                    aggregate,
                    place.map(|place| place.topic.as_str()),
                    place.map(|place| place.partition.0),
                    filter.aggregate.as_ref().map(AggregateId::as_str),
                    filter.cause,
                    rows_of(limit),
                ],
                |row| Ok((parked(row)?, row.get(9)?)),
            )?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows = select().map_err(|e| self.failed(&self.reading_parked(), e))?;
        rows.into_iter().map(|(first, records)| Ok(ParkedKey { first: first?, records })).collect()
    }

    fn parked_records(
        &mut self,
        topic: &Topic,
        aggregate: &AggregateId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<Parked>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM factum_parked WHERE view = ?1 AND topic = ?2 AND aggregate = ?3 \
             AND record_offset > ?4 ORDER BY record_offset LIMIT ?5"
        );
        let select = || {
            let mut select = self.connection.prepare_cached(&sql)?;
            let after = after.unwrap_or(Offset(-1)).0;
            let key = params![self.table.name(), topic.as_str(), aggregate.as_str(), after, rows_of(limit)];
            let rows = select.query_map(key, parked)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        select().map_err(|e| self.failed(&self.reading_parked(), e))?.into_iter().collect()
    }

    fn count_parked(&mut self) -> Result<BTreeMap<TopicPartition, u64>> {
        let sql = "SELECT topic, partition, count(*) FROM factum_parked WHERE view = ?1 AND cause <> '' \
            GROUP BY topic, partition";
        let select = || {
            let mut select = self.connection.prepare_cached(sql)?;
            let rows = select.query_map([self.table.name()], |row| {
                let topic = Topic::new(row.get::<_, String>(0)?);
                Ok((topic.partition(Partition(row.get(1)?)), row.get(2)?))
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        select().map_err(|e| self.failed(&self.reading_parked(), e))
    }

    fn hold(&mut self, _: &TopicPartition) -> Result<()> {
        // The database has one write lock, which is every row's.
        self.begin().map_err(|e| self.failed(&format!("hold the progress of view {}", self.table.view()), e))?;
        self.held = true;
        Ok(())
    }
}

impl SqliteSink {
    fn reading_parked(&self) -> String {
        format!("read what view {} has left aside", self.table.view())
    }

    /// Those of the aggregates that may be parked and are.
    pub(super) fn find_parked(&self, request: &LoadRequest) -> rusqlite::Result<Vec<usize>> {
        let mut parked = Vec::new();
        let mut left = request.may_be_parked.clone();
        let mut find = self.connection.prepare_cached(FIND)?;
        while let Some((topic, _)) = left.first().and_then(|number| request.aggregates.get(*number)) {
            let (these, others): (Vec<usize>, Vec<usize>) =
                left.iter().partition(|number| request.aggregates[**number].0 == *topic);
            let ids = these.iter().map(|number| Value::Text(request.aggregates[*number].1.as_str().to_owned()));
            let parameters = params![Rc::new(ids.collect::<Vec<_>>()), self.table.name(), topic.as_str()];
            let mut rows = find.query(parameters)?;
            while let Some(row) = rows.next()? {
                // Numbers of rows begin at 1.
                parked.push(these[row.get::<_, usize>(0)? - 1]);
            }
            left = others;
        }
        Ok(parked)
    }

    /// Leaves aside and takes back, within the transaction of a commit. Answers
    /// whether what was parked is so still.
    pub(super) fn park(&self, parking: &Parking) -> rusqlite::Result<bool> {
        let (connection, view) = (&self.connection, self.table.name());
        for (topic, aggregate) in &parking.still {
            if first(connection, &view, topic, aggregate, 1)?.is_empty() {
                return Ok(false);
            }
        }
        for record in &parking.aside {
            connection.prepare_cached(PARK)?.execute(params![
                view,
                record.place.topic.as_str(),
                record.aggregate.as_str(),
                record.offset.0,
                record.place.partition.0,
                record.topic_id.to_string(),
                record.version.0,
                record.cause,
                record.attempts,
                record.at.0,
            ])?;
        }
        let Some(Redriven { place, aggregate, expected, done, next, owner }) = &parking.redriven else {
            return Ok(true);
        };
        if first(connection, &view, &place.topic, aggregate, expected.len())? != *expected {
            return Ok(false);
        }
        let (topic, aggregate) = (place.topic.as_str(), aggregate.as_str());
        let offsets: Vec<Value> = expected.iter().take(*done).map(|offset| Value::Integer(offset.0)).collect();
        connection.prepare_cached(TAKE)?.execute(params![view, topic, aggregate, Rc::new(offsets)])?;
        connection.prepare_cached(HEAD)?.execute(params![view, topic, aggregate, next.cause, next.attempts])?;
        if *owner == Owner::ClaimsAgain {
            connection.execute(RAISE, params![view, topic, place.partition.0])?;
        }
        Ok(true)
    }
}

/// The offsets of a key's first records.
fn first(
    connection: &Connection,
    view: &str,
    topic: &Topic,
    aggregate: &AggregateId,
    limit: usize,
) -> rusqlite::Result<Vec<Offset>> {
    let mut select = connection.prepare_cached(FIRST)?;
    let key = params![view, topic.as_str(), aggregate.as_str(), rows_of(limit)];
    select.query_map(key, |row| Ok(Offset(row.get(0)?)))?.collect()
}

fn rows_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A row of [`COLUMNS`]; the inner error says that an id cannot be read.
fn parked(row: &Row<'_>) -> rusqlite::Result<Result<Parked>> {
    let (aggregate, topic_id): (String, String) = (row.get(1)?, row.get(4)?);
    let place = Topic::new(row.get::<_, String>(0)?).partition(Partition(row.get(3)?));
    let (offset, version) = (Offset(row.get(2)?), Version(row.get(5)?));
    let (cause, attempts, at) = (row.get(6)?, row.get(7)?, TimestampMs(row.get(8)?));
    let ids = AggregateId::new(aggregate).and_then(|aggregate| Ok((aggregate, topic_id.parse()?)));
    let ids = ids.map_err(|e: Error| e.context(format!("what is parked of {place}")));
    Ok(ids.map(|(aggregate, topic_id)| Parked { place, topic_id, aggregate, offset, version, cause, attempts, at }))
}
