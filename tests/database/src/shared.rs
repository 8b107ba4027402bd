//! The server that all tests share.

use crate::script;
use postgres::{Client, NoTls};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, SystemTime},
};

/// The environment variable with the URL of a server that runs already.
const URL_VARIABLE: &str = "FACTUM_TEST_POSTGRES";
/// A shared server that no test process has used for so long stops.
const IDLE_MINUTES: &str = "10";
/// How often a test process says that it uses the server; well below a minute.
const TOUCH_EVERY: Duration = Duration::from_secs(15);

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
        let random = uuid::Uuid::new_v4().simple().to_string();
        let database = TestDatabase { server: server.to_owned(), schema: format!("test_{}", &random[..12]) };
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
        _ => start_or_join(),
    })
}

fn start_or_join() -> String {
    let data = script::state_dir().join("shared");
    let data_argument = data.to_str().expect("the folder's path is UTF-8");
    let _starting = script::lock("shared.lock");
    // Before the look, so that it cannot stop for idleness in between.
    touch(&data.join("in-use"));
    let running = script::run(["url", "--data", data_argument]);
    let url = if running.status.success() {
        script::url_of(&running)
    } else {
        let _ports = script::lock("ports.lock");
        // What an earlier one left behind, nobody needs.
        script::run(["delete", "--data", data_argument]);
        let port = script::free_port().to_string();
        let arguments = ["start", "--data", data_argument, "--port", &port, "--idle-minutes", IDLE_MINUTES];
        script::url_of(&script::run(arguments))
    };
    keep_in_use(data.join("in-use"));
    url
}

/// Tells the script's watch, for as long as this process lives, that the server is in use.
fn keep_in_use(path: PathBuf) {
    std::thread::spawn(move || {
        loop {
            touch(&path);
            std::thread::sleep(TOUCH_EVERY);
        }
    });
}

/// Failures do not matter: at worst the server stops while a test process runs, and its tests say so.
fn touch(path: &Path) {
    if let Ok(file) = fs::File::options().write(true).open(path) {
        file.set_modified(SystemTime::now()).ok();
    }
}
