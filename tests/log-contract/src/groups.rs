//! One member: what it gets, and how it moves.

use crate::Fixture;
use crate::context::{Context, batch, places};
use factum_core::log::GroupEvent;
use factum_core::{ErrorKind, Offset};
use std::slice::from_ref;

/// An assigned partition waits for its start, because its state is recovered first.
pub fn nothing_is_delivered_before_start(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(2);
    let places = places(&topic, 2);
    c.write(&places[0], &["waits"]);
    c.write(&places[1], &["flows"]);
    let group = c.name("group");
    let mut member = c.member(&group, from_ref(&topic));
    c.settle(&mut member, &places);
    assert_eq!(member.values().len(), 0);
    // The other partition's record shows that the member is fetching.
    member.consumer.start(&places[1], Offset(0)).expect("a start");
    c.eventually("the started partition delivers", || {
        member.poll();
        (!member.records.is_empty()).then_some(())
    });
    member.poll();
    assert_eq!(member.values(), ["flows"]);
    member.consumer.start(&places[0], Offset(0)).expect("a start");
    c.eventually("the other one delivers after its start", || {
        member.poll();
        (member.values() == ["flows", "waits"]).then_some(())
    });
}

/// `start` also moves a partition that is delivering, in both directions.
pub fn a_member_seeks_back_and_forward(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    c.write(place, &["a", "b", "c", "d"]);
    let group = c.name("group");
    let mut member = c.member(&group, from_ref(&topic));
    c.settle(&mut member, from_ref(place));
    for (from, expected) in [(2, &["c", "d"][..]), (0, &["a", "b", "c", "d"]), (3, &["d"]), (1, &["b", "c", "d"])] {
        member.consumer.start(place, Offset(from)).expect("a start");
        member.records.clear();
        c.eventually("the rest arrives", || {
            member.poll();
            (member.records.len() >= expected.len()).then_some(())
        });
        assert_eq!(member.values(), expected);
        assert_eq!(member.consumer.position(place).expect("a position"), Some(Offset(4)));
    }
    let elsewhere = &places_of_another_topic(&mut c);
    assert_eq!(crate::context::kind(member.consumer.start(elsewhere, Offset(0))), ErrorKind::Invalid);
}

fn places_of_another_topic(c: &mut Context<'_>) -> factum_core::TopicPartition {
    let topic = c.topic(1);
    places(&topic, 1).remove(0)
}

/// A paused partition is silent, the others go on, and it comes back with `start`.
pub fn a_paused_partition_delivers_nothing(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(2);
    let places = places(&topic, 2);
    let group = c.name("group");
    let mut member = c.member(&group, from_ref(&topic));
    c.settle(&mut member, &places);
    for place in &places {
        member.consumer.start(place, Offset(0)).expect("a start");
    }
    member.consumer.pause(&places[0]).expect("a pause");
    c.write(&places[0], &["paused"]);
    c.write(&places[1], &["flows"]);
    c.eventually("the other partition delivers", || {
        member.poll();
        (!member.records.is_empty()).then_some(())
    });
    member.poll();
    assert_eq!(member.values(), ["flows"]);
    member.consumer.start(&places[0], Offset(0)).expect("a start");
    c.eventually("the paused one delivers after its start", || {
        member.poll();
        (member.values() == ["flows", "paused"]).then_some(())
    });
}

/// Alone, a member gets all partitions, in a valid generation, over several topics.
pub fn a_single_member_gets_every_partition(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let (one, two) = (c.topic(2), c.topic(3));
    let group = c.name("group");
    let mut member = c.member(&group, &[one.clone(), two.clone()]);
    let before = member.consumer.membership().expect("a membership");
    assert!(before.generation < 0, "no generation before the first join: {before:?}");
    let mut all = places(&one, 2);
    all.extend(places(&two, 3));
    c.settle(&mut member, &all);
    let after = member.consumer.membership().expect("a membership");
    assert_eq!((after.group.as_str(), after.instance_id.as_deref()), (group.as_str(), None));
    assert!(after.generation > 0 && !after.member_id.is_empty(), "{after:?}");
    assert!(member.events.iter().all(|event| matches!(event, GroupEvent::Assigned(_))), "{:?}", member.events);
}

/// A member waits for open transactions and passes aborted records by.
pub fn a_group_reads_only_committed_records(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    let group = c.name("group");
    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(place, &["aborted"])).expect("a write");
    producer.abort().expect("an abort");
    c.write(place, &["plain"]);
    producer.write(&batch(place, &["open"])).expect("a write");
    let mut member = c.member(&group, from_ref(&topic));
    c.settle(&mut member, from_ref(place));
    member.consumer.start(place, Offset(0)).expect("a start");
    c.eventually("the plain record arrives", || {
        member.poll();
        (!member.records.is_empty()).then_some(())
    });
    member.poll();
    assert_eq!(member.values(), ["plain"]);
    producer.commit().expect("a commit");
    c.eventually("the committed record arrives and the marker is passed", || {
        member.poll();
        (member.consumer.position(place).expect("a position") == Some(Offset(5))).then_some(())
    });
    assert_eq!(member.values(), ["plain", "open"]);
}
