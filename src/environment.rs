//! What verbs run on: a log and the schemas.

use crate::host::TransformHost;
use factum_client::TypedClient;
use factum_core::{
    Aggregate, Error, ErrorKind, Result, Topic, Topics,
    client::ClientConfig,
    log::{Admin, CommitOffset, Log, TopicDescription},
    topics::{self, TopicProblem},
};
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog};
use factum_log_kafka::{KafkaConfig, KafkaLog};
use factum_log_memory::MemoryLog;
use factum_schemas::{AvroMessage, LogRegistry, MemoryRegistry, SchemaCache};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// A log and the schemas that its records are written with.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The registry's schemas, kept.
    pub schemas: Arc<SchemaCache>,
    /// Stands in front of every topic and group name: one cluster can hold
    /// several deployments, each with one writer.
    pub prefix: String,
}

/// After so long a topic that was made just now has a leader everywhere.
const TOPIC_READY: Duration = Duration::from_secs(30);
/// After so long a topic that every broker has is seen by whichever is asked.
const TOPIC_SEEN: Duration = Duration::from_secs(3);
/// Between two looks for a topic.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Environment {
    /// A log in memory with its registry: for examples and tests.
    pub fn in_memory() -> Self {
        Environment {
            log: Arc::new(MemoryLog::with_system_clock()),
            schemas: Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new()))),
            prefix: String::new(),
        }
    }

    /// A Kafka cluster, with the schemas in its topic `factum.schemas`.
    ///
    /// # Errors
    /// `Invalid` for settings that Kafka's client refuses, `Unavailable` when the cluster is away.
    pub fn on_kafka(config: KafkaConfig) -> Result<Self> {
        Self::with_registry_in_log(Arc::new(KafkaLog::new(config)?))
    }

    /// The embedded log of a folder, with the schemas in its topic `factum.schemas`. No other process may hold it.
    ///
    /// # Errors
    /// `Fenced` when another process holds it; `Invalid` for a folder that cannot be used, `Data` for one that is damaged.
    pub fn embedded(folder: &Path) -> Result<Self> {
        Self::with_registry_in_log(Arc::new(EmbeddedLog::open(folder, EmbeddedConfig::default())?))
    }

    fn with_registry_in_log(log: Arc<dyn Log>) -> Result<Self> {
        let registry = Arc::new(LogRegistry::open(log.clone(), None)?);
        Ok(Environment { log, schemas: Arc::new(SchemaCache::in_memory(registry)), prefix: String::new() })
    }

    /// A client for the commands of an aggregate.
    ///
    /// # Errors
    /// Those of [`TypedClient::connect`].
    pub fn client<A: Aggregate>(&self) -> Result<TypedClient<A>>
    where
        A::Command: AvroMessage,
    {
        TypedClient::connect(&*self.log, self.topics(A::TYPE), &self.schemas, ClientConfig::default())
    }

    /// The topics of an aggregate type.
    pub fn topics(&self, aggregate_type: &str) -> Topics {
        Topics::with_prefix(&self.prefix, aggregate_type)
    }

    /// The group of an aggregate type's handler.
    pub fn handler_group(&self, aggregate_type: &str) -> String {
        Topics::handler_group(&format!("{}{aggregate_type}", self.prefix))
    }

    /// Makes the topics of an aggregate type that do not exist yet.
    ///
    /// # Errors
    /// What the log says.
    pub fn create_topics(&self, aggregate_type: &str, partitions: u32, replication: Option<u16>) -> Result<()> {
        let mut admin = self.log.admin()?;
        let topics = self.topics(aggregate_type);
        let specs = topics::topic_specs(&topics, partitions, replication);
        admin.create_topics(&specs)?;
        for topic in topics.all() {
            // One that was there before may have another number; the check tells.
            let partitions = admin.describe_topic(topic)?.map_or(partitions, |found| found.partitions);
            admin.wait_for_topic(topic, partitions, TOPIC_READY)?;
        }
        Ok(())
    }

    /// Makes the topic that a transform writes, unless it exists, with as many partitions as its input.
    ///
    /// # Errors
    /// `Invalid` when the input does not exist; what the log says.
    pub fn create_output(&self, transform: &dyn TransformHost, replication: Option<u16>) -> Result<()> {
        let mut admin = self.log.admin()?;
        let (output, input) = (transform.output(&self.prefix), self.topics(transform.input()));
        let events = admin.describe_topic(&input.events)?.ok_or_else(|| {
            Error::invalid(format!(
                "topic {} does not exist; create it with `factum topics create {}`",
                input.events, input.arguments
            ))
        })?;
        admin.create_topics(&[topics::output_spec(&output, events.partitions, replication)])?;
        // One that was there before may have another number; the check tells.
        let partitions = admin.describe_topic(&output)?.map_or(events.partitions, |found| found.partitions);
        admin.wait_for_topic(&output, partitions, TOPIC_READY)
    }

    /// Checks the topics of a transform as it does at its start; returns the number of partitions.
    ///
    /// # Errors
    /// `Invalid` with every problem and the command that mends it.
    pub fn check_output(&self, transform: &dyn TransformHost) -> Result<u32> {
        self.check_topics(transform.input())?;
        let mut admin = self.log.admin()?;
        let (name, output) = (transform.name(), transform.output(&self.prefix));
        let create = match self.prefix.as_str() {
            "" => format!("factum topics create {name}"),
            prefix => format!("factum topics create {name} --prefix {prefix}"),
        };
        let found = self.find(&mut *admin, &[&output])?.pop().flatten();
        let events = admin.describe_topic(&self.topics(transform.input()).events)?;
        let events = events.ok_or_else(|| Error::unavailable("the events topic is not known to this broker yet"))?;
        topics::check_output(&output, found.as_ref(), &events, &create)
            .map_err(|problems| refused(&format!("the output of {name}"), &problems))
    }

    /// Checks that no handler of an aggregate type runs.
    ///
    /// # Errors
    /// `Conflict` with what to do while one does.
    pub(crate) fn check_no_handler(&self, aggregate_type: &str) -> Result<()> {
        let (mut admin, group) = (self.log.admin()?, self.handler_group(aggregate_type));
        let places = admin.partitions(&self.topics(aggregate_type).commands)?;
        let same = admin.group_offsets(&group, &places)?.into_iter().map(|(place, committed)| CommitOffset {
            place,
            offset: committed.offset,
            metadata: committed.metadata,
        });
        // Setting them to what they are is refused while the group has members.
        admin.reset_group_offsets(&group, &same.collect::<Vec<_>>()).map_err(|error| match error.kind() {
            ErrorKind::Conflict => Error::new(
                ErrorKind::Conflict,
                format!(
                    "a handler of {aggregate_type} runs (group {group} has members): end every process that runs it \
                     (`up`, `run handler`), wait until its session is over (10 s after a kill), and run this again; \
                     nothing was changed"
                ),
            ),
            _ => error,
        })
    }

    /// Checks the topics of an aggregate type as a processor does at its start;
    /// returns the number of partitions.
    ///
    /// # Errors
    /// `Invalid` with every problem and the command that mends it.
    pub fn check_topics(&self, aggregate_type: &str) -> Result<u32> {
        let mut admin = self.log.admin()?;
        let topics = self.topics(aggregate_type);
        let found = self.find(&mut *admin, &topics.all())?;
        topics::check_topics(&topics, &found)
            .map_err(|problems| refused(&format!("the topics of {aggregate_type}"), &problems))
    }

    /// Describes topics that should be there.
    fn find(&self, admin: &mut dyn Admin, topics: &[&Topic]) -> Result<Vec<Option<TopicDescription>>> {
        let begun = Instant::now();
        loop {
            let found = topics.iter().map(|topic| admin.describe_topic(topic)).collect::<Result<Vec<_>>>()?;
            // Brokers learn of new topics one after another, and any of them may be the one that is asked.
            if found.iter().all(Option::is_some) || begun.elapsed() > TOPIC_SEEN {
                return Ok(found);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

fn refused(what: &str, problems: &[TopicProblem]) -> Error {
    let lines: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    Error::invalid(format!("{what} cannot be used:{}", lines.concat()))
}
