//! Compaction and retention. Kafka cleans only segments that a later record
//! has closed, so these contracts go on writing while they wait.

use crate::Fixture;
use crate::context::{Context, now, places, push, within};
use factum_core::log::Isolation;
use factum_core::{Offset, RecordBatch, TimestampMs};

const FILLER: &str = "filler";

fn write_filler(c: &Context<'_>, place: &factum_core::TopicPartition) {
    let mut batch = RecordBatch::new();
    push(&mut batch, place, FILLER, Some(FILLER), None);
    c.write_batch(&batch);
    c.fixture.run_cleaner();
}

/// The latest record of each key stays at its offset; older ones go, and so do tombstones.
pub fn compaction_keeps_the_latest_of_each_key(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic_with(
        1,
        &[
            ("cleanup.policy", "compact"),
            ("segment.ms", "100"),
            ("min.cleanable.dirty.ratio", "0.001"),
            ("max.compaction.lag.ms", "500"),
            ("delete.retention.ms", "0"),
        ],
    );
    let place = &places(&topic, 1)[0];
    let mut sent = RecordBatch::new();
    let written =
        [("a", Some("1")), ("b", Some("1")), ("a", Some("2")), ("b", None), ("c", Some("1")), ("d", Some(""))];
    for (key, value) in written {
        push(&mut sent, place, key, value, None);
    }
    c.write_batch(&sent);

    let expected = [("a", "2", 2), ("c", "1", 4), ("d", "", 5)];
    within(c.fixture.cleaning_deadline(), "only the latest records are left", || {
        write_filler(&c, place);
        let read = c.read(place, Offset(0), Isolation::ReadCommitted);
        let left: Vec<_> = read
            .iter()
            .filter(|record| record.key() != Some(FILLER.as_bytes()))
            .map(|record| (record.key().unwrap_or_default(), record.value(), record.offset().0))
            .collect();
        let latest = expected
            .iter()
            .all(|(key, value, offset)| left.contains(&(key.as_bytes(), Some(value.as_bytes()), *offset)));
        assert!(latest, "the latest of a key is never cleaned away: {left:?}");
        (left.len() == expected.len()).then_some(())
    });
}

/// Records older than `retention.ms`, by their timestamps, go; younger ones stay.
pub fn retention_deletes_old_records(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic_with(1, &[("retention.ms", "3600000"), ("segment.ms", "100")]);
    let place = &places(&topic, 1)[0];
    let mut old = RecordBatch::new();
    for value in ["a", "b", "c"] {
        push(&mut old, place, value, Some(value), Some(TimestampMs(now().0 - 7_200_000)));
    }
    c.write_batch(&old);
    let (mut fillers, deadline) = (0, c.fixture.cleaning_deadline());
    within(deadline, "the start has moved", || {
        write_filler(&c, place);
        fillers += 1;
        let bounds = c.admin.bounds(place, Isolation::ReadUncommitted).expect("bounds");
        assert!(bounds.start <= Offset(3), "young records stay: {bounds:?}");
        (bounds.start == Offset(3)).then_some(())
    });
    let left = c.read(place, Offset(3), Isolation::ReadCommitted);
    assert_eq!(left.len(), fillers);
}
