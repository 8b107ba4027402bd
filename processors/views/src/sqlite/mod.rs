//! A sink in SQLite.

mod open;
mod rebuild;
mod resets;
mod rows;

pub use rows::SqliteRows;

use crate::{Filter, QueriedRow, Query, Sink};
use factum_core::{
    Error, ErrorKind, Offset, Result, TopicId, TopicPartition, Version,
    view::{
        Claim, ColumnType, Commit, CommitOutcome, Compare, KEY_COLUMN, LastEvent, LoadRequest, Loaded, RowLocking,
        Value, ViewTable,
    },
};
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Row, ToSql, params, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use std::{fs::File, path::Path, time::Duration};

/// How long a call waits for another writer before it says `Unavailable`.
const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A view's tables in a SQLite database:
///
/// | table | holds |
/// |---|---|
/// | `<name>_v<version>` | `key` and the row's columns |
/// | `<name>_v<version>_versions` | version and offset of the last event of each aggregate that was applied |
/// | `factum_progress` | epoch and position of each partition, of all views |
/// | `factum_skipped` | what operators had views leave out |
/// | `factum_folds` | the version of the fold that made each view's rows |
/// | `factum_meta` | the database's id |
///
/// Rows are locked by the database's one write lock: who loads them for update
/// holds it until the commit.
#[derive(Debug)]
pub struct SqliteSink {
    connection: Connection,
    database_id: String,
    table: ViewTable,
    sql: Statements,
    /// The file, for messages.
    name: String,
    /// Held while this sink builds tables of the view.
    build_lock: Option<File>,
    /// Whether a transaction of `freeze` is open, in which commits are savepoints.
    frozen: bool,
}

/// The statements that name the view's tables, written once.
#[derive(Debug)]
struct Statements {
    select_row: String,
    select_version: String,
    upsert_row: String,
    delete_row: String,
    upsert_version: String,
}

impl Statements {
    fn new(table: &ViewTable) -> Self {
        // Names are lower case letters, digits and _ by construction of the table.
        let name = table.name();
        let columns: Vec<String> = table.columns().iter().map(|column| format!("\"{}\"", column.name)).collect();
        let list = columns.join(", ");
        let marks: Vec<String> = (2..columns.len() + 2).map(|number| format!("?{number}")).collect();
        let updates: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        Statements {
            select_row: format!("SELECT {list} FROM \"{name}\" WHERE \"{KEY_COLUMN}\" = ?1"),
            select_version: format!(
                "SELECT version, last_offset FROM \"{name}_versions\" WHERE topic = ?1 AND aggregate = ?2"
            ),
            upsert_row: format!(
                "INSERT INTO \"{name}\" (\"{KEY_COLUMN}\", {list}) VALUES (?1, {}) \
                 ON CONFLICT (\"{KEY_COLUMN}\") DO UPDATE SET {}",
                marks.join(", "),
                updates.join(", ")
            ),
            delete_row: format!("DELETE FROM \"{name}\" WHERE \"{KEY_COLUMN}\" = ?1"),
            upsert_version: format!(
                "INSERT INTO \"{name}_versions\" (topic, aggregate, version, last_offset) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (topic, aggregate) DO UPDATE \
                 SET version = excluded.version, last_offset = excluded.last_offset"
            ),
        }
    }
}

const CLAIM: &str = "INSERT INTO factum_progress (view, topic, topic_id, partition, epoch, position) \
    VALUES (?1, ?2, ?3, ?4, 1, 0) \
    ON CONFLICT (view, topic, partition) DO UPDATE SET epoch = epoch + 1 \
    RETURNING topic_id, epoch, position";

const MOVE: &str = "UPDATE factum_progress SET position = ?1, topic_id = ?2 \
    WHERE view = ?3 AND topic = ?4 AND partition = ?5 AND epoch = ?6 AND position = ?7";

const MOVE_UNCHECKED: &str = "UPDATE factum_progress SET position = ?1, topic_id = ?2 \
    WHERE view = ?3 AND topic = ?4 AND partition = ?5";

impl SqliteSink {
    /// Opens a view's tables in a database file, making what is missing.
    ///
    /// # Errors
    /// `Invalid`: the table exists with other columns, or this is not a database.
    pub fn open(path: &Path, table: ViewTable) -> Result<Self> {
        Self::open_with(path, table, DEFAULT_BUSY_TIMEOUT)
    }

