//! Topics, settings and the ends of partitions.

use crate::Fixture;
use crate::context::{Context, kind, now, places, push, settings, values, within};
use factum_core::log::{Bounds, Isolation};
use factum_core::{ErrorKind, Offset, RecordBatch, TimestampMs};
use std::slice::from_ref;

/// A topic that was deleted and created again is another one.
pub fn a_recreated_topic_has_another_id(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    c.write(place, &["of the first"]);
    let first = c.admin.describe_topic(&topic).expect("an answer").expect("the topic");
    c.admin.delete_topics(from_ref(&topic)).expect("the topic is deleted");
    let (admin, deadline) = (&mut c.admin, c.fixture.deadline());
    within(deadline, "the topic is gone", || admin.describe_topic(&topic).expect("an answer").is_none().then_some(()));
    c.create(&topic, 1, &[]);
    let second = c.admin.describe_topic(&topic).expect("an answer").expect("the topic");
    assert_ne!(first.id, second.id);
    c.sees(place, &[]);
    c.admin.delete_topics(from_ref(&topic)).expect("the topic is deleted");
    let (admin, deadline) = (&mut c.admin, c.fixture.deadline());
    within(deadline, "the topic is gone", || admin.describe_topic(&topic).expect("an answer").is_none().then_some(()));
    c.admin.delete_topics(from_ref(&topic)).expect("deleting what is not there is no error");
}

/// A description has the effective settings: given, changed, or Kafka's default.
pub fn settings_are_described_and_altered(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic_with(3, &[("retention.ms", "-1"), ("cleanup.policy", "compact")]);
    let found = c.admin.describe_topic(&topic).expect("an answer").expect("the topic");
    assert_eq!((&found.topic, found.partitions), (&topic, 3));
    assert!(found.replication >= 1);
    let expected = [
        ("retention.ms", "-1"),
        ("cleanup.policy", "compact"),
        ("message.timestamp.type", "CreateTime"),
        ("retention.bytes", "-1"),
        ("unclean.leader.election.enable", "false"),
    ];
    for (name, value) in expected {
        assert_eq!(found.settings.get(name).map(String::as_str), Some(value), "{name}");
    }
    for name in ["min.insync.replicas", "max.message.bytes", "segment.bytes"] {
        let value = found.settings.get(name).and_then(|value| value.parse::<i64>().ok());
        assert!(value.is_some_and(|value| value > 0), "{name}: {value:?}");
    }

    c.admin.alter_topic(&topic, &settings(&[("retention.ms", "60000")])).expect("a change");
    let (admin, deadline) = (&mut c.admin, c.fixture.deadline());
    let found = within(deadline, "the change is described", || {
        let found = admin.describe_topic(&topic).expect("an answer").expect("the topic");
        (found.settings.get("retention.ms").map(String::as_str) == Some("60000")).then_some(found)
    });
    assert_eq!(found.settings.get("cleanup.policy").map(String::as_str), Some("compact"), "the others stay");
    for (name, value) in [("no.such.setting", "1"), ("cleanup.policy", "sometimes"), ("retention.ms", "long")] {
        assert_eq!(kind(c.admin.alter_topic(&topic, &settings(&[(name, value)]))), ErrorKind::Invalid, "{name}");
    }
}

/// A topic that exists keeps its identity, partitions and records.
pub fn creating_a_topic_twice_changes_nothing(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    c.write(place, &["kept"]);
    let first = c.admin.describe_topic(&topic).expect("an answer");
    c.create(&topic, 1, &[]);
    assert_eq!(c.admin.describe_topic(&topic).expect("an answer"), first);
    c.sees(place, &["kept"]);
}

/// Added partitions can be written and read; the old ones keep their records.
pub fn partitions_can_be_added(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let places = places(&topic, 3);
    c.write(&places[0], &["old"]);
    c.admin.add_partitions(&topic, 3).expect("partitions are added");
    c.admin.wait_for_topic(&topic, 3, c.fixture.deadline()).expect("the partitions are known");
    assert_eq!(c.admin.partitions(&topic).expect("partitions"), places);
    c.write(&places[2], &["new"]);
    c.sees(&places[0], &["old"]);
    c.sees(&places[2], &["new"]);
    assert_eq!(kind(c.admin.add_partitions(&topic, 2)), ErrorKind::Invalid, "a topic does not shrink");
}

/// The first record at or after a time, by the records' own timestamps.
pub fn offsets_are_found_by_time(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    let base = now().0 - 60_000;
    for (index, value) in ["a", "b", "c"].iter().enumerate() {
        let at = base + 1_000 * i64::try_from(index).expect("a small index");
        let mut sent = RecordBatch::new();
        push(&mut sent, place, value, Some(value), Some(TimestampMs(at)));
        c.write_batch(&sent);
    }
    let expected = [(-5_000, Some(0)), (0, Some(0)), (500, Some(1)), (2_000, Some(2)), (2_001, None)];
    for (after, expected) in expected {
        let found = c.admin.offset_for_time(place, TimestampMs(base + after)).expect("an answer");
        assert_eq!(found, expected.map(Offset), "{after} ms after the first");
    }
}

/// Deleting records moves the log's start and nothing else.
pub fn deleted_records_move_the_start(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    c.write(place, &["a", "b", "c", "d"]);
    c.admin.delete_records(place, Offset(3)).expect("records are deleted");
    let bounds = c.admin.bounds(place, Isolation::ReadUncommitted).expect("bounds");
    assert_eq!(bounds, Bounds { start: Offset(3), end: Offset(4) });
    assert_eq!(values(&c.read(place, Offset(3), Isolation::ReadCommitted)), ["d"]);
    assert_eq!(c.write(place, &["e"]), [Offset(4)]);
    assert_eq!(kind(c.admin.delete_records(place, Offset(100))), ErrorKind::Invalid, "beyond the end");
}
