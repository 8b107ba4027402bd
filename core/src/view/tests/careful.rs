//! Records that end the process: found by the marks of what was begun, and parked.

use super::rig::*;
use crate::{Error, GroupEvent, Offset, Protections, log::Bounds, view::*};
use expect_test::expect;

/// Events of one aggregate each, from this offset on.
fn events(from: i64, aggregates: &[&str]) -> Records {
    let numbered = (from..).zip(aggregates);
    numbered.fold(Records::new(), |records, (offset, aggregate)| {
        records.event(&accounts(0), offset, aggregate, 1, "1:deposited:5")
    })
}

/// A view with one partition, of which the log ends at this offset.
fn view(end: i64) -> Rig {
    let mut rig = Rig::new(Protections::ALL);
    rig.bounds = Bounds { start: Offset(0), end: Offset(end) };
    rig.event(GroupEvent::Assigned(vec![accounts(0)]));
    rig.idle();
    rig.trace.clear();
    rig
}

fn position(rig: &Rig) -> i64 {
    rig.progress[&accounts(0)].position.0
}

/// Starts processes until one does not die of these records, or of what the others left of them; how many died.
fn deaths_of(rig: &mut Rig, from: i64, aggregates: &[&str]) -> usize {
    for deaths in 0..20 {
        let left = usize::try_from(position(rig) - from).unwrap();
        rig.records(events(from + left as i64, &aggregates[left..]));
        (0..3).for_each(|_| rig.idle());
        if !rig.died {
            return deaths;
        }
        rig.start_anew(&[accounts(0)]);
    }
    panic!("it dies for ever: {}", rig.trace());
}

#[test]
fn a_first_record_that_kills_is_parked_after_three_deaths_and_the_others_are_applied_once() {
    let mut rig = view(3);
    rig.dies_on = Some("ada");
    assert_eq!(deaths_of(&mut rig, 0, &["ada", "bob", "eve"]), 3);
    expect!["[bob=5 eve=5]"].assert_eq(&rig.balances());
    expect!["ada 1 bank.account.events/0@0 tried 1: bank.account.events/0@0: the process ended 3 times while the events of this command were in hand"]
        .assert_eq(&rig.aside());
    assert_eq!(position(&rig), 3);
    assert!(ended_its_process(&rig.aside()) && !ended_its_process("it cannot be decoded"));
}

#[test]
fn a_record_in_the_midst_that_kills_costs_one_death_more() {
    let mut rig = view(5);
    rig.dies_on = Some("eve");
    assert_eq!(deaths_of(&mut rig, 0, &["ada", "bob", "eve", "dave", "carl"]), 4);
    expect!["[ada=5 bob=5 carl=5 dave=5]"].assert_eq(&rig.balances());
    expect!["eve 1 bank.account.events/0@2 tried 1: bank.account.events/0@2: the process ended 3 times while the events of this command were in hand"]
        .assert_eq(&rig.aside());
}

#[test]
fn a_record_behind_the_first_batch_that_kills_costs_five_deaths_at_most() {
    let mut rig = view(1);
    rig.records(events(0, &["ada"]));
    rig.bounds.end = Offset(4);
    assert_eq!(position(&rig), 1);
    rig.dies_on = Some("eve");
    assert_eq!(deaths_of(&mut rig, 1, &["bob", "eve", "carl"]), 5);
    expect!["[ada=5 bob=5 carl=5]"].assert_eq(&rig.balances());
}

#[test]
fn the_events_of_one_command_are_one_unit_and_wait_until_all_have_come() {
    let mut rig = view(4);
    rig.dies_on = Some("ada");
    let records = || {
        Records::new()
            .part(&accounts(0), 0, "ada", 1, (0, 2), "1:deposited:1")
            .part(&accounts(0), 1, "ada", 2, (1, 2), "1:deposited:2")
            .event(&accounts(0), 2, "bob", 1, "1:deposited:7")
    };
    for _ in 0..3 {
        rig.records(records());
        assert!(rig.died);
        rig.start_anew(&[accounts(0)]);
    }
    rig.records(Records::new().part(&accounts(0), 0, "ada", 1, (0, 2), "1:deposited:1"));
    assert_eq!((position(&rig), rig.aside()), (0, String::new()));
    rig.records(Records::new().part(&accounts(0), 1, "ada", 2, (1, 2), "1:deposited:2").event(
        &accounts(0),
        2,
        "bob",
        1,
        "1:deposited:7",
    ));
    expect!["[bob=7]"].assert_eq(&rig.balances());
    assert_eq!(rig.parked_of(&accounts(0), "ada").len(), 2);
}

#[test]
fn a_healthy_process_that_is_killed_over_and_over_parks_nothing() {
    let mut rig = view(100);
    for offset in 0..40 {
        rig.records(events(offset, &["ada"]).relabelled(offset));
        rig.start_anew(&[accounts(0)]);
        rig.idle();
        rig.start_anew(&[accounts(0)]);
    }
    assert_eq!((position(&rig), rig.aside()), (40, String::new()));
    assert_eq!(rig.machine.status()[&accounts(0)].careful, None);
}

