//! Topics: names, identities, settings and their partitions.

use crate::partition::{PartitionLog, Retention};
use crate::segment::SegmentLimit;
use factum_core::log::{Bounds, TopicSpec};
use factum_core::{Error, Offset, Partition, RecordRef, Result, TimestampMs, Topic, TopicId, TopicPartition};
use std::collections::BTreeMap;

/// Kafka's topic settings and their defaults (Kafka 4, `LogConfig`), as far as
/// a topic without tiered storage has them.
const DEFAULTS: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("delete.retention.ms", "86400000"),
    ("file.delete.delay.ms", "60000"),
    ("flush.messages", "9223372036854775807"),
    ("flush.ms", "9223372036854775807"),
    ("index.interval.bytes", "4096"),
    ("max.compaction.lag.ms", "9223372036854775807"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.after.max.ms", "3600000"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    ("message.timestamp.type", "CreateTime"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.compaction.lag.ms", "0"),
    ("min.insync.replicas", "1"),
    ("preallocate", "false"),
    ("retention.bytes", "-1"),
    ("retention.ms", "604800000"),
    ("segment.bytes", "1073741824"),
    ("segment.index.bytes", "10485760"),
    ("segment.jitter.ms", "0"),
    ("segment.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

/// The most that a segment in memory holds; smaller than Kafka's, so that
/// growing one never copies much.
const SEGMENT_BYTES_MAX: usize = 1 << 20;

/// What a record takes beside its key, value and headers (a batch's head and
/// the record's own, Kafka's message format 2).
const OVERHEAD_BYTES: usize = 70;

/// All topics of a log.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    topics: BTreeMap<Topic, TopicState>,
    created: u64,
    /// Makes the topics' ids differ from another log's.
    salt: (u64, u64),
}

/// One topic.
#[derive(Debug)]
pub(crate) struct TopicState {
    /// From 1 on; no other topic of this log has had it.
    pub(crate) number: u64,
    pub(crate) id: TopicId,
    pub(crate) replication: u16,
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) rules: Rules,
    pub(crate) partitions: Vec<PartitionLog>,
}

/// The settings that the log acts on.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) compact: bool,
    pub(crate) delete: bool,
    pub(crate) log_append_time: bool,
    pub(crate) segment: SegmentLimit,
    max_message_bytes: usize,
    retention_ms: Option<i64>,
    retention_bytes: Option<usize>,
    delete_retention_ms: i64,
    min_dirty_ratio: f64,
}

/// A partition to write to.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// The topic's number.
    pub(crate) number: u64,
    pub(crate) rules: &'a Rules,
    pub(crate) log: &'a mut PartitionLog,
}

impl Topics {
    /// Creates a topic; one that exists is left alone. True when it is new.
    pub(crate) fn create(&mut self, spec: &TopicSpec) -> Result<bool> {
        check_name(&spec.topic)?;
        if self.topics.contains_key(&spec.topic) {
            return Ok(false);
        }
        if spec.partitions == 0 {
            return Err(Error::invalid(format!("topic {} needs at least one partition", spec.topic)));
        }
        let mut settings = DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        merge(&spec.topic, &mut settings, &spec.settings)?;
        let rules = Rules::read(&spec.topic, &settings)?;
        self.created += 1;
        let state = TopicState {
            number: self.created,
            id: topic_id(self.created, self.salt),
            replication: spec.replication.unwrap_or(1),
            settings,
            rules,
            partitions: (0..spec.partitions).map(|_| PartitionLog::new()).collect(),
        };
        self.topics.insert(spec.topic.clone(), state);
        Ok(true)
    }

    /// Creates a topic again as it was, with its number and id.
    pub(crate) fn restore(&mut self, spec: &TopicSpec, number: u64, id: TopicId) -> Result<()> {
        let created = self.created;
        if !self.create(spec)? {
            return Err(Error::data(format!("topic {} is created twice", spec.topic)));
        }
        if let Some(state) = self.topics.get_mut(&spec.topic) {
            (state.number, state.id) = (number, id);
        }
        self.created = created.max(number);
        Ok(())
    }

    /// How many topics were ever created.
    pub(crate) fn created(&self) -> u64 {
        self.created
    }

