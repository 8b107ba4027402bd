//! The handle of a log in memory.

use crate::admin::MemoryAdmin;
use crate::broker::Broker;
use crate::consumer::MemoryConsumer;
use crate::faults::CommitFault;
use crate::producer::MemoryProducer;
use crate::reader::MemoryReader;
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

/// A log in memory. Clones are handles of the same log.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Shared,
}

impl MemoryLog {
    /// An empty log that takes the time from `clock`: for timestamps, session
    /// and transaction timeouts, and retention.
    pub fn new(clock: Clock) -> Self {
        let inner = Inner { clock, broker: Mutex::default(), changed: Condvar::new() };
        MemoryLog { shared: Shared(Arc::new(inner)) }
    }

    /// An empty log that takes the time from the system.
    pub fn with_system_clock() -> Self {
        MemoryLog::new(Arc::new(|| {
            // Before 1970 there is no meaningful answer; 0 keeps the log usable.
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            TimestampMs(millis(since))
        }))
    }

    /// Applies compaction and retention to every partition, once. Where Kafka
    /// leaves the newest segment alone, this looks at everything below the
    /// last stable offset.
    pub fn run_cleaner(&self) {
        self.shared.call(crate::cleaner::run);
    }

    /// Makes the next commit of any transaction fail in this way. Several
    /// wait their turn. A transaction without records and offsets uses none up.
    pub fn fail_next_commit(&self, fault: CommitFault) {
        self.shared.call(|broker, _| broker.faults.push_back(fault));
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
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
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
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
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
