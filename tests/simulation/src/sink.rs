//! A view's database as its process sees it.

use crate::world::World;
use factum_core::{
    Result, TopicId, TopicPartition,
    view::{Claim, Commit, CommitOutcome, LoadRequest, Loaded, ViewTable},
};
use factum_views::{AroundSink, MemorySink, Sink};
use std::{fmt, sync::Arc};

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

impl AroundSink for SimulatedSink {
    fn within<R>(&mut self, ask: impl FnOnce(&mut dyn Sink) -> Result<R>) -> Result<R> {
        self.world.ask_database()?;
        ask(&mut self.inner)
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
