//! The settings of a handler.

use super::MAX_DEATHS;
use crate::Topics;
use std::collections::BTreeSet;

/// How many commands of an aggregate a handler remembers by default, and so how
/// far a client sends ahead of one that has no answer.
pub const RECENT_COMMANDS: usize = 64;

/// The settings of a handler. Everything has a default but the number of partitions.
#[derive(Debug, Clone)]
pub struct HandlerConfig {
    /// The aggregate type's topics.
    pub topics: Topics,
    /// How many partitions each of them has.
    pub partitions: u32,
    /// Who writes: service, instance and version; goes into every event.
    pub source: String,
    /// The most commands in one transaction.
    pub max_batch_commands: usize,
    /// The most bytes of commands in one transaction; one command may be larger.
    pub max_batch_bytes: usize,
    /// A snapshot of an aggregate after so many of its events.
    pub snapshot_every_events: u64,
    /// A checkpoint of a partition after so many of its events.
    pub checkpoint_every_events: u64,
    /// A checkpoint of a partition that changed, at the latest after so many milliseconds.
    pub checkpoint_every_ms: i64,
    /// The most snapshots that a checkpoint adds to one transaction.
    pub checkpoint_chunk: usize,
    /// How many commands of an aggregate are remembered, at most [`MAX_WINDOW_COMMANDS`](super::window::MAX_WINDOW_COMMANDS).
    pub window_commands: usize,
    /// How many aggregates without events a partition remembers the commands
    /// of; beyond it the longest known is forgotten. Refusals to ids that do
    /// not exist would fill the memory otherwise.
    pub max_eventless_aggregates: usize,
    /// A recovery that does not move for so many milliseconds tells why and starts again.
    pub recovery_stall_ms: i64,
    /// After a failed look at the log, or of a schema that cannot be had, wait at most so many milliseconds;
    /// doubled by each failure in a row, up to ten times as much. The second half of that is spread by
    /// `hash_seed`, which every process draws, so that not all of them come at once.
    pub retry_ms: i64,
    /// The permissions granted to commands; see [`Aggregate::permission`](crate::Aggregate::permission).
    pub granted: Granted,
    /// Go on although commands were lost before they were handled.
    pub accept_lost_commands: AcceptLost,
    /// How often a process may end with the same command in hand before it is dead-lettered.
    pub max_deaths: u32,
    /// What the states in snapshots are good for.
    pub snapshots: Snapshots,
    /// Seeds the hash of aggregate ids, which come from outside.
    pub hash_seed: u64,
}

/// What to do when commands were deleted before they were handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AcceptLost {
    /// Stop the partition and tell how many.
    #[default]
    No,
    /// An operator has seen it: tell how many and go on.
    Yes,
}

/// What a recovery does with the states in snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Snapshots {
    /// It begins with them.
    #[default]
    Used,
    /// It folds every state from all events, and takes only the recent commands
    /// from snapshots. No command is delivered: what is ready then writes its
    /// checkpoint and nothing else.
    FoldedAgain,
    /// As [`Snapshots::FoldedAgain`], beside the handlers and for those to come:
    /// what it writes are snapshots under keys of their own, a marker, and
    /// nothing else.
    Prepared,
}

/// The permissions that a handler grants to commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granted {
    /// These and no others.
    Only(BTreeSet<String>),
    /// Every one: a process that belongs to one user.
    All,
}

impl Granted {
    /// Whether a permission is granted.
    pub fn includes(&self, permission: &str) -> bool {
        match self {
            Granted::Only(granted) => granted.contains(permission),
            Granted::All => true,
        }
    }
}

impl HandlerConfig {
    /// The defaults for the topics of an aggregate type with so many partitions.
    pub fn new(topics: Topics, partitions: u32) -> Self {
        HandlerConfig {
            topics,
            partitions,
            source: String::new(),
            max_batch_commands: 5_000,
            max_batch_bytes: 16 << 20,
            snapshot_every_events: 100,
            checkpoint_every_events: 50_000,
            checkpoint_every_ms: 60_000,
            checkpoint_chunk: 1_000,
            window_commands: RECENT_COMMANDS,
            max_eventless_aggregates: 10_000,
            recovery_stall_ms: 30_000,
            retry_ms: 500,
            granted: Granted::Only(BTreeSet::new()),
            accept_lost_commands: AcceptLost::No,
            max_deaths: MAX_DEATHS,
            snapshots: Snapshots::Used,
            hash_seed: 0,
        }
    }
}
