//! What stops a partition, what makes it try again, and that the others go on.

use super::rig::*;
use crate::{Error, GroupEvent, Offset, Protections, TopicId, TopicPartition, log::Bounds, view::*};
use expect_test::{Expect, expect};

/// Partition 0 stops by these records, and partition 1 goes on.
fn check_stops(records: Records, class: StopClass, rows: Expect, reason: Expect) -> Rig {
    let mut rig = Rig::with(&[accounts(0), accounts(1)]);
    rig.records(records.event(&accounts(1), 0, "bob", 1, "1:deposited:1"));
    rows.assert_eq(&rig.balances());
    match rig.state(&accounts(0)) {
        PlaceState::Stopped(stop) => {
            assert_eq!(stop.class, class);
            reason.assert_eq(&stop.reason);
        }
        state => panic!("not stopped but {state:?}"),
    }
    // Whatever comes now, it stands still, and the other does not.
    let position = rig.progress[&accounts(0)].position;
    rig.records(Records::new().event(&accounts(0), 9, "zoe", 1, "1:deposited:1").event(
        &accounts(1),
        1,
        "bob",
        2,
        "1:deposited:1",
    ));
    assert_eq!(rig.progress[&accounts(0)].position, position);
    assert_eq!(rig.progress[&accounts(1)].position, Offset(2));
    assert!(!rig.rows.contains_key("zoe"));
    rig
}

#[test]
fn a_torn_batch_stops_its_partition() {
    let rig = check_stops(
        Records::new()
            .event(&accounts(0), 0, "ada", 1, "1:deposited:5")
            .part(&accounts(0), 1, "ada", 2, (0, 2), "1:deposited:6")
            .event(&accounts(0), 2, "eve", 1, "1:deposited:7"),
        StopClass::TornBatch,
        expect!["[ada=5 bob=1]"],
        expect![
            "the batch of command 02020202-0202-0202-0202-020202020202 that begins at bank.account.events/0@1 has 2 events, and after 1 of them comes bank.account.events/0@2, event 1 of 1 of command 01010101-0101-0101-0101-010101010101"
        ],
    );
    assert_eq!(rig.progress[&accounts(0)].position, Offset(1));
}

#[test]
fn a_batch_without_its_beginning_stops_its_partition() {
    check_stops(
        Records::new().part(&accounts(0), 4, "ada", 2, (1, 2), "1:deposited:6"),
        StopClass::TornBatch,
        expect!["[bob=1]"],
        expect![
            "bank.account.events/0@4 is event 2 of 2 of command 01010101-0101-0101-0101-010101010101, and those before it did not come"
        ],
    );
}

#[test]
fn a_version_gap_stops_its_partition() {
    let rig = check_stops(
        Records::new()
            .event(&accounts(0), 0, "ada", 1, "1:deposited:5")
            .event(&accounts(0), 1, "ada", 3, "1:deposited:6")
            .event(&accounts(0), 2, "eve", 1, "1:deposited:6"),
        StopClass::VersionGap,
        expect!["[ada=5 bob=1]"],
        expect!["at bank.account.events/0@1 aggregate ada has version 3, and the last one applied is 1"],
    );
    assert_eq!(rig.progress[&accounts(0)].position, Offset(1));
}

