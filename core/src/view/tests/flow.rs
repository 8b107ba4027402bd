//! Claims, batches, rows, progress.

use super::rig::*;
use crate::{GroupEvent, Offset, Protections, RecordBatch, view::*};
use expect_test::expect;

#[test]
fn a_partition_is_claimed_by_the_poll_after_its_assignment() {
    let mut rig = Rig::new(Protections::ALL);
    rig.event(GroupEvent::Assigned(vec![accounts(0), accounts(1)]));
    expect![""].assert_eq(&rig.trace());
    rig.event(GroupEvent::Lost(vec![accounts(1)]));
    expect![""].assert_eq(&rig.trace());
    rig.idle();
    expect![[r#"
        rollback
        claim bank.account.events/0: epoch 1, position 0
        start bank.account.events/0@0"#]]
    .assert_eq(&rig.trace());
}

#[test]
fn rows_and_progress_move_in_one_commit_and_the_groups_offsets_follow() {
    let mut rig = Rig::with(&[accounts(0), accounts(1)]);
    rig.records(
        Records::new()
            .event(&accounts(0), 0, "ada", 1, "1:deposited:5")
            .event(&accounts(1), 3, "bob", 1, "1:deposited:7")
            .event(&accounts(0), 1, "ada", 2, "1:deposited:6"),
    );
    expect![[r#"
        load ["ada", "bob"] Locked
        commit [ada=11 bob=7] -[] bank.account.events/0 0..2 epoch 1, bank.account.events/1 0..4 epoch 1
          Committed
        group bank.account.events/0 2 "factum-view/1 07070707-0707-0707-0707-070707070707 2 db"
        group bank.account.events/1 4 "factum-view/1 07070707-0707-0707-0707-070707070707 4 db""#]]
    .assert_eq(&rig.trace());
    assert_eq!(rig.machine.status()[&accounts(0)].counts, Counts { applied: 2, unknown: 0, repeated: 0, parked: 0 });
    assert_eq!(rig.machine.status()[&accounts(0)].position, Some(Offset(2)));
}

#[test]
fn several_inputs_and_several_rows_of_one_event_come_together() {
    let cards = place("bank.card.events", 0);
    let mut rig = Rig::with(&[accounts(0), cards.clone()]);
    rig.records(
        Records::new()
            .event(&accounts(0), 0, "ada", 1, "1:deposited:50")
            .event(&cards, 0, "ada", 1, "1:moved:bob:20")
            .event(&accounts(0), 1, "bob", 1, "1:deposited:1"),
    );
    expect!["[ada=30 bob=21]"].assert_eq(&rig.balances());
}

#[test]
fn a_fold_to_none_deletes_the_row() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5"));
    rig.trace();
    rig.records(
        Records::new()
            .event(&accounts(0), 1, "ada", 2, "1:closed")
            .event(&accounts(0), 2, "eve", 1, "1:deposited:1")
            .event(&accounts(0), 3, "eve", 2, "1:closed"),
    );
    assert!(rig.trace().contains(r#"commit [] -["ada"]"#), "a row that never was stored needs no delete");
    expect!["[]"].assert_eq(&rig.balances());
}

#[test]
fn an_incomplete_batch_is_held_back() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5").part(
        &accounts(0),
        1,
        "ada",
        2,
        (0, 2),
        "1:deposited:6",
    ));
    expect!["[ada=5]"].assert_eq(&rig.balances());
    assert_eq!(rig.progress[&accounts(0)].position, Offset(1));
    assert_eq!(rig.state(&accounts(0)), PlaceState::HoldingBatch { from: Offset(1) });
    // Not even the end of the log moves progress into the batch.
    rig.poll(&RecordBatch::new(), None, &[(accounts(0), Offset(2))]);
    assert_eq!(rig.progress[&accounts(0)].position, Offset(1));

    rig.records(Records::new().part(&accounts(0), 2, "ada", 3, (1, 2), "1:deposited:7"));
    expect!["[ada=18]"].assert_eq(&rig.balances());
    assert_eq!(rig.progress[&accounts(0)].position, Offset(3));
    assert_eq!(rig.state(&accounts(0)), PlaceState::Running);
}

#[test]
fn what_was_held_back_of_a_revoked_partition_is_read_again() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(Records::new().part(&accounts(0), 0, "ada", 1, (0, 2), "1:deposited:6"));
    rig.event(GroupEvent::Revoked(vec![accounts(0)]));
    rig.event(GroupEvent::Assigned(vec![accounts(0)]));
    rig.idle();
    expect![[r#"
        rollback
        claim bank.account.events/0: epoch 2, position 0
        start bank.account.events/0@0"#]]
    .assert_eq(&rig.trace());
    rig.records(Records::new().part(&accounts(0), 0, "ada", 1, (0, 2), "1:deposited:6").part(
        &accounts(0),
        1,
        "ada",
        2,
        (1, 2),
        "1:deposited:1",
    ));
    expect!["[ada=7]"].assert_eq(&rig.balances());
}

#[test]
fn records_delivered_again_are_applied_once() {
    let mut rig = Rig::with(&[accounts(0)]);
    let both = || {
        Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5").event(
            &accounts(0),
            1,
            "ada",
            2,
            "1:deposited:6",
        )
    };
    rig.records(both());
    rig.records(both());
    expect!["[ada=11]"].assert_eq(&rig.balances());
    // And after a restart from an older position, as a reset makes it, the versions tell.
    rig.event(GroupEvent::Revoked(vec![accounts(0)]));
    rig.progress.get_mut(&accounts(0)).unwrap().position = Offset(0);
    rig.event(GroupEvent::Assigned(vec![accounts(0)]));
    rig.idle();
    rig.records(both());
    expect!["[ada=11]"].assert_eq(&rig.balances());
    assert_eq!(rig.machine.status()[&accounts(0)].counts.repeated, 2);
    assert_eq!(rig.progress[&accounts(0)].position, Offset(2));
}

#[test]
fn a_version_that_comes_twice_is_skipped_and_counted() {
    let twice = || {
        Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5").event(
            &accounts(0),
            1,
            "ada",
            1,
            "1:deposited:5",
        )
    };
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(twice());
    expect!["[ada=5]"].assert_eq(&rig.balances());
    assert_eq!(rig.machine.status()[&accounts(0)].counts, Counts { applied: 1, unknown: 0, repeated: 1, parked: 0 });

    let mut rig = Rig::protected(Protections { version_check: false, ..Protections::ALL }, &[accounts(0)]);
    rig.records(twice());
    expect!["[ada=10]"].assert_eq(&rig.balances());
}

#[test]
fn an_unknown_record_type_is_skipped_and_its_version_counts() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5").event(
        &accounts(0),
        1,
        "ada",
        2,
        "1:renamed",
    ));
    rig.records(Records::new().event(&accounts(0), 2, "ada", 3, "1:deposited:1"));
    expect!["[ada=6]"].assert_eq(&rig.balances());
    assert_eq!(rig.machine.status()[&accounts(0)].counts, Counts { applied: 2, unknown: 1, repeated: 0, parked: 0 });
}

