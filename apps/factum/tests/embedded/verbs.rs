//! The verbs beside a process that has the log, and without one: the same.

use crate::{
    process::until,
    site::{BANK, Site},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

const ID: &str = "3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10";
const TIME: &str = "2026-01-31T12:00:00.000Z";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// JSON without what differs from log to log: times, processes, topics.
fn plain(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        for (name, empty) in [("recorded", ""), ("source", ""), ("token", "")] {
            if let Some(text) = fields.get_mut(name).filter(|value| value.is_string()) {
                assert_ne!(text, empty);
                *text = json!(format!("some {name}"));
            }
        }
        if let Some(time) = fields.get_mut("last_entry_ms") {
            assert!(time.as_i64().unwrap() > 0);
            *time = json!("some time");
        }
        if fields.contains_key("code") && fields["command"] != ID {
            fields["command"] = json!("some id");
        }
    }
    value
}

/// Uses every verb; what they print, line by line.
fn walk(site: &Site) -> Vec<Value> {
    let mut said = Vec::new();
    let mut tell = |arguments: &[&str], ok: bool| {
        let ran = site.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.ok, ok, "{arguments:?}: {ran:?}");
        said.extend(ran.stdout.lines().map(|line| plain(serde_json::from_str(line).unwrap())));
        said.push(json!(ran.stderr));
    };
    let deposit = ["publish", BANK, "anna", "Deposit", r#"{"cents": 100}"#];
    let fixed = ["--command-id", ID, "--occurred", TIME];
    let trace = format!("--trace={TRACE}");
    tell(&[&deposit[..], &fixed, &[&trace]].concat(), true);
    // The same id is answered and not decided again.
    tell(&[&deposit[..], &fixed].concat(), true);
    tell(&[&deposit[..], &["--expected-version", "7"]].concat(), false);
    tell(&["publish", BANK, "anna", "Withdraw", r#"{"cents": 130}"#], false);
    tell(&["publish", BANK, "anna", "Withdraw", r#"{"cent": 130}"#], false);
    tell(&["publish", BANK, "anna", "Depot", r#"{"cents": 130}"#], false);
    tell(&["publish", "bank.acount", "anna", "Deposit", r#"{"cents": 130}"#], false);
    tell(&["state", BANK, "anna"], true);
    tell(&["state", BANK, "nobody"], true);
    tell(&["history", BANK, "anna"], true);
    tell(&["history", BANK, "nobody"], true);
    let odd = "a/b?c%20 ü#\"";
    tell(&["publish", BANK, odd, "Deposit", r#"{"cents": 3}"#], true);
    tell(&["state", BANK, odd], true);
    let long = "x".repeat(257);
    tell(&["state", BANK, &long], false);
    tell(&["query", "balance"], false);
    tell(&["query", "balances", "--where", "balanse > 5"], false);
    let rows = (0..1_500).map(|row| (format!("file-{}", row % 3), (row + 1).to_string()));
    let import = site.deposits("rows", rows);
    let import: Vec<&str> = ["publish", BANK].into_iter().chain(import.iter().map(String::as_str)).collect();
    tell(&import, true);
    // Again: the last 64 of an account are known, all others conflict.
    tell(&import, true);
    // A view that runs in another process is behind for a moment.
    let filter = ["query", "balances", "--where", "balance > 50 and entries = 500", "--json"];
    until("the view has the file", || (site.run(&filter).stdout.lines().count() == 3).then_some(()));
    tell(&filter[..4], true);
    tell(&["query", "balances", "--limit", "2"], true);
    // Wrong rows are named, and nothing of their file is imported.
    let good = || ("late".to_owned(), "1".to_owned());
    let broken = site.deposits("broken", [good(), ("late".to_owned(), "one".to_owned()), good()]);
    let mut arguments = vec!["publish", BANK];
    arguments.extend(broken.iter().map(String::as_str));
    tell(&arguments, false);
    tell(&["state", BANK, "late"], true);
    said
}

#[test]
fn verbs_say_the_same_beside_a_running_process_and_without_one() {
    let (alone, served) = (Site::new(), Site::new());
    let mut up = served.serve();
    let owner = served.owner();
    assert_eq!(owner["http"], up.address.to_string());
    let beside = walk(&served);
    assert_eq!(served.owner(), owner, "somebody else had the log");
    up.process.stop();
    let by_itself = walk(&alone);
    let text = |said: Vec<Value>| {
        let lines: Vec<String> = said.iter().map(Value::to_string).collect();
        // Files are in different folders.
        lines.join("\n").replace(served.path("").to_str().unwrap(), "").replace(alone.path("").to_str().unwrap(), "")
    };
    let (beside, by_itself) = (text(beside), text(by_itself));
    for (one, other) in beside.lines().zip(by_itself.lines()) {
        assert_eq!(one, other);
    }
    assert_eq!(beside, by_itself);
    for expected in [
        r#""code":"accepted","command":"3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10""#,
        r#""code":"conflict""#,
        r#""detail":{"Insufficient":{"asked_cents":130,"balance_cents":100}}"#,
        "bank.account.Withdraw has no field",
        "there is no record",
        "there is no aggregate type",
        r#""balance":375750,"entries":500,"key":"file-2""#,
        "line 3",
        r#"{"id":"late","state":{"balance_cents":0,"overdraft_limit_cents":0},"version":0}"#,
    ] {
        assert!(beside.contains(expected), "{expected} is not in {beside}");
    }
    // The end of the one process leaves all of it to the next.
    assert_eq!(served.run(&["state", BANK, "anna", "--json"]).json()["version"], 1);
}

#[test]
fn a_row_that_does_not_fit_the_command_is_named_by_its_line_and_nothing_is_imported() {
    let site = Site::new();
    let mut up = site.serve();
    // Good as text, and not as a record; and not among the first thousand, which go in a request of their own.
    let rows = (0..2_500).map(|row| format!("{row},anna,1,{}\n", if row == 2_300 { "Gift" } else { "Deposit" }));
    fs::write(site.path("rows.csv"), format!("id,account,amount,kind\n{}", rows.collect::<String>())).unwrap();
    let mapping = r#"
        command = "RecordEntry"
        aggregate = "{account}"
        id = "{id}"
        expected_version = "ordinal"
        [fields]
        cents = { column = "amount", as = "integer" }
        kind = { column = "kind" }
    "#;
    fs::write(site.path("entries.toml"), mapping).unwrap();
    let import = ["publish", BANK, "--file", "rows.csv", "--mapping", "entries.toml", "--json"];
    let text = "nothing was imported: line 2302: the JSON does not fit bank.account.RecordEntry at $.kind: ";
    site.run(&import).refused_with(&[text]);
    assert_eq!(site.run(&["state", BANK, "anna", "--json"]).json()["version"], 0);
    up.process.stop();
    site.run(&import).refused_with(&[text]);
    assert_eq!(site.run(&["state", BANK, "anna", "--json"]).json()["version"], 0);
    let text = fs::read_to_string(site.path("rows.csv")).unwrap();
    fs::write(site.path("rows.csv"), text.replace("Gift", "Interest")).unwrap();
    assert_eq!(site.run(&import).json()["answers"]["accepted"], 2_500);
}

#[test]
fn an_id_that_no_path_can_hold_is_told_while_another_process_has_the_log() {
    let site = Site::new();
    let mut up = site.serve();
    for id in [".", ".."] {
        let text = format!("{id:?} cannot be asked for while another process has the log");
        site.run(&["state", BANK, id]).refused_with(&[&text]);
        site.run(&["publish", BANK, id, "Deposit", "{\"cents\": 5}"]).refused_with(&[&text]);
    }
    up.process.stop();
    assert_eq!(site.deposit("..", 5), 1);
}

#[test]
fn who_writes_what_is_deprecated_is_told_the_same_beside_a_running_process() {
    let site = Site::new();
    let avsc = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/avsc");
    for record in ["bank.account.Deposited", "bank.account.Deposit"] {
        let text = fs::read_to_string(avsc.join(record).join("1.avsc")).unwrap();
        let marked = text.replacen(r#""name": "cents","#, r#""name": "cents", "deprecated": "use amount","#, 1);
        assert_ne!(text, marked);
        let folder = site.path("schemas/avsc").join(record);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("1.avsc"), marked).unwrap();
    }
    let rows = (0..2_500).map(|row| (format!("file-{}", row % 3), (row + 1).to_string()));
    let import = site.deposits("rows", rows);
    let import: Vec<&str> = ["publish", BANK].into_iter().chain(import.iter().map(String::as_str)).collect();
    let mut up = site.serve();
    let owner = site.owner();
    let ran = site.run(&import);
    assert!(ran.ok, "{ran:?}");
    site.deposit("anna", 100);
    let ask = |more: &[&str]| site.run(&[&["schemas", "deprecated"], more].concat());
    let all: [&[&str]; 3] = [&[], &["--json"], &["--since", "2000-01-01"]];
    let beside = all.map(&ask);
    ask(&["--since", "2999-01-01"]).refused_with(&["--since lies in the future"]);
    assert_eq!(site.owner(), owner, "somebody else had the log");
    // Wrong requests are refused, and the next good one is answered.
    const PATH: &str = "/errands/find-writers";
    let asked = |errand: serde_json::Value| json!({ "id": "a test", "views": null, "errand": errand }).to_string();
    let wrong = asked(json!({ "sources": [], "marks": [], "since": null, "x": 1 }));
    let wrong = up.client().post(PATH, &[], &wrong);
    assert!((400..500).contains(&wrong.status) && wrong.body.contains("unknown field `x`"), "{wrong:?}");
    let many = vec![json!({ "aggregate_type": BANK, "kind": "events" }); 1_001];
    let many = asked(json!({ "sources": many, "marks": [], "since": null }));
    // The answer comes in lines, whose length no header tells, so the client complains and shows it.
    let many = up.client().try_post(PATH, &[], &many).unwrap_err().to_string();
    assert!(many.contains("0 marks and 1001 topics are asked for at once, the limit is 1000"), "{many}");
    assert_eq!(ask(&[]).stdout, beside[0].stdout);
    up.process.stop();

    for (beside, by_itself) in beside.iter().zip(all.map(&ask)) {
        assert!(beside.ok && by_itself.ok, "{beside:?} {by_itself:?}");
        assert_eq!((&beside.stdout, &beside.stderr), (&by_itself.stdout, &by_itself.stderr));
    }
    let lines: Vec<&str> = beside[0].stdout.lines().collect();
    let [command, _, sender, event, _, handler] = lines[..] else { panic!("two are marked: {lines:?}") };
    assert_eq!(command, "bank.account.Deposit, field cents: deprecated: use amount");
    // A command that has no answer for long is sent again: these are at least as many as the events.
    let sent = sender.split(": ").nth(1).and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    assert!(sender.starts_with("  written by factum/") && sent.is_some_and(|sent| sent >= 2_501), "{sender}");
    assert_eq!(event, "bank.account.Deposited, field cents: deprecated: use amount");
    assert!(handler.starts_with("  written by handler/") && handler.contains(": 2501 records, the last "), "{handler}");
}
