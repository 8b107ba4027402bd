//! The log on Apache Kafka, through `rdkafka` (librdkafka).
//!
//! What it is: [`factum_core::log::Log`] for any Kafka cluster. It sets what
//! the protocols need (isolation, offsets, assignment, idempotence) and leaves
//! the rest to the properties of [`KafkaConfig`].
//!
//! What it is not: it decides nothing. It keeps no offsets of its own, never
//! commits by itself, and never resets a position.
//!
//! Invariant: a partition delivers nothing before `start`, nothing after
//! `pause`, and nothing after it was revoked.
//!
//! ```no_run
//! use factum_core::log::Log;
//! use factum_log_kafka::{KafkaConfig, KafkaLog};
//!
//! # fn main() -> factum_core::Result<()> {
//! let log = KafkaLog::new(KafkaConfig::bootstrap("localhost:9092"))?;
//! let topic = log.admin()?.describe_topic(&"bank.account.events".into())?;
//! # let _ = topic;
//! # Ok(())
//! # }
//! ```

mod admin;
mod config;
mod context;
mod errors;
mod group_consumer;
mod places;
mod producer;
mod reader;
mod slots;
mod sys;
mod targets;
mod transactional;
mod watch;

pub use config::KafkaConfig;

use factum_core::{
    Error, Result, Topic,
    log::{
        Admin, GroupConsumer, GroupOptions, Isolation, Log, Producer, Reader, TransactionOptions, TransactionalProducer,
    },
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::Duration;

/// How long the list of topics may take.
const METADATA_TIMEOUT: Duration = Duration::from_secs(15);

/// A Kafka cluster.
#[derive(Debug)]
pub struct KafkaLog {
    config: KafkaConfig,
}

impl KafkaLog {
    /// Checks the properties; connects to nothing yet.
    ///
    /// # Errors
    /// `Invalid` for a property that librdkafka does not know or whose value
    /// it refuses, for one that belongs to the protocols, and for a secured
    /// connection when the Cargo feature `tls` is not built in.
    pub fn new(config: KafkaConfig) -> Result<Self> {
        config.check()?;
        Ok(KafkaLog { config })
    }

    /// Its properties.
    pub fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// The topics of the cluster, without Kafka's own.
    ///
    /// # Errors
    /// `Unavailable` when no broker answers.
    pub fn topics(&self) -> Result<Vec<Topic>> {
        let client: BaseConsumer = self.config.admin().create().map_err(|e| config::invalid_property(&e))?;
        let metadata = client.fetch_metadata(None, METADATA_TIMEOUT).map_err(|error| {
            Error::unavailable(format!("the topics of {} cannot be listed: {error}", self.config.servers()))
        })?;
        let names = metadata.topics().iter().map(|topic| topic.name());
        Ok(names.filter(|name| !name.starts_with("__")).map(Topic::from).collect())
    }
}

impl Log for KafkaLog {
    fn admin(&self) -> Result<Box<dyn Admin>> {
        Ok(Box::new(admin::KafkaAdmin::new(&self.config)?))
    }

    fn group_consumer(&self, options: &GroupOptions) -> Result<Box<dyn GroupConsumer>> {
        Ok(Box::new(group_consumer::KafkaGroupConsumer::new(&self.config, options)?))
    }

    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>> {
        Ok(Box::new(reader::KafkaReader::new(&self.config, isolation)?))
    }

    fn producer(&self) -> Result<Box<dyn Producer>> {
        Ok(Box::new(producer::KafkaProducer::new(&self.config)?))
    }

    fn transactional_producer(&self, options: &TransactionOptions) -> Result<Box<dyn TransactionalProducer>> {
        Ok(Box::new(transactional::KafkaTransactionalProducer::new(&self.config, options)?))
    }
}
pub mod yardstick;
