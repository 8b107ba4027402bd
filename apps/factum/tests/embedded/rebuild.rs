//! Views built anew on the embedded log: killed, gone on with, refused, as they stood.

use crate::{
    process::{Process, until},
    site::Site,
};
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

/// A rebuild that is so slow that it is not through before something is done to it.
fn slow_rebuild(site: &Site) -> Process {
    let mut rebuild = site.start(&["views", "rebuild", "balances", "--rate", "300"]);
    until("some rows are built", || {
        assert!(rebuild.is_running(), "{}", rebuild.stderr());
        let beside = listed(site)["beside"].as_array()?.first().cloned()?;
        (beside["rows"].as_u64()? > 20 && beside["unfinished"].is_string()).then_some(())
    });
    rebuild
}

#[test]
fn while_up_has_the_log_views_are_built_compared_and_rolled_back_from_another_terminal() {
    let site = filled();
    let mut up = site.serve();
    let built = site.run(&["views", "rebuild", "balances", "--rate", "0", "--json"]).json();
    assert_eq!((&built["live"], &built["parity"]["equal"]), (&json!(true), &json!(true)), "{built}");
    assert_eq!(built["events"], 4_970);
    assert_eq!(listed(&site)["beside"][0]["table"], "balances_v1_old");
    // The live view goes on in the new tables, and after going back in the old ones.
    assert_eq!(site.deposit("the-last", 7), 1);
    until("the view has it", || (listed(&site)["rows"] == 201).then_some(()));
    assert!(site.run(&["views", "rollback", "balances"]).ok);
    until("the view has it again", || (listed(&site)["rows"] == 201).then_some(()));
    let file = rusqlite::Connection::open(site.path("factum-data/views.sqlite")).unwrap();
    file.execute("UPDATE balances_v1 SET balance = 8 WHERE key = 'the-last'", []).unwrap();
    let verified = site.run(&["views", "verify", "balances", "--rate", "0"]);
    verified.refused_with(&["view balances differs from its log: 1 altered, 0 missing, 0 extra"]);
    assert!(verified.stdout.contains("altered \"the-last\": balance=8, and its log gives 7"), "{verified:?}");
    let dropped = site.run(&["views", "drop-old", "balances"]);
    assert!(dropped.stdout.contains("balances_v1_old is gone"), "{dropped:?}");
    let built = site.run(&["views", "rebuild", "balances", "--rate", "0", "--allow-diff"]);
    assert!(built.ok && built.stdout.contains("the new tables are live"), "{built:?}");
    let verified = site.run(&["views", "verify", "balances", "--rate", "0", "--json"]).json();
    assert_eq!(verified["parity"]["equal"], true, "{verified}");
    up.process.stop();
}

#[test]
fn ctrl_c_or_a_kill_of_the_asking_terminal_ends_the_build_and_the_same_command_goes_on() {
    let site = filled();
    let mut up = site.serve();
    let rebuild = ["views", "rebuild", "balances", "--rate", "0", "--json"];
    let mut asking = slow_rebuild(&site);
    asking.signal("INT");
    asking.end().refused_with(&["stopped before view balances was built; the same command goes on"]);
    let mut asking = slow_rebuild(&site);
    asking.kill();
    // The process that builds notices it a moment later, and lets the next one go on.
    let built = until("it goes on", || Some(site.run(&rebuild)).filter(|ran| ran.ok)).json();
    assert_eq!((&built["live"], &built["parity"]["equal"]), (&json!(true), &json!(true)), "{built}");
    assert!((1..4_970).contains(&built["events"].as_u64().unwrap()), "{built}");

    // The end of the process that builds is told to whoever asked.
    assert!(site.run(&["views", "drop-old", "balances"]).ok);
    let mut asking = slow_rebuild(&site);
    up.process.stop();
    asking.end().refused_with(&["the same command goes on"]);
    let built = site.run(&rebuild).json();
    assert_eq!(built["live"], true, "{built}");
}

#[test]
fn a_second_rebuild_beside_the_first_is_refused_and_told_who_builds() {
    let site = filled();
    let mut up = site.serve();
    let mut asking = slow_rebuild(&site);
    let refused = site.run(&["views", "rebuild", "balances"]);
    refused.refused_with(&[
        "view balances is being built: balances_v1_rebuild (up to the live view",
        &format!("by process {}", up.process.id()),
        "wait until that ends, or end that process",
    ]);
    site.run(&["views", "drop-old", "balances"]).refused_with(&["view balances is being built"]);
    // The first one was not disturbed.
    assert!(asking.is_running(), "{}", asking.stderr());
    asking.signal("INT");
    assert!(!asking.end().ok);
    let built = site.run(&["views", "rebuild", "balances", "--rate", "0", "--json"]).json();
    assert_eq!(built["live"], true, "{built}");
    up.process.stop();
}

#[test]
fn a_view_that_there_is_not_and_another_database_than_that_of_the_owner_are_refused() {
    let site = filled();
    let known = "there is no view \"balance\" here; there are balances";
    site.run(&["views", "rebuild", "balance"]).refused_with(&[known]);
    site.run(&["views", "verify", "balance"]).refused_with(&[known]);
    let mut up = site.serve();
    site.run(&["views", "rebuild", "balance"]).refused_with(&[known]);
    site.run(&["views", "rebuild", "balances", "--views", "other.sqlite"])
        .refused_with(&["other.sqlite, and the process that holds the log keeps its views in", "leave --views out"]);
    let built = site.run(&["views", "rebuild", "balances", "--views", "factum-data/views.sqlite", "--json"]).json();
    assert_eq!(built["live"], true, "{built}");
    up.process.stop();
}
