//! What only a real broker can show, beside the contract.

#![allow(clippy::unwrap_used)] // a failed step fails the test

use factum_core::{
    ErrorKind, GroupEvent, Offset, Partition, RecordBatch, Topic, TopicPartition,
    log::{
        CommitOffset, GroupConsumer, GroupOptions, GroupProtocol, Isolation, Log, TopicSpec, TransactionOptions,
        TransactionalProducer,
    },
};
use factum_log_kafka::{KafkaConfig, KafkaLog};
use factum_test_broker::{bootstrap, unique};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

fn kafka() -> KafkaLog {
    KafkaLog::new(KafkaConfig::bootstrap(bootstrap())).unwrap()
}

fn topic(log: &KafkaLog, partitions: u32) -> Topic {
    let topic = Topic::new(unique("kafka"));
    let mut admin = log.admin().unwrap();
    let spec = TopicSpec { topic: topic.clone(), partitions, replication: None, settings: BTreeMap::new() };
    admin.create_topics(&[spec]).unwrap();
    admin.wait_for_topic(&topic, partitions, DEADLINE).unwrap();
    topic
}

fn records(place: &TopicPartition, values: impl IntoIterator<Item = usize>) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for value in values {
        let mut record = batch.start(&place.topic, place.partition);
        record.value(value.to_string().as_bytes());
        record.finish();
    }
    batch
}

fn write(log: &KafkaLog, place: &TopicPartition, count: usize) {
    let mut producer = log.producer().unwrap();
    producer.produce(&records(place, 0..count)).unwrap();
    producer.flush(DEADLINE).unwrap();
}

fn member(log: &KafkaLog, group: &str, topic: &Topic, protocol: GroupProtocol) -> Box<dyn GroupConsumer> {
    log.group_consumer(&GroupOptions {
        group: group.to_owned(),
        topics: vec![topic.clone()],
        instance_id: None,
        session_timeout: Duration::from_secs(10),
        protocol,
    })
    .unwrap()
}

fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
    }
}

fn assigned(member: &mut dyn GroupConsumer) -> Vec<TopicPartition> {
    let mut none = RecordBatch::new();
    let places = until("an assignment", || match member.poll(100, POLL, &mut none).unwrap() {
        Some(GroupEvent::Assigned(places)) => Some(places),
        _ => None,
    });
    assert!(none.is_empty());
    places
}

fn offsets(batch: &RecordBatch) -> Vec<i64> {
    batch.iter().map(|record| record.offset().0).collect()
}

fn read(member: &mut dyn GroupConsumer, count: usize) -> Vec<i64> {
    let mut batch = RecordBatch::new();
    until("records", || {
        member.poll(1_000, POLL, &mut batch).unwrap();
        (batch.len() >= count).then_some(())
    });
    offsets(&batch)
}

fn read_to(member: &mut dyn GroupConsumer, place: &TopicPartition, end: i64) -> Vec<i64> {
    let mut batch = RecordBatch::new();
    until("the end", || {
        member.poll(1_000, POLL, &mut batch).unwrap();
        (member.position(place).unwrap() >= Some(Offset(end))).then_some(())
    });
    offsets(&batch)
}

/// Starting races with librdkafka's own work on a new assignment.
#[test]
fn a_start_right_after_the_assignment_begins_where_it_says() {
    let log = kafka();
    let topic = topic(&log, 8);
    let places: Vec<_> = (0..8).map(|p| topic.partition(Partition(p))).collect();
    for place in &places {
        write(&log, place, 3);
    }
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        for _ in 0..5 {
            let mut member = member(&log, &unique("group"), &topic, protocol);
            let mut owned = Vec::new();
            while owned.len() < 8 {
                for place in assigned(&mut *member) {
                    // Held back, moved before it delivers, moved again.
                    member.start(&place, Offset(3)).unwrap();
                    member.start(&place, Offset(1)).unwrap();
                    owned.push(place);
                }
            }
            let mut batch = RecordBatch::new();
            until("all partitions deliver", || {
                member.poll(1_000, POLL, &mut batch).unwrap();
                (batch.len() >= 16).then_some(())
            });
            for place in &places {
                let of_place = batch.iter().filter(|r| r.partition() == place.partition).map(|r| r.offset().0);
                assert_eq!(of_place.collect::<Vec<_>>(), [1, 2], "{place}");
            }
        }
    }
}

