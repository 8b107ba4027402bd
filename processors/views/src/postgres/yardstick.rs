//! The reference that a view in PostgreSQL is measured against: a loop that
//! reads events, folds them and writes rows and a progress row, with the same
//! client, the same batches and the same transactions, and without a machine
//! around it.
//!
//! It checks no version and keeps no watermarks, has no group, claims no
//! partition and recovers from nothing: it is what somebody writes by hand for
//! one view on a good day.

use super::{
    PostgresLimits, PostgresUrl,
    connection::{Call, Connection, Parameter},
    sink::Rows,
    statements::Statements,
    tables,
    text::{original, stored},
    value::{number, values},
};
use factum_core::{
    AggregateId, Error, MessageCodec, Offset, RecordBatch, RecordRef, Result, Topic, TopicPartition,
    log::{Isolation, Log},
    view::{Recorded, RowShape, Value, View, ViewTable, Watermarks},
    wire::EventHeader,
};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How rows get to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// The touched rows of a batch are read by one statement and written by another.
    Batched,
    /// Each event reads and writes its row; a batch is still one transaction.
    RowByRow,
}

/// The limit of a batch, as of a view's.
const MAX_RECORDS: usize = 5_000;
/// How long nothing may come.
const STALL: Duration = Duration::from_secs(60);

const PROGRESS: &str = "INSERT INTO factum_progress AS p (view, topic, topic_id, partition, epoch, position) \
    SELECT $1, m.topic, '', m.partition, 1, m.after FROM unnest($2::text[], $3::int4[], $4::int8[]) \
        AS m(topic, partition, after) \
    ON CONFLICT (view, topic, partition) DO UPDATE SET position = excluded.position";

/// Projects the first `events` events of a topic into the view's table; events a second, from the
/// end of the first transaction to that of the last.
///
/// # Errors
/// What log, codec and database say; nothing is tried again.
pub fn project<V: View, C: MessageCodec<V::Event>>(
    log: &dyn Log,
    topic: &Topic,
    codec: &C,
    url: &PostgresUrl,
    writing: Writing,
    events: u64,
) -> Result<f64> {
    let table = ViewTable::of::<V>()?.with_watermarks(Watermarks::Apart);
    let mut connection = Connection::open(url.clone(), PostgresLimits::default().setup())?;
    tables::prepare(&mut connection, &table)?;
    let mut reader = log.reader(Isolation::ReadCommitted)?;
    for place in log.admin()?.partitions(topic)? {
        reader.add(&place, Offset(0))?;
    }
    let mut projection = Projection::<V> {
        sql: Statements::new(&table),
        table,
        shape: RowShape::learn()?,
        connection,
        source: "".into(),
    };
    let (mut batch, mut applied, mut first) = (RecordBatch::new(), 0, None);
    let mut moved = Instant::now();
    while applied < events {
        batch.clear();
        reader.poll(MAX_RECORDS, Duration::from_millis(100), &mut batch)?;
        if batch.is_empty() {
            if moved.elapsed() > STALL {
                return Err(Error::unavailable(format!("topic {topic} has {applied} of {events} events")));
            }
            continue;
        }
        projection.apply(codec, &batch, writing)?;
        moved = Instant::now();
        applied += u64::try_from(batch.len()).unwrap_or(u64::MAX);
        first.get_or_insert((moved, applied));
    }
    let (begun, before) = first.unwrap_or((moved, 0));
    // A count that fits a float exactly.
    #[allow(clippy::cast_precision_loss)]
    let counted = (applied - before) as f64;
    Ok(counted / moved.duration_since(begun).as_secs_f64().max(f64::EPSILON))
}

struct Projection<V: View> {
    table: ViewTable,
    sql: Statements,
    shape: RowShape<V::Row>,
    connection: Connection,
    source: Arc<str>,
}

impl<V: View> Projection<V> {
    fn apply<C: MessageCodec<V::Event>>(&mut self, codec: &C, batch: &RecordBatch, writing: Writing) -> Result<()> {
        let mut ends: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        let mut events = Vec::with_capacity(batch.len());
        for record in batch.iter() {
            ends.insert(record.place(), record.offset().0 + 1);
            events.push(self.event(codec, record)?);
        }
        self.connection.begin("begin", &[])?;
        match writing {
            Writing::Batched => self.fold(&events)?,
            Writing::RowByRow => events.chunks(1).try_for_each(|event| self.fold(event))?,
        }
        let topics: Vec<&str> = ends.keys().map(|place| place.topic.as_str()).collect();
        let partitions: Vec<i32> =
            ends.keys().map(|place| number(place.partition.0, "partition")).collect::<Result<_>>()?;
        let after: Vec<i64> = ends.values().copied().collect();
        let parameters: [Parameter<'_>; 4] = [&self.table.name(), &topics, &partitions, &after];
        self.connection.query("move", PROGRESS, &parameters)?;
        self.connection.commit("commit")
    }

    fn event<C: MessageCodec<V::Event>>(&mut self, codec: &C, record: RecordRef<'_>) -> Result<Recorded<V::Event>> {
        let header = EventHeader::read(record)?;
        if *self.source != *header.source {
            self.source = header.source.into();
        }
        let value = record.value().unwrap_or_default();
        let event = codec.decode_one(value).map_err(|e| Error::data(format!("{record:?}: {e:?}")))?;
        let aggregate = AggregateId::check(record.key().unwrap_or_default()).and_then(AggregateId::new)?;
        Ok(Recorded::new(record, &header, aggregate, self.source.clone(), (0, event)))
    }

    /// Reads the touched rows, folds and writes them.
    fn fold(&mut self, events: &[Recorded<V::Event>]) -> Result<()> {
        let keys: Vec<Vec<String>> = events.iter().map(V::keys).collect();
        let mut rows: BTreeMap<&str, Option<V::Row>> = keys.iter().flatten().map(|key| (key.as_str(), None)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let asked: Vec<Cow<'_, str>> = rows.keys().map(|key| stored(key)).collect();
        for row in self.connection.query("load", &self.sql.select_rows, &[&asked])? {
            let found = self.shape.row(values(&row, 1, self.table.columns())?)?;
            if let Some(row) = rows.get_mut(original(row.get(0)).as_str()) {
                *row = Some(found);
            }
        }
        for (event, keys) in events.iter().zip(&keys) {
            for key in keys {
                if let Some(row) = rows.get_mut(key.as_str()) {
                    *row = V::fold(key, row.take(), event);
                }
            }
        }
        let written = rows.iter().filter_map(|(key, row)| row.as_ref().map(|row| ((*key).to_owned(), row)));
        let written: Vec<(String, Vec<Value>)> =
            written.map(|(key, row)| Ok((key, self.shape.values(row)?))).collect::<Result<_>>()?;
        let upserts = Rows::new(&self.table, written.iter().collect(), &[])?;
        let parameters = upserts.parameters();
        self.connection.pipeline("write", None, &[Call { sql: &self.sql.upsert_rows, parameters: &parameters }])?;
        let gone: Vec<Cow<'_, str>> =
            rows.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| stored(key)).collect();
        if !gone.is_empty() {
            self.connection.query("delete", &self.sql.delete_rows, &[&gone])?;
        }
        Ok(())
    }
}
