//! The clients of a loop that writes in transactions, and how they are replaced.

use factum_core::{
    Error, ErrorClass, Result,
    log::{GroupConsumer, GroupOptions, Log, TransactionOptions, TransactionalProducer},
};
use tracing::warn;

/// A transactional producer that is ready to begin; whoever had its id before is fenced.
///
/// # Errors
/// What the log says.
pub fn new_producer(log: &dyn Log, options: &TransactionOptions) -> Result<Box<dyn TransactionalProducer>> {
    let mut producer = log.transactional_producer(options)?;
    producer.init().map_err(|failed| failed.into_error().context("initialising the transactional producer"))?;
    Ok(producer)
}

/// Goes on after a step that failed. Where the member has lost its place in the group, `lost` is called and
/// another consumer joins. Returns what is to be waited out before the next step, if anything is.
///
/// # Errors
/// What no retry can help with.
pub fn recover(
    failed: Error,
    (log, group): (&dyn Log, &GroupOptions),
    consumer: &mut Box<dyn GroupConsumer>,
    lost: impl FnOnce(),
) -> Result<Option<Error>> {
    match failed.kind().class() {
        ErrorClass::Transient => Ok(Some(failed)),
        // The poison of a poll is a position, which a new member reads again.
        ErrorClass::Fenced | ErrorClass::Poison => {
            warn!(group = group.group, error = %failed, "joining the group anew");
            lost();
            match log.group_consumer(group) {
                Ok(joined) => {
                    *consumer = joined;
                    Ok(None)
                }
                // The old one fails again, and so this is tried again.
                Err(failed) if failed.kind().class() == ErrorClass::Transient => Ok(Some(failed)),
                Err(failed) => Err(failed),
            }
        }
        ErrorClass::Fatal => Err(failed),
    }
}
