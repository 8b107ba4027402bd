//! The books of a real bank, imported while handlers die.

use crate::{
    books::{Balance, Books},
    process::until,
    site::{BANK, Site, root},
};
use factum::log::Isolation;
use std::{collections::BTreeMap, env, path::PathBuf};

const ROWS: usize = 33_293;

/// A row of the file: the account, and its balance after it as the bank says.
struct Row {
    account: String,
    balance_after: i64,
}

/// The file; none if the data is not there. It is not the project's to ship,
/// so then the test says that it did not run.
fn real_file() -> Option<PathBuf> {
    let given = env::var_os("FACTUM_REAL_DATA");
    let folder = given.clone().map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let path = folder.join("bank/transactions.csv");
    assert!(given.is_none() || path.exists(), "{} does not exist", path.display());
    if !path.exists() {
        eprintln!("not run: {} does not exist", path.display());
    }
    path.canonicalize().ok()
}

fn rows(file: &PathBuf) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let rows = reader.records().map(|record| {
        let record = record.unwrap();
        Row { account: record[1].to_owned(), balance_after: record[6].replace('.', "").parse().unwrap() }
    });
    rows.collect()
}

fn events_end(site: &Site) -> i64 {
    let mut admin = site.admin();
    let places = admin.partitions(&site.topics().events).unwrap();
    places.iter().map(|place| admin.bounds(place, Isolation::ReadUncommitted).unwrap().end.0).sum()
}

#[test]
fn a_real_banks_books_are_exact_to_the_cent_although_a_handler_is_killed_and_the_file_comes_twice() {
    let Some(file) = real_file() else { return };
    let rows = rows(&file);
    assert_eq!(rows.len(), ROWS);
    let mapping = root().join("apps/bank/import.toml").canonicalize().unwrap();
    let site = Site::new(6);
    let importer = ["--grant", "import", "--max-batch", "500"];
    let mut first = site.handler(&importer);
    let mut second = site.handler(&importer);
    let _view = site.start(&["run", "view", "balances"]);
    // Both have partitions, so the one that dies leaves some behind.
    first.says("recovered", 1);
    second.says("recovered", 1);
    let arguments = [
        "publish",
        BANK,
        "--file",
        file.to_str().unwrap(),
        "--mapping",
        mapping.to_str().unwrap(),
        "--json",
        "--timeout",
        "120",
    ];
    let mut publisher = site.start(&arguments);
    until("a part of the import", || (events_end(&site) > 4_000).then_some(()));
    second.kill();
    assert!(publisher.is_running(), "the import was over before the handler died");
    let status = publisher.finish();
    assert!(status.success(), "{status}: {}", publisher.stderr());
    let answers: serde_json::Value = serde_json::from_str(&publisher.stdout()).unwrap();
    assert_eq!(answers["answers"]["accepted"], ROWS, "{answers}");

    // Every version has the balance that the bank has on its row.
    let books = Books::read(&site);
    assert_eq!(books.entries.len(), ROWS);
    let mut by_account: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for row in &rows {
        by_account.entry(&row.account).or_default().push(row.balance_after);
    }
    let mut running: BTreeMap<&str, i64> = BTreeMap::new();
    let mut negative = 0;
    for entry in &books.entries {
        let balance = running.entry(&entry.account).or_default();
        *balance += entry.cents;
        let index = usize::try_from(entry.version).unwrap() - 1;
        assert_eq!(*balance, by_account[entry.account.as_str()][index], "{entry:?}");
        negative += usize::from(*balance < 0);
    }
    assert_eq!(negative, 63);
    let balances = books.balances();
    assert_eq!(balances.len(), 841);
    let writers: std::collections::BTreeSet<&str> = books.entries.iter().map(|entry| entry.source.as_str()).collect();
    assert_eq!(writers.len(), 2, "one handler did all of the work: {writers:?}");
    view_shows(&site, &balances);

    // The same file again: every row is known by its id, or expects an older version.
    let before = events_end(&site);
    let again = site.run(&arguments).json();
    let count = |code: &str| again["answers"][code].as_u64().unwrap_or(0);
    assert_eq!(count("accepted") + count("conflict"), ROWS as u64, "{again}");
    assert!(count("conflict") > 0, "{again}");
    assert_eq!(events_end(&site), before);
    assert_eq!(Books::read(&site).balances(), balances);

    // What the import may, a customer may not.
    let (account, balance) = balances.iter().find(|(_, balance)| balance.cents > 0).unwrap();
    let refused = site.publish(account, "Withdraw", balance.cents + 1);
    refused.refused_with(&["refused", "Insufficient", &format!("\"balance_cents\":{}", balance.cents)]);
    assert!(site.publish(account, "Withdraw", balance.cents).ok);
    first.stop();
}

fn view_shows(site: &Site, expected: &BTreeMap<String, Balance>) {
    let rows = until("the view has every entry", || {
        let shown = site.run(&["query", "balances", "--json", "--limit", "1000"]);
        let rows = shown.stdout.lines().map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let balance =
                Balance { version: row["entries"].as_u64().unwrap(), cents: row["balance"].as_i64().unwrap() };
            (row["key"].as_str().unwrap().to_owned(), balance)
        });
        let rows: BTreeMap<String, Balance> = rows.collect();
        (rows.values().map(|row| row.version).sum::<u64>() == ROWS as u64).then_some(rows)
    });
    assert_eq!(rows, *expected);
}

#[test]
fn an_entry_of_another_banks_books_needs_the_permission() {
    let site = Site::new(2);
    let mut handler = site.handler(&[]);
    let entry = ["publish", BANK, "anna", "RecordEntry", "{\"kind\": \"Fee\", \"cents\": 5}"];
    site.run(&entry).refused_with(&["forbidden", "the command needs the permission \"import\""]);
    assert_eq!(site.deposit("anna", 1), 1);
    handler.stop();
    let _granted = site.handler(&["--grant", "import"]);
    assert!(site.run(&entry).ok);
    assert_eq!(Books::read(&site).balances()["anna"], Balance { version: 2, cents: -4 });
}

#[test]
fn rows_that_waited_for_a_handler_are_decided_once_although_they_were_sent_again() {
    let site = Site::new(2);
    // Several times what a handler remembers of an aggregate, and no expected versions.
    let import = site.deposits("anna", "", 400);
    let mut import = site.start(&import.each_ref().map(String::as_str));
    let sent = || {
        let mut admin = site.admin();
        let places = admin.partitions(&site.topics().commands).unwrap();
        places.iter().map(|place| admin.bounds(place, Isolation::ReadUncommitted).unwrap().end.0).sum::<i64>()
    };
    until("commands that are sent again", || (sent() >= 128).then_some(()));
    let _handler = site.handler(&[]);
    let ran = import.end();
    assert!(ran.ok, "{ran:?}");
    assert_eq!(site.run(&["state", BANK, "anna", "--json"]).json()["version"], 400);
}
