//! The handle of a log in memory.

use crate::admin::MemoryAdmin;
use crate::broker::Broker;
use crate::cleaner::{Compaction, clean};
use crate::consumer::MemoryConsumer;
use crate::faults::CommitFault;
use crate::journal::{Effect, Journal};
use crate::producer::MemoryProducer;
use crate::reader::MemoryReader;
use crate::restore::Restore;
use crate::snapshot;
use crate::transactional::MemoryTransactionalProducer;
use factum_core::log::{
    Admin, GroupConsumer, GroupOptions, Isolation, Log, Producer, Reader, TransactionOptions, TransactionalProducer,
};
use factum_core::{Result, TimestampMs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fmt, ops::ControlFlow};

/// The longest that a waiting client goes without looking at the log's clock,
/// which may be a test's own and run ahead of real time.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where a log gets the time.
pub type Clock = Arc<dyn Fn() -> TimestampMs + Send + Sync>;

/// The system's time.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        // Before 1970 there is no meaningful answer; 0 keeps the log usable.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimestampMs(millis(since))
    })
}

/// A log in memory. Clones are handles of the same log.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Shared,
}

impl MemoryLog {
    /// An empty log that takes the time from `clock`: for timestamps, session
    /// and transaction timeouts, and retention.
    pub fn new(clock: Clock) -> Self {
        MemoryLog { shared: Shared::new(clock, Broker::default(), None) }
    }

    /// An empty log whose clients never wait: what others wait for has timed
    /// out at once. One thread can step all of them, in a time of its own.
    pub fn stepped(clock: Clock) -> Self {
        let inner = Inner { waiting: Waiting::Never, ..Inner::new(clock, Broker::default(), None) };
        MemoryLog { shared: Shared(Arc::new(inner)) }
    }

    /// A log as it was, which writes what becomes of it to a journal: no call
    /// is acknowledged before its effects are durable, and nobody sees what is
    /// not durable yet. Transactions that were open are aborted; their number
    /// is returned, too.
    ///
    /// # Errors
    /// Those of [`Journal::sync`].
    pub fn journaled(clock: Clock, restore: Restore, journal: Arc<dyn Journal>) -> Result<(Self, usize)> {
        let (broker, aborted) = restore.finish(journal.clone());
        let log = MemoryLog { shared: Shared::new(clock, broker, Some(journal)) };
        log.shared.settled(|_, _| Ok(()))?;
        Ok((log, aborted))
    }

    /// Tells the effects that make the log as it is at one moment, in which
    /// `cut` is called. The log goes on meanwhile; only cleaning is left for
    /// later by the caller.
    ///
    /// # Errors
    /// Those of `tell`, which ends it.
    pub fn snapshot(&self, cut: impl FnOnce(), tell: &mut dyn FnMut(&Effect<'_>) -> Result<()>) -> Result<()> {
        snapshot::tell(&self.shared, cut, tell)
    }

    /// About the bytes that the log's records take, and how many there are.
    pub fn size(&self) -> (usize, usize) {
        self.shared.call(|broker, _| {
            let partitions = || broker.topics.iter().flat_map(|(_, state)| &state.partitions);
            (partitions().map(|log| log.size_bytes()).sum(), partitions().map(|log| log.records()).sum())
        })
    }

    /// How many topics there are.
    pub fn topics(&self) -> usize {
        self.shared.call(|broker, _| broker.topics.iter().count())
    }

    /// An empty log that takes the time from the system.
    pub fn with_system_clock() -> Self {
        MemoryLog::new(system_clock())
    }

    /// Applies compaction and retention to every partition, once. Where Kafka
    /// leaves the newest segment alone, this looks at everything below the
    /// last stable offset.
    pub fn run_cleaner(&self) {
        self.clean(Compaction::Always);
    }

    /// The same with a choice of what is compacted. Other clients have their
    /// turn between any two partitions.
    pub fn clean(&self, compaction: Compaction) {
        for place in self.shared.call(|broker, _| broker.topics.places()) {
            self.shared.call(|broker, now| clean(broker, &place, compaction, now));
        }
    }

    /// Makes the next commit of any transaction fail in this way. Several
    /// wait their turn. A transaction without records and offsets uses none up.
    pub fn fail_next_commit(&self, fault: CommitFault) {
        self.shared.call(|broker, _| broker.faults.push_back(fault));
    }
}

impl MemoryLog {
    /// Writes the markers of the next commit one by one within so many
    /// milliseconds, as a coordinator does. What its offsets and its records
    /// become visible by is then not one moment. For a log without a journal.
    pub fn delay_next_markers(&self, within_ms: i64) {
        self.shared.call(|broker, _| broker.markers.delay_next(within_ms));
    }

    /// Holds up the next write of a transaction: the records of one partition,
    /// from the record with this number on, counted round and round, arrive after
    /// so many milliseconds. Their producer is told that they were not
    /// delivered. What of them a leader still takes then is the protocol's affair.
    pub fn delay_next_write(&self, from: usize, late_ms: i64) {
        self.shared.call(|broker, _| broker.late.order(from, late_ms));
    }

    /// Forgets a transactional id that has no open transaction, as Kafka does
    /// with one that was idle for too long.
    pub fn forget_producer(&self, id: &str) {
        self.shared.call(|broker, _| broker.forget_producer(id));
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").finish_non_exhaustive()
    }
}

impl Log for MemoryLog {
    fn admin(&self) -> Result<Box<dyn Admin>> {
        Ok(Box::new(MemoryAdmin::new(self.shared.clone())))
    }

