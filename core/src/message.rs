//! Commands and events: what an enum of Avro records has to tell.

use std::fmt::Debug;

/// An enum over the record types that a topic carries: an aggregate's
/// commands, its events, or the events that a view reads.
///
/// Each variant holds one record (`Deposited(Deposited)`), because each record
/// type has a schema, a subject and a history of its own. `#[command]` and
/// `#[event]` write this impl; by hand it is as short:
///
/// ```
/// # use factum_core::Message;
/// # #[derive(Debug, Clone)] struct Deposited; #[derive(Debug, Clone)] struct Withdrawn;
/// #[derive(Debug, Clone)]
/// enum Event { Deposited(Deposited), Withdrawn(Withdrawn) }
///
/// impl Message for Event {
///     const RECORDS: &'static [&'static str] = &["bank.account.Deposited", "bank.account.Withdrawn"];
///     fn record(&self) -> usize {
///         match self { Event::Deposited(_) => 0, Event::Withdrawn(_) => 1 }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of Avro records",
    label = "needs `Message`",
    note = "put `#[event]` or `#[command]` on the enum, with one record in each variant: `Deposited(Deposited)`"
)]
pub trait Message: Sized + Clone + Debug + Send + 'static {
    /// The full Avro names of the records, in the order of the variants.
    const RECORDS: &'static [&'static str];

    /// Which of [`Message::RECORDS`] this value is.
    fn record(&self) -> usize;

    /// The full Avro name of this value's record.
    fn record_name(&self) -> &'static str {
        Self::RECORDS[self.record()]
    }
}
