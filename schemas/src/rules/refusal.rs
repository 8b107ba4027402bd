//! What a registry answers instead of doing it.

use super::{Level, Mode};
use factum_core::{Error, ErrorKind};
use std::fmt;

/// The longest piece of a caller's text that a message repeats, in characters.
const QUOTED: usize = 200;

/// A "no" of the registry, with Confluent's error code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: u32,
    message: String,
}

impl Refusal {
    fn new(code: u32, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }
    }

    /// Confluent's code, for example 40401. Its first three digits are the HTTP status.
    pub fn code(&self) -> u32 {
        self.code
    }

    /// The same in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn no_subject(subject: &str) -> Self {
        Self::new(40401, format!("subject {subject} not found"))
    }

    pub(super) fn no_version(subject: &str, version: u32) -> Self {
        Self::new(40402, format!("version {version} of subject {subject} not found"))
    }

    pub(super) fn no_id(id: u32) -> Self {
        Self::new(40403, format!("the schema registry has no schema of id {id}"))
    }

    pub(super) fn no_schema(subject: &str) -> Self {
        Self::new(40403, format!("subject {subject} has no such schema"))
    }

    pub(super) fn subject_was_deleted(subject: &str) -> Self {
        Self::new(40404, format!("subject {subject} was deleted softly; add permanent=true to remove it"))
    }

    pub(super) fn subject_not_deleted_first(subject: &str) -> Self {
        Self::new(40405, format!("subject {subject} was not deleted first, before being removed permanently"))
    }

    pub(super) fn version_was_deleted(subject: &str, version: u32) -> Self {
        let what =
            format!("version {version} of subject {subject} was deleted softly; add permanent=true to remove it");
        Self::new(40406, what)
    }

    pub(super) fn version_not_deleted_first(subject: &str, version: u32) -> Self {
        let what =
            format!("version {version} of subject {subject} was not deleted first, before being removed permanently");
        Self::new(40407, what)
    }

    pub(super) fn no_level(subject: &str) -> Self {
        Self::new(40408, format!("subject {subject} has no compatibility level of its own"))
    }

    pub(super) fn no_mode(subject: &str) -> Self {
        Self::new(40409, format!("subject {subject} has no mode of its own"))
    }

    pub(super) fn incompatible(subject: &str, level: Level, problems: &[String]) -> Self {
        let details = problems.join("; ");
        let what = format!(
            "subject {subject}: {details}; its compatibility is {level}: a breaking change needs a new record name"
        );
        Self::new(409, what)
    }

    /// The text is not a schema that the registry keeps.
    pub fn invalid_schema(why: impl fmt::Display) -> Self {
        Self::new(42201, format!("invalid schema: {}", quoted(&why.to_string(), 2 * QUOTED)))
    }

    pub(super) fn invalid_version(text: &str) -> Self {
        let text = quoted(text, QUOTED);
        Self::new(42202, format!("{text:?} is not a version: a number from 1 or \"latest\" is expected"))
    }

    pub(super) fn invalid_level(text: &str) -> Self {
        let all: Vec<_> = Level::ALL.iter().map(|level| level.name()).collect();
        let text = quoted(text, QUOTED);
        Self::new(42203, format!("{text:?} is not a compatibility level: there are {}", all.join(", ")))
    }

    pub(super) fn invalid_mode(text: &str) -> Self {
        let text = quoted(text, QUOTED);
        Self::new(42204, format!("{text:?} is not a mode: there are READWRITE, READONLY, IMPORT"))
    }

    pub(super) fn not_permitted(why: impl Into<String>) -> Self {
        Self::new(42205, why)
    }

    pub(super) fn wrong_mode(subject: &str, mode: Mode) -> Self {
        let fix = match mode {
            Mode::ReadOnly => "nothing can change there",
            Mode::Import => "a schema is registered with the id and version of the registry it comes from",
            Mode::ReadWrite => "ids and versions are given by the registry, not by the caller",
        };
        Self::not_permitted(format!("subject {subject} is in mode {mode}: {fix}"))
    }

    pub(super) fn invalid_subject(subject: &str) -> Self {
        let what = "a subject has 1 to 1000 bytes and no control characters";
        Self::new(42208, format!("{:?} is not a subject: {what}", quoted(subject, QUOTED)))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// What is not there is bad data to who needs it; the rest is a call to fix.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = if refusal.code / 100 == 404 { ErrorKind::Data } else { ErrorKind::Invalid };
        Error::new(kind, refusal.message)
    }
}

fn quoted(text: &str, limit: usize) -> String {
    let mut short: String = text.chars().take(limit).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
