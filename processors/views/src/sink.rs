//! Where a view's rows are kept.

use crate::{Filter, HandWritten, Page, Resets};
use factum_core::{
    Error, Result, TopicId, TopicPartition,
    view::{Claim, Commit, CommitOutcome, LoadRequest, Loaded, Value, ViewTable},
};
use std::fmt;

/// A row as a query answers it.
#[derive(Debug, Clone, PartialEq)]
pub struct QueriedRow {
    /// The row's key.
    pub key: String,
    /// The names and values of the other columns.
    pub columns: Vec<(String, Value)>,
}

/// One view's tables in a database: its rows, its aggregates' watermarks and its progress.
///
/// Contract, checked by one suite over all implementations: opening creates
/// the tables, and refuses a table with other columns; a commit changes all or
/// nothing. Errors are `Unavailable` when the same call may succeed later.
/// After any other outcome of a commit than an error, and after
/// [`Sink::rollback`], no transaction is open.
pub trait Sink: Resets + Send + fmt::Debug {
    /// The identity of the database, made with it and kept in it.
    fn database_id(&self) -> &str;

    /// The view's table.
    fn table(&self) -> &ViewTable;

    /// Raises the epoch of a partition's progress row by one, durably, and
    /// answers with the row. A new one begins at offset 0 of this topic.
    fn claim(&mut self, place: &TopicPartition, topic_id: TopicId) -> Result<Claim>;

    /// Begins a transaction where the rows are to be locked, and loads.
    fn load(&mut self, request: &LoadRequest) -> Result<Loaded>;

    /// Writes everything and ends the transaction.
    ///
    /// # Errors
    /// Whether an error's commit is durable is not known.
    fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome>;

    /// Has SQL written by hand take part in every commit from now on.
    ///
    /// # Errors
    /// `Invalid`: the sink has no SQL.
    fn alongside(&mut self, _: Box<dyn HandWritten>) -> Result<()> {
        Err(Error::invalid(format!(
            "view {} has no SQL transaction here: keep it in SQLite or PostgreSQL",
            self.table().view()
        )))
    }

    /// Ends a transaction without a trace; none open is no error.
    fn rollback(&mut self) -> Result<()>;

    /// The rows that a filter lets through, by key, at most `limit`.
    fn query(&mut self, filter: &Filter, limit: usize) -> Result<Vec<QueriedRow>>;
}

impl QueriedRow {
    /// The rows of a page that has all columns, the key first.
    pub(crate) fn of(page: Page) -> Vec<Self> {
        let Page { columns, rows, .. } = page;
        let rows = rows.into_iter().map(|values| {
            let mut columns = columns.iter().cloned().zip(values);
            let key = columns.next().map_or(Value::Null, |(_, key)| key);
            QueriedRow { key: key.to_string(), columns: columns.collect() }
        });
        rows.collect()
    }
}
