//! What every sink that can hold tables beside the live ones does, written once and run over each.

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves

use expect_test::expect;
use factum_core::{
    AggregateId, ErrorKind, Offset, Partition, Topic, TopicId, TopicPartition, Version,
    view::{
        Claim, Column, ColumnType, Commit, CommitOutcome, Compare, LastEvent, LoadRequest, Move, Parking, RowLocking,
        Value, ViewTable, Watermark, Watermarks,
    },
};
use factum_views::{
    Build, MemoryDatabase, MemorySink, PostgresLimits, PostgresRows, PostgresSink, PostgresUrl, Query, Rebuild, Rename,
    Rows, SqliteRows, SqliteSink, roll_back,
};
use std::time::{Duration, Instant};

/// A database in which sinks are opened.
trait Database {
    fn open(&self, table: ViewTable) -> Box<dyn Rebuild>;

    fn rows(&self) -> Box<dyn Rows>;
}

impl Database for MemoryDatabase {
    fn open(&self, table: ViewTable) -> Box<dyn Rebuild> {
        Box::new(MemorySink::open(self, table).unwrap())
    }

    fn rows(&self) -> Box<dyn Rows> {
        Box::new(self.clone())
    }
}

impl Database for tempfile::TempDir {
    fn open(&self, table: ViewTable) -> Box<dyn Rebuild> {
        // A test that meets a lock must not wait for it.
        Box::new(SqliteSink::open_with(&self.path().join("views.db"), table, Duration::ZERO).unwrap())
    }

    fn rows(&self) -> Box<dyn Rows> {
        Box::new(SqliteRows::new(&self.path().join("views.db")))
    }
}

impl Database for factum_test_database::TestDatabase {
    fn open(&self, table: ViewTable) -> Box<dyn Rebuild> {
        // A test that meets a lock must not wait for it long.
        let limits = PostgresLimits { lock_timeout: Duration::from_millis(100), ..PostgresLimits::default() };
        Box::new(PostgresSink::open_with(&PostgresUrl::parse(&self.url()).unwrap(), table, limits).unwrap())
    }

    fn rows(&self) -> Box<dyn Rows> {
        Box::new(PostgresRows::new(&PostgresUrl::parse(&self.url()).unwrap()))
    }
}

/// The same with watermarks in the rows of all tables.
struct InRows<D>(D);

impl<D: Database> Database for InRows<D> {
    fn open(&self, table: ViewTable) -> Box<dyn Rebuild> {
        self.0.open(table.with_watermarks(Watermarks::InRows))
    }

    fn rows(&self) -> Box<dyn Rows> {
        self.0.rows()
    }
}

