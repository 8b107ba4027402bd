//! Reading views in SQLite.

use super::{batch::Bound, failed, value};
use crate::{
    Page, Pattern, Progress, Query, Rows,
    pool::Pool,
    query::{Dialect, PageBuilder, Reading, Statement},
    rows::never_built,
};
use factum_core::{
    Error, Offset, Partition, Result, Topic,
    view::{Value, ViewTable},
};
use rusqlite::{Connection, OpenFlags, functions::FunctionFlags, params_from_iter};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Connections to one file; its readers do not wait for each other.
const CONNECTIONS: usize = 8;
/// How long a reader waits for one of them, and for a file that another process recovers.
const WAIT: Duration = Duration::from_secs(5);
/// The longest that one statement may take.
const LONGEST: Duration = Duration::from_secs(30);
/// Steps of SQLite's machine between two looks at the clock.
const STEPS: std::ffi::c_int = 10_000;
/// Statements that a connection keeps.
const STATEMENTS: usize = 64;

const PROGRESS: &str = "SELECT topic, partition, topic_id, position FROM factum_progress WHERE view = ?1 \
    ORDER BY topic, partition";

/// The views of a SQLite file, for reading.
#[derive(Debug)]
pub struct SqliteRows {
    path: PathBuf,
    /// The file, for messages.
    name: String,
    pool: Pool<Connection>,
}

impl SqliteRows {
    /// The views of a file, which need not be there yet.
    pub fn new(path: &Path) -> Self {
        SqliteRows { path: path.to_owned(), name: path.display().to_string(), pool: Pool::new(CONNECTIONS, WAIT) }
    }

    fn open(&self, table: &ViewTable) -> Result<Connection> {
        if !self.path.exists() {
            return Err(never_built(table, &self.name));
        }
        // Reading a file in WAL mode writes to the files beside it; the views themselves it cannot change.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&self.path, flags).and_then(|connection| {
            connection.busy_timeout(WAIT)?;
            connection.pragma_update(None, "query_only", true)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            define_like(&connection)?;
            Ok(connection)
        });
        opened.map_err(|error| failed(&self.name, "open", error))
    }

    fn read<T>(&self, table: &ViewTable, run: impl FnOnce(&Connection) -> rusqlite::Result<Result<T>>) -> Result<T> {
        let run = |connection: &mut Connection| {
            let begun = Instant::now();
            connection.progress_handler(STEPS, Some(move || begun.elapsed() > LONGEST));
            match run(connection) {
                Ok(outcome) => outcome,
                Err(error) => Err(self.trouble(connection, table, begun, error)),
            }
        };
        self.pool.with(|| self.open(table), run)
    }

    fn trouble(&self, connection: &Connection, table: &ViewTable, begun: Instant, error: rusqlite::Error) -> Error {
        let view = table.view();
        if begun.elapsed() > LONGEST {
            return Error::unavailable(format!(
                "view {view}: the query took longer than {} s: ask for less, or for rows by key",
                LONGEST.as_secs()
            ));
        }
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN (?1, 'factum_progress')";
        match connection.query_row(tables, [table.name()], |row| row.get::<_, i64>(0)) {
            Ok(found) if found < 2 => never_built(table, &self.name),
            _ => failed(&self.name, &format!("query view {view}"), error),
        }
    }
}

impl Rows for SqliteRows {
    fn page(&self, query: &Query) -> Result<Page> {
        self.read(query.table(), |connection| {
            // Count and rows are of one moment.
            let transaction = connection.unchecked_transaction()?;
            let count = query.counts().then(|| count(&transaction, query)).transpose()?;
            let page = page(&transaction, query, count)?;
            transaction.finish()?;
            Ok(page)
        })
    }

    fn progress(&self, table: &ViewTable) -> Result<Vec<Progress>> {
        self.read(table, |connection| {
            // Progress alone is not a view: this fails without its table.
            connection.prepare_cached(&format!("SELECT 1 FROM \"{}\"", table.name()))?;
            let mut select = connection.prepare_cached(PROGRESS)?;
            let rows = select.query_map([table.name()], |row| {
                let place = Topic::from(row.get::<_, String>(0)?.as_str()).partition(Partition(row.get(1)?));
                Ok((place, row.get::<_, String>(2)?, Offset(row.get(3)?)))
            })?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let progress = rows.into_iter().map(|(place, topic_id, position)| {
                let topic_id =
                    topic_id.parse().map_err(|error: Error| error.context(format!("progress at {place}")))?;
                Ok(Progress { place, topic_id, position })
            });
            Ok(progress.collect())
        })
    }
}

fn count(connection: &Connection, query: &Query) -> rusqlite::Result<u64> {
    let Statement { sql, bound } = Statement::count(query, Dialect::Sqlite);
    connection.prepare_cached(&sql)?.query_row(params_from_iter(bound.iter().map(Bound::Value)), |row| row.get(0))
}

fn page(connection: &Connection, query: &Query, count: Option<u64>) -> rusqlite::Result<Result<Page>> {
    let Statement { sql, bound } = Statement::page(query, Dialect::Sqlite);
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(bound.iter().map(Bound::Value)))?;
    let mut page = PageBuilder::new(query);
    while let Some(row) = rows.next()? {
        let fields = query.columns().iter().chain(query.order().columns().iter().map(|(field, _)| field));
        let values = fields.enumerate().map(|(index, field)| value(row, index, field.kind()));
        if page.push(values.collect::<rusqlite::Result<Vec<Value>>>()?) == Reading::Full {
            break;
        }
    }
    Ok(page.page(count))
}

/// `factum_like(text, pattern)`: SQLite's own `LIKE` takes upper and lower case for the same, and
/// ends a text at a null character.
pub(super) fn define_like(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("factum_like", 2, flags, |context| {
        let pattern =
            context.get_or_create_aux(1, |pattern| -> Result<Pattern, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Pattern::parse(pattern.as_str()?)?)
            })?;
        let text = context.get_raw(0).as_str_or_null()?;
        Ok(text.map(|text| pattern.matches(text)))
    })
}
