//! Rows folded again from their history, in parts that fit memory.
#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use factum::{
    Database, TypedClient,
    environment::Environment,
    host::{AggregateHost, HandlerOptions, RefoldRequest, RefoldTally, Stop, Typed, TypedView, ViewHost},
    to,
    views::{Query, Sink},
};
use factum_bank::{Account, Balances, Deposit};
use std::{
    thread,
    time::{Duration, Instant},
};

const BANK: &str = "bank.account";
const ACCOUNTS: u64 = 25;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Folds the rows of the only partition again, so many at a time.
fn refold(environment: &Environment, sink: &mut dyn Sink, pass_rows: usize) -> factum::Result<RefoldTally> {
    let place = environment.log.admin()?.partitions(&environment.topics(BANK).events)?.remove(0);
    let stop = Stop::default();
    let request = RefoldRequest { place: &place, from: factum::Offset(0), only: None, pass_rows, stop: &stop };
    TypedView::<Balances>::default().refold(environment, sink, &request, &mut |done, total| assert!(done <= total))
}

#[test]
fn rows_are_folded_again_a_part_at_a_time_and_too_many_of_them_are_refused() {
    let environment = Environment::in_memory();
    environment.create_topics(BANK, 1, None).unwrap();
    let stop = Stop::default();
    let (handler, _) =
        Typed::<Account>::default().start_handler(&environment, HandlerOptions::default(), &stop).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let database = Database::file(folder.path().join("views.sqlite"));
    let view = TypedView::<Balances>::default();
    let (running, progress) = view.start(&environment, &database, &stop).unwrap();
    let client: TypedClient<Account> = environment.client().unwrap();
    for cents in 1..=3 {
        for account in 0..ACCOUNTS {
            client.send(to(format!("account-{account}"), Deposit { cents })).unwrap().accepted().unwrap();
        }
    }
    let begun = Instant::now();
    while progress.status().totals.applied < 3 * ACCOUNTS {
        assert!(begun.elapsed() < PATIENCE, "the view does not apply everything");
        thread::sleep(Duration::from_millis(5));
    }
    stop.stop();
    handler.join().unwrap();
    running.join().unwrap();

    let file = rusqlite::Connection::open(folder.path().join("views.sqlite")).unwrap();
    let table = view.table().unwrap();
    let mut sink = database.open(table.clone()).unwrap();
    let refused = refold(&environment, &mut *sink, 1).unwrap_err().to_string();
    assert!(refused.contains("touch more than 20 rows"), "{refused}");
    assert!(refused.ends_with("build the view anew with `factum views rebuild balances`"), "{refused}");
    for pass_rows in [2, 7, 25, 100] {
        file.execute("UPDATE balances_v1 SET balance = 1000", []).unwrap();
        let done = refold(&environment, &mut *sink, pass_rows).unwrap();
        assert_eq!((done.rows, done.events, done.delivered), (ACCOUNTS, 3 * ACCOUNTS, 3 * ACCOUNTS), "{pass_rows}");
        let right = Query::new(&table).filtered("balance = 6 and entries = 3").unwrap().counted();
        assert_eq!(database.rows().page(&right).unwrap().count, Some(ACCOUNTS), "{pass_rows}");
    }
}
