//! The transactional producer (KIP-98, KIP-447).
//!
//! librdkafka flushes in slices of 100 ms inside a commit and fails an abort
//! while delivery reports wait, so both find every report served already.

use crate::{
    KafkaConfig,
    config::invalid_property,
    context::ClientState,
    errors::{self, Failure},
    places,
    sys::RawProducer,
    targets::Targets,
};
use factum_core::{
    CommitOffset, Error, ErrorKind, Membership, Offset, RecordBatch, Result,
    log::{TransactionOptions, TransactionalProducer, TxnError},
};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::Producer,
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// The longest that one step waits for the broker before it asks its caller.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one call of librdkafka's `init_transactions` waits; the next one goes on where it stopped.
const INIT_SLICE: Duration = Duration::from_millis(500);
/// The time beyond a transaction's own in which a record's fate must be known.
const GRACE: Duration = Duration::from_secs(5);
/// An offset slot whose report is to come.
const PENDING: i64 = -1;

/// A transactional producer.
pub(crate) struct KafkaTransactionalProducer {
    producer: RawProducer,
    targets: Targets,
    state: Arc<ClientState>,
    options: TransactionOptions,
    staged: Staged,
}

/// The records of the open transaction. Each record's tag is its index.
#[derive(Debug, Default)]
struct Staged {
    offsets: Vec<i64>,
    /// Reports served.
    done: usize,
    /// Records whose offsets [`TransactionalProducer::deliver`] has given out.
    delivered: usize,
    /// The first record that failed.
    failed: Option<(usize, Code)>,
}

impl Staged {
    fn clear(&mut self) {
        self.offsets.clear();
        self.done = 0;
        self.delivered = 0;
        self.failed = None;
    }

    fn in_flight(&self) -> usize {
        self.offsets.len() - self.done
    }

    fn report(&mut self, tag: usize, fate: Result<i64, Code>) {
        let Some(slot) = self.offsets.get_mut(tag).filter(|slot| **slot == PENDING) else { return };
        self.done += 1;
        match fate {
            Ok(offset) => *slot = offset,
            Err(code) => {
                // Not pending any more: a second report of the same record is none.
                *slot = i64::MIN;
                // The first failure is the cause; those after it are purged records.
                self.failed.get_or_insert((tag, code));
            }
        }
    }
}

impl KafkaTransactionalProducer {
    pub(crate) fn new(config: &KafkaConfig, options: &TransactionOptions) -> Result<Self> {
        let state = ClientState::new(config.servers());
        let producer =
            RawProducer::new(&config.transactional(options), state.clone()).map_err(|e| invalid_property(&e))?;
        Ok(KafkaTransactionalProducer {
            producer,
            targets: Targets::default(),
            state,
            options: options.clone(),
            staged: Staged::default(),
        })
    }

    fn serve(&mut self, timeout_ms: i32) {
        let staged = &mut self.staged;
        let mut wait = timeout_ms;
        while self.producer.poll(wait, |tag, fate| staged.report(tag, fate)) {
            wait = 0;
        }
    }

    /// The class of a step that failed; serves the events that may tell why.
    fn failed(&mut self, step: &str, error: &KafkaError) -> TxnError {
        let failure = match error {
            KafkaError::Transaction(e) => Failure {
                code: e.code(),
                text: e.string(),
                fatal: e.is_fatal(),
                retriable: e.is_retriable(),
                requires_abort: e.txn_requires_abort(),
            },
            other => Failure {
                code: other.rdkafka_error_code().unwrap_or(Code::Unknown),
                text: other.to_string(),
                fatal: false,
                retriable: false,
                requires_abort: false,
            },
        };
        self.classify(step, &failure)
    }

    fn classify(&mut self, step: &str, failure: &Failure) -> TxnError {
        self.serve(0);
        let what = format!("{step} of transaction {}", self.options.transactional_id);
        match self.state.check() {
            // Retrying a refused password changes nothing.
            Err(refused) => TxnError::Fatal(refused.context(what)),
            Ok(()) => errors::transaction(failure, &what),
        }
    }

    /// A record that cannot be written: the client is broken, or the transaction must end.
    fn refused(&self, error: Error) -> TxnError {
        match self.producer.fatal() {
            Some((code, text)) => {
                TxnError::Fatal(errors::error(code, format!("transaction {}", self.options.transactional_id), &text))
            }
            None => TxnError::Abort(error),
        }
    }

    fn step_timeout(&self) -> Duration {
        self.options.timeout.min(STEP_TIMEOUT)
    }
}

