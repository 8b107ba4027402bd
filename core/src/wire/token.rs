//! Position tokens: "including this offset of this partition".

use crate::{Error, Offset, Partition, Result, Topic, TopicId, TopicPartition};
use std::{fmt, str::FromStr};

/// A position in an events topic. A reader has passed it when its own position
/// is beyond [`Token::offset`].
///
/// As text `bank.account.events/3@1024`; with the topic's identity
/// `bank.account.events/3@1024#<topic id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Of which partition.
    pub place: TopicPartition,
    /// The last offset that is included.
    pub offset: Offset,
    /// The topic's identity, if known: a token of a recreated topic names nothing.
    pub topic_id: Option<TopicId>,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.place, self.offset)?;
        match self.topic_id {
            Some(id) => write!(f, "#{id}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (position, topic_id) = match text.split_once('#') {
                Some((position, id)) => (position, Some(id.parse().ok()?)),
                None => (text, None),
            };
            let (place, offset) = position.rsplit_once('@')?;
            let (topic, partition) = place.rsplit_once('/')?;
            let offset: i64 = offset.parse().ok().filter(|&offset| offset >= 0)?;
            (!topic.is_empty()).then_some(())?;
            Some(Token {
                place: Topic::from(topic).partition(Partition(partition.parse().ok()?)),
                offset: Offset(offset),
                topic_id,
            })
        };
        parse().ok_or_else(|| {
            Error::invalid(format!("{text:?} is not a position token: expected topic/partition@offset, for example bank.account.events/3@1024"))
        })
    }
}
