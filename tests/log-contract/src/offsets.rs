//! A group's committed offsets.

use crate::Fixture;
use crate::context::{Context, Member, batch, kind, offset, offset_with, places};
use factum_core::log::Committed;
use factum_core::{ErrorKind, Offset, TopicPartition};
use std::slice::from_ref;

fn committed(c: &Context<'_>, member: &mut Member, place: &TopicPartition) -> Option<Committed> {
    c.eventually("the offsets are decided", || member.consumer.committed(from_ref(place)).ok()).remove(0)
}

/// The text of a commit is kept with its offset, also in a transaction.
pub fn offsets_keep_their_metadata(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(2);
    let places = places(&topic, 2);
    c.write(&places[0], &["a", "b", "c"]);
    let group = c.name("group");
    let mut member = c.member(&group, from_ref(&topic));
    c.settle(&mut member, &places);
    assert_eq!(committed(&c, &mut member, &places[0]), None);

    member.consumer.commit(&[offset_with(&places[0], 1, "by itself")]).expect("a commit");
    let expected = Committed { offset: Offset(1), metadata: "by itself".to_owned() };
    assert_eq!(committed(&c, &mut member, &places[0]), Some(expected.clone()));
    assert_eq!(c.admin.group_offsets(&group, &places).expect("offsets"), [(places[0].clone(), expected)]);

    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(&places[1], &["x"])).expect("a write");
    producer.send_offsets(&mut member, &[offset_with(&places[0], 2, "in a transaction")]).expect("offsets");
    producer.commit().expect("a commit");
    let expected = Committed { offset: Offset(2), metadata: "in a transaction".to_owned() };
    assert_eq!(committed(&c, &mut member, &places[0]), Some(expected));
}

/// While a transaction holds an offset, the older one is not told (KIP-447).
pub fn offsets_of_an_open_transaction_are_waited_for(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    c.write(place, &["a", "b", "c"]);
    let group = c.name("group");
    let mut member = c.member(&group, from_ref(&topic));
    c.settle(&mut member, from_ref(place));
    member.consumer.commit(&[offset(place, 1)]).expect("a commit");

    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(place, &["x"])).expect("a write");
    producer.send_offsets(&mut member, &[offset(place, 3)]).expect("offsets");
    assert_eq!(kind(member.consumer.committed(from_ref(place))), ErrorKind::Unavailable);
    assert_eq!(kind(c.admin.group_offsets(&group, from_ref(place))), ErrorKind::Unavailable);
    producer.commit().expect("a commit");
    assert_eq!(committed(&c, &mut member, place).map(|found| found.offset), Some(Offset(3)));
}

/// An abort leaves the older offset.
pub fn offsets_of_an_aborted_transaction_are_dropped(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    c.write(place, &["a", "b", "c"]);
    let group = c.name("group");
    let mut member = c.member(&group, from_ref(&topic));
    c.settle(&mut member, from_ref(place));
    member.consumer.commit(&[offset(place, 1)]).expect("a commit");

    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(place, &["x"])).expect("a write");
    producer.send_offsets(&mut member, &[offset(place, 3)]).expect("offsets");
    producer.abort().expect("an abort");
    assert_eq!(committed(&c, &mut member, place).map(|found| found.offset), Some(Offset(1)));
}

/// A member that was removed cannot commit outside a transaction either.
pub fn offsets_of_a_stale_generation_are_refused(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    c.write(place, &["a", "b"]);
    let group = c.name("group");
    let mut silent = c.brief_member(&group, from_ref(&topic));
    c.settle(&mut silent, from_ref(place));
    let mut other = c.member(&group, from_ref(&topic));
    c.settle(&mut other, from_ref(place));
    assert_eq!(kind(silent.consumer.commit(&[offset(place, 1)])), ErrorKind::Fenced);
    other.consumer.commit(&[offset(place, 2)]).expect("the owner commits");
    assert_eq!(committed(&c, &mut other, place).map(|found| found.offset), Some(Offset(2)));
}

/// An operator sets the offsets of a group that nobody is in.
pub fn reset_is_refused_while_a_group_has_members(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    c.write(place, &["a", "b", "c"]);
    let group = c.name("group");
    let mut member = c.member(&group, from_ref(&topic));
    c.settle(&mut member, from_ref(place));
    member.consumer.commit(&[offset_with(place, 3, "ours")]).expect("a commit");
    assert_eq!(kind(c.admin.reset_group_offsets(&group, &[offset(place, 1)])), ErrorKind::Conflict);

    member.consumer.close().expect("the member leaves");
    let (admin, fixture) = (&mut c.admin, c.fixture);
    crate::context::within(fixture.deadline(), "the reset is taken", || {
        match admin.reset_group_offsets(&group, &[offset(place, 1)]) {
            Ok(()) => Some(()),
            Err(error) if error.kind() == ErrorKind::Conflict => None,
            Err(error) => panic!("{error}"),
        }
    });
    let expected = Committed { offset: Offset(1), metadata: String::new() };
    assert_eq!(admin.group_offsets(&group, from_ref(place)).expect("offsets"), [(place.clone(), expected)]);
}
