//! What contracts share: unique names, topics, records, members, and waiting.

use crate::Fixture;
use factum_core::log::{
    Admin, CommitOffset, GroupConsumer, GroupEvent, GroupOptions, GroupProtocol, Isolation, Log, TopicSpec,
    TransactionOptions, TransactionalProducer, TxnError,
};
use factum_core::{ErrorKind, Offset, Partition, RecordBatch, Result, TimestampMs, Topic, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long one poll of a contract waits.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// One run of one contract.
pub(crate) struct Context<'a> {
    pub(crate) fixture: &'a dyn Fixture,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) admin: Box<dyn Admin>,
    name: String,
    made: u32,
}

impl<'a> Context<'a> {
    pub(crate) fn new(fixture: &'a dyn Fixture) -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let log = fixture.log();
        let admin = log.admin().expect("an admin client");
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let name = format!("contract-{}-{}-{run}", std::process::id(), now().0);
        Context { fixture, log, admin, name, made: 0 }
    }

    /// A name that nobody else uses.
    pub(crate) fn name(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{}-{what}-{}", self.name, self.made)
    }

    pub(crate) fn topic(&mut self, partitions: u32) -> Topic {
        self.topic_with(partitions, &[])
    }

    pub(crate) fn topic_with(&mut self, partitions: u32, settings: &[(&str, &str)]) -> Topic {
        let topic = Topic::new(self.name("topic"));
        self.create(&topic, partitions, settings);
        topic
    }

    pub(crate) fn create(&mut self, topic: &Topic, partitions: u32, values: &[(&str, &str)]) {
        let spec = TopicSpec { topic: topic.clone(), partitions, replication: None, settings: settings(values) };
        self.admin.create_topics(&[spec]).expect("the topic is created");
        self.admin.wait_for_topic(topic, partitions, self.fixture.deadline()).expect("the topic is known");
    }

    /// Writes records without a transaction and returns their offsets.
    pub(crate) fn write_batch(&self, batch: &RecordBatch) -> Vec<Offset> {
        let mut producer = self.log.producer().expect("a producer");
        let first = producer.produce(batch).expect("the records are taken");
        let mut reports = Vec::new();
        self.eventually("every record is delivered", || {
            producer.poll(POLL, &mut reports).expect("a poll");
            (reports.len() == batch.len()).then_some(())
        });
        assert_eq!(producer.in_flight(), 0);
        let mut offsets = vec![None; batch.len()];
        for report in reports {
            let index = usize::try_from(report.sequence - first).expect("an index of the batch");
            offsets[index] = Some(report.result.expect("the record is written"));
        }
        offsets.into_iter().map(|offset| offset.expect("one report for each record")).collect()
    }

    pub(crate) fn write(&self, place: &TopicPartition, values: &[&str]) -> Vec<Offset> {
        self.write_batch(&batch(place, values))
    }

    /// The values that a reader sees now, from `from` to the end for this isolation.
    pub(crate) fn read(&mut self, place: &TopicPartition, from: Offset, isolation: Isolation) -> RecordBatch {
        let end = self.admin.bounds(place, isolation).expect("bounds").end;
        let mut reader = self.log.reader(isolation).expect("a reader");
        reader.add(place, from).expect("the partition is added");
        let mut batch = RecordBatch::new();
        self.eventually("the reader comes to the end", || {
            reader.poll(1_000, POLL, &mut batch).expect("a poll");
            let position = reader.position(place).expect("a position");
            (position.is_some_and(|position| position >= end)).then_some(())
        });
        batch
    }

    /// Waits until a committed reader sees exactly these values.
    pub(crate) fn sees(&mut self, place: &TopicPartition, expected: &[&str]) {
        let started = Instant::now();
        loop {
            let seen = values(&self.read(place, Offset(0), Isolation::ReadCommitted));
            if seen == expected {
                return;
            }
            let waited = started.elapsed();
            assert!(waited < self.fixture.deadline(), "{place} shows {seen:?}, not {expected:?}, after {waited:?}");
        }
    }

