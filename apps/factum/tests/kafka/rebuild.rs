//! A view on Kafka and PostgreSQL that is built anew while it is live, read and written.

use crate::{
    process::until,
    site::Site,
    traffic::{ACCOUNTS, Traffic},
};
use factum_test_database::TestDatabase;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

#[test]
fn a_live_view_is_built_anew_while_commands_and_queries_go_on() {
    let site = Site::new(2);
    let mut handler = site.handler(&[]);
    let database = TestDatabase::new();
    let url = database.url();
    let mut view = site.start(&["run", "view", "balances", "--views", &url]);
    let traffic = Traffic::start(&site);
    let mut client = database.client();
    until("every account has a row", || {
        let rows = client.query("SELECT count(*) FROM balances_v1", &[]).ok()?;
        (rows[0].get::<_, i64>(0) == i64::try_from(ACCOUNTS).unwrap()).then_some(())
    });
    // A query never finds fewer rows than there are, nor entries that were there before gone.
    let ends = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (ends, mut client) = (ends.clone(), database.client());
        move || {
            let (mut looks, mut most) = (0_u64, 0);
            while !ends.load(Ordering::SeqCst) {
                let row = client.query_one("SELECT count(*), sum(entries)::int8 FROM balances_v1", &[]).unwrap();
                let (rows, entries): (i64, i64) = (row.get(0), row.get(1));
                assert_eq!(rows, i64::try_from(ACCOUNTS).unwrap());
                assert!(entries >= most, "{entries} entries after {most}");
                most = entries;
                looks += 1;
            }
            looks
        }
    });
    let views = |arguments: &[&str]| site.run(&[&["views"], arguments, &["--views", &url]].concat());

    let built = views(&["rebuild", "balances", "--json"]).json();
    assert_eq!((built["live"].as_bool(), built["parity"]["equal"].as_bool()), (Some(true), Some(true)), "{built}");
    traffic.goes_on();
    assert!(view.is_running());
    let verified = views(&["verify", "balances", "--json"]).json();
    assert_eq!(verified["parity"]["equal"], true, "{verified}");
    let deposits = traffic.end();
    let all = deposits * i64::try_from(ACCOUNTS).unwrap();
    until("the live view goes on in the new tables", || {
        let row = client.query_one("SELECT sum(entries)::int8, sum(balance)::int8 FROM balances_v1", &[]).unwrap();
        let (entries, cents): (i64, i64) = (row.get(0), row.get(1));
        assert!(entries <= all, "{entries} of {all}");
        (entries == all && cents == all).then_some(())
    });
    ends.store(true, Ordering::SeqCst);
    assert!(reader.join().unwrap() > 10);

    client
        .batch_execute(
            "UPDATE balances_v1 SET balance = 1000000 WHERE key = 'account-1';
             DELETE FROM balances_v1 WHERE key = 'account-2';
             INSERT INTO balances_v1 (key, balance, entries, last_entry_ms) VALUES ('mallory', 1, 1, 1);",
        )
        .unwrap();
    let verified = views(&["verify", "balances"]);
    verified.refused_with(&["view balances differs from its log: 1 altered, 1 missing, 1 extra"]);
    for row in ["altered \"account-1\": balance=1000000", "missing \"account-2\"", "extra   \"mallory\""] {
        assert!(verified.stdout.contains(row), "{row}: {verified:?}");
    }
    views(&["rebuild", "balances"]).refused_with(&["there are tables balances_v1_old already"]);
    let mut old = || {
        let tables = "SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename LIKE 'balances_v1_old%'), \
                      (SELECT count(*) FROM factum_progress WHERE view = 'balances_v1_old')";
        let row = client.query_one(tables, &[&database.schema()]).unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    assert_eq!(old(), (2, 2), "rows and versions, and the progress of two partitions");
    assert!(views(&["drop-old", "balances"]).ok);
    assert_eq!(old(), (0, 0));
    views(&["rebuild", "balances"]).refused_with(&["differs from its log, and nothing was switched", "--allow-diff"]);
    let built = views(&["rebuild", "balances", "--allow-diff", "--json"]).json();
    assert_eq!((&built["live"], &built["parity"]["equal"]), (&true.into(), &false.into()), "{built}");
    let verified = views(&["verify", "balances", "--json"]).json();
    assert_eq!(verified["parity"]["equal"], true, "{verified}");

    // Rolled back, the live view goes on from the progress that the old rows had.
    assert!(views(&["rollback", "balances"]).ok);
    let row = client.query_one("SELECT balance FROM balances_v1 WHERE key = 'account-1'", &[]).unwrap();
    assert_eq!(row.get::<_, i64>(0), 1_000_000);
    assert_eq!(site.deposit("account-1", 5), u64::try_from(deposits).unwrap() + 1);
    until("the old rows are live again", || {
        let row = client.query_one("SELECT balance FROM balances_v1 WHERE key = 'account-1'", &[]).unwrap();
        (row.get::<_, i64>(0) == 1_000_005).then_some(())
    });
    view.stop();
    handler.stop();
}

/// Processes of their own, as on several machines.
#[test]
fn a_rebuild_that_is_begun_twice_is_refused_and_one_that_was_killed_goes_on() {
    let site = Site::new(2);
    let mut handler = site.handler(&[]);
    let database = TestDatabase::new();
    let url = database.url();
    let mut view = site.start(&["run", "view", "balances", "--views", &url]);
    let traffic = Traffic::start(&site);
    traffic.goes_on();
    let events = traffic.end() * i64::try_from(ACCOUNTS).unwrap();
    let mut client = database.client();
    let mut folded = |table: &str| {
        let sql = format!("SELECT coalesce(sum(entries), 0)::int8 FROM {table}");
        client.query_one(&sql, &[]).map_or(0, |row| row.get::<_, i64>(0))
    };
    until("everything is applied", || (folded("balances_v1") == events).then_some(()));
    let views = |arguments: &[&str]| site.run(&[&["views"], arguments, &["--views", &url]].concat());

    let mut first = site.start(&["views", "rebuild", "balances", "--rate", "5", "--views", &url]);
    until("a part is built", || (folded("balances_v1_rebuild") > 0).then_some(()));
    views(&["rebuild", "balances"]).refused_with(&[
        "view balances is being built: balances_v1_rebuild (up to the live view",
        &format!("by process {}", first.id()),
        "wait until that ends, or end that process",
    ]);
    views(&["verify", "balances"]).refused_with(&["view balances is being built: balances_v1_rebuild"]);
    assert!(first.is_running(), "{}", first.stderr());
    first.kill();
    let before = folded("balances_v1_rebuild");
    assert!((1..events).contains(&before), "{before} of {events}");

    let built = views(&["rebuild", "balances", "--rate", "0", "--json"]).json();
    assert_eq!((built["live"].as_bool(), built["parity"]["equal"].as_bool()), (Some(true), Some(true)), "{built}");
    let folded_again = built["events"].as_i64().unwrap();
    assert!((1..=events - before).contains(&folded_again), "the killed process folded {before}: {built}");
    assert_eq!(folded("balances_v1"), events);
    view.stop();
    handler.stop();
}
