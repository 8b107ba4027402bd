//! Partitions by name.

use crate::{
    KafkaConfig,
    config::invalid_property,
    context::ClientState,
    errors, places,
    slots::{Fetch, Slots},
    sys::{ConsumerEvent, RawConsumer},
};
use factum_core::{
    Error, ErrorKind, Offset, RecordBatch, Result, TopicPartition,
    log::{Isolation, Reader},
};
use rdkafka::{consumer::Consumer, error::RDKafkaErrorCode as Code};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// A consumer of partitions that its owner names.
pub(crate) struct KafkaReader {
    consumer: RawConsumer,
    slots: Slots,
    state: Arc<ClientState>,
}

impl KafkaReader {
    pub(crate) fn new(config: &KafkaConfig, isolation: Isolation) -> Result<Self> {
        let state = ClientState::new(config.servers());
        let consumer = RawConsumer::new(&config.reader(isolation), state.clone()).map_err(|e| invalid_property(&e))?;
        Ok(KafkaReader { consumer, slots: Slots::default(), state })
    }

    /// The error that a poll reports; none for what librdkafka mends by itself.
    fn failed(&mut self, code: Code, place: Option<(String, i32, i64)>, text: &str) -> Option<Error> {
        if let Some((topic, partition, offset)) = place {
            let place = places::place(&topic, partition);
            return match errors::kind(code) {
                ErrorKind::Data => self.slots.stop(&place).then(|| errors::at(code, &place, offset, text)),
                ErrorKind::Invalid => Some(errors::at(code, &place, offset, text)),
                _ => None,
            };
        }
        match code {
            // The group that librdkafka insists on is never used, so that its rights do not matter.
            Code::GroupAuthorizationFailed => None,
            _ if errors::kind(code) == ErrorKind::Invalid => self.state.check().err(),
            _ => None,
        }
    }
}

impl Reader for KafkaReader {
    fn add(&mut self, place: &TopicPartition, offset: Offset) -> Result<()> {
        let list = places::list([place], rdkafka::Offset::Offset(offset.0))?;
        self.remove(place)?;
        self.consumer
            .inner()
            .incremental_assign(&list)
            .map_err(|e| Error::invalid(format!("cannot read {place}@{offset}: {e}")))?;
        self.slots.insert(place.clone(), Fetch::Running, offset.0);
        Ok(())
    }

    fn remove(&mut self, place: &TopicPartition) -> Result<()> {
        if self.slots.remove(place) {
            let list = places::list([place], rdkafka::Offset::Invalid)?;
            self.consumer
                .inner()
                .incremental_unassign(&list)
                .map_err(|e| Error::invalid(format!("cannot stop reading {place}: {e}")))?;
        }
        Ok(())
    }

    fn poll(&mut self, max_records: usize, timeout: Duration, into: &mut RecordBatch) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let mut taken = 0;
        while taken < max_records {
            let wait = if taken == 0 { wait_ms(deadline) } else { 0 };
            let error = match self.consumer.poll(wait) {
                None if taken > 0 || Instant::now() >= deadline => break,
                None | Some(ConsumerEvent::Other | ConsumerEvent::Assign(_) | ConsumerEvent::Revoke(_)) => None,
                Some(ConsumerEvent::Message(message)) => {
                    taken += usize::from(self.slots.take(&message, into));
                    None
                }
                Some(ConsumerEvent::End { topic, partition, offset }) => {
                    self.slots.end(&topic, partition, offset);
                    None
                }
                Some(ConsumerEvent::Error { code, place, text, fatal: _ }) => self.failed(code, place, &text),
            };
            if let Some(error) = error {
                return Err(error);
            }
        }
        Ok(())
    }

    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>> {
        Ok(self.slots.position(place))
    }
}

/// Milliseconds until `deadline`, rounded up: librdkafka takes no less than one for a wait.
pub(crate) fn wait_ms(deadline: Instant) -> i32 {
    let left = deadline.saturating_duration_since(Instant::now());
    i32::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX)
}

impl fmt::Debug for KafkaReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaReader").field("slots", &self.slots).finish_non_exhaustive()
    }
}
