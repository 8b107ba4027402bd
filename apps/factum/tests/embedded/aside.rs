//! What was put aside, seen and changed beside a process that has the log, and without one: the same.

use crate::{
    process::until,
    site::{BANK, Site},
};
use factum::{Partition, RecordBatch, Topic, log::Log, partition_of};
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog};
use serde_json::{Value, json};
use std::time::Duration;

/// Partitions of the topics that `up` makes.
const PARTITIONS: u32 = 6;

/// A folder in which anna has a row to which nothing can be added, two deposits of hers wait, and commands of bert
/// that nobody can read are dead letters.
fn filled(unreadable: &[&[u8]]) -> Site {
    let site = Site::new();
    site.deposit("anna", 100);
    assert!(site.run(&["query", "balances"]).ok);
    row(&site, i64::MAX);
    site.deposit("anna", 20);
    site.deposit("anna", 3);
    let log = EmbeddedLog::open(&site.path("factum-data"), EmbeddedConfig::default()).unwrap();
    let mut producer = log.producer().unwrap();
    let mut batch = RecordBatch::new();
    for value in unreadable {
        let commands = Topic::from("bank.account.commands");
        let mut record = batch.start(&commands, partition());
        record.key(b"bert");
        record.value(value);
        record.finish();
    }
    producer.produce(&batch).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
    drop((producer, log));
    // It is behind the commands that nobody can read, so these are handled with it.
    site.deposit("bert", 5);
    assert!(site.run(&["query", "balances"]).ok);
    site
}

fn partition() -> Partition {
    partition_of(b"bert", PARTITIONS)
}

/// Changes anna's row.
fn row(site: &Site, balance: i64) {
    let file = rusqlite::Connection::open(site.path("factum-data/views.sqlite")).unwrap();
    assert_eq!(file.execute("UPDATE balances_v1 SET balance = ?1 WHERE key = 'anna'", [balance]).unwrap(), 1);
}

/// What verbs say: their result, and their notes. What a redrive notes of a record that fails again is whose code it was,
/// or the panic.
fn walk(site: &Site) -> Vec<String> {
    let mut said = Vec::new();
    let mut tell = |arguments: &[&str], ok: bool| {
        let ran = site.run(arguments);
        assert_eq!(ran.ok, ok, "{arguments:?}: {ran:?}");
        let notes = ran.stderr.lines().filter(|_| !ok || arguments[1] != "redrive");
        said.push(arguments.join(" "));
        said.extend(ran.stdout.lines().chain(notes).map(str::to_owned));
    };
    let long = "x".repeat(5_000);
    for format in [&[][..], &["--json"]] {
        let mut tell = |arguments: &[&str], ok| tell(&[arguments, format].concat(), ok);
        tell(&["parked", "list", "balances"], true);
        tell(&["parked", "list", "balances", "--cause", "overflow", "--limit", "1"], true);
        tell(&["parked", "list", "balances", "--cause", "no such cause"], true);
        tell(&["parked", "list", "balances", "--cause", &long], false);
        tell(&["parked", "list", "balances", "--key", &long], false);
        tell(&["parked", "list", "balances", "--partition", "bank.account.events/99"], false);
        tell(&["parked", "list", "balance"], false);
        tell(&["parked", "show", "balances", "--key", "anna"], true);
        tell(&["parked", "show", "balances", "--key", "anna", "--limit", "1"], true);
        tell(&["parked", "show", "balances", "--key", "zoe"], false);
        tell(&["parked", "redrive", "balances"], true);
        tell(&["parked", "redrive", "balances", "--dry-run", "--cause", "overflow"], true);
        tell(&["parked", "redrive", "balances", "--key", "zoe"], true);
        tell(&["parked", "redrive", "balances", "--key", "anna", "--expect", "999"], false);
        tell(&["parked", "drop", "balances", "--all", "--dry-run"], true);
        tell(&["parked", "drop", "balances", "--key", "anna", "--expect", "999"], false);
        tell(&["parked", "drop", "balances", "--all", "--cause", "no such cause"], true);
        tell(&["dead-letters", "list", BANK], true);
        tell(&["dead-letters", "list", BANK, "--limit", "1", "--code", "undecodable", "--key", "bert"], true);
        tell(&["dead-letters", "list", BANK, "--code", "failed"], true);
        tell(&["dead-letters", "list", BANK, "--limit", "100001"], false);
        tell(&["dead-letters", "list", "bank.acount"], false);
    }
    let letter = |offset: u32| format!("{}/{offset}", partition());
    tell(&["dead-letters", "show", BANK, &letter(0)], true);
    tell(&["dead-letters", "show", BANK, &letter(1)], false);
    tell(&["dead-letters", "show", BANK, &letter(999_999)], false);
    tell(&["dead-letters", "show", BANK, "99/0"], false);
    tell(&["parked", "drop", "balances", "--key", "anna", "--first"], true);
    row(site, 100);
    tell(&["parked", "redrive", "balances", "--json"], true);
    tell(&["parked", "redrive", "balances"], true);
    tell(&["parked", "drop", "balances", "--all"], true);
    said
}

