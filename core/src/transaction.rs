//! One transaction as a state machine: which step comes next, and what its
//! result means. The shell executes the steps on a [`TransactionalProducer`].
//!
//! The offsets go first: the broker checks the member with them, and from then
//! on whoever takes the partitions over waits for this transaction's end before
//! it reads (KIP-447), so nothing that follows can slip past the fence
//! (`docs/decisions/0006-offsets-first.md`).
//!
//! Source: KIP-98 (transactions), KIP-447 (fencing by the group's generation);
//! the rule that an error after `commit` leaves the outcome open is ours
//! (DESIGN §3, "Outcome unknown").
//!
//! [`TransactionalProducer`]: crate::log::TransactionalProducer

use crate::log::TxnError;

/// How often a step that may be repeated is repeated before the transaction is given up.
const MAX_ATTEMPTS: u32 = 20;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxnStep {
    /// Open the transaction.
    Begin,
    /// Add the plan's offsets, fenced by its membership.
    SendOffsets,
    /// Hand over the plan's records.
    Produce,
    /// Serve every delivery report.
    Deliver,
    /// Commit.
    Commit,
    /// Abort.
    Abort,
    /// Nothing: this is what became of it.
    Finished(Outcome),
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is in the log.
    Committed,
    /// Nothing is, and the same producer may go on.
    Aborted,
    /// Nothing is, because the group has moved on: poll before anything else.
    Stale,
    /// Nobody can say before the log was read again, with a new producer.
    Unknown,
    /// Nothing was committed, and the producer is of no more use.
    Broken,
}

/// A transaction under way.
#[derive(Debug)]
pub struct Transaction {
    step: TxnStep,
    attempts: u32,
    after_abort: Outcome,
}

impl Default for Transaction {
    fn default() -> Self {
        Transaction { step: TxnStep::Begin, attempts: 0, after_abort: Outcome::Aborted }
    }
}

impl Transaction {
    /// The step to execute now.
    pub fn step(&self) -> TxnStep {
        self.step
    }

    /// Takes the result of the step.
    pub fn result(&mut self, result: Result<(), &TxnError>) {
        let next = match (self.step, result) {
            (TxnStep::Begin, Ok(())) => TxnStep::SendOffsets,
            (TxnStep::SendOffsets, Ok(())) => TxnStep::Produce,
            (TxnStep::Produce, Ok(())) => TxnStep::Deliver,
            (TxnStep::Deliver, Ok(())) => TxnStep::Commit,
            (TxnStep::Commit, Ok(())) => TxnStep::Finished(Outcome::Committed),
            (TxnStep::Abort, Ok(())) => TxnStep::Finished(self.after_abort),
            (TxnStep::Finished(_), _) => return,
            (TxnStep::Begin | TxnStep::SendOffsets | TxnStep::Commit | TxnStep::Abort, Err(TxnError::Retry(_)))
                if self.attempts < MAX_ATTEMPTS =>
            {
                self.attempts += 1;
                return;
            }
            // Once commit was called, only success is an answer.
            (TxnStep::Commit, Err(_)) => TxnStep::Finished(Outcome::Unknown),
            (TxnStep::Begin | TxnStep::Abort, Err(_)) | (_, Err(TxnError::Fatal(_))) => {
                TxnStep::Finished(Outcome::Broken)
            }
            (_, Err(TxnError::StaleMember(_))) => {
                self.after_abort = Outcome::Stale;
                TxnStep::Abort
            }
            (_, Err(TxnError::Abort(_) | TxnError::Retry(_))) => TxnStep::Abort,
        };
        self.step = next;
        self.attempts = 0;
    }
}
