//! Reading a partition back: what is used, what is refused, and what is lost.

use crate::rig::{Cmd, Kept, Rig, cmd, copy, event_header};
use factum_core::{
    Error, Offset, Partition, RecordBatch,
    handler::{AcceptLost, Activity, Notice},
    log::Committed,
    wire::SnapshotKey,
};

const HISTORY: [(u8, &str, &str); 6] = [
    (1, "a", "add 5"),
    (2, "b", "add 7"),
    (3, "a", "take 99"),
    (4, "a", "split 3"),
    (5, "x", "take 1"),
    (6, "b", "nothing"),
];

fn history() -> impl Iterator<Item = Cmd> {
    HISTORY.into_iter().map(|(id, key, text)| cmd(id, key, text))
}

/// A rig with a history, one command to a transaction.
pub(crate) fn lived() -> Rig {
    let mut rig = Rig::configured(|config| {
        config.snapshot_every_events = 1_000;
        config.checkpoint_every_events = 1_000_000;
    });
    history().for_each(|command| rig.handle([command]));
    rig.answers();
    rig
}

pub(crate) fn checkpoint(rig: &mut Rig) {
    rig.now += rig.config.checkpoint_every_ms;
    assert!(rig.plan());
    rig.commit();
    assert!(rig.snapshot_lines().last().unwrap().starts_with("marker"));
}

/// After any recovery: the same state, and every command answered as before.
#[track_caller]
pub(crate) fn remembers_everything(rig: &mut Rig) {
    assert_eq!((rig.state("a"), rig.state("b"), rig.state("x")), (Some((8, 4)), Some((7, 1)), None));
    rig.answers();
    let events = rig.event_lines();
    rig.handle(history());
    let answers = rig.answers();
    let without_token: Vec<String> = answers
        .iter()
        .map(|a| a.split(' ').filter(|word| !word.starts_with('@')).collect::<Vec<_>>().join(" "))
        .collect();
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
    let expected = [
        format!("1 already-handled v2 +0 @1 {why}"),
        "2 accepted v2 +1 @1".into(),
        format!("3 already-handled v0 +0 - {why}"),
    ];
    assert_eq!(rig.answers(), expected);
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
fn every_event_that_a_record_stands_for_is_folded_under_the_version_of_the_record() {
    let mut rig = lived();
    rig.handle((11..14).map(|id| cmd(id, "b", "nothing")));
    rig.write_event("a", Some(event_header(7, 5, 0, 3)), "doubled 10");
    rig.write_event("a", Some(event_header(7, 6, 1, 3)), "visited");
    rig.write_event("a", Some(event_header(7, 7, 2, 3)), "added 100");
    rig.write_event("c", Some(event_header(8, 1, 0, 1)), "visited");
    rig.restart();
    assert_eq!((rig.state("a"), rig.state("c"), rig.stopped()), (Some((128, 7)), Some((0, 1)), vec![]));
    // The next commands are decided on that, and their events follow.
    rig.handle([cmd(9, "a", "take 128"), cmd(10, "c", "add 1")]);
    assert_eq!((rig.state("a"), rig.state("c")), (Some((0, 8)), Some((1, 2))));
    rig.restart();
    assert_eq!((rig.state("a"), rig.state("c")), (Some((0, 8)), Some((1, 2))));
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
    // A registry that has forgotten it is waited for as well: without the event there is no state.
    for _ in 0..10 {
        rig.schema(9, Err(Error::data("schema 9 not found")));
        rig.wait(rig.config.retry_ms << 10);
    }
    assert_eq!((rig.wanted.len(), rig.stopped()), (12, Vec::new()));
    rig.done.clear();
    rig.schema(9, Ok(()));
    assert_eq!(rig.done[0], format!("read {}/0 from {at}", rig.topics.events));
    assert_eq!(rig.handler.stats().recovered_events, 5);
    remembers_everything(&mut rig);
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
         hides the rest until the broker ends it (if that goes on, see `Known flaws of Kafka` in ARCHITECTURE.md)"
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
    rig.wait(rig.config.retry_ms / 2 - 1);
    assert_eq!(rig.state("a"), None);
    rig.wait(rig.config.retry_ms / 2 + 1);
    remembers_everything(&mut rig);
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

pub(crate) fn copy_with_schema(from: &RecordBatch, schema: u8, into: &mut RecordBatch) {
    let record = from.get(0);
    let mut new = into.start(record.topic(), record.partition());
    new.offset(record.offset());
    new.key(record.key().unwrap());
    new.value(&[&[schema], &record.value().unwrap()[1..]].concat());
    record.headers().for_each(|(name, value)| new.header_opt(name, value));
    new.finish();
}
