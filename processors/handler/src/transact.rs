//! Executing a plan as one transaction.

use crate::Surroundings;
use factum_core::{
    Offset,
    handler::Plan,
    log::{TransactionalProducer, TxnError},
    transaction::{Outcome, Transaction, TxnStep},
};
use std::time::Duration;
use tracing::{debug, warn};

/// Called before each step of each transaction: a test stops the process here.
pub type PausePoint = Box<dyn FnMut(TxnStep) + Send>;

/// Between two tries of a step that may be repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Runs the plan to its outcome. `offsets` gets those of the plan's records.
/// After `patience`, which is the transaction's own time-out, no step is tried
/// again: the broker has aborted it by then, or is away.
pub fn execute(
    (plan, mut transaction): (&Plan, Transaction),
    patience: Duration,
    surroundings: Surroundings,
    producer: &mut dyn TransactionalProducer,
    offsets: &mut Vec<Offset>,
    pause_point: &mut Option<PausePoint>,
) -> Outcome {
    let begun = (surroundings.now)();
    offsets.clear();
    loop {
        let step = transaction.step();
        if let Some(pause) = pause_point {
            pause(step);
        }
        let result = match step {
            TxnStep::Begin => producer.begin(),
            TxnStep::Produce => producer.produce(&plan.records),
            TxnStep::Deliver => producer.deliver(offsets),
            TxnStep::SendOffsets => match &plan.member {
                Some(member) => producer.send_offsets(member, &plan.offsets),
                None => Ok(()),
            },
            TxnStep::Commit => producer.commit(),
            TxnStep::Abort => producer.abort(),
            TxnStep::Finished(outcome) => return outcome,
        };
        let result = match result {
            Err(TxnError::Retry(error)) if Surroundings::is_due((surroundings.now)(), begun, patience) => {
                Err(TxnError::Abort(error))
            }
            result => result,
        };
        if let Err(error) = &result {
            match error {
                TxnError::Retry(_) => {
                    debug!(?step, %error, "step is tried again");
                    (surroundings.sleep)(RETRY_PAUSE);
                }
                TxnError::Abort(_) | TxnError::StaleMember(_) => debug!(?step, %error, "transaction is given up"),
                TxnError::Fatal(_) => warn!(?step, %error, "the transactional producer is of no more use"),
            }
        }
        transaction.result(result.as_ref().copied());
    }
}
