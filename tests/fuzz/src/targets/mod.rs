//! The readers.

mod avro;
mod gateway;
mod headers;
mod http;
mod json;
mod queries;
mod records;
mod registry;
mod schemas;
mod segments;
mod snapshots;
mod tokens;
mod zoo;

use crate::Target;

/// All of them.
pub fn all() -> Vec<Box<dyn Target>> {
    vec![
        Box::new(avro::Avro::new()),
        Box::new(schemas::Schemas),
        Box::new(json::Json::new()),
        Box::new(headers::CommandHeader),
        Box::new(headers::EventHeaders),
        Box::new(headers::Answers::new()),
        Box::new(snapshots::Snapshots::new()),
        Box::new(tokens::Tokens),
        Box::new(queries::Queries::new()),
        Box::new(registry::RegistryRecords),
        Box::new(registry::RegistryRequests),
        Box::new(gateway::Gateway::new()),
        Box::new(segments::Segments),
    ]
}

/// The one of that name.
pub fn named(name: &str) -> Option<Box<dyn Target>> {
    all().into_iter().find(|target| target.name() == name)
}
