//! What every sink does, written once and run over each.

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves

use expect_test::{Expect, expect};
use factum_core::{
    AggregateId, ErrorKind, Offset, Partition, Topic, TopicId, TopicPartition, Version,
    view::{
        Claim, Column, ColumnType, Commit, CommitOutcome, Compare, LastEvent, LoadRequest, Move, Parking, RowLocking,
        Value, ViewTable, Watermark, Watermarks,
    },
};
use factum_views::{MemoryDatabase, Query, Sink};

#[path = "contract/databases.rs"]
mod databases;
use databases::*;

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
            $(#[test] fn $test() { super::$test(&super::sqlite_file()); })*
        }
        mod sqlite_with_watermarks_in_rows {
            $(#[test] fn $test() { super::$test(&super::InRows(super::sqlite_file())); })*
        }
    };
}

#[path = "contract/in_hand.rs"]
mod in_hand;
use in_hand::*;
#[path = "contract/parked.rs"]
mod parked;
#[path = "contract/resets.rs"]
mod resets;
use parked::*;
use resets::*;
#[path = "contract/watermarks.rs"]
mod watermarks;
use watermarks::*;

contract!(
    claiming_raises_the_epoch_and_keeps_the_position,
    rows_watermarks_and_progress_are_loaded_as_committed,
    a_watermark_is_what_was_written_last_whatever_becomes_of_the_row,
    watermarks_that_were_kept_apart_are_known_once_they_are_kept_in_rows,
    every_type_of_value_survives,
    a_commit_of_an_older_claim_changes_nothing,
    a_commit_from_another_position_changes_nothing,
    without_the_comparison_an_older_claim_overwrites,
    one_lost_partition_rolls_the_others_back,
    locked_rows_do_not_lose_an_update,
    rows_that_are_not_locked_lose_an_update,
    a_locked_row_that_is_absent_is_locked_too,
    a_rollback_leaves_no_trace,
    a_batch_that_is_being_folded_holds_no_other_view_up,
    a_batch_of_any_size_is_written_loaded_and_deleted,
    a_table_with_other_columns_is_refused,
    views_and_versions_of_a_view_have_their_own_tables,
    the_database_has_one_id,
    queries_filter_order_and_limit,
    a_table_gets_indexes_when_it_is_made_and_later,
    rows_that_are_a_cache_are_written_without_progress,
    a_view_stands_where_it_was_committed,
    a_reset_of_one_partition_leaves_rows_and_the_others_alone,
    a_reset_of_the_whole_view_empties_it_and_fences_what_was_loaded,
    a_reset_makes_the_progress_of_a_partition_that_nobody_claimed,
    one_sink_at_a_time_reviews_a_view,
    a_review_that_is_rolled_back_changes_nothing,
    the_fold_that_made_the_rows_is_remembered,
    records_are_left_aside_with_the_progress_or_not_at_all,
    parked_keys_are_filtered_and_come_in_pages,
    a_load_says_which_aggregates_are_parked,
    records_are_put_behind_a_key_only_while_it_is_parked,
    a_redrive_takes_the_first_records_and_says_why_the_next_waits,
    of_two_redrives_of_a_key_the_second_changes_nothing,
    an_owner_that_loaded_without_a_lock_claims_again,
    a_hold_that_is_rolled_back_leaves_no_trace,
    a_reset_of_the_whole_view_forgets_what_is_parked,
    what_was_begun_is_known_to_the_next_claim_until_the_position_moves,
    a_mark_is_written_only_under_the_epoch_of_the_claim,
    a_mark_that_is_taken_back_says_nothing,
    a_reset_of_the_whole_view_forgets_what_was_begun,
    marks_are_each_view_s_own,
);

fn rows_that_are_a_cache_are_written_without_progress(database: &dyn Database) {
    let mut sink = database.open();
    for expected in [5, 7] {
        let cache = Commit { compare: Compare::Nothing, ..commit(Vec::new(), &[("ada", expected)]) };
        assert_eq!(sink.commit(&cache).unwrap(), CommitOutcome::Committed);
        assert_eq!(cents(&mut *sink, "ada"), Some(expected));
    }
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    assert_eq!((claim.epoch, claim.position), (1, Offset(0)));
}

