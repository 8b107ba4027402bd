//! What the program logs as JSON.
#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use serde_json::Value;
use std::process::{Command, Output};

fn factum(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
    // A cluster that the machine's user works with is none of this test's business.
    for name in ["FACTUM_KAFKA", "FACTUM_KAFKA_CONFIG", "FACTUM_REGISTRY", "FACTUM_VIEWS", "FACTUM_LOG"] {
        command.env_remove(name);
    }
    let empty = tempfile::tempdir().unwrap();
    command.env("FACTUM_DATA", empty.path()).args(arguments).output().unwrap()
}

/// Every line of standard error, which are JSON objects with time and level.
#[track_caller]
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let lines: Vec<Value> = text.lines().map(parse).collect();
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    lines
}

#[test]
fn json_logs_are_a_value_a_line_with_the_fields_of_their_spans() {
    let output = factum(&["up", "--memory", "--until-idle", "--log-format", "json", "--log", "debug"]);
    assert!(output.status.success(), "{output:?}");
    let lines = lines(&output);
    let spans: Vec<&Value> = lines.iter().filter_map(|line| line["spans"].as_array()).flatten().collect();
    for (name, field) in [("command.handle", "commands"), ("log.commit", "size_bytes"), ("view.batch", "records")] {
        let has = |span: &&&Value| span["name"] == name && span[field].as_u64() > Some(0);
        assert!(spans.iter().find(has).is_some(), "no span {name} with {field}");
    }
    // What people are told is of the same form.
    assert!(lines.iter().any(|line| line["fields"]["message"].as_str().is_some_and(|text| text.contains("in memory"))));
}

#[test]
fn an_error_is_json_too() {
    let output = factum(&["history", "bank.account", "anna", "--log-format", "json"]);
    assert!(!output.status.success());
    let lines = lines(&output);
    assert!(matches!(&lines[..], [line] if line["level"] == "ERROR"), "{lines:?}");
}