    /// The same with another time to wait for another writer.
    ///
    /// # Errors
    /// As of [`SqliteSink::open`].
    pub fn open_with(path: &Path, table: ViewTable, busy_timeout: Duration) -> Result<Self> {
        let name = path.display().to_string();
        let connection = Connection::open(path).map_err(|e| failed(&name, "open", e))?;
        Self::on(connection, name, table, busy_timeout)
    }

    /// A database of its own that is gone when the sink is dropped.
    ///
    /// # Errors
    /// As of [`SqliteSink::open`].
    pub fn in_memory(table: ViewTable) -> Result<Self> {
        let name = "in memory".to_owned();
        let connection = Connection::open_in_memory().map_err(|e| failed(&name, "open", e))?;
        Self::on(connection, name, table, DEFAULT_BUSY_TIMEOUT)
    }

    fn on(connection: Connection, name: String, table: ViewTable, busy_timeout: Duration) -> Result<Self> {
        let database_id = open::prepare(&connection, &name, &table, busy_timeout)?;
        Ok(SqliteSink {
            connection,
            database_id,
            sql: Statements::new(&table),
            table,
            name,
            build_lock: None,
            frozen: false,
        })
    }

    fn failed(&self, doing: &str, error: rusqlite::Error) -> Error {
        failed(&self.name, doing, error)
    }

    /// The write lock now, not at the first write: two that read first and
    /// write later would have to fail one of them.
    fn begin(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")
    }

    fn load_all(&self, request: &LoadRequest) -> rusqlite::Result<Loaded> {
        if request.locking == RowLocking::Locked && self.connection.is_autocommit() {
            self.begin()?;
        }
        let mut select = self.connection.prepare_cached(&self.sql.select_row)?;
        let rows = request.keys.iter().map(|key| select.query_row([key], |row| self.values(row)).optional());
        let rows = rows.collect::<rusqlite::Result<_>>()?;
        let mut select = self.connection.prepare_cached(&self.sql.select_version)?;
        let last = request.aggregates.iter().map(|(topic, aggregate)| {
            let last = select.query_row([topic.as_str(), aggregate.as_str()], |row| {
                Ok(LastEvent { version: Version(row.get(0)?), offset: Offset(row.get(1)?) })
            });
            Ok(last.optional()?.unwrap_or_default())
        });
        Ok(Loaded { rows, last: last.collect::<rusqlite::Result<_>>()? })
    }

    fn write(&self, commit: &Commit) -> rusqlite::Result<CommitOutcome> {
        if self.frozen {
            self.connection.execute_batch("SAVEPOINT batch")?;
        } else if self.connection.is_autocommit() {
            self.begin()?;
        }
        let lost = self.advance(commit)?;
        if !lost.is_empty() {
            let undo = if self.frozen { "ROLLBACK TO batch; RELEASE batch" } else { "ROLLBACK" };
            self.connection.execute_batch(undo)?;
            return Ok(CommitOutcome::ClaimLost(lost));
        }
        let mut upsert = self.connection.prepare_cached(&self.sql.upsert_row)?;
        for (key, values) in &commit.upserts {
            let key = Bound::Text(key);
            upsert.execute(params_from_iter(std::iter::once(key).chain(values.iter().map(Bound::Value))))?;
        }
        let mut delete = self.connection.prepare_cached(&self.sql.delete_row)?;
        for key in &commit.deletes {
            delete.execute([key])?;
        }
        let mut upsert = self.connection.prepare_cached(&self.sql.upsert_version)?;
        for mark in &commit.watermarks {
            let (topic, aggregate) = (mark.topic.as_str(), mark.aggregate.as_str());
            upsert.execute(params![topic, aggregate, mark.last.version.0, mark.last.offset.0])?;
        }
        self.connection.execute_batch(if self.frozen { "RELEASE batch" } else { "COMMIT" })?;
        Ok(CommitOutcome::Committed)
    }

    /// Moves the progress rows; the partitions whose rows are not as they were claimed.
    fn advance(&self, commit: &Commit) -> rusqlite::Result<Vec<TopicPartition>> {
        let view = self.table.name();
        let mut lost = Vec::new();
        for moved in &commit.moves {
            let (to, id) = (moved.to.0, moved.topic_id.to_string());
            let (topic, partition) = (moved.place.topic.as_str(), moved.place.partition.0);
            let changed = match commit.compare {
                Compare::EpochAndPosition => self.connection.prepare_cached(MOVE)?.execute(params![
                    to,
                    id,
                    view,
                    topic,
                    partition,
                    moved.epoch,
                    moved.from.0
                ])?,
                Compare::Nothing => {
                    self.connection.prepare_cached(MOVE_UNCHECKED)?.execute(params![to, id, view, topic, partition])?
                }
            };
            if changed != 1 {
                lost.push(moved.place.clone());
            }
        }
        Ok(lost)
    }

