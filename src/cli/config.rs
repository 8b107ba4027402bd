//! `config`: what holds now, and who said so.

use super::{FormatArgs, output};
use crate::config::{Effective, FILE, Flag, Kind, Origin, Settings, effective};
use clap::{ArgMatches, Args, Subcommand};
use factum_core::{Error, Result};
use factum_log_kafka::KafkaConfig;
use serde_json::json;

/// Show the settings and where they come from: flag, environment, file or default.
///
/// Every long flag is also a variable and a key in factum.toml: --partitions of `up` is
/// FACTUM_UP_PARTITIONS, and `partitions` under [up]; --kafka, which verbs share, is FACTUM_KAFKA
/// and `kafka` at the top. What is given twice is taken from the first of flag, variable, file,
/// default. See docs/configuration.md.
///
/// Example: factum config show up
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum ConfigVerb {
    /// Show every setting, its value and where that is from. Secrets are masked.
    Show(ShowArgs),
    /// Show which file is read.
    Path,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Only the shared settings and those of this verb, for example `up` or `run handler`.
    verb: Vec<String>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(super) fn config(verb: &ConfigVerb, flags: &[Flag], settings: &Settings, matches: &ArgMatches) -> Result<()> {
    match verb {
        ConfigVerb::Show(args) => show(args, flags, settings, matches),
        ConfigVerb::Path => {
            match &settings.file {
                Some(file) => output::line(&file.display().to_string()),
                None => output::note(&format!("no file is read: there is no {FILE} here, and --config names none")),
            }
            Ok(())
        }
    }
}

fn show(args: &ShowArgs, flags: &[Flag], settings: &Settings, matches: &ArgMatches) -> Result<()> {
    if !args.verb.is_empty() && !flags.iter().any(|flag| flag.path.starts_with(&args.verb)) {
        return Err(Error::invalid(format!("there is no verb {:?} with settings", args.verb.join(" "))));
    }
    let all = effective(flags, settings, matches);
    let shown = all.iter().filter(|one| one.flag.path.is_empty() || one.flag.path.starts_with(&args.verb));
    let mut rows = Vec::new();
    for one in shown {
        let properties = properties(one)?;
        if args.format.json {
            output::line(&as_json(one).to_string());
        } else {
            rows.push(vec![one.flag.key.clone(), value(one), one.origin.to_string(), one.flag.variable.clone()]);
        }
        if let Some(properties) = properties.filter(|_| !args.format.json) {
            rows.push(vec!["  its properties".to_owned(), properties, String::new(), String::new()]);
        }
    }
    if !args.format.json {
        output::table(&["key", "value", "from", "variable"].map(String::from), &rows);
    }
    Ok(())
}

/// What the named file of librdkafka's properties holds, secrets masked.
fn properties(one: &Effective<'_>) -> Result<Option<String>> {
    match &one.value {
        Some(file) if one.flag.key == "kafka-config" => Ok(Some(KafkaConfig::from_properties_file(file)?.to_string())),
        _ => Ok(None),
    }
}

fn value(one: &Effective<'_>) -> String {
    match (&one.value, one.flag.kind) {
        (Some(value), _) if value.is_empty() => "\"\"".to_owned(),
        (Some(value), _) => value.clone(),
        (None, Kind::Switch) => "false".to_owned(),
        (None, _) => "-".to_owned(),
    }
}

fn as_json(one: &Effective<'_>) -> serde_json::Value {
    let value = match (&one.value, one.flag.kind) {
        (None, Kind::Switch) => Some("false".to_owned()),
        (value, _) => value.clone(),
    };
    let (origin, line) = match one.origin {
        Origin::File(line) => ("file".to_owned(), Some(line)),
        other => (other.to_string(), None),
    };
    json!({ "key": one.flag.key, "value": value, "from": origin, "line": line, "variable": one.flag.variable })
}
