//! The log as a process sees it: the model of Kafka, with everything that can
//! happen to a process and to its requests around each call.

mod consumer;
mod producer;

use crate::{fault::Fault, world::World};
use consumer::{SimulatedConsumer, SimulatedReader};
use factum_core::{
    Result, TimestampMs, Topic, TopicPartition,
    log::{
        Admin, Bounds, CommitOffset, Committed, GroupConsumer, GroupOptions, Isolation, Log, Producer, Reader,
        TopicDescription, TopicSpec, TransactionOptions, TransactionalProducer,
    },
};
use producer::{SimulatedProducer, SimulatedTransactionalProducer};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The log of one process.
#[derive(Clone)]
pub(crate) struct SimulatedLog {
    world: Arc<World>,
    /// Counts the calls that find the log away.
    away: Fault,
}

impl SimulatedLog {
    pub(crate) fn new(world: &Arc<World>, away: Fault) -> Self {
        SimulatedLog { world: world.clone(), away }
    }

    /// A call that may be lost, or its answer.
    fn call<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.world.before_call(self.away)?;
        let done = work()?;
        self.world.after_call()?;
        Ok(done)
    }

    /// A call whose loss is harmless to tell apart: nothing is changed by it.
    fn ask<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.world.before_call(self.away)?;
        work()
    }
}

impl fmt::Debug for SimulatedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedLog")
    }
}

impl Log for SimulatedLog {
    fn admin(&self) -> Result<Box<dyn Admin>> {
        Ok(Box::new(SimulatedAdmin { log: self.clone(), inner: self.world.log.admin()? }))
    }

    fn group_consumer(&self, options: &GroupOptions) -> Result<Box<dyn GroupConsumer>> {
        let inner = self.world.log.group_consumer(options)?;
        Ok(Box::new(SimulatedConsumer::new(self.clone(), inner, options)))
    }

    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>> {
        Ok(Box::new(SimulatedReader::new(self.clone(), self.world.log.reader(isolation)?)))
    }

    fn producer(&self) -> Result<Box<dyn Producer>> {
        Ok(Box::new(SimulatedProducer::new(self.clone(), self.world.log.producer()?)))
    }

    fn transactional_producer(&self, options: &TransactionOptions) -> Result<Box<dyn TransactionalProducer>> {
        let inner = self.world.log.transactional_producer(options)?;
        let id = options.transactional_id.clone();
        Ok(Box::new(SimulatedTransactionalProducer::new(self.clone(), inner, id)))
    }
}

#[derive(Debug)]
struct SimulatedAdmin {
    log: SimulatedLog,
    inner: Box<dyn Admin>,
}

impl Admin for SimulatedAdmin {
    fn create_topics(&mut self, topics: &[TopicSpec]) -> Result<()> {
        self.log.call(|| self.inner.create_topics(topics))
    }

    fn delete_topics(&mut self, topics: &[Topic]) -> Result<()> {
        self.log.call(|| self.inner.delete_topics(topics))
    }

    fn alter_topic(&mut self, topic: &Topic, settings: &BTreeMap<String, String>) -> Result<()> {
        self.log.call(|| self.inner.alter_topic(topic, settings))
    }

    fn add_partitions(&mut self, topic: &Topic, partitions: u32) -> Result<()> {
        self.log.call(|| self.inner.add_partitions(topic, partitions))
    }

    fn describe_topic(&mut self, topic: &Topic) -> Result<Option<TopicDescription>> {
        self.log.ask(|| self.inner.describe_topic(topic))
    }

    fn bounds(&mut self, place: &TopicPartition, isolation: Isolation) -> Result<Bounds> {
        self.log.ask(|| self.inner.bounds(place, isolation))
    }

    fn offset_for_time(&mut self, place: &TopicPartition, time: TimestampMs) -> Result<Option<factum_core::Offset>> {
        self.log.ask(|| self.inner.offset_for_time(place, time))
    }

    fn delete_records(&mut self, place: &TopicPartition, before: factum_core::Offset) -> Result<()> {
        self.log.call(|| self.inner.delete_records(place, before))
    }

    fn group_offsets(&mut self, group: &str, places: &[TopicPartition]) -> Result<Vec<(TopicPartition, Committed)>> {
        self.log.ask(|| self.inner.group_offsets(group, places))
    }

    fn reset_group_offsets(&mut self, group: &str, offsets: &[CommitOffset]) -> Result<()> {
        self.log.call(|| self.inner.reset_group_offsets(group, offsets))
    }
}
