//! A connection for one thread, made again when it was lost.

use super::{PostgresUrl, errors::failed, tls::Tls};
use factum_core::{Error, Result};
use futures_util::future::{BoxFuture, try_join_all};
use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Row, Statement, types::ToSql};
use tracing::debug;

/// How long a connection may take to be made, where the URL says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// After a connection could not be made, how long everybody is told so without trying.
const CONNECT_PAUSE: Duration = Duration::from_millis(500);
/// Statements that a connection keeps prepared.
const MAX_STATEMENTS: usize = 64;
/// How long the network may be silent about what was sent.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits that a connection asks the server for.
#[derive(Debug, Clone, Copy)]
pub struct PostgresLimits {
    /// How long a statement waits for a lock before it says `Unavailable`.
    pub lock_timeout: Duration,
    /// How long a transaction of ours may stay open while we say nothing. A
    /// process that was stopped within one holds its locks no longer than this.
    pub idle_in_transaction: Duration,
}

impl Default for PostgresLimits {
    fn default() -> Self {
        PostgresLimits { lock_timeout: Duration::from_secs(5), idle_in_transaction: Duration::from_secs(10) }
    }
}

impl PostgresLimits {
    /// As statements.
    pub(super) fn setup(self) -> String {
        format!(
            "SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}",
            self.lock_timeout.as_millis(),
            self.idle_in_transaction.as_millis()
        )
    }
}

/// A parameter of a statement.
pub(crate) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A statement and its parameters.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) sql: &'a str,
    pub(crate) parameters: &'a [Parameter<'a>],
}

