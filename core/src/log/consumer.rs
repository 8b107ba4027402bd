//! Reading: as a member of a group, or partitions by name.

use crate::{Offset, RecordBatch, Result, Topic, TopicPartition};
use std::{fmt, time::Duration};

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the last stable offset, without records of aborted transactions.
    ReadCommitted,
    /// Everything that is replicated.
    ReadUncommitted,
}

/// How a group's members agree on their partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupProtocol {
    /// Kafka's first one, with the cooperative-sticky assignor (KIP-429).
    #[default]
    Classic,
    /// The broker assigns (KIP-848).
    Consumer,
}

/// How to join a group.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// The group's id.
    pub group: String,
    /// The topics to share.
    pub topics: Vec<Topic>,
    /// The id of a static member (KIP-345): a restart within the session
    /// timeout causes no rebalance.
    pub instance_id: Option<String>,
    /// How long a silent member keeps its partitions.
    pub session_timeout: Duration,
    /// How the members agree.
    pub protocol: GroupProtocol,
}

/// What happened to a member's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// These are now this member's. They deliver nothing before [`GroupConsumer::start`].
    Assigned(Vec<TopicPartition>),
    /// These were given up in good order: nobody else had them before this
    /// member's next poll.
    Revoked(Vec<TopicPartition>),
    /// These went to somebody else already (the session timed out).
    Lost(Vec<TopicPartition>),
}

/// Who this member is to the group's coordinator; the fence of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group's id.
    pub group: String,
    /// The id that the coordinator (or, under KIP-848, the client) gave; empty before the first join.
    pub member_id: String,
    /// The generation (classic) or member epoch (KIP-848); negative when not a member.
    pub generation: i32,
    /// The id of a static member.
    pub instance_id: Option<String>,
    /// The protocol, which decides what a valid generation is.
    pub protocol: GroupProtocol,
}

impl Membership {
    /// Whether it is of a member, so that the broker fences what is sent with it.
    pub fn is_joined(&self) -> bool {
        let lowest = match self.protocol {
            GroupProtocol::Classic => 0,
            GroupProtocol::Consumer => 1,
        };
        self.generation >= lowest && !self.member_id.is_empty()
    }
}

/// An offset to commit: the position of the next record to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOffset {
    /// Of which partition.
    pub place: TopicPartition,
    /// The next record to read.
    pub offset: Offset,
    /// Free text that is kept with the offset.
    pub metadata: String,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next record to read.
    pub offset: Offset,
    /// The text that was committed with it.
    pub metadata: String,
}

/// A member of a consumer group.
///
/// Contract: at most one [`GroupEvent`] a poll, and what a poll appended was
/// read *before* its event. No event is ever reported by another call than
/// `poll`. Revoked partitions deliver nothing after the event.
pub trait GroupConsumer: Send + fmt::Debug {
    /// Appends up to `max_records` records. Waits up to `timeout` for the
    /// first one, never for more; returns early with an event.
    fn poll(&mut self, max_records: usize, timeout: Duration, into: &mut RecordBatch) -> Result<Option<GroupEvent>>;

    /// Who this member is now.
    fn membership(&mut self) -> Result<Membership>;

    /// Delivers an assigned partition from `offset` on; also moves one that is delivering.
    fn start(&mut self, place: &TopicPartition, offset: Offset) -> Result<()>;

    /// Stops delivering a partition until [`GroupConsumer::start`]. What was
    /// fetched already is not delivered.
    fn pause(&mut self, place: &TopicPartition) -> Result<()>;

    /// The position of a started partition: beyond every record delivered, and
    /// beyond control records and aborted ones that follow them as far as known.
    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>>;

    /// The group's committed offsets, waiting for undecided ones (KIP-447).
    fn committed(&mut self, places: &[TopicPartition]) -> Result<Vec<Option<Committed>>>;

    /// Commits offsets outside a transaction.
    ///
    /// # Errors
    /// `Fenced` when this member's generation is not the group's.
    fn commit(&mut self, offsets: &[CommitOffset]) -> Result<()>;

    /// Leaves the group (a static member just goes away) and closes.
    fn close(self: Box<Self>) -> Result<()>;
}

/// A consumer of partitions that its owner names.
pub trait Reader: Send + fmt::Debug {
    /// Adds a partition, to be read from `offset`.
    ///
    /// # Errors
    /// `Data` from a later poll when the offset is out of the log's range.
    fn add(&mut self, place: &TopicPartition, offset: Offset) -> Result<()>;

    /// Removes a partition; nothing of it is delivered any more.
    fn remove(&mut self, place: &TopicPartition) -> Result<()>;

    /// Appends up to `max_records` records, waiting up to `timeout` for the first.
    fn poll(&mut self, max_records: usize, timeout: Duration, into: &mut RecordBatch) -> Result<()>;

    /// The position: beyond every record delivered, and beyond control
    /// records and aborted ones that follow them. None before it is known.
    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>>;
}