    /// Waits until the last stable offset is here: a commit or abort may
    /// return before its markers are written.
    pub(crate) fn stable_end(&mut self, place: &TopicPartition, end: Offset) {
        let (admin, deadline) = (&mut self.admin, self.fixture.deadline());
        within(deadline, "the markers are written", || {
            (admin.bounds(place, Isolation::ReadCommitted).expect("bounds").end == end).then_some(())
        });
    }

    pub(crate) fn transactional(&self, id: &str) -> Transactional {
        self.transactional_with(id, Duration::from_secs(60))
    }

    /// A producer that is ready for its first transaction.
    pub(crate) fn transactional_with(&self, id: &str, timeout: Duration) -> Transactional {
        let options = TransactionOptions { transactional_id: id.to_owned(), timeout };
        let producer = self.log.transactional_producer(&options).expect("a transactional producer");
        let mut producer = Transactional { producer, deadline: self.fixture.deadline() };
        producer.step("init", |p| p.init()).expect("init");
        producer
    }

    /// A member with a session timeout that no busy machine exceeds.
    pub(crate) fn member(&self, group: &str, topics: &[Topic]) -> Member {
        self.member_with(group, topics, None, self.fixture.session_timeout().max(Duration::from_secs(10)))
    }

    /// A member that is missed soon after its last poll.
    pub(crate) fn brief_member(&self, group: &str, topics: &[Topic]) -> Member {
        self.member_with(group, topics, None, self.fixture.session_timeout())
    }

    pub(crate) fn static_member(&self, group: &str, topics: &[Topic], instance: &str) -> Member {
        let timeout = self.fixture.session_timeout().max(Duration::from_secs(10));
        self.member_with(group, topics, Some(instance.to_owned()), timeout)
    }

    fn member_with(
        &self,
        group: &str,
        topics: &[Topic],
        instance_id: Option<String>,
        session_timeout: Duration,
    ) -> Member {
        let options = GroupOptions {
            group: group.to_owned(),
            topics: topics.to_vec(),
            instance_id,
            session_timeout,
            protocol: GroupProtocol::Classic,
        };
        Member {
            consumer: self.log.group_consumer(&options).expect("a group consumer"),
            owned: BTreeSet::new(),
            events: Vec::new(),
            records: RecordBatch::new(),
        }
    }

    /// Polls a new member until it has every one of these partitions.
    pub(crate) fn settle(&self, member: &mut Member, places: &[TopicPartition]) {
        let places: BTreeSet<_> = places.iter().cloned().collect();
        self.eventually("the member has the partitions", || {
            member.poll();
            (member.owned == places).then_some(())
        });
    }

    /// Tries again until there is an answer; fails at the fixture's deadline.
    #[track_caller]
    pub(crate) fn eventually<T>(&self, what: &str, attempt: impl FnMut() -> Option<T>) -> T {
        within(self.fixture.deadline(), what, attempt)
    }
}

/// Tries again until there is an answer; fails at the deadline.
#[track_caller]
pub(crate) fn within<T>(deadline: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        assert!(started.elapsed() < deadline, "not within {deadline:?}: {what}");
        // Between two attempts only: what is waited for is the attempt's answer.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A transactional producer whose retriable steps are repeated.
pub(crate) struct Transactional {
    producer: Box<dyn TransactionalProducer>,
    deadline: Duration,
}

impl Transactional {
    /// Repeats a step while the producer asks for it.
    pub(crate) fn step(
        &mut self,
        what: &str,
        mut step: impl FnMut(&mut dyn TransactionalProducer) -> Result<(), TxnError>,
    ) -> Result<(), TxnError> {
        within(self.deadline, what, || match step(self.producer.as_mut()) {
            Err(TxnError::Retry(_)) => None,
            other => Some(other),
        })
    }

    /// Begins, writes, and waits for delivery.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Offset>, TxnError> {
        self.step("begin", |p| p.begin())?;
        self.add(batch)
    }

    /// Writes more in the open transaction, and waits for delivery.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<Vec<Offset>, TxnError> {
        self.step("produce", |p| p.produce(batch))?;
        let mut offsets = Vec::new();
        self.step("deliver", |p| p.deliver(&mut offsets))?;
        Ok(offsets)
    }

    pub(crate) fn send_offsets(&mut self, member: &mut Member, offsets: &[CommitOffset]) -> Result<(), TxnError> {
        let membership = member.consumer.membership().expect("a membership");
        self.step("send_offsets", |p| p.send_offsets(&membership, offsets))
    }

    pub(crate) fn commit(&mut self) -> Result<(), TxnError> {
        self.step("commit", |p| p.commit())
    }

    pub(crate) fn abort(&mut self) -> Result<(), TxnError> {
        self.step("abort", |p| p.abort())
    }
}