fn a_table_gets_indexes_when_it_is_made_and_later(database: &dyn Database) {
    let mut sink = database.open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    let outcome = sink.commit(&commit(vec![moved(claim, 0, 5)], &[("ada", 5), ("bob", 7)])).unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
    drop(sink);
    // The columns are the same, so the rows stay, whatever they are looked for by.
    for indexed in [table().indexed(&[&["cents"]]).unwrap(), table()] {
        let sink = database.try_open(indexed).unwrap();
        let seven = Query::new(sink.table()).filtered("cents = 7").unwrap();
        assert_eq!(database.rows().page(&seven).unwrap().rows.len(), 1);
    }
    let error = table().indexed(&[&["euros"]]).unwrap_err();
    expect!["view accounts: an index names euros, which is no column"].assert_eq(&error.to_string());
}

fn column(name: &str, kind: ColumnType, nullable: bool) -> Column {
    Column { name: name.into(), kind, nullable }
}

fn table() -> ViewTable {
    ViewTable::new("accounts", 1, vec![column("cents", ColumnType::Integer, false)]).unwrap()
}

fn place(partition: u32) -> TopicPartition {
    Topic::from("bank.account.events").partition(Partition(partition))
}

const TOPIC_ID: TopicId = TopicId([7; 16]);

fn moved(claim: Claim, partition: u32, to: i64) -> Move {
    Move { place: place(partition), topic_id: TOPIC_ID, epoch: claim.epoch, from: claim.position, to: Offset(to) }
}

fn commit(moves: Vec<Move>, rows: &[(&str, i64)]) -> Commit {
    Commit {
        upserts: rows.iter().map(|(key, cents)| ((*key).to_owned(), vec![Value::Integer(*cents)])).collect(),
        deletes: Vec::new(),
        watermarks: Vec::new(),
        moves,
        parking: Parking::default(),
        compare: Compare::EpochAndPosition,
    }
}

fn request(keys: &[&str], locking: RowLocking) -> LoadRequest {
    LoadRequest {
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        aggregates: Vec::new(),
        may_be_parked: Vec::new(),
        locking,
    }
}

fn cents(sink: &mut dyn Sink, key: &str) -> Option<i64> {
    let loaded = sink.load(&request(&[key], RowLocking::Unlocked)).unwrap();
    match loaded.rows.into_iter().next().unwrap()?[..] {
        [Value::Integer(cents)] => Some(cents),
        ref other => panic!("not an integer: {other:?}"),
    }
}

fn claiming_raises_the_epoch_and_keeps_the_position(database: &dyn Database) {
    let mut sink = database.open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    assert_eq!(claim, Claim { topic_id: TOPIC_ID, epoch: 1, position: Offset(0), tries: 0 });
    let outcome = sink.commit(&commit(vec![moved(claim, 0, 5)], &[])).unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
    // Another instance, and a topic that was created again: the row says what it was.
    let claim = database.open().claim(&place(0), TopicId([8; 16])).unwrap();
    assert_eq!(claim, Claim { topic_id: TOPIC_ID, epoch: 2, position: Offset(5), tries: 0 });
    assert_eq!(sink.claim(&place(1), TOPIC_ID).unwrap().epoch, 1);
}

fn rows_watermarks_and_progress_are_loaded_as_committed(database: &dyn Database) {
    let mut sink = database.open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    let aggregate = |id: &str| (place(0).topic, AggregateId::new(id).unwrap());
    let mut first = commit(vec![moved(claim, 0, 3)], &[("ada", 5), ("bob", 6), ("eve", 7)]);
    let (topic, id) = aggregate("ada");
    let third = LastEvent { version: Version(3), offset: Offset(2) };
    first.watermarks.push(Watermark { topic, aggregate: id, last: third });
    assert_eq!(sink.commit(&first).unwrap(), CommitOutcome::Committed);
    let mut second = commit(vec![Move { from: Offset(3), ..moved(claim, 0, 4) }], &[("bob", 60)]);
    second.deletes.push("eve".into());
    assert_eq!(sink.commit(&second).unwrap(), CommitOutcome::Committed);

    let mut request = request(&["ada", "bob", "eve"], RowLocking::Unlocked);
    request.aggregates = vec![aggregate("bob"), aggregate("ada")];
    let loaded = database.open().load(&request).unwrap();
    assert_eq!(loaded.rows, [Some(vec![Value::Integer(5)]), Some(vec![Value::Integer(60)]), None]);
    assert_eq!(loaded.last, [LastEvent::NONE, third]);
}

