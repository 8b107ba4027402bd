//! What the contract cannot ask of every log: a clock of one's own, ordered
//! faults, Kafka's unfenced commit, and changes that clients notice at once.

#![allow(clippy::unwrap_used)] // helpers of tests unwrap as tests do

use factum_core::log::{
    Admin, CommitOffset, GroupConsumer, GroupEvent, GroupOptions, GroupProtocol, Isolation, Log, Membership, TopicSpec,
    TransactionOptions, TransactionalProducer, TxnError,
};
use factum_core::{ErrorKind, Offset, Partition, RecordBatch, TimestampMs, Topic, TopicPartition};
use factum_log_memory::{MemoryLog, faults::CommitFault};
use std::collections::BTreeMap;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;
const SESSION: Duration = Duration::from_secs(10);

struct World {
    log: MemoryLog,
    admin: Box<dyn Admin>,
    clock: Arc<AtomicI64>,
    topic: Topic,
}

impl World {
    fn new(partitions: u32) -> Self {
        let clock = Arc::new(AtomicI64::new(1_000_000));
        let time = clock.clone();
        let log = MemoryLog::new(Arc::new(move || TimestampMs(time.load(Ordering::Relaxed))));
        let mut admin = log.admin().unwrap();
        let topic = Topic::from("t");
        admin.create_topics(&[spec(&topic, partitions)]).unwrap();
        World { log, admin, clock, topic }
    }

