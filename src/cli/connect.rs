//! Which log and which registry.

use crate::environment::Environment;
use clap::Args;
use factum_core::{Error, Result, log::Log};
use factum_log_kafka::{KafkaConfig, KafkaLog};
use factum_log_memory::MemoryLog;
use factum_schemas::{HttpRegistry, LogRegistry, MemoryRegistry, Registry, SchemaCache};
use std::{path::PathBuf, sync::Arc};

#[derive(Debug, Clone, Args)]
pub(super) struct LogArgs {
    /// The Kafka cluster, by one or more of its brokers.
    #[arg(long, env = "FACTUM_KAFKA", value_name = "HOST:PORT,…", help_heading = "Log")]
    kafka: Option<String>,
    /// A file with librdkafka properties, one `name=value` a line: TLS, SASL, tuning.
    #[arg(long, env = "FACTUM_KAFKA_CONFIG", value_name = "FILE", help_heading = "Log")]
    kafka_config: Option<PathBuf>,
    /// A Confluent-compatible schema registry. Without one, schemas are kept in the topic factum.schemas.
    #[arg(long, env = "FACTUM_REGISTRY", value_name = "URL", help_heading = "Log")]
    registry: Option<String>,
    /// A folder that keeps schemas, so that a restart does not need the registry.
    #[arg(long, env = "FACTUM_SCHEMA_CACHE", value_name = "FOLDER", help_heading = "Log")]
    schema_cache: Option<PathBuf>,
    /// Stands in front of every topic and group name, so that one cluster can hold several deployments.
    #[arg(long, env = "FACTUM_PREFIX", default_value = "", value_name = "TEXT", help_heading = "Log")]
    prefix: String,
    /// Replicas of topics that are made; without it the broker's default.
    #[arg(long, env = "FACTUM_REPLICATION", value_name = "N", help_heading = "Log")]
    replication: Option<u16>,
}

impl LogArgs {
    /// Whether no cluster was named.
    pub(super) fn is_in_memory(&self) -> bool {
        self.kafka.is_none() && self.kafka_config.is_none()
    }

    /// The number of replicas asked for.
    pub(super) fn replication(&self) -> Option<u16> {
        self.replication
    }

    /// Connects to the log and the registry.
    pub(super) fn connect(&self) -> Result<Environment> {
        let log = self.log()?;
        let registry: Arc<dyn Registry> = match &self.registry {
            Some(urls) => Arc::new(HttpRegistry::new(&urls.split(',').collect::<Vec<_>>())?),
            None if self.is_in_memory() => Arc::new(MemoryRegistry::new()),
            None => Arc::new(LogRegistry::open(log.clone(), self.replication)?),
        };
        let schemas = match &self.schema_cache {
            Some(folder) => SchemaCache::on_disk(registry, folder)?,
            None => SchemaCache::in_memory(registry),
        };
        Ok(Environment { log, schemas: Arc::new(schemas), prefix: self.prefix.clone() })
    }

    /// The settings of the Kafka client.
    pub(super) fn kafka_settings(&self) -> Result<KafkaConfig> {
        let mut config = match &self.kafka_config {
            Some(file) => KafkaConfig::from_properties_file(file)?,
            None => KafkaConfig::default(),
        };
        if let Some(brokers) = &self.kafka {
            config = config.merge(KafkaConfig::bootstrap(brokers));
        }
        Ok(config)
    }

    fn log(&self) -> Result<Arc<dyn Log>> {
        if self.is_in_memory() {
            if self.registry.is_some() {
                return Err(Error::invalid("--registry goes with --kafka: the log in memory has its registry with it"));
            }
            return Ok(Arc::new(MemoryLog::with_system_clock()));
        }
        Ok(Arc::new(KafkaLog::new(self.kafka_settings()?)?))
    }
}