fn every_type_of_value_survives(database: &dyn Database) {
    let kinds = [
        ("number", ColumnType::Integer, Value::Integer(i64::MIN)),
        ("rate", ColumnType::Real, Value::Real(0.1)),
        ("open", ColumnType::Boolean, Value::Boolean(true)),
        ("owner", ColumnType::Text, Value::Text("o'hara \u{1f600}\0".into())),
        ("digest", ColumnType::Bytes, Value::Bytes(vec![0, 255])),
    ];
    let mut columns = Vec::new();
    let mut values = Vec::new();
    for (name, kind, value) in kinds {
        columns.push(column(name, kind, false));
        columns.push(column(&format!("no_{name}"), kind, true));
        values.extend([value, Value::Null]);
    }
    let open = || database.try_open(ViewTable::new("all_types", 1, columns.clone()).unwrap()).unwrap();
    let mut sink = open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    let mut all = commit(vec![moved(claim, 0, 1)], &[]);
    all.upserts.push(("it's".into(), values.clone()));
    assert_eq!(sink.commit(&all).unwrap(), CommitOutcome::Committed);
    // Opened again, so the table is also found to have the columns that it was made with.
    let loaded = open().load(&request(&["it's"], RowLocking::Unlocked)).unwrap();
    assert_eq!(loaded.rows, [Some(values)]);
}

fn a_commit_of_an_older_claim_changes_nothing(database: &dyn Database) {
    let (mut zombie, mut owner) = (database.open(), database.open());
    let old = zombie.claim(&place(0), TOPIC_ID).unwrap();
    let new = owner.claim(&place(0), TOPIC_ID).unwrap();
    let outcome = zombie.commit(&commit(vec![moved(old, 0, 1)], &[("ada", 1)])).unwrap();
    assert_eq!(outcome, CommitOutcome::ClaimLost(vec![place(0)]));
    assert_eq!(cents(&mut *zombie, "ada"), None);
    let outcome = owner.commit(&commit(vec![moved(new, 0, 1)], &[("ada", 2)])).unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
}

fn a_commit_from_another_position_changes_nothing(database: &dyn Database) {
    let mut sink = database.open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    let wrong = Move { from: Offset(1), ..moved(claim, 0, 2) };
    let outcome = sink.commit(&commit(vec![wrong], &[("ada", 1)])).unwrap();
    assert_eq!(outcome, CommitOutcome::ClaimLost(vec![place(0)]));
    assert_eq!(cents(&mut *sink, "ada"), None);
}

fn without_the_comparison_an_older_claim_overwrites(database: &dyn Database) {
    let (mut zombie, mut owner) = (database.open(), database.open());
    let old = zombie.claim(&place(0), TOPIC_ID).unwrap();
    let new = owner.claim(&place(0), TOPIC_ID).unwrap();
    owner.commit(&commit(vec![moved(new, 0, 9)], &[("ada", 9)])).unwrap();
    let unchecked = Commit { compare: Compare::Nothing, ..commit(vec![moved(old, 0, 1)], &[("ada", 1)]) };
    assert_eq!(zombie.commit(&unchecked).unwrap(), CommitOutcome::Committed);
    assert_eq!(cents(&mut *owner, "ada"), Some(1));
    assert_eq!(owner.claim(&place(0), TOPIC_ID).unwrap().position, Offset(1));
}

fn one_lost_partition_rolls_the_others_back(database: &dyn Database) {
    let (mut sink, mut other) = (database.open(), database.open());
    let claims = [sink.claim(&place(0), TOPIC_ID).unwrap(), sink.claim(&place(1), TOPIC_ID).unwrap()];
    other.claim(&place(1), TOPIC_ID).unwrap();
    let both = commit(vec![moved(claims[0], 0, 1), moved(claims[1], 1, 1)], &[("ada", 1)]);
    assert_eq!(sink.commit(&both).unwrap(), CommitOutcome::ClaimLost(vec![place(1)]));
    assert_eq!(cents(&mut *sink, "ada"), None);
    assert_eq!(sink.claim(&place(0), TOPIC_ID).unwrap().position, Offset(0));
}

