//! Rebuilds of a view on a log in memory, beside a live view that goes on.

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves

#[allow(dead_code)] // each test file uses a part of it
mod bank;

use bank::{
    ACCOUNTS, Balances, Bank, CARDS, Instance, TextCodec, balances, balances_in, place, sqlite, sqlite_rows, table,
};
use expect_test::expect;
use factum_core::{
    ErrorKind, Result, TimestampMs,
    log::Log,
    view::{Value, ViewTable},
};
use factum_log_memory::MemoryLog;
use factum_views::{
    AsOf, OLD, ParkedFilter, Query, REBUILD, Rebuild, RebuildOptions, RebuildPlace, RebuildProgress, Rebuilder,
    Rows as _, SqliteSink, Target, ViewOptions, roll_back,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

fn now() -> TimestampMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    TimestampMs(i64::try_from(since.as_millis()).unwrap())
}

fn options(target: Target) -> RebuildOptions {
    RebuildOptions { suffix: "rebuild".into(), target, sample: None, anew: false, rate: None, owner: "the test".into() }
}

fn open(folder: &Path, table: ViewTable) -> Result<Box<dyn Rebuild>> {
    Ok(Box::new(SqliteSink::open_with(&folder.join("views.db"), table, Duration::from_secs(5))?))
}

fn start(bank: &Bank, folder: &Path, options: RebuildOptions) -> Result<Rebuilder> {
    start_on(&bank.log, folder, options)
}

fn start_on(log: &MemoryLog, folder: &Path, options: RebuildOptions) -> Result<Rebuilder> {
    let place = RebuildPlace { log, open: &|table| open(folder, table), wrap: &Ok };
    let view = ViewOptions::new(Arc::new(|_| Ok(())), now);
    Rebuilder::start::<Balances, _>(&place, TextCodec::default(), view, options)
}

fn fold(rebuild: &mut Rebuilder) -> bool {
    rebuild.fold(&AtomicBool::new(false), &mut |_: &RebuildProgress| {}).unwrap()
}

/// A bank with events of two topics, control records, and an account that was closed.
fn filled() -> Bank {
    let mut bank = Bank::new(2);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 100", "deposited 20"]);
    bank.write(&place(ACCOUNTS, 1), "bob", &["deposited 50"]);
    bank.write(&place(CARDS, 0), "card", &["charged ada 30"]);
    bank.write(&place(ACCOUNTS, 1), "eve", &["deposited 5", "closed"]);
    bank
}

/// A live view that has applied everything.
fn applied(bank: &Bank, folder: &Path) -> Instance {
    let mut live = Instance::new(bank, sqlite(folder));
    live.until_idle(bank);
    live
}

#[test]
fn a_rebuild_folds_to_where_the_live_view_is_compares_and_switches() {
    let (mut bank, folder) = (filled(), tempfile::tempdir().unwrap());
    let mut live = applied(&bank, folder.path());
    // The live view does not know these yet: they are none of the rebuild's business.
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1"]);
    let mut rebuild = start(&bank, folder.path(), options(Target::Live)).unwrap();
    assert!(fold(&mut rebuild));
    let parity = rebuild.compare(10).unwrap().unwrap();
    assert!(parity.is_equal(), "{parity}");
    assert_eq!(parity.live.rows, 3);
    rebuild.switch().unwrap();
    live.until_idle(&bank);
    assert_eq!(balances(&sqlite_rows(folder.path())), "ada=91 bob=50 total=146");
    assert_eq!(balances_in(&sqlite_rows(folder.path()), &table().beside("old").unwrap()), "ada=90 bob=50 total=145");
}

