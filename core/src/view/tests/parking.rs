//! Events that cannot be applied: their aggregates are parked, others go on.

use super::rig::*;
use crate::{Error, GroupEvent, Offset, Protections, view::*};
use expect_test::{Expect, expect};

/// Partition 0 parks ada by these records; what is behind them, and partition 1, goes on.
fn check_parks(records: Records, rows: Expect, aside: Expect) -> Rig {
    let mut rig = Rig::with(&[accounts(0), accounts(1)]);
    rig.records(records.event(&accounts(0), 8, "eve", 1, "1:deposited:6").event(
        &accounts(1),
        0,
        "bob",
        1,
        "1:deposited:1",
    ));
    rows.assert_eq(&rig.balances());
    aside.assert_eq(&rig.aside());
    assert_eq!(rig.state(&accounts(0)), PlaceState::Running);
    assert_eq!(rig.progress[&accounts(0)].position, Offset(9));
    assert_eq!(rig.machine.status()[&accounts(0)].parked_keys, 1);
    rig
}

#[test]
fn bytes_that_are_no_event_park_their_aggregate_and_the_next_good_event_of_another_is_applied() {
    check_parks(
        Records::new().event(&accounts(0), 0, "ada", 1, "rubbish"),
        expect!["[bob=1 eve=6]"],
        expect![[
            r#"ada 1 bank.account.events/0@0 tried 1: bank.account.events/0@0 cannot be decoded: "rubbish" is no event"#
        ]],
    );
}

