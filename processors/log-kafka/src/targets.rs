//! The topics that a producer writes to, known before the first record.

use crate::{
    errors::{self, Failure},
    sys::{RawProducer, RawTopic, Requests},
};
use factum_core::{Error, RecordRef, Result, Topic};
use std::time::{Duration, Instant};

/// How long a topic that was not found is not asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How long the broker may take to describe a topic.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(8);

/// The topics that a producer has written to. Without them a record of an
/// unknown topic would wait half a minute for its error, and the broker might
/// create the topic with its own settings.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    topic: Topic,
    handle: RawTopic,
    partitions: u32,
    asked: Instant,
}

impl Targets {
    /// The handle of a record's topic.
    ///
    /// # Errors
    /// `Invalid` for a topic or a partition that does not exist.
    pub(crate) fn of(&mut self, record: RecordRef<'_>, producer: &mut RawProducer) -> Result<RawTopic> {
        let (topic, partition) = (record.topic(), record.partition());
        let known = self.targets.iter().position(|t| t.topic == *topic);
        if let Some(target) = known.map(|index| &mut self.targets[index]) {
            if partition.0 >= target.partitions && target.asked.elapsed() > ASK_AGAIN {
                target.partitions = partitions(topic, producer)?.unwrap_or(0);
                target.asked = Instant::now();
            }
            if partition.0 >= target.partitions {
                return Err(Error::invalid(format!(
                    "{topic}/{partition} does not exist: the topic has {} partitions",
                    target.partitions
                )));
            }
            return Ok(target.handle);
        }
        let partitions =
            partitions(topic, producer)?.ok_or_else(|| Error::invalid(format!("topic {topic} does not exist")))?;
        let handle = producer.topic(topic.as_str()).map_err(|f| error(&f, topic))?;
        self.targets.push(Target { topic: topic.clone(), handle, partitions, asked: Instant::now() });
        self.of(record, producer)
    }
}

fn partitions(topic: &Topic, producer: &RawProducer) -> Result<Option<u32>> {
    // The producer's own events keep: reports are served by its poll.
    let facts = Requests::new(producer.client(), &mut || true, DESCRIBE_TIMEOUT).describe_topic(topic.as_str());
    Ok(facts.map_err(|f| error(&f, topic))?.map(|facts| facts.partitions))
}

fn error(failure: &Failure, topic: &Topic) -> Error {
    errors::error(failure.code, format_args!("topic {topic}"), &failure.text)
}
