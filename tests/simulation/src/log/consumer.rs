//! Reading, as a process does it.

use super::SimulatedLog;
use crate::{fault::Fault, time};
use factum_core::{
    Offset, RecordBatch, Result, TimestampMs, TopicPartition,
    log::{CommitOffset, Committed, GroupConsumer, GroupEvent, GroupOptions, GroupProtocol, Membership, Reader},
};
use std::time::Duration;

/// A poll brings at most so many records, so that batches are of every size.
const MAX_RECORDS: u64 = 12;

/// A member of a group, as a process has one.
#[derive(Debug)]
pub(super) struct SimulatedConsumer {
    log: SimulatedLog,
    inner: Box<dyn GroupConsumer>,
    group: String,
    session_ms: i64,
    polled: TimestampMs,
    /// The client's own thread settles its membership until then.
    settled: TimestampMs,
    /// Until then, it knows its id.
    named: bool,
}

impl SimulatedConsumer {
    pub(super) fn new(log: SimulatedLog, inner: Box<dyn GroupConsumer>, options: &GroupOptions) -> Self {
        let session_ms = i64::try_from(options.session_timeout.as_millis()).unwrap_or(i64::MAX);
        SimulatedConsumer {
            log,
            inner,
            group: options.group.clone(),
            session_ms,
            polled: time::now(),
            settled: time::now(),
            named: true,
        }
    }
}

impl GroupConsumer for SimulatedConsumer {
    fn poll(&mut self, max_records: usize, _timeout: Duration, into: &mut RecordBatch) -> Result<Option<GroupEvent>> {
        if self.log.world.before_call(self.log.away).is_err() {
            // A client tells of no lost fetch: there is nothing yet.
            return Ok(None);
        }
        self.polled = time::now();
        let most = usize::try_from(self.log.world.draw(|random| 1 + random.below(MAX_RECORDS))).unwrap_or(1);
        let before = into.len();
        let mut event = self.inner.poll(max_records.min(most), Duration::ZERO, into)?;
        let brought = into.len() - before;
        if event.is_none() && brought > 0 && !self.log.world.draw(|random| random.chance(50_000)) {
            // What was read before an event may come with it.
            event = self.inner.poll(max_records.min(most) - brought, Duration::ZERO, into)?;
        }
        self.log.world.notes().deliveries.delivered(&self.group, into.iter().skip(before));
        Ok(event)
    }

    fn membership(&mut self) -> Result<Membership> {
        let world = &self.log.world;
        world.may_hang(Fault::HangBeforeTransaction);
        let member = self.inner.membership()?;
        if world.strikes(Fault::UnsettledMember) {
            self.settled = TimestampMs(time::now().0 + world.draw(|random| random.between(50, 2_000)));
            self.named = world.draw(|random| random.chance(50_000));
        }
        if (!world.is_calm() && time::now() < self.settled) || world.is_unsettled() {
            // No generation yet, or the epoch of one that is joining; perhaps no id either.
            let generation = if member.protocol == GroupProtocol::Consumer { 0 } else { -1 };
            return Ok(match self.named {
                true => Membership { generation, ..member },
                false => {
                    world.is_nameless();
                    Membership { member_id: String::new(), generation: -1, ..member }
                }
            });
        }
        // The client's own thread learns of a lost session before a poll tells.
        let silent_ms = time::now().0 - self.polled.0;
        if silent_ms > self.session_ms && self.log.world.draw(|random| random.chance(50_000)) {
            return Ok(Membership { member_id: String::new(), generation: -1, ..member });
        }
        Ok(member)
    }

    fn start(&mut self, place: &TopicPartition, offset: Offset) -> Result<()> {
        self.log.ask(|| self.inner.start(place, offset))
    }

    fn pause(&mut self, place: &TopicPartition) -> Result<()> {
        self.log.ask(|| self.inner.pause(place))
    }

    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>> {
        self.inner.position(place)
    }

    fn committed(&mut self, places: &[TopicPartition]) -> Result<Vec<Option<Committed>>> {
        self.log.ask(|| self.inner.committed(places))
    }

    fn commit(&mut self, offsets: &[CommitOffset]) -> Result<()> {
        self.log.call(|| self.inner.commit(offsets))
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.log.world.before_call(self.log.away)?;
        self.inner.close()
    }
}

/// A reader, as a process has one.
#[derive(Debug)]
pub(super) struct SimulatedReader {
    log: SimulatedLog,
    inner: Box<dyn Reader>,
}

impl SimulatedReader {
    pub(super) fn new(log: SimulatedLog, inner: Box<dyn Reader>) -> Self {
        SimulatedReader { log, inner }
    }
}

impl Reader for SimulatedReader {
    fn add(&mut self, place: &TopicPartition, offset: Offset) -> Result<()> {
        self.log.ask(|| self.inner.add(place, offset))
    }

    fn remove(&mut self, place: &TopicPartition) -> Result<()> {
        self.inner.remove(place)
    }

    fn poll(&mut self, max_records: usize, _timeout: Duration, into: &mut RecordBatch) -> Result<()> {
        let most = usize::try_from(self.log.world.draw(|random| 1 + random.below(8 * MAX_RECORDS))).unwrap_or(1);
        self.log.ask(|| self.inner.poll(max_records.min(most), Duration::ZERO, into))
    }

    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>> {
        self.inner.position(place)
    }
}
