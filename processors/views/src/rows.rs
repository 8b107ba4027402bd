//! Reading a database's views, beside whoever writes them.

use crate::{Page, Query};
use factum_core::{Error, Offset, Result, TopicId, TopicPartition, view::ViewTable};
use std::fmt;

/// The views of a database, for reading from any thread and any process.
///
/// Contract, checked by one suite over all implementations: it makes nothing,
/// answers only what was committed, and means by a query what
/// [`crate::evaluate`] means by it. Errors are `Unavailable` when the same call
/// may succeed later, `Invalid` when the view was never built.
pub trait Rows: Send + Sync + fmt::Debug {
    /// A page of a view's rows, all of one moment.
    fn page(&self, query: &Query) -> Result<Page>;

    /// How far a view is on each partition that an instance of it has ever had.
    fn progress(&self, table: &ViewTable) -> Result<Vec<Progress>>;
}

/// How far a view is on one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The partition.
    pub place: TopicPartition,
    /// The identity of its topic.
    pub topic_id: TopicId,
    /// The next record to apply.
    pub position: Offset,
}

/// What is said of a view without a table.
pub(crate) fn never_built(table: &ViewTable, database: &str) -> Error {
    Error::invalid(format!(
        "view {view} was never built in {database}: `run view {view}` builds it there, and --views names another place",
        view = table.view()
    ))
}
