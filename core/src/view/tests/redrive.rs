//! Parked records that are tried again.

use super::rig::*;
use crate::{Offset, Result, view::*};
use expect_test::expect;

/// Ada's second event cannot be read without schema 7, and two more wait behind it.
fn parked() -> (Rig, Records) {
    let records = |second: &str| {
        Records::new()
            .event(&accounts(0), 0, "ada", 1, "1:deposited:5")
            .event(&accounts(0), 1, "ada", 2, second)
            .event(&accounts(0), 2, "bob", 1, "1:deposited:1")
            .part(&accounts(0), 3, "ada", 3, (0, 2), "1:deposited:20")
            .part(&accounts(0), 4, "ada", 4, (1, 2), "1:deposited:300")
    };
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(records("rubbish"));
    expect!["[ada=5 bob=1]"].assert_eq(&rig.balances());
    // What cannot be decoded today can be tomorrow.
    (rig, records("1:deposited:4000"))
}

fn step(rig: &mut Rig, records: &Records, limit: usize) -> Result<CommitOutcome> {
    let mut parked = rig.parked_of(&accounts(0), "ada");
    parked.truncate(limit);
    let mut redrive = Redrive::<Balances, _>::new(rig.codec.clone(), parked)?;
    for record in records.batch.iter() {
        assert_eq!(redrive.take(record)?, Refolding::Taken);
    }
    loop {
        let loaded = rig.load(&redrive.request());
        if let Some(commit) = redrive.fold(loaded, &|_, _| false)? {
            return Ok(rig.commit(commit));
        }
    }
}

#[test]
fn a_redrive_applies_all_records_in_order_and_frees_the_key() {
    let (mut rig, records) = parked();
    assert_eq!(step(&mut rig, &records, 100).unwrap(), CommitOutcome::Committed);
    expect!["[ada=4325 bob=1]"].assert_eq(&rig.balances());
    assert_eq!(rig.aside(), "");
    // The view goes on behind it.
    rig.records(Records::new().event(&accounts(0), 5, "ada", 5, "1:deposited:50000"));
    expect!["[ada=54325 bob=1]"].assert_eq(&rig.balances());
}

#[test]
fn a_redrive_in_steps_keeps_the_rest_in_order_and_never_cuts_a_batch() {
    let (mut rig, records) = parked();
    assert_eq!(step(&mut rig, &records, 2).unwrap(), CommitOutcome::Committed);
    expect!["[ada=4005 bob=1]"].assert_eq(&rig.balances());
    expect![[r#"
        ada 3 bank.account.events/0@3 tried 0: a redrive came to here; run it again to go on
        ada 4 bank.account.events/0@4 tried 0: "#]]
    .assert_eq(&rig.aside());
    assert_eq!(step(&mut rig, &records, 2).unwrap(), CommitOutcome::Committed);
    expect!["[ada=4325 bob=1]"].assert_eq(&rig.balances());
}

#[test]
fn a_redrive_that_fails_again_says_so_and_counts_its_attempts() {
    let (mut rig, _) = parked();
    let still = Records::new().event(&accounts(0), 1, "ada", 2, "rubbish").part(
        &accounts(0),
        3,
        "ada",
        3,
        (0, 2),
        "1:deposited:20",
    );
    let still = still.part(&accounts(0), 4, "ada", 4, (1, 2), "1:deposited:300");
    for _ in 0..2 {
        assert_eq!(step(&mut rig, &still, 100).unwrap(), CommitOutcome::Committed);
    }
    expect![[r#"
        ada 2 bank.account.events/0@1 tried 3: bank.account.events/0@1 cannot be decoded: "rubbish" is no event
        ada 3 bank.account.events/0@3 tried 0: 
        ada 4 bank.account.events/0@4 tried 0: "#]]
    .assert_eq(&rig.aside());
    expect!["[ada=5 bob=1]"].assert_eq(&rig.balances());
}

#[test]
fn a_redrive_stops_at_the_first_record_that_fails_and_keeps_those_before_it() {
    let (mut rig, _) = parked();
    let records = Records::new().event(&accounts(0), 1, "ada", 2, "1:deposited:4000").part(
        &accounts(0),
        3,
        "ada",
        3,
        (0, 2),
        "1:deposited:20",
    );
    let records = records.part(&accounts(0), 4, "ada", 4, (1, 2), "1:poison");
    assert_eq!(step(&mut rig, &records, 100).unwrap(), CommitOutcome::Committed);
    expect!["[ada=4005 bob=1]"].assert_eq(&rig.balances());
    expect![[r#"
        ada 3 bank.account.events/0@3 tried 1: balances::fold of row "ada" at bank.account.events/0@4: panicked: cannot digest this
        ada 4 bank.account.events/0@4 tried 0: "#]]
    .assert_eq(&rig.aside());
}

#[test]
fn of_two_redrives_that_race_one_changes_nothing() {
    let (mut rig, records) = parked();
    let mut slow = Redrive::<Balances, _>::new(rig.codec.clone(), rig.parked_of(&accounts(0), "ada")).unwrap();
    records.batch.iter().for_each(|record| assert_eq!(slow.take(record).unwrap(), Refolding::Taken));
    let loaded = rig.load(&slow.request());
    let late = slow.fold(loaded, &|_, _| false).unwrap().unwrap();
    assert_eq!(step(&mut rig, &records, 1).unwrap(), CommitOutcome::Committed);
    let (rows, aside) = (rig.balances(), rig.aside());
    assert_eq!(rig.commit(late), CommitOutcome::RowsChanged);
    assert_eq!((rig.balances(), rig.aside()), (rows, aside));
}

#[test]
fn a_record_that_is_gone_from_its_topic_is_named() {
    let (mut rig, _) = parked();
    let later = Records::new().event(&accounts(0), 2, "bob", 1, "1:deposited:1");
    expect!["view balances: bank.account.events/0@1 is parked and is not in its topic any more; `factum parked drop` gives it up"]
        .assert_eq(&step(&mut rig, &later, 100).unwrap_err().to_string());
}

#[test]
fn the_first_command_can_be_given_up_and_the_rest_redriven() {
    let (mut rig, records) = parked();
    let mut redrive = Redrive::<Balances, _>::new(rig.codec.clone(), rig.parked_of(&accounts(0), "ada")).unwrap();
    records.batch.iter().for_each(|record| assert_eq!(redrive.take(record).unwrap(), Refolding::Taken));
    assert_eq!(rig.commit(redrive.give_up_first().unwrap()), CommitOutcome::Committed);
    expect![[r#"
        ada 3 bank.account.events/0@3 tried 0: an earlier event was dropped; redrive it
        ada 4 bank.account.events/0@4 tried 0: "#]]
    .assert_eq(&rig.aside());
    assert_eq!(step(&mut rig, &records, 100).unwrap(), CommitOutcome::Committed);
    expect!["[ada=325 bob=1]"].assert_eq(&rig.balances());
    assert_eq!(rig.parked.len(), 0);
    assert_eq!(rig.last.values().map(|last| last.offset).max(), Some(Offset(4)));
}

#[test]
fn a_key_that_is_given_up_goes_on_behind_its_last_record() {
    let (mut rig, _) = parked();
    let records = rig.parked_of(&accounts(0), "ada");
    assert_eq!(rig.commit(given_up(&records, records.len(), "")), CommitOutcome::Committed);
    rig.records(Records::new().event(&accounts(0), 5, "ada", 5, "1:deposited:50000"));
    expect!["[ada=50005 bob=1]"].assert_eq(&rig.balances());
    assert_eq!(rig.state(&accounts(0)), PlaceState::Running);
}
