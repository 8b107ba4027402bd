//! The journal in PostgreSQL: what the verbs about the past answer comes from it.

use crate::{
    deposits::ORDINAL,
    process::until,
    site::{BANK, Site},
};
use factum_test_database::TestDatabase;
use serde_json::{Value, json};

/// More than a page of the audit, and more than two kept states.
const DEPOSITS: u64 = 1_200;
/// The source of no deposit.
const AUDITOR: &str = "somebody/who/marks";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn past_states_histories_conversations_and_audits_come_from_a_journal_in_postgresql() {
    let site = Site::new(2);
    let mut handler = site.handler(&[]);
    let database = TestDatabase::new();
    let url = database.url();
    let mut view = site.start(&["run", "view", "journal", "--views", &url]);
    let ask = |arguments: &[&str]| {
        let ran = site.run(&[arguments, &["--views", &url]].concat());
        assert!(ran.ok, "{ran:?}");
        ran
    };
    // Before it, so many commands would only wait and be sent again.
    handler.says("Assigned(", 1);
    // With the last one's answer they are all in the log.
    let import = site.deposits("anna", ORDINAL, DEPOSITS);
    let sent = site.run(&import.each_ref().map(String::as_str));
    assert!(sent.ok, "{sent:?}");
    let late = ["publish", BANK, "bert", "Deposit", "{\"cents\": 5}", "--occurred", "2025-01-10T00:00:00Z", "--json"];
    let late = site.run(&late).json();
    let talk = late["command"].as_str().unwrap();
    let caused = ["--correlation-id", talk, "--causation-id", &format!("{talk}/0"), "--json"];
    site.run(&[&["publish", BANK, "carl", "Deposit", "{\"cents\": 7}"][..], &caused].concat()).json();

    // A conversation waits for the journal, so it has everything from here on.
    let found = ask(&["trace", talk, "--json"]).json();
    assert_eq!((&found["behind"], &found["more"]), (&json!(0), &json!(false)), "{found}");
    let commands = found["commands"].as_array().unwrap();
    let shape = commands.iter().map(|command| (command["depth"].as_u64().unwrap(), &command["aggregate"]));
    assert_eq!(shape.collect::<Vec<_>>(), [(0, &json!("bert")), (1, &json!("carl"))], "{found}");
    assert_eq!(commands[1]["causation"], format!("{talk}/0"));

    // The log has another source: who tells this one has read the journal.
    let mut client = database.client();
    let marked = client.execute("UPDATE journal_v1 SET source = $1 WHERE key LIKE '%account/anna/%777'", &[&AUDITOR]);
    assert_eq!(marked.unwrap(), 1);
    let history = lines(&ask(&["history", BANK, "anna", "--json"]).stdout);
    let versions: Vec<u64> = history.iter().map(|event| event["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (1..=DEPOSITS).collect::<Vec<_>>());
    let told: Vec<&Value> = history.iter().filter(|event| event["source"] == AUDITOR).collect();
    assert!(matches!(told[..], [event] if event["version"] == 777), "{told:?}");
    let log = lines(&site.run(&["history", BANK, "anna", "--json"]).stdout);
    assert_eq!((log.len(), log[775..778] == history[775..778]), (history.len(), false));
    assert_eq!((&log[..776], &log[777..]), (&history[..776], &history[777..]), "the log says the same otherwise");

    for version in [0, 1, 499, 500, 501, 1_199, DEPOSITS] {
        let found = ask(&["state", BANK, "anna", "--at-version", &version.to_string(), "--json"]).json();
        let expected = (&json!(version), &json!(version), &json!(version % 500));
        assert_eq!((&found["version"], &found["state"]["balance_cents"], &found["folded"]), expected, "{found}");
    }
    site.run(&["state", BANK, "anna", "--at-version", "1201", "--views", &url])
        .refused_with(&["has version 1200: there is no version 1201 yet"]);
    let at = |time: &str, by: &str| {
        let found = ask(&["state", BANK, "bert", "--at-time", time, "--by", by, "--json"]).json();
        found["state"]["balance_cents"].as_i64().unwrap()
    };
    assert_eq!([at("2025-01-11", "occurred"), at("2025-01-11", "recorded"), at("2025-01-09", "occurred")], [5, 0, 0]);
    let recorded = history[600]["recorded"].as_str().unwrap();
    let then = ask(&["state", BANK, "anna", "--at-time", recorded, "--by", "recorded", "--json"]).json();
    let known = history.iter().filter(|event| event["recorded"].as_str().unwrap() <= recorded).count();
    assert_eq!((&then["version"], &then["state"]["balance_cents"]), (&json!(known), &json!(known)), "{then}");
    assert!(then["folded"].as_u64().unwrap() <= 1_000, "{then}");

    let audit = |more: &[&str]| ask(&[&["audit", "--limit", "0"], more].concat()).stdout;
    assert_eq!(lines(&audit(&["--format", "json"])).len(), 1_202);
    assert_eq!(lines(&audit(&["--format", "json", "--until", "2025-02-01"]))[0]["aggregate"], "bert");
    let marked = format!("source = '{AUDITOR}'");
    let found = lines(&audit(&["--format", "json", "--type", BANK, "--aggregate", "anna", "--where", &marked]));
    assert!(matches!(&found[..], [event] if event["version"] == 777), "{found:?}");
    let table = audit(&[]);
    let headers = table.lines().filter(|line| line.starts_with("occurred") || line.starts_with('-'));
    assert_eq!((headers.count(), table.lines().count()), (2, 1_204), "one header above all pages");

    // Behind the log a history is whole, and an audit says that it is not.
    view.stop();
    site.deposit("anna", 100);
    let found = ask(&["state", BANK, "anna", "--json"]).json();
    assert_eq!((&found["version"], &found["state"]["balance_cents"]), (&json!(1_201), &json!(1_300)));
    assert_eq!(lines(&ask(&["history", BANK, "anna", "--json"]).stdout).len(), 1_201);
    let behind = ask(&["audit", "--limit", "1", "--format", "json"]);
    assert!(behind.stderr.contains("records behind the log"), "{behind:?}");
    let mut view = site.start(&["run", "view", "journal", "--views", &url]);
    until("the journal has caught up", || {
        let found = ask(&["audit", "--aggregate", "anna", "--limit", "0", "--format", "json"]);
        (lines(&found.stdout).len() == 1_201 && !found.stderr.contains("behind")).then_some(())
    });
    view.stop();
    handler.stop();
}
