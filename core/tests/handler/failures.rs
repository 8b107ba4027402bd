//! Transactions that do not commit, and a registry that does not answer.

use crate::rig::{Kept, Rig, anonymous, cmd, key_in};
use factum_core::{
    Error, Protections,
    handler::{Activity, Notice},
    transaction::Outcome,
};

#[test]
fn after_an_abort_everything_is_as_before_and_the_same_commands_are_decided_again() {
    let mut rig = Rig::configured(|config| config.snapshot_every_events = 2);
    rig.handle([cmd(1, "a", "add 5"), cmd(2, "a", "take 9")]);
    rig.answers();
    rig.notices();
    let batch = [
        cmd(3, "a", "add 1"),
        cmd(4, "a", "take 99"),
        cmd(5, "new", "add 7"),
        cmd(6, "x", "take 1"),
        cmd(7, "a", "panic"),
        cmd(3, "a", "add 1"),
    ];
    rig.send(batch);
    let (stats, memory) = (rig.handler.stats(), rig.handler.health());
    for _ in 0..3 {
        rig.poll();
        assert!(rig.plan());
        assert_eq!(rig.state("a"), Some((6, 2)));
        rig.abort();
        assert_eq!((rig.state("a"), rig.state("new")), (Some((5, 1)), None));
        let now = rig.handler.health();
        assert_eq!((now[0].aggregates, now[0].next_command), (memory[0].aggregates, memory[0].next_command));
        assert!(rig.answers().is_empty() && rig.notices().is_empty(), "nothing is told before it is true");
    }
    assert_eq!((rig.handler.stats().aborted, rig.handler.stats().commands), (3, stats.commands));
    rig.poll();
    assert!(rig.plan());
    rig.commit();
    let offset = rig.events().end() - 3;
    let expected = [
        format!("3 accepted v2 +1 @{offset}"),
        format!("4 refused v2 +0 @{offset} {{\"has\":6}}"),
        format!("5 accepted v1 +1 @{}", offset + 1),
        "6 refused v0 +0 - {\"has\":0}".into(),
        format!("7 failed v2 +0 @{offset} decide panicked: decide is broken"),
        format!("3 accepted v2 +1 @{offset}"),
    ];
    assert_eq!(rig.answers(), expected);
    let told = rig.notices();
    assert!(matches!(told[..], [Notice::DeadLettered { .. }]), "once: {told:?}");
    assert_eq!(rig.event_lines(), ["a1 added 5", "a2 added 1", "new1 added 7"]);
    // The window is as if nothing had been aborted.
    rig.handle([cmd(2, "a", "take 9"), cmd(4, "a", "take 99")]);
    assert_eq!(rig.handler.stats().repeats, 3);
    rig.restart();
    assert_eq!((rig.state("a"), rig.state("new")), (Some((6, 2)), Some((7, 1))));
}

#[test]
fn a_window_that_was_full_is_full_of_the_same_commands_after_an_abort() {
    let mut rig = Rig::configured(|config| config.window_commands = 2);
    rig.handle([cmd(1, "a", "add 1"), cmd(2, "a", "take 9")]);
    let late = |id, text| cmd(id, "a", text).header("deadline", "1970-01-01T00:16:40Z");
    rig.send([late(3, "take 9"), late(4, "add 1"), late(5, "add 1")]);
    rig.poll();
    assert!(rig.plan());
    rig.abort();
    rig.now += 1;
    rig.answers();
    rig.handle([cmd(1, "a", "add 1"), cmd(2, "a", "take 9")]);
    assert_eq!(rig.answers()[3..], ["1 accepted v1 +1 @0", "2 refused v1 +0 @0 {\"has\":1}"]);
    assert_eq!(rig.handler.stats().expired, 3);
}

