//! Who is a member: the fence of transactions, and static members.

use crate::Fixture;
use crate::context::{Context, assert_stale, batch, offset, places};
use factum_core::log::{GroupEvent, TxnError};
use factum_core::{ErrorKind, Offset};
use std::slice::from_ref;

/// An owner that was silent for too long cannot write any more, whatever it still believes.
pub fn a_zombies_transaction_is_refused(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let (topic, events) = (c.topic(1), c.topic(1));
    let (place, event_place) = (&places(&topic, 1)[0], &places(&events, 1)[0]);
    c.write(place, &["command"]);
    let group = c.name("group");
    let mut zombie = c.brief_member(&group, from_ref(&topic));
    c.settle(&mut zombie, from_ref(place));
    let membership = zombie.consumer.membership().expect("a membership");
    let (zombie_id, owner_id) = (c.name("zombie"), c.name("owner"));
    let mut producer = c.transactional(&zombie_id);
    producer.write(&batch(event_place, &["of the zombie"])).expect("a write");

    let mut owner = c.member(&group, from_ref(&topic));
    c.settle(&mut owner, from_ref(place));
    let mut owners = c.transactional(&owner_id);
    owners.write(&batch(event_place, &["of the owner"])).expect("a write");
    owners.send_offsets(&mut owner, &[offset(place, 1)]).expect("the owner's offsets");
    owners.commit().expect("the owner commits");

    assert_stale(producer.step("send_offsets", |p| p.send_offsets(&membership, &[offset(place, 1)])));
    producer.abort().expect("an abort");
    c.sees(event_place, &["of the owner"]);
}

/// A member that stayed is refused with its old generation and accepted with its new one.
pub fn a_transaction_with_an_old_generation_is_refused(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(2);
    let places = places(&topic, 2);
    c.write(&places[0], &["command"]);
    let group = c.name("group");
    let mut member = c.member(&group, from_ref(&topic));
    c.settle(&mut member, &places);
    let old = member.consumer.membership().expect("a membership");
    let mut other = c.member(&group, from_ref(&topic));
    c.eventually("the partitions are shared", || {
        member.poll();
        other.poll();
        (member.owned.len() == 1 && other.owned.len() == 1).then_some(())
    });
    let kept = member.owned.first().expect("a kept partition").clone();
    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(&kept, &["refused"])).expect("a write");
    assert_stale(producer.step("send_offsets", |p| p.send_offsets(&old, &[offset(&kept, 1)])));
    producer.abort().expect("an abort");

    // The last rebalance may not have reached the member yet: abort, poll, again.
    c.eventually("the new generation is taken", || {
        member.poll();
        other.poll();
        producer.write(&batch(&kept, &["taken"])).expect("a write");
        match producer.send_offsets(&mut member, &[offset(&kept, 1)]) {
            Err(TxnError::StaleMember(_)) => {
                producer.abort().expect("an abort");
                None
            }
            taken => {
                taken.expect("offsets");
                Some(())
            }
        }
    });
    producer.commit().expect("a commit");
    let before = if kept == places[0] { vec!["command", "taken"] } else { vec!["taken"] };
    c.sees(&kept, &before);
}

/// A static member that comes back within its session timeout gets what it
/// had, and nobody else notices (KIP-345).
pub fn a_static_member_restarts_without_a_rebalance(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(4);
    let group = c.name("group");
    let mut restarted = c.static_member(&group, from_ref(&topic), "one");
    let mut witness = c.static_member(&group, from_ref(&topic), "two");
    c.eventually("the partitions are shared", || {
        restarted.poll();
        witness.poll();
        (restarted.owned.len() == 2 && witness.owned.len() == 2).then_some(())
    });
    let had = restarted.owned.clone();
    let told = witness.events.len();
    let generation = witness.consumer.membership().expect("a membership").generation;
    restarted.consumer.close().expect("the member goes away");

    let mut restarted = c.static_member(&group, from_ref(&topic), "one");
    c.eventually("it has its partitions again", || {
        witness.poll();
        restarted.poll();
        (restarted.owned == had).then_some(())
    });
    let membership = restarted.consumer.membership().expect("a membership");
    assert_eq!(membership.instance_id.as_deref(), Some("one"));
    assert_eq!(membership.generation, generation, "there was no rebalance");
    witness.poll();
    assert_eq!(witness.events.len(), told, "the other member was told nothing: {:?}", witness.events);
    assert_eq!(witness.consumer.membership().expect("a membership").generation, generation);
}

/// Of two members with one instance id the later one lives.
pub fn a_second_static_member_fences_the_first(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(1);
    let place = &places(&topic, 1)[0];
    c.write(place, &["command"]);
    let group = c.name("group");
    let mut first = c.static_member(&group, from_ref(&topic), "same");
    c.settle(&mut first, from_ref(place));
    let old = first.consumer.membership().expect("a membership");
    let mut second = c.static_member(&group, from_ref(&topic), "same");
    c.settle(&mut second, from_ref(place));
    assert!(matches!(second.events[..], [GroupEvent::Assigned(_)]));
    let error = c.eventually("the first is fenced", || first.try_poll().err());
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");

    let id = c.name("producer");
    let mut producer = c.transactional(&id);
    producer.write(&batch(place, &["of the fenced"])).expect("a write");
    assert_stale(producer.step("send_offsets", |p| p.send_offsets(&old, &[offset(place, 1)])));
    producer.abort().expect("an abort");
    second.consumer.start(place, Offset(0)).expect("a start");
    c.eventually("the second reads", || {
        second.poll();
        (second.values() == ["command"]).then_some(())
    });
}
