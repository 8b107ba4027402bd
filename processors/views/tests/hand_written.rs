//! SQL written by hand commits and rolls back with the progress of its view.

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves
#![allow(dead_code)] // the bank is shared with the other tests of the runner

mod bank;

use bank::*;
use expect_test::expect;
use factum_core::{
    ErrorKind, Offset, Result, TopicId,
    view::{Commit, CommitOutcome, Compare, Move, Parking, Value},
};
use factum_test_database::TestDatabase;
use factum_views::{Database, HandWritten, MemoryDatabase, Rows, SqlTransaction};

/// Notes what each transaction writes, and fails once when a row is worth that much.
#[derive(Debug)]
struct Notes {
    fails_at: Option<i64>,
}

impl HandWritten for Notes {
    fn write(&mut self, sql: &mut dyn SqlTransaction, commit: &Commit) -> Result<()> {
        sql.execute("CREATE TABLE IF NOT EXISTS notes (key TEXT, cents BIGINT)", &[])?;
        for (key, values) in &commit.upserts {
            // Twice and not in order, so that numbers count and not places.
            let parameters = [Value::Text(key.clone()), values[0].clone()];
            sql.execute("INSERT INTO notes (cents, key) SELECT $2, $1 WHERE $1 = $1", &parameters)?;
            if self.fails_at.take_if(|cents| Value::Integer(*cents) == values[0]).is_some() {
                sql.execute("INSERT INTO no_such_table VALUES ($1)", &parameters[..1])?;
            }
        }
        let sums = sql.query("SELECT count(*), min(key) FROM notes WHERE key <> $1", &[Value::Text("it's".into())])?;
        assert!(matches!(sums[0][0], Value::Integer(_)), "{sums:?}");
        Ok(())
    }
}

fn notes(rows: &dyn Rows, database: &dyn Fn(&str) -> String) -> String {
    format!("{} | {}", balances(rows), database("SELECT key || '=' || cents FROM notes ORDER BY 1"))
}

fn over(database: &Database, read: &dyn Fn(&str) -> String) {
    let mut bank = Bank::new(1);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    let mut sink = database.open(table()).unwrap();
    sink.alongside(Box::new(Notes { fails_at: None })).unwrap();
    let mut instance = Instance::boxed(&bank, sink);
    instance.until_idle(&bank);
    instance.runner.close().unwrap();
    let rows = database.rows();
    expect!["ada=50 total=50 | ada=50 total=50"].assert_eq(&notes(&*rows, read));

    // A statement that fails takes everything of the transaction with it.
    bank.write(&place(ACCOUNTS, 0), "bob", &["deposited 7"]);
    let mut sink = database.open(table()).unwrap();
    sink.alongside(Box::new(Notes { fails_at: Some(57) })).unwrap();
    let mut instance = Instance::boxed(&bank, sink);
    instance.until("it stands still", |status| status.stopped().next().is_some());
    let told = instance.status().stopped().next().unwrap().1.reason.clone();
    assert!(told.contains("no_such_table"), "{told}");
    expect!["ada=50 total=50 | ada=50 total=50"].assert_eq(&notes(&*rows, read));
    instance.runner.close().unwrap();

    // What another owner has overtaken leaves nothing behind either.
    let mut sink = database.open(table()).unwrap();
    sink.alongside(Box::new(Notes { fails_at: None })).unwrap();
    let claim = sink.claim(&place(ACCOUNTS, 0), TopicId::default()).unwrap();
    database.open(table()).unwrap().claim(&place(ACCOUNTS, 0), TopicId::default()).unwrap();
    let late = Commit {
        upserts: vec![("eve".into(), vec![Value::Integer(9), Value::Null])],
        deletes: Vec::new(),
        watermarks: Vec::new(),
        moves: vec![Move {
            place: place(ACCOUNTS, 0),
            topic_id: claim.topic_id,
            epoch: claim.epoch,
            from: claim.position,
            to: Offset(claim.position.0 + 1),
        }],
        parking: Parking::default(),
        compare: Compare::EpochAndPosition,
    };
    assert_eq!(sink.commit(&late).unwrap(), CommitOutcome::ClaimLost(vec![place(ACCOUNTS, 0)]));
    expect!["ada=50 total=50 | ada=50 total=50"].assert_eq(&notes(&*rows, read));

    // The next one goes through, once.
    let mut instance = Instance::boxed(&bank, sink);
    instance.until_idle(&bank);
    expect!["ada=50 bob=7 total=57 | ada=50 bob=7 total=50 total=57"].assert_eq(&notes(&*rows, read));
}

#[test]
fn what_is_written_by_hand_commits_and_rolls_back_with_a_view_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("views.sqlite");
    over(&Database::file(&file), &|sql| {
        let connection = rusqlite::Connection::open(&file).unwrap();
        let mut select = connection.prepare(sql).unwrap();
        let rows = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.collect::<rusqlite::Result<Vec<_>>>().unwrap().join(" ")
    });
}

#[test]
fn what_is_written_by_hand_commits_and_rolls_back_with_a_view_in_postgresql() {
    let database = TestDatabase::new();
    over(&Database::parse(&database.url()).unwrap(), &|sql| {
        let rows = database.client().query(sql, &[]).unwrap();
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join(" ")
    });
}

#[test]
fn a_view_in_memory_has_no_sql() {
    let mut sink = Database::Memory(MemoryDatabase::new("test")).open(table()).unwrap();
    let error = sink.alongside(Box::new(Notes { fails_at: None })).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    expect!["view balances has no SQL transaction here: keep it in SQLite or PostgreSQL"].assert_eq(&error.to_string());
}
