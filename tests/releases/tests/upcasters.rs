//! What the first release wrote, read by the second: by its handler, its
//! views, the journal's past states, redrives and rebuilds, on the embedded log.

#![allow(clippy::unwrap_used)] // a test's failure is its panic

use factum_test_releases::second::FAULTY;
use serde_json::{Value, json};
use std::process::{Command, Output};
use tempfile::TempDir;

const TYPE: &str = "till.account";

/// Which program is run.
#[derive(Clone, Copy, PartialEq)]
enum Release {
    First,
    Second,
    /// The second one with a fault in an upcaster.
    Faulty,
    /// The second one with a view that does not know a retired record.
    Forgetful,
}

/// A folder in which both releases are run.
struct Site(TempDir);

impl Site {
    /// With what the first release wrote: anna's events are opened, deposited, paid, limited, visited.
    fn new() -> Self {
        let site = Site(TempDir::new().unwrap());
        for (account, command, fields) in [
            ("anna", "Open", json!({ "owner": "Anna" })),
            ("anna", "Deposit", json!({ "cents": 1_000 })),
            ("anna", "Pay", json!({ "cents": 300 })),
            ("anna", "Limit", json!({ "euros": 2 })),
            ("anna", "Visit", json!({})),
            ("bob", "Visit", json!({})),
            ("bob", "Deposit", json!({ "cents": 7 })),
        ] {
            site.publish(Release::First, account, command, &fields);
        }
        site
    }

