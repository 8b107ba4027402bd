//! Offsets of the view's group that an operator set, from end to end: a log in memory, the runner, SQLite.

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves
#![allow(dead_code)] // the bank is shared with the other tests of the runner

mod bank;

use bank::*;
use expect_test::expect;
use factum_core::{
    Offset, Protections, TopicPartition,
    log::{CommitOffset, Log},
    view::{Recorded, Scope, View, ViewTable, view_group},
};
use factum_views::{PostgresRows, PostgresSink, PostgresUrl, Resets, Rows, Sink, SqliteRows, SqliteSink};
use std::path::Path;

/// What an operator's tool does: it writes no metadata.
fn reset(bank: &Bank, places: &[(TopicPartition, i64)]) {
    reset_of::<Balances>(bank, places);
}

fn reset_of<V: View>(bank: &Bank, places: &[(TopicPartition, i64)]) {
    let offset = |(place, offset): &(TopicPartition, i64)| CommitOffset {
        place: place.clone(),
        offset: Offset(*offset),
        metadata: String::new(),
    };
    let offsets: Vec<_> = places.iter().map(offset).collect();
    bank.log.admin().unwrap().reset_group_offsets(&view_group::<V>(), &offsets).unwrap();
}

/// A view over two partitions of accounts and one of cards that has applied everything and is down.
fn down(directory: &Path) -> Bank {
    let mut bank = Bank::new(2);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 5"]);
    bank.write(&place(ACCOUNTS, 1), "bob", &["deposited 7"]);
    bank.write(&place(CARDS, 0), "card-1", &["charged ada 20"]);
    let mut instance = Instance::new(&bank, sqlite(directory));
    instance.until_idle(&bank);
    instance.runner.close().unwrap();
    expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(directory)));
    bank
}

#[test]
fn a_group_reset_to_the_earliest_offset_builds_the_view_again_once() {
    let directory = tempfile::tempdir().unwrap();
    let bank = down(directory.path());
    // Something that only a rebuild undoes.
    let file = rusqlite::Connection::open(directory.path().join("views.db")).unwrap();
    file.execute("UPDATE balances_v1 SET cents = 1", []).unwrap();
    reset(&bank, &[(place(ACCOUNTS, 0), 0), (place(ACCOUNTS, 1), 0), (place(CARDS, 0), 0)]);
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until_idle(&bank);
    assert_eq!((instance.status().totals.applied, instance.status().totals.repeated), (4, 0));
    expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(directory.path())));
    instance.runner.close().unwrap();
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until_idle(&bank);
    assert_eq!((instance.status().totals.applied, instance.status().totals.repeated), (0, 0), "once");
}

#[test]
fn a_group_reset_backward_delivers_again_and_applies_nothing_twice() {
    let run = |protections| {
        let directory = tempfile::tempdir().unwrap();
        let bank = down(directory.path());
        reset(&bank, &[(place(ACCOUNTS, 0), 1)]);
        let mut instance = Instance::protected(&bank, sqlite(directory.path()), protections);
        instance.until_idle(&bank);
        expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(directory.path())));
        (instance.status().totals.applied, instance.status().totals.repeated)
    };
    assert_eq!(run(Protections::ALL), (0, 1));
    // Without the protection nothing is delivered: the reset is passed over in silence.
    assert_eq!(run(Protections { offset_resets: false, ..Protections::ALL }), (0, 0));
}

#[test]
fn a_group_reset_forward_leaves_events_out_and_stops_at_no_gap() {
    let directory = tempfile::tempdir().unwrap();
    let mut bank = down(directory.path());
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1000"]);
    let end = bank.ends()[0].1;
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1"]);
    reset(&bank, &[(place(ACCOUNTS, 0), end.0)]);
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until_idle(&bank);
    expect!["ada=36 bob=7 total=43"].assert_eq(&balances(&sqlite_rows(directory.path())));
    let skipped = sqlite(directory.path()).standing().unwrap().skipped;
    assert_eq!((skipped.len(), skipped[0].offsets.end), (1, end));
}

#[test]
fn another_database_goes_by_its_own_progress_and_not_by_the_marks() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bank = down(directory.path());
    let mut instance = Instance::new(&bank, sqlite(elsewhere.path()));
    instance.until_idle(&bank);
    instance.runner.close().unwrap();
    expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(elsewhere.path())));
    // And back: nothing is applied twice in the first one.
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until_idle(&bank);
    assert_eq!(instance.status().totals.applied, 0);
    expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(directory.path())));
}

/// The balances of accounts alone, so that a row has its aggregate's watermark; a closed account has no row.
#[derive(Debug)]
struct Own;

impl View for Own {
    const NAME: &'static str = "own";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = &["bank.account"];
    const SCOPE: Scope = Scope::Aggregate;
    type Event = Event;
    type Row = Balance;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        match event.event {
            // Of the account's holder, say: it touches no row.
            Event::Charged { .. } => Vec::new(),
            _ => vec![event.aggregate.to_string()],
        }
    }

    fn fold(key: &str, row: Option<Balance>, event: &Recorded<Event>) -> Option<Balance> {
        Balances::fold(key, row, event)
    }
}

fn a_watermark_outlives_its_row(open: &dyn Fn() -> Box<dyn Sink>, rows: &dyn Rows) {
    let table = ViewTable::of::<Own>().unwrap();
    let mut bank = Bank::new(1);
    let accounts = place(ACCOUNTS, 0);
    let run = |bank: &Bank| {
        let end = bank.ends()[0].clone();
        let mut instance = Instance::<Own>::over(bank, open(), Protections::ALL);
        instance.until("at the end", |status| status.has_passed([(&end.0, end.1)]));
        let totals = instance.status().totals;
        instance.runner.close().unwrap();
        (totals.applied, totals.repeated, balances_in(rows, &table))
    };
    bank.write(&accounts, "bob", &["deposited 7"]);
    let behind_bob = bank.ends()[0].1;
    bank.write(&accounts, "ada", &["deposited 50"]);
    bank.write(&accounts, "eve", &["deposited 1"]);
    bank.write(&accounts, "eve", &["charged eve 1"]);
    bank.write(&accounts, "kim", &["charged kim 1"]);
    assert_eq!(run(&bank), (5, 0, "ada=50 bob=7 eve=1".into()));
    bank.write(&accounts, "ada", &["closed"]);
    assert_eq!(run(&bank), (1, 0, "bob=7 eve=1".into()));
    reset_of::<Own>(&bank, &[(accounts.clone(), behind_bob.0)]);
    assert_eq!(run(&bank), (0, 5, "bob=7 eve=1".into()), "nothing is applied twice");
    bank.write(&accounts, "ada", &["deposited 3"]);
    bank.write(&accounts, "kim", &["deposited 4"]);
    assert_eq!(run(&bank), (2, 0, "ada=3 bob=7 eve=1 kim=4".into()), "nor is a version missed");
}

#[test]
fn a_watermark_outlives_its_row_in_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("views.db");
    let open = || -> Box<dyn Sink> { Box::new(SqliteSink::open(&file, ViewTable::of::<Own>().unwrap()).unwrap()) };
    a_watermark_outlives_its_row(&open, &SqliteRows::new(&file));
}

#[test]
fn a_watermark_outlives_its_row_in_postgresql() {
    let database = factum_test_database::TestDatabase::new();
    let url = PostgresUrl::parse(&database.url()).unwrap();
    let open = || -> Box<dyn Sink> { Box::new(PostgresSink::open(&url, ViewTable::of::<Own>().unwrap()).unwrap()) };
    a_watermark_outlives_its_row(&open, &PostgresRows::new(&url));
}
