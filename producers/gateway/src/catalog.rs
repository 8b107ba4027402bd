//! What a gateway serves: names, schemas and columns.

use factum_core::view::Column;
use factum_schemas::Schema;

/// The aggregate types and views of a program.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The program's name.
    pub title: String,
    /// The program's version.
    pub version: String,
    /// Its aggregate types.
    pub aggregates: Vec<AggregateEntry>,
    /// Its views.
    pub views: Vec<ViewEntry>,
    /// What is served beside, by GET, and described.
    pub others: Vec<OtherEntry>,
}

/// A path that tells of the process.
#[derive(Debug, Clone, Copy)]
pub struct OtherEntry {
    /// The path.
    pub path: &'static str,
    /// What it tells.
    pub summary: &'static str,
    /// In which form.
    pub media_type: &'static str,
}

/// An aggregate type.
#[derive(Debug, Clone)]
pub struct AggregateEntry {
    /// Its name, for example `bank.account`.
    pub name: String,
    /// The newest schemas of its commands' records.
    pub commands: Vec<Schema>,
    /// The newest schemas of its events' records.
    pub events: Vec<Schema>,
    /// The schema of its state.
    pub state: Schema,
}

/// A view.
#[derive(Debug, Clone)]
pub struct ViewEntry {
    /// Its name.
    pub name: String,
    /// The aggregate types that it reads.
    pub inputs: Vec<String>,
    /// The columns of its rows without the key.
    pub columns: Vec<Column>,
}

impl Catalog {
    /// The aggregate type of that name.
    pub fn aggregate(&self, name: &str) -> Option<&AggregateEntry> {
        self.aggregates.iter().find(|entry| entry.name == name)
    }

    /// Why an aggregate type has no such command; none where it has.
    pub(crate) fn lacks_command(&self, aggregate_type: &str, command: &str) -> Option<String> {
        let known: Vec<String> = self.aggregate(aggregate_type)?.commands.iter().filter_map(full_name).collect();
        let is_it = |name: &&String| *name == command || short_name(name) == command;
        match known.iter().find(is_it) {
            Some(_) => None,
            None => Some(format!("there is no record {command:?}; there are {}", known.join(", "))),
        }
    }
}

/// A named schema's full name.
pub(crate) fn full_name(schema: &Schema) -> Option<String> {
    schema.name().map(|name| name.fullname(None))
}

/// The last part of a full name.
pub(crate) fn short_name(full: &str) -> &str {
    full.rsplit('.').next().unwrap_or(full)
}
