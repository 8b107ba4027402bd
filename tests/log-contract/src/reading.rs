//! Reading partitions by name.

use crate::Fixture;
use crate::context::{Context, POLL, batch, places, values};
use factum_core::log::Isolation;
use factum_core::{ErrorKind, Offset, RecordBatch};

/// A reader begins at the offset it is given and may be moved by adding again.
pub fn reading_starts_where_it_is_told(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    c.write(place, &["a", "b", "c", "d"]);
    assert_eq!(values(&c.read(place, Offset(2), Isolation::ReadCommitted)), ["c", "d"]);
    assert_eq!(values(&c.read(place, Offset(4), Isolation::ReadCommitted)).len(), 0);

    let mut reader = c.log.reader(Isolation::ReadCommitted).expect("a reader");
    reader.add(place, Offset(0)).expect("the partition is added");
    let mut one_by_one = RecordBatch::new();
    c.eventually("all records arrive, one a poll", || {
        let before = one_by_one.len();
        reader.poll(1, POLL, &mut one_by_one).expect("a poll");
        assert!(one_by_one.len() <= before + 1, "a poll keeps to its limit");
        (one_by_one.len() == 4).then_some(())
    });
    assert_eq!(values(&one_by_one), ["a", "b", "c", "d"]);
}

/// Neither an offset beyond the end nor one below the start is quietly moved.
pub fn a_read_out_of_range_is_an_error(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    c.write(place, &["a", "b", "c"]);
    c.admin.delete_records(place, Offset(2)).expect("records are deleted");
    for offset in [Offset(100), Offset(0)] {
        let mut reader = c.log.reader(Isolation::ReadCommitted).expect("a reader");
        reader.add(place, offset).expect("the partition is added");
        let mut batch = RecordBatch::new();
        let error = c.eventually("the poll fails", || reader.poll(10, POLL, &mut batch).err());
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(error.to_string().contains(place.topic.as_str()), "the error names the topic: {error}");
        assert_eq!(batch.len(), 0);
    }
}

/// After `remove` nothing of the partition comes any more; the others go on.
pub fn a_removed_partition_delivers_nothing(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(2);
    let places = places(&topic, 2);
    let mut reader = c.log.reader(Isolation::ReadCommitted).expect("a reader");
    reader.add(&places[0], Offset(0)).expect("the partition is added");
    reader.add(&places[1], Offset(0)).expect("the partition is added");
    reader.remove(&places[0]).expect("the partition is removed");
    c.write(&places[0], &["removed"]);
    c.write(&places[1], &["read"]);
    let mut batch = RecordBatch::new();
    c.eventually("the other partition's record arrives", || {
        reader.poll(10, POLL, &mut batch).expect("a poll");
        (!batch.is_empty()).then_some(())
    });
    assert_eq!(values(&batch), ["read"]);
}

/// Waiting for a record would wait for ever where a log ends with markers:
/// the position comes to the high watermark without one.
pub fn the_position_passes_control_records(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(place, &["committed"])).expect("a write");
    producer.commit().expect("a commit");
    producer.write(&batch(place, &["aborted"])).expect("a write");
    producer.abort().expect("an abort");
    let mut reader = c.log.reader(Isolation::ReadCommitted).expect("a reader");
    reader.add(place, Offset(0)).expect("the partition is added");
    let mut read = RecordBatch::new();
    c.eventually("the position comes to the end", || {
        reader.poll(10, POLL, &mut read).expect("a poll");
        (reader.position(place).expect("a position") == Some(Offset(4))).then_some(())
    });
    assert_eq!(values(&read), ["committed"]);
    assert_eq!(c.admin.bounds(place, Isolation::ReadUncommitted).expect("bounds").end, Offset(4));
}

/// A reader of everything does not wait for transactions.
pub fn read_uncommitted_sees_open_transactions(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(place, &["open"])).expect("a write");
    assert_eq!(values(&c.read(place, Offset(0), Isolation::ReadUncommitted)), ["open"]);
    c.sees(place, &[]);
    producer.abort().expect("an abort");
}