impl TransactionalProducer for KafkaTransactionalProducer {
    fn init(&mut self) -> Result<(), TxnError> {
        let deadline = Instant::now() + STEP_TIMEOUT;
        loop {
            // In slices, so that a refused authentication is seen in between.
            let error = match self.producer.inner().init_transactions(INIT_SLICE) {
                Ok(()) => return Ok(()),
                Err(error) => self.failed("init", &error),
            };
            match error {
                TxnError::Retry(_) if Instant::now() < deadline => {}
                other => return Err(other),
            }
        }
    }

    fn begin(&mut self) -> Result<(), TxnError> {
        self.serve(0);
        self.producer.inner().begin_transaction().map_err(|e| self.failed("begin", &e))?;
        self.staged.clear();
        Ok(())
    }

    fn produce(&mut self, records: &RecordBatch) -> Result<(), TxnError> {
        self.staged.offsets.reserve(records.len());
        for record in records.iter() {
            let topic = self.targets.of(record, &mut self.producer).map_err(|error| {
                // A refused authentication looks like a time-out here.
                self.serve(0);
                let error = self.state.check().err().unwrap_or(error);
                self.refused(error)
            })?;
            let deadline = Instant::now() + self.options.timeout;
            loop {
                let tag = self.staged.offsets.len();
                match self.producer.send(topic, record, tag) {
                    Ok(()) => break,
                    Err(Code::QueueFull) if Instant::now() < deadline => self.serve(10),
                    Err(code) => {
                        let what = format!("record for {}/{}", record.topic(), record.partition());
                        return Err(self.refused(errors::error(code, what, "")));
                    }
                }
            }
            self.staged.offsets.push(PENDING);
        }
        Ok(())
    }

    fn deliver(&mut self, offsets: &mut Vec<Offset>) -> Result<(), TxnError> {
        let deadline = Instant::now() + self.options.timeout + GRACE;
        self.serve(0);
        while self.staged.in_flight() > 0 && self.staged.failed.is_none() {
            self.serve(100);
            if let Err(error) = self.state.check() {
                return Err(self.refused(error));
            }
            if Instant::now() > deadline {
                let what =
                    format!("{} records of transaction {}", self.staged.in_flight(), self.options.transactional_id);
                return Err(self.refused(self.state.no_answer(&what)));
            }
        }
        if let Some((tag, code)) = self.staged.failed {
            let what = format!("record {tag} of transaction {}", self.options.transactional_id);
            return Err(self.refused(errors::error(code, what, "")));
        }
        offsets.extend(self.staged.offsets[self.staged.delivered..].iter().map(|offset| Offset(*offset)));
        self.staged.delivered = self.staged.offsets.len();
        Ok(())
    }

    fn send_offsets(&mut self, member: &Membership, offsets: &[CommitOffset]) -> Result<(), TxnError> {
        if offsets.is_empty() {
            // librdkafka takes an empty list as success and sends nothing: the transaction would not be fenced.
            return Err(TxnError::Abort(Error::invalid(format!(
                "transaction {} carries no offset of group {}: it would not be fenced",
                self.options.transactional_id, member.group
            ))));
        }
        let list = places::commit_list(offsets).map_err(TxnError::Abort)?;
        match self.producer.send_offsets(member, list, self.step_timeout()) {
            Some(Ok(())) => Ok(()),
            Some(Err(failure)) => Err(self.classify("offsets", &failure)),
            None => Err(TxnError::Fatal(
                self.state.no_answer(&format!("offsets of transaction {}", self.options.transactional_id)),
            )),
        }
    }

    fn commit(&mut self) -> Result<(), TxnError> {
        self.serve(0);
        if self.staged.in_flight() > 0 {
            let error = Error::invalid(format!(
                "transaction {} has {} records that are not delivered yet",
                self.options.transactional_id,
                self.staged.in_flight()
            ));
            return Err(TxnError::Abort(error));
        }
        self.producer.inner().commit_transaction(self.step_timeout()).map_err(|e| self.failed("commit", &e))
    }

    fn abort(&mut self) -> Result<(), TxnError> {
        let deadline = Instant::now() + self.step_timeout();
        loop {
            self.serve(0);
            // The first call purges what is queued; librdkafka then waits for reports that only
            // this thread can serve, so that it is kept short until there are none.
            let step = match self.staged.in_flight() {
                0 => self.step_timeout(),
                _ => Duration::from_millis(10),
            };
            let error = match self.producer.inner().abort_transaction(step) {
                Ok(()) => {
                    self.serve(0);
                    self.staged.clear();
                    return Ok(());
                }
                Err(error) => self.failed("abort", &error),
            };
            match &error {
                TxnError::Retry(cause) if cause.kind() == ErrorKind::Unavailable && Instant::now() < deadline => {}
                _ => return Err(error),
            }
        }
    }
}

impl fmt::Debug for KafkaTransactionalProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaTransactionalProducer")
            .field("options", &self.options)
            .field("in_flight", &self.staged.in_flight())
            .finish_non_exhaustive()
    }
}
