//! The first example of most articles on event sourcing.

use crate::{
    process::until,
    site::{BANK, Site},
};
use serde_json::json;

#[test]
fn the_articles_example() {
    let site = Site::new(6);
    let mut handler = site.handler(&[]);
    let mut view = site.start(&["run", "view", "balances"]);
    for (command, cents) in [("Deposit", 100), ("Withdraw", 30), ("Deposit", 50)] {
        let answer = site.publish("anna", command, cents);
        assert!(answer.ok && answer.stdout.starts_with("accepted: anna is at version "), "{answer:?}");
    }
    let state = site.run(&["state", BANK, "anna", "--json"]).json();
    let expected = json!({ "id": "anna", "version": 3, "state": { "balance_cents": 120, "overdraft_limit_cents": 0 } });
    assert_eq!(state, expected);

    let query = |filter: &str| site.run(&["query", "balances", "--json", "--where", filter]);
    let row = until("the view", || {
        let rows = query("balance > 50");
        // The row appears with the first deposit.
        rows.stdout.contains("\"entries\":3").then(|| rows.json())
    });
    assert_eq!((&row["key"], &row["balance"]), (&json!("anna"), &json!(120)));
    assert_eq!(query("balance > 120").stdout, "");

    let history = site.run(&["history", BANK, "anna", "--json"]);
    let events: Vec<serde_json::Value> =
        history.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = events.iter().map(|event| (event["version"].clone(), event["event"]["cents"].clone())).collect();
    assert_eq!(told, [(json!(1), json!(100)), (json!(2), json!(30)), (json!(3), json!(50))]);

    let refused = site.publish("anna", "Withdraw", 121);
    refused.refused_with(&["refused", "Insufficient", "\"balance_cents\":120", "\"asked_cents\":121"]);
    assert_eq!(site.deposit("anna", 1), 4);
    handler.stop();
    view.stop();
}

#[test]
fn a_command_id_that_is_sent_again_is_answered_and_not_decided_again() {
    let site = Site::new(2);
    let mut handler = site.handler(&[]);
    let id = "7f0c0f5e-52b5-4b1e-9a52-1f6d3c0f9a11";
    let deposit = ["publish", BANK, "anna", "Deposit", "{\"cents\": 5}", "--json", "--command-id", id];
    let first = site.run(&deposit).json();
    assert_eq!(site.run(&deposit).json(), first);
    // Also by the next owner.
    handler.stop();
    let _next = site.handler(&[]);
    assert_eq!(site.run(&deposit).json(), first);
    assert_eq!(site.deposit("anna", 1), 2);
}

#[test]
fn an_expected_version_that_is_not_the_actual_one_is_a_conflict() {
    let site = Site::new(2);
    let _handler = site.handler(&[]);
    let deposit = |expected: &str| {
        site.run(&["publish", BANK, "anna", "Deposit", "{\"cents\": 5}", "--expected-version", expected])
    };
    assert!(deposit("0").ok);
    deposit("0").refused_with(&["expected version 0, the actual one is 1"]);
    assert!(deposit("1").ok);
}
