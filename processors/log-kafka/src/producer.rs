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

/// How long a full queue may stay full before a call fails.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// A producer of single records.
pub(crate) struct KafkaProducer {
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
        Ok(KafkaProducer { producer, targets: Targets::default(), state, reports: Reports::default() })
    }

    /// Serves what there is, waiting for the first event.
    fn serve(&mut self, timeout_ms: i32) {
        let reports = &mut self.reports;
        let mut wait = timeout_ms;
        while self.producer.poll(wait, |tag, fate| reports.report(tag, fate)) {
            wait = 0;
        }
    }

    fn check(&self) -> Result<()> {
        self.state.check()?;
        match self.producer.fatal() {
            Some((code, text)) => Err(Error::fenced(format!("the producer is of no use: {text} ({code:?})"))),
            None => Ok(()),
        }
    }
}

impl Producer for KafkaProducer {
    fn produce(&mut self, records: &RecordBatch) -> Result<u64> {
        self.check()?;
        let first = self.reports.next();
        for record in records.iter() {
            let topic = self.targets.of(record, &mut self.producer).or_else(|error| {
                // A refused authentication looks like a time-out here.
                self.serve(0);
                self.check()?;
                Err(error)
            })?;
            let place = record.topic().partition(record.partition());
            let deadline = Instant::now() + QUEUE_TIMEOUT;
            loop {
                let sequence = self.reports.next();
                // The tag is a pointer's width; the difference to `first` is what counts.
                let tag = usize::try_from(sequence).unwrap_or(usize::MAX);
                match self.producer.send(topic, record, tag) {
                    Ok(()) => break,
                    Err(Code::QueueFull) if Instant::now() < deadline => {
                        self.serve(10);
                        self.check()?;
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
        into.append(&mut self.reports.ready);
        self.check()
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
            self.check()?;
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
