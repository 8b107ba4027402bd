//! Parked records in PostgreSQL.

use super::{
    PostgresSink,
    connection::Parameter,
    text::{original, stored},
    value::number,
};
use crate::{ParkedFilter, ParkedKey, ParkedRecords};
use factum_core::{
    AggregateId, Error, Offset, Partition, Result, TimestampMs, Topic, TopicPartition, Version,
    view::{Owner, Parked, Parking, Redriven},
};
use std::{borrow::Cow, collections::BTreeMap};
use tokio_postgres::Row;

/// The numbers of the parked ones: view, then lists of topics and aggregates.
pub(super) const FIND: &str = "SELECT a.number FROM unnest($2::text[], $3::text[]) WITH ORDINALITY \
        AS a(topic, aggregate, number) \
    WHERE EXISTS (SELECT 1 FROM factum_parked p \
        WHERE p.view = $1 AND p.topic = a.topic AND p.aggregate = a.aggregate)";

const COLUMNS: &str = "topic, aggregate, record_offset, partition, topic_id, version, cause, attempts, parked_at";

const FIRST: &str = "SELECT record_offset FROM factum_parked WHERE view = $1 AND topic = $2 AND aggregate = $3 \
    ORDER BY record_offset LIMIT $4";

const PARK: &str = "INSERT INTO factum_parked (view, topic, aggregate, record_offset, partition, topic_id, version, \
        cause, attempts, parked_at) \
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::int8[], $5::int4[], $6::text[], $7::int8[], $8::text[], \
        $9::int8[], $10::int8[]) \
    ON CONFLICT DO NOTHING";

const TAKE: &str = "DELETE FROM factum_parked WHERE view = $1 AND topic = $2 AND aggregate = $3 \
    AND record_offset = ANY($4::int8[])";

const HEAD: &str = "UPDATE factum_parked SET cause = $4, attempts = $5 WHERE view = $1 AND topic = $2 \
    AND aggregate = $3 AND record_offset = (SELECT min(record_offset) FROM factum_parked \
        WHERE view = $1 AND topic = $2 AND aggregate = $3)";

const HOLD: &str = "SELECT 1 FROM factum_progress WHERE view = $1 AND topic = $2 AND partition = $3 FOR UPDATE";

const RAISE: &str = "UPDATE factum_progress SET epoch = epoch + 1 WHERE view = $1 AND topic = $2 AND partition = $3";

impl ParkedRecords for PostgresSink {
    fn parked_keys(
        &mut self,
        filter: &ParkedFilter,
        after: Option<(&Topic, &AggregateId)>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        let sql = format!(
            "SELECT {COLUMNS}, (SELECT count(*) FROM factum_parked r \
                 WHERE r.view = p.view AND r.topic = p.topic AND r.aggregate = p.aggregate) \
             FROM factum_parked p WHERE view = $1 AND cause <> '' AND (topic, aggregate) > ($2, $3) \
             AND coalesce(topic = $4, true) AND coalesce(partition = $5, true) AND coalesce(aggregate = $6, true) \
             AND coalesce(position($7::text IN cause) > 0, true) ORDER BY topic, aggregate LIMIT $8"
        );
        let (topic, aggregate) = after.map_or(("", ""), |(topic, aggregate)| (topic.as_str(), aggregate.as_str()));
        let place = filter.place.as_ref();
        let partition = place.map(|place| number::<_, i32>(place.partition.0, "partition")).transpose()?;
        let parameters: [Parameter<'_>; 8] = [
            &self.table.name(),
            &topic,
            &stored(aggregate),
            &place.map(|place| place.topic.as_str()),
            &partition,
            &filter.aggregate.as_ref().map(|aggregate| stored(aggregate.as_str())),
            &filter.cause.as_deref().map(stored),
            &rows_of(limit),
        ];
        let rows = self.connection.query(&self.reading_parked(), &sql, &parameters)?;
        let key = |row: &Row| Ok(ParkedKey { first: parked(row)?, records: number(row.get::<_, i64>(9), "count")? });
        rows.iter().map(key).collect()
    }

    fn parked_records(
        &mut self,
        topic: &Topic,
        aggregate: &AggregateId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<Parked>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM factum_parked WHERE view = $1 AND topic = $2 AND aggregate = $3 \
             AND record_offset > $4 ORDER BY record_offset LIMIT $5"
        );
        let after = after.unwrap_or(Offset(-1)).0;
        let parameters: [Parameter<'_>; 5] =
            [&self.table.name(), &topic.as_str(), &stored(aggregate.as_str()), &after, &rows_of(limit)];
        let rows = self.connection.query(&self.reading_parked(), &sql, &parameters)?;
        rows.iter().map(parked).collect()
    }

    fn count_parked(&mut self) -> Result<BTreeMap<TopicPartition, u64>> {
        let sql = "SELECT topic, partition, count(*) FROM factum_parked WHERE view = $1 AND cause <> '' \
            GROUP BY topic, partition";
        let rows = self.connection.query(&self.reading_parked(), sql, &[&self.table.name()])?;
        let count = |row: &Row| {
            let partition = Partition(number(row.get::<_, i32>(1), "partition")?);
            let place = Topic::new(row.get::<_, String>(0)).partition(partition);
            Ok((place, number(row.get::<_, i64>(2), "count")?))
        };
        rows.iter().map(count).collect()
    }