#[test]
fn a_panicking_fold_parks_its_batch_as_a_whole_and_what_comes_behind_it() {
    let rig = check_parks(
        Records::new()
            .event(&accounts(0), 0, "ada", 1, "1:deposited:5")
            .part(&accounts(0), 1, "ada", 2, (0, 2), "1:deposited:100")
            .part(&accounts(0), 2, "ada", 3, (1, 2), "1:poison")
            .event(&accounts(0), 3, "ada", 4, "1:deposited:7"),
        expect!["[ada=5 bob=1 eve=6]"],
        expect![[r#"
            ada 2 bank.account.events/0@1 tried 1: balances::fold of row "ada" at bank.account.events/0@2: panicked: cannot digest this
            ada 3 bank.account.events/0@2 tried 0: 
            ada 4 bank.account.events/0@3 tried 0: "#]],
    );
    let counts = rig.machine.status()[&accounts(0)].counts;
    assert_eq!(counts, Counts { applied: 2, unknown: 0, repeated: 0, parked: 3 });
}

#[test]
fn a_row_that_cannot_be_stored_parks_the_aggregate_of_its_event() {
    check_parks(
        Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5").event(
            &accounts(0),
            1,
            "ada",
            2,
            "1:deposited:9223372036854775807",
        ),
        expect!["[ada=5 bob=1 eve=6]"],
        expect![[
            r#"ada 2 bank.account.events/0@1 tried 1: balances::fold of row "ada" at bank.account.events/0@1: its row cannot be stored: field cents: 9223372036854775812 is beyond a 64-bit signed integer"#
        ]],
    );
}

#[test]
fn a_row_that_several_aggregates_feed_is_as_before_the_one_that_fails() {
    let rig = check_parks(
        Records::new()
            .event(&accounts(0), 0, "zoe", 1, "1:deposited:20")
            .event(&accounts(0), 1, "zoe", 2, "1:moved:ada:3")
            .part(&accounts(0), 2, "ada", 1, (0, 2), "1:moved:zoe:1")
            .part(&accounts(0), 3, "ada", 2, (1, 2), "1:poison")
            .event(&accounts(0), 4, "zoe", 3, "1:moved:ada:4"),
        expect!["[ada=7 bob=1 eve=6 zoe=13]"],
        expect![[r#"
            ada 1 bank.account.events/0@2 tried 1: balances::fold of row "ada" at bank.account.events/0@3: panicked: cannot digest this
            ada 2 bank.account.events/0@3 tried 0: "#]],
    );
    assert!(!rig.last.keys().any(|(_, id)| id.as_str() == "ada"), "nothing of ada was applied");
}

#[test]
fn events_of_a_parked_aggregate_wait_behind_it_also_after_a_restart() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:poison"));
    rig.restart(&[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 1, "ada", 2, "1:deposited:5").event(
        &accounts(0),
        2,
        "bob",
        1,
        "1:deposited:7",
    ));
    expect!["[bob=7]"].assert_eq(&rig.balances());
    expect![[r#"
        ada 1 bank.account.events/0@0 tried 1: balances::fold of row "ada" at bank.account.events/0@0: panicked: cannot digest this
        ada 2 bank.account.events/0@1 tried 0: "#]]
    .assert_eq(&rig.aside());
    assert_eq!(rig.machine.status()[&accounts(0)].parked_keys, 1);
}

#[test]
fn a_partition_with_nothing_parked_asks_for_nothing() {
    let mut rig = Rig::with(&[accounts(0)]);
    let asks = |rig: &mut Rig, offset, id: &str| {
        let records = Records::new().event(&accounts(0), offset, id, 1, "rubbish");
        let poll = Polled { now: crate::TimestampMs(9), records: &records.batch, event: None, positions: &[] };
        let mut effects = rig.machine.polled(&poll);
        if let [Effect::Mark(_)] = &effects[..] {
            effects = rig.machine.marked(Ok(Vec::new()));
        }
        let [Effect::Load(request)] = &effects[..] else { panic!("{effects:?}") };
        let asked = request.may_be_parked.clone();
        let loaded = rig.load(request);
        for effect in rig.machine.loaded(Ok(loaded)) {
            if let Effect::Commit(commit) = effect {
                let outcome = rig.commit(commit);
                rig.machine.committed(Ok(outcome));
            }
        }
        asked
    };
    assert_eq!(asks(&mut rig, 0, "ada"), [0; 0]);
    assert_eq!(asks(&mut rig, 1, "bob"), [0]);
    rig.machine.parked_counted(&[(accounts(0), 0)].into());
    assert_eq!(asks(&mut rig, 2, "eve"), [0; 0]);
}

#[test]
fn records_that_come_again_are_not_parked_twice_and_those_that_were_applied_not_at_all() {
    let mut rig = Rig::with(&[accounts(0)]);
    let records = || {
        Records::new()
            .event(&accounts(0), 0, "ada", 1, "1:deposited:5")
            .event(&accounts(0), 1, "ada", 2, "1:poison")
            .event(&accounts(0), 2, "ada", 3, "1:deposited:5")
    };
    rig.records(records());
    let before = rig.aside();
    rig.event(GroupEvent::Revoked(vec![accounts(0)]));
    rig.progress.get_mut(&accounts(0)).unwrap().position = Offset(0);
    rig.group.clear();
    rig.event(GroupEvent::Assigned(vec![accounts(0)]));
    rig.idle();
    rig.records(records());
    assert_eq!(rig.aside(), before);
    assert_eq!(rig.parked.len(), 2);
    assert_eq!(rig.progress[&accounts(0)].position, Offset(3));
    expect!["[ada=5]"].assert_eq(&rig.balances());
}

#[test]
fn an_event_behind_a_key_that_was_freed_meanwhile_is_applied() {
    let mut rig = Rig::caught_up(&[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:poison"));
    let records = Records::new().event(&accounts(0), 1, "ada", 2, "1:deposited:5");
    let poll = Polled { now: crate::TimestampMs(9), records: &records.batch, event: None, positions: &[] };
    let effects = rig.machine.polled(&poll);
    let [Effect::Load(request)] = &effects[..] else { panic!("{effects:?}") };
    let loaded = rig.load(request);
    let effects = rig.machine.loaded(Ok(loaded));
    let [Effect::Commit(commit)] = &effects[..] else { panic!("{effects:?}") };
    // Somebody gives the key free between the load and the commit.
    let dropped = given_up(&rig.parked_of(&accounts(0), "ada"), 1, "");
    assert_eq!(rig.commit(dropped), CommitOutcome::Committed);
    let outcome = rig.commit(commit.clone());
    assert_eq!(outcome, CommitOutcome::RowsChanged);
    let effects = rig.machine.committed(Ok(outcome));
    let [Effect::Load(request)] = &effects[..] else { panic!("{effects:?}") };
    let loaded = rig.load(request);
    for effect in rig.machine.loaded(Ok(loaded)) {
        if let Effect::Commit(commit) = effect {
            assert_eq!(rig.commit(commit), CommitOutcome::Committed);
        }
    }
    expect!["[ada=5]"].assert_eq(&rig.balances());
    assert_eq!(rig.parked.len(), 0);
}

#[test]
fn without_ordered_redrive_a_later_event_overtakes_a_parked_one() {
    let rows_of = |protections| {
        let mut rig = Rig::protected(protections, &[accounts(0)]);
        rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "rubbish"));
        rig.records(Records::new().event(&accounts(0), 1, "ada", 2, "1:deposited:5"));
        rig.balances()
    };
    assert_eq!(rows_of(Protections::ALL), "[]");
    assert_eq!(rows_of(Protections { ordered_redrive: false, ..Protections::ALL }), "[ada=5]");
}

#[test]
fn a_commit_that_fails_parks_nothing() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.fail_commits.push_back(Err(Error::unavailable("the database is away")));
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:poison"));
    assert_eq!(rig.machine.status()[&accounts(0)].parked_keys, 0);
    assert_eq!(rig.parked.len(), 0);
}