/// Two instances add 1 to a shared row, each having loaded it before the other commits.
/// The loser tries again as long as it is told to.
fn add_in_turns(database: &dyn Database, locking: RowLocking) -> Option<i64> {
    let mut sinks = [database.open(), database.open()];
    let claims: Vec<Claim> = sinks.iter_mut().zip(0..).map(|(s, p)| s.claim(&place(p), TOPIC_ID).unwrap()).collect();
    let mut loaded = [None, None];
    let mut done = [false, false];
    // Each turn, both load, and then both commit what they can.
    for _ in 0..4 {
        for ((sink, loaded), _) in sinks.iter_mut().zip(&mut loaded).zip(done).filter(|(_, done)| !done) {
            *loaded = match sink.load(&request(&["fees"], locking)) {
                Ok(loaded) => Some(loaded),
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
                    sink.rollback().unwrap();
                    None
                }
            };
        }
        for index in 0..2 {
            let Some(loaded) = loaded[index].take() else { continue };
            let old = loaded.rows[0].as_ref().map_or(0, |row| match row[0] {
                Value::Integer(cents) => cents,
                _ => 0,
            });
            let partition = u32::try_from(index).unwrap();
            let commit = commit(vec![moved(claims[index], partition, 1)], &[("fees", old + 1)]);
            match sinks[index].commit(&commit).unwrap() {
                CommitOutcome::Committed => done[index] = true,
                CommitOutcome::RowsChanged => {}
                CommitOutcome::ClaimLost(lost) => panic!("nobody claimed {lost:?}"),
            }
        }
    }
    assert_eq!(done, [true, true]);
    cents(&mut *sinks[0], "fees")
}

fn locked_rows_do_not_lose_an_update(database: &dyn Database) {
    let mut sink = database.open();
    let claim = sink.claim(&place(7), TOPIC_ID).unwrap();
    sink.commit(&commit(vec![moved(claim, 7, 1)], &[("fees", 10)])).unwrap();
    assert_eq!(add_in_turns(database, RowLocking::Locked), Some(12));
}

fn a_locked_row_that_is_absent_is_locked_too(database: &dyn Database) {
    assert_eq!(add_in_turns(database, RowLocking::Locked), Some(2));
}

fn rows_that_are_not_locked_lose_an_update(database: &dyn Database) {
    assert_eq!(add_in_turns(database, RowLocking::Unlocked), Some(1));
}

fn a_rollback_leaves_no_trace(database: &dyn Database) {
    let (mut sink, mut other) = (database.open(), database.open());
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    sink.load(&request(&["ada"], RowLocking::Locked)).unwrap();
    sink.rollback().unwrap();
    sink.rollback().unwrap();
    let outcome = other.commit(&commit(vec![moved(claim, 0, 1)], &[("ada", 1)])).unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
}

fn a_batch_that_is_being_folded_holds_no_other_view_up(database: &dyn Database) {
    let mut slow = database.open();
    let claim = slow.claim(&place(0), TOPIC_ID).unwrap();
    slow.load(&request(&["ada"], RowLocking::Locked)).unwrap();
    let other = ViewTable::new("owners", 1, table().columns().to_vec()).unwrap();
    let mut fast = database.try_open(other).unwrap();
    let fast_claim = fast.claim(&place(0), TOPIC_ID).unwrap();
    fast.load(&request(&["ada"], RowLocking::Locked)).unwrap();
    let outcome = fast.commit(&commit(vec![moved(fast_claim, 0, 1)], &[("ada", 7)])).unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
    // The other view's commit changed none of these rows.
    let outcome = slow.commit(&commit(vec![moved(claim, 0, 1)], &[("ada", 1)])).unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
    assert_eq!((cents(&mut *slow, "ada"), cents(&mut *fast, "ada")), (Some(1), Some(7)));
}