#[test]
fn a_checkpoint_that_is_aborted_with_new_aggregates_is_made_again() {
    let mut rig = Rig::configured(|config| {
        config.checkpoint_every_events = 2;
        config.checkpoint_chunk = 2;
    });
    rig.handle([cmd(1, "a", "add 1"), cmd(2, "b", "add 1")]);
    rig.send([cmd(3, "c", "add 1").header("deadline", "1970-01-01T00:16:40Z"), cmd(4, "d", "add 1")]);
    rig.poll();
    assert!(rig.plan());
    rig.abort();
    // What made the new aggregate has expired by now.
    rig.now += 1;
    while rig.handler.has_commands() || rig.handler.has_duties(factum_core::TimestampMs(rig.now)) {
        assert!(rig.plan());
        rig.commit();
    }
    let snapshots: Vec<_> = rig.snapshot_lines().into_iter().filter(|line| !line.starts_with("position")).collect();
    assert_eq!(
        snapshots,
        ["snapshot a v1 window 1", "snapshot b v1 window 1", "snapshot d v1 window 1", "marker events 2 next 4"]
    );
    rig.restart();
    assert_eq!(rig.handler.stats().recovered_events, 1);
    assert_eq!((rig.state("c"), rig.state("d")), (None, Some((1, 1))));
}

#[test]
fn an_unknown_outcome_drops_the_state_and_reads_it_again_with_a_new_producer() {
    for (truth, events) in [(Kept::Committed, 2), (Kept::Hidden, 1)] {
        let mut rig = Rig::new();
        rig.handle([cmd(1, "a", "add 5")]);
        rig.answers();
        rig.send([cmd(2, "a", "add 1"), cmd(3, "a", "take 99")]);
        rig.poll();
        assert!(rig.plan());
        rig.done.clear();
        rig.unknown(truth);
        assert_eq!(rig.state("a"), None, "nothing of the memory is used");
        assert!(rig.answers().is_empty());
        rig.wait(rig.config.retry_ms);
        let place = rig.place(0);
        assert_eq!(rig.done[..3], ["renew producer".to_owned(), format!("pause {place}"), "survey 0".to_owned()]);
        assert_eq!(rig.event_lines().len(), events);
        rig.handle([]);
        assert_eq!(rig.event_lines().len(), 2, "exactly once, whatever the truth was");
        assert_eq!(rig.state("a"), Some((6, 2)));
        // The requesters ask again, and learn what became of their commands.
        rig.answers();
        rig.handle([cmd(2, "a", "add 1"), cmd(3, "a", "take 99")]);
        let answers = rig.answers();
        assert!(answers[0].starts_with("2 accepted v2 +1 @"), "{answers:?}");
        assert!(answers[1].starts_with("3 refused v2 +0 @"), "{answers:?}");
        assert_eq!(rig.handler.stats().unknown, 1);
    }
}

#[test]
fn a_broken_producer_is_replaced_and_nothing_is_lost() {
    let mut rig = Rig::new();
    rig.send([cmd(1, "a", "add 5")]);
    rig.poll();
    assert!(rig.plan());
    rig.finish(Outcome::Broken, &[]);
    assert_eq!(rig.renewed, 1);
    rig.wait(rig.config.retry_ms);
    rig.handle([]);
    assert_eq!(rig.event_lines(), ["a1 added 5"]);
    assert_eq!(rig.answers(), ["1 accepted v1 +1 @0"]);
}

#[test]
fn partitions_that_a_transaction_could_not_touch_go_on_after_an_unknown_outcome() {
    let mut rig = Rig::with(2, |_| {}, Protections::ALL);
    rig.handler.polled(Some(&factum_core::GroupEvent::Revoked(vec![rig.place(1)])), factum_core::TimestampMs(rig.now));
    rig.started.remove(&1);
    rig.run_effects();
    let key = key_in(0, 2);
    rig.send([cmd(1, &key, "add 5")]);
    rig.poll();
    assert!(rig.plan());
    // Partition 1 comes while the transaction is in flight and cannot be looked at.
    rig.survey_error = Some(Error::invalid("no such topic"));
    rig.event(factum_core::GroupEvent::Assigned(vec![rig.place(1)]));
    rig.done.clear();
    rig.unknown(Kept::Committed);
    rig.wait(rig.config.retry_ms);
    assert!(!rig.done.contains(&"survey 1".to_owned()), "{:?}", rig.done);
    assert!(matches!(rig.handler.health()[1].activity, Activity::Stopped(_)));
}

#[test]
fn a_stale_member_polls_and_decides_the_same_commands_again() {
    let mut rig = Rig::new();
    rig.send([cmd(1, "a", "add 5")]);
    rig.poll();
    assert!(rig.plan());
    rig.finish(Outcome::Stale, &[]);
    assert_eq!(rig.state("a"), None);
    rig.member.generation = 2;
    rig.poll();
    assert!(rig.plan());
    assert_eq!(rig.handler.current_plan().member.as_ref().unwrap().generation, 2);
    rig.commit();
    assert_eq!(rig.answers(), ["1 accepted v1 +1 @0"]);
    assert_eq!(rig.renewed, 0);
}

