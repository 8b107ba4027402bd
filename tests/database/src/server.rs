//! A server of one test's own.

use crate::script::POSTGRES;
use factum_test_scripts::unique;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A server that belongs to one test, on a free port, with its data in a folder
/// of its own. It stops, and the folder goes, when this value is dropped.
#[derive(Debug)]
pub struct OwnServer {
    data: PathBuf,
    url: String,
}

impl OwnServer {
    /// Starts one with settings (`NAME=VALUE`), in about a second.
    ///
    /// # Panics
    /// When it cannot be started; the message says what to install.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_in(&POSTGRES.state(&unique("own")), settings)
    }

    /// The same in a folder that is there or not yet.
    ///
    /// # Panics
    /// As [`OwnServer::start`].
    pub fn start_in(data: &Path, settings: &[&str]) -> Self {
        Self::start_as(data, &settings.iter().flat_map(|setting| ["--set", setting]).collect::<Vec<_>>())
    }

    /// The same with any options of the script's verb `start`.
    pub(crate) fn start_as(data: &Path, options: &[&str]) -> Self {
        let mut server = OwnServer { data: data.to_owned(), url: String::new() };
        server.url = POSTGRES.start(server.data(), 1, options);
        server
    }

    /// Its URL; everybody is let in.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file of what it has logged.
    pub fn log(&self) -> PathBuf {
        self.data.join("log")
    }

    /// Ends all sessions, as a crash does.
    ///
    /// # Panics
    /// When it cannot be stopped.
    pub fn kill(&self) {
        let stopped = POSTGRES.run(["kill", "--data", self.data()]);
        assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    }

    /// Ends all sessions, as a crash does, and lets it recover.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart(&self) {
        POSTGRES.address(&POSTGRES.run(["restart", "--data", self.data()]));
    }

    /// Where its data lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.data
    }

    fn data(&self) -> &str {
        self.data.to_str().expect("the folder's path is UTF-8")
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        POSTGRES.run(["delete", "--data", self.data()]);
        fs::remove_dir_all(&self.data).unwrap_or_default();
    }
}
