//! The journal: pages of histories, past states, conversations and audits, with it and without it.

use crate::{
    http::Client,
    process::until,
    site::{BANK, Site},
};
use serde_json::{Value, json};

const TALK: &str = "3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Deposits `cents`, which occurred at that time.
fn deposit_at(site: &Site, account: &str, cents: u64, occurred: &str) {
    let fields = json!({ "cents": cents }).to_string();
    let ran = site.run(&["publish", BANK, account, "Deposit", &fields, "--occurred", occurred]);
    assert!(ran.ok, "{ran:?}");
}

fn balance(site: &Site, arguments: &[&str]) -> i64 {
    let found = site.run(&[&["state", BANK, "anna", "--json"], arguments].concat()).json();
    found["state"]["balance_cents"].as_i64().unwrap()
}

/// Anna's history in several pages, and a past state of hers.
fn pages(client: &Client) -> Value {
    let history = |query: &str| client.get(&format!("/bank/account/anna/history?{query}")).json();
    let state = client.get("/bank/account/anna?at_version=5").json()["state"].clone();
    let pages = ["", "limit=2", "after=2&limit=2", "after=4", "after=6"].map(history);
    json!([pages, state])
}

#[test]
fn a_state_at_any_version_is_folded_from_at_most_a_thousand_events() {
    const EVENTS: u64 = 100_000;
    let site = Site::new();
    let file = site.deposits("many", (0..EVENTS).map(|_| ("anna".to_owned(), "1".to_owned())));
    let file: Vec<&str> = file.iter().map(String::as_str).collect();
    let ran = site.run(&[&["up", "--no-sample", "--until-idle", "--limit", "1"], &file[..]].concat());
    assert!(ran.ok, "{ran:?}");
    let up = site.serve();
    let client = up.client();
    for version in [0, 1, 499, 500, 501, 999, 1_000, 49_999, 73_456, 99_999, EVENTS] {
        let found = client.get(&format!("/bank/account/anna?at_version={version}")).json();
        assert_eq!(
            (&found["version"], &found["state"]["balance_cents"]),
            (&json!(version), &json!(version)),
            "{found}"
        );
        assert!(found["folded"].as_u64().unwrap() <= 1_000, "{found}");
    }
    // A page in the middle of the history is one page, not the way to it.
    let page = client.get("/bank/account/anna/history?after=50000&limit=3").json();
    let versions: Vec<u64> =
        page["events"].as_array().unwrap().iter().map(|event| event["version"].as_u64().unwrap()).collect();
    assert_eq!((versions, &page["more"]), (vec![50_001, 50_002, 50_003], &json!(true)));
    let recorded = page["events"][2]["recorded"].as_str().unwrap();
    let then = client.get(&format!("/bank/account/anna?at_time={recorded}&by=recorded")).json();
    assert!(then["version"].as_u64().unwrap() >= 50_003, "{then}");
    assert!(then["folded"].as_u64().unwrap() <= 1_000, "{then}");
}

#[test]
fn a_state_at_a_time_is_by_the_time_occurred_or_recorded() {
    let site = Site::new();
    let up = site.serve();
    deposit_at(&site, "anna", 1, "2025-01-10T00:00:00Z");
    deposit_at(&site, "anna", 10, "2025-03-10T00:00:00Z");
    // Recorded last, although it occurred in between.
    deposit_at(&site, "anna", 100, "2025-02-10T00:00:00Z");
    let february = site.run(&["state", BANK, "anna", "--at-time", "2025-02-28", "--json"]);
    let found = february.json();
    assert_eq!((&found["state"]["balance_cents"], &found["left_out"]), (&json!(101), &json!(1)), "{found}");
    assert!(february.stderr.contains("1 events with an earlier version occurred later"), "{february:?}");
    assert_eq!(balance(&site, &["--at-time", "2025-01-10T00:00:00Z"]), 1);
    assert_eq!(balance(&site, &["--at-time", "2025-01-09"]), 0);
    assert_eq!(balance(&site, &["--at-time", "2025-03-11"]), 111);
    assert_eq!(balance(&site, &["--at-time", "2025-03-11", "--by", "recorded"]), 0);
    let history = lines(&site.run(&["history", BANK, "anna", "--json"]).stdout);
    let second = history[1]["recorded"].as_str().unwrap();
    assert_eq!(balance(&site, &["--at-time", second, "--by", "recorded"]), 11);
    drop(up);
}

