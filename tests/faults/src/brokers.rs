//! Three brokers: RF 3, min ISR 2.

use crate::{network::Network, script};
use factum::{Error, Result};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

const SCRIPT: &str = "deploy/kafka/kafka.sh";
/// How many there are; the replicas of everything.
pub(crate) const BROKERS: u8 = 3;

/// The cluster of one run; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Brokers {
    data: PathBuf,
    bootstrap: String,
    /// How often the leaders were moved.
    moved: usize,
}

impl Brokers {
    /// Starts them.
    ///
    /// # Errors
    /// `Unavailable` with what is missing.
    pub(crate) fn start(data: &Path, port: u16, network: &Network) -> Result<Self> {
        let mut brokers = Brokers { data: data.to_owned(), bootstrap: String::new(), moved: 0 };
        let (port, count, inside) = (port.to_string(), BROKERS.to_string(), network.for_brokers());
        let mut arguments = vec!["start", "--data", brokers.folder()?, "--port", &port, "--brokers", &count];
        // One that nobody looks after any more ends.
        arguments.extend(["--idle-minutes", "5"]);
        arguments.extend(inside.iter().map(String::as_str));
        let bootstrap = script::project(SCRIPT, &arguments)?;
        brokers.bootstrap = bootstrap;
        Ok(brokers)
    }

    /// Every broker's address, with commas.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Says that they are in use.
    pub(crate) fn touch(&self) {
        fs::write(self.data.join("in-use"), "").ok();
    }

    /// kill -9.
    ///
    /// # Errors
    /// `Unavailable` when the script fails.
    pub(crate) fn kill(&self, number: u8) -> Result<()> {
        script::project(SCRIPT, &["kill", &number.to_string(), "--data", self.folder()?]).map(drop)
    }

    /// Starts one again, in good order if it runs, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Brokers::kill`].
    pub(crate) fn restart(&self, number: u8) -> Result<()> {
        script::project(SCRIPT, &["restart", &number.to_string(), "--data", self.folder()?]).map(drop)
    }

    /// Sends a signal to one.
    ///
    /// # Errors
    /// `Unavailable` when it does not run.
    pub(crate) fn signal(&self, number: u8, name: &str) -> Result<()> {
        let pid = fs::read_to_string(self.data.join(format!("{number}.pid"))).unwrap_or_default();
        let pid = pid.trim().parse().map_err(|_| Error::unavailable(format!("broker {number} does not run")))?;
        script::signal(pid, name)
    }

    /// Whether every replica of everything is in sync: then the next broker may fail.
    pub(crate) fn in_sync(&self) -> bool {
        self.touch();
        let behind = self.tool("TopicCommand", &["--describe", "--under-replicated-partitions"]);
        behind.is_ok_and(|behind| behind.is_empty())
    }

    /// Gives every partition of these topics another preferred leader, which then leads.
    ///
    /// # Errors
    /// `Unavailable` when Kafka's tools fail.
    pub(crate) fn move_leaders(&mut self, topics: &[(String, u32)]) -> Result<()> {
        self.moved += 1;
        let places = topics.iter().flat_map(|(topic, partitions)| (0..*partitions).map(move |number| (topic, number)));
        let replicas = |number: u32| {
            let first = number as usize + self.moved;
            (0..3).map(|step| (first + step) % 3 + 1).collect::<Vec<_>>()
        };
        let plan: Vec<_> = places
            .map(|(topic, number)| json!({ "topic": topic, "partition": number, "replicas": replicas(number) }))
            .collect();
        let file = self.data.join("leaders.json");
        fs::write(&file, json!({ "version": 1, "partitions": plan }).to_string())
            .map_err(|error| Error::unavailable(format!("{} cannot be written: {error}", file.display())))?;
        let file = file.to_string_lossy();
        self.tool("reassign.ReassignPartitionsCommand", &["--reassignment-json-file", &file, "--execute"])?;
        self.tool("LeaderElectionCommand", &["--election-type", "PREFERRED", "--all-topic-partitions"]).map(drop)
    }

    fn tool(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let class = format!("org.apache.kafka.tools.{class}");
        let script = script::root().join(SCRIPT);
        let script = script.to_string_lossy();
        let command = [&*script, "tools", &class, "--bootstrap-server", &self.bootstrap];
        script::run("bash", command.iter().chain(arguments))
    }

    fn folder(&self) -> Result<&str> {
        self.data.to_str().ok_or_else(|| Error::invalid("the folder's path is not UTF-8"))
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        for broker in 1..=BROKERS {
            // One that was paused does not hear that it is to stop.
            self.signal(broker, "CONT").ok();
        }
        if let Ok(folder) = self.folder() {
            script::project(SCRIPT, &["stop", "--data", folder]).ok();
        }
    }
}
