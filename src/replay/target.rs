//! From where, and which partition: what the command line says.

use factum_core::{Error, Offset, Partition, Result, TimestampMs, TopicPartition};
use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Where a view is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// The log's start.
    Earliest,
    /// The log's end.
    Latest,
    /// An offset of one partition.
    Offset(Offset),
    /// The first event that was recorded then or later.
    Time(TimestampMs),
}

impl FromStr for To {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "earliest" => return Ok(To::Earliest),
            "latest" => return Ok(To::Latest),
            _ => {}
        }
        if let Ok(offset) = text.parse::<u64>() {
            return match i64::try_from(offset) {
                Ok(offset) => Ok(To::Offset(Offset(offset))),
                Err(_) => Err(Error::invalid(format!("{text} is no offset: the largest is {}", i64::MAX))),
            };
        }
        let time = text.parse::<Timestamp>().ok().or_else(|| {
            let date = text.parse::<civil::Date>().ok()?;
            Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
        });
        let time = time.ok_or_else(|| {
            Error::invalid(format!(
                "{text:?} is not where a replay can begin: say earliest, latest, an offset, or a time such as \
                 2026-01-31 or 2026-01-31T08:00:00Z"
            ))
        })?;
        Ok(To::Time(TimestampMs(time.as_millisecond())))
    }
}

/// A partition as people name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct PartitionName {
    /// Needed where a view reads several topics.
    topic: Option<String>,
    partition: Partition,
}

impl FromStr for PartitionName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (topic, number) = match text.rsplit_once('/') {
            Some((topic, number)) => (Some(topic.to_owned()), number),
            None => (None, text),
        };
        let number = number.parse().map_err(|_| {
            Error::invalid(format!(
                "{text:?} is no partition: give its number, or TOPIC/NUMBER as bank.account.events/3"
            ))
        })?;
        Ok(PartitionName { topic, partition: Partition(number) })
    }
}

impl TryFrom<String> for PartitionName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<PartitionName> for String {
    fn from(name: PartitionName) -> Self {
        match name.topic {
            Some(topic) => format!("{topic}/{}", name.partition),
            None => name.partition.to_string(),
        }
    }
}

impl PartitionName {
    /// The one of these partitions that is meant.
    ///
    /// # Errors
    /// `Invalid`: there is none, or there are several.
    pub(crate) fn among<'a>(&self, places: impl Iterator<Item = &'a TopicPartition>) -> Result<TopicPartition> {
        let is_meant = |place: &&TopicPartition| {
            place.partition == self.partition && self.topic.as_ref().is_none_or(|topic| place.topic.as_str() == topic)
        };
        let found: Vec<_> = places.filter(is_meant).collect();
        match &found[..] {
            [one] => Ok((*one).clone()),
            [] => Err(Error::invalid(format!("the view reads no partition {}", self.partition))),
            [first, ..] => Err(Error::invalid(format!(
                "the view reads several topics with a partition {}: name one, for example {first}",
                self.partition
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use factum_core::Topic;

    fn check(text: &str, expected: Expect) {
        let parsed = text.parse::<To>();
        expected.assert_eq(&parsed.map_or_else(|error| format!("error: {error}"), |to| format!("{to:?}")));
    }

    #[test]
    fn a_replay_begins_at_an_end_an_offset_or_a_time() {
        check("earliest", expect!["Earliest"]);
        check("latest", expect!["Latest"]);
        check("120", expect!["Offset(Offset(120))"]);
        check("2026-01-31", expect!["Time(TimestampMs(1769817600000))"]);
        check("2026-01-31T08:00:00+01:00", expect!["Time(TimestampMs(1769842800000))"]);
        check(
            "-1",
            expect![[
                r#"error: "-1" is not where a replay can begin: say earliest, latest, an offset, or a time such as 2026-01-31 or 2026-01-31T08:00:00Z"#
            ]],
        );
        check(
            "18446744073709551615",
            expect!["error: 18446744073709551615 is no offset: the largest is 9223372036854775807"],
        );
    }

    #[test]
    fn a_partition_is_a_number_and_a_topic_where_there_are_several() {
        let places: Vec<_> = ["a", "b"].map(|topic| Topic::from(topic).partition(Partition(1))).into();
        let among = |text: &str, places: &[TopicPartition]| {
            let name = text.parse::<PartitionName>().map_err(|error| error.to_string())?;
            assert_eq!(String::from(name.clone()), text);
            name.among(places.iter()).map(|place| place.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(among("1", &places[..1]).as_deref(), Ok("a/1"));
        assert_eq!(among("b/1", &places).as_deref(), Ok("b/1"));
        assert!(among("1", &places).unwrap_err().contains("name one, for example a/1"));
        assert!(among("7", &places).unwrap_err().contains("reads no partition 7"));
        assert!(among("b/x", &places).unwrap_err().contains("is no partition"));
    }
}
