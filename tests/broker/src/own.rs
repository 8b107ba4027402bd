//! Brokers of one test's own.

use crate::{script::KAFKA, shared::PORTS};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Brokers that belong to one test, on free ports, with their data in a folder
/// of their own. They stop, and the folder goes, when this value is dropped.
///
/// Three or more replicate everything three times with `min.insync.replicas=2`.
#[derive(Debug)]
pub struct OwnBrokers {
    data: PathBuf,
    bootstrap: String,
    count: u16,
}

impl OwnBrokers {
    /// Starts `count` brokers (1 to 9) and waits until all are ready, which takes 5 to 20 seconds.
    ///
    /// # Panics
    /// When they cannot be started; the message says what to install.
    pub fn start(count: u16) -> Self {
        Self::start_with(count, &[])
    }

    /// The same with broker settings (`KEY=VALUE`), which win over the script's own.
    ///
    /// # Panics
    /// As [`OwnBrokers::start`].
    pub fn start_with(count: u16, settings: &[&str]) -> Self {
        let options: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        Self::start_as(count, &options)
    }

    /// The same with any options of the script's verb `start`.
    pub(crate) fn start_as(count: u16, options: &[&str]) -> Self {
        let data = KAFKA.state(&crate::unique("own"));
        let mut brokers = OwnBrokers { data, bootstrap: String::new(), count };
        let number = count.to_string();
        // A test process that is killed drops nothing; no test takes half an hour.
        let options = [&["--brokers", &number, "--idle-minutes", "30"], options].concat();
        brokers.bootstrap = KAFKA.start(brokers.data(), PORTS * count, &options);
        brokers
    }

    /// The bootstrap address: every broker's `host:port`, with commas.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Kills broker `number` (from 1) as `kill -9` does, and returns when it is gone.
    ///
    /// # Panics
    /// When there is no such broker.
    pub fn kill(&self, number: u16) {
        self.with_broker("kill", number);
    }

    /// Starts broker `number` (from 1) again, after a stop in good order if it
    /// runs, and returns when it is ready.
    ///
    /// # Panics
    /// When there is no such broker, or it does not come up.
    pub fn restart(&self, number: u16) {
        self.with_broker("restart", number);
    }

    fn with_broker(&self, verb: &str, number: u16) {
        assert!((1..=self.count).contains(&number), "there are brokers 1 to {}, not {number}", self.count);
        let output = KAFKA.run([verb, &number.to_string(), "--data", self.data()]);
        assert!(output.status.success(), "kafka.sh {verb} {number}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Where the brokers' data lies.
    pub(crate) fn folder(&self) -> &Path {
        &self.data
    }

    fn data(&self) -> &str {
        self.data.to_str().expect("the checkout's path is UTF-8")
    }
}

impl Drop for OwnBrokers {
    fn drop(&mut self) {
        KAFKA.run(["stop", "--data", self.data()]);
        // The brokers are gone; a folder that stays lies under target/.
        fs::remove_dir_all(&self.data).ok();
    }
}
