//! `parked` on the embedded log.

use crate::site::{BANK, Site};
use serde_json::{Value, json};

fn balance(site: &Site, account: &str) -> i64 {
    let ran = site.run(&["query", "balances", "--where", &format!("key = '{account}'"), "--json"]);
    ran.json()["balance"].as_i64().unwrap()
}

/// Makes anna's row one to which nothing can be added, or one that is as it was.
fn set(site: &Site, balance: i64) {
    let file = rusqlite::Connection::open(site.path("factum-data/views.sqlite")).unwrap();
    assert_eq!(file.execute("UPDATE balances_v1 SET balance = ?1 WHERE key = 'anna'", [balance]).unwrap(), 1);
}

fn parked(site: &Site, arguments: &[&str]) -> Vec<Value> {
    let ran = site.run(&[&["parked"], arguments, &["--json"]].concat());
    assert!(ran.ok, "{ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Anna has 100, and two deposits of hers wait behind each other; carl goes on.
fn with_anna_parked() -> Site {
    let site = Site::new();
    site.deposit("anna", 100);
    site.deposit("carl", 7);
    assert_eq!((balance(&site, "anna"), balance(&site, "carl")), (100, 7));
    set(&site, i64::MAX);
    site.deposit("anna", 20);
    site.deposit("anna", 3);
    site.deposit("carl", 1);
    assert_eq!((balance(&site, "anna"), balance(&site, "carl")), (i64::MAX, 8));
    site
}

#[test]
fn an_event_that_cannot_be_folded_parks_its_account_until_it_is_redriven_in_order() {
    let site = with_anna_parked();
    let list = parked(&site, &["list", "balances"]);
    assert_eq!(list.len(), 1);
    assert_eq!((&list[0]["key"], &list[0]["records"], &list[0]["attempts"]), (&json!("anna"), &json!(2), &json!(1)));
    assert!(list[0]["cause"].as_str().unwrap().contains("overflow"), "{list:?}");
    assert_eq!(parked(&site, &["list", "balances", "--cause", "no such cause"]), [] as [Value; 0]);
    assert_eq!(parked(&site, &["list", "balances", "--key", "carl"]), [] as [Value; 0]);
    let shown = parked(&site, &["show", "balances", "--key", "anna"]);
    let cents: Vec<_> = shown.iter().map(|record| record["record"]["value"]["amount_cents"].clone()).collect();
    assert_eq!(cents.len(), 2, "{shown:?}");

    // What still fails stays, and says how often it was tried.
    let tried = parked(&site, &["redrive", "balances"]);
    assert_eq!((&tried[0]["applied"], tried[0]["failed"].is_string()), (&json!(0), true));
    assert_eq!(parked(&site, &["list", "balances"])[0]["attempts"], 2);

    set(&site, 100);
    let dry = parked(&site, &["redrive", "balances", "--dry-run"]);
    assert_eq!((&dry[0]["applied"], &dry[0]["failed"]), (&json!(2), &Value::Null));
    assert_eq!(balance(&site, "anna"), 100);
    let offset = list[0]["offset"].as_i64().unwrap();
    let wrong = (offset + 1).to_string();
    site.run(&["parked", "redrive", "balances", "--key", "anna", "--expect", &wrong])
        .refused_with(&["anna is parked at bank.account.events/", "it moved on; look at it again"]);
    let done = parked(&site, &["redrive", "balances", "--key", "anna", "--expect", &offset.to_string()]);
    assert_eq!((&done[0]["applied"], &done[0]["of"], &done[0]["failed"]), (&json!(2), &json!(2), &Value::Null));
    assert_eq!(balance(&site, "anna"), 123);
    let again = site.run(&["parked", "redrive", "balances"]);
    assert!(again.ok && again.stdout.contains("balances: nothing is parked"), "{again:?}");

    site.deposit("anna", 5);
    assert_eq!(balance(&site, "anna"), 128);
    assert!(site.run(&["views", "verify", "balances"]).ok);
}

#[test]
fn a_command_that_is_given_up_is_left_out_and_what_waits_behind_it_is_redriven() {
    let site = with_anna_parked();
    site.run(&["parked", "drop", "balances"]).refused_with(&["--key", "--all"]);
    let dry = site.run(&["parked", "drop", "balances", "--key", "anna", "--dry-run"]);
    assert!(dry.ok && dry.stdout.contains("balances: 2 records of 1 aggregates would be given up"), "{dry:?}");
    assert_eq!(parked(&site, &["drop", "balances", "--key", "anna", "--first"])[0]["dropped"], 1);
    set(&site, 100);
    assert_eq!(parked(&site, &["redrive", "balances"])[0]["applied"], 1);
    assert_eq!(balance(&site, "anna"), 103);

    set(&site, i64::MAX);
    site.deposit("anna", 20);
    assert_eq!(balance(&site, "anna"), i64::MAX);
    assert_eq!(parked(&site, &["drop", "balances", "--all"])[0]["dropped"], 1);
    set(&site, 103);
    // The versions go on behind what was given up, and the log has everything.
    site.deposit("anna", 1);
    assert_eq!(balance(&site, "anna"), 104);
    assert_eq!(site.run(&["history", BANK, "anna", "--json"]).stdout.lines().count(), 5);
}

#[test]
fn names_that_are_not_there_are_refused_and_say_what_is() {
    let site = with_anna_parked();
    site.run(&["parked", "list", "balance"]).refused_with(&["balances"]);
    site.run(&["parked", "show", "balances", "--key", "zoe"]).refused_with(&["zoe of view balances is not parked"]);
    site.run(&["parked", "list", "balances", "--partition", "99"]).refused_with(&["the view reads no partition 99"]);
    site.run(&["parked", "list", "balances", "--views", "nowhere.sqlite"])
        .refused_with(&["there is no file nowhere.sqlite"]);
    assert_eq!(parked(&site, &["list", "balances"]).len(), 1);
}