#[test]
fn a_careful_partition_says_why_and_goes_back_to_batches_behind_what_may_have_been_in_hand() {
    let mut rig = view(3);
    rig.dies_on = Some("ada");
    rig.records(events(0, &["ada", "bob", "eve"]));
    rig.dies_on = None;
    rig.start_anew(&[accounts(0)]);
    expect!["the process ended once with the records from offset 0 in hand; the events of one command are applied at a time, at most up to offset 3"]
        .assert_eq(rig.machine.status()[&accounts(0)].careful.as_deref().unwrap());
    rig.trace.clear();
    rig.records(events(0, &["ada", "bob", "eve"]));
    assert_eq!(rig.trace().matches("commit [").count(), 3, "one transaction for each command");
    assert_eq!(rig.machine.status()[&accounts(0)].careful, None);
    rig.records(events(3, &["carl", "dave"]));
    assert_eq!(rig.trace().matches("commit [").count(), 1);
    expect!["[ada=5 bob=5 carl=5 dave=5 eve=5]"].assert_eq(&rig.balances());
}

#[test]
fn only_the_first_batch_and_what_was_there_at_the_claim_is_marked() {
    let mut rig = view(2);
    (0..5).for_each(|offset| rig.records(events(offset, &["ada"]).relabelled(offset)));
    assert_eq!((position(&rig), rig.marks_in_hand), (5, 2));
}

#[test]
fn only_one_command_of_all_partitions_is_in_hand_where_one_is_careful() {
    let mut rig = Rig::with(&[accounts(0), accounts(1)]);
    rig.dies_on = Some("ada");
    let records = || {
        (0..3).fold(Records::new(), |records, offset| {
            let (ids, version) = (["ada", "bob", "eve"], 1);
            let here = ids[usize::try_from(offset).unwrap()];
            records.event(&accounts(0), offset, here, version, "1:deposited:5").event(
                &accounts(1),
                offset,
                &format!("other-{here}"),
                version,
                "1:deposited:5",
            )
        })
    };
    rig.records(records());
    assert!(rig.died);
    rig.start_anew(&[accounts(0), accounts(1)]);
    let mut left = 0;
    while position(&rig) < 3 {
        rig.records(records());
        left += 1;
        if rig.died {
            rig.start_anew(&[accounts(0), accounts(1)]);
        }
        assert!(left < 10, "{}", rig.trace());
    }
    rig.idle();
    expect!["[bob=5 eve=5 other-ada=5 other-bob=5 other-eve=5]"].assert_eq(&rig.balances());
    assert!(rig.aside().starts_with("ada 1 "), "{}", rig.aside());
    assert_eq!(rig.parked.len(), 1);
}

#[test]
fn what_waits_for_its_turn_is_bounded_and_delivery_is_held_meanwhile() {
    let many: Vec<String> = (0..250).map(|number| format!("a{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut rig = view(250);
    rig.dies_on = Some("a0");
    rig.records(events(0, &many));
    rig.dies_on = None;
    rig.start_anew(&[accounts(0)]);
    rig.trace.clear();
    rig.records(events(0, &many));
    assert_eq!(position(&rig), 100);
    assert!(rig.machine.has_waiting());
    assert!(rig.trace().contains("pause bank.account.events/0"));
    rig.idle();
    assert_eq!(position(&rig), 200);
    rig.idle();
    assert_eq!(position(&rig), 250);
    assert!(!rig.machine.has_waiting());
    assert!(rig.trace().contains("start bank.account.events/0@250"));
}

#[test]
fn a_database_that_is_away_is_no_death() {
    let mut rig = view(3);
    for _ in 0..10 {
        rig.fail_commits.push_back(Err(Error::unavailable("the database is away")));
        rig.records(events(0, &["ada", "bob", "eve"]));
        rig.now += 10_000;
        rig.idle();
        assert_eq!(rig.machine.status()[&accounts(0)].careful, None);
    }
    rig.fail_marks_in_hand.push_back(Err(Error::unavailable("the database is away")));
    rig.start_anew(&[accounts(0)]);
    rig.now += 10_000;
    rig.idle();
    rig.records(events(0, &["ada"]));
    assert!(matches!(rig.state(&accounts(0)), PlaceState::Waiting { awaited: Awaited::Database, .. }));
}

#[test]
fn a_partition_that_is_given_up_in_good_order_leaves_no_trace_of_a_death() {
    let mut rig = view(3);
    rig.fail_commits.push_back(Err(Error::unavailable("the database is away")));
    rig.records(events(0, &["ada", "bob", "eve"]));
    assert_eq!(rig.in_hand[&accounts(0)], (Offset(0), 1));
    rig.event(GroupEvent::Revoked(vec![accounts(0)]));
    assert_eq!(rig.in_hand[&accounts(0)], (Offset(0), 0));
}

#[test]
fn a_schema_that_is_fetched_while_records_are_in_hand_is_no_death() {
    let mut rig = view(2);
    rig.dies_on = Some("ada");
    rig.records(events(0, &["ada"]));
    rig.dies_on = None;
    rig.start_anew(&[accounts(0)]);
    let records = || Records::new().event(&accounts(0), 0, "ada", 1, "9:deposited:5");
    for _ in 0..5 {
        rig.records(records());
        rig.now += 10_000;
        rig.idle();
    }
    assert_eq!(rig.in_hand[&accounts(0)], (Offset(0), 2));
    rig.schemas_in_registry.insert(9);
    rig.now += 10_000;
    rig.idle();
    rig.records(records());
    expect!["[ada=5]"].assert_eq(&rig.balances());
}

#[test]
fn a_mark_of_a_claim_that_was_lost_is_not_written() {
    let mut rig = view(3);
    rig.progress.get_mut(&accounts(0)).unwrap().epoch += 1;
    rig.records(events(0, &["ada"]));
    assert!(rig.in_hand.is_empty());
    assert!(matches!(rig.state(&accounts(0)), PlaceState::Waiting { awaited: Awaited::Owner, .. }));
}
