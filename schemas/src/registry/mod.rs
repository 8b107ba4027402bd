//! What gives schemas their ids: the interface of a Confluent-compatible registry.

mod access;
mod address;
mod call;
mod client;
mod http;
mod log;
mod memory;

pub use access::{Access, Credentials};
pub use client::{RegisteredVersion, RegistryClient};
pub use http::HttpRegistry;
pub use log::{LogRegistry, SCHEMAS_TOPIC};
pub use memory::MemoryRegistry;

use factum_core::Result;
use std::fmt;

/// A schema registry. The calls block; ids are global and never change their schema.
pub trait Registry: Send + Sync + fmt::Debug {
    /// What it is called in messages, and what its cached ids are kept under:
    /// an address without credentials.
    fn name(&self) -> String;

    /// The schema of an id, as JSON.
    ///
    /// # Errors
    /// `Unavailable` when the registry is away; `Data` when it has no such id.
    fn schema_by_id(&self, id: u32) -> Result<String>;

    /// Registers a schema under a subject; the id it has already if it is there.
    ///
    /// # Errors
    /// `Unavailable` when the registry is away; `Invalid` when it refuses the schema.
    fn register(&self, subject: &str, schema: &str) -> Result<u32>;

    /// Registers several schemas, each under its subject; their ids in the same
    /// order. At once where the registry can.
    ///
    /// # Errors
    /// Those of [`Registry::register`]; some may be registered then.
    fn register_all(&self, schemas: &[(String, String)]) -> Result<Vec<u32>> {
        schemas.iter().map(|(subject, schema)| self.register(subject, schema)).collect()
    }

    /// The latest schema of a subject with its id; none without such a subject.
    ///
    /// # Errors
    /// `Unavailable` when the registry is away.
    fn latest(&self, subject: &str) -> Result<Option<(u32, String)>>;
}

/// The subject of a record in a topic: `<topic>-<record>` (TopicRecordNameStrategy).
pub fn subject(topic: &str, record: &str) -> String {
    format!("{topic}-{record}")
}