fn a_batch_of_any_size_is_written_loaded_and_deleted(database: &dyn Database) {
    // More values than SQLite takes parameters in a statement.
    let keys: Vec<String> = (0..20_000).map(|number| format!("key-{number:05}")).collect();
    let mut sink = database.open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    let mut first = commit(vec![moved(claim, 0, 1)], &[]);
    first.upserts = keys.iter().cloned().zip((0..).map(|cents| vec![Value::Integer(cents)])).collect();
    let aggregate = |id: &String| (place(0).topic, AggregateId::new(id.as_str()).unwrap());
    first.watermarks = (1..)
        .zip(&keys)
        .map(|(number, key)| {
            let (topic, aggregate) = aggregate(key);
            let last = LastEvent { version: Version(number), offset: Offset(7) };
            Watermark { topic, aggregate, last }
        })
        .collect();
    assert_eq!(sink.commit(&first).unwrap(), CommitOutcome::Committed);

    let mut second = commit(vec![Move { from: Offset(1), ..moved(claim, 0, 2) }], &[]);
    second.deletes = keys.iter().step_by(2).cloned().collect();
    second.watermarks = first.watermarks.iter().step_by(2).cloned().collect();
    assert_eq!(sink.commit(&second).unwrap(), CommitOutcome::Committed);

    let mut all = request(&[], RowLocking::Unlocked);
    all.keys.clone_from(&keys);
    all.aggregates = keys.iter().map(aggregate).collect();
    let loaded = database.open().load(&all).unwrap();
    let expected = (0..20_000).map(|cents| (cents % 2 == 1).then(|| vec![Value::Integer(cents)]));
    assert_eq!(loaded.rows, expected.collect::<Vec<_>>());
    let versions: Vec<u64> = loaded.last.iter().map(|last| last.version.0).collect();
    assert_eq!(versions, (1..=20_000).collect::<Vec<_>>());
}

fn a_table_with_other_columns_is_refused(database: &dyn Database) {
    database.open();
    let refused = |columns| {
        let error = database.try_open(ViewTable::new("accounts", 1, columns).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("accounts_v1 has other columns"), "{error}");
        assert!(error.to_string().contains("raise its View::VERSION"), "{error}");
    };
    refused(vec![column("cents", ColumnType::Integer, true)]);
    refused(vec![column("cents", ColumnType::Boolean, false)]);
    refused(vec![column("pence", ColumnType::Integer, false)]);
    refused(vec![column("cents", ColumnType::Integer, false), column("open", ColumnType::Boolean, false)]);
    database.open();
}

fn views_and_versions_of_a_view_have_their_own_tables(database: &dyn Database) {
    let mut sink = database.open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    sink.commit(&commit(vec![moved(claim, 0, 1)], &[("ada", 1)])).unwrap();
    let columns = table().columns().to_vec();
    for other in [ViewTable::new("accounts", 2, columns.clone()), ViewTable::new("owners", 1, columns)] {
        let mut other = database.try_open(other.unwrap()).unwrap();
        assert_eq!(cents(&mut *other, "ada"), None);
        assert_eq!(
            other.claim(&place(0), TOPIC_ID).unwrap(),
            Claim { topic_id: TOPIC_ID, epoch: 1, position: Offset(0), tries: 0 }
        );
    }
}

fn the_database_has_one_id(database: &dyn Database) {
    let id = database.open().database_id().to_owned();
    assert!(!id.is_empty());
    assert_eq!(database.open().database_id(), id);
}

