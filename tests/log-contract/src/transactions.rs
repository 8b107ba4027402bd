//! Transactions: all or nothing, and who may end them.

use crate::Fixture;
use crate::context::{Context, batch, offset, places, values};
use factum_core::log::{Bounds, Isolation, TxnError};
use factum_core::{ErrorKind, Offset};
use std::time::Duration;

/// Two topics and the group's offsets become visible with the commit, none before.
pub fn a_transaction_becomes_visible_as_a_whole(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let (input, one, two) = (c.topic(1), c.topic(1), c.topic(2));
    let (input_place, one_place, two_place) = (&places(&input, 1)[0], &places(&one, 1)[0], &places(&two, 2)[1]);
    let group = c.name("group");
    c.write(input_place, &["command"]);
    let mut member = c.member(&group, &[input]);
    c.settle(&mut member, std::slice::from_ref(input_place));

    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(one_place, &["a", "b"])).expect("a write");
    producer.add(&batch(two_place, &["c"])).expect("a write");
    producer.send_offsets(&mut member, &[offset(input_place, 1)]).expect("offsets");
    assert_eq!(values(&c.read(one_place, Offset(0), Isolation::ReadCommitted)).len(), 0);
    assert_eq!(values(&c.read(two_place, Offset(0), Isolation::ReadCommitted)).len(), 0);

    producer.commit().expect("a commit");
    c.sees(one_place, &["a", "b"]);
    c.sees(two_place, &["c"]);
    let committed =
        c.eventually("the offsets are decided", || member.consumer.committed(std::slice::from_ref(input_place)).ok());
    assert_eq!(committed[0].as_ref().map(|found| found.offset), Some(Offset(1)));
}

/// An aborted record takes an offset and is never read by a committed reader.
pub fn an_aborted_transaction_is_never_visible(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(place, &["aborted"])).expect("a write");
    producer.abort().expect("an abort");
    c.stable_end(place, Offset(2));
    c.write(place, &["kept"]);
    c.sees(place, &["kept"]);
    let all = c.read(place, Offset(0), Isolation::ReadUncommitted);
    assert_eq!(values(&all), ["aborted", "kept"]);
    assert_eq!(all.get(1).offset(), Offset(2), "record, abort marker, record");
}

/// The last stable offset stops at the first record of an open transaction,
/// the high watermark does not.
pub fn an_open_transaction_holds_the_last_stable_offset(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    c.write(place, &["before"]);
    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(place, &["open", "open too"])).expect("a write");
    c.write(place, &["after"]);
    let bounds = |c: &mut Context<'_>, isolation| c.admin.bounds(place, isolation).expect("bounds");
    assert_eq!(bounds(&mut c, Isolation::ReadUncommitted), Bounds { start: Offset(0), end: Offset(4) });
    assert_eq!(bounds(&mut c, Isolation::ReadCommitted), Bounds { start: Offset(0), end: Offset(1) });
    c.sees(place, &["before"]);

    producer.commit().expect("a commit");
    c.sees(place, &["before", "open", "open too", "after"]);
    assert_eq!(bounds(&mut c, Isolation::ReadCommitted).end, Offset(5), "the marker takes an offset");
}

/// `deliver` tells each record's own offset, in the batch's order, over several partitions.
pub fn transactional_delivery_tells_the_real_offsets(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(2);
    let places = places(&topic, 2);
    c.write(&places[0], &["before"]);
    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    let mut sent = batch(&places[0], &["a"]);
    for record in batch(&places[1], &["b"]).iter().chain(batch(&places[0], &["c"]).iter()) {
        sent.push(record);
    }
    let offsets = producer.write(&sent).expect("a write");
    assert_eq!(offsets, [Offset(1), Offset(0), Offset(2)]);
    producer.commit().expect("a commit");
    let offsets = producer.write(&batch(&places[0], &["d"])).expect("a second transaction");
    assert_eq!(offsets, [Offset(4)], "behind the commit marker");
    producer.commit().expect("a commit");
    c.sees(&places[0], &["before", "a", "c", "d"]);
}

/// A second producer with the transactional id ends the first one's life.
pub fn a_second_init_fences_the_first_producer(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    let id = c.name("producer");
    let mut first = c.transactional(&id);
    first.write(&batch(place, &["of the first"])).expect("a write");
    let mut second = c.transactional(&id);
    let refused = first.commit();
    let Err(TxnError::Fatal(error)) = refused else { panic!("not fatal: {refused:?}") };
    assert_eq!(error.kind(), ErrorKind::Fenced);

    second.write(&batch(place, &["of the second"])).expect("a write");
    second.commit().expect("a commit");
    c.sees(place, &["of the second"]);
}

/// What a dead producer left open is decided by its successor's `init`.
pub fn init_aborts_what_the_predecessor_left_open(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    let id = c.name("producer");
    let mut dead = c.transactional(&id);
    dead.write(&batch(place, &["left open"])).expect("a write");
    let successor = c.transactional(&id);
    c.write(place, &["after"]);
    c.sees(place, &["after"]);
    drop((dead, successor));
}

/// An open transaction is aborted when its time is over; its producer cannot commit it.
pub fn a_transaction_left_open_is_aborted_after_its_timeout(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    let id = c.name("producer");
    let mut slow = c.transactional_with(&id, Duration::from_secs(8));
    slow.write(&batch(place, &["too slow"])).expect("a write");
    c.write(place, &["after"]);
    c.sees(place, &["after"]);
    let refused = slow.commit();
    assert!(refused.is_err(), "a transaction that was aborted cannot be committed");
    c.sees(place, &["after"]);
}

/// An empty list would be a transaction that nothing fences.
pub fn an_empty_offsets_list_is_refused(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    let group = c.name("group");
    let mut member = c.member(&group, &[topic]);
    c.settle(&mut member, std::slice::from_ref(place));
    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(place, &["x"])).expect("a write");
    let refused = producer.send_offsets(&mut member, &[]).expect_err("an empty list is refused");
    assert_eq!(refused.error().kind(), ErrorKind::Invalid);
    producer.abort().expect("an abort");
    c.sees(place, &[]);
}

/// A producer stays usable after an abort.
pub fn a_producer_goes_on_after_an_abort(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let place = &places(&c.topic(1), 1)[0];
    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    for (value, aborts) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        producer.write(&batch(place, &[value])).expect("a write");
        if aborts { producer.abort().expect("an abort") } else { producer.commit().expect("a commit") }
    }
    c.sees(place, &["b", "d"]);
}
