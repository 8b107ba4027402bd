//! A view whose table has a constraint of its user's own, which a row breaks.

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves

#[allow(dead_code)] // each test file uses a part of it
mod bank;

use bank::{ACCOUNTS, Bank, Instance, balances, place, sqlite, sqlite_rows, table};
use factum_core::view::PlaceState;
use factum_test_database::TestDatabase;
use factum_views::{ParkedFilter, PostgresRows, PostgresSink, PostgresUrl, Rows, Sink};

/// Ada may not have more than 1 000; `constrain` tells the database so.
fn check(sink: Box<dyn Sink>, constrain: impl FnOnce(), again: impl FnOnce() -> Box<dyn Sink>, rows: &dyn Rows) {
    let mut bank = Bank::new(1);
    let accounts = place(ACCOUNTS, 0);
    bank.write(&accounts, "ada", &["deposited 50"]);
    bank.write(&accounts, "bob", &["deposited 1"]);
    let mut instance: Instance = Instance::boxed(&bank, sink);
    instance.until_idle(&bank);
    constrain();
    for (account, cents) in [("bob", 5), ("ada", 2_000), ("eve", 7), ("ada", 3), ("bob", 1)] {
        bank.write(&accounts, account, &[&format!("deposited {cents}")]);
    }
    instance.until_idle(&bank);
    let found = balances(rows);
    for row in ["ada=50", "bob=7", "eve=7", "total=64"] {
        assert!(found.split(' ').any(|found| found == row), "{found}");
    }
    let status = instance.status();
    let here = &status.places[&accounts];
    assert_eq!((&here.state, here.parked_keys), (&PlaceState::Running, 1), "{status:?}");
    instance.runner.close().unwrap();
    let parked = again().parked_keys(&ParkedFilter::default(), None, 10).unwrap();
    assert_eq!((parked.len(), parked[0].first.aggregate.as_str(), parked[0].records), (1, "ada", 2));
    assert!(parked[0].first.cause.contains("the database refuses it"), "{}", parked[0].first.cause);
}

#[test]
fn an_event_whose_row_a_trigger_of_sqlite_refuses_is_parked_and_the_others_are_applied() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("views.db");
    let constrain = || {
        let by_hand = rusqlite::Connection::open(&file).unwrap();
        let trigger = |when: &str| {
            format!(
                "CREATE TRIGGER rich_{when} BEFORE {when} ON balances_v1 WHEN NEW.key = 'ada' AND NEW.cents > 1000
                 BEGIN SELECT RAISE(ABORT, 'too rich'); END;"
            )
        };
        by_hand.execute_batch(&(trigger("INSERT") + &trigger("UPDATE"))).unwrap();
    };
    check(Box::new(sqlite(folder.path())), constrain, || Box::new(sqlite(folder.path())), &sqlite_rows(folder.path()));
}

#[test]
fn an_event_whose_row_a_constraint_of_postgresql_refuses_is_parked_and_the_others_are_applied() {
    let database = TestDatabase::new();
    let url = PostgresUrl::parse(&database.url()).unwrap();
    let open = || Box::new(PostgresSink::open(&url, table()).unwrap());
    let constrain = || {
        let check = "ALTER TABLE balances_v1 ADD CONSTRAINT rich CHECK (key <> 'ada' OR cents <= 1000)";
        database.client().batch_execute(check).unwrap();
    };
    check(open(), constrain, || open(), &PostgresRows::new(&url));
}
