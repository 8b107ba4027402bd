//! A server of one test's own.

use crate::script;
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
        let random = uuid::Uuid::new_v4().simple().to_string();
        Self::start_in(&script::state_dir().join(format!("own-{}", &random[..12])), settings)
    }

    /// The same in a folder that is there or not yet.
    ///
    /// # Panics
    /// As [`OwnServer::start`].
    pub fn start_in(data: &Path, settings: &[&str]) -> Self {
        let mut server = OwnServer { data: data.to_owned(), url: String::new() };
        // Until it listens, another process could find the same port free.
        let _ports = script::lock("ports.lock");
        let port = script::free_port().to_string();
        let mut arguments = vec!["start", "--data", server.data(), "--port", &port];
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let url = script::url_of(&script::run(arguments));
        server.url = url;
        server
    }

    /// Its URL; everybody is let in.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends all sessions, as a crash does.
    ///
    /// # Panics
    /// When it cannot be stopped.
    pub fn kill(&self) {
        let stopped = script::run(["kill", "--data", self.data()]);
        assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    }

    /// Ends all sessions, as a crash does, and lets it recover.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart(&self) {
        script::url_of(&script::run(["restart", "--data", self.data()]));
    }

    fn data(&self) -> &str {
        self.data.to_str().expect("the folder's path is UTF-8")
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        script::run(["delete", "--data", self.data()]);
        fs::remove_dir_all(&self.data).unwrap_or_default();
    }
}
