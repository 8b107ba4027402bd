//! Consumers that were built with the first version of the bank's events, over
//! a log that today's bank writes.
#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use factum::{
    Database, TypedClient,
    environment::Environment,
    handler::Granted,
    host::{AggregateHost, HandlerOptions, Running, Stop, Typed, TypedView, ViewHost, ViewProgress},
    to,
    view::{Recorded, Scope, UnknownRecords, View},
};
use factum_bank::{Account, Deposit, EntryKind, RecordEntry, SetOverdraftLimit, Withdraw};
use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

const BANK: &str = "bank.account";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the first version knew, as it was: a fee without a reason. Of an
/// overdraft this consumer knows nothing.
mod v1 {
    use factum::event;

    #[event("bank.account")]
    pub(crate) struct Deposited {
        pub(crate) cents: i64,
    }

    #[event("bank.account")]
    pub(crate) struct Withdrawn {
        pub(crate) cents: i64,
    }

    #[event("bank.account")]
    pub(crate) struct FeeCharged {
        pub(crate) cents: i64,
    }

    #[event]
    pub(crate) enum Event {
        Deposited(Deposited),
        Withdrawn(Withdrawn),
        FeeCharged(FeeCharged),
    }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Balance {
    cents: i64,
}

macro_rules! balances {
    ($view:ident, $name:literal, $unknown:expr) => {
        struct $view;

        impl View for $view {
            const NAME: &'static str = $name;
            const VERSION: u32 = 1;
            const INPUTS: &'static [&'static str] = &[BANK];
            const SCOPE: Scope = Scope::Aggregate;
            const UNKNOWN: UnknownRecords = $unknown;
            type Event = v1::Event;
            type Row = Balance;

            fn keys(event: &Recorded<v1::Event>) -> Vec<String> {
                vec![event.aggregate.to_string()]
            }

            fn fold(_: &str, row: Option<Balance>, event: &Recorded<v1::Event>) -> Option<Balance> {
                let change = match &event.event {
                    v1::Event::Deposited(deposited) => deposited.cents,
                    v1::Event::Withdrawn(withdrawn) => -withdrawn.cents,
                    v1::Event::FeeCharged(fee) => -fee.cents,
                };
                Some(Balance { cents: row.map_or(0, |row| row.cents) + change })
            }
        }
    };
}

balances!(Skipping, "skipping", UnknownRecords::Skip);
balances!(Parking, "parking", UnknownRecords::Park);
balances!(Stopping, "stopping", UnknownRecords::Stop);

fn start<V: View>(environment: &Environment, folder: &Path, stop: &Stop) -> (Running, ViewProgress)
where
    TypedView<V>: ViewHost,
{
    let database = Database::file(folder.join(format!("{}.sqlite", V::NAME)));
    TypedView::<V>::default().start(environment, &database, stop).unwrap()
}

fn rows(folder: &Path, name: &str) -> Vec<(String, i64)> {
    let file = rusqlite::Connection::open(folder.join(format!("{name}.sqlite"))).unwrap();
    let mut select = file.prepare(&format!("SELECT key, cents FROM {name}_v1 ORDER BY key")).unwrap();
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn wait(what: &str, reached: impl Fn() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn consumers_of_version_1_go_on_under_todays_bank_and_unknown_events_follow_their_policy() {
    let environment = Environment::in_memory();
    environment.create_topics(BANK, 1, None).unwrap();
    let stop = Stop::default();
    let options = HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
    let (handler, _) = Typed::<Account>::default().start_handler(&environment, options, &stop).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (skipping, skipped) = start::<Skipping>(&environment, folder.path(), &stop);
    let (parking, parked) = start::<Parking>(&environment, folder.path(), &stop);
    let (stopping, stopped) = start::<Stopping>(&environment, folder.path(), &stop);

    let client: TypedClient<Account> = environment.client().unwrap();
    let reason = Some("a letter".to_owned());
    let fee = |cents| RecordEntry { kind: EntryKind::Fee, cents, reason: reason.clone() };
    // Anna's fee has a field more than version 1 knew; her events are all known.
    client.send(to("anna", Deposit { cents: 1_000 })).unwrap().accepted().unwrap();
    client.send(to("anna", fee(30))).unwrap().accepted().unwrap();
    // Carl's second event is one that version 1 did not know.
    client.send(to("carl", Deposit { cents: 500 })).unwrap().accepted().unwrap();
    wait("what is known is applied by all of them", || {
        [&skipped, &parked, &stopped].iter().all(|progress| progress.status().totals.applied >= 3)
    });
    client.send(to("carl", SetOverdraftLimit { cents: 100 })).unwrap().accepted().unwrap();
    client.send(to("carl", Withdraw { cents: 550 })).unwrap().accepted().unwrap();
    client.send(to("anna", fee(7))).unwrap().accepted().unwrap();

    wait("the one that skips applies the rest", || skipped.status().totals.applied == 5);
    wait("the one that parks applies anna's fee", || parked.status().totals.applied == 4);
    wait("the one that stops says so", || stopped.stopped().is_some());
    assert_eq!((skipped.status().totals.unknown, skipped.status().totals.parked), (1, 0));
    assert_eq!((parked.status().totals.unknown, parked.status().totals.parked), (0, 2));
    let why = stopped.stopped().unwrap();
    assert!(
        why.contains(
            "has record type bank.account.OverdraftLimitChanged, which this version of the view does not know"
        ),
        "{why}"
    );

    stop.stop();
    handler.join().unwrap();
    for running in [skipping, parking, stopping] {
        running.join().unwrap();
    }
    let balances = |anna, carl| vec![("anna".to_owned(), anna), ("carl".to_owned(), carl)];
    assert_eq!(rows(folder.path(), "skipping"), balances(963, -50));
    assert_eq!(rows(folder.path(), "parking"), balances(963, 500));
    assert_eq!(rows(folder.path(), "stopping"), balances(970, 500));
}
