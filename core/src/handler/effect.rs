//! What a handler wants done, and what it learns from it.

use crate::{
    CommitOffset, Membership, Offset, Partition, RecordBatch, TopicId, TopicPartition,
    log::{Bounds, Committed, Isolation},
    wire::{Answer, AnswerCode, Traces},
};

/// Something for the shell to do. Effects are to be executed in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Look at a partition's three topics and answer with `surveyed`. Bounds are
    /// to be asked with this isolation, the group's offset once it is stable.
    Survey(Partition, Isolation),
    /// Read a partition with the `read_committed` reader, and pass on records and position.
    Read(TopicPartition, Offset),
    /// Read it no longer.
    StopReading(TopicPartition),
    /// Deliver an assigned commands partition from this offset on.
    Start(TopicPartition, Offset),
    /// Deliver it no longer.
    Pause(TopicPartition),
    /// Make a schema known to the codec, and tell with `schema_fetched`.
    FetchSchema(u32),
    /// Replace the transactional producer by a new one, which is initialised
    /// (and has so ended what the old one had left open) before the next effect.
    RenewProducer,
    /// Tell people.
    Tell(Notice),
}

/// Something that people should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A partition's state was read and it handles commands now.
    Recovered {
        /// Which one.
        partition: Partition,
        /// Snapshots read.
        snapshots: u64,
        /// Event records read.
        events: u64,
        /// The first command to be handled.
        next_command: Offset,
    },
    /// A partition stands still until somebody acts.
    Stopped {
        /// Which one.
        partition: Partition,
        /// Why, and what to do.
        reason: String,
    },
    /// A partition could not be looked at or does not move; it is tried again.
    Waiting {
        /// Which one.
        partition: Partition,
        /// Why.
        reason: String,
    },
    /// A process ended with commands of a partition in hand, and they are decided one by one for now.
    Careful {
        /// Which one.
        partition: Partition,
        /// What is known.
        reason: String,
    },
    /// Commands were delivered that had been handled (the group's offsets were set back); none was decided again.
    AlreadyHandled {
        /// Which partition.
        partition: Partition,
        /// How many.
        commands: u64,
    },
    /// Commands were deleted or skipped before they were handled, and the settings say to go on.
    LostCommands {
        /// Which partition.
        partition: Partition,
        /// How many at most.
        commands: i64,
    },
    /// A command was dead-lettered.
    DeadLettered {
        /// Its place.
        place: TopicPartition,
        /// Its offset.
        offset: Offset,
        /// Why.
        cause: String,
    },
    /// A record that nobody reads on account of its version was written into the events by somebody else.
    ForeignRecord {
        /// Which record, and what is wrong with it.
        what: String,
    },
    /// Events of the log were passed over because their version was there already.
    RepeatedVersions {
        /// Which partition.
        partition: Partition,
        /// How many.
        events: u64,
    },
}

/// What a look at one partition found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Of the commands topic.
    pub commands: Bounds,
    /// Of the events topic.
    pub events: Bounds,
    /// Of the snapshots topic.
    pub snapshots: Bounds,
    /// The group's committed offset on the commands partition.
    pub committed: Option<Committed>,
    /// The identity of the commands topic.
    pub commands_id: TopicId,
    /// The identity of the events topic.
    pub events_id: TopicId,
    /// The number of partitions of each of the topics.
    pub partitions: Vec<(String, u32)>,
}

/// One transaction: what to produce and which offsets to commit with it.
#[derive(Debug, Default)]
pub struct Plan {
    /// The records, each for its own topic and partition.
    pub records: RecordBatch,
    /// The position after the last handled command of every partition that is written.
    pub offsets: Vec<CommitOffset>,
    /// The member on whose behalf it is: the fence.
    pub member: Option<Membership>,
    /// The commands behind it that carry a trace.
    pub traces: Traces,
}

/// An answer and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The partition of the replies topic.
    pub partition: Partition,
    /// The answer.
    pub answer: Answer,
}

/// What a partition does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activity {
    /// It is being looked at, or waits before the next look; with the reason for waiting.
    Surveying(Option<String>),
    /// Its state is being read.
    Recovering,
    /// It handles commands.
    Ready,
    /// It waits for a schema.
    AwaitingSchema(u32),
    /// It stands still until somebody acts.
    Stopped(String),
}

/// How a partition is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionHealth {
    /// Which one.
    pub partition: Partition,
    /// What it does.
    pub activity: Activity,
    /// The next command to be handled.
    pub next_command: Offset,
    /// How many aggregates are in memory.
    pub aggregates: usize,
    /// The memory they take, about, without what states hold on the heap.
    pub size_bytes: usize,
    /// Why its commands are decided one by one, if they are.
    pub careful: Option<String>,
}

/// How often commands came to each code that a decision can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes([u64; AnswerCode::COUNT]);

impl Outcomes {
    /// How often it was this one.
    pub fn of(&self, code: AnswerCode) -> u64 {
        self.0[code as usize]
    }

    pub(super) fn count(&mut self, code: AnswerCode) {
        self.0[code as usize] += 1;
    }

    fn add(&mut self, more: &Outcomes) {
        self.0.iter_mut().zip(more.0).for_each(|(count, more)| *count += more);
    }
}

/// Counts since the handler was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HandlerStats {
    /// Commands decided (also those refused).
    pub commands: u64,
    /// Events committed.
    pub events: u64,
    /// Commands refused by the domain.
    pub refusals: u64,
    /// Commands with another version than they expected.
    pub conflicts: u64,
    /// Commands past their deadline.
    pub expired: u64,
    /// Commands dead-lettered.
    pub dead_letters: u64,
    /// Commands answered from a window.
    pub repeats: u64,
    /// Commands delivered again and not decided again.
    pub already_handled: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Checkpoints completed.
    pub checkpoints: u64,
    /// Transactions committed.
    pub transactions: u64,
    /// Transactions aborted and decided again.
    pub aborted: u64,
    /// Transactions whose outcome was unknown.
    pub unknown: u64,
    /// Snapshot records read by recoveries.
    pub recovered_snapshots: u64,
    /// Event records read by recoveries.
    pub recovered_events: u64,
    /// What commands came to that were not handled before.
    pub outcomes: Outcomes,
}

impl HandlerStats {
    /// Adds the counts of a batch, or of another worker.
    pub fn add(&mut self, batch: &HandlerStats) {
        self.commands += batch.commands;
        self.events += batch.events;
        self.refusals += batch.refusals;
        self.conflicts += batch.conflicts;
        self.expired += batch.expired;
        self.dead_letters += batch.dead_letters;
        self.repeats += batch.repeats;
        self.already_handled += batch.already_handled;
        self.snapshots += batch.snapshots;
        self.checkpoints += batch.checkpoints;
        self.transactions += batch.transactions;
        self.aborted += batch.aborted;
        self.unknown += batch.unknown;
        self.recovered_snapshots += batch.recovered_snapshots;
        self.recovered_events += batch.recovered_events;
        self.outcomes.add(&batch.outcomes);
    }
}
