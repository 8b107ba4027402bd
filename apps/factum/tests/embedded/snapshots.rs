//! `snapshots rebuild` on the embedded log.

use crate::site::{BANK, Site};
use serde_json::json;

#[test]
fn snapshots_are_folded_again_and_the_handler_goes_on_from_them() {
    let site = Site::new();
    for cents in [100, 20, 3] {
        site.deposit("anna", cents);
    }
    site.deposit("carl", 7);
    let rebuild = ["snapshots", "rebuild", BANK, "--json"];
    let tally = site.run(&rebuild).json()["rebuilt"].clone();
    assert_eq!(tally, json!({ "partitions": 6, "aggregates": 2, "events": 4, "snapshots": 2 }));
    // Again, from all events and not from the snapshots of before.
    assert_eq!(site.run(&rebuild).json()["rebuilt"], tally);
    assert_eq!(site.deposit("anna", 1), 4);
    site.run(&["publish", BANK, "carl", "Withdraw", r#"{"cents": 1000}"#]).refused_with(&["refused"]);
    assert_eq!(site.deposit("carl", 1), 2);
}

#[test]
fn it_needs_the_log_and_a_type_that_exists() {
    let site = Site::new();
    let rebuild = ["snapshots", "rebuild", BANK];
    site.run(&rebuild).refused_with(&["there is no log in factum-data", "--data"]);
    site.run(&["snapshots", "rebuild", "bank.acount"]).refused_with(&["there is no aggregate type", "bank.account"]);
    let mut up = site.serve();
    site.run(&rebuild).refused_with(&["runs everything on it", "nothing was changed"]);
    up.process.stop();
    assert!(site.run(&rebuild).ok);
}