#[test]
fn a_rebuild_shows_altered_missing_and_extra_rows_and_brings_them_back() {
    let (bank, folder) = (filled(), tempfile::tempdir().unwrap());
    let mut live = applied(&bank, folder.path());
    let by_hand = rusqlite::Connection::open(folder.path().join("views.db")).unwrap();
    by_hand
        .execute_batch(
            "UPDATE balances_v1 SET cents = 1000000 WHERE key = 'ada';
             DELETE FROM balances_v1 WHERE key = 'bob';
             INSERT INTO balances_v1 (key, cents, last) VALUES ('mallory', 7, NULL);",
        )
        .unwrap();
    let mut rebuild = start(&bank, folder.path(), options(Target::Live)).unwrap();
    assert!(fold(&mut rebuild));
    let parity = rebuild.compare(2).unwrap().unwrap();
    assert!(!parity.is_equal());
    assert_eq!((parity.altered, parity.missing, parity.extra), (1, 1, 1));
    expect![[r#"
        [
            Difference { key: "ada", live: Some([Integer(1000000), Text("Deposited")]), folded: Some([Integer(90), Text("Deposited")]) },
            Difference { key: "bob", live: None, folded: Some([Integer(50), Text("Deposited")]) },
        ]"#]]
    .assert_eq(&format!("[\n    {:?},\n    {:?},\n]", parity.first[0], parity.first[1]));
    rebuild.switch().unwrap();
    live.until_idle(&bank);
    assert_eq!(balances(&sqlite_rows(folder.path())), "ada=90 bob=50 total=145");

    // Rolled back, the rows are those that were live before, with their own progress.
    roll_back(&mut *open(folder.path(), table()).unwrap(), &table()).unwrap();
    live.until_idle(&bank);
    assert_eq!(balances(&sqlite_rows(folder.path())), "ada=1000000 mallory=7 total=145");
}

#[test]
fn queries_never_see_a_half_built_table_while_writes_and_the_live_view_go_on() {
    let (mut bank, folder) = (filled(), tempfile::tempdir().unwrap());
    for account in 0..200 {
        bank.write(&place(ACCOUNTS, account % 2), &format!("account-{account:03}"), &["deposited 10"]);
    }
    let mut live = applied(&bank, folder.path());
    let (ends, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let path = folder.path().to_owned();
    // Each deposit adds to an account and to `total`, so the sums are equal in every state that ever was.
    let reader = std::thread::spawn({
        let (ends, looks, path) = (ends.clone(), looks.clone(), path.clone());
        move || {
            let (rows, all) = (sqlite_rows(&path), Query::new(&table()).limited(10_000).unwrap());
            let mut least = 0;
            while !ends.load(Ordering::SeqCst) {
                let rows = rows.page(&all).unwrap().rows;
                assert!(rows.len() >= least && rows.len() >= 203, "{} rows after {least}", rows.len());
                least = rows.len();
                let cents = |row: &Vec<Value>| match row[1] {
                    Value::Integer(cents) => cents,
                    ref other => panic!("not an integer: {other:?}"),
                };
                let total = rows.iter().find(|row| row[0].to_string() == "total").map(cents).unwrap();
                let sum: i64 = rows.iter().filter(|row| row[0].to_string() != "total").map(cents).sum();
                // What eve had when she closed her account stays in the total.
                assert_eq!(sum + 5, total);
                looks.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let rebuilds = std::thread::spawn({
        let (log, looks, path) = (bank.log.clone(), looks.clone(), path.clone());
        move || {
            for _ in 0..5 {
                let limited = RebuildOptions { rate: std::num::NonZeroU32::new(2_000), ..options(Target::Live) };
                let mut rebuild = start_on(&log, &path, limited).unwrap();
                let parity = loop {
                    assert!(fold(&mut rebuild));
                    match rebuild.compare(3) {
                        Ok(parity) => break parity.unwrap(),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
                    }
                };
                assert!(parity.is_equal(), "{parity}: {:?}", parity.first);
                // While it is held still, it is read.
                let before = looks.load(Ordering::SeqCst);
                let began = Instant::now();
                while looks.load(Ordering::SeqCst) < before + 3 {
                    assert!(began.elapsed() < bank::DEADLINE, "nobody reads");
                    std::thread::yield_now();
                }
                rebuild.switch().unwrap();
                open(&path, table()).unwrap().drop_table(&table().beside("old").unwrap()).unwrap();
            }
        }
    });
    let mut written = 0;
    while !rebuilds.is_finished() {
        bank.write_from(&place(ACCOUNTS, written % 2), &format!("new-{written:06}"), 1, &["deposited 1"]);
        written += 1;
        live.step();
        live.step();
    }
    rebuilds.join().unwrap();
    live.until_idle(&bank);
    ends.store(true, Ordering::SeqCst);
    reader.join().unwrap();
    let page = sqlite_rows(folder.path()).page(&Query::new(&table()).limited(1).unwrap().counted()).unwrap();
    assert_eq!(page.count, Some(203 + u64::from(written)));
}

#[test]
fn a_rebuild_goes_on_where_an_earlier_one_ended() {
    let (mut bank, folder) = (filled(), tempfile::tempdir().unwrap());
    for account in 0..100 {
        bank.write(&place(ACCOUNTS, account % 2), &format!("account-{account:03}"), &["deposited 10"]);
    }
    let mut live = applied(&bank, folder.path());
    // So slow that a tenth of a second's worth, which is left to the comparison, is less than half of it.
    let slow = RebuildOptions { rate: std::num::NonZeroU32::new(500), ..options(Target::Live) };
    let mut rebuild = start(&bank, folder.path(), slow).unwrap();
    assert!(fold(&mut rebuild));
    let before = rebuild.compare(1).unwrap().unwrap();
    drop(rebuild); // as a killed process: nothing was said, and what the last transaction did is gone
    live.until_idle(&bank);
    let mut applied = 0;
    let mut rebuild = start(&bank, folder.path(), options(Target::Live)).unwrap();
    assert!(rebuild.fold(&AtomicBool::new(false), &mut |progress| applied = progress.applied).unwrap());
    assert_eq!(rebuild.compare(1).unwrap().unwrap(), before);
    assert!(applied < 53, "what was folded before the end is not folded again: {applied}");
    rebuild.leave(false).unwrap();

    // Anew, it folds all of it.
    let anew = RebuildOptions { anew: true, ..options(Target::Live) };
    let mut rebuild = start(&bank, folder.path(), anew).unwrap();
    assert!(fold(&mut rebuild));
    assert_eq!(rebuild.compare(1).unwrap().unwrap(), before);
    assert_eq!(rebuild.applied(), 106);
}

#[test]
fn what_was_folded_for_a_comparison_that_failed_is_counted_once() {
    let (mut bank, folder) = (filled(), tempfile::tempdir().unwrap());
    let mut live = applied(&bank, folder.path());
    let by_hand = rusqlite::Connection::open(folder.path().join("views.db")).unwrap();
    let mut rebuild = start(&bank, folder.path(), options(Target::Live)).unwrap();
    assert!(fold(&mut rebuild));
    let folded = rebuild.applied();
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1"]);
    live.until_idle(&bank);
    // Everything is folded, and then there is nothing to compare it with.
    by_hand.execute_batch("ALTER TABLE balances_v1 RENAME TO away").unwrap();
    assert!(rebuild.compare(1).is_err());
    assert_eq!(rebuild.applied(), folded, "what was folded meanwhile is rolled back");
    by_hand.execute_batch("ALTER TABLE away RENAME TO balances_v1").unwrap();
    assert!(fold(&mut rebuild));
    assert!(rebuild.compare(1).unwrap().unwrap().is_equal());
    assert_eq!(rebuild.applied(), 7);
}

#[test]
fn two_rebuilds_of_a_view_at_once_are_refused_and_the_next_one_succeeds() {
    let (bank, folder) = (filled(), tempfile::tempdir().unwrap());
    let _live = applied(&bank, folder.path());
    let first = start(&bank, folder.path(), options(Target::Live)).unwrap();
    let error = start(&bank, folder.path(), options(Target::Live)).unwrap_err();
    expect![
        "view balances is being built: balances_v1_rebuild (up to the live view, fold 1) by the test; wait until that ends, or end that process"
    ]
    .assert_eq(&error.to_string());
    assert_eq!(error.kind(), ErrorKind::Conflict);
    first.discard().unwrap();
    let mut second = start(&bank, folder.path(), options(Target::Live)).unwrap();
    assert!(fold(&mut second));
    assert!(second.compare(1).unwrap().unwrap().is_equal());
}

#[test]
fn a_view_as_it_stood_is_built_beside_the_live_one() {
    let (mut bank, folder) = (filled(), tempfile::tempdir().unwrap());
    let then = TimestampMs(1_000_000); // the log's clock when it was filled
    bank.advance(Duration::from_secs(60));
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1000"]);
    let _live = applied(&bank, folder.path());
    let past = |suffix: &str, as_of| RebuildOptions { suffix: suffix.into(), ..options(Target::Past(as_of)) };
    let mut rebuild = start(&bank, folder.path(), past("then", AsOf::Recorded(then))).unwrap();
    assert!(fold(&mut rebuild));
    rebuild.leave(true).unwrap();
    assert_eq!(balances_in(&sqlite_rows(folder.path()), &table().beside("then").unwrap()), "ada=90 bob=50 total=145");
    assert_eq!(balances(&sqlite_rows(folder.path())), "ada=1090 bob=50 total=1145");

    // Finished tables are the user's: they are not written over.
    let error = start(&bank, folder.path(), past("then", AsOf::Recorded(then))).unwrap_err();
    expect!["there are tables balances_v1_then already: choose another suffix, or drop it with `factum views drop`"]
        .assert_eq(&error.to_string());
    // Everything occurred at 0 here, whenever it was recorded; before that, nothing had.
    for (suffix, time, expected) in [("all", 0, "ada=1090 bob=50 total=1145"), ("none", -1, "")] {
        let mut rebuild = start(&bank, folder.path(), past(suffix, AsOf::Occurred(TimestampMs(time)))).unwrap();
        assert!(fold(&mut rebuild));
        rebuild.leave(true).unwrap();
        let beside = table().beside(suffix).unwrap();
        assert_eq!(balances_in(&sqlite_rows(folder.path()), &beside), expected, "{suffix}");
    }
}

#[test]
fn without_a_live_view_the_whole_log_is_folded_and_there_is_nothing_to_compare() {
    let (bank, folder) = (filled(), tempfile::tempdir().unwrap());
    let mut rebuild = start(&bank, folder.path(), options(Target::Live)).unwrap();
    assert!(fold(&mut rebuild));
    assert_eq!(rebuild.compare(1).unwrap(), None);
    rebuild.switch().unwrap();
    assert_eq!(balances(&sqlite_rows(folder.path())), "ada=90 bob=50 total=145");
}

#[test]
fn a_view_of_a_topic_that_was_made_again_is_built_from_the_new_one() {
    let (mut bank, folder) = (filled(), tempfile::tempdir().unwrap());
    applied(&bank, folder.path()).runner.close().unwrap();
    bank.log.admin().unwrap().delete_topics(&[ACCOUNTS.into()]).unwrap();
    bank.create(ACCOUNTS, 2);
    bank.write_from(&place(ACCOUNTS, 0), "zoe", 1, &["deposited 3"]);
    let mut rebuild = start(&bank, folder.path(), options(Target::Live)).unwrap();
    assert!(fold(&mut rebuild));
    assert_eq!(rebuild.compare(1).unwrap(), None);
    rebuild.switch().unwrap();
    let mut live = applied(&bank, folder.path());
    live.until_idle(&bank);
    assert_eq!(balances(&sqlite_rows(folder.path())), "ada=-30 total=-27 zoe=3");
}

#[test]
fn a_rebuild_begins_with_nothing_parked_and_parks_what_it_cannot_fold() {
    let (mut bank, folder) = (filled(), tempfile::tempdir().unwrap());
    bank.write(&place(ACCOUNTS, 0), "ada", &["poison"]);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1"]);
    let parked = |table| {
        let mut sink = open(folder.path(), table).unwrap();
        let keys = sink.parked_keys(&ParkedFilter::default(), None, 9).unwrap();
        keys.iter().map(|key| (key.first.aggregate.to_string(), key.records)).collect::<Vec<_>>()
    };
    let _live = applied(&bank, folder.path());
    assert_eq!(parked(table()), [("ada".to_owned(), 2)]);
    let mut rebuild = start(&bank, folder.path(), options(Target::Live)).unwrap();
    assert_eq!(parked(table().beside(REBUILD).unwrap()), []);
    let mut told = 0;
    assert!(rebuild.fold(&AtomicBool::new(false), &mut |progress| told = progress.parked).unwrap());
    assert!(rebuild.compare(9).unwrap().unwrap().is_equal());
    rebuild.switch().unwrap();
    assert_eq!(told, 1);
    assert_eq!(parked(table()), [("ada".to_owned(), 2)]);
    assert_eq!(parked(table().beside(OLD).unwrap()), [("ada".to_owned(), 2)]);
}

#[test]
fn a_sample_compares_the_rows_in_it_and_no_others() {
    let (mut bank, folder) = (filled(), tempfile::tempdir().unwrap());
    for account in 0..300 {
        bank.write(&place(ACCOUNTS, account % 2), &format!("account-{account:03}"), &["deposited 10"]);
    }
    let _live = applied(&bank, folder.path());
    let sample = factum_core::view::Sample::about(30, 300, 1);
    let chosen = |chosen: bool| (0..300).map(|n| format!("account-{n:03}")).find(|key| sample.takes(key) == chosen);
    let (inside, outside) = (chosen(true).unwrap(), chosen(false).unwrap());
    let by_hand = rusqlite::Connection::open(folder.path().join("views.db")).unwrap();
    by_hand.execute("UPDATE balances_v1 SET cents = 0 WHERE key IN (?1, ?2)", [&inside, &outside]).unwrap();
    let verify = RebuildOptions { suffix: "verify".into(), sample: Some(sample), ..options(Target::Live) };
    let mut rebuild = start(&bank, folder.path(), verify).unwrap();
    assert!(fold(&mut rebuild));
    let parity = rebuild.compare(9).unwrap().unwrap();
    assert!((5..100).contains(&parity.live.rows), "{parity}");
    assert_eq!(parity.first.iter().map(|row| &row.key).collect::<Vec<_>>(), [&inside]);
    rebuild.discard().unwrap();
    assert!(!open(folder.path(), table()).unwrap().exists(&table().beside("verify").unwrap()).unwrap());
}