    fn values(&self, row: &Row<'_>) -> rusqlite::Result<Vec<Value>> {
        let columns = self.table.columns().iter().enumerate();
        columns.map(|(index, column)| value(row, index, column.kind)).collect()
    }
}

impl Sink for SqliteSink {
    fn database_id(&self) -> &str {
        &self.database_id
    }

    fn table(&self) -> &ViewTable {
        &self.table
    }

    fn claim(&mut self, place: &TopicPartition, topic_id: TopicId) -> Result<Claim> {
        let doing = || format!("claim {place} of view {}", self.table.view());
        let row = self.connection.prepare_cached(CLAIM).and_then(|mut claim| {
            let row = params![self.table.name(), place.topic.as_str(), topic_id.to_string(), place.partition.0];
            claim.query_row(row, |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))
        });
        let (topic_id, epoch, position) = row.map_err(|e| self.failed(&doing(), e))?;
        let topic_id = topic_id.parse().map_err(|e: Error| e.context(doing()))?;
        Ok(Claim { topic_id, epoch, position: Offset(position) })
    }

    fn load(&mut self, request: &LoadRequest) -> Result<Loaded> {
        self.load_all(request).map_err(|e| self.failed(&format!("load rows of view {}", self.table.view()), e))
    }

    fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome> {
        self.write(commit).map_err(|e| {
            if self.frozen {
                // Nothing of it may end up in the transaction around it; the cause is what is told.
                self.connection.execute_batch("ROLLBACK TO batch; RELEASE batch").unwrap_or_default();
            }
            self.failed(&format!("commit to view {}", self.table.view()), e)
        })
    }

    fn rollback(&mut self) -> Result<()> {
        if self.frozen || self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch("ROLLBACK").map_err(|e| self.failed("roll back", e))
    }

    fn query(&mut self, filter: &Filter, limit: usize) -> Result<Vec<QueriedRow>> {
        let query = Query::new(&self.table).with(filter.clone(), limit);
        let page = rows::page(&self.connection, &query, None);
        page.map_err(|e| self.failed(&format!("query view {}", self.table.view()), e))?.map(QueriedRow::of)
    }
}

/// A parameter of a statement.
enum Bound<'a> {
    Text(&'a str),
    Value(&'a Value),
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Bound::Text(text) => (*text).into(),
            Bound::Value(value) => match value {
                Value::Null => rusqlite::types::Null.into(),
                Value::Integer(value) => (*value).into(),
                Value::Real(value) => (*value).into(),
                Value::Boolean(value) => (*value).into(),
                Value::Text(value) => value.as_str().into(),
                Value::Bytes(value) => value.as_slice().into(),
            },
        })
    }
}

fn value(row: &Row<'_>, index: usize, kind: ColumnType) -> rusqlite::Result<Value> {
    let value = row.get_ref(index)?;
    if value == ValueRef::Null {
        return Ok(Value::Null);
    }
    Ok(match kind {
        ColumnType::Integer => Value::Integer(value.as_i64()?),
        ColumnType::Real => Value::Real(value.as_f64()?),
        ColumnType::Boolean => Value::Boolean(value.as_i64()? != 0),
        ColumnType::Text => Value::Text(value.as_str()?.to_owned()),
        ColumnType::Bytes => Value::Bytes(value.as_blob()?.to_owned()),
    })
}

/// SQLite's result codes by what the caller does next (<https://sqlite.org/rescode.html>).
fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OperationInterrupted
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory,
        ) => ErrorKind::Unavailable,
        Some(ErrorCode::DatabaseCorrupt) => ErrorKind::Data,
        _ => ErrorKind::Invalid,
    }
}

fn failed(name: &str, doing: &str, error: rusqlite::Error) -> Error {
    Error::with_source(kind_of(&error), format!("sqlite database {name}: {doing}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn result_codes_say_whether_to_try_again() {
        let kind = |code| kind_of(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_INTERRUPT,
            ffi::SQLITE_PROTOCOL,
            ffi::SQLITE_NOMEM,
        ] {
            assert_eq!(kind(code), ErrorKind::Unavailable, "code {code}");
        }
        assert_eq!(kind(ffi::SQLITE_CORRUPT), ErrorKind::Data);
        for code in [ffi::SQLITE_ERROR, ffi::SQLITE_READONLY, ffi::SQLITE_NOTADB, ffi::SQLITE_CONSTRAINT] {
            assert_eq!(kind(code), ErrorKind::Invalid, "code {code}");
        }
    }
}