    fn group_consumer(&self, options: &GroupOptions) -> Result<Box<dyn GroupConsumer>> {
        Ok(Box::new(MemoryConsumer::new(self.shared.clone(), options.clone())?))
    }

    fn reader(&self, isolation: Isolation) -> Result<Box<dyn Reader>> {
        Ok(Box::new(MemoryReader::new(self.shared.clone(), isolation)))
    }

    fn producer(&self) -> Result<Box<dyn Producer>> {
        Ok(Box::new(MemoryProducer::new(self.shared.clone())))
    }

    fn transactional_producer(&self, options: &TransactionOptions) -> Result<Box<dyn TransactionalProducer>> {
        Ok(Box::new(MemoryTransactionalProducer::new(self.shared.clone(), options.clone())?))
    }
}

/// What the clients of a log share.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Inner>);

struct Inner {
    clock: Clock,
    broker: Mutex<Broker>,
    changed: Condvar,
    journal: Option<Arc<dyn Journal>>,
    waiting: Waiting,
}

/// Whether clients wait for what is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    ToTheirTimeout,
    Never,
}

impl Inner {
    fn new(clock: Clock, broker: Broker, journal: Option<Arc<dyn Journal>>) -> Self {
        let waiting = Waiting::ToTheirTimeout;
        Inner { clock, broker: Mutex::new(broker), changed: Condvar::new(), journal, waiting }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    fn new(clock: Clock, broker: Broker, journal: Option<Arc<dyn Journal>>) -> Self {
        Shared(Arc::new(Inner::new(clock, broker, journal)))
    }

    /// Works on the state when its journal takes effects, and does not wait
    /// until these are durable.
    ///
    /// # Errors
    /// That of the journal, before any work, else those of `work`.
    pub(crate) fn write<R>(&self, work: impl FnOnce(&mut Broker, TimestampMs) -> Result<R>) -> Result<R> {
        self.admit()?;
        self.call(work)
    }

    /// Works on the state when its journal takes effects, and returns when
    /// they are durable.
    ///
    /// # Errors
    /// That of the journal before any work, those of `work`, and that of the
    /// journal afterwards, which leaves open whether the work counts.
    pub(crate) fn durably<R>(&self, work: impl FnOnce(&mut Broker, TimestampMs) -> Result<R>) -> Result<R> {
        self.admit()?;
        self.settled(work)
    }

    /// Works on the state, and returns when everything that others may see of
    /// it is durable.
    ///
    /// # Errors
    /// Those of `work` and of the journal.
    pub(crate) fn settled<R>(&self, work: impl FnOnce(&mut Broker, TimestampMs) -> Result<R>) -> Result<R> {
        let (result, group) = self.call(|broker, now| (work(broker, now), broker.recorder.wanted()));
        let result = result?;
        self.sync(group)?;
        Ok(result)
    }

    /// Whether the journal takes effects now.
    pub(crate) fn admit(&self) -> Result<()> {
        self.0.journal.as_ref().map_or(Ok(()), |journal| journal.admit())
    }

    /// Waits until a group of the journal is durable, for all to see.
    pub(crate) fn sync(&self, group: u64) -> Result<()> {
        let Some(journal) = self.0.journal.as_ref().filter(|journal| journal.durable() < group) else { return Ok(()) };
        journal.sync(group)?;
        // Whoever has looked at the state is asleep by now, not about to be.
        drop(self.lock());
        self.0.changed.notify_all();
        Ok(())
    }

    /// Works on the state, as of now, and wakes the others when it changed.
    pub(crate) fn call<R>(&self, work: impl FnOnce(&mut Broker, TimestampMs) -> R) -> R {
        let mut broker = self.lock();
        self.step(&mut broker, work)
    }

    /// Works on the state until `work` breaks with a result or the timeout is
    /// over: once at least, and again after each change.
    pub(crate) fn wait<R>(
        &self,
        timeout: Duration,
        mut work: impl FnMut(&mut Broker, TimestampMs) -> ControlFlow<R>,
    ) -> Option<R> {
        let began = Instant::now();
        let mut broker = self.lock();
        loop {
            if let ControlFlow::Break(result) = self.step(&mut broker, &mut work) {
                return Some(result);
            }
            let wanted = broker.recorder.wanted();
            if broker.recorder.durable().is_some_and(|durable| durable < wanted) {
                drop(broker);
                // Where that fails there is nothing to see; its writer is told why.
                let synced = self.sync(wanted);
                broker = self.lock();
                if synced.is_ok()
                    && let ControlFlow::Break(result) = self.step(&mut broker, &mut work)
                {
                    return Some(result);
                }
            }
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() || self.0.waiting == Waiting::Never {
                return None;
            }
            // Somebody's session or transaction may time out before anybody calls.
            let due = broker.next_deadline().map_or(LOOK_EVERY, |at| {
                Duration::from_millis(at.0.saturating_sub((self.0.clock)().0).max(1).unsigned_abs())
            });
            let waited = self.0.changed.wait_timeout(broker, left.min(due).min(LOOK_EVERY));
            broker = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn step<R>(&self, broker: &mut Broker, work: impl FnOnce(&mut Broker, TimestampMs) -> R) -> R {
        let now = (self.0.clock)();
        broker.tick(now);
        let result = work(broker, now);
        if broker.take_changed() {
            self.0.changed.notify_all();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Broker> {
        // A test that panics in one thread must not hide its message behind
        // the panics of the others.
        self.0.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A duration in milliseconds, as timestamps count.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
