//! A log for one who reads as a handler does and is none.

use factum_core::{
    Error, GroupEvent, Membership, Offset, RecordBatch, Result, TopicPartition,
    log::{
        Admin, CommitOffset, Committed, GroupConsumer, GroupOptions, Isolation, Log, Producer, Reader,
        TransactionOptions, TransactionalProducer, TxnError,
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The same log without its groups: a member of one is given every partition
/// at once and no record, joins nothing, and its transactions carry no offsets.
/// So handlers that run keep theirs and notice nothing.
///
/// What fences a handler is missing here. It is for records that no handler
/// writes, and for one writer of them: a second one with the same transactional
/// id fences the first, which gets no other producer.
#[derive(Debug)]
pub(super) struct Beside {
    log: Arc<dyn Log>,
    has_producer: AtomicBool,
}

impl Beside {
    pub(super) fn new(log: Arc<dyn Log>) -> Self {
        Beside { log, has_producer: AtomicBool::new(false) }
    }
}

impl Log for Beside {
    fn admin(&self) -> Result<Box<dyn Admin>> {
        self.log.admin()
    }

    fn group_consumer(&self, options: &GroupOptions) -> Result<Box<dyn GroupConsumer>> {
        let mut places = Vec::new();
        for topic in &options.topics {
            places.extend(self.log.admin()?.partitions(topic)?);
        }
        Ok(Box::new(Outsider { options: options.clone(), given: Some(places) }))
    }

    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>> {
        self.log.reader(isolation)
    }

    fn producer(&self) -> Result<Box<dyn Producer>> {
        self.log.producer()
    }

    fn transactional_producer(&self, options: &TransactionOptions) -> Result<Box<dyn TransactionalProducer>> {
        if self.has_producer.swap(true, Ordering::Relaxed) {
            return Err(Error::invalid(
                "a transaction failed, perhaps because another process does the same: what is in the log stays good; \
                 run this again, one at a time",
            ));
        }
        Ok(Box::new(WithoutOffsets(self.log.transactional_producer(options)?)))
    }
}

/// Has every partition and is no member.
#[derive(Debug)]
struct Outsider {
    options: GroupOptions,
    given: Option<Vec<TopicPartition>>,
}

impl GroupConsumer for Outsider {
    fn poll(&mut self, _: usize, timeout: Duration, _: &mut RecordBatch) -> Result<Option<GroupEvent>> {
        let event = self.given.take().map(GroupEvent::Assigned);
        if event.is_none() {
            std::thread::sleep(timeout);
        }
        Ok(event)
    }

    fn membership(&mut self) -> Result<Membership> {
        Ok(Membership {
            group: self.options.group.clone(),
            member_id: "none".to_owned(),
            generation: 1,
            instance_id: None,
            protocol: self.options.protocol,
        })
    }

    fn start(&mut self, _: &TopicPartition, _: Offset) -> Result<()> {
        Ok(())
    }

    fn pause(&mut self, _: &TopicPartition) -> Result<()> {
        Ok(())
    }

    fn position(&mut self, _: &TopicPartition) -> Result<Option<Offset>> {
        Ok(None)
    }

    /// None: how far commands were handled is read from the events, which is
    /// true whatever the group does meanwhile.
    fn committed(&mut self, places: &[TopicPartition]) -> Result<Vec<Option<Committed>>> {
        Ok(vec![None; places.len()])
    }

    fn commit(&mut self, _: &[CommitOffset]) -> Result<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Commits no offsets of a group.
#[derive(Debug)]
struct WithoutOffsets(Box<dyn TransactionalProducer>);

impl TransactionalProducer for WithoutOffsets {
    fn init(&mut self) -> Result<(), TxnError> {
        self.0.init()
    }

    fn begin(&mut self) -> Result<(), TxnError> {
        self.0.begin()
    }

    fn produce(&mut self, records: &RecordBatch) -> Result<(), TxnError> {
        self.0.produce(records)
    }

    fn deliver(&mut self, offsets: &mut Vec<Offset>) -> Result<(), TxnError> {
        self.0.deliver(offsets)
    }

    fn send_offsets(&mut self, _: &Membership, _: &[CommitOffset]) -> Result<(), TxnError> {
        Ok(())
    }

    fn commit(&mut self) -> Result<(), TxnError> {
        self.0.commit()
    }

    fn abort(&mut self) -> Result<(), TxnError> {
        self.0.abort()
    }
}
