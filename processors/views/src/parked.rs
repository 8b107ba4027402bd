//! What a view has left aside.

use factum_core::{AggregateId, Offset, Result, Topic, TopicPartition, view::Parked};
use std::collections::BTreeMap;

/// A parked key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedKey {
    /// Its first record, which says why.
    pub first: Parked,
    /// How many of its records are left aside.
    pub records: u64,
}

/// Which parked keys are meant; all that fit everything that is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParkedFilter {
    /// Of this partition.
    pub place: Option<TopicPartition>,
    /// This aggregate.
    pub aggregate: Option<AggregateId>,
    /// With this text in the cause.
    pub cause: Option<String>,
}

/// A view's parked records.
///
/// Contract, checked by the suite of all sinks: what a commit leaves aside is
/// there with its progress or not at all; the first record of a key, by its
/// offset, is the only one with a cause.
pub trait ParkedRecords {
    /// Parked keys by topic and aggregate, after this one, at most `limit`.
    fn parked_keys(
        &mut self,
        filter: &ParkedFilter,
        after: Option<(&Topic, &AggregateId)>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>>;

    /// The records of a key by offset, after this one, at most `limit`.
    fn parked_records(
        &mut self,
        topic: &Topic,
        aggregate: &AggregateId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<Parked>>;

    /// How many keys are parked in each partition in which some are.
    fn count_parked(&mut self) -> Result<BTreeMap<TopicPartition, u64>>;

    /// Begins a transaction in which the partition's progress row does not
    /// change but by the next commit of this sink; [`crate::Sink::rollback`] ends it too.
    fn hold(&mut self, place: &TopicPartition) -> Result<()>;
}
