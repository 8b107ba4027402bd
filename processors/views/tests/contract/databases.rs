//! The databases that the contract is run over.

use super::table;
use factum_core::view::{ViewTable, Watermarks};
use factum_views::{
    MemoryDatabase, MemorySink, PostgresLimits, PostgresRows, PostgresSink, PostgresUrl, Rows, Sink, SqliteRows,
    SqliteSink,
};
use std::time::Duration;

/// A database in which sinks are opened.
pub(super) trait Database {
    fn try_open(&self, table: ViewTable) -> factum_core::Result<Box<dyn Sink>>;

    fn rows(&self) -> Box<dyn Rows>;

    fn open(&self) -> Box<dyn Sink> {
        self.try_open(table()).unwrap()
    }
}

impl Database for MemoryDatabase {
    fn try_open(&self, table: ViewTable) -> factum_core::Result<Box<dyn Sink>> {
        Ok(Box::new(MemorySink::open(self, table)?))
    }

    fn rows(&self) -> Box<dyn Rows> {
        Box::new(self.clone())
    }
}

pub(super) struct SqliteFile(pub(super) tempfile::TempDir);

impl Database for SqliteFile {
    fn try_open(&self, table: ViewTable) -> factum_core::Result<Box<dyn Sink>> {
        // A test that meets a lock must not wait for it.
        Ok(Box::new(SqliteSink::open_with(&self.0.path().join("views.db"), table, Duration::ZERO)?))
    }

    fn rows(&self) -> Box<dyn Rows> {
        Box::new(SqliteRows::new(&self.0.path().join("views.db")))
    }
}

impl Database for factum_test_database::TestDatabase {
    fn try_open(&self, table: ViewTable) -> factum_core::Result<Box<dyn Sink>> {
        // A test that meets a lock must not wait for it long.
        let limits = PostgresLimits { lock_timeout: Duration::from_millis(100), ..PostgresLimits::default() };
        Ok(Box::new(PostgresSink::open_with(&PostgresUrl::parse(&self.url())?, table, limits)?))
    }

    fn rows(&self) -> Box<dyn Rows> {
        Box::new(PostgresRows::new(&PostgresUrl::parse(&self.url()).unwrap()))
    }
}

/// The same with watermarks in the rows of all tables.
pub(super) struct InRows<D>(pub(super) D);

impl<D: Database> Database for InRows<D> {
    fn try_open(&self, table: ViewTable) -> factum_core::Result<Box<dyn Sink>> {
        self.0.try_open(table.with_watermarks(Watermarks::InRows))
    }

    fn rows(&self) -> Box<dyn Rows> {
        self.0.rows()
    }
}

pub(super) fn sqlite_file() -> SqliteFile {
    SqliteFile(tempfile::tempdir().unwrap())
}
