use super::*;
use crate::cli;
use clap::{Parser, Subcommand};
use expect_test::{Expect, expect, expect_file};
use std::{collections::BTreeMap, fmt::Write, fs};
use tempfile::TempDir;

/// A command line with a flag of each kind.
#[derive(Debug, Parser)]
struct Line {
    #[arg(long, global = true, env = "FACTUM_LOG", default_value = "warn")]
    log: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Up {
        #[arg(long, default_value_t = 6)]
        partitions: u32,
        #[arg(long)]
        until_idle: bool,
        #[arg(long, env = "FACTUM_API_TOKEN")]
        api_token: Option<String>,
    },
    Run {
        #[arg(long)]
        grant: Vec<String>,
    },
}

fn line() -> Command {
    <Line as clap::CommandFactory>::command()
}

/// What a command line means with that file.
fn parsed(text: &str, arguments: &[&str]) -> String {
    let flags = flags(&line());
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("factum.toml");
    fs::write(&file, text).unwrap();
    let settings = Settings::read(Some(file), &flags).unwrap();
    let matches = apply(line(), &flags, &settings).try_get_matches_from([&["factum"], arguments].concat());
    match matches {
        Ok(matches) => format!("{:?}", <Line as clap::FromArgMatches>::from_arg_matches(&matches).unwrap()),
        Err(error) => error.to_string(),
    }
}

/// What is said about a file that is wrong.
fn refused(text: &str, expected: Expect) {
    let error = file::parse(text, &flags(&line())).unwrap_err();
    assert_eq!(error.kind(), factum_core::ErrorKind::Invalid);
    expected.assert_eq(&error.to_string());
}

#[test]
fn the_file_is_the_default_and_a_flag_wins() {
    let text = "log = \"debug\"\n[up]\npartitions = 3\nuntil-idle = true\n[run]\ngrant = [\"import\", \"audit\"]\n";
    let expected = r#"Line { log: "debug", verb: Up { partitions: 3, until_idle: true, api_token: None } }"#;
    assert_eq!(parsed(text, &["up"]), expected);
    let flags = ["up", "--partitions", "9", "--until-idle=false", "--log", "error"];
    let expected = r#"Line { log: "error", verb: Up { partitions: 9, until_idle: false, api_token: None } }"#;
    assert_eq!(parsed(text, &flags), expected);
    let expected = r#"Line { log: "debug", verb: Run { grant: ["import", "audit"] } }"#;
    assert_eq!(parsed(text, &["run"]), expected);
    let expected = r#"Line { log: "debug", verb: Run { grant: ["other"] } }"#;
    assert_eq!(parsed(text, &["run", "--grant", "other"]), expected);
}

