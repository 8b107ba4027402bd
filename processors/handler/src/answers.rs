//! Answers: sent after the commit, at most once, by a producer without transactions.

use factum_core::{
    RecordBatch, Result, Topic,
    handler::Reply,
    log::{Delivery, Producer},
    wire::Answer,
};
use std::{fmt, time::Duration};
use tracing::debug;

/// Appends an answer's wire bytes.
pub type AnswerEncoder = Box<dyn Fn(&Answer, &mut Vec<u8>) -> Result<()> + Send>;

/// The most answers that wait for the broker; beyond it new ones are dropped,
/// and the requesters ask again.
const MAX_IN_FLIGHT: usize = 100_000;

pub(crate) struct Answers {
    producer: Box<dyn Producer>,
    encode: AnswerEncoder,
    topic: Topic,
    partitions: u32,
    records: RecordBatch,
    deliveries: Vec<Delivery>,
}

impl Answers {
    pub(crate) fn new(producer: Box<dyn Producer>, encode: AnswerEncoder, topic: Topic, partitions: u32) -> Self {
        Answers { producer, encode, topic, partitions, records: RecordBatch::new(), deliveries: Vec::new() }
    }

    /// Sends answers without waiting for them. Nothing depends on one: what is
    /// lost is asked for again under the same command id.
    pub(crate) fn send(&mut self, replies: Vec<Reply>) {
        if self.producer.in_flight() + replies.len() > MAX_IN_FLIGHT {
            debug!(answers = replies.len(), "dropped: the broker takes no answers");
            return;
        }
        self.records.clear();
        for reply in replies {
            if reply.partition.0 >= self.partitions {
                debug!(partition = reply.partition.0, "an answer goes to a partition that there is not");
                continue;
            }
            let mut record = self.records.start(&self.topic, reply.partition);
            record.key(reply.answer.command.to_string().as_bytes());
            match record.value_with(|value| (self.encode)(&reply.answer, value)) {
                Ok(()) => record.finish(),
                Err(error) => debug!(%error, "an answer cannot be encoded"),
            }
        }
        if self.records.is_empty() {
            return;
        }
        if let Err(error) = self.producer.produce(&self.records) {
            debug!(%error, "answers were not sent");
        }
    }

    /// Serves delivery reports, so that the producer's queue empties.
    pub(crate) fn serve(&mut self) {
        if self.producer.in_flight() == 0 {
            return;
        }
        self.deliveries.clear();
        if let Err(error) = self.producer.poll(Duration::ZERO, &mut self.deliveries) {
            debug!(%error, "answers are not confirmed");
        }
    }

    /// Waits for what is in flight.
    pub(crate) fn flush(&mut self, timeout: Duration) {
        if let Err(error) = self.producer.flush(timeout) {
            debug!(%error, "answers were not confirmed");
        }
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("topic", &self.topic).finish_non_exhaustive()
    }
}
