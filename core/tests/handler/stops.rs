//! What a recovery does not go on with, and what people are told then.

use crate::{
    recovery::{checkpoint, lived},
    rig::{Kept, Rig, cmd, event_header},
};
use factum_core::{
    Offset, Partition, TopicId,
    handler::{AcceptLost, Activity, Notice},
    log::Committed,
    wire::{Progress, SnapshotKey},
};

#[track_caller]
fn stops(rig: &mut Rig, why: &str) {
    rig.notices();
    rig.restart();
    assert!(matches!(rig.handler.health()[0].activity, Activity::Stopped(_)), "{:?}", rig.handler.health());
    let stopped = rig.stopped();
    assert!(stopped.len() == 1 && stopped[0].contains(why), "{stopped:?}");
    assert!(rig.reading.is_empty() && rig.started.is_empty());
}

#[test]
fn a_torn_batch_stops_it() {
    let mut rig = lived();
    rig.write_event("a", Some(event_header(7, 5, 0, 2)), "added 1");
    stops(&mut rig, "the last events of command 07070707-0707-0707-0707-070707070707 are missing: its batch is torn");
    rig.write_event("b", Some(event_header(8, 2, 0, 1)), "added 1");
    stops(&mut rig, "are torn: its last ones are missing");

    let mut rig = lived();
    rig.write_event("a", Some(event_header(7, 5, 1, 2)), "added 1");
    stops(
        &mut rig,
        "event 1 of command 07070707-0707-0707-0707-070707070707 comes where event 0 is expected: a batch is torn",
    );
}

#[test]
fn a_gap_in_the_versions_stops_it() {
    let mut rig = lived();
    rig.write_event("a", Some(event_header(7, 6, 0, 1)), "added 1");
    stops(&mut rig, "version 6 of aggregate a follows version 4: events are missing");
}

#[test]
fn a_record_that_no_handler_wrote_stops_it() {
    let mut rig = lived();
    rig.write_event("a", None, "added 1");
    stops(&mut rig, "has no header factum: not written by a handler");
    let mut rig = lived();
    rig.write_event("", Some(event_header(7, 1, 0, 1)), "added 1");
    stops(&mut rig, "it has no key: not written by a handler");
    let mut rig = lived();
    rig.write_event("a", Some(event_header(7, 5, 0, 1)), "nonsense");
    stops(&mut rig, "\"nonsense\" is no event");
    let mut rig = lived();
    rig.write_event("a", Some(event_header(7, 5, 0, 1)), "broken");
    stops(&mut rig, "evolve panicked: evolve is broken");
    let mut rig = lived();
    rig.write_event("a", Some(event_header(7, 5, 0, 1)), "half-broken");
    stops(&mut rig, "evolve panicked: evolve is broken");
}

#[test]
fn a_position_or_window_record_that_cannot_be_read_stops_it() {
    for key in [SnapshotKey::Position, SnapshotKey::Window(b"a")] {
        let mut rig = lived();
        let topic = rig.topics.snapshots.clone();
        rig.snapshots().push(Kept::Committed, |batch, offset| {
            let mut record = batch.start(&topic, Partition(0));
            record.offset(offset);
            record.key_with(|into| key.write(into));
            record.value(&[2, 0, 0]);
            record.finish();
        });
        stops(
            &mut rig,
            "record cannot be read: it is not of a layout that this version reads; start the version that wrote it",
        );
    }
}

#[test]
fn an_event_of_a_newer_version_stops_it_and_says_who_goes_on() {
    let mut rig = lived();
    rig.write_event("a", Some(event_header(7, 5, 0, 1)), "renamed");
    stops(&mut rig, "record type test.Renamed is not one of this topic's; a newer version of this program wrote it");
}

