//! The local Kafka of `factum kafka`: started, used by its name, stopped, and
//! started again with what was in it.

// A test that cannot get what it needs is a test that fails.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Command, Output},
};
use tempfile::TempDir;

/// Stops the brokers also when the test fails.
struct Local {
    folder: TempDir,
}

impl Local {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
        command.args(arguments).current_dir(self.folder.path()).env("FACTUM_KAFKA_DATA", self.data());
        // The broker of the other tests is not the one that is meant.
        command.env_remove("FACTUM_KAFKA").output().unwrap()
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("kafka")
    }

    #[track_caller]
    fn works(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], text: &str) {
        let output = self.run(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(text), "{arguments:?}: {told}");
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.run(&["kafka", "stop"]);
    }
}

/// A port that is free, as is the next one: a controller takes it. They lie below
/// the range from which systems give ports to clients.
fn free_port() -> u16 {
    let own = u16::try_from(std::process::id() % 1_000).unwrap();
    let free =
        |port: &u16| [*port, port + 1].iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    (0..500).map(|step| 15_000 + (own * 4 + step * 2) % 4_000).find(free).unwrap()
}

#[test]
fn a_local_kafka_keeps_its_data_between_runs() {
    let local = Local { folder: TempDir::new().unwrap() };
    local.fails(&["history", "bank.account", "anna", "--kafka", "local"], "was never started: `factum kafka start`");

    let port = free_port().to_string();
    let bootstrap = format!("127.0.0.1:{port}\n");
    assert_eq!(local.works(&["kafka", "start", "--with", "jvm", "--port", &port]), bootstrap);
    // A second start changes nothing, and other brokers are refused.
    assert_eq!(local.works(&["kafka", "start"]), bootstrap);
    local.fails(&["kafka", "start", "--brokers", "3"], "has --brokers 1, not 3");

    local.works(&["up", "--kafka", "local", "--until-idle"]);
    let history = || local.works(&["history", "bank.account", "account-0001", "--kafka", "local", "--json"]);
    let before = history();
    let first: Value = serde_json::from_str(before.lines().next().unwrap()).unwrap();
    assert_eq!((&first["version"], &first["type"]), (&1.into(), &"bank.account.Deposited".into()));
    let status = local.works(&["kafka", "status"]);
    let expected = format!("Kafka 4.3.0 (jvm), 7 topics, data in {}", local.data().display());
    assert!(status.contains(&expected) && status.ends_with(&bootstrap), "{expected}: {status}");

    local.works(&["kafka", "stop"]);
    local.fails(&["kafka", "status"], "does not run (broker 1: down): `factum kafka start`");
    local.fails(&["state", "bank.account", "account-0001", "--kafka", "local"], "`factum kafka start`");

    // `up` starts it; nothing is published again.
    local.works(&["up", "--kafka", "local", "--until-idle"]);
    assert_eq!(history(), before);

    local.works(&["kafka", "stop", "--delete-data"]);
    assert!(!local.data().exists());
}
