//! A view's database as its process sees it.

use crate::world::World;
use factum_core::{
    AggregateId, Offset, Result, Topic, TopicId, TopicPartition,
    view::{Claim, Commit, CommitOutcome, LoadRequest, Loaded, Parked, ResetPlan, Standing, ViewTable},
};
use factum_views::{MemorySink, ParkedFilter, ParkedKey, ParkedRecords, Resets, Sink};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The production sink in memory, behind a database that can be away.
pub(crate) struct SimulatedSink {
    world: Arc<World>,
    inner: MemorySink,
}

impl SimulatedSink {
    pub(crate) fn new(world: &Arc<World>, inner: MemorySink) -> Self {
        SimulatedSink { world: world.clone(), inner }
    }
}

impl fmt::Debug for SimulatedSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedSink")
    }
}

impl Resets for SimulatedSink {
    fn review(&mut self) -> Result<Standing> {
        self.world.ask_database()?;
        self.inner.review()
    }

    fn record(&mut self, plan: &ResetPlan) -> Result<()> {
        self.world.ask_database()?;
        self.inner.record(plan)
    }

    fn standing(&mut self) -> Result<Standing> {
        self.world.ask_database()?;
        self.inner.standing()
    }
}

impl ParkedRecords for SimulatedSink {
    fn parked_keys(
        &mut self,
        filter: &ParkedFilter,
        after: Option<(&Topic, &AggregateId)>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        self.world.ask_database()?;
        self.inner.parked_keys(filter, after, limit)
    }

    fn parked_records(
        &mut self,
        topic: &Topic,
        aggregate: &AggregateId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<Parked>> {
        self.world.ask_database()?;
        self.inner.parked_records(topic, aggregate, after, limit)
    }

    fn count_parked(&mut self) -> Result<BTreeMap<TopicPartition, u64>> {
        self.world.ask_database()?;
        self.inner.count_parked()
    }

    fn hold(&mut self, place: &TopicPartition) -> Result<()> {
        self.world.ask_database()?;
        self.inner.hold(place)
    }
}

impl Sink for SimulatedSink {
    fn database_id(&self) -> &str {
        self.inner.database_id()
    }

    fn table(&self) -> &ViewTable {
        self.inner.table()
    }

    fn claim(&mut self, place: &TopicPartition, topic_id: TopicId) -> Result<Claim> {
        self.world.ask_database()?;
        let claim = self.inner.claim(place, topic_id)?;
        self.world.after_call()?;
        Ok(claim)
    }

    fn load(&mut self, request: &LoadRequest) -> Result<Loaded> {
        self.world.ask_database()?;
        self.inner.load(request)
    }

    fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome> {
        self.world.ask_database()?;
        let outcome = self.inner.commit(commit)?;
        // The database has it, and the process is not told.
        self.world.after_call()?;
        Ok(outcome)
    }

    fn rollback(&mut self) -> Result<()> {
        self.inner.rollback()
    }
}
