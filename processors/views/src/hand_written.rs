//! SQL written by hand, in the transaction of a view.

use factum_core::{
    Result,
    view::{Commit, Value},
};
use std::fmt;

/// What a view's author writes into other tables of the view's database,
/// besides its rows: a total for a report, a queue for another program.
///
/// It is called in each transaction of the view, when rows, watermarks and
/// progress are written and nothing is committed. What it writes is committed
/// with them or rolled back with them, so it is applied exactly once, as the
/// rows are. An error rolls everything back: one of the kind `Unavailable` is
/// tried again with the same events, after another the partitions stand still
/// and tell it. The same transaction may be called for again after it was rolled
/// back, so it is to do nothing but SQL.
///
/// Its tables are its own: it makes them, and a rebuild or a reset of the view
/// neither empties nor fills them. It must not end the transaction.
///
/// ```
/// use factum_core::{Result, view::{Commit, Value}};
/// use factum_views::{HandWritten, SqlTransaction};
///
/// /// Keeps the keys of rows that changed, for a program that mirrors them.
/// #[derive(Debug)]
/// struct Changed;
///
/// impl HandWritten for Changed {
///     fn write(&mut self, sql: &mut dyn SqlTransaction, commit: &Commit) -> Result<()> {
///         for (key, _) in &commit.upserts {
///             let key = [Value::Text(key.clone())];
///             sql.execute("INSERT INTO changed (key) VALUES ($1) ON CONFLICT DO NOTHING", &key)?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait HandWritten: Send + fmt::Debug {
    /// Writes what belongs to this transaction: its new rows, the keys of
    /// deleted ones, and the positions that it moves to.
    ///
    /// # Errors
    /// The kind says whether it is tried again.
    fn write(&mut self, sql: &mut dyn SqlTransaction, commit: &Commit) -> Result<()>;
}

/// An open transaction. Parameters are `$1`, `$2` … in both databases, and are
/// always bound: no value becomes a part of a statement's text.
pub trait SqlTransaction {
    /// Runs one statement; how many rows it changed.
    ///
    /// # Errors
    /// What the database says. The transaction is then lost, whatever is done about the error.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64>;

    /// Runs one statement; the rows that it answers. Integers, floats, booleans, text and bytes
    /// can be read; cast others in the statement.
    ///
    /// # Errors
    /// As of [`SqlTransaction::execute`]; `Invalid` for a column of another type.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>>;
}
