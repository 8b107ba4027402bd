//! What the machine and a sink tell each other: claims, loads, commits.

use super::{Parking, Value};
use crate::{AggregateId, Offset, Topic, TopicId, TopicPartition, Version};
use std::fmt;

/// A partition's progress row after its epoch was raised by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The topic that the position belongs to, as the row says.
    pub topic_id: TopicId,
    /// The epoch that this claim made; every commit has to name it.
    pub epoch: u64,
    /// The next record to apply; 0 in a new row.
    pub position: Offset,
    /// How often records from that position on were begun ([`super::InHand`]) and not done; 0 as a rule.
    pub tries: u32,
}

/// Whether the rows that are loaded must not be changed by others until the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowLocking {
    /// Lock them in the order of their keys, absent ones too; or notice at the
    /// commit that one has changed and answer [`CommitOutcome::RowsChanged`].
    Locked,
    /// Nobody else writes them, so a plain read will do.
    Unlocked,
}

/// What a batch touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRequest {
    /// The keys of the rows, in order and without repeats.
    pub keys: Vec<String>,
    /// The aggregates whose watermarks are asked for, without repeats.
    pub aggregates: Vec<(Topic, AggregateId)>,
    /// Those of the aggregates, by their numbers in the list, that may be
    /// parked; none where nothing is parked in their partitions.
    pub may_be_parked: Vec<usize>,
    /// How.
    pub locking: RowLocking,
}

/// The answer to a [`LoadRequest`], each list in the request's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loaded {
    /// The values of each row's columns; none where there is no row.
    pub rows: Vec<Option<Vec<Value>>>,
    /// The last event of each aggregate that was applied.
    pub last: Vec<LastEvent>,
    /// Those of the aggregates that may be parked and are.
    pub parked: Vec<usize>,
}

/// The last event of an aggregate that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastEvent {
    /// Its version; 0 when none was applied.
    pub version: Version,
    /// Its offset; -1 when none was applied, or where it is not known.
    pub offset: Offset,
}

impl LastEvent {
    /// No event was applied.
    pub const NONE: LastEvent = LastEvent { version: Version::NONE, offset: Offset(-1) };
}

impl Default for LastEvent {
    fn default() -> Self {
        LastEvent::NONE
    }
}

/// Whether a progress row must be as it was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Epoch and position must be those of the [`Move`].
    EpochAndPosition,
    /// The row is overwritten. Only a test does this, to show the damage.
    Nothing,
}

/// A partition's progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which partition.
    pub place: TopicPartition,
    /// The topic's identity, to be kept with the position.
    pub topic_id: TopicId,
    /// The epoch of the claim.
    pub epoch: u64,
    /// The position that the row must have.
    pub from: Offset,
    /// The next record to apply from now on.
    pub to: Offset,
}

/// Up to where an aggregate's events were applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// The events topic.
    pub topic: Topic,
    /// The aggregate.
    pub aggregate: AggregateId,
    /// The last of its events that was applied.
    pub last: LastEvent,
}

/// One transaction: rows, watermarks and progress change together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// Rows to insert or replace, in the order of their keys.
    pub upserts: Vec<(String, Vec<Value>)>,
    /// Keys of rows to delete, in order. Where a table keeps watermarks in its
    /// rows ([`super::Watermarks`]), that of a deleted row is among the watermarks here.
    pub deletes: Vec<String>,
    /// Watermarks to insert or replace.
    pub watermarks: Vec<Watermark>,
    /// Progress rows to move; none where the rows are a cache of what the log says anyway.
    pub moves: Vec<Move>,
    /// What is left aside and taken back.
    pub parking: Parking,
    /// Under which condition.
    pub compare: Compare,
}

/// What became of a [`Commit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// All of it is durable.
    Committed,
    /// Nothing was changed: the progress rows of these partitions are not as
    /// they were claimed, so somebody else claimed them.
    ClaimLost(Vec<TopicPartition>),
    /// Nothing was changed: a loaded row was changed meanwhile, or a key is not
    /// parked as it was. Load and fold again.
    RowsChanged,
}

/// What a view writes into the metadata of its group's offsets: whose they
/// are. A committed offset without a matching mark was set by an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark<'a> {
    /// The topic's identity.
    pub topic_id: TopicId,
    /// The committed offset.
    pub offset: Offset,
    /// The id of the database whose progress it is.
    pub database: &'a str,
}

impl<'a> Mark<'a> {
    /// Reads the text that a mark is written as; none for any other.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.strip_prefix("factum-view/1 ")?.splitn(3, ' ');
        let (topic_id, offset, database) = (words.next()?, words.next()?, words.next()?);
        Some(Mark { topic_id: topic_id.parse().ok()?, offset: Offset(offset.parse().ok()?), database })
    }
}

impl fmt::Display for Mark<'_> {
    /// `factum-view/1 <topic id> <offset> <database id>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "factum-view/1 {} {} {}", self.topic_id, self.offset, self.database)
    }
}