#[test]
fn a_move_while_records_are_queued_repeats_and_loses_nothing() {
    let log = kafka();
    let topic = topic(&log, 1);
    let place = topic.partition(Partition(0));
    write(&log, &place, 5_000);
    let mut member = member(&log, &unique("group"), &topic, GroupProtocol::Classic);
    assert_eq!(assigned(&mut *member), std::slice::from_ref(&place));
    member.start(&place, Offset(0)).unwrap();
    let mut few = RecordBatch::new();
    until("some", || {
        member.poll(10, POLL, &mut few).unwrap();
        (!few.is_empty()).then_some(())
    });
    // Back and forward, with thousands of records in librdkafka's queue.
    for from in [2, 4_000, 100, 4_999, 0] {
        member.start(&place, Offset(from)).unwrap();
        assert_eq!(read_to(&mut *member, &place, 5_000), (from..5_000).collect::<Vec<_>>(), "from {from}");
    }
    // Paused with a queue, and started elsewhere.
    member.start(&place, Offset(0)).unwrap();
    read(&mut *member, 1);
    member.pause(&place).unwrap();
    let mut silent = RecordBatch::new();
    for _ in 0..5 {
        member.poll(1_000, POLL, &mut silent).unwrap();
    }
    assert!(silent.is_empty());
    member.start(&place, Offset(4_990)).unwrap();
    assert_eq!(read_to(&mut *member, &place, 5_000), (4_990..5_000).collect::<Vec<_>>());
    // At the end: nothing, then what comes.
    member.start(&place, Offset(5_000)).unwrap();
    assert_eq!(member.position(&place).unwrap(), Some(Offset(5_000)));
    write(&log, &place, 1);
    assert_eq!(read(&mut *member, 1), [5_000]);
}

#[test]
fn a_member_that_was_started_out_of_range_says_so_and_can_be_started_again() {
    let log = kafka();
    let topic = topic(&log, 1);
    let place = topic.partition(Partition(0));
    write(&log, &place, 3);
    let mut member = member(&log, &unique("group"), &topic, GroupProtocol::Classic);
    assert_eq!(assigned(&mut *member), std::slice::from_ref(&place));
    member.start(&place, Offset(100)).unwrap();
    let mut batch = RecordBatch::new();
    let error = until("an error", || member.poll(10, POLL, &mut batch).err());
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    assert!(error.to_string().contains(&format!("{place}@100")), "{error}");
    member.start(&place, Offset(1)).unwrap();
    assert_eq!(read(&mut *member, 2), [1, 2]);
}

#[test]
fn a_group_consumer_passes_commit_markers() {
    let log = kafka();
    let topic = topic(&log, 1);
    let place = topic.partition(Partition(0));
    let mut producer = transactional(&log);
    producer.begin().unwrap();
    producer.produce(&records(&place, 0..2)).unwrap();
    producer.deliver(&mut Vec::new()).unwrap();
    producer.commit().unwrap();
    let end = log.admin().unwrap().bounds(&place, Isolation::ReadUncommitted).unwrap().end;
    assert_eq!(end, Offset(3));
    let mut member = member(&log, &unique("group"), &topic, GroupProtocol::Classic);
    assert_eq!(assigned(&mut *member), std::slice::from_ref(&place));
    member.start(&place, Offset(0)).unwrap();
    assert_eq!(read_to(&mut *member, &place, 3), [0, 1]);
    // Asked again from a position that was passed already.
    member.start(&place, Offset(2)).unwrap();
    assert!(read_to(&mut *member, &place, 3).is_empty());
}

