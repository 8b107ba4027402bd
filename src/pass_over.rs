//! A log without some of its records: those that an operator has found to be nobody's.
//!
//! What is written into an events topic stays there for ever. A record that no
//! handler wrote stops every reader, each time that it is read, until it is
//! named with `--pass-over`. It is left out below all readers, so that handlers,
//! views, rebuilds, histories and streams agree on what the log says.

use factum_core::{
    CommitOffset, Error, GroupEvent, Membership, Offset, RecordBatch, Result, TopicPartition,
    log::{
        Admin, Committed, GroupConsumer, GroupOptions, Isolation, Log, Producer, Reader, TransactionOptions,
        TransactionalProducer,
    },
    wire::Token,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tracing::warn;

/// What is left out.
type Places = BTreeMap<TopicPartition, BTreeSet<Offset>>;

/// The log around which it is, without the records.
#[derive(Debug)]
pub(crate) struct PassOver {
    log: Arc<dyn Log>,
    places: Arc<Places>,
}

impl PassOver {
    /// The log without these records; the log itself where there are none. Names are those of the log, with
    /// a deployment's prefix.
    ///
    /// # Errors
    /// `Invalid` for a record of a topic that is no events topic, or with another id than is named.
    pub(crate) fn around(log: Arc<dyn Log>, records: &[Token]) -> Result<Arc<dyn Log>> {
        if records.is_empty() {
            return Ok(log);
        }
        let mut places = Places::new();
        for record in records {
            let Token { place, offset, topic_id } = record;
            if !place.topic.as_str().ends_with(".events") {
                return Err(Error::invalid(format!(
                    "--pass-over {record}: only records of events topics are passed over"
                )));
            }
            if let Some(wanted) = topic_id {
                let found = log.admin()?.describe_topic(&place.topic)?.map(|topic| topic.id);
                if found != Some(*wanted) {
                    let found = found.map_or("does not exist".to_owned(), |id| format!("has the id {id}"));
                    return Err(Error::invalid(format!("--pass-over {record}: the topic {found}; leave the flag out")));
                }
            }
            warn!(record = %record, "is passed over");
            places.entry(place.clone()).or_default().insert(*offset);
        }
        Ok(Arc::new(PassOver { log, places: Arc::new(places) }))
    }
}

impl Log for PassOver {
    fn admin(&self) -> Result<Box<dyn Admin>> {
        self.log.admin()
    }

    fn group_consumer(&self, options: &GroupOptions) -> Result<Box<dyn GroupConsumer>> {
        let inner = self.log.group_consumer(options)?;
        Ok(Box::new(Without { inner, places: self.places.clone(), fetched: RecordBatch::new() }))
    }

    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>> {
        let inner = self.log.reader(isolation)?;
        Ok(Box::new(Without { inner, places: self.places.clone(), fetched: RecordBatch::new() }))
    }

    fn producer(&self) -> Result<Box<dyn Producer>> {
        self.log.producer()
    }

    fn transactional_producer(&self, options: &TransactionOptions) -> Result<Box<dyn TransactionalProducer>> {
        self.log.transactional_producer(options)
    }
}

/// A consumer without the records. Its positions are beyond them, as beyond control records.
#[derive(Debug)]
struct Without<T: ?Sized> {
    places: Arc<Places>,
    fetched: RecordBatch,
    inner: Box<T>,
}

impl<T: ?Sized> Without<T> {
    /// What was fetched, but for these.
    fn keep(&mut self, into: &mut RecordBatch) {
        for record in self.fetched.iter() {
            let passed_over = self.places.get(&record.place());
            if !passed_over.is_some_and(|offsets| offsets.contains(&record.offset())) {
                into.push(record);
            }
        }
        self.fetched.clear();
    }
}

impl GroupConsumer for Without<dyn GroupConsumer> {
    fn poll(&mut self, max_records: usize, timeout: Duration, into: &mut RecordBatch) -> Result<Option<GroupEvent>> {
        let polled = self.inner.poll(max_records, timeout, &mut self.fetched);
        self.keep(into);
        polled
    }

    fn membership(&mut self) -> Result<Membership> {
        self.inner.membership()
    }

    fn start(&mut self, place: &TopicPartition, offset: Offset) -> Result<()> {
        self.inner.start(place, offset)
    }

    fn pause(&mut self, place: &TopicPartition) -> Result<()> {
        self.inner.pause(place)
    }

    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>> {
        self.inner.position(place)
    }

    fn committed(&mut self, places: &[TopicPartition]) -> Result<Vec<Option<Committed>>> {
        self.inner.committed(places)
    }

    fn commit(&mut self, offsets: &[CommitOffset]) -> Result<()> {
        self.inner.commit(offsets)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.inner.close()
    }
}

impl Reader for Without<dyn Reader> {
    fn add(&mut self, place: &TopicPartition, offset: Offset) -> Result<()> {
        self.inner.add(place, offset)
    }

    fn remove(&mut self, place: &TopicPartition) -> Result<()> {
        self.inner.remove(place)
    }

    fn poll(&mut self, max_records: usize, timeout: Duration, into: &mut RecordBatch) -> Result<()> {
        let polled = self.inner.poll(max_records, timeout, &mut self.fetched);
        self.keep(into);
        polled
    }

    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>> {
        self.inner.position(place)
    }
}
