//! Writing in transactions.

use crate::broker::OffsetsRefused;
use crate::faults::CommitFault;
use crate::log::{Shared, millis};
use crate::partition::Ending;
use crate::transactions::Epoch;
use factum_core::log::{CommitOffset, TransactionOptions, TransactionalProducer, TxnError};
use factum_core::{Error, Membership, Offset, RecordBatch, Result, TimestampMs, TopicPartition};

/// A transactional producer of the log in memory.
#[derive(Debug)]
pub(crate) struct MemoryTransactionalProducer {
    shared: Shared,
    id: String,
    timeout_ms: i64,
    epoch: Option<Epoch>,
    state: State,
    delivered: Vec<Offset>,
    /// Some records of the transaction have not arrived in time.
    undelivered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Open,
    /// A step failed: only an abort is left.
    Failed,
    /// Fenced: nothing is left.
    Dead,
}

impl MemoryTransactionalProducer {
    pub(crate) fn new(shared: Shared, options: TransactionOptions) -> Result<Self> {
        if options.transactional_id.is_empty() || options.timeout.is_zero() {
            return Err(Error::invalid("a transactional producer needs an id and a timeout above 0"));
        }
        Ok(MemoryTransactionalProducer {
            shared,
            id: options.transactional_id,
            timeout_ms: millis(options.timeout),
            epoch: None,
            state: State::Ready,
            delivered: Vec::new(),
            undelivered: false,
        })
    }

    /// The epoch, when the producer is in one of these states.
    fn require(&self, states: &[State], step: &str) -> Result<Epoch, TxnError> {
        match self.epoch {
            _ if self.state == State::Dead => Err(TxnError::Fatal(self.fenced_error())),
            Some(epoch) if states.contains(&self.state) => Ok(epoch),
            _ => Err(TxnError::Abort(Error::invalid(format!(
                "{}: {step} does not fit a producer that is {:?}",
                self.id, self.state
            )))),
        }
    }

    fn fenced_error(&self) -> Error {
        Error::fenced(format!("transactional id {} belongs to a newer producer, or its transaction timed out", self.id))
    }

    fn die(&mut self) -> TxnError {
        self.state = State::Dead;
        TxnError::Fatal(self.fenced_error())
    }

    fn fail(&mut self, error: Error) -> TxnError {
        self.state = State::Failed;
        TxnError::Abort(error)
    }

    fn unclear(&mut self, error: Error) -> TxnError {
        self.state = State::Dead;
        TxnError::Fatal(error)
    }

    fn unanswered(&mut self) -> TxnError {
        self.unclear(Error::unavailable(format!("the commit of {} got no answer", self.id)))
    }

    /// A commit returns when it is durable. An abort needs not be: what is
    /// open when the log's process ends is aborted at the next start.
    fn end(&mut self, epoch: Epoch, ending: Ending) -> Result<(), TxnError> {
        if ending == Ending::Commit {
            self.shared.admit().map_err(TxnError::Retry)?;
        }
        let (ended, group) = self
            .shared
            .call(|broker, now| (broker.end_transaction(&self.id, epoch, ending, now), broker.recorder.wanted()));
        if ended.is_err() {
            return Err(self.die());
        }
        if ending == Ending::Commit
            && let Err(error) = self.shared.sync(group)
        {
            let what = format!("the commit of {} may yet become durable", self.id);
            return Err(self.unclear(error.context(what)));
        }
        self.state = State::Ready;
        self.delivered.clear();
        self.undelivered = false;
        Ok(())
    }
}

impl TransactionalProducer for MemoryTransactionalProducer {
    fn init(&mut self) -> Result<(), TxnError> {
        if self.epoch.is_some() {
            return Err(TxnError::Abort(Error::invalid(format!("{} is initialised already", self.id))));
        }
        self.epoch = Some(self.shared.call(|broker, _| broker.init_transactions(&self.id, self.timeout_ms)));
        Ok(())
    }

    fn begin(&mut self) -> Result<(), TxnError> {
        // As in Kafka, the broker hears of it with the first record or offset.
        self.require(&[State::Ready], "begin")?;
        self.state = State::Open;
        Ok(())
    }

