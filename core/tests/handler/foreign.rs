//! Records of somebody else in the events, while the handler runs and when it recovers.

use crate::rig::{Kept, Rig, cmd, event_header};
use factum_core::{
    Protections,
    handler::{Activity, HandlerStats, Notice},
};

/// A handler that has written version 2 of `a`.
fn running() -> Rig {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 1")]);
    rig.handle([cmd(2, "a", "add 2")]);
    rig.notices();
    rig
}

/// The reason for which the partition stopped; nothing is read or delivered any more.
#[track_caller]
fn stopped(rig: &mut Rig) -> String {
    let Activity::Stopped(reason) = rig.handler.health()[0].activity.clone() else {
        panic!("{:?}", rig.handler.health());
    };
    assert!(rig.reading.is_empty() && rig.started.is_empty());
    reason
}

#[track_caller]
fn goes_on(rig: &mut Rig) {
    assert_eq!(rig.handler.health()[0].activity, Activity::Ready);
    assert!(rig.reading.is_empty(), "{:?}", rig.reading);
}

#[test]
fn a_record_without_a_header_is_found_with_the_next_transaction() {
    let mut rig = running();
    rig.write_event("a", None, "added 100");
    rig.handle([cmd(3, "b", "add 3")]);
    let reason = stopped(&mut rig);
    assert!(reason.contains("test.counter.events/0@4") && reason.contains("has no header factum"), "{reason}");
    assert!(reason.contains("--pass-over test.counter.events/0@4"), "{reason}");
    // What was decided is in the log, and answered.
    assert_eq!(rig.answers().len(), 3);
}

#[test]
fn a_forged_next_version_is_found_although_its_header_is_perfect() {
    let mut rig = running();
    rig.write_event("a", Some(event_header(9, 3, 0, 1)), "added 100");
    rig.handle([cmd(3, "b", "add 3")]);
    let reason = stopped(&mut rig);
    assert!(reason.contains("test.counter.events/0@4") && reason.contains("the aggregate has version 2"), "{reason}");

    // Of an aggregate that it has never heard of, too.
    let mut rig = running();
    rig.write_event("new", Some(event_header(9, 1, 0, 1)), "added 100");
    rig.handle([cmd(3, "b", "add 3")]);
    assert!(stopped(&mut rig).contains("the aggregate has version 0"));
}

#[test]
fn two_commands_with_one_version_are_both_named_at_once_and_after_a_restart() {
    let mut rig = running();
    rig.write_event("a", Some(event_header(9, 3, 0, 1)), "added 100");
    rig.handle([cmd(3, "a", "add 3")]);
    let reason = stopped(&mut rig);
    let (forged, own) = ("09090909-0909-0909-0909-090909090909", "03030303-0303-0303-0303-030303030303");
    assert!(reason.contains(forged) && reason.contains(own) && reason.contains("version 3"), "{reason}");
    rig.restart();
    let reason = stopped(&mut rig);
    assert!(reason.contains(forged) && reason.contains(own) && reason.contains("offset 4"), "{reason}");
}

#[test]
fn one_between_a_transactions_records_and_its_marker_is_found() {
    let mut rig = running();
    rig.send([cmd(3, "b", "add 3")]);
    rig.poll();
    assert!(rig.plan());
    let offsets = rig.append(Kept::Committed);
    // The model wrote the marker already: the record comes in front of what follows.
    rig.write_event("a", Some(event_header(9, 3, 0, 1)), "added 100");
    rig.finish(factum_core::transaction::Outcome::Committed, &offsets);
    goes_on(&mut rig);
    rig.handle([cmd(4, "b", "add 3")]);
    assert!(stopped(&mut rig).contains("test.counter.events/0@6"));
}

#[test]
fn the_first_record_after_a_recovery_is_found_too() {
    let mut rig = running();
    rig.restart();
    rig.write_event("a", Some(event_header(9, 3, 0, 1)), "added 100");
    rig.handle([cmd(3, "b", "add 3")]);
    assert!(stopped(&mut rig).contains("test.counter.events/0@4"));
}

#[test]
fn what_every_reader_passes_over_is_told_and_stops_nothing() {
    let mut rig = running();
    rig.write_event("a", Some(event_header(2, 2, 0, 1)), "added 2");
    rig.write_event("a", Some(event_header(1, 1, 0, 1)), "added 1");
    rig.handle([cmd(3, "a", "add 3")]);
    goes_on(&mut rig);
    let foreign = |notice: &Notice| matches!(notice, Notice::ForeignRecord { what } if what.contains("passes it over"));
    assert_eq!(rig.notices().iter().filter(|notice| foreign(notice)).count(), 2);
    assert_eq!(rig.state("a"), Some((6, 3)));
    rig.restart();
    assert_eq!(rig.state("a"), Some((6, 3)));
}

#[test]
fn aborted_records_and_markers_are_no_reason_to_stop() {
    let mut rig = running();
    for id in 3..8 {
        rig.send([cmd(id, "a", "add 1")]);
        rig.poll();
        assert!(rig.plan());
        rig.abort();
        assert!(rig.plan(), "the same again");
        rig.commit();
        goes_on(&mut rig);
    }
    // Somebody else's transaction, aborted.
    rig.events().push(Kept::Hidden, |_, _| {});
    rig.events().push(Kept::Hidden, |_, _| {});
    rig.handle([cmd(8, "a", "add 1")]);
    goes_on(&mut rig);
    assert!(rig.notices().is_empty());
    let HandlerStats { events, aborted, .. } = rig.handler.stats();
    assert_eq!((events, aborted), (8, 5));
}

#[test]
fn a_partition_that_is_taken_away_while_a_hole_is_read_is_read_no_more() {
    let mut rig = running();
    rig.events().push(Kept::Open, |_, _| {});
    rig.handle([cmd(3, "a", "add 3")]);
    // What is open hides the rest from the reader.
    assert_eq!(rig.reading.len(), 1);
    rig.restart_with(Protections::ALL);
    rig.resolve(Kept::Hidden);
    rig.wait(1_000);
    goes_on(&mut rig);
}
