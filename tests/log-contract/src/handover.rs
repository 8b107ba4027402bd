//! Partitions that go from one member to another.

use crate::Fixture;
use crate::context::{Context, Member, places};
use factum_core::log::GroupEvent;
use factum_core::{Offset, TopicPartition};
use std::collections::BTreeSet;
use std::slice::from_ref;

/// A second member gets its share only after the first has given it up; what
/// the first keeps flows on without a start.
pub fn a_second_member_takes_over_in_order(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(4);
    let places = places(&topic, 4);
    let group = c.name("group");
    let mut first = c.member(&group, from_ref(&topic));
    c.eventually("the first member has all", || {
        first.poll_and_start();
        (first.owned.len() == 4).then_some(())
    });
    let first_generation = first.consumer.membership().expect("a membership").generation;
    let told = first.events.len();

    let mut second = c.member(&group, from_ref(&topic));
    c.eventually("the partitions are shared evenly", || {
        first.poll_and_start();
        assert!(first.owned.is_disjoint(&second.owned), "one partition, two owners");
        second.poll_and_start();
        assert!(first.owned.is_disjoint(&second.owned), "one partition, two owners");
        (first.owned.len() == 2 && second.owned.len() == 2).then_some(())
    });
    let moved: BTreeSet<TopicPartition> = first.events[told..]
        .iter()
        .flat_map(|event| match event {
            GroupEvent::Revoked(places) => places.clone(),
            other => panic!("the first member only gives up: {other:?}"),
        })
        .collect();
    assert_eq!(moved, second.owned, "exactly what moved was revoked");
    let (one, two) = (first.consumer.membership(), second.consumer.membership());
    let (one, two) = (one.expect("a membership"), two.expect("a membership"));
    assert!(one.generation > first_generation, "a rebalance raises the generation");
    assert_ne!(one.member_id, two.member_id);

    for (index, place) in places.iter().enumerate() {
        c.write(place, &[&index.to_string()]);
    }
    c.eventually("everything flows", || {
        first.poll_and_start();
        second.poll_and_start();
        (first.records.len() + second.records.len() >= 4).then_some(())
    });
    assert_eq!((first.records.len(), second.records.len()), (2, 2));
}

/// Also with several givers at once, in any order of polls, nobody gets what
/// another still has.
pub fn a_third_member_gets_from_both_others(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(6);
    let group = c.name("group");
    let mut members: Vec<Member> = Vec::new();
    for share in [6, 3, 2] {
        members.push(c.member(&group, from_ref(&topic)));
        c.eventually("the partitions are shared evenly", || {
            for index in 0..members.len() {
                members[index].poll();
                let owned: usize = members.iter().map(|member| member.owned.len()).sum();
                let all: BTreeSet<_> = members.iter().flat_map(|member| &member.owned).collect();
                assert_eq!(owned, all.len(), "one partition, two owners");
            }
            members.iter().all(|member| member.owned.len() == share).then_some(())
        });
    }
}

/// A member that leaves makes room at once, not after its session timeout.
pub fn leaving_hands_partitions_over(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(2);
    let places = places(&topic, 2);
    let group = c.name("group");
    let mut leaver = c.member(&group, from_ref(&topic));
    c.settle(&mut leaver, &places);
    let mut heir = c.member(&group, from_ref(&topic));
    c.eventually("both have a partition", || {
        leaver.poll();
        heir.poll();
        (leaver.owned.len() == 1 && heir.owned.len() == 1).then_some(())
    });
    leaver.consumer.close().expect("the member leaves");
    c.settle(&mut heir, &places);
    assert!(heir.events.iter().all(|event| matches!(event, GroupEvent::Assigned(_))), "{:?}", heir.events);
}

/// A pause belongs to one ownership: a partition that was given up while it
/// was paused and comes back delivers once it is started.
pub fn a_partition_given_up_while_paused_delivers_again(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(2);
    let places = places(&topic, 2);
    let group = c.name("group");
    let mut first = c.member(&group, from_ref(&topic));
    c.eventually("the first member has all", || {
        first.poll_and_start();
        (first.owned.len() == 2).then_some(())
    });
    for place in &places {
        first.consumer.pause(place).expect("a pause");
    }
    let mut second = c.member(&group, from_ref(&topic));
    c.eventually("both have a partition", || {
        first.poll();
        second.poll();
        (first.owned.len() == 1 && second.owned.len() == 1).then_some(())
    });
    let moved = second.owned.first().expect("one partition").clone();
    second.consumer.close().expect("the member leaves");
    c.eventually("the first member has all again", || {
        first.poll_and_start();
        (first.owned.len() == 2).then_some(())
    });
    c.write(&moved, &["for the returned"]);
    c.eventually("the partition delivers", || {
        first.poll();
        (first.records.len() == 1).then_some(())
    });
}

/// A member that does not poll loses its partitions to the others, and is told
/// so before it reads again; it then joins as somebody new.
pub fn a_silent_member_loses_its_partitions(fixture: &dyn Fixture) {
    let mut c = Context::new(fixture);
    let topic = c.topic(2);
    let places = places(&topic, 2);
    let group = c.name("group");
    let mut silent = c.brief_member(&group, from_ref(&topic));
    c.eventually("the first member has all", || {
        silent.poll_and_start();
        (silent.owned.len() == 2).then_some(())
    });
    let before = silent.consumer.membership().expect("a membership").member_id;
    let mut other = c.member(&group, from_ref(&topic));
    c.settle(&mut other, &places);
    for place in &places {
        other.consumer.start(place, Offset(0)).expect("a start");
        c.write(place, &["for the new owner"]);
    }

    let told = c.eventually("the silent member is told", || {
        other.poll();
        silent.poll()
    });
    let GroupEvent::Lost(lost) = told else { panic!("lost partitions are not {told:?}") };
    assert_eq!(lost.into_iter().collect::<BTreeSet<_>>(), places.iter().cloned().collect());
    assert_eq!(silent.records.len(), 0, "a lost partition delivers nothing");
    c.eventually("it joins again and gets its share", || {
        other.poll();
        silent.poll();
        (silent.owned.len() == 1 && other.owned.len() == 1).then_some(())
    });
    assert_ne!(silent.consumer.membership().expect("a membership").member_id, before);
}
