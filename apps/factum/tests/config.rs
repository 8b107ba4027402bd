//! Settings of the binary: flag before environment before file before default,
//! and what is said about wrong ones.

// A test that cannot get what it needs is a test that fails.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
};
use tempfile::TempDir;

/// A folder in which the binary is run, with its file of settings.
struct Folder(TempDir);

impl Folder {
    fn with(settings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("factum.toml"), settings).unwrap();
        Folder(folder)
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
        // What the developer has set is not part of the test.
        std::env::vars_os()
            .map(|(name, _)| name)
            .filter(|name| name.to_string_lossy().starts_with("FACTUM_"))
            .for_each(|name| {
                command.env_remove(name);
            });
        command.args(arguments).envs(variables.iter().copied()).current_dir(self.0.path()).output().unwrap()
    }

    /// Value and origin by key, as `config show` says.
    fn shown(&self, arguments: &[&str], variables: &[(&str, &str)]) -> BTreeMap<String, (Value, String)> {
        let output = self.run(&[&["config", "show", "--json"], arguments].concat(), variables);
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines
            .lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                let text = |name: &str| line[name].as_str().unwrap().to_owned();
                (text("key"), (line["value"].clone(), text("from")))
            })
            .collect()
    }

    /// What a verb that fails says.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, &[]);
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn from(value: &str, origin: &str) -> (Value, String) {
    (value.into(), origin.to_owned())
}

#[test]
fn a_config_typo_is_named_with_its_line_and_the_nearest_key() {
    let folder = Folder::with("log = \"warn\"\n\n[run.handler]\nsession-timeuot-ms = 6000\n");
    for verb in [&["config", "show"][..], &["topics", "check", "bank.account"]] {
        let told = folder.refused(verb);
        let expected = "factum.toml: line 4: the key run.handler.session-timeuot-ms is not known; did you mean run.handler.session-timeout-ms?";
        assert!(told.contains(expected), "{told}");
    }
    // The next good one is taken.
    let file = folder.0.path().join("factum.toml");
    fs::write(file, "[run.handler]\nsession-timeout-ms = 6000\n").unwrap();
    assert_eq!(folder.shown(&["run", "handler"], &[])["run.handler.session-timeout-ms"], from("6000", "file"));
}

#[test]
fn a_value_that_its_flag_does_not_take_is_named_with_its_line() {
    let told = Folder::with("[up]\npartitions = \"many\"\n").refused(&["up", "--until-idle"]);
    assert!(told.contains("factum.toml: line 2: up.partitions has the invalid value 'many'"), "{told}");
}

#[test]
fn a_file_that_is_named_and_missing_is_an_error() {
    let told = Folder::with("").refused(&["config", "show", "--config", "other.toml"]);
    assert!(told.contains("the configuration other.toml cannot be read"), "{told}");
}

#[test]
fn each_setting_is_shown_with_where_it_is_from() {
    let folder = Folder::with("log = \"info\"\nprefix = \"a.\"\n[up]\npartitions = 3\nlimit = 7\n");
    let variables = [("FACTUM_UP_LIMIT", "8"), ("FACTUM_PREFIX", "b."), ("FACTUM_REGISTRY", "http://anna:hunter2@one")];
    let shown = folder.shown(&["up", "--log", "error"], &variables);
    assert_eq!(shown["log"], from("error", "flag"));
    assert_eq!(shown["prefix"], from("b.", "environment"));
    assert_eq!(shown["up.limit"], from("8", "environment"));
    assert_eq!(shown["up.partitions"], from("3", "file"));
    assert_eq!(shown["log-format"], from("text", "default"));
    assert_eq!(shown["up.until-idle"], from("false", "default"));
    assert_eq!(shown["registry"], from("http://***@one", "environment"));
    assert!(!shown.contains_key("run.handler.workers"));
    assert!(folder.shown(&[], &[]).contains_key("run.handler.workers"));
}

#[test]
fn secrets_in_a_file_of_kafkas_properties_are_masked() {
    let folder = Folder::with("kafka-config = \"kafka.properties\"\n");
    let properties = "bootstrap.servers=one:9092\nsasl.password=hunter2\n";
    fs::write(folder.0.path().join("kafka.properties"), properties).unwrap();
    let output = folder.run(&["config", "show", "up"], &[]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("sasl.password=***") && told.contains("one:9092") && !told.contains("hunter2"), "{told}");
}

#[test]
fn the_file_and_the_environment_decide_what_a_verb_does() {
    let folder = Folder::with("[up]\nno-sample = true\n[topics.create]\npartitions = \"3\"\n");
    // Without --until-idle it would not end; with the sample it would print rows.
    let up = folder.run(&["up"], &[("FACTUM_UP_UNTIL_IDLE", "yes")]);
    assert!(up.status.success(), "{up:?}");
    assert!(String::from_utf8(up.stdout).unwrap().contains("0 rows"));
    // A default of the file's is shown in the help as any other.
    let help = folder.run(&["topics", "create", "--help"], &[]);
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("[default: 3]"), "{help}");
    let path = folder.run(&["config", "path"], &[]);
    assert_eq!(String::from_utf8(path.stdout).unwrap(), "factum.toml\n");
}

#[test]
fn a_variable_that_is_not_known_is_a_warning() {
    let output = Folder::with("").run(&["config", "path"], &[("FACTUM_KAFKKA", "one:9092")]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success());
    assert!(told.contains("warning: the variable FACTUM_KAFKKA is not known; did you mean FACTUM_KAFKA?"), "{told}");
}