fn transactional(log: &KafkaLog) -> Box<dyn TransactionalProducer> {
    let options = TransactionOptions { transactional_id: unique("tx"), timeout: Duration::from_secs(60) };
    let mut producer = log.transactional_producer(&options).unwrap();
    producer.init().unwrap();
    producer
}

#[test]
fn members_of_the_new_protocol_share_hand_over_and_fence() {
    let log = kafka();
    let topic = topic(&log, 2);
    let group = unique("group");
    let mut first = member(&log, &group, &topic, GroupProtocol::Consumer);
    assert!(first.membership().unwrap().generation <= 0);
    assert_eq!(assigned(&mut *first).len(), 2);
    let old = first.membership().unwrap();
    assert!(old.generation >= 1 && !old.member_id.is_empty(), "{old:?}");

    let mut second = member(&log, &group, &topic, GroupProtocol::Consumer);
    let mut none = RecordBatch::new();
    let (mut revoked, mut taken) = (None, None);
    until("one partition moves", || {
        let event = first.poll(10, POLL, &mut none).unwrap();
        assert!(taken.is_none() || revoked.is_some(), "taken before it was given up");
        match event {
            Some(GroupEvent::Revoked(places)) => revoked = Some(places),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
        if let Some(GroupEvent::Assigned(places)) = second.poll(10, POLL, &mut none).unwrap() {
            taken = Some(places);
        }
        (revoked.is_some() && taken.is_some()).then_some(())
    });
    assert_eq!(revoked, taken);
    let place = taken.unwrap().remove(0);

    // The new owner's offsets are taken; the old epoch's are not.
    let commit = CommitOffset { place: place.clone(), offset: Offset(0), metadata: "mark".to_owned() };
    let mut producer = transactional(&log);
    producer.begin().unwrap();
    producer.send_offsets(&second.membership().unwrap(), std::slice::from_ref(&commit)).unwrap();
    producer.commit().unwrap();
    assert_eq!(second.committed(std::slice::from_ref(&place)).unwrap()[0].as_ref().unwrap().metadata, "mark");
    producer.begin().unwrap();
    let refused = producer.send_offsets(&old, &[commit]).unwrap_err();
    assert!(matches!(refused, factum_core::log::TxnError::StaleMember(_)), "{refused:?}");
    producer.abort().unwrap();

    second.close().unwrap();
    let back = until("the first has both again", || match first.poll(10, POLL, &mut none).unwrap() {
        Some(GroupEvent::Assigned(places)) => Some(places),
        _ => None,
    });
    assert_eq!(back, [place]);
}

#[test]
fn an_abort_with_records_in_flight_takes_no_flush_slice() {
    let log = kafka();
    let topic = topic(&log, 1);
    let place = topic.partition(Partition(0));
    let mut producer = transactional(&log);
    for _ in 0..3 {
        producer.begin().unwrap();
        producer.produce(&records(&place, 0..20_000)).unwrap();
        producer.abort().unwrap();
    }
    producer.begin().unwrap();
    producer.produce(&records(&place, 0..2)).unwrap();
    let mut delivered = Vec::new();
    producer.deliver(&mut delivered).unwrap();
    assert_eq!(delivered.len(), 2);
    producer.commit().unwrap();
    let mut reader = log.reader(Isolation::ReadCommitted).unwrap();
    reader.add(&place, Offset(0)).unwrap();
    let mut batch = RecordBatch::new();
    until("the committed two", || {
        reader.poll(100, POLL, &mut batch).unwrap();
        (reader.position(&place).unwrap() > Some(delivered[1])).then_some(())
    });
    assert_eq!(offsets(&batch), [delivered[0].0, delivered[1].0]);
}

#[test]
fn a_cluster_that_is_away_is_unavailable_soon_and_named() {
    // A port that no server takes by chance.
    let servers = "127.0.0.1:1";
    let log = KafkaLog::new(KafkaConfig::bootstrap(servers)).unwrap();
    let begun = Instant::now();
    let error = log.admin().unwrap().describe_topic(&"any".into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(servers), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