    fn pass(&self, time: Duration) {
        self.clock.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn place(&self) -> TopicPartition {
        self.topic.partition(Partition(0))
    }

    fn member(&self) -> Box<dyn GroupConsumer> {
        let options = GroupOptions {
            group: "g".to_owned(),
            topics: vec![self.topic.clone()],
            instance_id: None,
            session_timeout: SESSION,
            protocol: GroupProtocol::Classic,
        };
        self.log.group_consumer(&options).unwrap()
    }

    fn producer(&self) -> Box<dyn TransactionalProducer> {
        let options = TransactionOptions { transactional_id: "p".to_owned(), timeout: Duration::from_secs(60) };
        let mut producer = self.log.transactional_producer(&options).unwrap();
        producer.init().unwrap();
        producer
    }

    /// A producer with one record in its open transaction.
    fn writing(&self) -> Box<dyn TransactionalProducer> {
        let mut producer = self.producer();
        producer.begin().unwrap();
        producer.produce(&self.record()).unwrap();
        producer
    }

    fn record(&self) -> RecordBatch {
        let mut batch = RecordBatch::new();
        let mut record = batch.start(&self.topic, Partition(0));
        record.value(b"v");
        record.finish();
        batch
    }

    fn committed_records(&self) -> usize {
        let mut reader = self.log.reader(Isolation::ReadCommitted).unwrap();
        reader.add(&self.place(), Offset(0)).unwrap();
        let mut batch = RecordBatch::new();
        reader.poll(100, NOW, &mut batch).unwrap();
        batch.len()
    }
}

fn spec(topic: &Topic, partitions: u32) -> TopicSpec {
    TopicSpec { topic: topic.clone(), partitions, replication: None, settings: BTreeMap::new() }
}

fn poll(member: &mut Box<dyn GroupConsumer>) -> Option<GroupEvent> {
    member.poll(100, NOW, &mut RecordBatch::new()).unwrap()
}

fn offsets(place: &TopicPartition) -> [CommitOffset; 1] {
    [CommitOffset { place: place.clone(), offset: Offset(0), metadata: String::new() }]
}

#[test]
fn ordered_faults_meet_the_commits_in_turn() {
    let world = World::new(1);
    for fault in [CommitFault::UnknownCommitted, CommitFault::UnknownAborted, CommitFault::Fenced, CommitFault::Retry] {
        world.log.fail_next_commit(fault);
    }
    world.log.fail_next_commit(CommitFault::Abort);

    let unclear = world.writing().commit();
    assert!(matches!(&unclear, Err(TxnError::Fatal(e)) if e.kind() == ErrorKind::Unavailable), "{unclear:?}");
    assert_eq!(world.committed_records(), 1);

    let unclear = world.writing().commit();
    assert!(matches!(&unclear, Err(TxnError::Fatal(e)) if e.kind() == ErrorKind::Unavailable), "{unclear:?}");
    assert_eq!(world.committed_records(), 1);

    let fenced = world.writing().commit();
    assert!(matches!(&fenced, Err(TxnError::Fatal(e)) if e.kind() == ErrorKind::Fenced), "{fenced:?}");
    assert_eq!(world.committed_records(), 1);

    let mut producer = world.writing();
    assert!(matches!(producer.commit(), Err(TxnError::Retry(_))));
    assert!(matches!(producer.commit(), Err(TxnError::Abort(_))));
    producer.abort().unwrap();
    assert_eq!(world.committed_records(), 1);

    let mut producer = world.writing();
    producer.commit().unwrap();
    assert_eq!(world.committed_records(), 2);
}

#[test]
fn a_commit_without_generation_and_member_is_not_fenced_as_in_kafka() {
    let world = World::new(1);
    let mut member = world.member();
    assert!(matches!(poll(&mut member), Some(GroupEvent::Assigned(_))));
    let real = member.membership().unwrap();
    let sentinel = Membership { member_id: String::new(), generation: -1, ..real.clone() };
    let mut producer = world.writing();
    producer.send_offsets(&sentinel, &offsets(&world.place())).unwrap();
    producer.commit().unwrap();

    for stale in [
        Membership { generation: real.generation + 1, ..real.clone() },
        Membership { generation: -1, ..real.clone() },
        Membership { member_id: "somebody".to_owned(), ..real.clone() },
        Membership { group: "never seen".to_owned(), ..real },
    ] {
        let mut producer = world.writing();
        let refused = producer.send_offsets(&stale, &offsets(&world.place()));
        assert!(matches!(refused, Err(TxnError::StaleMember(_))), "{stale:?}: {refused:?}");
        producer.abort().unwrap();
    }
}

#[test]
fn ownership_of_the_partition_is_not_checked_as_in_kafka() {
    let world = World::new(2);
    let (mut one, mut two) = (world.member(), world.member());
    let mut owners = BTreeMap::new();
    for _ in 0..6 {
        for (name, member) in [("one", &mut one), ("two", &mut two)] {
            if let Some(GroupEvent::Assigned(places)) = poll(member) {
                owners.extend(places.into_iter().map(|place| (place, name)));
            }
        }
    }
    let of_two = owners.iter().find(|(_, name)| **name == "two").map(|(place, _)| place.clone()).unwrap();
    let mut producer = world.writing();
    producer.send_offsets(&one.membership().unwrap(), &offsets(&of_two)).unwrap();
    producer.commit().unwrap();
    assert_eq!(two.committed(&[of_two]).unwrap()[0].as_ref().map(|found| found.offset), Some(Offset(0)));
}

#[test]
fn sessions_and_transactions_time_out_by_the_given_clock() {
    let world = World::new(1);
    let mut member = world.member();
    poll(&mut member);
    let mut producer = world.writing();
    producer.send_offsets(&member.membership().unwrap(), &offsets(&world.place())).unwrap();

    world.pass(SESSION - Duration::from_millis(1));
    assert_eq!(poll(&mut member), None);
    world.pass(SESSION);
    assert_eq!(poll(&mut member), Some(GroupEvent::Lost(vec![world.place()])));
    assert_eq!(member.membership().unwrap().generation, -1);
    assert_eq!(poll(&mut member), Some(GroupEvent::Assigned(vec![world.place()])));

    world.pass(Duration::from_secs(60));
    let refused = producer.commit();
    assert!(matches!(&refused, Err(TxnError::Fatal(e)) if e.kind() == ErrorKind::Fenced), "{refused:?}");
    assert_eq!(world.committed_records(), 0);
}

#[test]
fn members_get_the_partitions_that_a_topic_gains() {
    let mut world = World::new(1);
    let mut member = world.member();
    poll(&mut member);
    world.admin.add_partitions(&world.topic, 2).unwrap();
    assert_eq!(poll(&mut member), Some(GroupEvent::Assigned(vec![world.topic.partition(Partition(1))])));
    world.admin.delete_topics(std::slice::from_ref(&world.topic)).unwrap();
    assert!(matches!(poll(&mut member), Some(GroupEvent::Revoked(places)) if places.len() == 2));
}

#[test]
fn a_deleted_topics_group_offsets_are_forgotten() {
    let mut world = World::new(1);
    let place = world.place();
    world.admin.reset_group_offsets("g", &offsets(&place)).unwrap();
    assert_eq!(world.admin.group_offsets("g", std::slice::from_ref(&place)).unwrap().len(), 1);
    world.admin.delete_topics(std::slice::from_ref(&world.topic)).unwrap();
    world.admin.create_topics(&[spec(&world.topic, 1)]).unwrap();
    assert_eq!(world.admin.group_offsets("g", &[place]).unwrap().len(), 0);
}

#[test]
fn a_waiting_reader_wakes_for_a_record() {
    let world = World::new(1);
    let mut reader = world.log.reader(Isolation::ReadCommitted).unwrap();
    reader.add(&world.place(), Offset(0)).unwrap();
    let (log, batch) = (world.log.clone(), world.record());
    let writer = std::thread::spawn(move || log.producer().unwrap().produce(&batch).map(|_| ()));
    let mut read = RecordBatch::new();
    let (started, timeout) = (std::time::Instant::now(), Duration::from_secs(240));
    while read.is_empty() && started.elapsed() < timeout {
        reader.poll(10, timeout, &mut read).unwrap();
    }
    writer.join().unwrap().unwrap();
    assert_eq!(read.len(), 1);
    assert!(started.elapsed() < timeout / 2, "it waited for the timeout, not for the record");
}

#[test]
fn a_commit_whose_markers_come_late_is_decided_before_it_is_seen() {
    let world = World::new(2);
    let mut admin = world.log.admin().unwrap();
    let mut producer = world.producer();
    let write = |producer: &mut Box<dyn TransactionalProducer>| {
        producer.begin().unwrap();
        let mut batch = world.record();
        let mut other = batch.start(&world.topic, Partition(1));
        other.value(b"w");
        other.finish();
        producer.produce(&batch).unwrap();
    };
    write(&mut producer);
    // The markers come in the order of the partitions, each after half of the time.
    world.log.delay_next_markers(1_001);
    producer.commit().unwrap();
    assert_eq!(world.committed_records(), 1, "the first one is written at once");
    let second = world.topic.partition(Partition(1));
    let mut ends =
        || [Isolation::ReadCommitted, Isolation::ReadUncommitted].map(|i| admin.bounds(&second, i).unwrap().end.0);
    assert_eq!(ends(), [0, 1], "a committed record is hidden");
    world.clock.fetch_add(500, Ordering::Relaxed);
    assert_eq!(ends(), [2, 2]);
    // The producer's next transaction waits for what is left of the last one.
    write(&mut producer);
    world.log.delay_next_markers(1_001);
    producer.commit().unwrap();
    assert_eq!(ends(), [2, 3]);
    write(&mut producer);
    assert_eq!(ends(), [4, 5]);
}

#[test]
fn a_forgotten_transactional_id_is_refused_and_an_open_transaction_keeps_its_own() {
    let world = World::new(1);
    let mut producer = world.writing();
    world.log.forget_producer("p");
    producer.commit().unwrap();
    assert_eq!(world.committed_records(), 1);
    world.log.forget_producer("p");
    producer.begin().unwrap();
    assert!(matches!(producer.produce(&world.record()), Err(TxnError::Fatal(_))));
    world.writing().commit().unwrap();
    assert_eq!(world.committed_records(), 2);
}

/// The first producer gives up a transaction one record of which is on its way for a second.
fn given_up(world: &World) -> Box<dyn TransactionalProducer> {
    world.log.delay_next_write(0, 1_000);
    let mut producer = world.writing();
    assert!(matches!(producer.deliver(&mut Vec::new()), Err(TxnError::Abort(_))));
    producer
}

#[test]
fn a_late_write_becomes_part_of_its_producers_next_transaction() {
    let world = World::new(1);
    let mut producer = given_up(&world);
    producer.abort().unwrap();
    producer.begin().unwrap();
    producer.produce(&world.record()).unwrap();
    producer.commit().unwrap();
    assert_eq!(world.committed_records(), 2, "the sequence numbers let the late one in before the new one");

    // Without a next one it opens a transaction that nobody ends.
    let mut producer = given_up(&world);
    producer.abort().unwrap();
    world.pass(Duration::from_secs(100));
    world.log.producer().unwrap().produce(&world.record()).unwrap();
    assert_eq!(world.committed_records(), 2);
    world.writing().commit().unwrap();
    assert_eq!(world.committed_records(), 5, "until its producer's next marker, which takes it for its own");
}

#[test]
fn a_late_write_is_refused_once_a_marker_or_a_record_told_a_higher_epoch() {
    let world = World::new(1);
    // The successor ends what was open: its markers have the new epoch.
    let given_up_by_all = given_up(&world);
    let mut successor = world.producer();
    world.pass(Duration::from_secs(2));
    successor.begin().unwrap();
    successor.produce(&world.record()).unwrap();
    successor.commit().unwrap();
    assert_eq!(world.committed_records(), 1);
    drop(given_up_by_all);

    // The coordinator ends what takes too long, and raises the epoch, too.
    world.log.delay_next_write(0, 100_000);
    let hung = world.writing();
    world.pass(Duration::from_secs(200));
    world.log.producer().unwrap().produce(&world.record()).unwrap();
    assert_eq!(world.committed_records(), 2);
    drop(hung);

    // After an abort the new epoch is known with the first record of it.
    let mut producer = given_up(&world);
    producer.abort().unwrap();
    world.writing().commit().unwrap();
    world.pass(Duration::from_secs(2));
    world.writing().commit().unwrap();
    assert_eq!(world.committed_records(), 4);
}
