//! `replay` on the embedded log.

use crate::{
    process::until,
    site::{BANK, Site},
};
use serde_json::{Value, json};

/// Where an account's events are: its partition, and the offsets of its events.
fn events(site: &Site, account: &str) -> (u64, Vec<i64>) {
    let ran = site.run(&["history", BANK, account, "--json"]);
    assert!(ran.ok, "{ran:?}");
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let offsets = events.iter().map(|event| event["offset"].as_i64().unwrap()).collect();
    (events[0]["partition"].as_u64().unwrap(), offsets)
}

fn balance(site: &Site, account: &str) -> i64 {
    let ran = site.run(&["query", "balances", "--where", &format!("key = '{account}'"), "--json"]);
    ran.json()["balance"].as_i64().unwrap()
}

/// Changes the views' file behind the view's back.
fn sql(site: &Site, statement: &str) {
    let file = rusqlite::Connection::open(site.path("factum-data/views.sqlite")).unwrap();
    assert!(file.execute(statement, []).unwrap() > 0);
}

/// Anna's balance is 123 after three deposits, and carl's 7.
fn caught_up() -> Site {
    let site = Site::new();
    for cents in [100, 20, 3] {
        site.deposit("anna", cents);
    }
    site.deposit("carl", 7);
    assert_eq!(balance(&site, "anna"), 123);
    site
}

fn replay(site: &Site, arguments: &[&str]) -> Value {
    site.run(&[&["replay", "balances", "--json"], arguments].concat()).json()["outcome"].clone()
}

#[test]
fn to_the_start_builds_the_view_again_and_a_dry_run_only_says_so() {
    let site = caught_up();
    sql(&site, "UPDATE balances_v1 SET balance = 1 WHERE key = 'anna'");
    let dry = site.run(&["replay", "balances", "--to", "earliest", "--dry-run"]);
    assert!(dry.ok && dry.stderr.contains("would do: bank.account.events/"), "{dry:?}");
    assert_eq!(balance(&site, "anna"), 1);
    let outcome = replay(&site, &["--to", "earliest"]);
    assert_eq!((&outcome["delivered"], &outcome["applied"]), (&json!(4), &json!(4)));
    assert_eq!((balance(&site, "anna"), balance(&site, "carl")), (123, 7));
    let said = site.run(&["replay", "balances", "--to", "2000-01-01"]);
    assert!(said.ok && said.stderr.contains("so the whole view is built again"), "{said:?}");
    assert_eq!(balance(&site, "anna"), 123);
}

#[test]
fn to_an_offset_or_a_time_delivers_again_and_says_that_all_was_applied() {
    let site = caught_up();
    let (partition, offsets) = events(&site, "anna");
    let partition = partition.to_string();
    let outcome = replay(&site, &["--to", &offsets[1].to_string(), "--partition", &partition]);
    assert_eq!(
        (&outcome["delivered"], &outcome["applied"], &outcome["already_applied"]),
        (&json!(2), &json!(0), &json!(2))
    );
    let history = site.run(&["history", BANK, "anna", "--json"]);
    let third: Value = serde_json::from_str(history.stdout.lines().nth(2).unwrap()).unwrap();
    let time = third["recorded"].as_str().unwrap();
    let chance = site.run(&["replay", "balances", "--to", time]);
    chance.refused_with(&["before the first event of bank.account.events/4", "say --to earliest", "--partition"]);
    let text = site.run(&["replay", "balances", "--to", time, "--partition", &partition]);
    assert!(text.ok, "{text:?}");
    assert!(text.stdout.contains("found already applied") && text.stdout.contains(": 0 applied"), "{text:?}");
    assert_eq!(balance(&site, "anna"), 123);
    // A time that is not there yet leaves nothing out.
    let future = site.run(&["replay", "balances", "--to", "2999-01-01"]);
    assert!(future.ok && future.stderr.contains("stands there already"), "{future:?}");
}

