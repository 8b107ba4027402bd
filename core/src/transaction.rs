//! One transaction as a state machine: which step comes next, and what its
//! result means. The shell executes the steps on a [`TransactionalProducer`].
//!
//! The offsets go first: the broker checks the member with them, and from then
//! on whoever takes the partitions over waits for this transaction's end before
//! it reads (KIP-447), so nothing that follows can slip past the fence
//! (`docs/decisions/0006-offsets-first.md`).
//!
//! A transaction that fails on the way is not aborted by its producer: what it
//! sent and nobody acknowledged could arrive after the abort, under the same
//! epoch, and become part of the next one
//! (`docs/decisions/0011-an-epoch-after-each-abort.md`).
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
    /// Nothing is, and a request may still be on its way (KIP-890): the producer
    /// must not write again, and its successor ends the transaction.
    Aborted,
    /// Nothing is, because the group has moved on: poll before anything else. The same producer may go on.
    Stale,
    /// Nobody can say before the log was read again, with a new producer.
    Unknown,
    /// Nothing was committed, and the producer is of no more use.
    Broken,
}

/// Who ends a transaction that is given up although its member is none of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GivenUp {
    /// Its producer's successor: the epoch is raised first, and the markers tell
    /// it to every partition, which refuses what is still on its way.
    #[default]
    ToSuccessor,
    /// Its producer, which goes on with the same epoch. Only the test kit does this.
    ByAbort,
}

/// A transaction under way.
#[derive(Debug)]
pub struct Transaction {
    step: TxnStep,
    attempts: u32,
    given_up: GivenUp,
    after_abort: Outcome,
}

impl Default for Transaction {
    fn default() -> Self {
        Transaction::new(GivenUp::default())
    }
}

impl Transaction {
    /// A transaction that has not begun.
    pub fn new(given_up: GivenUp) -> Self {
        Transaction { step: TxnStep::Begin, attempts: 0, given_up, after_abort: Outcome::Aborted }
    }

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
            (_, Err(TxnError::Abort(_) | TxnError::Retry(_))) => match self.given_up {
                GivenUp::ToSuccessor => TxnStep::Finished(Outcome::Aborted),
                GivenUp::ByAbort => TxnStep::Abort,
            },
        };
        self.step = next;
        self.attempts = 0;
    }
}