/// A connection that prepares each statement once, and sends several at once.
///
/// Invariant: whoever is told of an error has no transaction open after [`Connection::rollback`].
pub(crate) struct Connection {
    url: PostgresUrl,
    /// What each new connection is told first.
    setup: String,
    runtime: Driver,
    client: Option<Client>,
    statements: HashMap<String, Statement>,
    in_transaction: bool,
    /// A statement of the transaction failed.
    is_broken: bool,
    failed: Option<(Instant, Error)>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// `Unavailable` when nobody answers; `Invalid` when the server refuses.
    pub(crate) fn open(url: PostgresUrl, setup: String) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::unavailable(format!("there is no runtime for {url}: {e}")))?;
        let mut connection = Connection {
            url,
            setup,
            runtime: Driver(Some(runtime)),
            client: None,
            statements: HashMap::new(),
            in_transaction: false,
            is_broken: false,
            failed: None,
        };
        connection.connect()?;
        Ok(connection)
    }

    /// The database's name for messages.
    pub(crate) fn name(&self) -> &PostgresUrl {
        &self.url
    }

    /// Whether a transaction was begun and not ended.
    pub(crate) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Runs statements without parameters, separated by semicolons.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) fn batch(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.connect()?;
        let client = self.client.as_ref().expect("it is connected");
        let done = self.runtime.block_on(client.batch_execute(sql));
        self.is_broken |= done.is_err() && self.in_transaction;
        done.map_err(|e| failed(&self.url.to_string(), doing, e))
    }

    /// Makes, keeps or undoes a part of the transaction that is open.
    ///
    /// # Errors
    /// `Unavailable`: the transaction was lost; else what the server says.
    pub(crate) fn savepoint(&mut self, doing: &str, sql: &str) -> Result<()> {
        if !self.in_transaction {
            return Err(Error::unavailable(format!(
                "postgresql database {}: {doing}: the transaction around it is lost",
                self.url
            )));
        }
        self.batch(doing, sql)
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) fn query(&mut self, doing: &str, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>> {
        let mut answers = self.pipeline(doing, None, &[Call { sql, parameters }])?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Runs one statement; how many rows it changed.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) fn execute(&mut self, doing: &str, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64> {
        self.connect()?;
        if self.statements.len() >= MAX_STATEMENTS {
            self.statements.clear();
        }
        self.prepare(doing, sql)?;
        let client = self.client.as_ref().expect("it is connected");
        let done = self.runtime.block_on(client.execute(&self.statements[sql], parameters));
        self.is_broken |= done.is_err() && self.in_transaction;
        done.map_err(|e| failed(&self.url.to_string(), doing, e))
    }

    /// Begins a transaction and runs statements in it, in one round trip.
    ///
    /// # Errors
    /// What the server says; the transaction may be open then.
    pub(crate) fn begin(&mut self, doing: &str, calls: &[Call<'_>]) -> Result<Vec<Vec<Row>>> {
        if self.in_transaction {
            return self.pipeline(doing, None, calls);
        }
        self.pipeline(doing, Some("BEGIN"), calls)
    }

    /// Runs statements in one round trip, in their order; what each answers.
    /// In a transaction, none after a failed one has an effect.
    ///
    /// # Errors
    /// What the server says about the first that failed.
    pub(crate) fn pipeline(&mut self, doing: &str, begin: Option<&str>, calls: &[Call<'_>]) -> Result<Vec<Vec<Row>>> {
        self.connect()?;
        if self.statements.len() + calls.len() > MAX_STATEMENTS {
            // Each query may have a text of its own. Those that come again are prepared again.
            self.statements.clear();
        }
        for call in calls {
            self.prepare(doing, call.sql)?;
        }
        let client = self.client.as_ref().expect("it is connected");
        let has_begun = begin.is_some();
        self.in_transaction |= has_begun;
        // A future sends when it is polled first, so the order of futures is the order of statements.
        let begin = begin.into_iter().map(|sql| {
            let begun: BoxFuture<'_, _> = Box::pin(async move { client.batch_execute(sql).await.map(|()| Vec::new()) });
            begun
        });
        let calls = calls.iter().map(|call| {
            let answer: BoxFuture<'_, _> = Box::pin(client.query(&self.statements[call.sql], call.parameters));
            answer
        });
        let answered = self.runtime.block_on(try_join_all(begin.chain(calls)));
        self.is_broken |= answered.is_err() && self.in_transaction;
        let mut answers = answered.map_err(|e| failed(&self.url.to_string(), doing, e))?;
        if has_begun {
            answers.remove(0);
        }
        Ok(answers)
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// What the server says. Whether the transaction is durable is then not known.
    pub(crate) fn commit(&mut self, doing: &str) -> Result<()> {
        if self.is_broken {
            // PostgreSQL would answer a COMMIT of it with a rollback.
            self.rollback();
            return Err(Error::invalid(format!(
                "postgresql database {}: {doing}: a statement of the transaction failed before",
                self.url
            )));
        }
        self.in_transaction = false;
        let Some(client) = &self.client else {
            return Err(Error::unavailable(format!(
                "postgresql database {}: {doing}: the connection is lost",
                self.url
            )));
        };
        // Not with `batch`, which would connect anew.
        let ended = self.runtime.block_on(client.batch_execute("COMMIT"));
        if ended.is_err() {
            self.give_up();
        }
        ended.map_err(|e| failed(&self.url.to_string(), doing, e))
    }

    /// Ends the transaction without a trace; none open is no error. A connection on which that is
    /// not sure is given up.
    pub(crate) fn rollback(&mut self) {
        if !std::mem::take(&mut self.in_transaction) {
            return;
        }
        self.is_broken = false;
        let ended = self.client.as_ref().map(|client| self.runtime.block_on(client.batch_execute("ROLLBACK")));
        if !matches!(ended, Some(Ok(()))) {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.client = None;
        self.statements.clear();
        (self.in_transaction, self.is_broken) = (false, false);
    }

    fn prepare(&mut self, doing: &str, sql: &str) -> Result<()> {
        if !self.statements.contains_key(sql) {
            let client = self.client.as_ref().expect("it is connected");
            let prepared = self.runtime.block_on(client.prepare(sql));
            self.is_broken |= prepared.is_err() && self.in_transaction;
            let statement = prepared.map_err(|e| failed(&self.url.to_string(), doing, e))?;
            self.statements.insert(sql.to_owned(), statement);
        }
        Ok(())
    }

    /// Connects if there is no connection. One that was lost within a transaction is an error first.
    fn connect(&mut self) -> Result<()> {
        if self.client.as_ref().is_some_and(|client| !client.is_closed()) {
            return Ok(());
        }
        let lost_within = self.in_transaction;
        self.give_up();
        if lost_within {
            return Err(Error::unavailable(format!(
                "postgresql database {}: the connection was lost within a transaction",
                self.url
            )));
        }
        if let Some((at, error)) = &self.failed
            && at.elapsed() < CONNECT_PAUSE
        {
            return Err(Error::new(error.kind(), error.to_string()));
        }
        match self.runtime.block_on(connected(&self.url, &self.setup)) {
            Ok(client) => {
                (self.client, self.failed) = (Some(client), None);
                Ok(())
            }
            Err(error) => {
                self.failed = Some((Instant::now(), Error::new(error.kind(), error.to_string())));
                Err(error)
            }
        }
    }
}

async fn connected(url: &PostgresUrl, setup: &str) -> Result<Client> {
    let config = url.config(NETWORK_TIMEOUT, CONNECT_TIMEOUT);
    let tls = url.tls().map(Tls::connector).transpose()?;
    let connected = async {
        let client = match tls {
            Some(tls) => driven(config.connect(tls).await?),
            None => driven(config.connect(NoTls).await?),
        };
        client.batch_execute(setup).await.map(|()| client)
    };
    connected.await.map_err(|e| failed(&url.to_string(), "connect", e))
}

/// A runtime that may be dropped anywhere, also by a thread that serves: dropped as it is, it would wait there.
struct Driver(Option<Runtime>);

impl Driver {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.as_ref().expect("it is taken when this is dropped").block_on(future)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Has a connection work whenever this thread waits for an answer; it ends with the client.
fn driven<S, T>((client, connection): (Client, tokio_postgres::Connection<S, T>)) -> Client
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "a connection to PostgreSQL ended");
        }
    });
    client
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("url", &self.url).finish_non_exhaustive()
    }
}
