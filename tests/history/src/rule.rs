//! What is promised.

use std::fmt;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An accepted command's events are in the log.
    NothingLost,
    /// A command's events are in the log once, as long as the handler remembers it.
    NothingTwice,
    /// A refused command has no event, nor has a conflicting one, nor one that nobody sent.
    NothingInvented,
    /// An account's versions are 1, 2, 3 …
    VersionsInOrder,
    /// The events of a command lie together, in the partition of their key.
    BatchesWhole,
    /// A partition's events were recorded one after the other.
    TimeGoesOn,
    /// Transfers neither make money nor destroy it.
    MoneyConserved,
    /// The views' rows are the fold of the log.
    ViewIsTheFold,
    /// An answer says what the log says, and a repeated one says the same.
    AnswersMatch,
    /// Every command was answered in the end.
    AllAnswered,
    /// A view that has passed a token shows what the token stands for.
    OwnWritesRead,
    /// No command was dead-lettered that did not deserve it.
    NoDeadLetters,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 12] = [
        Rule::NothingLost,
        Rule::NothingTwice,
        Rule::NothingInvented,
        Rule::VersionsInOrder,
        Rule::BatchesWhole,
        Rule::TimeGoesOn,
        Rule::MoneyConserved,
        Rule::ViewIsTheFold,
        Rule::AnswersMatch,
        Rule::AllAnswered,
        Rule::OwnWritesRead,
        Rule::NoDeadLetters,
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::NothingLost => "no acknowledged command lost",
            Rule::NothingTwice => "none applied twice",
            Rule::NothingInvented => "refused means no event",
            Rule::VersionsInOrder => "versions without gap or repeat",
            Rule::BatchesWhole => "batches whole and in their key's partition",
            Rule::TimeGoesOn => "recorded times never go back",
            Rule::MoneyConserved => "money conserved",
            Rule::ViewIsTheFold => "view = fold(log)",
            Rule::AnswersMatch => "answers match the log",
            Rule::AllAnswered => "every command answered",
            Rule::OwnWritesRead => "read-your-writes of every token held",
            Rule::NoDeadLetters => "no dead letters",
        })
    }
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}
