//! A registry that lives in the log itself: one compacted topic, for
//! deployments without a registry of their own.

use super::{MemoryRegistry, Registry};
use factum_core::{
    Error, ErrorKind, Offset, Partition, RecordBatch, RecordRef, Result, Topic, TopicPartition,
    log::{Isolation, Log, Reader, TopicSpec, TransactionOptions, TxnError},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The topic of the schemas. Its records are laid out like those of Confluent's `_schemas`.
pub const SCHEMAS_TOPIC: &str = "factum.schemas";

/// All writers share it, so that beginning to write fences the one before: ids have one writer at a time.
const TRANSACTIONAL_ID: &str = "factum.schemas.registry";
const ATTEMPTS: u32 = 30;
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A registry in a compacted topic of the log. Ids follow from the order of
/// its records, and every subject is BACKWARD_TRANSITIVE.
pub struct LogRegistry {
    log: Arc<dyn Log>,
    place: TopicPartition,
    content: Mutex<Content>,
}

struct Content {
    known: MemoryRegistry,
    reader: Box<dyn Reader>,
    next: Offset,
}

#[derive(Debug, Serialize, Deserialize)]
struct Key {
    keytype: String,
    subject: String,
    version: u32,
    magic: u8,
}

#[derive(Debug, Serialize, Deserialize)]
struct Value {
    subject: String,
    version: u32,
    id: u32,
    schema: String,
    deleted: bool,
}

impl LogRegistry {
    /// Opens the registry of a log; makes its topic where there is none.
    ///
    /// # Errors
    /// What the log says.
    pub fn open(log: Arc<dyn Log>, replication: Option<u16>) -> Result<Self> {
        let topic = Topic::from(SCHEMAS_TOPIC);
        let settings = [("cleanup.policy".to_owned(), "compact".to_owned())].into();
        let mut admin = log.admin()?;
        admin.create_topics(&[TopicSpec { topic: topic.clone(), partitions: 1, replication, settings }])?;
        admin.wait_for_topic(&topic, 1, READ_TIMEOUT)?;
        let place = topic.partition(Partition(0));
        let mut reader = log.reader(Isolation::ReadCommitted)?;
        reader.add(&place, Offset(0))?;
        let content = Mutex::new(Content { known: MemoryRegistry::new(), reader, next: Offset(0) });
        Ok(LogRegistry { log, place, content })
    }

    /// Reads what others have registered since.
    fn refresh(&self, content: &mut Content) -> Result<()> {
        let end = self.log.admin()?.bounds(&self.place, Isolation::ReadUncommitted)?.end;
        let deadline = Instant::now() + READ_TIMEOUT;
        let mut batch = RecordBatch::new();
        while content.next < end {
            if Instant::now() > deadline {
                return Err(Error::unavailable(format!(
                    "reading {} stands still at offset {}",
                    self.place, content.next
                )));
            }
            batch.clear();
            content.reader.poll(1_000, Duration::from_millis(100), &mut batch)?;
            for record in batch.iter() {
                take(&content.known, record)?;
                content.next = content.next.max(record.offset().next());
            }
            content.next = content.next.max(content.reader.position(&self.place)?.unwrap_or(content.next));
        }
        Ok(())
    }

    fn append(&self, content: &mut Content, subject: &str, schema: &str) -> Result<u32> {
        for attempt in 1..=ATTEMPTS {
            match self.try_append(content, subject, schema) {
                Ok(id) => return Ok(id),
                Err(error) if error.kind() == ErrorKind::Invalid => return Err(error),
                // Another writer came in between, or the outcome is not known: what it wrote shows.
                // Waiting longer each time lets processes that start together get out of each other's way.
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(20) * attempt);
                    self.refresh(content)?;
                }
            }
        }
        Err(Error::unavailable(format!("subject {subject}: the schema could not be written to {}", self.place)))
    }

    fn try_append(&self, content: &mut Content, subject: &str, schema: &str) -> Result<u32> {
        let options = TransactionOptions { transactional_id: TRANSACTIONAL_ID.into(), timeout: READ_TIMEOUT };
        let mut producer = self.log.transactional_producer(&options)?;
        producer.init().map_err(unsettled)?;
        // From here on whoever else begins to write fences this writer.
        self.refresh(content)?;
        let trial = content.known.clone();
        let id = trial.register(subject, schema)?;
        let version = trial.versions(subject);
        if content.known.versions(subject) == version {
            return Ok(id);
        }
        let mut batch = RecordBatch::new();
        let mut record = batch.start(&self.place.topic, self.place.partition);
        let key = Key { keytype: "SCHEMA".into(), subject: subject.into(), version, magic: 1 };
        let value = Value { subject: subject.into(), version, id, schema: schema.into(), deleted: false };
        record.key(json(&key).as_bytes());
        record.value(json(&value).as_bytes());
        record.finish();
        producer.begin().map_err(unsettled)?;
        producer.produce(&batch).map_err(unsettled)?;
        producer.deliver(&mut Vec::new()).map_err(unsettled)?;
        producer.commit().map_err(unsettled)?;
        self.refresh(content)?;
        Ok(id)
    }

    fn with<T>(&self, read: impl FnOnce(&mut Content) -> Result<T>) -> Result<T> {
        read(&mut self.content.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A step of the transaction failed: what came of it shows when the topic is read again.
fn unsettled(error: TxnError) -> Error {
    Error::unavailable(error.into_error().to_string())
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers and text are JSON")
}

fn take(known: &MemoryRegistry, record: RecordRef<'_>) -> Result<()> {
    let Some(bytes) = record.value() else { return Ok(()) };
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Error::data(format!("{record:?} is not a registered schema: {error}")))?;
    let id = known.register(&value.subject, &value.schema)?;
    if id != value.id {
        return Err(Error::data(format!("{record:?} gives id {} to a schema whose id is {id}", value.id)));
    }
    Ok(())
}

impl Registry for LogRegistry {
    fn name(&self) -> String {
        format!("topic {SCHEMAS_TOPIC}")
    }

    fn schema_by_id(&self, id: u32) -> Result<String> {
        self.with(|content| {
            if let Ok(schema) = content.known.schema_by_id(id) {
                return Ok(schema);
            }
            self.refresh(content)?;
            content.known.schema_by_id(id)
        })
    }

    fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        self.with(|content| {
            self.refresh(content)?;
            // What the rules refuse is refused before anything is written.
            let trial = content.known.clone();
            let id = trial.register(subject, schema)?;
            if trial.versions(subject) == content.known.versions(subject) {
                return Ok(id);
            }
            self.append(content, subject, schema)
        })
    }

    fn latest(&self, subject: &str) -> Result<Option<(u32, String)>> {
        self.with(|content| {
            self.refresh(content)?;
            content.known.latest(subject)
        })
    }
}

impl fmt::Debug for LogRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogRegistry").field("place", &self.place).finish_non_exhaustive()
    }
}