/// A group member under test, and what it was told.
pub(crate) struct Member {
    pub(crate) consumer: Box<dyn GroupConsumer>,
    pub(crate) owned: BTreeSet<TopicPartition>,
    pub(crate) events: Vec<GroupEvent>,
    pub(crate) records: RecordBatch,
}

impl Member {
    /// Polls once and keeps account of the event. Does not start what is assigned.
    pub(crate) fn poll(&mut self) -> Option<GroupEvent> {
        self.try_poll().expect("a poll")
    }

    pub(crate) fn try_poll(&mut self) -> Result<Option<GroupEvent>> {
        let before = self.records.len();
        let event = self.consumer.poll(1_000, POLL, &mut self.records)?;
        for record in self.records.iter().skip(before) {
            let place = record.place();
            assert!(self.owned.contains(&place), "{record:?} came to a member that does not have its partition");
        }
        match &event {
            Some(GroupEvent::Assigned(places)) => {
                for place in places {
                    assert!(self.owned.insert(place.clone()), "{place} was assigned twice");
                }
            }
            Some(GroupEvent::Revoked(places) | GroupEvent::Lost(places)) => {
                for place in places {
                    assert!(self.owned.remove(place), "{place} was taken but never assigned");
                }
            }
            None => {}
        }
        self.events.extend(event.clone());
        Ok(event)
    }

    /// Polls once and starts what is assigned at offset 0.
    pub(crate) fn poll_and_start(&mut self) -> Option<GroupEvent> {
        let event = self.poll();
        if let Some(GroupEvent::Assigned(places)) = &event {
            for place in places {
                self.consumer.start(place, Offset(0)).expect("an assigned partition starts");
            }
        }
        event
    }

    pub(crate) fn values(&self) -> Vec<String> {
        values(&self.records)
    }
}

pub(crate) fn settings(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The places of a topic's partitions.
pub(crate) fn places(topic: &Topic, partitions: u32) -> Vec<TopicPartition> {
    (0..partitions).map(|number| topic.partition(Partition(number))).collect()
}

/// Records of one partition; the key is the value.
pub(crate) fn batch(place: &TopicPartition, values: &[&str]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for value in values {
        push(&mut batch, place, value, Some(value), None);
    }
    batch
}

pub(crate) fn push(
    batch: &mut RecordBatch,
    place: &TopicPartition,
    key: &str,
    value: Option<&str>,
    at: Option<TimestampMs>,
) {
    let mut record = batch.start(&place.topic, place.partition);
    record.key(key.as_bytes());
    if let Some(value) = value {
        record.value(value.as_bytes());
    }
    if let Some(at) = at {
        record.timestamp(at);
    }
    record.finish();
}

pub(crate) fn values(batch: &RecordBatch) -> Vec<String> {
    batch.iter().map(|record| String::from_utf8_lossy(record.value().unwrap_or_default()).into_owned()).collect()
}

pub(crate) fn offset(place: &TopicPartition, offset: i64) -> CommitOffset {
    offset_with(place, offset, "")
}

pub(crate) fn offset_with(place: &TopicPartition, offset: i64, metadata: &str) -> CommitOffset {
    CommitOffset { place: place.clone(), offset: Offset(offset), metadata: metadata.to_owned() }
}

pub(crate) fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    TimestampMs(i64::try_from(since.as_millis()).expect("milliseconds that fit"))
}

/// The kind of a call that must fail.
#[track_caller]
pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("the call is refused").kind()
}

/// The step must fail because the member is stale.
#[track_caller]
pub(crate) fn assert_stale<T: std::fmt::Debug>(result: Result<T, TxnError>) {
    assert!(matches!(result, Err(TxnError::StaleMember(_))), "not refused as stale: {result:?}");
}
