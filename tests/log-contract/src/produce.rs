//! Writing without transactions.

use crate::Fixture;
use crate::context::{Context, POLL, batch, kind, now, places, push, values, within};
use factum_core::log::Isolation;
use factum_core::{ErrorKind, Offset, RecordBatch, TimestampMs, Topic};

type Header = (String, Option<Vec<u8>>);

/// Keys, values, headers and timestamps come back as they were given; none is not empty.
pub fn a_record_arrives_as_it_was_produced(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(2);
    let place = &places(&topic, 2)[1];
    let at = TimestampMs(now().0 - 1_000);
    let mut sent = RecordBatch::new();

    let mut record = sent.start(&topic, place.partition);
    record.key(b"key");
    record.value(&[0, 159, 146, 150]);
    record.timestamp(at);
    record.header("first", b"1");
    record.header("twice", b"a");
    record.header_opt("none", None);
    record.header("empty", b"");
    record.header("twice", b"b");
    record.finish();
    let mut record = sent.start(&topic, place.partition);
    record.key(b"tombstone");
    record.finish();
    let mut record = sent.start(&topic, place.partition);
    record.key(b"");
    record.value(b"");
    record.finish();
    let mut record = sent.start(&topic, place.partition);
    record.value(b"without a key");
    record.finish();
    c.write_batch(&sent);

    let read = c.read(place, Offset(0), Isolation::ReadCommitted);
    assert_eq!(read.len(), 4);
    assert!(read.iter().all(|record| *record.topic() == topic && record.partition() == place.partition));
    assert_eq!(read.get(0).key(), Some(&b"key"[..]));
    assert_eq!(read.get(0).value(), Some(&[0, 159, 146, 150][..]));
    assert_eq!(read.get(0).timestamp(), Some(at));
    let headers: Vec<Header> =
        read.get(0).headers().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))).collect();
    let expected: Vec<Header> = vec![
        ("first".to_owned(), Some(b"1".to_vec())),
        ("twice".to_owned(), Some(b"a".to_vec())),
        ("none".to_owned(), None),
        ("empty".to_owned(), Some(Vec::new())),
        ("twice".to_owned(), Some(b"b".to_vec())),
    ];
    assert_eq!(headers, expected);
    assert_eq!(read.get(0).header("twice"), Some(&b"b"[..]));
    assert_eq!((read.get(1).key(), read.get(1).value()), (Some(&b"tombstone"[..]), None));
    assert_eq!((read.get(2).key(), read.get(2).value()), (Some(&b""[..]), Some(&b""[..])));
    assert_eq!((read.get(3).key(), read.get(3).value()), (None, Some(&b"without a key"[..])));
}

/// Each record goes where it was sent, whatever its key, in the order of the batch.
pub fn records_keep_their_order_and_their_partition(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(3);
    let places = places(&topic, 3);
    let mut sent = RecordBatch::new();
    for n in 0..300_usize {
        push(&mut sent, &places[n % 3], "one key", Some(&n.to_string()), None);
    }
    c.write_batch(&sent);
    for (index, place) in places.iter().enumerate() {
        let expected: Vec<String> = (index..300).step_by(3).map(|n| n.to_string()).collect();
        assert_eq!(values(&c.read(place, Offset(0), Isolation::ReadCommitted)), expected);
    }
}

/// A delivery report's offset is where a reader finds the record.
pub fn delivery_reports_tell_the_real_offsets(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    assert_eq!(c.write(place, &["a", "b"]), [Offset(0), Offset(1)]);
    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(place, &["in a transaction"])).expect("a transaction");
    producer.commit().expect("a commit");
    c.stable_end(place, Offset(4));
    let offsets = c.write(place, &["c"]);
    assert_eq!(offsets, [Offset(4)], "the commit marker has offset 3");
    let read = c.read(place, offsets[0], Isolation::ReadUncommitted);
    assert_eq!(values(&read), ["c"]);
    assert_eq!(read.get(0).offset(), offsets[0]);
}

/// A record over the size limit is refused as `Invalid`, at once or in its
/// report, and what came before it is written.
pub fn a_record_that_is_too_large_is_refused(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    // Above what both a client and a broker take by default.
    let large = "x".repeat(3 << 20);
    let mut producer = c.log.producer().expect("a producer");
    let refused = producer.produce(&batch(place, &["small", &large]));
    let mut reports = Vec::new();
    c.eventually("the records have reports", || {
        producer.poll(POLL, &mut reports).expect("a poll");
        (producer.in_flight() == 0).then_some(())
    });
    let kinds: Vec<_> = reports.iter().filter_map(|report| report.result.as_ref().err()).map(|e| e.kind()).collect();
    match refused {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid),
        Ok(_) => assert_eq!(kinds, [ErrorKind::Invalid]),
    }
    c.sees(place, &["small"]);
}

/// A topic or partition that does not exist is refused as `Invalid`, at once
/// or in the report, and nothing creates it.
pub fn a_record_of_an_unknown_topic_is_refused(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let unknown = Topic::new(c.name("unknown"));
    let mut producer = c.log.producer().expect("a producer");
    let place = &places(&unknown, 1)[0];
    if let Err(error) = producer.produce(&batch(place, &["x"])) {
        assert_eq!(error.kind(), ErrorKind::Invalid);
    } else {
        let mut reports = Vec::new();
        // Kafka's client hopes for a new topic for as long as a deadline.
        within(2 * c.fixture.deadline(), "the record has a report", || {
            producer.poll(POLL, &mut reports).expect("a poll");
            (!reports.is_empty()).then_some(())
        });
        assert_eq!(kind(reports.remove(0).result), ErrorKind::Invalid);
    }
    assert_eq!(c.admin.describe_topic(&unknown).expect("an answer"), None);
}

/// With `LogAppendTime` the producer's timestamp does not count.
pub fn the_log_stamps_records_of_a_log_append_time_topic(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic_with(1, &[("message.timestamp.type", "LogAppendTime")]);
    let place = &places(&topic, 1)[0];
    let given = TimestampMs(now().0 - 3_600_000);
    let mut sent = RecordBatch::new();
    push(&mut sent, place, "k", Some("v"), Some(given));
    c.write_batch(&sent);
    let read = c.read(place, Offset(0), Isolation::ReadCommitted);
    let stamped = read.get(0).timestamp().expect("a timestamp");
    assert!(stamped.0 > given.0 + 1_800_000, "stamped {stamped:?}, the producer gave {given:?}");
}
