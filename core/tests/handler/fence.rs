//! Who may write: tenures, generations, member ids, and the offsets that make
//! the broker check them.

use crate::rig::{Kept, Rig, cmd, key_in};
use factum_core::{GroupEvent, Protections, TimestampMs, handler::Activity, log::GroupProtocol};

#[test]
fn commands_polled_before_a_revocation_are_dropped() {
    let mut rig = Rig::new();
    rig.send([cmd(1, "a", "add 5")]);
    rig.poll_with(Some(GroupEvent::Revoked(vec![rig.place(0)])));
    assert!(!rig.plan());
    assert!(rig.handler.health().is_empty());
    assert!(!rig.handler.has_commands());
}

#[test]
fn a_partition_that_comes_back_in_the_same_drain_is_read_anew_and_old_commands_are_dropped() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 5")]);
    rig.send([cmd(2, "a", "add 1")]);
    rig.poll_with(Some(GroupEvent::Lost(vec![rig.place(0)])));
    // Somebody else handled it meanwhile.
    let header = crate::rig::event_header(2, 2, 0, 1);
    rig.write_event(
        "a",
        Some(factum_core::wire::EventHeader { command_offset: factum_core::Offset(1), ..header }),
        "added 1",
    );
    rig.event(GroupEvent::Assigned(vec![rig.place(0)]));
    assert_eq!(rig.state("a"), Some((6, 2)), "what was read, not what was remembered");
    assert!(!rig.plan());
    rig.handle([]);
    assert_eq!(rig.event_lines(), ["a1 added 5", "a2 added 1"]);
}

#[test]
fn a_recovery_ends_with_its_tenure() {
    let mut rig = Rig::new();
    rig.send([cmd(1, "a", "add 5")]);
    rig.poll();
    assert!(rig.plan());
    rig.append(Kept::Open);
    rig.handler.consumer_lost();
    rig.started.clear();
    rig.assign_all();
    assert_eq!(rig.handler.health()[0].activity, Activity::Recovering);
    assert_eq!(rig.reading.len(), 1);
    rig.event(GroupEvent::Revoked(vec![rig.place(0)]));
    assert!(rig.reading.is_empty());
    assert!(rig.handler.health().is_empty());
}

#[test]
fn a_generation_or_member_that_the_broker_would_not_fence_is_never_sent() {
    let cases = [
        (GroupProtocol::Classic, -1, "m-1", false),
        (GroupProtocol::Classic, 0, "m-1", true),
        (GroupProtocol::Classic, 1, "", false),
        (GroupProtocol::Consumer, 0, "m-1", false),
        (GroupProtocol::Consumer, 1, "m-1", true),
        (GroupProtocol::Consumer, 1, "", false),
    ];
    for (protocol, generation, member, sent) in cases {
        let mut rig = Rig::new();
        let good = rig.member.clone();
        rig.member.protocol = protocol;
        rig.member.generation = generation;
        rig.member.member_id = member.into();
        rig.send([cmd(1, "a", "add 5")]);
        rig.poll();
        assert_eq!(rig.plan(), sent, "{protocol:?} {generation} {member:?}");
        if !sent {
            assert!(rig.handler.has_commands(), "the commands wait for a member");
            rig.member = good;
            assert!(rig.plan());
        }
    }
}

#[test]
fn another_member_id_destroys_everything() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 5")]);
    rig.member.member_id = "m-2".into();
    rig.send([cmd(2, "a", "add 1")]);
    rig.poll();
    rig.done.clear();
    assert!(!rig.plan());
    rig.poll();
    let place = rig.place(0);
    assert_eq!(rig.done[..2], [format!("pause {place}"), "survey 0".into()]);
    rig.handle([]);
    assert_eq!(rig.state("a"), Some((6, 2)));
    assert_eq!(rig.event_lines(), ["a1 added 5", "a2 added 1"]);
}

#[test]
fn a_plan_carries_an_offset_of_every_partition_that_it_writes() {
    let mut rig = Rig::with(3, |config| config.checkpoint_every_ms = 100, Protections::ALL);
    let keys: Vec<_> = (0..3).map(|partition| key_in(partition, 3)).collect();
    rig.handle([cmd(1, &keys[0], "add 1")]);
    rig.now += 100;
    // Partition 0 has only a checkpoint to write, 1 only a refusal, 2 nothing.
    rig.send([cmd(2, &keys[1], "take 9")]);
    rig.poll();
    assert!(rig.plan());
    let plan = rig.handler.current_plan();
    let written: std::collections::BTreeSet<_> = plan.records.iter().map(|record| record.partition().0).collect();
    let offsets: Vec<_> = plan.offsets.iter().map(|o| (o.place.to_string(), o.offset.0)).collect();
    assert_eq!(written, [0, 1].into());
    assert_eq!(offsets, [("test.counter.commands/0".to_owned(), 1), ("test.counter.commands/1".to_owned(), 1)]);
}

#[test]
fn a_changed_number_of_partitions_stops_everything_at_the_next_look() {
    let mut rig = Rig::with(2, |_| {}, Protections::ALL);
    rig.handle([cmd(1, &key_in(0, 2), "add 1")]);
    rig.notices();
    rig.partition_count = 3;
    let counts = [("test.counter.commands".to_owned(), 3)];
    assert!(!rig.handler.partitions_counted(&counts));
    rig.run_effects();
    let why = "topic test.counter.commands has 3 partitions and this handler was started with 2: keys would change their \
               partition; all topics of an aggregate type keep the same number for ever";
    assert_eq!(rig.stopped(), [why, why]);
    assert!(rig.started.is_empty());
    rig.send([cmd(2, &key_in(0, 2), "add 1")]);
    rig.poll();
    assert!(!rig.plan());
    // It is told once.
    rig.handler.partitions_counted(&counts);
    rig.run_effects();
    assert!(rig.stopped().is_empty());
}

#[test]
fn a_new_partition_that_is_assigned_stops_everything_too() {
    let mut rig = Rig::with(2, |_| {}, Protections::ALL);
    rig.notices();
    rig.partition_count = 3;
    rig.event(GroupEvent::Assigned(vec![rig.place(2)]));
    assert_eq!(rig.stopped().len(), 3);
    assert!(rig.started.is_empty());
}

#[test]
fn what_was_not_done_for_an_ended_tenure_is_not_done_for_the_next_one() {
    let mut rig = Rig::new();
    rig.handler.consumer_lost();
    rig.started.clear();
    // Assigned, and before the shell can do anything taken away again.
    let now = TimestampMs(rig.now);
    rig.handler.polled(Some(&GroupEvent::Assigned(vec![rig.place(0)])), now);
    rig.handler.polled(Some(&GroupEvent::Lost(vec![rig.place(0)])), now);
    rig.done.clear();
    rig.run_effects();
    assert!(rig.done.is_empty(), "{:?}", rig.done);
}
