//! Live updates, read from the log.

use super::{LocalService, ViewReader};
use crate::{environment::Environment, host::TouchedKeys};
use factum_core::{
    AggregateId, Error, Offset, Partition, RecordBatch, Result, Topic, TopicId, TopicPartition,
    log::{Admin, Isolation, Reader},
    partition_of,
    wire::Token,
};
use factum_gateway::{Feed, Patience, QueryRequest, Update};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// The most records of one step; what they give waits for the client.
const MAX_RECORDS: usize = 500;
/// The most rows of one query.
const MAX_KEYS: usize = 100;
/// How long a view may take to come to what was read.
const VIEW_WAIT: Duration = Duration::from_secs(30);

/// Where a reader is on some partitions.
struct Tail {
    reader: Box<dyn Reader>,
    places: BTreeMap<TopicPartition, Place>,
    batch: RecordBatch,
}

struct Place {
    topic_id: TopicId,
    next: Offset,
}

impl Tail {
    /// At the given positions, or at the end as it is now.
    fn open(
        environment: &Environment,
        topics: &BTreeMap<Topic, Option<Partition>>,
        from: Option<&str>,
    ) -> Result<Self> {
        let mut positions = parse(from.unwrap_or_default())?;
        let mut admin = environment.log.admin()?;
        let mut reader = environment.log.reader(Isolation::ReadCommitted)?;
        let mut places = BTreeMap::new();
        for (topic, only) in topics {
            let missing =
                || Error::invalid(format!("topic {topic} does not exist; create it with `factum topics create`"));
            let found = admin.describe_topic(topic)?.ok_or_else(missing)?;
            let partitions = match only {
                Some(partition) => vec![*partition],
                None => (0..found.partitions).map(Partition).collect(),
            };
            for place in partitions.into_iter().map(|partition| topic.partition(partition)) {
                let next = start(&mut *admin, &place, found.id, positions.remove(&place))?;
                reader.add(&place, next)?;
                places.insert(place, Place { topic_id: found.id, next });
            }
        }
        match positions.keys().next() {
            Some(place) => Err(Error::invalid(format!(
                "the position names {place}, which is not followed here; there are {}",
                places.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ))),
            None => Ok(Tail { reader, places, batch: RecordBatch::new() }),
        }
    }

    /// Reads the next records into the batch.
    fn poll(&mut self, wait: Duration) -> Result<()> {
        self.batch.clear();
        self.reader.poll(MAX_RECORDS, wait, &mut self.batch)
    }

    /// Goes behind everything that was read.
    fn advance(&mut self) -> Result<()> {
        for (place, at) in &mut self.places {
            at.next = self.reader.position(place)?.unwrap_or(at.next).max(at.next);
        }
        Ok(())
    }

    /// The positions as text: of each partition the last offset that is behind it.
    fn position(&self) -> String {
        let one = |(place, at): (&TopicPartition, &Place)| format!("{place}@{}#{}", at.next.0 - 1, at.topic_id);
        self.places.iter().map(one).collect::<Vec<_>>().join(",")
    }
}

/// The positions of a text: each is a token, or `@-1` before the first record.
fn parse(text: &str) -> Result<BTreeMap<TopicPartition, (Offset, Option<TopicId>)>> {
    let mut positions = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let begin = part.contains("@-1");
        let token: Token = part.replacen("@-1", "@0", 1).parse()?;
        let next = if begin { Offset(0) } else { Offset(token.offset.0.saturating_add(1)) };
        positions.insert(token.place, (next, token.topic_id));
    }
    Ok(positions)
}

/// The first record to read of a partition.
fn start(
    admin: &mut dyn Admin,
    place: &TopicPartition,
    topic_id: TopicId,
    from: Option<(Offset, Option<TopicId>)>,
) -> Result<Offset> {
    let bounds = admin.bounds(place, Isolation::ReadCommitted)?;
    let Some((next, id)) = from else { return Ok(bounds.end) };
    if let Some(id) = id.filter(|id| *id != topic_id) {
        return Err(Error::invalid(format!(
            "the position is of another topic {}: its id is {id}, the topic's is {topic_id}; begin without a position",
            place.topic
        )));
    }
    // What was told just now may be beyond the end that this broker knows.
    let end = admin.bounds(place, Isolation::ReadUncommitted)?.end;
    if next < bounds.start || next > end {
        return Err(Error::invalid(format!(
            "{place} has no record before {next}: it has offsets from {} to {end}; begin without a position",
            bounds.start
        )));
    }
    Ok(next)
}

