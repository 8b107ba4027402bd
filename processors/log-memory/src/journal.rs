//! What a log that outlives its process writes down: the effects of calls,
//! not the calls, so that reading them again needs no clock.
//!
//! Every lasting change of a log's state is told to its [`Journal`] as an
//! [`Effect`], in the order in which it happens, and [`Restore`](crate::Restore)
//! makes the state of effects again. Group memberships, producers' epochs and
//! compaction's choices are not in it: the first two belong to clients that
//! die with the process, the third follows from the records.

use factum_core::log::CommitOffset;
use factum_core::{Offset, Partition, RecordRef, Result, TimestampMs, Topic, TopicId};
use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

pub use crate::partition::Ending;

/// Where a log writes its effects. Effects are gathered in groups that become
/// durable one after the other; a group's number is at least 1.
pub trait Journal: Send + Sync + fmt::Debug {
    /// Takes an effect into the group that is being filled, whose number it
    /// returns. Called with the log's state locked: it must not wait.
    fn record(&self, effect: &Effect<'_>) -> u64;

    /// Every group up to this one is durable.
    fn durable(&self) -> u64;

    /// Waits until a group is durable.
    ///
    /// # Errors
    /// `Unavailable` when it could not be written; it may still become durable later.
    fn sync(&self, group: u64) -> Result<()>;

    /// Whether effects may be recorded now; waits for room.
    ///
    /// # Errors
    /// `Unavailable` while what was recorded before cannot be written.
    fn admit(&self) -> Result<()>;
}

/// One lasting change. A topic goes by its number, which no other topic of
/// the log has had before.
#[derive(Debug, Clone)]
pub enum Effect<'a> {
    /// A topic was created.
    TopicCreated {
        /// Its number, from 1 on.
        topic: u64,
        /// Its identity.
        id: TopicId,
        /// Its name.
        name: Topic,
        /// How many partitions.
        partitions: u32,
        /// How many replicas were asked for.
        replication: u16,
        /// All of its settings.
        settings: Cow<'a, BTreeMap<String, String>>,
    },
    /// A topic was deleted, and the groups' offsets in it.
    TopicDeleted {
        /// Its number.
        topic: u64,
    },
    /// A topic has other settings.
    TopicAltered {
        /// Its number.
        topic: u64,
        /// All of its settings.
        settings: Cow<'a, BTreeMap<String, String>>,
    },
    /// A topic has more partitions.
    PartitionsAdded {
        /// Its number.
        topic: u64,
        /// How many it has now.
        partitions: u32,
    },
    /// A record was appended.
    Appended {
        /// Its topic's number.
        topic: u64,
        /// The record; partition, key, value and headers count.
        record: RecordRef<'a>,
        /// Its offset.
        offset: Offset,
        /// Its timestamp in the log.
        timestamp: TimestampMs,
        /// The number of its transaction.
        transaction: Option<u64>,
    },
    /// An open transaction got offsets of a group.
    OffsetsHeld {
        /// The transaction's number.
        transaction: u64,
        /// The group.
        group: &'a str,
        /// The offsets.
        offsets: Cow<'a, [CommitOffset]>,
    },
    /// A transaction ended everywhere at once: its markers took an offset in
    /// each of its partitions, its offsets were committed or dropped.
    TransactionEnded {
        /// The transaction's number.
        transaction: u64,
        /// How.
        ending: Ending,
    },
    /// A group's offsets were committed or set.
    OffsetsCommitted {
        /// The group.
        group: &'a str,
        /// The offsets.
        offsets: Cow<'a, [CommitOffset]>,
    },
    /// The records before an offset were deleted.
    RecordsDeleted {
        /// The topic's number.
        topic: u64,
        /// The partition.
        partition: Partition,
        /// The partition's new start.
        before: Offset,
    },
    /// A partition was compacted.
    Compacted {
        /// The topic's number.
        topic: u64,
        /// The partition.
        partition: Partition,
        /// Records below this were looked at.
        below: Offset,
        /// Tombstones older than this were dropped.
        tombstones_before: TimestampMs,
    },
    /// In a snapshot, behind a partition's records: what they do not tell.
    PartitionState {
        /// The topic's number.
        topic: u64,
        /// The partition.
        partition: Partition,
        /// Its first offset.
        start: Offset,
        /// The offset of its next record.
        end: Offset,
        /// Its open transactions and the first offset of each.
        open: Cow<'a, [(u64, Offset)]>,
    },
    /// The last of a snapshot: the highest numbers that were ever given.
    Numbers {
        /// Of topics.
        topics: u64,
        /// Of transactions.
        transactions: u64,
    },
}

impl Effect<'_> {
    /// Whether readers of committed records and offsets notice it.
    fn is_seen(&self) -> bool {
        !matches!(
            self,
            Effect::Appended { transaction: Some(_), .. } | Effect::OffsetsHeld { .. } | Effect::Compacted { .. }
        )
    }
}

/// The log's end of its journal; without one every method does nothing.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    journal: Option<Arc<dyn Journal>>,
    /// The group of the last effect that somebody waits for or may see.
    wanted: u64,
    last: u64,
}

/// A group that an effect went into, and what was durable then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) group: u64,
    pub(crate) durable: u64,
}

impl Recorder {
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        Recorder { journal: Some(journal), wanted: 0, last: 0 }
    }

    /// Records the effect that `effect` makes, if there is a journal.
    pub(crate) fn record<'a>(&mut self, effect: impl FnOnce() -> Effect<'a>) -> Option<Written> {
        let journal = self.journal.as_ref()?;
        let effect = effect();
        self.last = journal.record(&effect);
        if effect.is_seen() {
            self.wanted = self.last;
        }
        Some(Written { group: self.last, durable: journal.durable() })
    }

    /// The last durable group; none without a journal, where everything is as it will be.
    pub(crate) fn durable(&self) -> Option<u64> {
        self.journal.as_ref().map(|journal| journal.durable())
    }

    /// Somebody wants to see records of open transactions, too.
    pub(crate) fn want_everything(&mut self) {
        self.wanted = self.last;
    }

    /// The group to wait for before what is in the state may be told.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted
    }
}