#[test]
fn a_command_of_an_unknown_schema_waits_for_it_and_the_other_partitions_go_on() {
    let mut rig = Rig::with(2, |_| {}, Protections::ALL);
    let (here, there) = (key_in(0, 2), key_in(1, 2));
    rig.handle([
        cmd(1, &here, "add 1"),
        cmd(2, &here, "add 2").schema(7),
        cmd(3, &here, "add 4"),
        cmd(4, &there, "add 8"),
    ]);
    assert_eq!((rig.state(&there), rig.wanted.clone()), (Some((8, 1)), vec![7]));
    assert_eq!(rig.handler.health()[0].activity, Activity::AwaitingSchema(7));
    // The registry is down: it is asked again, and nothing is read again.
    for failures in 0..3 {
        rig.schema(7, Err(Error::unavailable("registry away")));
        // Within the second half of a time that each failure doubles.
        let longest = rig.config.retry_ms << failures;
        rig.wait(longest / 2 - 1);
        assert_eq!(rig.wanted.len(), 1);
        rig.wait(longest / 2 + 1);
        assert_eq!(std::mem::replace(&mut rig.wanted, vec![7]), [7, 7]);
    }
    assert_eq!(rig.done.iter().filter(|what| what.starts_with("survey")).count(), 2);
    rig.handle([cmd(5, &there, "add 1")]);
    rig.schema(7, Ok(()));
    rig.handle([]);
    assert_eq!((rig.state(&here), rig.state(&there)), (Some((7, 3)), Some((9, 2))));
    let ids: Vec<_> = rig.answers().iter().map(|answer| answer[..1].to_owned()).collect();
    assert_eq!(ids, ["1", "4", "5", "2", "3"]);
}

#[test]
fn a_schema_that_the_registry_denies_three_times_dead_letters_the_command() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 1").schema(7), cmd(2, "a", "add 2")]);
    denied(&mut rig, 2);
    assert!(rig.answers().is_empty());
    denied(&mut rig, 1);
    rig.handle([]);
    assert_eq!(rig.answers(), ["1 undecodable v0 +0 - schema 7 not found", "2 accepted v1 +1 @0"]);
    assert_eq!(rig.dead_letters().len(), 1);
    // The next one does not wait for it, and after a while the registry is asked once more.
    rig.handle([cmd(3, "a", "add 1").schema(7)]);
    assert_eq!(rig.answers(), ["3 undecodable v1 +0 @0 schema 7 not found"]);
    rig.wait(60_000);
    rig.handle([cmd(4, "a", "add 1").schema(7)]);
    assert!(rig.answers().is_empty());
    denied(&mut rig, 1);
    rig.handle([]);
    assert_eq!(rig.answers(), ["4 undecodable v1 +0 @0 schema 7 not found"]);
    rig.wait(60_000);
    rig.handle([cmd(5, "a", "add 1").schema(7)]);
    rig.schema(7, Ok(()));
    rig.handle([]);
    assert_eq!(rig.answers(), ["5 accepted v2 +1 @2"]);
}

#[test]
fn a_schema_that_the_registry_has_a_moment_later_costs_no_command() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 1").schema(7)]);
    denied(&mut rig, 2);
    rig.schema(7, Ok(()));
    rig.handle([]);
    assert_eq!(rig.answers(), ["1 accepted v1 +1 @0"]);
}

#[test]
fn a_registry_that_refuses_the_credentials_says_nothing_of_the_schema() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 1").schema(7)]);
    for _ in 0..10 {
        rig.schema(7, Err(Error::invalid("the registry wants other credentials")));
        rig.wait(rig.config.retry_ms << 10);
    }
    let waiting = |notice: &Notice| matches!(notice, Notice::Waiting { reason, .. } if reason == "the registry wants other credentials");
    assert_eq!(rig.notices().iter().filter(|notice| waiting(notice)).count(), 10);
    rig.schema(7, Ok(()));
    rig.handle([]);
    assert_eq!(rig.answers(), ["1 accepted v1 +1 @0"]);
}

