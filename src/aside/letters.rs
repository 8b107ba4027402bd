//! Looking at the commands that a handler has dead-lettered.

use super::{content, stopped};
use crate::{
    environment::Environment,
    errand::{Errand, Here},
    history::{read_partition, read_range},
    host::{Stop, rfc3339},
};
use factum_core::{Error, Offset, Partition, RecordRef, Result, TimestampMs, TopicPartition};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::VecDeque, fmt, ops::ControlFlow, str::FromStr};

/// The headers that a handler adds.
const CODE: &str = "dead-letter-code";
const CAUSE: &str = "dead-letter-cause";
const ORIGIN: [&str; 3] = ["dead-letter-topic", "dead-letter-partition", "dead-letter-offset"];

/// Where a dead letter is: `PARTITION/OFFSET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Letter {
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

impl TryFrom<String> for Letter {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Letter> for String {
    fn from(letter: Letter) -> Self {
        letter.to_string()
    }
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

/// The dead letters of an aggregate type by partition, the oldest first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListLetters {
    pub(crate) aggregate_type: String,
    /// Only with this code of the answer.
    pub(crate) code: Option<String>,
    /// Only of this aggregate.
    pub(crate) key: Option<String>,
    /// The most of each partition: the last ones.
    pub(crate) limit: usize,
}

impl ListLetters {
    /// The largest limit.
    pub(crate) const MAX_LIMIT: usize = 100_000;

    fn means(&self, record: RecordRef<'_>) -> bool {
        self.code.as_ref().is_none_or(|code| text(record, CODE) == *code)
            && self.key.as_ref().is_none_or(|key| record.key() == Some(key.as_bytes()))
    }
}

/// A line about a dead letter.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LetterLine {
    pub(crate) letter: Letter,
    /// When it was dead-lettered.
    pub(crate) at: String,
    pub(crate) key: Option<String>,
    pub(crate) code: String,
    /// Where the command was.
    pub(crate) command: String,
    pub(crate) cause: String,
}

impl LetterLine {
    fn new(record: RecordRef<'_>) -> Self {
        let [topic, partition, offset] = ORIGIN.map(|name| text(record, name));
        LetterLine {
            letter: Letter { partition: record.partition(), offset: record.offset() },
            at: rfc3339(record.timestamp().unwrap_or(TimestampMs(0))),
            key: record.key().map(|key| String::from_utf8_lossy(key).into_owned()),
            code: text(record, CODE),
            command: format!("{topic}/{partition}@{offset}"),
            cause: text(record, CAUSE),
        }
    }
}

impl Errand for ListLetters {
    const NAME: &'static str = "list-dead-letters";
    type Told = LetterLine;
    type Done = ();

    fn run(&self, here: &Here, stop: &Stop, tell: &mut dyn FnMut(LetterLine)) -> Result<()> {
        if self.limit > Self::MAX_LIMIT {
            return Err(Error::invalid(format!(
                "--limit is at most {}: --code and --key say which dead letters are meant",
                Self::MAX_LIMIT
            )));
        }
        let go_on = || if stop.is_stopped() { Err(stopped()) } else { Ok(ControlFlow::Continue(())) };
        let environment = here.environment()?;
        for place in places(here, environment, &self.aggregate_type)? {
            // Where the last ones are, and then what they are: of letters of any size only one is held.
            let mut last = VecDeque::new();
            read_partition(environment, &place, None, |record| {
                if self.limit > 0 && self.means(record) {
                    last.push_back(record.offset());
                    if last.len() > self.limit {
                        last.pop_front();
                    }
                }
                go_on()
            })?;
            let (Some(start), Some(end)) = (last.front().copied(), last.back().copied()) else { continue };
            read_range(environment, &place, start..end.next(), |record| {
                if last.front() == Some(&record.offset()) {
                    last.pop_front();
                    tell(LetterLine::new(record));
                }
                go_on()
            })?;
        }
        Ok(())
    }
}

/// A dead letter: its line, its headers, and what is in it as far as it can be read, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowLetter {
    pub(crate) aggregate_type: String,
    pub(crate) letter: Letter,
}

impl Errand for ShowLetter {
    const NAME: &'static str = "show-dead-letter";
    type Told = ();
    type Done = Value;

    fn run(&self, here: &Here, _: &Stop, _: &mut dyn FnMut(())) -> Result<Value> {
        let (environment, name) = (here.environment()?, &self.aggregate_type);
        let Letter { partition, offset } = self.letter;
        let place = places(here, environment, name)?.into_iter().find(|place| place.partition == partition);
        let place = place.ok_or_else(|| Error::invalid(format!("{name} has no partition {partition}")))?;
        let mut found = None;
        read_partition(environment, &place, Some(offset), |record| {
            if record.offset() == offset {
                found = Some(whole(environment, record)?);
            }
            Ok(ControlFlow::Break(()))
        })?;
        found.ok_or_else(|| {
            Error::invalid(format!(
                "there is no dead letter at {place}@{offset}: `dead-letters list {name}` says where they are"
            ))
        })
    }
}

fn whole(environment: &Environment, record: RecordRef<'_>) -> Result<Value> {
    let line = serde_json::to_value(LetterLine::new(record));
    let mut letter = line.map_err(|error| Error::data(format!("{record:?} is no JSON: {error}")))?;
    let headers = record.headers().map(|(name, value)| {
        let value = value.map_or(Value::Null, |value| String::from_utf8_lossy(value).into());
        (name.to_owned(), value)
    });
    letter["headers"] = Value::Object(headers.collect::<Map<_, _>>());
    letter["value"] = content(environment, record, "command");
    Ok(letter)
}

fn places(here: &Here, environment: &Environment, aggregate_type: &str) -> Result<Vec<TopicPartition>> {
    let name = here.app().aggregate_host(aggregate_type)?.aggregate_type();
    environment.log.admin()?.partitions(&environment.topics(name).dead_letters)
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
        assert_eq!(serde_json::to_string(&letter).unwrap(), r#""3/17""#);
        for text in ["", "3", "3/", "/17", "-1/4", "3/-4", "3/18446744073709551615"] {
            let error = text.parse::<Letter>().unwrap_err().to_string();
            assert!(error.contains("is no dead letter: give PARTITION/OFFSET"), "{error}");
            assert!(serde_json::from_value::<Letter>(text.into()).is_err(), "{text}");
        }
        expect![[r#""x/1" is no dead letter: give PARTITION/OFFSET, for example 3/17"#]]
            .assert_eq(&"x/1".parse::<Letter>().unwrap_err().to_string());
    }
}