#[test]
fn a_time_in_the_future_is_refused() {
    let site = Site::new();
    let up = site.serve();
    assert_eq!(site.deposit("anna", 7), 1);
    site.run(&["state", BANK, "anna", "--at-time", "2999-01-01"])
        .refused_with(&["2999-01-01T00:00:00.000Z is in the future: it is", "leave the time out"]);
    up.client().get("/bank/account/anna?at_time=2999-01-01").is_problem(400, &["is in the future"]);
    for (query, text) in [
        ("at_time=soon", "\"soon\" is not a time"),
        ("at_time=2025-01-01&by=then", "\"then\" is neither occurred nor recorded"),
        ("at_version=1&at_time=2025-01-01", "exclude each other"),
        ("by=recorded", "give at_time with it"),
        ("at_version=-1", "at_version"),
    ] {
        up.client().get(&format!("/bank/account/anna?{query}")).is_problem(400, &[text]);
    }
    assert_eq!(balance(&site, &["--at-version", "1"]), 7);
}

#[test]
fn a_version_that_does_not_exist_is_refused() {
    let site = Site::new();
    let up = site.serve();
    assert_eq!(site.deposit("anna", 7), 1);
    site.run(&["state", BANK, "anna", "--at-version", "2"])
        .refused_with(&["bank.account anna has version 1: there is no version 2 yet"]);
    up.client().get("/bank/account/bert?at_version=1").is_problem(400, &["bank.account bert has version 0"]);
    assert_eq!(up.client().get("/bank/account/anna?at_version=1").json()["state"]["balance_cents"], 7);
    assert_eq!(balance(&site, &["--at-version", "0"]), 0);
}

#[test]
fn a_history_is_the_same_with_the_journal_behind_it_and_without_it() {
    let site = Site::new();
    // The journal gets the first events, the log alone the later ones.
    let up = site.serve();
    for cents in 1..=3 {
        site.deposit("anna", cents);
        site.deposit("a/na", cents);
    }
    assert!(site.run(&["audit", "--limit", "1"]).ok);
    drop(up);
    let up = site.serve_with(&["--no-sample", "--no-journal"]);
    for cents in 4..=6 {
        site.deposit("anna", cents);
    }
    let behind = pages(&up.client());
    assert_eq!(behind[0][0]["events"].as_array().unwrap().len(), 6, "{behind}");
    drop(up);
    std::fs::remove_file(site.path("factum-data/views.sqlite")).unwrap();
    let up = site.serve_with(&["--no-sample", "--no-journal"]);
    assert_eq!(pages(&up.client()), behind);
    // What needs the journal says what is missing.
    site.run(&["audit"]).refused_with(&["view journal was never built"]);
    assert!(up.client().get("/views/balances").status == 200);
}

