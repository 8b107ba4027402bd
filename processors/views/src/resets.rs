//! Resets of a view's progress.

use factum_core::{
    Result,
    view::{ResetPlan, Standing},
};

/// A view's progress over all partitions, read and reset under a lock.
///
/// Contract, checked by the suite of all sinks: one holder at a time; who asks
/// for a lock that is held gets `Unavailable`. A record changes everything or
/// nothing. An epoch never goes back, so what was loaded before a reset is not
/// committed after it.
pub trait Resets {
    /// Begins a transaction that holds the view's lock, and answers with its
    /// standing. [`Resets::record`] or [`crate::Sink::rollback`] ends it.
    fn review(&mut self) -> Result<Standing>;

    /// Writes the new progress, with [`factum_core::view::Extent::Whole`] over
    /// an empty view of the current fold, and ends the transaction.
    ///
    /// # Errors
    /// Whether an error's record is durable is not known.
    fn record(&mut self, plan: &ResetPlan) -> Result<()>;

    /// How the view stands, without a lock: for people.
    fn standing(&mut self) -> Result<Standing>;
}
