//! Views in PostgreSQL that are silent for longer than their session, and come back; and a view
//! in SQLite that is moved to another file.

use crate::{
    process::{DEADLINE, Process, until},
    site::Site,
    traffic::{ACCOUNTS, Traffic, accounts},
};
use factum_test_database::TestDatabase;
use postgres::Client;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What a view says when a partition begins to deliver to it.
const STARTS: &str = "starts";

/// The bank's balances in a schema of their own.
struct Balances {
    database: TestDatabase,
    client: Client,
}

impl Balances {
    fn new() -> Self {
        let database = TestDatabase::new();
        Balances { client: database.client(), database }
    }

    /// Starts a view whose connections have that name.
    fn view(&self, site: &Site, name: &str) -> Process {
        let url = format!("{}&application_name={}", self.database.url(), self.session(name));
        site.start(&["run", "view", "balances", "--views", &url, "--session-timeout-ms", "6000"])
    }

    /// The name of a view's connections on a server that other tests use too.
    fn session(&self, name: &str) -> String {
        format!("{name}-{}", self.database.schema())
    }

    /// How many entries all rows together count.
    fn entries(&mut self) -> i64 {
        let rows = self.client.query("SELECT coalesce(sum(entries), 0)::int8 FROM balances_v1", &[]);
        // The view makes the table when it starts.
        rows.map_or(0, |rows| rows[0].get(0))
    }

    /// Waits until more is applied than now.
    fn go_on(&mut self) {
        let before = self.entries();
        until("events are applied", || (self.entries() > before).then_some(()));
    }

    /// Waits until a connection of that view waits for a lock that `holder` has.
    fn until_blocked(&mut self, name: &str, holder: i32) {
        let session = self.session(name);
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND $2 = ANY(pg_blocking_pids(pid))";
        until(&format!("{name} is blocked"), || {
            (self.client.query_one(sql, &[&session, &holder]).unwrap().get::<_, i64>(0) > 0).then_some(())
        });
    }

