//! Reading views in PostgreSQL.

use super::{
    PostgresUrl,
    connection::{Call, Connection, Parameter},
    errors::is_no_table,
    value::{Bound, number, value},
};
use crate::{
    Page, Progress, Query, Rows,
    pool::Pool,
    query::{Dialect, PageBuilder, Reading, Statement},
    rows::never_built,
};
use factum_core::{
    Error, Offset, Partition, Result, Topic,
    view::{Value, ViewTable},
};
use std::time::Duration;

/// Connections of one process.
const CONNECTIONS: usize = 8;
/// How long a reader waits for one of them.
const WAIT: Duration = Duration::from_secs(5);

/// Readers change nothing, and a statement ends after 30 seconds.
const SETUP: &str = "SET default_transaction_read_only = on; SET statement_timeout = 30000";

const PROGRESS: &str =
    "SELECT topic, partition, topic_id, position FROM factum_progress WHERE view = $1 ORDER BY topic, partition";

/// The views of a PostgreSQL database, for reading.
#[derive(Debug)]
pub struct PostgresRows {
    url: PostgresUrl,
    pool: Pool<Connection>,
}

impl PostgresRows {
    /// The views of a database, to which it connects when it is first asked.
    pub fn new(url: &PostgresUrl) -> Self {
        PostgresRows { url: url.clone(), pool: Pool::new(CONNECTIONS, WAIT) }
    }

    fn read<T>(&self, table: &ViewTable, run: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let read = self.pool.with(|| Connection::open(self.url.clone(), SETUP.to_owned()), run);
        read.map_err(|error| if is_no_table(&error) { never_built(table, &self.url.to_string()) } else { error })
    }
}

impl Rows for PostgresRows {
    fn page(&self, query: &Query) -> Result<Page> {
        self.read(query.table(), |connection| page(connection, query))
    }

    fn progress(&self, table: &ViewTable) -> Result<Vec<Progress>> {
        // Progress alone is not a view: this fails without its table.
        let name = table.name();
        let look = format!("SELECT FROM \"{name}\" LIMIT 0");
        let parameters: [Parameter<'_>; 1] = [&name];
        let calls = [Call { sql: &look, parameters: &[] }, Call { sql: PROGRESS, parameters: &parameters }];
        let doing = format!("read the progress of view {}", table.view());
        let mut answers = self.read(table, |connection| connection.pipeline(&doing, None, &calls))?;
        let progress = answers.pop().unwrap_or_default().into_iter().map(|row| {
            let place =
                Topic::from(row.get::<_, &str>(0)).partition(Partition(number(row.get::<_, i32>(1), "partition")?));
            let topic_id =
                row.get::<_, &str>(2).parse().map_err(|error: Error| error.context(format!("progress at {place}")))?;
            Ok(Progress { place, topic_id, position: Offset(row.get(3)) })
        });
        progress.collect()
    }
}

/// A page of a view's rows.
fn page(connection: &mut Connection, query: &Query) -> Result<Page> {
    let doing = format!("query view {}", query.table().view());
    let counted = query.counts().then(|| Statement::count(query, Dialect::Postgres));
    let paged = Statement::page(query, Dialect::Postgres);
    let statements: Vec<&Statement> = counted.iter().chain([&paged]).collect();
    let bound: Vec<Vec<Bound<'_>>> =
        statements.iter().map(|statement| statement.bound.iter().map(Bound).collect()).collect();
    let parameters: Vec<Vec<Parameter<'_>>> =
        bound.iter().map(|bound| bound.iter().map(|value| value as Parameter<'_>).collect()).collect();
    let calls: Vec<Call<'_>> = statements
        .iter()
        .zip(&parameters)
        .map(|(statement, parameters)| Call { sql: &statement.sql, parameters })
        .collect();
    let mut answers = if counted.is_none() {
        connection.pipeline(&doing, None, &calls)?
    } else {
        // Count and rows are of one moment.
        let answers = connection.pipeline(&doing, Some("BEGIN ISOLATION LEVEL REPEATABLE READ"), &calls);
        connection.rollback();
        answers?
    };
    let rows = answers.pop().unwrap_or_default();
    let count = answers.pop().and_then(|rows| rows.first().map(|row| number(row.get::<_, i64>(0), "count")));
    let mut page = PageBuilder::new(query);
    for row in &rows {
        let fields = query.columns().iter().chain(query.order().columns().iter().map(|(field, _)| field));
        let values = fields.enumerate().map(|(index, field)| value(row, index, field.kind()));
        if page.push(values.collect::<Result<Vec<Value>>>()?) == Reading::Full {
            break;
        }
    }
    page.page(count.transpose()?)
}
