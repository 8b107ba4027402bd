//! A row that was checked: one command to publish.

use crate::{AggregateId, CommandId, TimestampMs, Version};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A row that was checked: one command to publish.
///
/// Rows share what is the same in all of them, so that a large file fits memory.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportRow {
    pub(super) line: u64,
    pub(super) aggregate: AggregateId,
    pub(super) command_id: CommandId,
    pub(super) occurred: Option<TimestampMs>,
    pub(super) expected_version: Option<Version>,
    pub(super) shape: Arc<Shape>,
    pub(super) values: Box<[Value]>,
}

/// What all rows of a file share.
#[derive(Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) record: String,
    pub(super) names: Vec<String>,
}

impl ImportRow {
    /// The line of the file that it starts on; the header's is 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The aggregate that the command is for.
    pub fn aggregate(&self) -> &AggregateId {
        &self.aggregate
    }

    /// The command's id: the same in every import of the row.
    pub fn command_id(&self) -> CommandId {
        self.command_id
    }

    /// The command's record, as the mapping names it: short or in full.
    pub fn record(&self) -> &str {
        &self.shape.record
    }

    /// The command's fields as JSON.
    pub fn fields(&self) -> Map<String, Value> {
        self.shape.names.iter().cloned().zip(self.values.iter().cloned()).collect()
    }

    /// When it occurred.
    pub fn occurred(&self) -> Option<TimestampMs> {
        self.occurred
    }

    /// The version that the aggregate must have before the command.
    pub fn expected_version(&self) -> Option<Version> {
        self.expected_version
    }
}