    fn output(&self, release: Release, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_releases"));
        // What the developer has set is not part of the test.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FACTUM_")) {
            command.env_remove(name);
        }
        command.env(
            "RELEASE",
            match release {
                Release::First => "1",
                Release::Second | Release::Faulty => "2",
                Release::Forgetful => "forgetful",
            },
        );
        if release == Release::Faulty {
            command.env(FAULTY, "1");
        }
        command.args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    /// The lines of JSON that a verb says.
    #[track_caller]
    fn lines(&self, release: Release, arguments: &[&str]) -> Vec<Value> {
        let output = self.output(release, &[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn publish(&self, release: Release, account: &str, command: &str, fields: &Value) -> Value {
        self.lines(release, &["publish", TYPE, account, command, &fields.to_string()]).remove(0)
    }

    /// What the second release says that anna's state was at a version, or is now.
    #[track_caller]
    fn anna(&self, version: Option<u64>) -> Value {
        let version = version.map(|version| version.to_string());
        let mut arguments = vec!["state", TYPE, "anna"];
        arguments.extend(version.iter().flat_map(|version| ["--at-version", version]));
        self.lines(Release::Second, &arguments)[0]["state"].clone()
    }

    /// The rows of a view in the order of their keys.
    #[track_caller]
    fn rows(&self, release: Release, view: &str) -> Vec<Value> {
        self.lines(release, &["query", view, "--order", "key"])
    }
}

fn account(customer: &str, cents: i64, charged_cents: i64, limit_cents: i64) -> Value {
    json!({ "customer": customer, "cents": cents, "charged_cents": charged_cents, "limit_cents": limit_cents })
}

fn row(key: &str, mut account: Value, events: &str) -> Value {
    account["key"] = json!(key);
    account["events"] = json!(events);
    account
}

/// The rows without what a sink adds.
fn known(rows: Vec<Value>) -> Vec<Value> {
    let columns = ["key", "customer", "cents", "charged_cents", "limit_cents", "events"];
    rows.into_iter().map(|row| columns.iter().map(|name| ((*name).to_owned(), row[name].clone())).collect()).collect()
}

#[test]
fn a_handler_decides_on_what_upcasters_made_of_the_events_before() {
    let site = Site::new();
    // 699 cents and a limit of two euros: a cent more is too much, and that in euros would be two.
    let refused = site.output(Release::Second, &["publish", TYPE, "anna", "Withdraw", r#"{"cents":900}"#]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains(r#"refused: {"available_cents":899}"#), "{refused:?}");
    let answer = site.publish(Release::Second, "anna", "Withdraw", &json!({ "cents": 899 }));
    // A stored record has one version, whatever it stands for, and a dropped event has its own.
    assert_eq!(answer["version"], 6, "{answer}");
    assert_eq!(site.publish(Release::Second, "bob", "Deposit", &json!({ "cents": 1 }))["version"], 3);
    assert_eq!(site.anna(None), account("Anna", -200, 1, 200));
    // From snapshots, which are of this release.
    let rebuilt = &site.lines(Release::Second, &["snapshots", "rebuild", TYPE])[0]["rebuilt"];
    assert_eq!((&rebuilt["aggregates"], &rebuilt["events"]), (&json!(2), &json!(9)));
    assert_eq!(site.publish(Release::Second, "anna", "Deposit", &json!({ "cents": 5 }))["version"], 7);
    assert_eq!(site.anna(None), account("Anna", -195, 1, 200));
}

#[test]
fn the_journal_folds_past_states_through_upcasters_and_tells_events_as_they_are_stored() {
    let site = Site::new();
    for (version, expected) in [
        (1, account("Anna", 0, 0, 0)),
        (2, account("Anna", 1_000, 0, 0)),
        (3, account("Anna", 699, 1, 0)),
        (4, account("Anna", 699, 1, 200)),
        (5, account("Anna", 699, 1, 200)),
    ] {
        assert_eq!(site.anna(Some(version)), expected, "version {version}");
    }
    let history = site.lines(Release::Second, &["history", TYPE, "anna"]);
    let records: Vec<_> = history.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(records, ["Opened", "Deposited", "Paid", "Limited", "Visited"].map(|name| format!("{TYPE}.{name}")));
    assert_eq!(history[2]["event"], json!({ "cents": 300, "fee_cents": 1 }));
}

#[test]
fn views_fold_each_event_that_a_record_stands_for_once_also_in_a_rebuild() {
    let site = Site::new();
    let bob = || row("bob", account("", 7, 0, 0), "2.0 ");
    let anna = account("Anna", 699, 1, 200);
    let expected = vec![row("anna", anna, "1.0 2.0 3.0 3.1 4.0 "), bob()];
    assert_eq!(known(site.rows(Release::Second, "accounts")), expected);
    assert_eq!(site.rows(Release::Second, "fees")[0]["cents"], 1);

    site.publish(Release::Second, "anna", "Withdraw", &json!({ "cents": 99 }));
    let expected = vec![row("anna", account("Anna", 600, 1, 200), "1.0 2.0 3.0 3.1 4.0 6.0 "), bob()];
    assert_eq!(known(site.rows(Release::Second, "accounts")), expected);
    for view in ["accounts", "fees"] {
        for verb in [["views", "verify", view], ["views", "rebuild", view]] {
            site.lines(Release::Second, &verb);
        }
    }
    assert_eq!(known(site.rows(Release::Second, "accounts")), expected);
    assert_eq!(site.rows(Release::Second, "fees")[0]["cents"], 1);
}

#[test]
fn what_a_faulty_upcaster_parked_is_redriven_whole_by_the_mended_one() {
    let site = Site::new();
    // Anna's payment panics after its first event: none of it is in her row, nor what came behind it.
    let faulty = known(site.rows(Release::Faulty, "accounts"));
    let bob = row("bob", account("", 7, 0, 0), "2.0 ");
    assert_eq!(faulty, [row("anna", account("Anna", 1_000, 0, 0), "1.0 2.0 "), bob.clone()]);
    let parked = &site.lines(Release::Faulty, &["parked", "list", "accounts"])[0];
    assert_eq!((&parked["key"], &parked["records"]), (&json!("anna"), &json!(3)));
    let cause = parked["cause"].as_str().unwrap();
    let why = "record till.account.Paid: the upcaster of till.account.Paid panicked: the fee is forgotten";
    assert!(cause.contains(why), "{cause}");
    assert_eq!(site.rows(Release::Faulty, "fees"), [] as [Value; 0]);

    let redriven = &site.lines(Release::Second, &["parked", "redrive", "accounts"])[0];
    assert_eq!((&redriven["applied"], &redriven["failed"]), (&json!(3), &Value::Null));
    assert_eq!(site.lines(Release::Second, &["parked", "redrive", "fees"])[0]["applied"], 3);
    let mended = vec![row("anna", account("Anna", 699, 1, 200), "1.0 2.0 3.0 3.1 4.0 "), bob];
    assert_eq!(known(site.rows(Release::Second, "accounts")), mended);
    assert_eq!(site.rows(Release::Second, "fees")[0]["cents"], 1);
    site.lines(Release::Second, &["views", "verify", "accounts"]);
    // The handler, which stood still, goes on as well.
    assert_eq!(site.publish(Release::Second, "anna", "Deposit", &json!({ "cents": 1 }))["version"], 6);
}

#[test]
fn snapshots_are_prepared_on_the_command_line_before_the_second_release_begins() {
    let site = Site::new();
    let prepared = &site.lines(Release::Second, &["snapshots", "prepare", TYPE])[0]["prepared"];
    assert_eq!(prepared, &json!({ "partitions": 6, "aggregates": 2, "events": 7, "snapshots": 2 }));
    site.publish(Release::First, "bob", "Deposit", &json!({ "cents": 1 }));
    assert_eq!(site.publish(Release::Second, "bob", "Withdraw", &json!({ "cents": 8 }))["version"], 4);
    assert_eq!(site.anna(None), account("Anna", 699, 1, 200));
}

#[test]
fn a_program_whose_view_would_leave_out_what_a_retired_record_stands_for_does_not_start() {
    let site = Site(TempDir::new().unwrap());
    let output = site.output(Release::Forgetful, &["query", "new_fees"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = "error: view new_fees would leave out till.account.Paid, which stands for events that it folds: write \
                    `#[event(retired(Paid))]` on its enum of events\n";
    assert_eq!((output.status.success(), &*said), (false, expected));
}
