//! What goes wrong without each protection: the same scenario twice, once
//! with all of them and once with one switched off.

use crate::rig::{Kept, Rig, cmd, event_header, key_in};
use factum_core::{
    Error, GroupEvent, Offset, Partition, Protections, TopicId,
    handler::Activity,
    log::{Committed, TxnError},
    transaction::{Outcome, TxnStep},
    wire::EventHeader,
};
use std::fmt::Debug;

/// The scenario's result is `good` with every protection and `bad` without this one.
#[track_caller]
fn check<T: PartialEq + Debug>(off: impl Fn(&mut Protections), scenario: impl Fn(Protections) -> T, good: T, bad: T) {
    let mut weak = Protections::ALL;
    off(&mut weak);
    assert_ne!(weak, Protections::ALL);
    assert_eq!(scenario(Protections::ALL), good, "with every protection");
    assert_eq!(scenario(weak), bad, "without the protection");
}

fn rig(protections: Protections) -> Rig {
    Rig::with(1, |_| {}, protections)
}

fn totals(rig: &mut Rig) -> (Vec<String>, Option<(i64, u64)>) {
    (rig.event_lines(), rig.state("a"))
}

fn lines<const N: usize>(lines: [&str; N]) -> Vec<String> {
    lines.map(String::from).into()
}

#[test]
fn without_the_tenure_check_commands_of_an_ended_tenure_are_decided_under_the_next() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.send([cmd(1, "a", "add 5")]);
        rig.poll_with(Some(GroupEvent::Lost(vec![rig.place(0)])));
        rig.event(GroupEvent::Assigned(vec![rig.place(0)]));
        rig.plan()
    };
    check(|p| p.tenure_check = false, scenario, false, true);
}

#[test]
fn without_the_sentinel_refusal_a_plan_goes_out_that_no_broker_fences() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.member.generation = -1;
        rig.send([cmd(1, "a", "add 5")]);
        rig.poll();
        rig.plan()
    };
    check(|p| p.sentinel_refusal = false, scenario, false, true);
}

#[test]
fn without_the_offset_of_a_written_partition_a_checkpoint_is_not_fenced() {
    // A second partition's commands carry the unfenced checkpoint along.
    let scenario = |protections| {
        let mut rig = Rig::with(2, |config| config.checkpoint_every_ms = 10, protections);
        rig.handle([cmd(1, &key_in(0, 2), "add 5")]);
        rig.now += 10;
        rig.send([cmd(2, &key_in(1, 2), "add 5")]);
        rig.poll();
        assert!(rig.plan());
        rig.handler.current_plan().offsets.len()
    };
    check(|p| p.offset_of_written_partition = false, scenario, 2, 1);
}

#[test]
fn without_recovery_after_an_unknown_outcome_commands_are_handled_twice() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.send([cmd(1, "a", "add 5")]);
        rig.poll();
        assert!(rig.plan());
        rig.unknown(Kept::Committed);
        rig.wait(500);
        rig.handle([]);
        rig.event_lines()
    };
    check(|p| p.unknown_outcome_recovery = false, scenario, lines(["a1 added 5"]), lines(["a1 added 5", "a1 added 5"]));
}

#[test]
fn without_an_epoch_after_an_abort_the_same_producer_goes_on() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.send([cmd(1, "a", "add 5")]);
        rig.poll();
        assert!(rig.plan());
        let mut transaction = rig.handler.transaction();
        let failed = TxnError::Abort(Error::unavailable("a record was not delivered"));
        (0..3).for_each(|_| transaction.result(Ok(())));
        transaction.result(Err(&failed));
        let step = transaction.step();
        rig.done.clear();
        rig.abort();
        (step, rig.done.iter().any(|done| done == "renew producer"))
    };
    let good = (TxnStep::Finished(Outcome::Aborted), true);
    check(|p| p.epoch_after_abort = false, scenario, good, (TxnStep::Abort, false));
}

#[test]
fn without_pre_images_the_state_keeps_what_was_aborted() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.handle([cmd(1, "a", "add 5")]);
        rig.send([cmd(2, "a", "add 1").header("expected-version", "1")]);
        rig.poll();
        assert!(rig.plan());
        rig.abort();
        totals(&mut rig)
    };
    let log = lines(["a1 added 5"]);
    check(|p| p.pre_image_undo = false, scenario, (log.clone(), Some((5, 1))), (log, Some((6, 2))));
}

#[test]
fn without_dropping_state_on_revocation_an_owner_that_returns_gives_a_version_twice() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.handle([cmd(1, "a", "add 5")]);
        rig.event(GroupEvent::Lost(vec![rig.place(0)]));
        // Another owner handles a command.
        rig.send([cmd(2, "a", "add 1")]);
        rig.write_event("a", Some(EventHeader { command_offset: Offset(1), ..event_header(2, 2, 0, 1) }), "added 1");
        rig.committed.insert(0, Committed { offset: Offset(2), metadata: String::new() });
        rig.event(GroupEvent::Assigned(vec![rig.place(0)]));
        rig.handle([cmd(3, "a", "add 10")]);
        rig.event_lines()
    };
    check(
        |p| p.state_dropped_on_revocation = false,
        scenario,
        lines(["a1 added 5", "a2 added 1", "a3 added 10"]),
        lines(["a1 added 5", "a2 added 1", "a2 added 1", "a3 added 10"]),
    );
}

