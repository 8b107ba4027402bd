//! Members with names (KIP-345) that hang or die while partitions move: every partition has an owner in the end.

#![allow(clippy::unwrap_used)] // a failed step fails the test

use factum_core::{
    GroupEvent, RecordBatch, Topic,
    log::{GroupConsumer, GroupOptions, GroupProtocol, Log, TopicSpec},
};
use factum_log_kafka::{KafkaConfig, KafkaLog};
use factum_test_broker::{bootstrap, unique};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);
/// The shortest that a broker allows by default.
const SESSION: Duration = Duration::from_secs(6);
const PARTITIONS: u32 = 4;

/// A member with a name, and the partitions that it was told of.
struct Member {
    consumer: Box<dyn GroupConsumer>,
    owned: BTreeSet<u32>,
}

impl Member {
    fn new(log: &KafkaLog, topic: &Topic, group: &str, name: &str) -> Self {
        let options = GroupOptions {
            group: group.to_owned(),
            topics: vec![topic.clone()],
            instance_id: Some(name.to_owned()),
            session_timeout: SESSION,
            protocol: GroupProtocol::Classic,
        };
        let consumer = log.group_consumer(&options).unwrap();
        Member { consumer, owned: BTreeSet::new() }
    }

    fn poll(&mut self) {
        let numbers = |places: Vec<factum_core::TopicPartition>| places.into_iter().map(|place| place.partition.0);
        match self.consumer.poll(10, POLL, &mut RecordBatch::new()) {
            Ok(None) => {}
            Ok(Some(GroupEvent::Assigned(places))) => self.owned.extend(numbers(places)),
            Ok(Some(GroupEvent::Revoked(places) | GroupEvent::Lost(places))) => {
                numbers(places).for_each(|number| {
                    self.owned.remove(&number);
                });
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn topic(log: &KafkaLog) -> Topic {
    let topic = Topic::new(unique("named"));
    let mut admin = log.admin().unwrap();
    let spec = TopicSpec { topic: topic.clone(), partitions: PARTITIONS, replication: None, settings: BTreeMap::new() };
    admin.create_topics(&[spec]).unwrap();
    admin.wait_for_topic(&topic, PARTITIONS, DEADLINE).unwrap();
    topic
}

fn poll_until(what: &str, members: &mut [&mut Member], holds: impl Fn(&[&mut Member]) -> bool) {
    let begun = Instant::now();
    while !holds(members) {
        members.iter_mut().for_each(|member| member.poll());
        let owned: Vec<_> = members.iter().map(|member| &member.owned).collect();
        assert!(begun.elapsed() < DEADLINE, "not in time: {what}: {owned:?}");
    }
    eprintln!("{what}: {:?}", begun.elapsed());
}

/// Each partition has one owner, and each member has some.
fn shared(members: &[&mut Member]) -> bool {
    let owned: Vec<u32> = members.iter().flat_map(|member| member.owned.iter().copied()).collect();
    let idle = members.iter().any(|member| member.owned.is_empty());
    !idle && owned.len() == PARTITIONS as usize && owned.iter().collect::<BTreeSet<_>>().len() == owned.len()
}

fn poll_for(time: Duration, member: &mut Member) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        member.poll();
    }
}

/// It is told to give some up while nobody polls it, and then it is too late for an answer.
#[test]
fn a_member_that_hangs_while_partitions_move_leaves_none_without_an_owner() {
    let log = KafkaLog::new(KafkaConfig::bootstrap(bootstrap())).unwrap();
    let (topic, group) = (topic(&log), unique("group"));
    let mut first = Member::new(&log, &topic, &group, "first");
    poll_until("the first has all", &mut [&mut first], shared);
    let mut second = Member::new(&log, &topic, &group, "second");
    // Longer than its poll interval, and not so long that the broker has given it up.
    poll_for(SESSION + SESSION / 2, &mut second);
    poll_until("every partition has an owner", &mut [&mut first, &mut second], shared);
}

/// The broker takes the next process for the member that has given up what it was told to.
#[test]
fn a_member_that_is_killed_while_partitions_move_leaves_none_without_an_owner() {
    let log = KafkaLog::new(KafkaConfig::bootstrap(bootstrap())).unwrap();
    let (topic, group) = (topic(&log), unique("group"));
    let mut first = Member::new(&log, &topic, &group, "first");
    poll_until("the first has all", &mut [&mut first], shared);
    let mut second = Member::new(&log, &topic, &group, "second");
    poll_for(SESSION / 2, &mut second);
    let mut again = Member::new(&log, &topic, &group, "first");
    poll_until("every partition has an owner", &mut [&mut again, &mut second], shared);
}