#[test]
fn to_the_end_leaves_events_out_and_what_follows_is_no_gap() {
    let site = caught_up();
    site.deposit("anna", 1_000);
    let outcome = replay(&site, &["--to", "latest"]);
    assert_eq!(outcome["delivered"], 0);
    assert_eq!(outcome["left_out"].as_array().unwrap().len(), 1, "{outcome}");
    site.deposit("anna", 5);
    assert_eq!(balance(&site, "anna"), 128);
    // The row is of one aggregate, so going back folds it again from everything.
    let (partition, offsets) = events(&site, "anna");
    let back = ["--to", &offsets[3].to_string(), "--partition", &partition.to_string()];
    let outcome = replay(&site, &back);
    assert_eq!((&outcome["rows_folded"], &outcome["events_folded"]), (&json!(1), &json!(5)));
    assert_eq!(balance(&site, "anna"), 1_128);
}

#[test]
fn where_the_fold_changed_touched_rows_are_folded_again_from_their_history() {
    let site = caught_up();
    let (partition, offsets) = events(&site, "anna");
    // Rows as another fold made them.
    sql(&site, "UPDATE factum_folds SET fold_version = 0 WHERE view = 'balances_v1'");
    sql(&site, "UPDATE balances_v1 SET balance = 0");
    let (third, partition) = (offsets[2].to_string(), partition.to_string());
    let said = site.run(&["replay", "balances", "--to", &third, "--partition", &partition]);
    assert!(said.ok && said.stdout.contains("folded again from"), "{said:?}");
    assert_eq!(balance(&site, "anna"), 123);
    // One row alone, by its aggregate.
    assert_eq!(balance(&site, "carl"), 0);
    let outcome = replay(&site, &["--to", "earliest", "--aggregate", "carl"]);
    assert_eq!((&outcome["rows_folded"], &outcome["events_folded"]), (&json!(1), &json!(1)));
    assert_eq!(balance(&site, "carl"), 7);
}

#[test]
fn a_view_whose_rows_are_not_of_one_aggregate_each_is_to_be_built_anew() {
    let site = caught_up();
    site.run(&["replay", "journal", "--to", "earliest", "--aggregate", "anna"])
        .refused_with(&["--aggregate needs rows of one aggregate each", "`factum views rebuild journal`"]);
    let outcome = replay(&site, &["--to", "earliest", "--aggregate", "anna"]);
    assert_eq!(outcome["rows_folded"], 1);
}

#[test]
fn it_needs_the_view_down_and_says_what_to_do() {
    let site = caught_up();
    let mut up = site.serve();
    let arguments = ["replay", "balances", "--to", "earliest"];
    site.run(&arguments).refused_with(&[
        "runs everything on it",
        "end it (`up` ends with Ctrl-C)",
        "nothing was changed",
    ]);
    up.process.stop();
    until("the log is free", || site.run(&arguments).ok.then_some(()));
    assert_eq!(balance(&site, "anna"), 123);
}

#[test]
fn bad_input_is_refused_with_what_to_do_and_changes_nothing() {
    let site = caught_up();
    let (partition, _) = events(&site, "anna");
    let partition = partition.to_string();
    let refused = |arguments: &[&str], texts: &[&str]| {
        site.run(&[&["replay", "balances"], arguments].concat()).refused_with(texts);
    };
    refused(
        &["--to", "earliest", "--partition", &partition],
        &["built from the log's start as a whole", "`factum views rebuild balances`"],
    );
    refused(&["--to", "0", "--partition", &partition], &["built from the log's start as a whole"]);
    refused(&["--to", "1"], &["an offset is a place in one partition", "--partition"]);
    refused(&["--to", "1000", "--partition", &partition], &["ends at", "before offset 1000"]);
    refused(&["--to", "1", "--partition", "99"], &["the view reads no partition 99"]);
    refused(&["--to", "yesterday"], &["say earliest, latest, an offset, or a time"]);
    refused(&["--to", "latest", "--aggregate", "anna"], &["leave --aggregate out"]);
    refused(&["--to", "earliest", "--aggregate", "anna", "--partition", "1"], &["leave --partition out"]);
    refused(&["--to", "earliest", "--views", "nowhere.sqlite"], &["there is no file nowhere.sqlite", "--views"]);
    site.run(&["replay", "balance", "--to", "earliest"]).refused_with(&["there is no view \"balance\""]);
    assert_eq!(balance(&site, "anna"), 123);
    assert_eq!(replay(&site, &["--to", "earliest"])["applied"], 4);
}