/// A line without times, which differ.
fn timeless(line: &str) -> String {
    let mut text = line.to_owned();
    let year = |text: &str| text.match_indices("-").map(|(at, _)| at).find(|at| is_time(text, *at));
    while let Some(at) = year(&text) {
        text.replace_range(at - 4..at + 20, "some time");
    }
    text
}

/// Whether the first hyphen of a time is there: `2026-01-31T12:00:00.000Z`.
fn is_time(text: &str, at: usize) -> bool {
    let time = at.checked_sub(4).and_then(|start| text.get(start..at + 20));
    time.is_some_and(|time| time.ends_with('Z') && time.get(10..11) == Some("T"))
}

#[test]
fn parked_accounts_and_dead_letters_are_told_and_changed_alike_beside_a_running_process_and_without_one() {
    let (alone, served) = (filled(&[b"not avro"]), filled(&[b"not avro"]));
    let mut up = served.serve();
    let owner = served.owner();
    let beside = walk(&served);
    assert_eq!(served.owner(), owner, "somebody else had the log");
    until("the view of the running process goes on with anna", || {
        let ran = served.run(&["query", "balances", "--where", "key = 'anna'", "--json"]);
        ran.stdout.contains("\"balance\":103").then_some(())
    });
    up.process.stop();
    let by_itself = walk(&alone);
    for (one, other) in beside.iter().zip(&by_itself) {
        assert_eq!(timeless(one), timeless(other));
    }
    assert_eq!(beside.len(), by_itself.len());
    let beside = beside.join("\n");
    for expected in [
        "--cause has more than 4096 bytes",
        "error: --limit is at most 100000",
        "zoe of view balances is not parked",
        "… and 1 more; --limit shows more",
        "balances: 0 records of 1 aggregates applied, 1 stay parked",
        "balances: 0 records of 1 aggregates would be applied, 1 stay parked",
        "balances: 2 records of 1 aggregates would be given up",
        "anna is parked at bank.account.events/",
        r#""code":"undecodable""#,
        r#""bytes": 8"#,
        "bank.account: no dead letters",
        "balances: nothing is parked",
    ] {
        assert!(beside.contains(expected), "{expected} is not in {beside}");
    }
}

#[test]
fn a_dead_letter_of_a_running_process_is_shown_with_what_it_says() {
    let site = filled(&[b"not avro", b"", b"not avro either"]);
    let mut up = site.serve();
    let list = |more: &[&str]| {
        let ran = site.run(&[&["dead-letters", "list", BANK, "--json"], more].concat());
        let letters = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        letters.collect::<Vec<Value>>()
    };
    let listed = list(&[]);
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert_eq!(list(&["--limit", "2"]), listed[1..]);
    assert_eq!(list(&["--limit", "0"]), [] as [Value; 0]);
    let letter = listed[0]["letter"].as_str().unwrap();
    let shown = site.run(&["dead-letters", "show", BANK, letter]).json();
    assert_eq!(
        (&shown["letter"], &shown["key"], &shown["code"]),
        (&json!(letter), &json!("bert"), &json!("undecodable"))
    );
    assert_eq!((&shown["value"]["bytes"], shown["headers"]["dead-letter-cause"].is_string()), (&json!(8), true));
    assert_eq!(site.deposit("bert", 1), 2);
    up.process.stop();
}
