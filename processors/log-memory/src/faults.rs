//! Failures that a test orders.

/// What the next commit of a transaction does instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// Commits, and tells the producer a fatal, unclear error.
    UnknownCommitted,
    /// Aborts, and tells the producer a fatal, unclear error.
    UnknownAborted,
    /// Does nothing, and asks for the same step again.
    Retry,
    /// Does nothing, and asks for an abort.
    Abort,
    /// Aborts because another producer took the transactional id.
    Fenced,
}
