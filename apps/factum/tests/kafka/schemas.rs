//! The registry in the topic of schemas, and processes that register at the same time.

use factum_test_broker::bootstrap;
use serde_json::Value;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

/// A process of its own; what it prints has a line of JSON for each subject.
fn schemas(verb: &[&str], prefix: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_factum"))
        .arg("schemas")
        .args(verb)
        .args(["--json", "--kafka", bootstrap(), "--prefix", prefix])
        .env_clear()
        .env("FACTUM_SCHEMAS", Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/avsc"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn told(child: Child) -> Vec<Value> {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn processes_that_register_at_once_through_the_topic_get_the_same_ids_and_the_next_ones_keep_them() {
    let prefix = format!("{}.", factum_test_broker::unique("schemas"));
    let list = || told(schemas(&["list", &prefix], &prefix));
    let both = [schemas(&["register"], &prefix), schemas(&["register"], &prefix)];
    let both = both.map(told);
    let first = list();
    assert!(first.len() >= 5, "{first:?}");
    for line in &first {
        let given = both.iter().flatten().filter(|told| told["subject"] == line["subject"]);
        // Whoever came second was told that it is there, or given the same id.
        for ids in given.map(|told| told["registered"].as_array().unwrap()) {
            assert!(ids.is_empty() || ids.last() == Some(&line["id"]), "{line} {ids:?}");
        }
    }
    let again = told(schemas(&["register"], &prefix));
    assert!(again.iter().all(|line| line["registered"].as_array().unwrap().is_empty()), "{again:?}");
    assert_eq!(list(), first);
}
