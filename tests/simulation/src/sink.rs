//! A view's database as its process sees it.

use crate::{fault::Fault, world::World};
use factum_core::{
    Result, TopicId, TopicPartition,
    view::{Claim, Commit, CommitOutcome, Extent, LoadRequest, Loaded, Parking, Redriven, ResetPlan, ViewTable},
};
use factum_views::{AroundSink, MemorySink, Sink};
use std::{fmt, sync::Arc};

/// The production sink in memory, behind a database that can be away.
pub(crate) struct SimulatedSink {
    world: Arc<World>,
    inner: MemorySink,
    /// What it takes off the list of parked records is given up.
    gives_up: bool,
}

impl SimulatedSink {
    pub(crate) fn new(world: &Arc<World>, inner: MemorySink) -> Self {
        SimulatedSink { world: world.clone(), inner, gives_up: false }
    }

    /// What is taken off the list of parked records from now on is given up.
    pub(crate) fn gives_up(&mut self) {
        self.gives_up = true;
    }

    /// Notes what was committed, whether or not the process is told.
    fn note(&self, parking: &Parking) {
        for parked in &parking.aside {
            self.world.count(if parked.cause.is_empty() { Fault::BehindParked } else { Fault::Parked });
        }
        if let Some(Redriven { place, expected, done, .. }) = parking.redriven.as_ref().filter(|_| self.gives_up) {
            let offsets = expected.iter().take(*done).map(|offset| (place.clone(), *offset));
            let view = self.inner.table().view().to_owned();
            self.world.notes().given_up.entry(view).or_default().extend(offsets);
        }
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

    fn recorded(&mut self, plan: &ResetPlan) {
        if plan.extent == Extent::Whole {
            // It is built anew, of everything.
            self.world.notes().given_up.remove(self.inner.table().view());
        }
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
        if outcome == CommitOutcome::Committed {
            self.note(&commit.parking);
        }
        // The database has it, and the process is not told.
        self.world.after_call()?;
        Ok(outcome)
    }

    fn rollback(&mut self) -> Result<()> {
        self.inner.rollback()
    }
}
