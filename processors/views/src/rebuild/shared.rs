//! One sink for a runner, which writes with it, and for the rebuild around it.

use super::Rebuild;
use crate::{ParkedFilter, ParkedKey, ParkedRecords, Resets, Sink};
use factum_core::{
    AggregateId, Offset, Result, Topic, TopicId, TopicPartition,
    view::{Claim, Commit, CommitOutcome, LoadRequest, Loaded, Parked, ResetPlan, Standing, ViewTable},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A handle on a sink; its clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    sink: Arc<Mutex<Box<dyn Rebuild>>>,
    database_id: String,
    table: ViewTable,
}

impl Shared {
    pub(super) fn new(sink: Box<dyn Rebuild>) -> Self {
        let (database_id, table) = (sink.database_id().to_owned(), sink.table().clone());
        Shared { sink: Arc::new(Mutex::new(sink)), database_id, table }
    }

    pub(super) fn get(&self) -> MutexGuard<'_, Box<dyn Rebuild>> {
        // A sink that panicked has an open transaction at most, which its next commit compares.
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resets for Shared {
    fn review(&mut self) -> Result<Standing> {
        self.get().review()
    }

    fn record(&mut self, plan: &ResetPlan) -> Result<()> {
        self.get().record(plan)
    }

    fn standing(&mut self) -> Result<Standing> {
        self.get().standing()
    }
}

impl ParkedRecords for Shared {
    fn parked_keys(
        &mut self,
        filter: &ParkedFilter,
        after: Option<(&Topic, &AggregateId)>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        self.get().parked_keys(filter, after, limit)
    }

    fn parked_records(
        &mut self,
        topic: &Topic,
        aggregate: &AggregateId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<Parked>> {
        self.get().parked_records(topic, aggregate, after, limit)
    }

    fn count_parked(&mut self) -> Result<BTreeMap<TopicPartition, u64>> {
        self.get().count_parked()
    }

    fn hold(&mut self, place: &TopicPartition) -> Result<()> {
        self.get().hold(place)
    }
}

impl Sink for Shared {
    fn database_id(&self) -> &str {
        &self.database_id
    }

    fn table(&self) -> &ViewTable {
        &self.table
    }

    fn claim(&mut self, place: &TopicPartition, topic_id: TopicId) -> Result<Claim> {
        self.get().claim(place, topic_id)
    }

    fn load(&mut self, request: &LoadRequest) -> Result<Loaded> {
        self.get().load(request)
    }

    fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome> {
        self.get().commit(commit)
    }

    fn rollback(&mut self) -> Result<()> {
        self.get().rollback()
    }
}