    fn hold(&mut self, place: &TopicPartition) -> Result<()> {
        let doing = format!("hold the progress of view {}", self.table.view());
        self.connection.begin(&doing, &[])?;
        self.hold_row(&doing, place)
    }
}

impl PostgresSink {
    fn reading_parked(&self) -> String {
        format!("read what view {} has left aside", self.table.view())
    }

    fn hold_row(&mut self, doing: &str, place: &TopicPartition) -> Result<()> {
        let partition: i32 = number(place.partition.0, "partition")?;
        self.connection.query(doing, HOLD, &[&self.table.name(), &place.topic.as_str(), &partition]).map(drop)
    }

    /// Leaves aside and takes back, within the transaction of a commit. Answers
    /// whether what was parked is so still.
    pub(super) fn park(&mut self, doing: &str, parking: &Parking) -> Result<bool> {
        let view = self.table.name();
        if let Some(Redriven { place, .. }) = &parking.redriven {
            self.hold_row(doing, place)?;
        }
        if !parking.still.is_empty() {
            let topics: Vec<&str> = parking.still.iter().map(|(topic, _)| topic.as_str()).collect();
            let aggregates: Vec<Cow<'_, str>> = parking.still.iter().map(|(_, id)| stored(id.as_str())).collect();
            let found = self.connection.query(doing, FIND, &[&view, &topics, &aggregates])?;
            if found.len() != parking.still.len() {
                return Ok(false);
            }
        }
        if !parking.aside.is_empty() {
            self.leave_aside(doing, &view, &parking.aside)?;
        }
        let Some(Redriven { place, aggregate, expected, done, next, owner }) = &parking.redriven else {
            return Ok(true);
        };
        let (topic, aggregate) = (place.topic.as_str(), stored(aggregate.as_str()));
        let first = self.connection.query(doing, FIRST, &[&view, &topic, &aggregate, &rows_of(expected.len())])?;
        if !first.iter().map(|row| Offset(row.get(0))).eq(expected.iter().copied()) {
            return Ok(false);
        }
        let offsets: Vec<i64> = expected.iter().take(*done).map(|offset| offset.0).collect();
        self.connection.query(doing, TAKE, &[&view, &topic, &aggregate, &offsets])?;
        let head: [Parameter<'_>; 5] = [&view, &topic, &aggregate, &stored(&next.cause), &i64::from(next.attempts)];
        self.connection.query(doing, HEAD, &head)?;
        if *owner == Owner::ClaimsAgain {
            let partition: i32 = number(place.partition.0, "partition")?;
            self.connection.query(doing, RAISE, &[&view, &topic, &partition])?;
        }
        Ok(true)
    }

    fn leave_aside(&mut self, doing: &str, view: &str, aside: &[Parked]) -> Result<()> {
        let topics: Vec<&str> = aside.iter().map(|record| record.place.topic.as_str()).collect();
        let aggregates: Vec<Cow<'_, str>> = aside.iter().map(|record| stored(record.aggregate.as_str())).collect();
        let offsets: Vec<i64> = aside.iter().map(|record| record.offset.0).collect();
        let partitions = aside.iter().map(|record| number(record.place.partition.0, "partition"));
        let partitions = partitions.collect::<Result<Vec<i32>>>()?;
        let ids: Vec<String> = aside.iter().map(|record| record.topic_id.to_string()).collect();
        let versions = aside.iter().map(|record| number(record.version.0, "version")).collect::<Result<Vec<i64>>>()?;
        let causes: Vec<Cow<'_, str>> = aside.iter().map(|record| stored(&record.cause)).collect();
        let attempts: Vec<i64> = aside.iter().map(|record| i64::from(record.attempts)).collect();
        let times: Vec<i64> = aside.iter().map(|record| record.at.0).collect();
        let records: [Parameter<'_>; 10] =
            [&view, &topics, &aggregates, &offsets, &partitions, &ids, &versions, &causes, &attempts, &times];
        self.connection.query(doing, PARK, &records).map(drop)
    }
}

fn rows_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A row of [`COLUMNS`].
fn parked(row: &Row) -> Result<Parked> {
    let partition = Partition(number(row.get::<_, i32>(3), "partition")?);
    let place = Topic::new(row.get::<_, String>(0)).partition(partition);
    let topic_id = row.get::<_, &str>(4).parse().map_err(|e: Error| e.context(&place))?;
    Ok(Parked {
        aggregate: AggregateId::new(original(row.get(1)))?,
        offset: Offset(row.get(2)),
        version: Version(number(row.get::<_, i64>(5), "version")?),
        cause: original(row.get(6)),
        attempts: number(row.get::<_, i64>(7), "attempts")?,
        at: TimestampMs(row.get(8)),
        place,
        topic_id,
    })
}
