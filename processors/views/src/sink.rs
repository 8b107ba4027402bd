//! Where a view's rows are kept.

use crate::{HandWritten, InHandMarks, ParkedRecords, Resets};
use factum_core::{
    Error, Result, TopicId, TopicPartition,
    view::{Claim, Commit, CommitOutcome, LoadRequest, Loaded, ViewTable},
};
use std::fmt;

/// One view's tables in a database: its rows, its aggregates' watermarks and its progress.
///
/// Contract, checked by one suite over all implementations: opening creates
/// the tables, and refuses a table with other columns; a commit changes all or
/// nothing. Errors are `Unavailable` when the same call may succeed later.
/// After any other outcome of a commit than an error, and after
/// [`Sink::rollback`], no transaction is open.
pub trait Sink: InHandMarks + Resets + ParkedRecords + Send + fmt::Debug {
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
}
