//! Reading a partition back: what is used, what is refused, and what is lost.

use crate::rig::{Cmd, Kept, Rig, cmd, copy, event_header};
use factum_core::{
    Error, Offset, Partition, RecordBatch, TopicId,
    handler::{AcceptLost, Activity, Notice},
    log::Committed,
    wire::{Progress, SnapshotKey},
};

const HISTORY: [(u8, &str, &str); 6] =
    [(1, "a", "add 5"), (2, "b", "add 7"), (3, "a", "take 99"), (4, "a", "split 3"), (5, "x", "take 1"), (6, "b", "nothing")];

fn history() -> impl Iterator<Item = Cmd> {
    HISTORY.into_iter().map(|(id, key, text)| cmd(id, key, text))
}

/// A rig with a history, one command to a transaction.
fn lived() -> Rig {
    let mut rig = Rig::configured(|config| {
        config.snapshot_every_events = 1_000;
        config.checkpoint_every_events = 1_000_000;
    });
    history().for_each(|command| rig.handle([command]));
    rig.answers();
    rig
}

fn checkpoint(rig: &mut Rig) {
    rig.now += rig.config.checkpoint_every_ms;
    assert!(rig.plan());
    rig.commit();
    assert!(rig.snapshot_lines().last().unwrap().starts_with("marker"));
}

/// After any recovery: the same state, and every command answered as before.
#[track_caller]
fn remembers_everything(rig: &mut Rig) {
    assert_eq!((rig.state("a"), rig.state("b"), rig.state("x")), (Some((8, 4)), Some((7, 1)), None));
    rig.answers();
    let events = rig.event_lines();
    rig.handle(history());
    let answers = rig.answers();
    let without_token: Vec<String> =
        answers.iter().map(|a| a.split(' ').filter(|word| !word.starts_with('@')).collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "1 accepted v1 +1",
        "2 accepted v1 +1",
        "3 refused v1 +0 {\"has\":5}",
        "4 accepted v4 +3",
        "5 refused v0 +0 - {\"has\":0}",
        "6 accepted v1 +0",
    ];
    assert_eq!(without_token, expected);
    assert_eq!(rig.event_lines(), events, "nothing is decided again");
}

#[test]
fn from_the_first_event_on() {
    let mut rig = lived();
    rig.restart();
    assert_eq!(rig.handler.stats().recovered_events, 5);
    remembers_everything(&mut rig);
}

#[test]
fn from_a_marker_on() {
    let mut rig = lived();
    checkpoint(&mut rig);
    rig.handle([cmd(7, "a", "nothing")]);
    rig.restart();
    assert_eq!(rig.handler.stats().recovered_events, 0);
    remembers_everything(&mut rig);
}

#[test]
fn events_that_a_newer_snapshot_knows_are_passed_over() {
    let mut rig = lived();
    checkpoint(&mut rig);
    rig.handle([cmd(7, "c", "add 1"), cmd(8, "c", "add 2")]);
    rig.handle([cmd(9, "c", "milestone")]);
    rig.handle([cmd(10, "c", "add 4")]);
    rig.restart();
    assert_eq!((rig.state("c"), rig.handler.stats().recovered_events), (Some((7, 4)), 4));
    assert!(!rig.notices().iter().any(|notice| matches!(notice, Notice::RepeatedVersions { .. })));
    remembers_everything(&mut rig);
}

#[test]
fn without_a_snapshot_that_can_be_read_by_the_longer_way() {
    let mut rig = lived();
    checkpoint(&mut rig);
    let topic = rig.topics.snapshots.clone();
    let key = SnapshotKey::Snapshot(factum_core::Fingerprint([1; 8]), b"a");
    rig.snapshots().push(Kept::Committed, |batch, offset| {
        let mut record = batch.start(&topic, Partition(0));
        record.offset(offset);
        record.key_with(|into| key.write(into));
        record.value(b"garbage");
        record.finish();
    });
    rig.restart();
    assert_eq!(rig.handler.stats().recovered_events, 5);
    remembers_everything(&mut rig);
}

#[test]
fn another_fingerprints_snapshots_and_marker_are_passed_over() {
    let mut rig = lived();
    checkpoint(&mut rig);
    rig.codec.fingerprint = 2;
    rig.restart();
    assert_eq!(rig.handler.stats().recovered_events, 5);
    remembers_everything(&mut rig);
    // And the other version's stay, so that it can be rolled back.
    rig.codec.fingerprint = 1;
    rig.restart();
    remembers_everything(&mut rig);
}