macro_rules! contract {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $test() { super::$test(&super::MemoryDatabase::new("test")); })*
        }
        mod postgres {
            $(#[test] fn $test() { super::$test(&factum_test_database::TestDatabase::new()); })*
        }
        mod postgres_with_watermarks_in_rows {
            $(#[test] fn $test() { super::$test(&super::InRows(factum_test_database::TestDatabase::new())); })*
        }
        mod sqlite {
            $(#[test] fn $test() { super::$test(&tempfile::tempdir().unwrap()); })*
        }
        mod sqlite_with_watermarks_in_rows {
            $(#[test] fn $test() { super::$test(&super::InRows(tempfile::tempdir().unwrap())); })*
        }
    };
}

contract!(
    a_switch_takes_rows_watermarks_and_progress_along,
    whoever_worked_on_a_switched_table_finds_the_claim_lost,
    a_table_that_is_held_still_is_read_and_not_written,
    what_is_done_while_the_live_table_is_held_still_is_undone_with_it,
    a_lost_claim_while_the_live_table_is_held_still_leaves_the_rest,
    a_dropped_sink_lets_the_live_table_go_on,
    a_second_builder_is_refused_and_told_who_builds,
    a_builder_that_is_gone_leaves_word_of_what_it_built,
    rows_are_scanned_by_key_from_page_to_page,
    a_roll_back_brings_the_old_rows_with_their_progress_and_keeps_the_new_ones,
    a_rename_onto_a_table_changes_nothing,
    a_dropped_table_is_gone_with_its_progress,
);

const TOPIC_ID: TopicId = TopicId([7; 16]);

fn live() -> ViewTable {
    let cents = Column { name: "cents".into(), kind: ColumnType::Integer, nullable: false };
    ViewTable::new("accounts", 1, vec![cents]).unwrap().indexed(&[&["cents"]]).unwrap()
}

fn new() -> ViewTable {
    live().beside("rebuild").unwrap()
}

fn old() -> ViewTable {
    live().beside("old").unwrap()
}

fn place() -> TopicPartition {
    Topic::from("bank.account.events").partition(Partition(0))
}

fn ada() -> (Topic, AggregateId) {
    (place().topic, AggregateId::new("ada").unwrap())
}

/// A commit that moves from the claim's position to `to`, with ada's watermark at the same number.
fn commit(claim: Claim, to: i64, rows: &[(&str, i64)]) -> Commit {
    let (topic, aggregate) = ada();
    let version = Version(u64::try_from(to).unwrap());
    Commit {
        upserts: rows.iter().map(|(key, cents)| ((*key).to_owned(), vec![Value::Integer(*cents)])).collect(),
        deletes: Vec::new(),
        watermarks: vec![Watermark { topic, aggregate, last: LastEvent { version, offset: Offset(to - 1) } }],
        moves: vec![Move {
            place: place(),
            topic_id: TOPIC_ID,
            epoch: claim.epoch,
            from: claim.position,
            to: Offset(to),
        }],
        parking: Parking::default(),
        compare: Compare::EpochAndPosition,
    }
}

/// Opens a table, and fills it up to a position.
fn filled(database: &dyn Database, table: ViewTable, to: i64, rows: &[(&str, i64)]) -> (Box<dyn Rebuild>, Claim) {
    let mut sink = database.open(table);
    let claim = sink.claim(&place(), TOPIC_ID).unwrap();
    assert_eq!(sink.commit(&commit(claim, to, rows)).unwrap(), CommitOutcome::Committed);
    (sink, Claim { position: Offset(to), ..claim })
}

/// All rows, with ada's watermark and the position.
fn shown(database: &dyn Database, table: &ViewTable) -> String {
    let mut sink = database.open(table.clone());
    let request = LoadRequest {
        keys: Vec::new(),
        aggregates: vec![ada()],
        may_be_parked: Vec::new(),
        locking: RowLocking::Unlocked,
    };
    let version = sink.load(&request).unwrap().last[0].version;
    let rows = sink.scan(table, None, 100).unwrap();
    let rows: Vec<String> = rows.iter().map(|(key, values)| format!("{key}={:?}", values[0])).collect();
    let position = sink.progress(table).unwrap().get(&place()).map(|row| row.position.0);
    format!("{} ada@{version} {position:?}", rows.join(" "))
}

fn switch(sink: &mut dyn Rebuild) -> factum_core::Result<()> {
    sink.rename(&[Rename { from: &live(), to: &old() }, Rename { from: &new(), to: &live() }])
}

fn a_switch_takes_rows_watermarks_and_progress_along(database: &dyn Database) {
    filled(database, live(), 3, &[("ada", 1), ("bob", 2)]);
    let rows = database.rows();
    let keys = || {
        let page = rows.page(&Query::new(&live())).unwrap();
        page.rows.iter().map(|row| row[0].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(keys(), ["ada", "bob"]);
    let (mut builder, _) = filled(database, new(), 5, &[("ada", 10)]);
    builder.freeze(&live()).unwrap();
    switch(&mut *builder).unwrap();
    assert_eq!(shown(database, &live()), "ada=Integer(10) ada@5 Some(5)");
    assert_eq!(shown(database, &old()), "ada=Integer(1) bob=Integer(2) ada@3 Some(3)");
    assert!(!builder.exists(&new()).unwrap());
    assert!(builder.progress(&new()).unwrap().is_empty());
    // A connection that was opened before finds the new rows by the same name.
    assert_eq!(keys(), ["ada"]);
}

fn whoever_worked_on_a_switched_table_finds_the_claim_lost(database: &dyn Database) {
    let (mut runner, claim) = filled(database, live(), 3, &[("ada", 1)]);
    // The same position, and as many claims: only the switch tells them apart.
    let (mut builder, _) = filled(database, new(), 3, &[("ada", 10)]);
    builder.freeze(&live()).unwrap();
    switch(&mut *builder).unwrap();
    let late = runner.commit(&commit(claim, 4, &[("ada", 2)])).unwrap();
    assert_eq!(late, CommitOutcome::ClaimLost(vec![place()]));
    assert_eq!(shown(database, &live()), "ada=Integer(10) ada@3 Some(3)");
    let again = runner.claim(&place(), TOPIC_ID).unwrap();
    assert_eq!(again.position, Offset(3));
    assert_eq!(runner.commit(&commit(again, 4, &[("ada", 11)])).unwrap(), CommitOutcome::Committed);
    assert_eq!(shown(database, &live()), "ada=Integer(11) ada@4 Some(4)");
}

fn a_table_that_is_held_still_is_read_and_not_written(database: &dyn Database) {
    let (mut runner, claim) = filled(database, live(), 3, &[("ada", 1)]);
    let (mut builder, _) = filled(database, new(), 3, &[("ada", 1)]);
    builder.freeze(&live()).unwrap();
    let error = runner.commit(&commit(claim, 4, &[("ada", 2)])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    runner.rollback().unwrap();
    assert_eq!(database.rows().page(&Query::new(&live())).unwrap().rows.len(), 1);
    builder.thaw().unwrap();
    builder.thaw().unwrap();
    assert_eq!(runner.commit(&commit(claim, 4, &[("ada", 2)])).unwrap(), CommitOutcome::Committed);
}

fn what_is_done_while_the_live_table_is_held_still_is_undone_with_it(database: &dyn Database) {
    filled(database, live(), 3, &[("ada", 1)]);
    let (mut builder, claim) = filled(database, new(), 2, &[("ada", 1)]);
    builder.freeze(&live()).unwrap();
    assert_eq!(builder.commit(&commit(claim, 3, &[("bob", 2)])).unwrap(), CommitOutcome::Committed);
    assert_eq!(builder.scan(&new(), None, 9).unwrap().len(), 2);
    builder.thaw().unwrap();
    assert_eq!(shown(database, &new()), "ada=Integer(1) ada@2 Some(2)");
    // And what is done then stays.
    assert_eq!(builder.commit(&commit(claim, 3, &[("bob", 2)])).unwrap(), CommitOutcome::Committed);
    assert_eq!(shown(database, &new()), "ada=Integer(1) bob=Integer(2) ada@3 Some(3)");
}

fn a_lost_claim_while_the_live_table_is_held_still_leaves_the_rest(database: &dyn Database) {
    filled(database, live(), 3, &[("ada", 1)]);
    let (mut builder, claim) = filled(database, new(), 2, &[("ada", 1)]);
    builder.freeze(&live()).unwrap();
    let elsewhere = Claim { position: Offset(1), ..claim };
    let lost = builder.commit(&commit(elsewhere, 3, &[("eve", 2)])).unwrap();
    assert_eq!(lost, CommitOutcome::ClaimLost(vec![place()]));
    builder.rollback().unwrap();
    assert_eq!(builder.commit(&commit(claim, 3, &[("bob", 2)])).unwrap(), CommitOutcome::Committed);
    switch(&mut *builder).unwrap();
    assert_eq!(shown(database, &live()), "ada=Integer(1) bob=Integer(2) ada@3 Some(3)");
}

fn a_dropped_sink_lets_the_live_table_go_on(database: &dyn Database) {
    let (mut runner, claim) = filled(database, live(), 3, &[("ada", 1)]);
    let (mut builder, _) = filled(database, new(), 3, &[("ada", 1)]);
    builder.freeze(&live()).unwrap();
    drop(builder);
    let outcome = soon(ErrorKind::Unavailable, || {
        runner.rollback().unwrap();
        runner.commit(&commit(claim, 4, &[("ada", 2)]))
    });
    assert_eq!(outcome, CommitOutcome::Committed);
}

/// Tries again while that is the answer: a server notices a moment later that a connection is gone.
fn soon<T>(not_yet: ErrorKind, mut attempt: impl FnMut() -> factum_core::Result<T>) -> T {
    let begun = Instant::now();
    loop {
        match attempt() {
            Err(error) if error.kind() == not_yet && begun.elapsed() < Duration::from_secs(120) => {}
            answer => return answer.unwrap(),
        }
    }
}

fn build(owner: &str) -> Build {
    Build { table: new().name(), what: "everything".into(), owner: owner.into() }
}

fn a_second_builder_is_refused_and_told_who_builds(database: &dyn Database) {
    let (mut first, mut second) = (database.open(live()), database.open(live()));
    assert_eq!(first.lock(&live(), &build("process 7")).unwrap(), None);
    let error = second.lock(&live(), &build("process 8")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    expect!["view accounts is being built: accounts_v1_rebuild (everything) by process 7; wait until that ends, or end that process"]
        .assert_eq(&error.to_string());
    // Another view is another matter.
    let cards = ViewTable::new("cards", 1, live().columns().to_vec()).unwrap();
    database.open(cards.clone()).lock(&cards, &build("process 8")).unwrap();
    first.unlock(&live()).unwrap();
    assert_eq!(second.lock(&live(), &build("process 8")).unwrap(), None);
}

fn a_builder_that_is_gone_leaves_word_of_what_it_built(database: &dyn Database) {
    let mut first = database.open(live());
    first.lock(&live(), &build("process 7")).unwrap();
    drop(first);
    let mut second = database.open(live());
    let before = soon(ErrorKind::Conflict, || second.lock(&live(), &build("process 8")));
    assert_eq!(before, Some(build("process 7")));
}

fn rows_are_scanned_by_key_from_page_to_page(database: &dyn Database) {
    let mut rows = [("", 0), ("B", 1), ("a", 2), ("a\0b", 3), ("b'", 4), ("\u{e9}", 5), ("\u{1f600}", 6)];
    let (mut sink, _) = filled(database, live(), 1, &rows);
    rows.sort_by_key(|(key, _)| sink.sort_key(key).into_owned());
    let mut seen = sink.scan(&live(), None, 2).unwrap();
    while let Some((last, _)) = seen.last().cloned() {
        let page = sink.scan(&live(), Some(&last), 2).unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    let expected: Vec<_> = rows.iter().map(|(key, cents)| ((*key).to_owned(), vec![Value::Integer(*cents)])).collect();
    assert_eq!(seen, expected);
}

fn a_roll_back_brings_the_old_rows_with_their_progress_and_keeps_the_new_ones(database: &dyn Database) {
    let (mut runner, _) = filled(database, live(), 3, &[("ada", 1)]);
    let (mut builder, _) = filled(database, new(), 3, &[("ada", 10)]);
    switch(&mut *builder).unwrap();
    let claim = runner.claim(&place(), TOPIC_ID).unwrap();
    assert_eq!(runner.commit(&commit(claim, 6, &[("ada", 60)])).unwrap(), CommitOutcome::Committed);
    roll_back(&mut *builder, &live()).unwrap();
    assert_eq!(shown(database, &live()), "ada=Integer(1) ada@3 Some(3)");
    assert_eq!(shown(database, &old()), "ada=Integer(60) ada@6 Some(6)");
    let late = Claim { position: Offset(6), ..claim };
    let late = runner.commit(&commit(late, 7, &[("ada", 70)])).unwrap();
    assert_eq!(late, CommitOutcome::ClaimLost(vec![place()]));
}

fn a_rename_onto_a_table_changes_nothing(database: &dyn Database) {
    filled(database, live(), 3, &[("ada", 1)]);
    filled(database, old(), 2, &[("ada", 0)]);
    let (mut builder, _) = filled(database, new(), 3, &[("ada", 10)]);
    builder.freeze(&live()).unwrap();
    switch(&mut *builder).unwrap_err();
    assert_eq!(shown(database, &live()), "ada=Integer(1) ada@3 Some(3)");
    assert_eq!(shown(database, &old()), "ada=Integer(0) ada@2 Some(2)");
    builder.drop_table(&old()).unwrap();
    switch(&mut *builder).unwrap();
    assert_eq!(shown(database, &live()), "ada=Integer(10) ada@3 Some(3)");
    drop(builder);
    let mut other = database.open(live());
    let missing = other.rename(&[Rename { from: &new(), to: &live().beside("x").unwrap() }]).unwrap_err();
    assert!(missing.to_string().contains("accounts_v1_rebuild"), "{missing}");
}

fn a_dropped_table_is_gone_with_its_progress(database: &dyn Database) {
    let (mut sink, _) = filled(database, live(), 3, &[("ada", 1)]);
    filled(database, new(), 3, &[("ada", 10)]);
    assert!(sink.exists(&new()).unwrap());
    sink.drop_table(&new()).unwrap();
    sink.drop_table(&new()).unwrap();
    assert!(!sink.exists(&new()).unwrap());
    assert!(sink.progress(&new()).unwrap().is_empty());
    assert_eq!(shown(database, &live()), "ada=Integer(1) ada@3 Some(3)");
}

#[test]
fn every_generation_of_tables_in_sqlite_has_its_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let indexes = || -> Vec<String> {
        let connection = rusqlite::Connection::open(folder.path().join("views.db")).unwrap();
        let sql = "SELECT tbl_name FROM sqlite_schema WHERE type = 'index' AND tbl_name LIKE 'accounts%' \
                   AND sql IS NOT NULL ORDER BY tbl_name";
        let mut select = connection.prepare(sql).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    folder.open(live());
    for _ in 0..3 {
        let mut builder = folder.open(new());
        switch(&mut *builder).unwrap();
        folder.open(live());
        assert_eq!(indexes(), ["accounts_v1", "accounts_v1_old"]);
        builder.drop_table(&old()).unwrap();
    }
}
