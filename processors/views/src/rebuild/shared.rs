//! One sink for a runner, which writes with it, and for the rebuild around it.

use super::Rebuild;
use crate::{AroundSink, Sink};
use factum_core::{
    Result, TopicId, TopicPartition,
    view::{Claim, Commit, CommitOutcome, LoadRequest, Loaded, ViewTable},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

impl AroundSink for Shared {
    fn within<R>(&mut self, ask: impl FnOnce(&mut dyn Sink) -> Result<R>) -> Result<R> {
        ask(&mut **self.get())
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