#[test]
fn without_a_file_nothing_changes() {
    let expected = r#"Line { log: "warn", verb: Up { partitions: 6, until_idle: true, api_token: None } }"#;
    assert_eq!(parsed("", &["up", "--until-idle"]), expected);
    let settings = Settings::read(None, &flags(&line())).unwrap();
    assert_eq!(settings.file, None);
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_one() {
    refused(
        "log = \"warn\"\n\n[up]\npartitons = 3\n",
        expect!["line 4: the key up.partitons is not known; did you mean up.partitions?"],
    );
    refused("partitions = 3\n", expect!["line 1: the key partitions is not known; did you mean up.partitions?"]);
    refused("[upp]\npartitions = 3\n", expect!["line 1: the key upp is not known; did you mean up?"]);
    refused("[up]\nlog = \"warn\"\n", expect!["line 2: the key up.log is not known; did you mean log?"]);
}

#[test]
fn a_value_of_another_type_is_told_with_its_line() {
    refused(
        "[up]\npartitions = \"many\"\n",
        expect![[r#"line 2: up.partitions has the invalid value 'many': invalid digit found in string"#]],
    );
    refused(
        "[up]\npartitions = true\n",
        expect!["line 2: up.partitions takes a value such as a text or a number, not true or false"],
    );
    refused("[up]\nuntil-idle = 1\n", expect!["line 2: up.until-idle takes true or false, not a number"]);
    refused("log = [\"a\"]\n", expect!["line 1: log takes a value such as a text or a number, not a list"]);
    refused("up = 3\n", expect!["line 1: up is a table: write [up]"]);
    refused("[up\n", expect!["line 1: unclosed table, expected `]`"]);
    refused("log = 1\nlog = 2\n", expect!["line 2: duplicate key"]);
}

#[test]
fn a_file_that_is_named_has_to_be_there_and_short() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("other.toml");
    let read = || Settings::read(Some(file.clone()), &flags(&line())).unwrap_err().to_string();
    assert!(read().contains("other.toml cannot be read"), "{}", read());
    fs::write(&file, "#".repeat(256 * 1024 + 1)).unwrap();
    assert!(read().contains("is longer than 262144 bytes"), "{}", read());
}

#[test]
fn the_files_name_is_taken_from_the_command_line_first() {
    let named = |arguments: &[&str]| named_file(arguments.iter().map(OsString::from));
    assert_eq!(named(&["up", "--config", "a.toml", "--config", "b.toml"]), Some("a.toml".into()));
    assert_eq!(named(&["--config=a.toml"]), Some("a.toml".into()));
    assert_eq!(named(&["publish", "--", "--config", "a.toml"]), None);
}

#[test]
fn an_unknown_variable_is_told_with_the_nearest_one() {
    let names = ["FACTUM_UP_PARTITION", "FACTUM_LOG", "FACTUM_CONFIG", "FACTUM_REAL_DATA", "PATH"].map(OsString::from);
    let told = unknown_variables(names.iter().map(|name| name.as_os_str()), &flags(&line()));
    let expected = "warning: the variable FACTUM_UP_PARTITION is not known; did you mean FACTUM_UP_PARTITIONS?";
    assert_eq!(told, [expected]);
}

#[test]
fn a_flag_with_a_secrets_name_is_masked() {
    let flags = flags(&line());
    let settings = Settings::read(None, &flags).unwrap();
    let matches = line().get_matches_from(["factum", "up", "--api-token", "hunter2"]);
    let secret: BTreeMap<&str, bool> = flags.iter().map(|flag| (flag.long.as_str(), flag.is_secret())).collect();
    assert_eq!(secret.into_iter().filter(|(_, secret)| *secret).collect::<Vec<_>>(), [("api-token", true)]);
    assert!(!format!("{:?}", effective(&flags, &settings, &matches)).contains("hunter2"));
}

/// The page of all settings: what stands above the table here, and the table.
const PAGE: &str = "\
# Configuration

Every long flag of every verb is also an environment variable and a key in a TOML file. What is given twice is taken from the first of: flag, variable, file, default. `factum config show` prints what holds and where it is from, `factum config show up` the settings of one verb too, with `--json` one JSON object a line; `factum config path` says which file is read.

The file is `factum.toml` in the current folder if it is there, or the one named by `--config FILE` or `FACTUM_CONFIG`. Shared settings stand at its top, those of a verb in its table:

```toml
kafka = \"localhost:9092\"
log = \"info\"

[up]
partitions = 12
until-idle = true

[run.handler]
session-timeout-ms = 6000
grant = [\"import\"]
```

A switch takes `true` or `false`; what file or variable switch on, `--until-idle=false` switches off. A flag that may be repeated takes a list, its variable values with commas between them. A key that is not known and a value that its flag would not take end every verb with the file, the line and the nearest key; a variable that begins with `FACTUM_` and is not known is a warning. Secrets are masked wherever settings are shown. Command lines are visible to others on a machine: prefer a file of librdkafka's properties (`kafka-config`) that only you can read.

";

#[test]
fn the_page_of_settings_lists_every_flag() {
    let flags = flags(&cli::command());
    let mut page = format!("{PAGE}| key | variable | takes | default |\n|---|---|---|---|\n");
    for flag in &flags {
        let takes = match flag.kind {
            Kind::Switch => "true or false",
            Kind::One => "a value",
            Kind::Many => "a list",
        };
        let default = match (flag.kind, flag.default.join(",")) {
            (Kind::Switch, _) => "`false`".to_owned(),
            (_, default) if default.is_empty() => String::new(),
            (_, default) => format!("`{default}`"),
        };
        writeln!(page, "| `{}` | `{}` | {takes} | {default} |", flag.key, flag.variable).unwrap();
    }
    // UPDATE_EXPECT=1 writes it.
    expect_file!["../../docs/configuration.md"].assert_eq(&page);
}

#[test]
fn no_two_flags_share_a_variable() {
    let flags = flags(&cli::command());
    let mut keys: BTreeMap<&str, &str> = BTreeMap::new();
    for flag in &flags {
        assert_eq!(keys.insert(&flag.variable, &flag.key), None, "{}", flag.variable);
    }
    assert!(keys["FACTUM_KAFKA"] == "kafka" && keys["FACTUM_RUN_HANDLER_WORKERS"] == "run.handler.workers");
}

/// Texts with lines of their own are broken once more where a terminal is narrower.
#[test]
fn the_help_of_each_verb_fits_a_hundred_columns() {
    fn check(command: &clap::Command) {
        let text = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        let has_lines = text.lines().zip(text.lines().skip(1)).any(|(line, next)| !line.is_empty() && !next.is_empty());
        for line in text.lines().filter(|_| has_lines) {
            assert!(line.chars().count() <= 100, "{}: {line}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    check(&cli::command());
}

#[test]
fn the_mirrored_commands_are_sound() {
    let flags = flags(&cli::command());
    let settings = Settings::read(None, &flags).unwrap();
    apply(cli::command(), &flags, &settings).debug_assert();
}
