//! Views: the shell around the pure view machine, and its sinks.
//!
//! What it is: a [`ViewRunner`] polls a group consumer, has
//! [`factum_core::view::ViewMachine`] decide, and executes its effects on a
//! [`Sink`]; sinks in memory, in SQLite and in PostgreSQL; and [`Rows`], with which a [`Query`] is
//! answered.
//!
//! What it is not: it decides nothing. When to claim, what to skip and where to
//! stop is the machine's, so that it is the same on every sink and log.
//!
//! SQL of a view's author takes part in the view's transactions as [`HandWritten`].
//!
//! Invariant: a view's rows, the watermarks of its aggregates and its progress
//! change in one transaction of one database, or not at all.
//!
//! ```
//! use factum_core::view::{Column, ColumnType, ViewTable};
//! use factum_views::{MemoryDatabase, MemorySink, Query, Rows};
//!
//! let balance = Column { name: "balance".into(), kind: ColumnType::Integer, nullable: false };
//! let table = ViewTable::new("accounts", 1, vec![balance])?;
//! let database = MemoryDatabase::new("example");
//! MemorySink::open(&database, table.clone())?;
//! let query = Query::new(&table).filtered("balance > 50 and key != 'fees'")?.ordered("-balance")?;
//! assert!(database.page(&query)?.rows.is_empty());
//! # Ok::<(), factum_core::Error>(())
//! ```

mod around;
mod claiming;
mod database;
mod fresh;
mod hand_written;
mod marks;
mod memory;
mod pace;
mod parked;
mod pool;
mod postgres;
mod query;
mod range;
mod rebuild;
mod redrive;
mod resets;
mod rows;
mod runner;
mod schemas;
mod sink;
mod sqlite;
mod status;

pub use around::AroundSink;
pub use database::Database;
pub use fresh::{Behind, MAX_TOKENS, Tokens};
pub use hand_written::{HandWritten, SqlTransaction};
pub use marks::InHandMarks;
pub use memory::{MemoryDatabase, MemorySink};
pub use parked::{ParkedFilter, ParkedKey, ParkedRecords};
pub use postgres::{PostgresLimits, PostgresRows, PostgresSink, PostgresUrl, Schema, yardstick};
pub use query::{
    Compared, DEFAULT_LIMIT, Direction, Field, Filter, MAX_FILTER_BYTES, MAX_FILTER_DEPTH, MAX_FILTER_TERMS,
    MAX_IN_VALUES, MAX_LIMIT, MAX_ORDER_COLUMNS, MAX_PAGE_BYTES, Order, PARAMETERS, Page, Pattern, Query, evaluate,
};
pub use range::read_range;
pub use rebuild::{
    AsOf, Build, Difference, OLD, Parity, REBUILD, Rebuild, RebuildOptions, RebuildPlace, RebuildProgress, Rebuilder,
    Rename, Summary, Target, VERIFY, roll_back,
};
pub use redrive::{Doing, Redriver, Tally, drop_parked};
pub use resets::Resets;
pub use rows::{Progress, Rows};
pub use runner::{Progressed, ViewOptions, ViewRunner};
pub use schemas::{SchemaFetch, Spawn};
pub use sink::Sink;
pub use sqlite::{SqliteRows, SqliteSink};
pub use status::ViewStatus;
