//! Views: the shell around the pure view machine, and its sinks.
//!
//! What it is: a [`ViewRunner`] polls a group consumer, has
//! [`factum_core::view::ViewMachine`] decide, and executes its effects on a
//! [`Sink`]; sinks in memory and in SQLite; and [`Filter`], with which rows are
//! read.
//!
//! What it is not: it decides nothing. When to claim, what to skip and where to
//! stop is the machine's, so that it is the same on every sink and log.
//!
//! Invariant: a view's rows, the watermarks of its aggregates and its progress
//! change in one transaction of one database, or not at all.
//!
//! ```
//! use factum_core::view::{Column, ColumnType, ViewTable};
//! use factum_views::{Filter, Sink, SqliteSink};
//!
//! let balance = Column { name: "balance".into(), kind: ColumnType::Integer, nullable: false };
//! let table = ViewTable::new("accounts", 1, vec![balance])?;
//! let mut sink = SqliteSink::in_memory(table)?;
//! let filter = Filter::parse("balance > 50 and key != 'fees'", sink.table())?;
//! assert!(sink.query(&filter, 10)?.is_empty());
//! # Ok::<(), factum_core::Error>(())
//! ```

mod database;
mod filter;
mod memory;
mod postgres;
mod runner;
mod schemas;
mod sink;
mod sqlite;
mod status;

pub use database::Database;
pub use filter::{Compared, Condition, Filter};
pub use memory::{MemoryDatabase, MemorySink};
pub use postgres::PostgresUrl;
pub use runner::{Progressed, ViewOptions, ViewRunner};
pub use schemas::SchemaFetch;
pub use sink::{QueriedRow, Sink};
pub use sqlite::SqliteSink;
pub use status::ViewStatus;