    /// No topic to come gets one of the first `created` numbers.
    pub(crate) fn set_created(&mut self, created: u64) {
        self.created = self.created.max(created);
    }

    pub(crate) fn set_salt(&mut self, salt: (u64, u64)) {
        self.salt = salt;
    }

    /// Deletes a topic and returns what it was.
    pub(crate) fn delete(&mut self, topic: &Topic) -> Option<TopicState> {
        self.topics.remove(topic)
    }

    pub(crate) fn alter(&mut self, topic: &Topic, changes: &BTreeMap<String, String>) -> Result<()> {
        let state = self.topics.get_mut(topic).ok_or_else(|| unknown_topic(topic))?;
        let mut settings = state.settings.clone();
        merge(topic, &mut settings, changes)?;
        state.rules = Rules::read(topic, &settings)?;
        state.settings = settings;
        Ok(())
    }

    pub(crate) fn add_partitions(&mut self, topic: &Topic, partitions: u32) -> Result<()> {
        let state = self.topics.get_mut(topic).ok_or_else(|| unknown_topic(topic))?;
        if (partitions as usize) < state.partitions.len() {
            return Err(Error::invalid(format!(
                "topic {topic} has {} partitions, they cannot become {partitions}",
                state.partitions.len()
            )));
        }
        state.partitions.resize_with(partitions as usize, PartitionLog::new);
        Ok(())
    }

    pub(crate) fn get(&self, topic: &Topic) -> Option<&TopicState> {
        self.topics.get(topic)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Topic, &TopicState)> {
        self.topics.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut TopicState> {
        self.topics.values_mut()
    }

    /// All partitions.
    pub(crate) fn places(&self) -> Vec<TopicPartition> {
        let each = |(topic, state): (&Topic, &TopicState)| {
            let topic = topic.clone();
            (0u32..).zip(&state.partitions).map(|(number, _)| topic.partition(Partition(number))).collect::<Vec<_>>()
        };
        self.topics.iter().flat_map(each).collect()
    }

    pub(crate) fn partition(&self, place: &TopicPartition) -> Result<&PartitionLog> {
        self.topics
            .get(&place.topic)
            .and_then(|state| state.partitions.get(place.partition.0 as usize))
            .ok_or_else(|| unknown_place(place))
    }

    pub(crate) fn partition_mut(&mut self, place: &TopicPartition) -> Result<&mut PartitionLog> {
        self.topics
            .get_mut(&place.topic)
            .and_then(|state| state.partitions.get_mut(place.partition.0 as usize))
            .ok_or_else(|| unknown_place(place))
    }

    /// The topic and partition that a record goes to, and the rules there.
    pub(crate) fn target(&mut self, topic: &Topic, partition: Partition) -> Result<Target<'_>> {
        self.topics
            .get_mut(topic)
            .and_then(|state| {
                let log = state.partitions.get_mut(partition.0 as usize)?;
                Some(Target { number: state.number, rules: &state.rules, log })
            })
            .ok_or_else(|| unknown_place(&topic.partition(partition)))
    }
}

impl TopicState {
    /// How many partitions it has.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("a topic is created with a u32 of partitions")
    }
}

impl Rules {
    fn read(topic: &Topic, settings: &BTreeMap<String, String>) -> Result<Self> {
        let text = |name: &str| settings.get(name).map_or("", String::as_str);
        let refused = |name: &str| Error::invalid(format!("topic {topic}: {name} cannot be {:?}", text(name)));
        let number = |name: &str| text(name).parse::<i64>().ok().filter(|n| *n >= -1).ok_or_else(|| refused(name));
        let mut rules = Rules {
            compact: false,
            delete: false,
            log_append_time: match text("message.timestamp.type") {
                "CreateTime" => false,
                "LogAppendTime" => true,
                _ => return Err(refused("message.timestamp.type")),
            },
            segment: SegmentLimit {
                bytes: usize::try_from(number("segment.bytes")?)
                    .map_err(|_| refused("segment.bytes"))?
                    .clamp(1, SEGMENT_BYTES_MAX),
                ms: number("segment.ms")?.max(1),
            },
            max_message_bytes: usize::try_from(number("max.message.bytes")?)
                .map_err(|_| refused("max.message.bytes"))?,
            retention_ms: Some(number("retention.ms")?).filter(|ms| *ms >= 0),
            retention_bytes: usize::try_from(number("retention.bytes")?).ok(),
            delete_retention_ms: number("delete.retention.ms")?.max(0),
            min_dirty_ratio: text("min.cleanable.dirty.ratio")
                .parse()
                .ok()
                .filter(|ratio| (0.0..=1.0).contains(ratio))
                .ok_or_else(|| refused("min.cleanable.dirty.ratio"))?,
        };
        number("min.insync.replicas")?;
        number("max.compaction.lag.ms")?;
        for policy in text("cleanup.policy").split(',').map(str::trim) {
            match policy {
                "compact" => rules.compact = true,
                "delete" => rules.delete = true,
                _ => return Err(refused("cleanup.policy")),
            }
        }
        Ok(rules)
    }