#[test]
fn without_the_handled_position_an_offset_reset_handles_commands_again() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        // No id, so that the window does not help.
        rig.handle([crate::rig::anonymous("a", "add 5")]);
        rig.committed.insert(0, Committed { offset: Offset(0), metadata: String::new() });
        rig.restart();
        rig.handle([]);
        rig.event_lines()
    };
    check(|p| p.handled_position = false, scenario, lines(["a1 added 5"]), lines(["a1 added 5", "a2 added 5"]));
}

#[test]
fn without_the_position_record_a_command_that_was_not_decided_is_decided_after_a_reset() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.handle([cmd(1, "a", "add 1")]);
        rig.handle([cmd(2, "a", "add 5").header("expected-version", "9")]);
        assert!(rig.answers()[1].starts_with("2 conflict"));
        rig.committed.insert(0, Committed { offset: Offset(0), metadata: String::new() });
        rig.restart();
        rig.handle([]);
        rig.answers()[1].split(' ').nth(1).unwrap().to_owned()
    };
    check(|p| p.position_record = false, scenario, "already-handled".to_owned(), "conflict".to_owned());
}

#[test]
fn without_the_window_a_retry_is_a_second_command() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.handle([cmd(1, "a", "add 5")]);
        rig.handle([cmd(1, "a", "add 5")]);
        rig.event_lines()
    };
    check(|p| p.recent_commands = false, scenario, lines(["a1 added 5"]), lines(["a1 added 5", "a2 added 5"]));
}

#[test]
fn without_the_partition_check_an_aggregate_lives_in_two_partitions() {
    let scenario = |protections| {
        let mut rig = Rig::with(2, |_| {}, protections);
        let key = key_in(0, 2);
        rig.handle([cmd(1, &key, "add 5"), cmd(2, &key, "add 5").partition(1)]);
        rig.event_lines().into_iter().map(|line| line.replace(&key, "a")).collect()
    };
    check(|p| p.wrong_partition_check = false, scenario, lines(["a1 added 5"]), lines(["a1 added 5", "a1 added 5"]));
}

#[test]
fn without_the_high_watermark_recovery_misses_events_behind_an_open_transaction() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.handle([cmd(1, "a", "add 5")]);
        // A dead owner's transaction is prepared to commit: its events lie in the log, its offset will stand.
        rig.send([cmd(2, "a", "add 1")]);
        rig.poll();
        assert!(rig.plan());
        rig.append(Kept::Open);
        rig.restart();
        rig.resolve(Kept::Committed);
        rig.committed.insert(0, Committed { offset: Offset(2), metadata: String::new() });
        rig.run_effects();
        rig.handle([cmd(3, "a", "add 10")]);
        rig.event_lines()
    };
    check(
        |p| p.high_watermark_recovery = false,
        scenario,
        lines(["a1 added 5", "a2 added 1", "a3 added 10"]),
        lines(["a1 added 5", "a2 added 1", "a2 added 1", "a3 added 10"]),
    );
}

#[test]
fn without_reading_snapshots_to_their_end_a_refusal_is_forgotten() {
    let scenario = |protections| {
        let mut rig = Rig::with(1, |config| config.checkpoint_every_events = 1, protections);
        rig.handle([cmd(1, "a", "add 1")]);
        assert!(rig.plan(), "a checkpoint");
        rig.commit();
        rig.handle([cmd(2, "a", "take 5")]);
        rig.handle([cmd(3, "a", "add 9")]);
        rig.restart();
        rig.answers();
        rig.handle([cmd(2, "a", "take 5")]);
        rig.answers()[0].split(' ').nth(1).unwrap().to_owned()
    };
    check(|p| p.snapshots_to_their_end = false, scenario, "refused".to_owned(), "accepted".to_owned());
}

#[test]
fn without_topic_identity_the_first_commands_of_a_recreated_topic_are_skipped_silently() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.handle([cmd(1, "a", "add 5"), cmd(2, "a", "add 5")]);
        rig.commands_id = TopicId([0xcc; 16]);
        *rig.commands() = Default::default();
        rig.committed.clear();
        rig.restart();
        rig.handle([cmd(3, "a", "add 1")]);
        (matches!(rig.handler.health()[0].activity, Activity::Stopped(_)), rig.event_lines().len())
    };
    check(|p| p.topic_identity = false, scenario, (true, 2), (false, 2));
}

#[test]
fn without_the_version_check_a_repeated_event_counts_twice() {
    let scenario = |protections| {
        let mut rig = rig(protections);
        rig.handle([cmd(1, "a", "add 5")]);
        rig.write_event("a", Some(EventHeader { command_offset: Offset(0), ..event_header(1, 1, 0, 1) }), "added 5");
        rig.restart();
        rig.state("a")
    };
    check(|p| p.version_check = false, scenario, Some((5, 1)), Some((10, 1)));
    let torn = |protections| {
        let mut rig = rig(protections);
        rig.write_event("a", Some(event_header(0, 3, 0, 1)), "added 5");
        rig.send([cmd(1, "a", "add 1")]);
        rig.restart();
        rig.state("a")
    };
    check(|p| p.version_check = false, torn, None, Some((5, 3)));
}

#[test]
fn a_stale_outcome_is_undone_as_an_abort_is() {
    let mut rig = rig(Protections::ALL);
    rig.send([cmd(1, "a", "add 5")]);
    rig.poll();
    assert!(rig.plan());
    rig.finish(Outcome::Stale, &[]);
    assert_eq!((rig.state("a"), rig.handler.health()[0].partition), (None, Partition(0)));
}
