//! Topics, their settings, offsets.

use crate::{
    KafkaConfig,
    config::invalid_property,
    context::ClientState,
    errors::{self, Failure},
    places,
    sys::{OffsetQuery, RawProducer, Requests, TopicFacts},
};
use factum_core::{
    CommitOffset, Error, ErrorKind, Offset, Result, TimestampMs, Topic, TopicId, TopicPartition,
    log::{Admin, Bounds, Committed, Isolation, TopicDescription, TopicSpec},
};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the broker may take for a change.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(8);
/// How long it may take for a question, which is asked twice.
const READ_TIMEOUT: Duration = Duration::from_secs(4);
/// How long offsets of open transactions are waited for.
const UNSTABLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two looks at something that is about to change.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A client for admin requests; librdkafka's producer is its lightest client.
///
/// librdkafka 2.12 waits for the controller that it heard of last, which may be
/// a broker that is dead by now, and goes on with the leader's epoch that it
/// heard of last, although the broker tells it that there is a newer one. So a
/// client that met either is replaced by a new one, which begins at the
/// bootstrap addresses.
pub(crate) struct KafkaAdmin {
    config: KafkaConfig,
    client: RawProducer,
    state: Arc<ClientState>,
}

impl KafkaAdmin {
    pub(crate) fn new(config: &KafkaConfig) -> Result<Self> {
        let state = ClientState::new(config.servers());
        let client = RawProducer::new(&config.admin(), state.clone()).map_err(|e| invalid_property(&e))?;
        Ok(KafkaAdmin { config: config.clone(), client, state })
    }

