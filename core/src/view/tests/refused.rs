//! Rows that the database refuses for what is in them: whose they are is found, and parked.

use super::rig::*;
use crate::{Error, GroupEvent, Offset, Protections, log::Bounds, view::*};
use expect_test::expect;

fn view() -> Rig {
    let mut rig = Rig::new(Protections::ALL);
    rig.bounds = Bounds { start: Offset(0), end: Offset(100) };
    rig.event(GroupEvent::Assigned(vec![accounts(0)]));
    rig.idle();
    rig
}

fn position(rig: &Rig) -> i64 {
    rig.progress[&accounts(0)].position.0
}

/// Has the log deliver an event of each aggregate, again after each claim, until all are done or the
/// partition stops. How many commits it took.
fn deliver(rig: &mut Rig, aggregates: &[&str]) -> usize {
    rig.trace.clear();
    for _ in 0..40 {
        let from = usize::try_from(position(rig)).unwrap();
        let numbered = (from..).zip(&aggregates[from..]);
        rig.records(numbered.fold(Records::new(), |records, (offset, aggregate)| {
            let version = aggregates[..=offset].iter().filter(|other| *other == aggregate).count() as u64;
            records.event(&accounts(0), offset as i64, aggregate, version, "1:deposited:5")
        }));
        (0..3).for_each(|_| rig.idle());
        let is_over = position(rig) == aggregates.len() as i64;
        if is_over || matches!(rig.state(&accounts(0)), PlaceState::Stopped(_)) {
            return rig.trace.iter().filter(|line| line.starts_with("commit")).count();
        }
        rig.now += 10_000;
        rig.idle();
    }
    panic!("it takes for ever: {}", rig.trace());
}

#[test]
fn the_event_whose_row_is_refused_is_found_in_its_batch_and_parked_and_all_others_are_applied_once() {
    let mut rig = view();
    rig.refuses = vec!["bob"];
    let commits = deliver(&mut rig, &["ada", "ada", "bob", "eve", "bob", "eve"]);
    expect!["[ada=10 eve=10]"].assert_eq(&rig.balances());
    expect![[r#"
        bob 1 bank.account.events/0@2 tried 1: bank.account.events/0@2: the database refuses it: a constraint of the table
        bob 2 bank.account.events/0@4 tried 0: "#]].assert_eq(&rig.aside());
    // The batch, one for each event, and one for that which was refused alone.
    assert!(commits <= 1 + 6 + 1, "{commits}: {}", rig.trace());
    assert_eq!(rig.state(&accounts(0)), PlaceState::Running);

    // What comes behind is taken in as ever.
    rig.refuses.clear();
    rig.records(Records::new().event(&accounts(0), 6, "carl", 1, "1:deposited:1").event(
        &accounts(0),
        7,
        "dave",
        1,
        "1:deposited:1",
    ));
    expect!["[ada=10 carl=1 dave=1 eve=10]"].assert_eq(&rig.balances());
}

#[test]
fn several_refused_rows_of_a_batch_are_all_found() {
    let mut rig = view();
    rig.refuses = vec!["ada", "eve"];
    let commits = deliver(&mut rig, &["ada", "bob", "eve", "carl"]);
    expect!["[bob=5 carl=5]"].assert_eq(&rig.balances());
    assert_eq!(rig.aside().lines().count(), 2);
    assert!(commits <= 2 * (1 + 4 + 1), "{commits}: {}", rig.trace());
}

#[test]
fn a_refusal_that_is_not_of_a_row_stops_the_partition_after_a_bounded_number_of_commits() {
    let mut rig = view();
    rig.fail_commits.extend((0..20).map(|_| Err(Error::data("a trigger on the progress"))));
    assert_eq!(deliver(&mut rig, &["ada", "bob"]), 3, "{}", rig.trace());
    assert!(
        matches!(rig.state(&accounts(0)), PlaceState::Stopped(stop) if stop.reason.contains("a trigger on the progress"))
    );
    assert_eq!((rig.aside().as_str(), position(&rig)), ("", 0));
}
