//! `snapshots rebuild` on Kafka.

use crate::{
    books::Books,
    process::until,
    site::{BANK, Site},
};
use serde_json::json;

#[test]
fn snapshots_are_folded_again_while_no_handler_runs() {
    let site = Site::new(2);
    let mut handler = site.handler(&[]);
    for cents in [100, 20, 3] {
        site.deposit("anna", cents);
    }
    site.deposit("carl", 7);
    let rebuild = ["snapshots", "rebuild", BANK, "--json"];
    site.run(&rebuild).refused_with(&[
        "a handler of bank.account runs",
        "end every process that runs it",
        "nothing was changed",
    ]);
    assert_eq!(site.deposit("anna", 1), 4, "the handler was left alone");
    handler.kill();
    // A command that waits is neither handled by the rebuild nor lost.
    let waiting = site.start(&["publish", BANK, "anna", "Deposit", r#"{"cents": 5}"#, "--timeout", "100"]);
    let before = Books::read(&site).balances();
    let done = until("the session of the killed one is over", || Some(site.run(&rebuild)).filter(|ran| ran.ok)).json();
    assert_eq!(done["rebuilt"], json!({ "partitions": 2, "aggregates": 2, "events": 5, "snapshots": 2 }));
    assert_eq!(Books::read(&site).balances(), before);
    let mut handler = site.handler(&[]);
    let mut waiting = waiting;
    assert!(waiting.end().ok);
    assert_eq!(site.deposit("anna", 1), 6);
    assert!(handler.stderr().contains("snapshots="), "{}", handler.stderr());
    handler.stop();
    Books::read(&site);
}