    /// Waits until a connection of that view idles in a transaction, or the server has ended it for that.
    fn until_idle_in_transaction(&mut self, name: &str) {
        let session = self.session(name);
        let sql = "SELECT state, wait_event, query FROM pg_stat_activity WHERE application_name = $1";
        let deadline = Instant::now() + DEADLINE;
        loop {
            let rows = self.client.query(sql, &[&session]).unwrap();
            let states: Vec<String> = rows.iter().filter_map(|row| row.get::<_, Option<String>>(0)).collect();
            if rows.is_empty() || states.iter().any(|state| state.starts_with("idle in transaction")) {
                return;
            }
            assert!(Instant::now() < deadline, "not in time: {name} idles in a transaction: {rows:?} {states:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn sessions(&mut self, name: &str) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
        self.client.query_one(sql, &[&self.session(name)]).unwrap().get(0)
    }

    /// Every account has so many deposits of a cent, and none was applied twice.
    fn are(&mut self, deposits: i64) {
        let all = deposits * i64::try_from(ACCOUNTS).unwrap();
        until("everything is applied", || {
            let entries = self.entries();
            assert!(entries <= all, "{entries} of {all} entries: some were applied twice");
            (entries == all).then_some(())
        });
        let sql = "SELECT key, balance, entries, factum_version FROM balances_v1";
        let rows = self.client.query(sql, &[]).unwrap();
        let rows: BTreeMap<String, [i64; 3]> =
            rows.iter().map(|row| (row.get(0), [row.get(1), row.get(2), row.get(3)])).collect();
        let expected: BTreeMap<String, [i64; 3]> = accounts().map(|account| (account, [deposits; 3])).collect();
        assert_eq!(rows, expected);
    }

    /// How often each partition was claimed.
    fn epochs(&mut self) -> Vec<i64> {
        let rows = self.client.query("SELECT epoch FROM factum_progress ORDER BY partition", &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// A handler and a view with traffic, of which something is applied.
fn working(site: &Site) -> (Process, Balances, Process, Traffic) {
    let handler = site.handler(&[]);
    let mut balances = Balances::new();
    let first = balances.view(site, "first");
    let traffic = Traffic::start(site);
    traffic.goes_on();
    balances.go_on();
    (handler, balances, first, traffic)
}

/// What it applied before it was stopped stays, and it has partitions again afterwards.
#[test]
fn a_view_that_was_stopped_while_idle_past_its_session_applies_nothing_twice_and_works_again() {
    let site = Site::new(2);
    let (mut handler, mut balances, mut first, traffic) = working(&site);
    let before = traffic.end();
    balances.are(before);

    first.signal("STOP");
    let mut second = balances.view(&site, "second");
    let traffic = Traffic::start(&site);
    balances.go_on();
    traffic.goes_on();
    comes_back(&mut first, &mut second, &mut balances);
    traffic.goes_on();
    let after = traffic.end();
    balances.are(before + after);
    first.stop();
    handler.stop();
}

/// It holds the locks of its rows and of its progress when it is stopped; the
/// server ends its transaction, and nothing of that stays.
#[test]
fn a_view_that_was_stopped_within_a_transaction_rolls_back_and_works_again() {
    let site = Site::new(2);
    let (mut handler, mut balances, mut first, traffic) = working(&site);

    // The view comes to its table in the middle of a transaction, and waits. (Locks on single rows can end in a
    // deadlock, of which either side is the victim.)
    let mut holder = balances.database.client();
    let mut held = holder.transaction().unwrap();
    held.batch_execute("LOCK TABLE balances_v1 IN SHARE ROW EXCLUSIVE MODE").unwrap();
    let holder: i32 = held.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    balances.until_blocked("first", holder);
    first.signal("STOP");
    held.rollback().unwrap();
    // Everything of the batch is written, and only the commit is missing.
    balances.until_idle_in_transaction("first");
    let uncommitted = balances.entries();

    let mut second = balances.view(&site, "second");
    // The partitions of that batch are waited for until the server has ended the transaction.
    until("the server has ended the transaction", || (balances.sessions("first") == 0).then_some(()));
    assert!(balances.entries() >= uncommitted);
    balances.go_on();
    traffic.goes_on();
    comes_back(&mut first, &mut second, &mut balances);
    traffic.goes_on();
    let deposits = traffic.end();
    balances.are(deposits);
    assert!(first.stderr().contains("tries again") || first.stderr().contains("waits"), "{}", first.stderr());
    first.stop();
    handler.stop();
}

/// Continues the first view, has it take partitions again, and then all of them.
fn comes_back(first: &mut Process, second: &mut Process, balances: &mut Balances) {
    let before = first.stderr().matches(STARTS).count();
    let epochs = balances.epochs();
    first.signal("CONT");
    first.says(STARTS, before + 1);
    balances.go_on();
    second.stop();
    balances.go_on();
    until("it has claimed every partition", || {
        epochs.iter().zip(balances.epochs()).all(|(before, after)| *before < after).then_some(())
    });
}

/// Both are real, and in one process. The table of the first is not as it should be.
#[test]
fn a_view_that_cannot_start_is_told_and_tried_again_while_the_other_one_of_its_process_goes_on() {
    let site = Site::new(2);
    let mut handler = site.handler(&[]);
    let mut balances = Balances::new();
    balances.client.batch_execute("CREATE TABLE balances_v1 (key TEXT PRIMARY KEY, colour TEXT)").unwrap();
    let mut views = site.start(&["run", "view", "balances", "journal", "--views", &balances.database.url()]);
    views.says("failed; the other views go on", 1);
    let journal = |client: &mut Client| {
        let counted = client.query_one("SELECT count(*) FROM journal_v1", &[]);
        counted.map_or(0, |row| row.get::<_, i64>(0))
    };
    for deposits in 1..=3 {
        site.deposit("anna", 1);
        until("the journal goes on", || (journal(&mut balances.client) == deposits).then_some(()));
    }
    assert!(views.stderr().contains("balances_v1"), "{}", views.stderr());
    assert!(views.is_running());
    balances.client.batch_execute("DROP TABLE balances_v1").unwrap();
    until("the view is started again", || (balances.entries() == 3).then_some(()));
    site.deposit("anna", 1);
    until("both go on", || (balances.entries() == 4 && journal(&mut balances.client) == 4).then_some(()));

    // One that fails while it runs stands still, and the other one goes on.
    balances.client.batch_execute("ALTER TABLE balances_v1 RENAME COLUMN balance TO colour").unwrap();
    site.deposit("anna", 1);
    until("the journal goes on", || (journal(&mut balances.client) == 5).then_some(()));
    views.says("stands still", 1);
    assert_eq!(balances.entries(), 4);
    views.stop();
    balances.client.batch_execute("ALTER TABLE balances_v1 RENAME COLUMN colour TO balance").unwrap();
    let mut views = balances.view(&site, "again");
    until("the view goes on", || (balances.entries() == 5).then_some(()));
    views.stop();
    handler.stop();
}

#[test]
fn a_view_that_was_moved_to_another_file_goes_by_the_progress_in_that_file() {
    let site = Site::new(2);
    let mut handler = site.handler(&[]);
    let run = |file: &str, deposits: i64| {
        let mut view = site.start(&["run", "view", "balances", "--views", file]);
        let rows = until("everything is applied", || {
            if !site.path(file).exists() {
                return None;
            }
            let found = site.run(&["query", "balances", "--views", file, "--json"]);
            let rows: Vec<Value> = found.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let entries: i64 = rows.iter().map(|row| row["entries"].as_i64().unwrap()).sum();
            assert!(entries <= deposits, "{rows:?}");
            (entries == deposits).then_some(rows)
        });
        view.stop();
        (rows, view.stderr().contains("the group's offsets were committed from another database"))
    };
    for account in ["anna", "bert", "cara"] {
        site.deposit(account, 1);
    }
    assert!(!run("one.sqlite", 3).1, "there is no other one");
    site.deposit("anna", 10);
    // The group stands behind the first three, and the new file has none of them.
    let (rows, is_told) = run("two.sqlite", 4);
    assert!(is_told);
    assert_eq!(rows.iter().map(|row| row["balance"].as_i64().unwrap()).collect::<Vec<_>>(), [11, 1, 1]);
    site.deposit("bert", 100);
    // The group stands behind the fourth, and the old file has not seen it.
    let (rows, is_told) = run("one.sqlite", 5);
    assert!(is_told);
    assert_eq!(rows.iter().map(|row| row["balance"].as_i64().unwrap()).collect::<Vec<_>>(), [11, 101, 1]);
    handler.stop();
}