#[test]
fn a_conversation_is_a_tree_of_commands_under_the_commands_that_caused_them() {
    let site = Site::new();
    let up = site.serve();
    let send = |account: &str, cause: Option<&str>| {
        let fields = json!({ "cents": 5 }).to_string();
        let mut arguments = vec!["publish", BANK, account, "Deposit", &fields, "--correlation-id", TALK, "--json"];
        arguments.extend(cause.into_iter().flat_map(|cause| ["--causation-id", cause]));
        format!("{}/0", site.run(&arguments).json()["command"].as_str().unwrap())
    };
    let first = send("anna", None);
    let second = send("bert", Some(&first));
    send("carl", Some(&second));
    send("dora", Some(&first));
    // Of no event of this conversation.
    send("emil", Some("00000000-0000-4000-8000-000000000000/3"));
    site.deposit("fred", 5);
    let found = site.run(&["trace", TALK, "--json"]).json();
    let shape: Vec<(u64, &str)> = found["commands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|command| (command["depth"].as_u64().unwrap(), command["aggregate"].as_str().unwrap()))
        .collect();
    assert_eq!(shape, [(0, "anna"), (1, "bert"), (2, "carl"), (1, "dora"), (0, "emil")], "{found}");
    assert_eq!((&found["more"], &found["behind"]), (&json!(false), &json!(0)));
    assert_eq!(found["commands"][2]["events"][0]["causation"], json!(second));
    let shown = site.run(&["trace", TALK]).stdout;
    assert!(shown.contains(&format!("of bank.account bert, caused by {first}")), "{shown}");
    assert_eq!(up.client().get(&format!("/correlations/{TALK}")).json(), found);
    up.client().get("/correlations/talk").is_problem(400, &["\"talk\" is not a command id"]);
    // A command without a correlation id is a conversation of its own.
    let alone = site.run(&["publish", BANK, "gina", "Deposit", "{\"cents\": 5}", "--json"]).json();
    let alone = site.run(&["trace", alone["command"].as_str().unwrap(), "--json"]).json();
    assert_eq!(alone["commands"].as_array().unwrap().len(), 1, "{alone}");
    let none = site.run(&["trace", "00000000-0000-4000-8000-000000000000"]);
    assert!(none.ok && none.stderr.contains("no event belongs to"), "{none:?}");
}

#[test]
fn an_audit_shows_who_did_what_in_a_period() {
    let site = Site::new();
    let up = site.serve();
    deposit_at(&site, "anna", 1, "2025-01-10T00:00:00Z");
    deposit_at(&site, "bert", 2, "2025-02-10T00:00:00Z");
    deposit_at(&site, "anna", 3, "2025-03-10T00:00:00Z");
    let audit = |arguments: &[&str]| {
        let ran = site.run(&[&["audit", "--format", "json"], arguments].concat());
        assert!(ran.ok, "{ran:?}");
        let cents = |line: Value| line["event"]["cents"].as_u64().unwrap();
        lines(&ran.stdout).into_iter().map(cents).collect::<Vec<u64>>()
    };
    // The journal may be behind for a moment.
    until("the journal has them", || (audit(&[]) == [1, 2, 3]).then_some(()));
    assert_eq!(audit(&["--since", "2025-02-10", "--until", "2025-03-10"]), [2]);
    assert_eq!(audit(&["--until", "2025-02-10T00:00:00.001Z"]), [1, 2]);
    assert_eq!(audit(&["--aggregate", "anna"]), [1, 3]);
    assert_eq!(audit(&["--type", "Deposited", "--where", "occurred_ms > 1738800000000"]), [2, 3]);
    assert_eq!(audit(&["--type", "bank.account", "--limit", "2"]), [1, 2]);
    assert_eq!(audit(&["--type", "bank.account.Withdrawn"]), [0_u64; 0]);
    assert_eq!(audit(&["--by", "recorded", "--until", "2025-12-31"]), [0_u64; 0]);
    let csv = site.run(&["audit", "--format", "csv", "--aggregate", "bert"]).stdout;
    let mut rows = csv.lines();
    assert!(rows.next().unwrap().starts_with("occurred,recorded,aggregate_type,aggregate,version,event,fields,source"));
    let row = rows.next().unwrap();
    assert!(row.contains(",bank.account,bert,1,bank.account.Deposited,\"{\"\"cents\"\":2}\",handler/"), "{row}");
    assert!(site.run(&["audit"]).stdout.contains("bank.account.Deposited"));
    // Pages over HTTP: each goes on where the one before ended.
    let page = up.client().get("/audit?limit=2").json();
    assert_eq!(page["events"][1]["aggregate"], "bert");
    let next = page["next"].as_str().unwrap();
    let rest = up.client().get(&format!("/audit?limit=2&after={next}")).json();
    assert_eq!((&rest["events"][0]["event"]["cents"], &rest["next"]), (&json!(3), &Value::Null), "{rest}");
}

#[test]
fn an_audit_of_what_is_not_there_is_refused() {
    let site = Site::new();
    let up = site.serve();
    assert_eq!(site.deposit("anna", 5), 1);
    for (arguments, text) in [
        (&["--type", "Depot"][..], "\"Depot\" is neither an aggregate type nor an event here; there are bank.account"),
        (&["--where", "balance > 5"], "view journal has no column \"balance\""),
        (&["--where", "partition = 0) or (partition = 1"], "filter: expected"),
        (&["--since", "2025-02-01", "--until", "2025-01-01"], "--since is not before --until"),
        (&["--since", "yesterday"], "\"yesterday\" is not a time"),
        (&["--by", "then"], "\"then\" is neither occurred nor recorded"),
    ] {
        site.run(&[&["audit"], arguments].concat()).refused_with(&[text]);
    }
    up.client().get("/audit?after=nonsense").is_problem(400, &["this is no cursor"]);
    up.client().get("/audit?colour=red").is_problem(400, &["colour"]);
    assert_eq!(lines(&site.run(&["audit", "--format", "json"]).stdout).len(), 1);
}