#[test]
fn commands_that_were_never_handled_stop_it_with_their_number_unless_accepted() {
    let ways: [fn(&mut Rig); 2] = [
        |rig| {
            // Retention deleted them.
            let commands = rig.commands();
            commands.start = 8;
            commands.records.drain(..8);
        },
        |rig| {
            rig.committed.insert(0, Committed { offset: Offset(8), metadata: String::new() });
        },
    ];
    for lose in ways {
        let mut rig = lived();
        rig.send([cmd(7, "a", "add 1"), cmd(8, "a", "add 1"), cmd(9, "a", "add 1")]);
        lose(&mut rig);
        stops(&mut rig, "up to 2 commands of topic test.counter.commands between offset 6 and 8 were never handled");
        rig.config.accept_lost_commands = AcceptLost::Yes;
        rig.restart();
        assert!(rig.notices().contains(&Notice::LostCommands { partition: Partition(0), commands: 2 }));
        rig.handle([]);
        assert_eq!(rig.state("a"), Some((9, 5)));
        // It is settled by that.
        rig.config.accept_lost_commands = AcceptLost::No;
        rig.restart();
        assert!(rig.stopped().is_empty());
    }
}

#[test]
fn a_commands_topic_that_begins_behind_offset_0_has_lost_what_came_before() {
    let mut rig = Rig::new();
    rig.commands().start = 3;
    stops(&mut rig, "up to 3 commands");
}

#[test]
fn a_recreated_events_topic_stops_it() {
    let mut rig = lived();
    rig.events_id = TopicId([0xee; 16]);
    stops(
        &mut rig,
        "topic test.counter.events has the id eeeeeeee-eeee-eeee-eeee-eeeeeeeeeeee, and snapshots were made from one",
    );
}

#[test]
fn a_truncated_or_deleted_part_of_the_events_stops_it() {
    let mut rig = lived();
    checkpoint(&mut rig);
    let events = rig.events();
    events.records.truncate(2);
    stops(&mut rig, "the topic was truncated; restore it from a backup");
    let mut rig = lived();
    let events = rig.events();
    events.start = 2;
    events.records.drain(..2);
    stops(&mut rig, "begins at offset 2 and events from offset 0 on are needed: they were deleted");
}

#[test]
fn a_recreated_commands_topic_stops_it_until_it_is_adopted() {
    let mut rig = lived();
    rig.commands_id = TopicId([0xcc; 16]);
    *rig.commands() = Default::default();
    rig.committed.clear();
    stops(&mut rig, "it was recreated; if its commands are new ones, run `factum topics adopt test.counter`");
    // What the verb writes.
    let adopted = Progress {
        events: Offset(rig.events().end()),
        next_command: Offset(0),
        floor: Offset(rig.events().end()),
        clock: factum_core::TimestampMs(rig.now),
        commands_id: rig.commands_id,
        events_id: rig.events_id,
    };
    let topic = rig.topics.snapshots.clone();
    rig.snapshots().push(Kept::Committed, |batch, offset| {
        let mut value = Vec::new();
        adopted.write(&mut value);
        let mut record = batch.start(&topic, Partition(0));
        record.offset(offset);
        record.key_with(|into| SnapshotKey::Position.write(into));
        record.value(&value);
        record.finish();
    });
    rig.restart();
    rig.handle([cmd(20, "a", "add 1"), cmd(1, "a", "add 5")]);
    assert_eq!(rig.state("a"), Some((9, 5)), "the window still knows the old commands");
    checkpoint(&mut rig);
    rig.restart();
    assert_eq!((rig.state("a"), rig.handler.health()[0].next_command), (Some((9, 5)), Offset(2)));
    assert!(rig.stopped().is_empty());
}

#[test]
fn a_commands_topic_that_ends_before_what_was_handled_stops_it() {
    let mut rig = lived();
    rig.commands().records.truncate(3);
    stops(&mut rig, "topic test.counter.commands ends at offset 3 and commands up to 6 were handled");
    let mut rig = lived();
    rig.committed.insert(0, Committed { offset: Offset(99), metadata: String::new() });
    stops(&mut rig, "the group's offset is 99");
}
