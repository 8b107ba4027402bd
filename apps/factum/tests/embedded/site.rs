//! One test's folder, and the processes in it.

use crate::{
    deposits::{ORDINAL, deposits},
    http::Client,
    process::{Process, Ran},
};
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};
use tempfile::TempDir;

pub(crate) const BANK: &str = "bank.account";

/// A folder of its own, in which the binary is run.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    started: AtomicUsize,
}

/// `up` that serves.
#[derive(Debug)]
pub(crate) struct Up {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Up {
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Site { folder: TempDir::new().unwrap(), started: AtomicUsize::new(0) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the log's files.
    pub(crate) fn log(&self) -> PathBuf {
        self.path("factum-data").join("log")
    }

    /// The binary, told nothing but these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
        // What the developer has set is not part of the test.
        let set = std::env::vars_os().map(|(name, _)| name);
        let set: Vec<OsString> = set.filter(|name| name.to_string_lossy().starts_with("FACTUM_")).collect();
        set.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// A name for the files of the next process.
    pub(crate) fn file(&self) -> PathBuf {
        self.path(&format!("process-{}", self.started.fetch_add(1, Ordering::Relaxed)))
    }

    /// Starts the binary.
    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        Process::start(&mut self.command(arguments), &self.file())
    }

    /// Runs a verb to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).end()
    }

    /// Starts `up` without the sample at a free port, and waits until it serves.
    pub(crate) fn serve(&self) -> Up {
        self.serve_with(&["--no-sample"])
    }

    /// The same with other arguments.
    pub(crate) fn serve_with(&self, arguments: &[&str]) -> Up {
        let mut process = self.start(&[&["up", "--http", "127.0.0.1:0"], arguments].concat());
        process.says("serving at http://", 1);
        let said = process.stderr();
        let address = said.lines().find_map(|line| line.strip_prefix("serving at http://")).unwrap().parse().unwrap();
        Up { process, address }
    }

    /// Who has the log, as its file says.
    pub(crate) fn owner(&self) -> Value {
        serde_json::from_slice(&fs::read(self.log().join("owner")).unwrap()).unwrap()
    }

    /// Sends a deposit, which is accepted; returns the account's new version.
    pub(crate) fn deposit(&self, account: &str, cents: i64) -> u64 {
        let fields = json!({ "cents": cents }).to_string();
        let answer = self.run(&["publish", BANK, account, "Deposit", &fields, "--json"]).json();
        answer["version"].as_u64().unwrap()
    }

    /// Writes a file of deposits and its mapping; returns the arguments that import it.
    pub(crate) fn deposits(&self, name: &str, rows: impl IntoIterator<Item = (String, String)>) -> [String; 4] {
        deposits(self.folder.path(), name, ORDINAL, rows)
    }
}
