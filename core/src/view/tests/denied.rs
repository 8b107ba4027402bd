//! Schemas that the registry does not have: a partition waits, and then parks what has them.

use super::rig::*;
use crate::{
    Error,
    view::{Awaited, PlaceState},
};
use expect_test::expect;

fn denies() -> Error {
    Error::data("schema id 9: status 404: not found (error 40403)")
}

/// Ada's event has a schema that the registry denies.
fn strange() -> Records {
    Records::new().event(&accounts(0), 0, "ada", 1, "9:deposited:5").event(&accounts(0), 1, "bob", 1, "1:deposited:1")
}

/// Asks the registry until the time.
fn until(rig: &mut Rig, time: i64) {
    while rig.now < time {
        rig.now += 1_000;
        rig.idle();
    }
}

#[test]
fn a_schema_that_is_denied_for_two_minutes_parks_its_aggregate_and_the_others_go_on() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.registry_says = denies;
    rig.records(strange());
    until(&mut rig, 119_000);
    let waits = |rig: &Rig| match &rig.machine.status()[&accounts(0)].state {
        PlaceState::Waiting { awaited: Awaited::Registry, why } => why.clone(),
        state => panic!("{state:?}"),
    };
    assert_eq!(
        waits(&rig),
        "bank.account.events/0@0 has schema 9, which is not known yet: schema id 9: status 404: not found (error 40403)"
    );
    assert!(rig.parked.is_empty());
    until(&mut rig, 130_000);
    rig.records(strange());
    expect!["ada 1 bank.account.events/0@0 tried 1: bank.account.events/0@0: it has schema 9: schema id 9: status 404: not found (error 40403)"].assert_eq(&rig.aside());
    assert_eq!(rig.balances(), "[bob=1]");
    assert_eq!(rig.machine.status()[&accounts(0)].state, PlaceState::Running);
    assert_eq!(rig.machine.status()[&accounts(0)].parked_keys, 1);
    // Its next event waits behind it, another aggregate's is parked without a wait, and a good one is applied.
    rig.trace.clear();
    rig.records(
        Records::new()
            .event(&accounts(0), 2, "ada", 2, "1:deposited:5")
            .event(&accounts(0), 3, "eve", 1, "9:deposited:5")
            .event(&accounts(0), 4, "bob", 2, "1:deposited:1"),
    );
    assert!(!rig.trace().contains("fetch schema"));
    assert_eq!((rig.parked_of(&accounts(0), "ada").len(), rig.parked_of(&accounts(0), "eve").len()), (2, 1));
    assert_eq!(rig.balances(), "[bob=2]");
}

#[test]
fn a_schema_that_comes_within_two_minutes_parks_nothing() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.registry_says = denies;
    rig.records(strange());
    until(&mut rig, 100_000);
    rig.schemas_in_registry.insert(9);
    until(&mut rig, 110_000);
    rig.records(strange());
    assert_eq!(rig.balances(), "[ada=5 bob=1]");
    assert!(rig.parked.is_empty());
}

#[test]
fn a_missing_schema_is_asked_for_again_after_a_minute_and_taken_when_it_is_there() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.registry_says = denies;
    rig.records(strange());
    until(&mut rig, 130_000);
    rig.records(strange());
    rig.now += 61_000;
    let next = |version, offset| Records::new().event(&accounts(0), offset, "bob", version, "9:deposited:5");
    rig.records(next(2, 2));
    // It was denied once more, and that is enough.
    rig.records(next(2, 2));
    assert_eq!(rig.parked_of(&accounts(0), "bob").len(), 1);
    rig.now += 61_000;
    rig.schemas_in_registry.insert(9);
    let good = |offset| Records::new().event(&accounts(0), offset, "eve", 1, "9:deposited:5");
    rig.records(good(3));
    rig.records(good(3));
    assert_eq!(rig.balances(), "[bob=1 eve=5]");
}

#[test]
fn a_registry_that_is_away_or_refuses_the_caller_parks_nothing_however_long() {
    for says in [|| Error::unavailable("away"), || Error::invalid("other credentials")] as [fn() -> Error; 2] {
        let mut rig = Rig::with(&[accounts(0)]);
        rig.registry_says = says;
        rig.records(strange());
        until(&mut rig, 600_000);
        rig.records(strange());
        assert!(rig.parked.is_empty());
        rig.schemas_in_registry.insert(9);
        until(&mut rig, 610_000);
        rig.records(strange());
        assert_eq!(rig.balances(), "[ada=5 bob=1]");
    }
}
