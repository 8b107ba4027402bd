//! `dead-letters`: the commands that a handler could not handle.

use super::{FormatArgs, connect::LogArgs, output};
use crate::{
    App,
    environment::Environment,
    history::{event_json, read_partition},
    host::rfc3339,
};
use clap::{Args, Subcommand};
use factum_core::{AggregateId, Error, Offset, Partition, RecordRef, Result, TimestampMs, TopicPartition};
use serde_json::{Map, Value, json};
use std::{collections::VecDeque, ops::ControlFlow, str::FromStr};

/// The headers that a handler adds.
const CODE: &str = "dead-letter-code";
const CAUSE: &str = "dead-letter-cause";
const ORIGIN: [&str; 3] = ["dead-letter-topic", "dead-letter-partition", "dead-letter-offset"];

/// Look at the commands that a handler could not handle, and why.
///
/// A command that cannot be decoded, has a bad key or header, lies in a partition that is not its
/// key's, or at which `decide` panics, is answered with its code and kept, as it came, in the topic of
/// dead letters. The commands behind it are handled. It was not applied: mend what the cause says,
/// and send it again with `publish`.
///
/// Examples:
///   factum dead-letters list bank.account --kafka localhost:9092
///   factum dead-letters show bank.account 3/17 --kafka localhost:9092
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum DeadLettersVerb {
    List(ListArgs),
    Show(ShowArgs),
}

/// List dead letters by partition, oldest first.
///
/// Example: factum dead-letters list bank.account --code undecodable --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ListArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// Only with this code of the answer, for example undecodable or failed.
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only of this aggregate.
    #[arg(long, value_name = "ID")]
    key: Option<AggregateId>,
    /// The most that are listed of each partition: the last ones.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Show one dead letter: its headers, and what is in it as far as it can be read.
///
/// Example: factum dead-letters show bank.account 3/17 --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ShowArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// Which one: PARTITION/OFFSET, as `list` says.
    letter: Letter,
    #[command(flatten)]
    log: LogArgs,
}

/// Where a dead letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Letter {
    partition: Partition,
    offset: Offset,
}

impl FromStr for Letter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let place = text.split_once('/').and_then(|(partition, offset)| {
            let offset = offset.parse::<u64>().ok().and_then(|offset| i64::try_from(offset).ok())?;
            Some(Letter { partition: Partition(partition.parse().ok()?), offset: Offset(offset) })
        });
        place.ok_or_else(|| {
            Error::invalid(format!("{text:?} is no dead letter: give PARTITION/OFFSET, for example 3/17"))
        })
    }
}

pub(super) fn dead_letters(app: &App, verb: &DeadLettersVerb) -> Result<()> {
    match verb {
        DeadLettersVerb::List(args) => list(app, args),
        DeadLettersVerb::Show(args) => show(app, args),
    }
}

fn list(app: &App, args: &ListArgs) -> Result<()> {
    let name = app.aggregate_host(&args.aggregate_type)?.aggregate_type();
    let (environment, _) = args.log.at_rest("dead-letters list")?;
    let mut found = Vec::new();
    for place in places(&environment, name)? {
        let mut last = VecDeque::new();
        read_partition(&environment, &place, None, |record| {
            let is_meant = args.code.as_ref().is_none_or(|code| text(record, CODE) == *code)
                && args.key.as_ref().is_none_or(|key| record.key() == Some(key.as_str().as_bytes()));
            if is_meant && args.limit > 0 {
                last.push_back(summary(record));
                if last.len() > args.limit {
                    last.pop_front();
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        found.extend(last);
    }
    if args.format.json {
        found.iter().for_each(|letter| output::line(&letter.to_string()));
        return Ok(());
    }
    if found.is_empty() {
        output::line(&format!("{name}: no dead letters"));
        return Ok(());
    }
    let columns = ["letter", "at", "key", "code", "command", "cause"].map(str::to_owned);
    let cell = |letter: &Value, name: &str| letter[name].as_str().unwrap_or_default().to_owned();
    let rows = found.iter().map(|letter| {
        ["letter", "at", "key", "code", "command", "cause"].iter().map(|name| cell(letter, name)).collect()
    });
    output::table(&columns, &rows.collect::<Vec<_>>());
    Ok(())
}

fn show(app: &App, args: &ShowArgs) -> Result<()> {
    let name = app.aggregate_host(&args.aggregate_type)?.aggregate_type();
    let (environment, _) = args.log.at_rest("dead-letters show")?;
    let Letter { partition, offset } = args.letter;
    let place = places(&environment, name)?.into_iter().find(|place| place.partition == partition);
    let place = place.ok_or_else(|| Error::invalid(format!("{name} has no partition {partition}")))?;
    let mut found = None;
    read_partition(&environment, &place, Some(offset), |record| {
        if record.offset() == offset {
            let mut letter = summary(record);
            let headers = record.headers().map(|(name, value)| {
                let value = value.map_or(Value::Null, |value| String::from_utf8_lossy(value).into());
                (name.to_owned(), value)
            });
            letter["headers"] = Value::Object(headers.collect::<Map<_, _>>());
            letter["value"] = match event_json(&environment, record) {
                Ok((name, value)) => json!({ "command": name, "value": value }),
                Err(error) => json!({ "error": error.to_string(), "bytes": record.value().map_or(0, <[u8]>::len) }),
            };
            found = Some(letter);
        }
        Ok(ControlFlow::Break(()))
    })?;
    let letter = found.ok_or_else(|| {
        Error::invalid(format!(
            "there is no dead letter at {place}@{offset}: `dead-letters list {name}` says where they are"
        ))
    })?;
    output::line(&format!("{letter:#}"));
    Ok(())
}

fn places(environment: &Environment, name: &str) -> Result<Vec<TopicPartition>> {
    environment.log.admin()?.partitions(&environment.topics(name).dead_letters)
}

/// A line about a dead letter.
fn summary(record: RecordRef<'_>) -> Value {
    let [topic, partition, offset] = ORIGIN.map(|name| text(record, name));
    json!({
        "letter": format!("{}/{}", record.partition(), record.offset()),
        "at": rfc3339(record.timestamp().unwrap_or(TimestampMs(0))),
        "key": record.key().map(String::from_utf8_lossy),
        "code": text(record, CODE),
        "command": format!("{topic}/{partition}@{offset}"),
        "cause": text(record, CAUSE),
    })
}

/// A header's text; empty where there is none.
fn text(record: RecordRef<'_>, name: &str) -> String {
    String::from_utf8_lossy(record.header(name).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_dead_letter_is_named_by_partition_and_offset() {
        let letter = Letter { partition: Partition(3), offset: Offset(17) };
        assert_eq!("3/17".parse::<Letter>().unwrap(), letter);
        for text in ["", "3", "3/", "/17", "-1/4", "3/-4", "3/18446744073709551615"] {
            let error = text.parse::<Letter>().unwrap_err().to_string();
            assert!(error.contains("is no dead letter: give PARTITION/OFFSET"), "{error}");
        }
        expect![[r#""x/1" is no dead letter: give PARTITION/OFFSET, for example 3/17"#]]
            .assert_eq(&"x/1".parse::<Letter>().unwrap_err().to_string());
    }
}
