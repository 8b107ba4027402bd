//! What a subject lets in.

use super::Refusal;
use std::{fmt, str::FromStr};

/// The compatibility that a new version of a subject must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Anything goes.
    None,
    /// The new schema reads what the latest wrote.
    Backward,
    /// The new schema reads what every earlier one wrote.
    BackwardTransitive,
    /// The latest schema reads what the new one writes.
    Forward,
    /// Every earlier schema reads what the new one writes.
    ForwardTransitive,
    /// Both, with the latest.
    Full,
    /// Both, with every earlier one.
    FullTransitive,
}

impl Level {
    /// All, in the order of the documentation.
    pub const ALL: [Level; 7] = [
        Level::Backward,
        Level::BackwardTransitive,
        Level::Forward,
        Level::ForwardTransitive,
        Level::Full,
        Level::FullTransitive,
        Level::None,
    ];

    /// Where nothing is configured: events are read for ever.
    pub const DEFAULT: Level = Level::BackwardTransitive;

    /// Whether a new schema must read what earlier ones wrote.
    pub fn looks_back(self) -> bool {
        matches!(self, Level::Backward | Level::BackwardTransitive | Level::Full | Level::FullTransitive)
    }

    /// Whether earlier schemas must read what a new one writes.
    pub fn looks_forward(self) -> bool {
        matches!(self, Level::Forward | Level::ForwardTransitive | Level::Full | Level::FullTransitive)
    }

    /// Whether all versions count, not the latest alone.
    pub fn is_transitive(self) -> bool {
        matches!(self, Level::BackwardTransitive | Level::ForwardTransitive | Level::FullTransitive)
    }

    /// Its name in the API, for example `FULL_TRANSITIVE`.
    pub fn name(self) -> &'static str {
        match self {
            Level::None => "NONE",
            Level::Backward => "BACKWARD",
            Level::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Level::Forward => "FORWARD",
            Level::ForwardTransitive => "FORWARD_TRANSITIVE",
            Level::Full => "FULL",
            Level::FullTransitive => "FULL_TRANSITIVE",
        }
    }
}

/// What may be done to a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    ReadWrite,
    /// Nothing but reading.
    ReadOnly,
    /// Registering with ids that another registry gave, without a check of compatibility.
    Import,
}

impl Mode {
    const ALL: [Mode; 3] = [Mode::ReadWrite, Mode::ReadOnly, Mode::Import];

    /// Its name in the API, for example `READWRITE`.
    pub fn name(self) -> &'static str {
        match self {
            Mode::ReadWrite => "READWRITE",
            Mode::ReadOnly => "READONLY",
            Mode::Import => "IMPORT",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Level::ALL.into_iter().find(|level| level.name() == text).ok_or_else(|| Refusal::invalid_level(text))
    }
}

impl FromStr for Mode {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Mode::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| Refusal::invalid_mode(text))
    }
}
