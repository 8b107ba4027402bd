//! The idempotent producer without transactions.

use crate::{
    KafkaConfig, config::invalid_property, context::ClientState, errors, reader::wait_ms, sys::RawProducer,
    targets::Targets,
};
use factum_core::{
    Error, Offset, RecordBatch, Result, TopicPartition,
    log::{Delivery, Producer},
};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::warn;

/// How long a full queue may stay full before a call fails.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// A producer of single records.
///
/// librdkafka never leaves a fatal error of an idempotent producer, for example
/// after a broker was lost with records in flight. The client is replaced then,
/// and the fate of what was in flight is told as unknown.
pub(crate) struct KafkaProducer {
    config: KafkaConfig,
    producer: RawProducer,
    targets: Targets,
    state: Arc<ClientState>,
    reports: Reports,
}

/// Which records are in flight, and the fates that nobody has asked for yet.
#[derive(Debug, Default)]
struct Reports {
    /// The sequence number of the first of `places`.
    first: u64,
    /// Where each record in flight goes; none once its fate is known.
    places: VecDeque<Option<TopicPartition>>,
    in_flight: usize,
    ready: Vec<Delivery>,
}

impl Reports {
    fn next(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    fn sent(&mut self, place: TopicPartition) {
        self.places.push_back(Some(place));
        self.in_flight += 1;
    }

    fn report(&mut self, tag: usize, fate: std::result::Result<i64, Code>) {
        let sequence = tag as u64;
        let index = usize::try_from(sequence.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        let Some(place) = self.places.get_mut(index).and_then(Option::take) else { return };
        self.in_flight -= 1;
        let result = match fate {
            Ok(offset) => Ok(Offset(offset)),
            Err(code) => Err(errors::error(code, format_args!("record for {place}"), "")),
        };
        self.ready.push(Delivery { sequence, result });
        self.forget_known();
    }

    /// Tells of everything in flight that its fate is unknown; returns how many.
    fn lose(&mut self, cause: &str) -> usize {
        let lost = self.in_flight;
        for (sequence, place) in (self.first..).zip(&mut self.places) {
            if let Some(place) = place.take() {
                let error = Error::unavailable(format!("record for {place}: it may be written or not: {cause}"));
                self.ready.push(Delivery { sequence, result: Err(error) });
            }
        }
        self.in_flight = 0;
        self.forget_known();
        lost
    }

    fn forget_known(&mut self) {
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
    }
}

impl KafkaProducer {
    pub(crate) fn new(config: &KafkaConfig) -> Result<Self> {
        let state = ClientState::new(config.servers());
        let producer = RawProducer::new(&config.producer(), state.clone()).map_err(|e| invalid_property(&e))?;
        Ok(KafkaProducer {
            config: config.clone(),
            producer,
            targets: Targets::default(),
            state,
            reports: Reports::default(),
        })
    }

    /// Serves what there is, waiting for the first event.
    fn serve(&mut self, timeout_ms: i32) {
        let reports = &mut self.reports;
        let mut wait = timeout_ms;
        while self.producer.poll(wait, |tag, fate| reports.report(tag, fate)) {
            wait = 0;
        }
    }

    /// Fails after a refused authentication; replaces a client that is of no
    /// more use. Returns how many records' fates became unknown by that.
    fn mend(&mut self) -> Result<usize> {
        self.state.check()?;
        let Some((code, text)) = self.producer.fatal() else { return Ok(0) };
        warn!(?code, text, in_flight = self.reports.in_flight, "the producer is of no more use and is replaced");
        self.producer =
            RawProducer::new(&self.config.producer(), self.state.clone()).map_err(|e| invalid_property(&e))?;
        self.targets = Targets::default();
        Ok(self.reports.lose(&text))
    }
}

impl Producer for KafkaProducer {
    fn produce(&mut self, records: &RecordBatch) -> Result<u64> {
        self.mend()?;
        let first = self.reports.next();
        for record in records.iter() {
            let topic = self.targets.of(record, &mut self.producer).or_else(|error| {
                // A refused authentication looks like a time-out here.
                self.serve(0);
                self.state.check()?;
                Err(error)
            })?;
            let place = record.place();
            let deadline = Instant::now() + QUEUE_TIMEOUT;
            loop {
                let sequence = self.reports.next();
                // The tag is a pointer's width; the difference to `first` is what counts.
                let tag = usize::try_from(sequence).unwrap_or(usize::MAX);
                match self.producer.send(topic, record, tag) {
                    Ok(()) => break,
                    Err(Code::QueueFull) if Instant::now() < deadline => {
                        self.serve(10);
                        self.state.check()?;
                    }
                    Err(Code::QueueFull) => return Err(self.state.no_answer(&format!("record for {place}"))),
                    Err(code) => return Err(errors::error(code, format_args!("record for {place}"), "")),
                }
            }
            self.reports.sent(place);
        }
        Ok(first)
    }

    fn poll(&mut self, timeout: Duration, into: &mut Vec<Delivery>) -> Result<()> {
        let deadline = Instant::now() + timeout;
        self.serve(0);
        while self.reports.ready.is_empty() && self.reports.in_flight > 0 && Instant::now() < deadline {
            self.serve(wait_ms(deadline));
        }
        self.mend()?;
        into.append(&mut self.reports.ready);
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.reports.in_flight
    }

    fn flush(&mut self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        self.serve(0);
        while self.reports.in_flight > 0 {
            if Instant::now() >= deadline {
                return Err(self.state.no_answer(&format!("{} records in flight", self.reports.in_flight)));
            }
            self.serve(wait_ms(deadline));
            let lost = self.mend()?;
            if lost > 0 {
                return Err(Error::unavailable(format!("the fate of {lost} records is unknown")));
            }
        }
        self.reports.ready.clear();
        Ok(())
    }
}

impl fmt::Debug for KafkaProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaProducer").field("in_flight", &self.reports.in_flight).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test's failure is its panic
    use super::*;
    use factum_core::log::Log;
    use factum_core::{Partition, Topic, log::TopicSpec};
    use std::collections::BTreeMap;

    #[test]
    fn after_a_fatal_error_the_producer_goes_on_and_tells_what_it_does_not_know() {
        let config = KafkaConfig::bootstrap(factum_test_broker::bootstrap());
        let topic = Topic::new(factum_test_broker::unique("producer"));
        let spec = TopicSpec { topic: topic.clone(), partitions: 1, replication: None, settings: BTreeMap::new() };
        let mut admin = crate::KafkaLog::new(config.clone()).unwrap().admin().unwrap();
        admin.create_topics(&[spec]).unwrap();
        admin.wait_for_topic(&topic, 1, Duration::from_secs(30)).unwrap();
        let mut batch = RecordBatch::new();
        let mut record = batch.start(&topic, Partition(0));
        record.value(b"hello");
        record.finish();

        let mut producer = KafkaProducer::new(&config).unwrap();
        let first = producer.produce(&batch).unwrap();
        producer.producer.break_down();
        // Nobody served the reports meanwhile: the record counts as in flight,
        // however fast the broker was.
        assert_eq!(producer.mend().unwrap(), 1);
        let mut deliveries = Vec::new();
        producer.poll(Duration::ZERO, &mut deliveries).unwrap();
        assert_eq!(deliveries.len(), 1);
        assert_eq!(deliveries[0].sequence, first);
        let told = deliveries[0].result.as_ref().unwrap_err().to_string();
        assert!(told.contains("it may be written or not"), "{told}");

        let second = producer.produce(&batch).unwrap();
        assert_eq!(second, first + 1);
        producer.flush(Duration::from_secs(30)).unwrap();
    }
}