#[test]
fn progress_moves_past_control_records_when_idle() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5"));
    rig.trace();
    rig.poll(&RecordBatch::new(), None, &[(accounts(0), Offset(2))]);
    expect![[r#"
        commit [] -[] bank.account.events/0 1..2 epoch 1
          Committed
        group bank.account.events/0 2 "factum-view/1 07070707-0707-0707-0707-070707070707 2 db""#]]
    .assert_eq(&rig.trace());
    rig.poll(&RecordBatch::new(), None, &[(accounts(0), Offset(2))]);
    expect![""].assert_eq(&rig.trace());
}

#[test]
fn an_unknown_schema_is_fetched_and_the_batch_read_again() {
    let mut rig = Rig::with(&[accounts(0), accounts(1)]);
    rig.schemas_in_registry.insert(9);
    rig.records(
        Records::new()
            .part(&accounts(0), 0, "ada", 1, (0, 2), "1:deposited:5")
            .part(&accounts(0), 1, "ada", 2, (1, 2), "9:deposited:6")
            .event(&accounts(1), 0, "bob", 1, "1:deposited:1"),
    );
    expect![[r#"
        pause bank.account.events/0
        fetch schema 9
        start bank.account.events/0@0
        load ["bob"] Locked
        commit [bob=1] -[] bank.account.events/1 0..1 epoch 1
          Committed
        group bank.account.events/1 1 "factum-view/1 07070707-0707-0707-0707-070707070707 1 db""#]]
    .assert_eq(&rig.trace());
    rig.records(Records::new().part(&accounts(0), 0, "ada", 1, (0, 2), "1:deposited:5").part(
        &accounts(0),
        1,
        "ada",
        2,
        (1, 2),
        "9:deposited:6",
    ));
    expect!["[ada=11 bob=1]"].assert_eq(&rig.balances());
}

#[test]
fn a_schema_that_cannot_be_fetched_is_asked_for_again_later() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "9:deposited:5"));
    expect![[r#"
        pause bank.account.events/0
        fetch schema 9
        wait bank.account.events/0: bank.account.events/0@0 has schema 9, which is not known yet: the registry is away"#]]
    .assert_eq(&rig.trace());
    rig.idle();
    expect![""].assert_eq(&rig.trace());
    // However often that is: the reason is the last one.
    for _ in 0..10 {
        rig.now += 10_000;
        rig.idle();
    }
    expect![[r#"
        fetch schema 9
        wait bank.account.events/0: bank.account.events/0@0 has schema 9, which is not known yet: the registry is away"#]]
    .assert_eq(&rig.trace().lines().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"));
    rig.schemas_in_registry.insert(9);
    rig.now += 10_000;
    rig.idle();
    expect![[r#"
        fetch schema 9
        start bank.account.events/0@0"#]]
    .assert_eq(&rig.trace());
}
