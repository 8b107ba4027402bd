//! Views (projections): folds by key into rows.
//!
//! [`View`] is what an author writes. [`ViewMachine`] is the runtime without
//! thread, clock or database: a shell polls the log, executes [`Effect`]s on a
//! sink, and tells what came of them.

mod careful;
mod claiming;
mod denied;
mod effect;
mod focus;
pub(crate) mod foreign;
pub(crate) mod intake;
mod machine;
mod parked;
mod place;
mod progress;
mod reading;
mod redrive;
mod refold;
mod reset;
mod review;
mod row;
mod table;
#[cfg(test)]
mod tests;
mod unknown;
mod work;

pub use crate::careful::MAX_DEATHS;
pub use careful::{InHand, ended_its_process};
pub use claiming::{ClaimFailed, Claimed};
pub use effect::Effect;
pub use focus::{Focus, Sample};
pub use intake::MAX_HELD_EVENTS;
pub use machine::{Polled, ViewMachine};
pub use parked::{Head, Owner, Parked, Parking, Redriven};
pub use place::{Awaited, Counts, PlaceState, PlaceStatus, Stop, StopClass};
pub use progress::{
    Claim, Commit, CommitOutcome, Compare, LastEvent, LoadRequest, Loaded, Mark, Move, RowLocking, Watermark,
};
pub use redrive::{Redrive, given_up};
pub use refold::{Refold, Refolded, Refolding};
pub use reset::{
    Extent, GroupPlace, PlaceReset, ProgressRow, ResetPlan, Review, Skipped, Standing, Verdict, was_reset,
};
pub use review::Reviewed;
pub use row::{Column, ColumnType, KEY_COLUMN, OFFSET_COLUMN, RowShape, VERSION_COLUMN, Value};
pub use table::{ViewTable, Watermarks, view_group, view_topics};
pub use unknown::UnknownRecords;

use crate::{
    AggregateId, CommandId, EventId, Message, Offset, Partition, RecordRef, TimestampMs, Topic, Version,
    wire::{EventHeader, TraceContext},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, sync::Arc};

/// An event as a view sees it: with where and when.
#[derive(Debug, Clone)]
pub struct Recorded<E> {
    /// The aggregate it belongs to.
    pub aggregate: AggregateId,
    /// The aggregate's version with this event.
    pub version: Version,
    /// When it occurred: given with the command, else the handler's clock.
    pub occurred: TimestampMs,
    /// When it was recorded: the handler's clock.
    pub recorded: TimestampMs,
    /// The command that caused it.
    pub command: CommandId,
    /// Its place among the events of that command, from 0.
    pub index: u32,
    /// Its place among the events that upcasters made of its record, from 0; 0
    /// where the record is read as it is. Version and part together name an event.
    pub part: u32,
    /// The business conversation that it belongs to.
    pub correlation: CommandId,
    /// The event that caused its command, if one did.
    pub cause: Option<EventId>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// Who wrote it: service, instance and version.
    pub source: Arc<str>,
    /// Its topic: the events of one aggregate type.
    pub topic: Topic,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// What happened.
    pub event: E,
}

impl<E> Recorded<E> {
    /// The event of a record of this header, or that part of it. `source` is the header's, which neighbours share.
    pub fn new(
        record: RecordRef<'_>,
        header: &EventHeader<'_>,
        aggregate: AggregateId,
        source: Arc<str>,
        (part, event): (u32, E),
    ) -> Self {
        Recorded {
            aggregate,
            version: header.version,
            occurred: header.occurred,
            recorded: record.timestamp().unwrap_or(header.occurred),
            command: header.command,
            index: header.index,
            part,
            correlation: header.correlation,
            cause: header.cause,
            trace: header.trace,
            source,
            topic: record.topic().clone(),
            partition: record.partition(),
            offset: record.offset(),
            event,
        }
    }
}

/// Whose rows a view's partitions feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A row is fed by one aggregate only, whose id is its key: `keys` gives
    /// that or nothing, and there is one input. Such rows can be folded again alone.
    Aggregate,
    /// A row is fed by one partition only: its key is the aggregate id, or
    /// contains the partition.
    PartitionLocal,
    /// Several partitions or topics feed one row: touched rows are locked in key order.
    Shared,
}

/// What becomes of a row once it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowLife {
    /// Later events may change or delete it: it is loaded before they are folded.
    Changes,
    /// It is written once, by one event, and stays: nothing is loaded, and
    /// [`View::fold`] is given no row.
    WrittenOnce,
}

/// A fold of events into rows, by key. Pure, like an aggregate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a view",
    label = "needs `View`",
    note = "write `impl View for {Self}` with `keys` (which rows an event touches) and `fold` (old row to new row)"
)]
pub trait View: Send + 'static {
    /// The view's name: lower case, digits and `_`; the first part of its table's name.
    const NAME: &'static str;

    /// Raise it when row type or fold change: the table is named `<name>_v<version>`.
    const VERSION: u32;

    /// Raise it when `keys` or `fold` change their meaning and the table is to
    /// stay. It is kept with the rows: where another one made them, a replay
    /// folds them again from their history or names `views rebuild`, since what
    /// was applied once is not applied again.
    const FOLD_VERSION: u32 = 1;

    /// The aggregate types whose events it reads, for example `["bank.account"]`.
    ///
    /// With several, one row may be made of events of all of them: [`View::Event`]
    /// is then an enum over records of several namespaces, and since the events
    /// come from partitions of their own, the scope is [`Scope::Shared`]. The
    /// partitions do not wait for each other, so a fold has to come to the same
    /// row whatever arrives first: a payment may be seen before its order.
    const INPUTS: &'static [&'static str];

    /// Whose rows its partitions feed.
    const SCOPE: Scope = Scope::PartitionLocal;

    /// What becomes of its rows.
    const ROW_LIFE: RowLife = RowLife::Changes;

    /// The columns that its rows are looked for by, beside the key: each entry is
    /// an index of the table, over these columns in this order.
    const INDEXES: &'static [&'static [&'static str]] = &[];

    /// What is done about records of types that [`View::Event`] has not.
    const UNKNOWN: UnknownRecords = UnknownRecords::Skip;

    /// The events that it reads; see [`View::UNKNOWN`] for record types that are not in it. An enum of
    /// the view's own lists the retired records that were upcast to what it holds, as its aggregate's does.
    type Event: Message;

    /// A row without its key: a flat struct of numbers, text, booleans and
    /// options of these. Its fields are the table's columns.
    type Row: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send;

    /// The keys of the rows that an event touches (none to ignore it).
    fn keys(event: &Recorded<Self::Event>) -> Vec<String>;

    /// The new row from the old one (none: there is none) and the event; none deletes the row.
    ///
    /// A panic here parks the aggregate: this event and its later ones wait for
    /// a redrive, in their order, and other aggregates go on.
    fn fold(key: &str, row: Option<Self::Row>, event: &Recorded<Self::Event>) -> Option<Self::Row>;
}
