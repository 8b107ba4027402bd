//! A sink in SQLite.

mod batch;
mod hand_written;
mod in_hand;
mod open;
mod parked;
mod rebuild;
mod resets;
mod rows;

pub use rows::SqliteRows;

use crate::{HandWritten, Sink};
use batch::Statements;
use factum_core::{
    Error, ErrorKind, Offset, Result, TopicId, TopicPartition,
    view::{Claim, ColumnType, Commit, CommitOutcome, Compare, LoadRequest, Loaded, RowLocking, Value, ViewTable},
};
use hand_written::Transaction;
use rusqlite::{Connection, ErrorCode, Row, params, types::ValueRef};
use std::{fs::File, path::Path, time::Duration};

/// How long a call waits for another writer before it says `Unavailable`.
const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A view's tables in a SQLite database:
///
/// | table | holds |
/// |---|---|
/// | `<name>_v<version>` | `key` and the row's columns; `factum_version` and `factum_offset` where rows are of one aggregate each |
/// | `<name>_v<version>_versions` | version and offset of the last event of each aggregate that was applied, if not in its row |
/// | `factum_progress` | epoch and position of each partition, of all views |
/// | `factum_in_hand` | from which position records of each partition were begun last, and how often |
/// | `factum_skipped` | what operators had views leave out |
/// | `factum_parked` | the records that views have left aside |
/// | `factum_folds` | the version of the fold that made each view's rows |
/// | `factum_meta` | the database's id |
///
/// Which watermark counts is as in [`crate::PostgresSink`].
///
/// Shared rows are not locked but compared: the database has one write lock for
/// all of its views, and a view that holds it while it folds would hold them
/// all up. A commit over a row that another connection has changed since it was
/// loaded answers [`CommitOutcome::RowsChanged`].
#[derive(Debug)]
pub struct SqliteSink {
    connection: Connection,
    database_id: String,
    table: ViewTable,
    sql: Statements,
    seen: Option<Seen>,
    /// The file, for messages.
    name: String,
    /// Held while this sink builds tables of the view.
    build_lock: Option<File>,
    /// Whether a transaction of `freeze` is open, in which commits are savepoints.
    frozen: bool,
    /// Whether a transaction of `hold` is open, which the next commit ends.
    held: bool,
    hand_written: Option<Box<dyn HandWritten>>,
}