/// The registry denies schema 7 so often, each time when it is asked.
fn denied(rig: &mut Rig, times: usize) {
    for _ in 0..times {
        rig.schema(7, Err(Error::data("schema 7 not found")));
        rig.wait(rig.config.retry_ms << 3);
    }
}

#[test]
fn a_schema_that_comes_while_its_batch_is_aborted_loses_and_repeats_nothing() {
    let mut rig = Rig::new();
    rig.send([cmd(1, "a", "add 1"), cmd(2, "a", "add 2").schema(7), cmd(3, "a", "add 4")]);
    rig.poll();
    assert!(rig.plan());
    rig.abort();
    rig.schema(7, Ok(()));
    for _ in 0..3 {
        rig.handle([]);
    }
    assert_eq!(rig.state("a"), Some((7, 3)));
    assert_eq!(rig.event_lines(), ["a1 added 1", "a2 added 2", "a3 added 4"]);
}

#[test]
fn a_state_that_has_no_bytes_stops_its_partition_and_no_other() {
    let mut rig = Rig::with(2, |_| {}, Protections::ALL);
    let (here, there) = (key_in(0, 2), key_in(1, 2));
    rig.handle([cmd(1, &here, "add 1"), cmd(2, &here, "spoil"), cmd(3, &there, "add 8")]);
    assert_eq!(rig.stopped(), ["a snapshot cannot be encoded: a spoiled state has no bytes"]);
    assert_eq!(rig.event_lines(), [format!("{there}1 added 8")]);
    assert_eq!(rig.answers().len(), 1);
}

#[test]
fn a_position_behind_control_records_is_written_after_a_second_and_once() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 1")]);
    let before = rig.snapshot_lines().len();
    let idle = |rig: &mut Rig, position| {
        rig.handler.idle_at(
            factum_core::Partition(0),
            factum_core::Offset(position),
            factum_core::TimestampMs(rig.now),
        );
    };
    idle(&mut rig, 3);
    let now = |rig: &Rig| factum_core::TimestampMs(rig.now);
    assert!(!rig.handler.has_duties(now(&rig)));
    rig.wait(999);
    idle(&mut rig, 3);
    assert!(!rig.handler.has_duties(now(&rig)));
    rig.wait(1);
    assert!(rig.handler.has_duties(now(&rig)));
    assert!(rig.plan());
    rig.commit();
    assert_eq!(rig.snapshot_lines()[before..], ["position events 1 next 3"]);
    assert_eq!(rig.committed[&0].offset.0, 3);
    assert!(!rig.handler.has_duties(now(&rig)));
    // A position that goes back is none.
    idle(&mut rig, 2);
    rig.wait(5_000);
    assert!(!rig.handler.has_duties(now(&rig)));
}

#[test]
fn every_committed_offset_names_the_topics_identity() {
    let mut rig = Rig::new();
    rig.handle([anonymous("a", "add 1")]);
    assert_eq!(rig.committed[&0].metadata, "factum:c0c0c0c0-c0c0-c0c0-c0c0-c0c0c0c0c0c0");
}

/// When the log was looked at, milliseconds after its outage began, within two minutes of it.
fn looks_in_an_outage(hash_seed: u64) -> Vec<i64> {
    let mut rig = Rig::with(1, |config| config.hash_seed = hash_seed, Protections::ALL);
    let away = || Some(Error::unavailable("no leader"));
    rig.survey_error = away();
    rig.restart();
    rig.done.clear();
    let began = rig.now;
    let mut looks = Vec::new();
    while rig.now < began + 120_000 {
        rig.survey_error = away();
        rig.wait(10);
        looks.resize(
            looks.len() + rig.done.drain(..).filter(|what| what.starts_with("survey")).count(),
            rig.now - began,
        );
    }
    looks
}

#[test]
fn an_outage_is_looked_at_less_and_less_often_and_not_by_all_at_once() {
    let looks = looks_in_an_outage(1);
    // Half a second doubled up to five makes 27 in two minutes at the least and 52 at the most.
    assert!((20..=60).contains(&looks.len()), "{looks:?}");
    let pauses: Vec<i64> = looks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| *pause <= 5_010) && pauses.iter().rev().take(10).all(|pause| *pause >= 2_500));
    assert_ne!(looks, looks_in_an_outage(2), "another process looks at other times");
}
