//! The server that all tests share.

use crate::script::POSTGRES;
use factum_test_scripts::unique;
use postgres::{Client, NoTls};
use std::sync::OnceLock;

/// The environment variable with the URL of a server that runs already.
const URL_VARIABLE: &str = "FACTUM_TEST_POSTGRES";

/// A schema of one test's own, on the server that tests share: the one in
/// `FACTUM_TEST_POSTGRES`, else one that an earlier test process of this
/// checkout started, else a new one. The schema goes with this value.
#[derive(Debug)]
pub struct TestDatabase {
    server: String,
    schema: String,
}

impl TestDatabase {
    /// Makes the schema.
    ///
    /// # Panics
    /// When there is no server and none can be started; the message says what to install.
    #[expect(clippy::new_without_default, reason = "it starts a server")]
    pub fn new() -> Self {
        Self::on(server())
    }

    /// A schema on another server.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub fn on(server: &str) -> Self {
        let database = TestDatabase { server: server.to_owned(), schema: unique("test").replace('-', "_") };
        let made = database.run(&format!("CREATE SCHEMA {}", database.schema));
        made.unwrap_or_else(|e| panic!("no schema for a test on {server}: {e}"));
        database
    }

    /// A URL whose connections use the schema.
    pub fn url(&self) -> String {
        let mark = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{mark}options=-csearch_path%3D{}", self.server, self.schema)
    }

    /// The schema's name, which no other test has.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// A connection that uses the schema.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap_or_else(|e| panic!("{}: {e}", self.server))
    }

    fn run(&self, sql: &str) -> Result<(), postgres::Error> {
        Client::connect(&self.server, NoTls)?.batch_execute(sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A test that failed may have left a lock; its schema then stays until the server goes.
        let dropped = self.run(&format!(
            "SET lock_timeout = 2000; SET client_min_messages = warning; DROP SCHEMA {} CASCADE",
            self.schema
        ));
        dropped.unwrap_or_default();
    }
}

fn server() -> &'static str {
    static SERVER: OnceLock<String> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var(URL_VARIABLE) {
        Ok(given) if !given.is_empty() => given,
        _ => POSTGRES.start_or_join("url", "delete", 1),
    })
}
