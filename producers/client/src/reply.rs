//! What became of a command, in the domain's terms.

use factum_core::{
    CommandId, Error, ErrorKind, Result, Version,
    wire::{Answer, AnswerCode, Token},
};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// The handler's reply to a command; `R` is the domain's refusal.
///
/// Every reply is a value: an [`Error`] means that there is none.
/// [`Reply::accepted`] is for callers to whom only one of them is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<R> {
    /// Decided; its events (perhaps none) are committed.
    Accepted(Accepted),
    /// The domain said no.
    Refused(Refused<R>),
    /// The aggregate has another version than the command expected.
    Conflict(Conflict),
    /// It was not decided now, for a reason that is not the domain's.
    Undecided(Undecided),
}

/// An accepted command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The command.
    pub command: CommandId,
    /// The aggregate's version after it.
    pub version: Version,
    /// How many events it caused; they are the last ones up to `version`.
    pub events: u32,
    /// For reading what was just written: a view that has passed this position
    /// shows the command's events. As text (`Display`, `FromStr`) it travels
    /// through pages and other programs. None if the aggregate has no events.
    pub token: Option<Token>,
}

/// A command that the domain refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused<R> {
    /// The command.
    pub command: CommandId,
    /// The aggregate's version, which it still has.
    pub version: Version,
    /// The refusal as JSON.
    pub json: String,
    refusal: PhantomData<fn() -> R>,
}

/// A command that expected another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The command.
    pub command: CommandId,
    /// The aggregate's actual version.
    pub actual: Version,
}

/// A command that was not decided now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The command.
    pub command: CommandId,
    /// Why: [`AnswerCode::Forbidden`], [`AnswerCode::AlreadyHandled`] (decided
    /// long ago, and its reply is no longer kept), or one of those for which it
    /// lies in the dead letters, for example [`AnswerCode::Undecodable`].
    pub code: AnswerCode,
    /// The same for people.
    pub why: String,
}

impl<R> Reply<R> {
    pub(crate) fn of(answer: Answer) -> Self {
        let Answer { command, code, version, events, token, detail } = answer;
        let detail = detail.unwrap_or_default();
        match code {
            AnswerCode::Accepted => Reply::Accepted(Accepted { command, version, events, token }),
            AnswerCode::Refused => Reply::Refused(Refused { command, version, json: detail, refusal: PhantomData }),
            AnswerCode::Conflict => Reply::Conflict(Conflict { command, actual: version }),
            code => Reply::Undecided(Undecided { command, code, why: detail }),
        }
    }

    /// What an accepted command came to.
    ///
    /// # Errors
    /// `Conflict` for another version; `Invalid` for everything else, with the
    /// refusal's JSON or the reason.
    pub fn accepted(self) -> Result<Accepted> {
        match self {
            Reply::Accepted(accepted) => Ok(accepted),
            Reply::Refused(Refused { command, json, .. }) => {
                Err(Error::invalid(format!("command {command} was refused: {json}")))
            }
            Reply::Conflict(Conflict { command, actual }) => Err(Error::new(
                ErrorKind::Conflict,
                format!("command {command} expected another version than the actual one, {actual}"),
            )),
            Reply::Undecided(Undecided { command, code, why }) => {
                Err(Error::invalid(format!("command {command} was not decided: {code}: {why}")))
            }
        }
    }
}

impl<R: DeserializeOwned> Refused<R> {
    /// The refusal as the domain's type.
    ///
    /// # Errors
    /// `Data` when the handler runs another version of the domain, whose
    /// refusals this one cannot read; [`Refused::json`] still tells.
    pub fn refusal(&self) -> Result<R> {
        serde_json::from_str(&self.json).map_err(|error| {
            let what = format!("{:?} is not a {}", self.json, std::any::type_name::<R>());
            Error::with_source(ErrorKind::Data, what, error)
        })
    }
}