#[test]
fn with_a_window_that_is_newer_than_the_snapshot() {
    let mut rig = lived();
    rig.handle([cmd(7, "b", "milestone")]);
    rig.handle([cmd(8, "b", "take 99")]);
    rig.handle([cmd(9, "b", "add 1")]);
    rig.restart();
    rig.handle([cmd(8, "b", "take 99"), cmd(9, "b", "add 1"), cmd(7, "b", "milestone")]);
    let answers: Vec<_> = rig.answers().into_iter().rev().take(3).map(|answer| answer[..15].to_owned()).collect();
    assert_eq!(answers, ["7 accepted v2 +", "9 accepted v3 +", "8 refused v2 +0"]);
    assert_eq!(rig.state("b"), Some((8, 3)));
}

#[test]
fn the_position_of_an_answer_survives_where_its_window_was_written_with_its_event() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 5"), cmd(2, "a", "take 9")]);
    rig.handle([cmd(3, "a", "add 1")]);
    let first = rig.answers();
    rig.restart();
    rig.handle([cmd(1, "a", "add 5")]);
    assert_eq!(rig.answers()[..], first[..1]);
}

#[test]
fn resetting_the_groups_offset_repeats_nothing() {
    let mut rig = lived();
    for accept in [AcceptLost::No, AcceptLost::Yes] {
        rig.config.accept_lost_commands = accept;
        rig.committed.insert(0, Committed { offset: Offset(0), metadata: String::new() });
        let events = rig.event_lines();
        rig.restart();
        rig.handle([]);
        let answers = rig.answers();
        assert_eq!(answers.len(), 6);
        assert!(answers[2].starts_with("3 refused v1 +0 @"), "{answers:?}");
        assert_eq!(rig.event_lines(), events);
        let told: Vec<_> = rig.notices().into_iter().filter(|n| matches!(n, Notice::AlreadyHandled { .. })).collect();
        assert_eq!(told, [Notice::AlreadyHandled { partition: Partition(0), commands: 6 }]);
    }
    // Also by time, to somewhere in the middle, and for commands without an id.
    rig.committed.insert(0, Committed { offset: Offset(4), metadata: String::new() });
    rig.restart();
    rig.handle([]);
    assert_eq!(rig.answers().len(), 2);
}

#[test]
fn a_handled_command_whose_answer_left_the_window_is_told_so() {
    let mut rig = Rig::configured(|config| config.window_commands = 1);
    rig.handle([cmd(1, "a", "add 1"), cmd(2, "a", "add 1"), cmd(3, "b", "panic")]);
    rig.answers();
    rig.committed.clear();
    rig.committed.insert(0, Committed { offset: Offset(0), metadata: String::new() });
    rig.restart();
    rig.handle([]);
    let why = "the command was handled before and its answer is no longer kept";
    let expected =
        [format!("1 already-handled v2 +0 @1 {why}"), "2 accepted v2 +1 @1".into(), format!("3 already-handled v0 +0 - {why}")];
    assert_eq!(rig.answers(), expected);
}

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
    stops(&mut rig, "event 1 of command 07070707-0707-0707-0707-070707070707 comes where event 0 is expected: a batch is torn");
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
}

#[test]
fn repeated_versions_are_passed_over_and_counted() {
    let mut rig = lived();
    rig.write_event("a", Some(event_header(4, 2, 0, 2)), "added 1");
    rig.write_event("a", Some(event_header(4, 3, 1, 2)), "added 1");
    rig.restart();
    assert!(rig.notices().contains(&Notice::RepeatedVersions { partition: Partition(0), events: 2 }));
    remembers_everything(&mut rig);
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
        stops(&mut rig, "record cannot be read: it is not of a layout that this version reads; start the version that wrote it");
    }
}

#[test]
fn an_event_of_an_unknown_schema_pauses_and_goes_on_at_the_same_record() {
    let mut rig = lived();
    let at = rig.events().end() - 2;
    // The last event was written with a newer schema.
    let mut changed = RecordBatch::new();
    copy_with_schema(&rig.events().records[usize::try_from(at).unwrap()].1, 9, &mut changed);
    let at_index = usize::try_from(at).unwrap();
    rig.events().records[at_index].1 = changed;
    rig.restart();
    assert_eq!((rig.handler.health()[0].activity.clone(), rig.wanted.clone()), (Activity::AwaitingSchema(9), vec![9]));
    assert!(rig.reading.is_empty());
    rig.schema(9, Err(Error::unavailable("registry away")));
    rig.wait(rig.config.retry_ms);
    assert_eq!(rig.wanted, [9, 9]);
    rig.done.clear();
    rig.schema(9, Ok(()));
    assert_eq!(rig.done[0], format!("read {}/0 from {at}", rig.topics.events));
    assert_eq!(rig.handler.stats().recovered_events, 5);
    remembers_everything(&mut rig);
}