    /// Whether the log takes the record at all.
    pub(crate) fn check(&self, record: RecordRef<'_>) -> Result<()> {
        let headers: usize = record.headers().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
        let bytes =
            OVERHEAD_BYTES + headers + record.key().map_or(0, <[u8]>::len) + record.value().map_or(0, <[u8]>::len);
        let place = || record.place();
        if bytes > self.max_message_bytes {
            return Err(Error::invalid(format!(
                "a record for {} has {bytes} bytes, max.message.bytes is {}",
                place(),
                self.max_message_bytes
            )));
        }
        if self.compact && record.key().is_none() {
            return Err(Error::invalid(format!("a record for the compacted {} has no key", place())));
        }
        Ok(())
    }

    /// The timestamp that a record gets.
    pub(crate) fn timestamp(&self, record: RecordRef<'_>, now: TimestampMs) -> TimestampMs {
        record.timestamp().filter(|_| !self.log_append_time).unwrap_or(now)
    }

    pub(crate) fn retention(&self, now: TimestampMs) -> Retention {
        Retention {
            oldest: self.retention_ms.map(|ms| TimestampMs(now.0.saturating_sub(ms))),
            bytes: self.retention_bytes,
        }
    }

    /// Whether so much is new that compaction is due.
    pub(crate) fn is_dirty(&self, ratio: f64) -> bool {
        ratio > 0.0 && ratio >= self.min_dirty_ratio
    }

    /// Tombstones older than this are dropped by compaction.
    pub(crate) fn tombstones_before(&self, now: TimestampMs) -> TimestampMs {
        TimestampMs(now.0.saturating_sub(self.delete_retention_ms).saturating_add(1))
    }
}

/// The error of a read outside the log.
pub(crate) fn out_of_range(place: &TopicPartition, offset: Offset, bounds: Bounds) -> Error {
    Error::data(format!("{place}@{offset} is out of range: the log has {} to {}", bounds.start, bounds.end))
}

pub(crate) fn unknown_topic(topic: &Topic) -> Error {
    Error::invalid(format!("topic {topic} does not exist"))
}

fn unknown_place(place: &TopicPartition) -> Error {
    Error::invalid(format!("{place} does not exist"))
}

fn check_name(topic: &Topic) -> Result<()> {
    let name = topic.as_str();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.chars().all(legal) {
        return Err(Error::invalid(format!("{name:?} is no topic name: 1 to 249 letters, digits, '.', '_' and '-'")));
    }
    Ok(())
}

fn merge(topic: &Topic, settings: &mut BTreeMap<String, String>, changes: &BTreeMap<String, String>) -> Result<()> {
    for (name, value) in changes {
        match settings.get_mut(name) {
            Some(slot) => slot.clone_from(value),
            None => return Err(Error::invalid(format!("topic {topic}: there is no setting {name}"))),
        }
    }
    Ok(())
}

/// An id that looks random and is the same in every run with the same salt (splitmix64).
fn topic_id(created: u64, salt: (u64, u64)) -> TopicId {
    let mut id = [0; 16];
    for (half, seed) in id.chunks_exact_mut(8).zip([created ^ salt.0, !created ^ salt.1]) {
        let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        half.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes());
    }
    id[6] = (id[6] & 0x0f) | 0x40; // a version 4 UUID, as Kafka's
    id[8] = (id[8] & 0x3f) | 0x80;
    TopicId(id)
}
