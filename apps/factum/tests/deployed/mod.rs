//! What a deployment has the binary do, held against the binary.

use std::{collections::BTreeMap, process::Command};
use tempfile::TempDir;

/// What the binary says when a setting for a cluster is all that it lacks: it
/// has then taken every flag and every variable, and knows the type or the view.
const ONLY_A_CLUSTER_IS_MISSING: &str = "needs a log that processes share";

/// What is wrong with arguments and variables.
pub(crate) fn complaint(arguments: &[String], variables: &BTreeMap<String, String>) -> Option<String> {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
    command.env_clear().current_dir(folder.path()).envs(variables).args(arguments);
    // Nothing is reached, and no port is taken.
    command.env_remove("FACTUM_KAFKA").env_remove("FACTUM_KAFKA_CONFIG");
    if variables.contains_key("FACTUM_HTTP") {
        command.env("FACTUM_HTTP", "127.0.0.1:0");
    }
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    (!said.contains(ONLY_A_CLUSTER_IS_MISSING) || said.contains("warning")).then_some(said)
}

/// Whether a setting holds a secret that belongs elsewhere.
pub(crate) fn shows_a_secret(name: &str, value: &str) -> bool {
    let user = value.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(user, _)| user);
    name.contains("PASSWORD") && !value.is_empty() || user.is_some_and(|user| user.contains(':'))
}
