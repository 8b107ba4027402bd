//! A registry that lives in the log itself: one compacted topic, for
//! deployments without a registry of their own.

use super::{Registry, memory};
use crate::rules::{self, Change, Model, Refusal};
use factum_core::{
    Error, Offset, Partition, RecordBatch, Result, Topic, TopicPartition,
    log::{Admin, Isolation, Log, Reader, TopicSpec, TransactionOptions, TxnError},
};
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

/// A registry in a compacted topic of the log, by the rules of [`rules`].
///
/// Any number of processes may have one open over the same log: who changes
/// something becomes the only writer, reads to the end, decides, writes in one
/// transaction, and reads its own records back.
pub struct LogRegistry {
    log: Arc<dyn Log>,
    place: TopicPartition,
    content: Mutex<Content>,
}

struct Content {
    model: Model,
    admin: Box<dyn Admin>,
    reader: Box<dyn Reader>,
    next: Offset,
    /// The record that contradicts those before it: nothing after it can be trusted.
    contradiction: Option<String>,
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
        let content = Content { model: Model::default(), admin, reader, next: Offset(0), contradiction: None };
        Ok(LogRegistry { log, place, content: Mutex::new(content) })
    }

    /// Asks the registry, after reading what others have changed since. Blocks.
    ///
    /// # Errors
    /// What the log says; `Data` when its records contradict each other.
    pub fn read<T>(&self, ask: impl FnOnce(&Model) -> T) -> Result<T> {
        self.with(|content| {
            self.refresh(content)?;
            Ok(ask(&content.model))
        })
    }

    /// The schema of an id. Ids never change their schema, so the log is read
    /// only for one that is not known yet.
    ///
    /// # Errors
    /// Those of [`LogRegistry::read`].
    pub fn schema(&self, id: u32) -> Result<Result<String, Refusal>> {
        self.with(|content| {
            if content.model.schema(id).is_err() {
                self.refresh(content)?;
            }
            Ok(content.model.schema(id).map(str::to_owned))
        })
    }

    /// Changes the registry: `decide` looks at it and says what changes. It is
    /// asked again when somebody else has written in between. Blocks.
    ///
    /// # Errors
    /// Those of [`LogRegistry::read`]; `Unavailable` when others do not let this one write.
    pub fn change<T>(
        &self,
        decide: impl Fn(&Model) -> Result<(T, Vec<Change>), Refusal>,
    ) -> Result<Result<T, Refusal>> {
        self.with(|content| {
            self.refresh(content)?;
            // What the rules refuse, and what is so already, needs no writer.
            match decide(&content.model) {
                Err(refusal) => return Ok(Err(refusal)),
                Ok((answer, changes)) if changes.is_empty() => return Ok(Ok(answer)),
                Ok(_) => {}
            }
            for attempt in 1..=ATTEMPTS {
                match self.try_change(content, &decide) {
                    Ok(settled) => return Ok(settled),
                    // Another writer came in between, or the outcome is not known: what was written shows.
                    // Waiting longer each time lets processes that start together get out of each other's way.
                    Err(error) => {
                        tracing::debug!(%error, attempt, "the registry could not be written");
                        std::thread::sleep(Duration::from_millis(20) * attempt);
                        self.refresh(content)?;
                    }
                }
            }
            Err(Error::unavailable(format!("nothing could be written to {}", self.place)))
        })
    }

    fn try_change<T>(
        &self,
        content: &mut Content,
        decide: impl Fn(&Model) -> Result<(T, Vec<Change>), Refusal>,
    ) -> Result<Result<T, Refusal>> {
        let options = TransactionOptions { transactional_id: TRANSACTIONAL_ID.into(), timeout: READ_TIMEOUT };
        let mut producer = self.log.transactional_producer(&options)?;
        producer.init().map_err(unsettled)?;
        // From here on whoever else begins to write fences this writer.
        self.refresh(content)?;
        let (answer, changes) = match decide(&content.model) {
            Ok((answer, changes)) if changes.is_empty() => return Ok(Ok(answer)),
            Ok(decided) => decided,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut batch = RecordBatch::new();
        for change in &changes {
            let (key, value) = rules::write(change);
            let mut record = batch.start(&self.place.topic, self.place.partition);
            record.key(key.as_bytes());
            if let Some(value) = value {
                record.value(value.as_bytes());
            }
            record.finish();
        }
        producer.begin().map_err(unsettled)?;
        producer.produce(&batch).map_err(unsettled)?;
        producer.deliver(&mut Vec::new()).map_err(unsettled)?;
        producer.commit().map_err(unsettled)?;
        self.refresh(content)?;
        Ok(Ok(answer))
    }

    /// Reads what others have changed since.
    fn refresh(&self, content: &mut Content) -> Result<()> {
        if let Some(contradiction) = &content.contradiction {
            return Err(Error::data(contradiction.clone()));
        }
        let end = content.admin.bounds(&self.place, Isolation::ReadUncommitted)?.end;
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
            if let Err(error) = content.take(&batch) {
                content.contradiction = Some(error.to_string());
                return Err(error);
            }
            content.next = content.next.max(content.reader.position(&self.place)?.unwrap_or(content.next));
        }
        Ok(())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Content) -> Result<T>) -> Result<T> {
        act(&mut self.content.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Content {
    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        for record in batch.iter() {
            if let Some(change) = rules::read(record)? {
                self.model.apply(change).map_err(|error| error.context(format_args!("{record:?}")))?;
            }
            self.next = self.next.max(record.offset().next());
        }
        Ok(())
    }
}

/// A step of the transaction failed: what came of it shows when the topic is read again.
fn unsettled(error: TxnError) -> Error {
    Error::unavailable(error.into_error().to_string())
}

impl Registry for LogRegistry {
    fn name(&self) -> String {
        format!("topic {SCHEMAS_TOPIC}")
    }

    fn schema_by_id(&self, id: u32) -> Result<String> {
        Ok(self.schema(id)??)
    }

    fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let registered = self.change(|model| model.register(subject, schema.into()))??;
        Ok(registered.id)
    }

    fn register_all(&self, schemas: &[(String, String)]) -> Result<Vec<u32>> {
        Ok(self.change(|model| model.register_all(schemas))??)
    }

    fn latest(&self, subject: &str) -> Result<Option<(u32, String)>> {
        self.read(|model| memory::latest(model, subject))
    }
}

impl fmt::Debug for LogRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogRegistry").field("place", &self.place).finish_non_exhaustive()
    }
}