/// The events of one aggregate.
pub(super) struct AggregateFeed {
    service: Arc<LocalService>,
    tail: Tail,
    key: Vec<u8>,
}

impl AggregateFeed {
    pub(super) fn open(
        service: Arc<LocalService>,
        environment: &Environment,
        aggregate_type: &str,
        id: &AggregateId,
        from: Option<&str>,
    ) -> Result<Self> {
        let events = environment.topics(aggregate_type).events;
        let partitions = u32::try_from(environment.log.admin()?.partitions(&events)?.len()).unwrap_or(u32::MAX);
        let key = id.as_str().as_bytes().to_vec();
        let only = partition_of(&key, partitions);
        let tail = Tail::open(environment, &BTreeMap::from([(events, Some(only))]), from)?;
        Ok(AggregateFeed { service, tail, key })
    }
}

impl Feed for AggregateFeed {
    fn next(&mut self, wait: Duration) -> Result<Vec<Update>> {
        self.tail.poll(wait)?;
        let mut updates = Vec::new();
        for record in self.tail.batch.iter().filter(|record| record.key() == Some(&self.key)) {
            let found = self.service.event(record)?;
            let data = serde_json::to_value(found)
                .map_err(|error| Error::data(format!("{record:?} cannot be shown: {error}")))?;
            let position = self
                .tail
                .places
                .iter()
                .next()
                .map(|(place, at)| format!("{place}@{}#{}", record.offset(), at.topic_id));
            updates.push(Update { name: "event", data, position });
        }
        self.tail.advance()?;
        Ok(updates)
    }

    fn position(&self) -> String {
        self.tail.position()
    }
}

/// The rows of a view that events touch.
pub(super) struct ViewFeed {
    views: Arc<ViewReader>,
    view: String,
    tail: Tail,
    keys: TouchedKeys,
}

impl ViewFeed {
    pub(super) fn open(
        views: Arc<ViewReader>,
        environment: &Environment,
        view: &str,
        inputs: &[&str],
        keys: TouchedKeys,
        from: Option<&str>,
    ) -> Result<Self> {
        let topics = inputs.iter().map(|input| (environment.topics(input).events, None)).collect();
        Ok(ViewFeed { views, view: view.to_owned(), tail: Tail::open(environment, &topics, from)?, keys })
    }

    /// The rows of these keys, once the view has passed these positions; null where there is none.
    fn rows(&self, keys: &[String], after: &[Token]) -> Result<Vec<Value>> {
        let list: Vec<String> = keys.iter().map(|key| format!("'{}'", key.replace('\'', "''"))).collect();
        let found = self.views.query(&QueryRequest {
            view: self.view.clone(),
            parameters: vec![
                ("where".to_owned(), format!("key in ({})", list.join(", "))),
                ("limit".to_owned(), keys.len().to_string()),
            ],
            after: after.to_vec(),
            patience: Patience::Wait(VIEW_WAIT),
        })?;
        let row = |values: Vec<Value>| -> Map<String, Value> { found.columns.iter().cloned().zip(values).collect() };
        let rows: Vec<Map<String, Value>> = found.rows.into_iter().map(row).collect();
        let one = |key: &String| {
            let row = rows.iter().find(|row| row.get("key").and_then(Value::as_str) == Some(key));
            json!({ "key": key, "row": row })
        };
        Ok(keys.iter().map(one).collect())
    }
}

impl Feed for ViewFeed {
    fn next(&mut self, wait: Duration) -> Result<Vec<Update>> {
        self.tail.poll(wait)?;
        let (mut keys, mut after) = (BTreeSet::new(), BTreeMap::new());
        for record in self.tail.batch.iter() {
            keys.extend((self.keys)(record)?);
            let place = record.topic().partition(record.partition());
            after.insert(place.clone(), Token { place, offset: record.offset(), topic_id: None });
        }
        let keys: Vec<String> = keys.into_iter().collect();
        let after: Vec<Token> = after.into_values().collect();
        let mut updates = Vec::new();
        for keys in keys.chunks(MAX_KEYS) {
            let rows = self.rows(keys, &after)?;
            updates.extend(rows.into_iter().map(|data| Update { name: "change", data, position: None }));
        }
        self.tail.advance()?;
        // Only behind the last row have all of these records been told.
        if let Some(last) = updates.last_mut() {
            last.position = Some(self.tail.position());
        }
        Ok(updates)
    }

    fn position(&self) -> String {
        self.tail.position()
    }
}