fn queries_filter_order_and_limit(database: &dyn Database) {
    let columns = vec![
        column("balance", ColumnType::Integer, false),
        column("rate", ColumnType::Real, true),
        column("open", ColumnType::Boolean, false),
        column("owner", ColumnType::Text, true),
    ];
    let mut sink = database.try_open(ViewTable::new("query", 1, columns).unwrap()).unwrap();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    let mut rows = commit(vec![moved(claim, 0, 1)], &[]);
    for (key, balance, rate, open, owner) in
        [("c", 10, Some(0.5), true, Some("ada")), ("a", 60, None, false, None), ("b", 70, Some(1.5), true, Some("bob"))]
    {
        rows.upserts.push((
            key.into(),
            vec![
                Value::Integer(balance),
                rate.map_or(Value::Null, Value::Real),
                Value::Boolean(open),
                owner.map_or(Value::Null, |owner: &str| Value::Text(owner.into())),
            ],
        ));
    }
    sink.commit(&rows).unwrap();
    let rows = database.rows();
    let page = |filter: &str, limit: usize| {
        rows.page(&Query::new(sink.table()).filtered(filter).unwrap().limited(limit).unwrap()).unwrap()
    };
    let check = |filter: &str, limit: usize, expected: Expect| {
        let keys = page(filter, limit).rows.into_iter().map(|row| row[0].to_string());
        expected.assert_eq(&keys.collect::<Vec<_>>().join(" "));
    };
    check("", 9, expect!["a b c"]);
    check("", 2, expect!["a b"]);
    check("balance > 50", 9, expect!["a b"]);
    check("balance >= 60 and balance <= 60", 9, expect!["a"]);
    check("balance != 60 and balance < 70", 9, expect!["c"]);
    check("open = true", 9, expect!["b c"]);
    check("open = false", 9, expect!["a"]);
    check("rate > 0", 9, expect!["b c"]);
    check("rate != 0.5", 9, expect!["b"]);
    check("rate = null", 9, expect!["a"]);
    check("owner != null", 9, expect!["b c"]);
    check("owner < 'bob'", 9, expect!["c"]);
    check("key > a", 9, expect!["b c"]);
    check("owner = 'x'' OR 1 = 1'", 9, expect![""]);
    check("balance = 10 or rate > 1", 9, expect!["b c"]);
    check("(balance = 10 or balance = 60) and open = true", 9, expect!["c"]);
    check("not rate > 1", 9, expect!["a c"]);
    check("not (rate = null or open = true)", 9, expect![""]);

    let c = page("key = c", 1);
    assert_eq!(c.columns, ["key", "balance", "rate", "open", "owner"]);
    expect![[r#"[[Text("c"), Integer(10), Real(0.5), Boolean(true), Text("ada")]]"#]]
        .assert_eq(&format!("{:?}", c.rows));
}

#[test]
fn dropped_tables_of_a_view_in_sqlite_begin_anew() {
    let file = sqlite_file();
    let mut sink = file.open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    sink.commit(&commit(vec![moved(claim, 0, 5)], &[("ada", 1)])).unwrap();
    drop(sink);
    let connection = rusqlite::Connection::open(file.0.path().join("views.db")).unwrap();
    connection.execute_batch("DROP TABLE accounts_v1").unwrap();
    drop(connection);
    let claim = file.open().claim(&place(0), TopicId([8; 16])).unwrap();
    assert_eq!(claim, Claim { topic_id: TopicId([8; 16]), epoch: 1, position: Offset(0), tries: 0 });
}

/// Triggers count statements, whatever the number of their rows.
#[test]
fn a_batch_is_written_to_postgresql_by_a_statement_for_each_table() {
    let database = factum_test_database::TestDatabase::new();
    let mut sink = Database::open(&database);
    let keys: Vec<String> = (0..1_000).map(|number| format!("key-{number:04}")).collect();
    let claims = [0, 1].map(|partition| sink.claim(&place(partition), TOPIC_ID).unwrap());
    let moves = |to| claims.iter().zip(0..).map(|(claim, partition)| moved(*claim, partition, to)).collect();
    let mut before = commit(moves(1), &[]);
    before.upserts = keys[..500].iter().map(|key| (key.clone(), vec![Value::Integer(1)])).collect();
    assert_eq!(sink.commit(&before).unwrap(), CommitOutcome::Committed);

    let mut client = database.client();
    let trigger = |table: &str| {
        format!(
            "CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION tell();"
        )
    };
    let triggers = ["accounts_v1", "accounts_v1_versions", "factum_progress"].map(trigger).concat();
    client
        .batch_execute(&format!(
            "CREATE TABLE told (what text);
             CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO told VALUES (TG_OP || ' ' || TG_TABLE_NAME); RETURN NULL; END $$;
             {triggers}"
        ))
        .unwrap();
    let mut batch = commit(moves(2), &[]);
    batch.moves.iter_mut().for_each(|moved| moved.from = Offset(1));
    batch.deletes = keys[..250].to_vec();
    // Half of them are there already.
    batch.upserts = keys[250..].iter().map(|key| (key.clone(), vec![Value::Integer(2)])).collect();
    let last = LastEvent { version: Version(1), offset: Offset(1) };
    let watermark =
        |key: &String| Watermark { topic: place(0).topic, aggregate: AggregateId::new(key.as_str()).unwrap(), last };
    batch.watermarks = keys.iter().map(watermark).collect();
    assert_eq!(sink.commit(&batch).unwrap(), CommitOutcome::Committed);
    let told = client.query("SELECT what FROM told ORDER BY what COLLATE \"C\"", &[]).unwrap();
    let told: Vec<String> = told.iter().map(|row| row.get(0)).collect();
    // An upsert tells both.
    let expected = [
        "DELETE accounts_v1",
        "INSERT accounts_v1",
        "INSERT accounts_v1_versions",
        "UPDATE accounts_v1",
        "UPDATE accounts_v1_versions",
        "UPDATE factum_progress",
    ];
    assert_eq!(told, expected);
}
