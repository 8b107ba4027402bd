//! Answers to commands.

use crate::{CommandId, Version, wire::Token};
use std::{fmt, str::FromStr};

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerCode {
    /// Decided; its events (perhaps none) are committed.
    Accepted,
    /// The domain said no.
    Refused,
    /// The expected version is not the actual one.
    Conflict,
    /// The command needs a permission that the handler was not granted.
    Forbidden,
    /// The deadline had passed before it was decided.
    DeadlineExceeded,
    /// It was decided before, and its answer is no longer kept.
    AlreadyHandled,
    /// It is in a partition that is not its key's; it was dead-lettered.
    WrongPartition,
    /// The key is not a valid aggregate id; it was dead-lettered.
    InvalidKey,
    /// A header is not valid; it was dead-lettered.
    InvalidHeader,
    /// The value cannot be decoded as a command of this topic; it was dead-lettered.
    Undecodable,
    /// The domain code panicked; it was dead-lettered.
    Failed,
}

impl AnswerCode {
    /// How many there are.
    pub const COUNT: usize = 11;

    const ALL: [(AnswerCode, &'static str); Self::COUNT] = [
        (AnswerCode::Accepted, "accepted"),
        (AnswerCode::Refused, "refused"),
        (AnswerCode::Conflict, "conflict"),
        (AnswerCode::Forbidden, "forbidden"),
        (AnswerCode::DeadlineExceeded, "deadline-exceeded"),
        (AnswerCode::AlreadyHandled, "already-handled"),
        (AnswerCode::WrongPartition, "wrong-partition"),
        (AnswerCode::InvalidKey, "invalid-key"),
        (AnswerCode::InvalidHeader, "invalid-header"),
        (AnswerCode::Undecodable, "undecodable"),
        (AnswerCode::Failed, "failed"),
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = AnswerCode> {
        Self::ALL.into_iter().map(|(code, _)| code)
    }

    /// The code's text on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(code, _)| *code == self).map_or("", |(_, text)| text)
    }
}

impl fmt::Display for AnswerCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AnswerCode {
    type Err = crate::Error;
    fn from_str(text: &str) -> crate::Result<Self> {
        Self::ALL
            .iter()
            .find(|(_, t)| *t == text)
            .map(|(code, _)| *code)
            .ok_or_else(|| crate::Error::data(format!("{text:?} is not an answer code")))
    }
}

/// The answer to one command; on the wire the Avro record `factum.Answer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The command.
    pub command: CommandId,
    /// What became of it.
    pub code: AnswerCode,
    /// The aggregate's version after the command (for a conflict: the actual one).
    pub version: Version,
    /// How many events the command caused; they are the last ones up to `version`.
    pub events: u32,
    /// A position that includes the command's last event, without one the
    /// aggregate's last; none if it has no events.
    pub token: Option<Token>,
    /// A refusal as JSON; for other codes a message for people.
    pub detail: Option<String>,
}
