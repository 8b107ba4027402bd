//! Writing, as a process does it.

use super::SimulatedLog;
use crate::fault::Fault;
use factum_core::{
    Error, Offset, RecordBatch, Result,
    log::{CommitOffset, Delivery, Membership, Producer, TransactionalProducer, TxnError},
};
use factum_log_memory::faults::CommitFault;
use std::time::Duration;

/// The longest until the last marker of a transaction is written.
const MAX_MARKER_MS: i64 = 2_000;
/// The longest that a write is on its way.
const MAX_LATE_MS: i64 = 3_000;

/// An idempotent producer, as a process has one.
#[derive(Debug)]
pub(super) struct SimulatedProducer {
    log: SimulatedLog,
    inner: Box<dyn Producer>,
}

impl SimulatedProducer {
    pub(super) fn new(log: SimulatedLog, inner: Box<dyn Producer>) -> Self {
        SimulatedProducer { log, inner }
    }
}

impl Producer for SimulatedProducer {
    fn produce(&mut self, records: &RecordBatch) -> Result<u64> {
        self.log.call(|| self.inner.produce(records))
    }

    fn poll(&mut self, timeout: Duration, into: &mut Vec<Delivery>) -> Result<()> {
        self.log.ask(|| self.inner.poll(timeout, into))
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }

    fn flush(&mut self, timeout: Duration) -> Result<()> {
        self.log.ask(|| self.inner.flush(timeout))
    }
}

/// A transactional producer, as a process has one.
#[derive(Debug)]
pub(super) struct SimulatedTransactionalProducer {
    log: SimulatedLog,
    inner: Box<dyn TransactionalProducer>,
    id: String,
}

impl SimulatedTransactionalProducer {
    pub(super) fn new(log: SimulatedLog, inner: Box<dyn TransactionalProducer>, id: String) -> Self {
        SimulatedTransactionalProducer { log, inner, id }
    }

    /// Before a request of a transaction: the log may have forgotten the producer.
    fn before(&self, lost: fn(Error) -> TxnError) -> Result<(), TxnError> {
        let world = &self.log.world;
        if world.strikes(Fault::ExpiredId) {
            world.log.forget_producer(&self.id);
        }
        world.before_call(self.log.away).map_err(lost)
    }

    fn after(&self, lost: fn(Error) -> TxnError) -> Result<(), TxnError> {
        self.log.world.after_call().map_err(lost)
    }
}

impl TransactionalProducer for SimulatedTransactionalProducer {
    fn init(&mut self) -> Result<(), TxnError> {
        self.before(TxnError::Retry)?;
        if self.log.world.strikes(Fault::StartRetried) {
            return Err(TxnError::Retry(Error::unavailable("a transaction of the predecessor is being ended")));
        }
        self.inner.init()
    }

    fn begin(&mut self) -> Result<(), TxnError> {
        // The plan says already as which member it is sent.
        self.log.world.may_hang_before_transaction();
        // No request: the log hears of it with the first offset or record.
        self.inner.begin()
    }

    fn produce(&mut self, records: &RecordBatch) -> Result<(), TxnError> {
        self.before(TxnError::Abort)?;
        let world = &self.log.world;
        if !records.is_empty() && world.strikes(Fault::LateWrite) {
            let (from, late_ms) = world
                .draw_for(Fault::LateWrite, |random| (random.index(records.len()), random.between(1, MAX_LATE_MS)));
            world.log.delay_next_write(from, late_ms);
        }
        self.inner.produce(records)
    }

    fn deliver(&mut self, offsets: &mut Vec<Offset>) -> Result<(), TxnError> {
        self.before(TxnError::Abort)?;
        self.inner.deliver(offsets)
    }

    fn send_offsets(&mut self, member: &Membership, offsets: &[CommitOffset]) -> Result<(), TxnError> {
        self.before(TxnError::Retry)?;
        self.inner.send_offsets(member, offsets)?;
        self.after(TxnError::Retry)
    }

    fn commit(&mut self) -> Result<(), TxnError> {
        self.before(TxnError::Retry)?;
        let world = &self.log.world;
        let faults = [
            (Fault::UnknownCommitted, CommitFault::UnknownCommitted),
            (Fault::UnknownAborted, CommitFault::UnknownAborted),
            (Fault::CommitRetried, CommitFault::Retry),
            (Fault::CommitRefused, CommitFault::Abort),
            (Fault::ProducerFenced, CommitFault::Fenced),
        ];
        if let Some((_, fault)) = faults.into_iter().find(|(fault, _)| world.strikes(*fault)) {
            world.log.fail_next_commit(fault);
        } else if world.strikes(Fault::SlowMarkers) {
            world.log.delay_next_markers(world.draw_for(Fault::SlowMarkers, |random| random.between(1, MAX_MARKER_MS)));
            if world.strikes(Fault::LeavesBehindMarkers) {
                world.wants_to_leave();
            }
        }
        self.inner.commit()?;
        // It is committed, and the producer, which goes on, is told that it failed.
        self.after(TxnError::Abort)
    }

    fn abort(&mut self) -> Result<(), TxnError> {
        self.before(TxnError::Retry)?;
        self.inner.abort()
    }
}
