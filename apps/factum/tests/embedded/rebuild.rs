//! Views built anew on the embedded log: killed, gone on with, refused, as they stood.

use crate::{process::until, site::Site};
use serde_json::{Value, json};

/// A folder with the sample, and a view of it.
fn filled() -> Site {
    let site = Site::new();
    let ran = site.run(&["up", "--until-idle"]);
    assert!(ran.ok, "{ran:?}");
    site
}

/// What `views list` says of the balances.
fn listed(site: &Site) -> Value {
    let ran = site.run(&["views", "list", "--json"]);
    assert!(ran.ok, "{ran:?}");
    ran.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|v: &Value| v["view"] == "balances")
        .unwrap()
}

#[test]
fn a_rebuild_that_is_killed_is_gone_on_with_and_keeps_the_old_tables_until_they_are_dropped() {
    let site = filled();
    let mut rebuild = site.start(&["views", "rebuild", "balances", "--rate", "1000"]);
    until("some rows are built", || {
        let beside = listed(&site)["beside"].as_array()?.first().cloned()?;
        (beside["rows"].as_u64()? > 20 && beside["unfinished"].is_string()).then_some(())
    });
    rebuild.kill();
    assert_eq!(listed(&site)["beside"][0]["table"], "balances_v1_rebuild");

    let built = site.run(&["views", "rebuild", "balances", "--rate", "0", "--json"]).json();
    assert_eq!((&built["live"], &built["parity"]["equal"]), (&json!(true), &json!(true)), "{built}");
    let events = built["events"].as_u64().unwrap();
    assert!((1..4_970).contains(&events), "the first process folded some of the 4970 events: {built}");
    assert_eq!(listed(&site)["beside"], json!([{ "table": "balances_v1_old", "rows": 200, "unfinished": null }]));

    site.run(&["views", "rebuild", "balances"])
        .refused_with(&["there are tables balances_v1_old already", "`factum views drop-old balances`"]);
    let rolled = site.run(&["views", "rollback", "balances"]);
    assert!(rolled.ok, "{rolled:?}");
    let dropped = site.run(&["views", "drop-old", "balances"]);
    assert!(dropped.stdout.contains("balances_v1_old is gone"), "{dropped:?}");
    site.run(&["views", "rollback", "balances"]).refused_with(&["view balances has no tables balances_v1_old"]);
    let verified = site.run(&["views", "verify", "balances", "--rate", "0", "--json"]).json();
    assert_eq!(verified["parity"]["equal"], true, "{verified}");
}

#[test]
fn a_view_is_built_as_it_stood_and_a_time_in_the_future_is_refused() {
    let site = filled();
    let as_of = |time: &str, into: &str| {
        let by = ["--time", "occurred", "--rate", "0", "--json"];
        site.run(&[&["views", "rebuild", "balances", "--as-of", time, "--into", into], &by[..]].concat())
    };
    as_of("2999-01-01T00:00:00Z", "later").refused_with(&["--as-of lies in the future"]);
    as_of("2025-06-30T00:00:00Z", "v2").refused_with(&["\"v2\" cannot name tables beside balances_v1"]);
    let built = as_of("2025-06-30T00:00:00Z", "half_year").json();
    assert_eq!((&built["table"], &built["live"]), (&json!("balances_v1_half_year"), &json!(false)));
    let events = built["events"].as_u64().unwrap();
    assert!((1_000..4_000).contains(&events), "{built}");
    as_of("2025-06-30T00:00:00Z", "half_year").refused_with(&["there are tables balances_v1_half_year already"]);
    let dropped = site.run(&["views", "drop", "balances", "--suffix", "half_year"]);
    assert!(dropped.ok, "{dropped:?}");
    assert_eq!(as_of("2025-06-30T00:00:00Z", "half_year").json()["events"], events);
    assert_eq!(listed(&site)["rows"], 200);
}

#[test]
fn while_another_process_has_the_log_a_rebuild_says_what_to_do() {
    let site = filled();
    let mut up = site.serve();
    site.run(&["views", "rebuild", "balances"])
        .refused_with(&["holds the log in factum-data", "then run `views rebuild` again"]);
    up.process.stop();
    let built = site.run(&["views", "rebuild", "balances", "--json"]).json();
    assert_eq!(built["live"], true, "{built}");
}
