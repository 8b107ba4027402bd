//! How many rows a second are read by key: through [`Rows`], and by a bare loop with a prepared statement.
//!
//! `cargo run --release -p factum-views --example reads [SECONDS [THREADS]]`; it starts the PostgreSQL of the
//! tests. Threads, the server and this process share the machine.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a measurement prints, and fails with its panic

use factum_core::{
    Offset, Partition, Topic, TopicId,
    view::{Column, ColumnType, Commit, Compare, Move, Parking, Value, ViewTable},
};
use factum_test_database::TestDatabase;
use factum_views::{Database, Query, Rows};
use std::{
    thread,
    time::{Duration, Instant},
};

const ROWS: usize = 10_000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().unwrap());
    let length = Duration::from_secs(arguments.next().unwrap_or(3));
    let threads = usize::try_from(arguments.next().unwrap_or(4)).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let sqlite = Database::file(folder.path().join("views.sqlite"));
    println!("sqlite: {} rows a second", through_rows(&sqlite, length, threads));
    let server = TestDatabase::new();
    let postgres = Database::parse(&server.url()).unwrap();
    let ours = through_rows(&postgres, length, threads);
    let bare = bare(&server, length, threads);
    let percent = ours * 100 / bare;
    println!("postgresql: {ours} rows a second, {percent} % of a bare loop's {bare}, each on {threads} threads");
}

fn table() -> ViewTable {
    let column = |name: &str, kind| Column { name: name.into(), kind, nullable: false };
    let columns = vec![
        column("balance", ColumnType::Integer),
        column("entries", ColumnType::Integer),
        column("owner", ColumnType::Text),
    ];
    ViewTable::new("reads", 1, columns).unwrap()
}

fn key(number: usize) -> String {
    format!("account-{:06}", number % ROWS)
}

fn fill(database: &Database) {
    let mut sink = database.open(table()).unwrap();
    let place = Topic::from("bank.account.events").partition(Partition(0));
    let topic_id = TopicId([1; 16]);
    let claim = sink.claim(&place, topic_id).unwrap();
    let values = |number| vec![Value::Integer(number), Value::Integer(1), Value::Text("an owner's name".into())];
    let commit = Commit {
        upserts: (0..ROWS).zip(0..).map(|(row, number)| (key(row), values(number))).collect(),
        deletes: Vec::new(),
        watermarks: Vec::new(),
        moves: vec![Move { place, topic_id, epoch: claim.epoch, from: claim.position, to: Offset(1) }],
        parking: Parking::default(),
        compare: Compare::EpochAndPosition,
    };
    sink.commit(&commit).unwrap();
}

fn through_rows(database: &Database, length: Duration, threads: usize) -> u128 {
    fill(database);
    let (rows, table) = (database.rows(), table());
    let rows: &dyn Rows = &*rows;
    a_second(length, threads, |number| {
        assert_eq!(rows.page(&Query::of_key(&table, &key(number))).unwrap().rows.len(), 1);
    })
}

fn bare(server: &TestDatabase, length: Duration, threads: usize) -> u128 {
    let clients: Vec<_> = (0..threads).map(|_| server.client()).collect();
    thread::scope(|scope| {
        let runs = clients.into_iter().map(|mut client| {
            scope.spawn(move || {
                let sql = "SELECT key, balance, entries, owner FROM reads_v1 WHERE key = $1";
                let statement = client.prepare(sql).unwrap();
                a_second_here(length, |number| {
                    let row = client.query_one(&statement, &[&key(number)]).unwrap();
                    assert!(row.get::<_, i64>(2) == 1 && row.get::<_, String>(0) == key(number));
                })
            })
        });
        let runs: Vec<_> = runs.collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    })
}

/// How many times a second all threads together do it.
fn a_second(length: Duration, threads: usize, work: impl Fn(usize) + Sync) -> u128 {
    let work = &work;
    thread::scope(|scope| {
        let runs: Vec<_> = (0..threads).map(|_| scope.spawn(move || a_second_here(length, work))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    })
}

fn a_second_here(length: Duration, mut work: impl FnMut(usize)) -> u128 {
    let begun = Instant::now();
    let mut done: usize = 0;
    while begun.elapsed() < length {
        // A stride that has no factor in common with the number of rows visits all of them.
        work(done * 7_919);
        done += 1;
    }
    done as u128 * 1_000 / begun.elapsed().as_millis()
}