    /// Requests a change of `what`.
    fn change<T>(
        &mut self,
        what: &str,
        request: impl FnOnce(&mut Requests<'_>) -> Result<T, Failure>,
    ) -> Result<Result<T, Failure>> {
        self.ask(what, CHANGE_TIMEOUT, request)
    }

    /// Asks for facts about `what`.
    fn read<T>(
        &mut self,
        what: &str,
        request: impl Fn(&mut Requests<'_>) -> Result<T, Failure>,
    ) -> Result<Result<T, Failure>> {
        match self.ask(what, READ_TIMEOUT, &request) {
            Err(error) if error.kind() == ErrorKind::Unavailable => self.ask(what, READ_TIMEOUT, &request),
            answered => answered,
        }
    }

    /// Sends a request about `what`; a refused authentication ends it early.
    fn ask<T>(
        &mut self,
        what: &str,
        timeout: Duration,
        request: impl FnOnce(&mut Requests<'_>) -> Result<T, Failure>,
    ) -> Result<Result<T, Failure>> {
        let refused = RefCell::new(None);
        let state = self.state.clone();
        let (client, mut events) = self.client.split();
        let mut serve = || {
            events.serve();
            match state.check() {
                Ok(()) => true,
                Err(error) => {
                    *refused.borrow_mut() = Some(error);
                    false
                }
            }
        };
        let result = request(&mut Requests::new(client, &mut serve, timeout));
        if let Some(error) = refused.into_inner() {
            return Err(error.context(what));
        }
        let Err(f) = &result else { return Ok(result) };
        let is_away = matches!(f.code, Code::OperationTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown);
        if !is_away && !is_outdated(f.code) {
            return Ok(result);
        }
        self.client = RawProducer::new(&self.config.admin(), self.state.clone()).map_err(|e| invalid_property(&e))?;
        Err(if is_away { self.state.no_answer(what) } else { errors::error(f.code, what, &f.text) })
    }

    /// [`KafkaAdmin::read`] where every failure is an error.
    fn read_all<T>(&mut self, what: &str, request: impl Fn(&mut Requests<'_>) -> Result<T, Failure>) -> Result<T> {
        self.read(what, request)?.map_err(|f| errors::error(f.code, what, &f.text))
    }

    fn facts(&mut self, topic: &Topic) -> Result<Option<TopicFacts>> {
        self.read_all(&format!("describe topic {topic}"), |r| r.describe_topic(topic.as_str()))
    }

    fn offset(&mut self, place: &TopicPartition, query: OffsetQuery, isolation: Isolation) -> Result<i64> {
        let number = places::number(place)?;
        self.read_all(&format!("offsets of {place}"), |r| r.offset(place.topic.as_str(), number, query, isolation))
    }
}

impl Admin for KafkaAdmin {
    fn create_topics(&mut self, topics: &[TopicSpec]) -> Result<()> {
        for spec in topics {
            let what = format!("create topic {}", spec.topic);
            let partitions = i32::try_from(spec.partitions)
                .ok()
                .filter(|count| *count > 0)
                .ok_or_else(|| Error::invalid(format!("{what}: {} is no partition count", spec.partitions)))?;
            let replication = spec.replication.map_or(-1, i32::from);
            let created =
                self.change(&what, |r| r.create_topic(spec.topic.as_str(), partitions, replication, &spec.settings))?;
            match created {
                Err(f) if f.code == Code::TopicAlreadyExists => {}
                Err(f) => return Err(errors::error(f.code, what, &f.text)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn delete_topics(&mut self, topics: &[Topic]) -> Result<()> {
        for topic in topics {
            let what = format!("delete topic {topic}");
            match self.change(&what, |r| r.delete_topic(topic.as_str()))? {
                Err(f) if f.code == Code::UnknownTopicOrPartition => {}
                Err(f) => return Err(errors::error(f.code, what, &f.text)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn alter_topic(&mut self, topic: &Topic, settings: &BTreeMap<String, String>) -> Result<()> {
        let what = format!("alter topic {topic}");
        self.change(&what, |r| r.alter_settings(topic.as_str(), settings))?
            .map_err(|f| errors::error(f.code, what, &f.text))
    }

    fn add_partitions(&mut self, topic: &Topic, partitions: u32) -> Result<()> {
        let what = format!("add partitions to topic {topic}");
        let facts = self.facts(topic)?.ok_or_else(|| Error::invalid(format!("{what}: the topic does not exist")))?;
        if facts.partitions == partitions {
            return Ok(());
        }
        self.change(&what, |r| r.create_partitions(topic.as_str(), partitions as usize))?
            .map_err(|f| errors::error(f.code, what, &f.text))
    }

    fn describe_topic(&mut self, topic: &Topic) -> Result<Option<TopicDescription>> {
        let Some(facts) = self.facts(topic)? else { return Ok(None) };
        let what = format!("settings of topic {topic}");
        let settings = match self.read(&what, |r| r.describe_settings(topic.as_str()))? {
            Ok(settings) => settings,
            // Deleted between the two requests.
            Err(f) if f.code == Code::UnknownTopicOrPartition => return Ok(None),
            Err(f) => return Err(errors::error(f.code, what, &f.text)),
        };
        Ok(Some(TopicDescription {
            topic: topic.clone(),
            id: TopicId(facts.id),
            partitions: facts.partitions,
            replication: facts.replication,
            settings,
        }))
    }

    fn bounds(&mut self, place: &TopicPartition, isolation: Isolation) -> Result<Bounds> {
        // The end first: the start may only rise in between, and stays at or below a later end.
        let end = self.offset(place, OffsetQuery::End, isolation)?;
        let start = self.offset(place, OffsetQuery::Start, isolation)?;
        if start < 0 || end < 0 {
            return Err(Error::unavailable(format!("offsets of {place}: the leader does not know them yet")));
        }
        Ok(Bounds { start: Offset(start), end: Offset(end.max(start)) })
    }

    fn offset_for_time(&mut self, place: &TopicPartition, time: TimestampMs) -> Result<Option<Offset>> {
        let offset = self.offset(place, OffsetQuery::AtTime(time.0), Isolation::ReadCommitted)?;
        Ok((offset >= 0).then_some(Offset(offset)))
    }

    fn delete_records(&mut self, place: &TopicPartition, before: Offset) -> Result<()> {
        let number = places::number(place)?;
        let what = format!("delete records of {place} before {before}");
        self.change(&what, |r| r.delete_records(place.topic.as_str(), number, before.0))?.map_err(|f| match f.code {
            // Not a record that cannot be read, but an argument beyond the end.
            Code::OffsetOutOfRange => Error::invalid(format!("{what}: the offset is beyond the end")),
            code => errors::error(code, &what, &f.text),
        })
    }

    fn group_offsets(&mut self, group: &str, wanted: &[TopicPartition]) -> Result<Vec<(TopicPartition, Committed)>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let what = format!("offsets of group {group}");
        let list = places::list(wanted, rdkafka::Offset::Invalid)?;
        let deadline = Instant::now() + UNSTABLE_TIMEOUT;
        let offsets = loop {
            match self.read(&what, |r| r.group_offsets(group, &list))? {
                Ok(offsets) => break offsets,
                Err(f) if f.code == Code::UnstableOffsetCommit && Instant::now() < deadline => {
                    std::thread::sleep(LOOK_AGAIN);
                }
                Err(f) => return Err(errors::error(f.code, what, &f.text)),
            }
        };
        Ok(offsets
            .into_iter()
            .filter(|entry| entry.offset >= 0)
            .map(|entry| {
                let committed = Committed { offset: Offset(entry.offset), metadata: entry.metadata };
                (places::place(&entry.topic, entry.partition), committed)
            })
            .collect())
    }

    fn reset_group_offsets(&mut self, group: &str, offsets: &[CommitOffset]) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let what = format!("reset offsets of group {group}");
        let list = places::commit_list(offsets)?;
        self.change(&what, |r| r.alter_group_offsets(group, &list))?.map_err(|f| match f.code {
            // What a group with members says to a commit by none of them.
            Code::UnknownMemberId | Code::NonEmptyGroup | Code::RebalanceInProgress | Code::IllegalGeneration => {
                Error::new(ErrorKind::Conflict, format!("{what}: the group has members ({:?})", f.code))
            }
            code => errors::error(code, &what, &f.text),
        })
    }

    fn wait_for_topic(&mut self, topic: &Topic, partitions: u32, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let facts = self.facts(topic)?;
            if facts.as_ref().is_some_and(|f| f.partitions == partitions && f.leaders == partitions) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (found, leaders) = facts.map_or((0, 0), |f| (f.partitions, f.leaders));
                return Err(Error::unavailable(format!(
                    "topic {topic} has {found} partitions, {leaders} of them with a leader, and not {partitions} after {} ms",
                    timeout.as_millis()
                )));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Whether a client's knowledge of a partition's leader is out of date.
fn is_outdated(code: Code) -> bool {
    matches!(
        code,
        Code::FencedLeaderEpoch | Code::UnknownLeaderEpoch | Code::NotLeaderForPartition | Code::LeaderNotAvailable
    )
}

impl fmt::Debug for KafkaAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaAdmin").field("state", &self.state).finish_non_exhaustive()
    }
}
