//! What a view wants done.

use super::{Commit, InHand, LoadRequest, ResetPlan, Stop};
use crate::{CommitOffset, Offset, TopicPartition};

/// Something for the shell to do. Effects are to be executed in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Take the view's lock, read its standing, then the group's offsets of
    /// all partitions of its topics, and answer with `reviewed`.
    Review,
    /// Record this and give the view's lock back; then commit the marks to the
    /// group, and answer with `honoured`. Nothing is delivered before that.
    Honour(ResetPlan),
    /// Ask for the topic's id and the partition's bounds (read uncommitted),
    /// raise the epoch of its progress row, and answer with `claimed`.
    Claim(TopicPartition),
    /// Deliver the partition from this offset on.
    Start(TopicPartition, Offset),
    /// Deliver the partition no longer for a moment: a schema is being fetched.
    Pause(TopicPartition),
    /// Deliver the partition no longer, and tell people: it is tried again.
    Wait {
        /// Which partition.
        place: TopicPartition,
        /// Why.
        why: String,
    },
    /// Deliver the partition no longer, and tell people: somebody has to act.
    Stop {
        /// Which partition.
        place: TopicPartition,
        /// Why.
        stop: Stop,
    },
    /// Write down what is begun, durably and as compare-and-set on the epochs, and answer with `marked`.
    Mark(Vec<InHand>),
    /// Write this down in place of what was begun; a failure changes nothing but
    /// that the partition is taken in more carefully than it need be.
    Unmark(Vec<InHand>),
    /// Fetch a schema, teach it to the codec, and tell with `schema_fetched`.
    FetchSchema(u32),
    /// Open a transaction of the sink, load, and answer with `loaded`.
    Load(LoadRequest),
    /// Write, end the sink's transaction (or do it in one of its own) and answer with `committed`.
    Commit(Commit),
    /// End the sink's transaction, if one is open, without a trace, and give the view's lock back.
    Rollback,
    /// Commit the group's offsets; a failure is to be told and changes nothing,
    /// since the progress rows decide.
    CommitGroupOffsets(Vec<CommitOffset>),
}