#[test]
fn a_gap_within_a_batch_applies_nothing_of_it() {
    let rig = check_stops(
        Records::new()
            .event(&accounts(0), 0, "ada", 1, "1:deposited:5")
            .part(&accounts(0), 1, "ada", 2, (0, 2), "1:deposited:6")
            .part(&accounts(0), 2, "ada", 4, (1, 2), "1:deposited:7"),
        StopClass::VersionGap,
        expect!["[ada=5 bob=1]"],
        expect!["at bank.account.events/0@2 aggregate ada has version 4, and the last one applied is 2"],
    );
    assert_eq!(rig.progress[&accounts(0)].position, Offset(1));
    assert_eq!(rig.last.values().map(|last| last.version.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn without_the_version_check_a_gap_goes_unnoticed() {
    let mut rig = Rig::protected(Protections { version_check: false, ..Protections::ALL }, &[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 0, "ada", 3, "1:deposited:6"));
    assert_eq!(rig.stop_class(&accounts(0)), None);
    expect!["[ada=6]"].assert_eq(&rig.balances());
}

#[test]
fn a_foreign_record_stops_its_partition() {
    check_stops(
        Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5").foreign(&accounts(0), 1),
        StopClass::ForeignRecord,
        expect!["[ada=5 bob=1]"],
        expect![
            "bank.account.events/0@1 has no header factum: not written by a handler; find out who wrote it, and take their permission; all readers go on without it with --pass-over bank.account.events/0@1"
        ],
    );
}

#[test]
fn a_lost_claim_rolls_back_and_is_claimed_again_while_the_partition_is_ours() {
    let mut rig = Rig::caught_up(&[accounts(0), accounts(1)]);
    let records = |offset: i64| {
        let version = offset.unsigned_abs() + 1;
        Records::new().event(&accounts(0), offset, "ada", version, "1:deposited:5").event(
            &accounts(1),
            offset,
            "bob",
            version,
            "1:deposited:1",
        )
    };
    rig.records(records(0));
    rig.trace();
    // Somebody else has claimed and gone on.
    let row = rig.progress.get_mut(&accounts(0)).unwrap();
    (row.epoch, row.position) = (2, Offset(2));
    rig.records(records(1));
    expect![[r#"
        load ["ada", "bob"] Locked
        commit [ada=10 bob=2] -[] bank.account.events/0 1..2 epoch 1, bank.account.events/1 1..2 epoch 1
          ClaimLost([TopicPartition { topic: Topic("bank.account.events"), partition: Partition(0) }])
        wait bank.account.events/0: another instance claimed bank.account.events/0 of view balances: it is claimed again if still ours
        load ["ada", "bob"] Locked
        commit [bob=2] -[] bank.account.events/1 1..2 epoch 1
          Committed
        group bank.account.events/1 2 "factum-view/1 07070707-0707-0707-0707-070707070707 2 db""#]]
    .assert_eq(&rig.trace());
    rig.idle();
    expect![""].assert_eq(&rig.trace());
    rig.now += 1_000;
    rig.idle();
    expect![[r#"
        rollback
        claim bank.account.events/0: epoch 3, position 2
        start bank.account.events/0@2"#]]
    .assert_eq(&rig.trace());
}

#[test]
fn a_lost_claim_of_a_lost_partition_is_dropped() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.progress.get_mut(&accounts(0)).unwrap().epoch = 2;
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5"));
    rig.now += 1_000;
    rig.trace();
    rig.event(GroupEvent::Lost(vec![accounts(0)]));
    rig.idle();
    expect![""].assert_eq(&rig.trace());
    assert!(rig.machine.status().is_empty());
}

#[test]
fn a_partition_whose_progress_was_moved_by_others_is_claimed_again_without_new_events() {
    let mut rig = Rig::with(&[accounts(0), accounts(1)]);
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5").event(
        &accounts(1),
        0,
        "bob",
        1,
        "1:deposited:1",
    ));
    rig.trace();
    rig.look();
    expect![""].assert_eq(&rig.trace());
    // The tables from before are live again, with the progress that they had.
    let row = rig.progress.get_mut(&accounts(1)).unwrap();
    (row.epoch, row.position) = (5, Offset(0));
    rig.look();
    expect![[r#"
        wait bank.account.events/1: view balances has 0 for its position at bank.account.events/1 and not what this instance committed last: its tables changed places, or another instance claimed it; it is claimed again if still ours"#]]
    .assert_eq(&rig.trace());
    rig.now += 1_000;
    rig.idle();
    expect![[r#"
        rollback
        claim bank.account.events/1: epoch 6, position 0
        start bank.account.events/1@0"#]]
    .assert_eq(&rig.trace());
}

#[test]
fn without_compare_and_set_a_zombie_takes_its_successors_progress_back() {
    let position_after = |protections| {
        let mut rig = Rig::protected(protections, &[accounts(0)]);
        // The successor has claimed and applied events 0 and 1.
        let row = rig.progress.get_mut(&accounts(0)).unwrap();
        (row.epoch, row.position) = (2, Offset(2));
        rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5"));
        rig.progress[&accounts(0)].position
    };
    assert_eq!(position_after(Protections::ALL), Offset(2));
    let off = Protections { progress_compare_and_set: false, ..Protections::ALL };
    assert_eq!(position_after(off), Offset(1));
}

#[test]
fn an_unknown_outcome_is_resolved_by_a_new_claim() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.fail_commits.push_back(Err(Error::unavailable("the database is away")));
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5"));
    assert_eq!(
        rig.state(&accounts(0)),
        PlaceState::Waiting {
            awaited: Awaited::Database,
            why: "bank.account.events/0 of view balances: the database is away".into()
        }
    );
    rig.now += 1_000;
    rig.trace();
    rig.idle();
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5"));
    expect![[r#"
        rollback
        claim bank.account.events/0: epoch 2, position 0
        start bank.account.events/0@0
        load ["ada"] Locked
        commit [ada=5] -[] bank.account.events/0 0..1 epoch 2
          Committed
        group bank.account.events/0 1 "factum-view/1 07070707-0707-0707-0707-070707070707 1 db""#]]
    .assert_eq(&rig.trace());
}

#[test]
fn a_commit_that_can_never_succeed_stops_the_partition() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.fail_commits.push_back(Err(Error::invalid("no such table")));
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5"));
    assert_eq!(rig.stop_class(&accounts(0)), Some(StopClass::Sink));
}

#[test]
fn rows_that_others_changed_are_loaded_and_folded_again() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.fail_commits.push_back(Ok(CommitOutcome::RowsChanged));
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5"));
    expect![[r#"
        load ["ada"] Locked
        commit [ada=5] -[] bank.account.events/0 0..1 epoch 1
          RowsChanged
        load ["ada"] Locked
        commit [ada=5] -[] bank.account.events/0 0..1 epoch 1
          Committed
        group bank.account.events/0 1 "factum-view/1 07070707-0707-0707-0707-070707070707 1 db""#]]
    .assert_eq(&rig.trace());
}

/// Claims a partition whose progress row says this.
fn claim(protections: Protections, topic_id: TopicId, position: i64, bounds: Bounds) -> (Rig, TopicPartition) {
    let mut rig = Rig::new(protections);
    rig.bounds = bounds;
    rig.progress.insert(accounts(0), Stored { topic_id, epoch: 4, position: Offset(position) });
    rig.event(GroupEvent::Assigned(vec![accounts(0)]));
    rig.idle();
    (rig, accounts(0))
}

#[test]
fn a_recreated_topic_stops_its_partition_and_names_the_repair() {
    let bounds = Bounds { start: Offset(0), end: Offset(9) };
    let (mut rig, place) = claim(Protections::ALL, TopicId([1; 16]), 3, bounds);
    assert_eq!(rig.stop_class(&place), Some(StopClass::TopicIdentity));
    expect![[r#"
        rollback
        claim bank.account.events/0: epoch 5, position 3
        stop bank.account.events/0: topic identity: the progress of view balances at bank.account.events/0@3 belongs to topic id 01010101-0101-0101-0101-010101010101, and the topic is 07070707-0707-0707-0707-070707070707 now: it was deleted and created again; build the view anew with `factum views rebuild balances`, or drop its tables"#]]
    .assert_eq(&rig.trace());

    let off = Protections { topic_identity: false, ..Protections::ALL };
    let (mut rig, _) = claim(off, TopicId([1; 16]), 3, bounds);
    // The first three events of the new topic are lost to the view.
    assert!(rig.trace().ends_with("start bank.account.events/0@3"));
}

#[test]
fn progress_beyond_the_logs_end_stops_its_partition() {
    let bounds = Bounds { start: Offset(0), end: Offset(2) };
    let (rig, place) = claim(Protections::ALL, TOPIC_ID, 3, bounds);
    assert_eq!(rig.stop_class(&place), Some(StopClass::TopicIdentity));
    let (rig, place) = claim(Protections { topic_identity: false, ..Protections::ALL }, TOPIC_ID, 3, bounds);
    assert_eq!(rig.state(&place), PlaceState::Running);
}

#[test]
fn records_deleted_before_they_were_read_stop_their_partition() {
    let bounds = Bounds { start: Offset(5), end: Offset(9) };
    for (position, class) in [(0, Some(StopClass::DeletedRecords)), (4, Some(StopClass::DeletedRecords)), (5, None)] {
        let (rig, place) = claim(Protections::ALL, TOPIC_ID, position, bounds);
        assert_eq!(rig.stop_class(&place), class, "from {position}");
    }
}
