//! The one error type of the crates that talk to the world.

use std::fmt;

/// What the caller does next. Its [class](ErrorKind::class) is the whole
/// classification: code that decides whether to retry asks that or
/// [`ErrorKind::retry`], and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Somebody else changed what this call was based on: reload and retry.
    Conflict,
    /// The broker, database or registry is away: the same call may succeed later.
    Unavailable,
    /// Another owner is alive: stop, drop the state, join again.
    Fenced,
    /// These bytes cannot be processed, now or later: park or dead-letter them.
    Data,
    /// The call, the configuration or the topic's settings are wrong: fix them.
    Invalid,
}

/// What becomes of the record or the call that failed. `docs/parking.md` has the
/// table of what each processor does then; a test compares it with this code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// It may succeed later: the partition waits, with a backoff.
    Transient,
    /// It never will, and others may: it is put aside.
    Poison,
    /// Another owner is alive: what was not committed is dropped.
    Fenced,
    /// Nothing can succeed before somebody acts.
    Fatal,
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorClass::Transient => "transient",
            ErrorClass::Poison => "poison",
            ErrorClass::Fenced => "fenced",
            ErrorClass::Fatal => "fatal",
        })
    }
}

/// Whether and how a failed call may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call again, after a backoff.
    Same,
    /// Only after the state it was based on has been loaded again.
    AfterReload,
    /// Never: repeating it cannot help.
    No,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [ErrorKind; 5] =
        [ErrorKind::Conflict, ErrorKind::Unavailable, ErrorKind::Fenced, ErrorKind::Data, ErrorKind::Invalid];

    /// The table of classes.
    pub fn class(self) -> ErrorClass {
        match self {
            ErrorKind::Unavailable | ErrorKind::Conflict => ErrorClass::Transient,
            ErrorKind::Data => ErrorClass::Poison,
            ErrorKind::Fenced => ErrorClass::Fenced,
            ErrorKind::Invalid => ErrorClass::Fatal,
        }
    }

    /// The only place that decides about retries.
    pub fn retry(self) -> Retry {
        match self.class() {
            ErrorClass::Transient if self == ErrorKind::Conflict => Retry::AfterReload,
            ErrorClass::Transient => Retry::Same,
            ErrorClass::Fenced => Retry::AfterReload,
            ErrorClass::Poison | ErrorClass::Fatal => Retry::No,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::Conflict => "conflict",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Fenced => "fenced",
            ErrorKind::Data => "bad data",
            ErrorKind::Invalid => "invalid",
        })
    }
}

/// A failure of the world outside: what kind, in which context, and its cause.
///
/// A domain's "no" is a refusal and never an `Error`; a broken invariant is a
/// panic and never an `Error`.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a message in lower case and without a full stop; I/O
    /// messages name topic, partition and offset.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Error { kind, context: context.into(), source: None }
    }

    /// The same with the error that caused it.
    pub fn with_source(
        kind: ErrorKind,
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Error { kind, context: context.into(), source: Some(source.into()) }
    }

    /// What the caller does next.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Puts what was being done in front of the message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.context = format!("{context}: {}", self.context);
        self
    }

    /// [`ErrorKind::Unavailable`] with a message.
    pub fn unavailable(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, context)
    }

    /// [`ErrorKind::Invalid`] with a message.
    pub fn invalid(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, context)
    }

    /// [`ErrorKind::Data`] with a message.
    pub fn data(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, context)
    }

    /// [`ErrorKind::Fenced`] with a message.
    pub fn fenced(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fenced, context)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}
