//! Sinks around another one.

use crate::{InHandMarks, ParkedFilter, ParkedKey, ParkedRecords, Resets, Sink};
use factum_core::{
    AggregateId, Offset, Result, Topic, TopicPartition,
    view::{InHand, Parked, ResetPlan, Standing},
};
use std::collections::BTreeMap;

/// A sink that does something of its own at claims, loads or commits, and leaves
/// marks, resets and parked records to the one that it is around.
pub trait AroundSink {
    /// Asks the sink within.
    ///
    /// # Errors
    /// Those of the question, and those of getting there.
    fn within<R>(&mut self, ask: impl FnOnce(&mut dyn Sink) -> Result<R>) -> Result<R>;

    /// Hears of a reset that was recorded.
    fn recorded(&mut self, _: &ResetPlan) {}
}

impl<A: AroundSink> InHandMarks for A {
    fn mark(&mut self, marks: &[InHand]) -> Result<Vec<TopicPartition>> {
        self.within(|sink| sink.mark(marks))
    }
}

impl<A: AroundSink> Resets for A {
    fn review(&mut self) -> Result<Standing> {
        self.within(|sink| sink.review())
    }

    fn record(&mut self, plan: &ResetPlan) -> Result<()> {
        self.within(|sink| sink.record(plan))?;
        self.recorded(plan);
        Ok(())
    }

    fn standing(&mut self) -> Result<Standing> {
        self.within(|sink| sink.standing())
    }
}

impl<A: AroundSink> ParkedRecords for A {
    fn parked_keys(
        &mut self,
        filter: &ParkedFilter,
        after: Option<(&Topic, &AggregateId)>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        self.within(|sink| sink.parked_keys(filter, after, limit))
    }

    fn parked_records(
        &mut self,
        topic: &Topic,
        aggregate: &AggregateId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<Parked>> {
        self.within(|sink| sink.parked_records(topic, aggregate, after, limit))
    }

    fn count_parked(&mut self) -> Result<BTreeMap<TopicPartition, u64>> {
        self.within(|sink| sink.count_parked())
    }

    fn hold(&mut self, place: &TopicPartition) -> Result<()> {
        self.within(|sink| sink.hold(place))
    }
}
