//! PostgreSQL, with the views' tables.

use crate::script;
use factum::{Error, Result};
use std::path::{Path, PathBuf};

const SCRIPT: &str = "deploy/postgres/postgres.sh";

/// The server of one run; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    data: PathBuf,
    url: String,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// `Unavailable` with what is missing.
    pub(crate) fn start(data: &Path, port: u16) -> Result<Self> {
        let mut server = Server { data: data.to_owned(), url: String::new() };
        let port = port.to_string();
        let url = script::project(SCRIPT, &["start", "--data", server.folder()?, "--port", &port])?;
        server.url = url;
        Ok(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it as a crash does.
    ///
    /// # Errors
    /// `Unavailable` when the script fails.
    pub(crate) fn kill(&self) -> Result<()> {
        script::project(SCRIPT, &["kill", "--data", self.folder()?]).map(drop)
    }

    /// Starts it again.
    ///
    /// # Errors
    /// As [`Server::kill`].
    pub(crate) fn restart(&self) -> Result<()> {
        script::project(SCRIPT, &["restart", "--data", self.folder()?]).map(drop)
    }

    fn folder(&self) -> Result<&str> {
        self.data.to_str().ok_or_else(|| Error::invalid("the folder's path is not UTF-8"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(folder) = self.folder() {
            script::project(SCRIPT, &["stop", "--data", folder]).ok();
        }
    }
}