fn copy_with_schema(from: &RecordBatch, schema: u8, into: &mut RecordBatch) {
    let record = from.get(0);
    let mut new = into.start(record.topic(), record.partition());
    new.offset(record.offset());
    new.key(record.key().unwrap());
    new.value(&[&[schema], &record.value().unwrap()[1..]].concat());
    record.headers().for_each(|(name, value)| new.header_opt(name, value));
    new.finish();
}

#[test]
fn an_event_of_a_schema_that_the_registry_does_not_have_stops_it() {
    let mut rig = lived();
    rig.write_event("a", Some(event_header(7, 5, 0, 1)), "added 1");
    let mut changed = RecordBatch::new();
    copy_with_schema(&rig.events().records.last().unwrap().1, 9, &mut changed);
    rig.events().records.last_mut().unwrap().1 = changed;
    rig.restart();
    rig.notices();
    rig.schema(9, Err(Error::data("schema 9 not found")));
    assert_eq!(rig.stopped(), ["schema 9 not found"]);
}

#[test]
fn a_recovery_that_stands_still_says_why_and_tries_again() {
    let mut rig = lived();
    rig.send([cmd(7, "a", "add 1")]);
    rig.poll();
    assert!(rig.plan());
    rig.append(Kept::Open);
    rig.restart();
    rig.notices();
    assert_eq!(rig.handler.health()[0].activity, Activity::Recovering);
    rig.wait(rig.config.recovery_stall_ms);
    assert!(rig.notices().is_empty());
    rig.wait(1);
    let (open, end) = (rig.events().end() - 1, rig.events().end());
    let why = format!(
        "reading test.counter.events/0 stands still at offset {open} before {end}: a transaction that its owner left open \
         hides the rest until the broker aborts it"
    );
    assert_eq!(rig.notices(), [Notice::Waiting { partition: Partition(0), reason: why }]);
    rig.resolve(Kept::Hidden);
    rig.wait(rig.config.retry_ms);
    rig.handle([]);
    assert_eq!(rig.state("a"), Some((9, 5)));
}

#[test]
fn a_log_that_cannot_be_looked_at_is_looked_at_again() {
    let mut rig = lived();
    rig.notices();
    rig.survey_error = Some(Error::unavailable("no leader"));
    rig.restart();
    assert_eq!(rig.notices(), [Notice::Waiting { partition: Partition(0), reason: "no leader".into() }]);
    assert_eq!(rig.handler.health()[0].activity, Activity::Surveying(Some("no leader".into())));
    rig.wait(rig.config.retry_ms - 1);
    assert_eq!(rig.state("a"), None);
    rig.wait(1);
    remembers_everything(&mut rig);
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
fn a_gap_without_commands_is_no_loss() {
    let mut rig = lived();
    // Some client writes transactions: control records lie behind its commands.
    for _ in 0..3 {
        rig.commands().push(Kept::Hidden, |_, _| {});
    }
    rig.committed.insert(0, Committed { offset: Offset(9), metadata: String::new() });
    rig.restart();
    assert_eq!(rig.handler.health()[0].next_command, Offset(9));
    assert!(rig.stopped().is_empty());
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
    stops(&mut rig, "topic test.counter.events has the id eeeeeeee-eeee-eeee-eeee-eeeeeeeeeeee, and snapshots were made from one");
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

#[test]
fn unknown_kinds_in_the_snapshots_topic_are_passed_over() {
    let mut rig = lived();
    let topic = rig.topics.snapshots.clone();
    for key in [&b""[..], b"\x09\x01abc", b"\x01\x02abcdefghi", b"\x02"] {
        rig.snapshots().push(Kept::Committed, |batch, offset| {
            let mut record = batch.start(&topic, Partition(0));
            record.offset(offset);
            record.key(key);
            record.value(b"?");
            record.finish();
        });
    }
    rig.restart();
    remembers_everything(&mut rig);
}

#[test]
fn a_recovery_in_small_pieces_gives_the_same() {
    let mut rig = lived();
    checkpoint(&mut rig);
    rig.handle([cmd(7, "b", "nothing")]);
    // Everything twice: a reader that delivers again what was delivered.
    rig.restart();
    let all = {
        let mut all = RecordBatch::new();
        for (_, part) in rig.parts.iter() {
            part.records.iter().filter(|(kept, _)| *kept == Kept::Committed).for_each(|(_, batch)| {
                copy(batch.get(0), batch.get(0).offset(), &mut all);
            });
        }
        all
    };
    rig.handler.read(&all, &[], factum_core::TimestampMs(rig.now));
    remembers_everything(&mut rig);
}