    fn produce(&mut self, records: &RecordBatch) -> Result<(), TxnError> {
        let epoch = self.require(&[State::Open], "produce")?;
        let (id, delivered, undelivered) = (self.id.as_str(), &mut self.delivered, &mut self.undelivered);
        let produced = self.shared.write(|broker, now| {
            if broker.check_epoch(id, epoch).is_err() {
                return Ok(Err(()));
            }
            for record in records.iter() {
                broker.check(record)?;
            }
            let late = broker.late.take_order(records);
            let mut held = RecordBatch::new();
            for (index, record) in records.iter().enumerate() {
                let is_late = |(from, place, _): &(usize, TopicPartition, i64)| {
                    index >= *from && *record.topic() == place.topic && record.partition() == place.partition
                };
                if late.as_ref().is_some_and(is_late) {
                    held.push(record);
                    continue;
                }
                match broker.append_in_transaction((id, epoch), record, now) {
                    Ok(offset) => delivered.push(offset?),
                    Err(_) => return Ok(Err(())),
                }
            }
            if let Some((_, place, late_ms)) = late {
                // The coordinator hears of the partition before its leader gets a record.
                if broker.add_partition((id, epoch), &place, now).is_err() {
                    return Ok(Err(()));
                }
                broker.late.hold((id, epoch), place, held, TimestampMs(now.0.saturating_add(late_ms)));
                *undelivered = true;
            }
            Ok(Ok(()))
        });
        match produced {
            Ok(Ok(())) => Ok(()),
            Ok(Err(())) => Err(self.die()),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn deliver(&mut self, offsets: &mut Vec<Offset>) -> Result<(), TxnError> {
        self.require(&[State::Open], "deliver")?;
        if self.undelivered {
            return Err(self.fail(Error::unavailable(format!("records of {} were not delivered in time", self.id))));
        }
        offsets.append(&mut self.delivered);
        Ok(())
    }

    fn send_offsets(&mut self, member: &Membership, offsets: &[CommitOffset]) -> Result<(), TxnError> {
        let epoch = self.require(&[State::Open], "send_offsets")?;
        if offsets.is_empty() {
            return Err(TxnError::Abort(Error::invalid(format!(
                "{}: a transaction needs at least one offset, or nothing fences it",
                self.id
            ))));
        }
        if let Err(error) = self.shared.admit() {
            return Err(self.fail(error));
        }
        let sent = self.shared.call(|broker, now| broker.send_offsets((&self.id, epoch), member, offsets, now));
        match sent {
            Ok(()) => Ok(()),
            Err(OffsetsRefused::Superseded) => Err(self.die()),
            Err(OffsetsRefused::Invalid(error)) => Err(self.fail(error)),
            Err(OffsetsRefused::Member(refusal)) => {
                self.state = State::Failed;
                Err(TxnError::StaleMember(Error::fenced(format!(
                    "group {}, member {:?}, generation {}: {}",
                    member.group,
                    member.member_id,
                    member.generation,
                    refusal.text()
                ))))
            }
        }
    }

    fn commit(&mut self) -> Result<(), TxnError> {
        let epoch = self.require(&[State::Open], "commit")?;
        match self.shared.call(|broker, _| broker.take_fault(&self.id)) {
            None => self.end(epoch, Ending::Commit),
            Some(CommitFault::Retry) => {
                Err(TxnError::Retry(Error::unavailable(format!("the commit of {} is to be repeated", self.id))))
            }
            Some(CommitFault::Abort) => {
                let error = Error::unavailable(format!("the commit of {} failed", self.id));
                Err(self.fail(error))
            }
            Some(CommitFault::Fenced) => {
                self.shared.call(|broker, _| broker.fence(&self.id));
                Err(self.die())
            }
            Some(CommitFault::UnknownCommitted) => {
                self.end(epoch, Ending::Commit)?;
                Err(self.unanswered())
            }
            Some(CommitFault::UnknownAborted) => {
                self.end(epoch, Ending::Abort)?;
                Err(self.unanswered())
            }
        }
    }

    fn abort(&mut self) -> Result<(), TxnError> {
        let epoch = self.require(&[State::Open, State::Failed], "abort")?;
        self.end(epoch, Ending::Abort)
    }
}