/// What was loaded to be compared at the commit.
#[derive(Debug)]
struct Seen {
    /// The database's count of other connections' commits, before the load.
    data_version: i64,
    keys: Vec<String>,
    rows: Vec<Option<Vec<Value>>>,
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
        Statements::on(&connection).map_err(|e| failed(&name, "open", e))?;
        Ok(SqliteSink {
            connection,
            database_id,
            sql: Statements::new(&table),
            seen: None,
            table,
            name,
            build_lock: None,
            frozen: false,
            held: false,
            hand_written: None,
        })
    }

    fn failed(&self, doing: &str, error: rusqlite::Error) -> Error {
        failed(&self.name, doing, error)
    }

    /// The write lock now, not at the first write: two that read first and
    /// write later would have to fail one of them.
    fn begin(&self) -> rusqlite::Result<()> {
        if !self.connection.is_autocommit() {
            // Of a commit whose rollback failed too.
            self.connection.execute_batch("ROLLBACK")?;
        }
        self.connection.execute_batch("BEGIN IMMEDIATE")
    }

    fn load_all(&mut self, request: &LoadRequest) -> rusqlite::Result<Loaded> {
        let data_version = self.data_version()?;
        let rows = self.sql.rows(&self.connection, self.table.columns(), &request.keys)?;
        let last = self.sql.last_events(&self.connection, &request.aggregates)?;
        self.seen = (request.locking == RowLocking::Locked).then(|| Seen {
            data_version,
            keys: request.keys.clone(),
            rows: rows.clone(),
        });
        let parked = if request.may_be_parked.is_empty() { Vec::new() } else { self.find_parked(request)? };
        Ok(Loaded { rows, last, parked })
    }

    /// It differs from an earlier one when another connection has committed since
    /// (<https://sqlite.org/pragma.html#pragma_data_version>).
    fn data_version(&self) -> rusqlite::Result<i64> {
        self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
    }

    /// Whether what was loaded is as it was. Within the transaction that writes.
    fn is_as_seen(&self, seen: &Seen) -> rusqlite::Result<bool> {
        Ok(self.data_version()? == seen.data_version
            || self.sql.rows(&self.connection, self.table.columns(), &seen.keys)? == seen.rows)
    }

    fn write(&mut self, commit: &Commit) -> rusqlite::Result<CommitOutcome> {
        let seen = self.seen.take();
        if self.frozen {
            self.connection.execute_batch("SAVEPOINT batch")?;
        } else if std::mem::take(&mut self.held) {
            if self.connection.is_autocommit() {
                // What was held was lost with the transaction.
                return Ok(CommitOutcome::RowsChanged);
            }
        } else {
            self.begin()?;
        }
        let lost = self.advance(commit)?;
        if !lost.is_empty() {
            self.undo()?;
            return Ok(CommitOutcome::ClaimLost(lost));
        }
        if let Some(seen) = seen
            && !self.is_as_seen(&seen)?
        {
            self.undo()?;
            return Ok(CommitOutcome::RowsChanged);
        }
        if !self.park(&commit.parking)? {
            self.undo()?;
            return Ok(CommitOutcome::RowsChanged);
        }
        self.sql.upsert(&self.connection, &commit.upserts, &commit.watermarks)?;
        self.sql.delete(&self.connection, &commit.deletes)?;
        self.sql.mark(&self.connection, &commit.watermarks, &commit.upserts)?;
        Ok(CommitOutcome::Committed)
    }

    /// Ends the transaction of a commit for which everything is written.
    fn end(&mut self, commit: &Commit) -> Result<()> {
        if let Some(hand_written) = &mut self.hand_written {
            let doing = format!("SQL written by hand for view {}", self.table.view());
            let mut transaction = Transaction { connection: &self.connection, name: &self.name, doing: &doing };
            hand_written.write(&mut transaction, commit)?;
        }
        let ended = self.connection.execute_batch(if self.frozen { "RELEASE batch" } else { "COMMIT" });
        ended.map_err(|e| self.failed(&format!("commit to view {}", self.table.view()), e))
    }

    fn undo(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch(if self.frozen { "ROLLBACK TO batch; RELEASE batch" } else { "ROLLBACK" })
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
        let position = Offset(position);
        let tries = self.tries(place, position).map_err(|e| self.failed(&doing(), e))?;
        Ok(Claim { topic_id, epoch, position, tries })
    }

    fn load(&mut self, request: &LoadRequest) -> Result<Loaded> {
        self.load_all(request).map_err(|e| self.failed(&format!("load rows of view {}", self.table.view()), e))
    }

    fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome> {
        let written = self.write(commit).map_err(|e| self.failed(&format!("commit to view {}", self.table.view()), e));
        let outcome = match written {
            Ok(CommitOutcome::Committed) => self.end(commit).map(|()| CommitOutcome::Committed),
            other => other,
        };
        if outcome.is_err() && self.frozen {
            // Nothing of it may end up in the transaction around it; the cause is what is told.
            self.connection.execute_batch("ROLLBACK TO batch; RELEASE batch").unwrap_or_default();
        }
        outcome
    }

    fn alongside(&mut self, hand_written: Box<dyn HandWritten>) -> Result<()> {
        self.hand_written = Some(hand_written);
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        self.seen = None;
        self.held = false;
        if self.frozen || self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch("ROLLBACK").map_err(|e| self.failed("roll back", e))
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
        // About a row: a constraint, or a trigger's own error (`RAISE`), a value that is too large or of another type.
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => ErrorKind::Data,
        _ => ErrorKind::Invalid,
    }
}

fn failed(name: &str, doing: &str, error: rusqlite::Error) -> Error {
    Error::with_source(kind_of(&error), format!("sqlite database {name}: {doing}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::ErrorClass;
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
        for code in [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_TOOBIG, ffi::SQLITE_MISMATCH, ffi::SQLITE_CONSTRAINT_CHECK] {
            assert_eq!(kind(code), ErrorKind::Data, "code {code}");
        }
        for code in [ffi::SQLITE_ERROR, ffi::SQLITE_READONLY, ffi::SQLITE_NOTADB, ffi::SQLITE_CORRUPT] {
            assert_eq!(kind(code), ErrorKind::Invalid, "code {code}");
        }
    }

    /// Every primary result code (<https://sqlite.org/rescode.html>): 0 to 28 are errors, 100 and 101 are none.
    #[test]
    fn every_result_code_is_classified_on_purpose() {
        let classes = [
            (ErrorClass::Transient, &[5, 6, 7, 9, 10, 13, 15][..]),
            (ErrorClass::Poison, &[18, 19, 20]),
            (ErrorClass::Fatal, &[1, 2, 3, 4, 8, 11, 12, 14, 16, 17, 21, 22, 23, 24, 25, 26, 27, 28]),
        ];
        let mut seen: Vec<i32> = Vec::new();
        for (expected, codes) in classes {
            for code in codes {
                let error = rusqlite::Error::SqliteFailure(ffi::Error::new(*code), None);
                assert_eq!(kind_of(&error).class(), expected, "code {code}");
            }
            seen.extend(codes);
        }
        seen.sort_unstable();
        assert_eq!(seen, (1..=28).collect::<Vec<i32>>());
    }
}
