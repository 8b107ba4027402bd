//! `schemas deprecated` on Kafka: who still writes what is marked, as the events tell it.

use crate::site::{BANK, Site, root};
use serde_json::{Value, json};
use std::fs;

const FEE: &str = "bank.account.FeeCharged";
const LIMIT: &str = "bank.account.OverdraftLimitChanged";

/// Two committed records, each with a next version that has a mark: on a field, and on the record.
fn marked(site: &Site) -> String {
    let folder = site.path("avsc");
    for (record, newest, before, after) in [
        (FEE, 2, r#""name": "reason","#, r#""name": "reason", "deprecated": "use memo","#),
        (LIMIT, 1, r#""type": "record""#, r#""type": "record", "deprecated": "use OverdraftAgreed""#),
    ] {
        let [committed, copy] = [root().join("schemas/avsc"), folder.clone()].map(|folder| folder.join(record));
        fs::create_dir_all(&copy).unwrap();
        for version in 1..=newest {
            let name = format!("{version}.avsc");
            fs::copy(committed.join(&name), copy.join(&name)).unwrap();
        }
        let text = fs::read_to_string(copy.join(format!("{newest}.avsc"))).unwrap();
        let marked = text.replacen(before, after, 1);
        assert_ne!(text, marked, "{record}");
        fs::write(copy.join(format!("{}.avsc", newest + 1)), marked).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

/// Sends a command, which is accepted.
fn send(site: &Site, account: &str, command: &str, fields: &Value) {
    let ran = site.run(&["publish", BANK, account, command, &fields.to_string()]);
    assert!(ran.ok, "{ran:?}");
}

/// A fee, with or without what it was for.
fn fee(reason: Option<&str>) -> Value {
    json!({ "kind": "Fee", "cents": 1, "reason": reason })
}

/// Of an account's last event: who wrote it, where and when.
#[derive(Debug)]
struct Written {
    source: String,
    place: String,
    time: String,
}

fn last(site: &Site, account: &str) -> Written {
    let events = site.run(&["history", BANK, account, "--json"]).stdout;
    let event: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    let [source, time] = ["source", "recorded"].map(|name| event[name].as_str().unwrap().to_owned());
    let place = format!("{}/{}@{}", site.topics().events, event["partition"], event["offset"]);
    Written { source, place, time }
}

#[test]
fn who_writes_a_deprecated_field_or_event_is_listed_and_who_leaves_its_default_is_not() {
    let site = Site::new(2);
    let dir = marked(&site);
    assert!(site.run(&["schemas", "register", "--dir", &dir]).ok);
    let deprecated = |more: &[&str]| {
        let ran = site.run(&[&["schemas", "deprecated", "--dir", &dir], more].concat());
        assert!(ran.ok && ran.stderr.is_empty(), "{ran:?}");
        ran.stdout
    };
    let topic = site.topics().events;
    let fees = format!("{FEE}, field reason: deprecated: use memo\n  in {topic}-{FEE}, version 2, 3\n");
    let limits = format!("{LIMIT}: deprecated: use OverdraftAgreed\n  in {topic}-{LIMIT}, version 1, 2\n");
    let nobody = "  written by nobody\n";
    assert_eq!(deprecated(&[]), format!("{fees}{nobody}{limits}{nobody}"));

    // The old one writes all of it, the new one has stopped.
    let mut old = site.handler(&["--grant", "import"]);
    send(&site, "anna", "SetOverdraftLimit", &json!({ "cents": 100 }));
    let limit = last(&site, "anna");
    for _ in 0..2 {
        send(&site, "anna", "RecordEntry", &fee(Some("a card")));
    }
    let by_old = last(&site, "anna");
    old.stop();
    let mut new = site.handler(&["--grant", "import"]);
    for account in ["anna", "carl", "dora", "emil"] {
        send(&site, account, "RecordEntry", &fee(None));
    }
    let told = |Written { source, place, time }: &Written, since: &str, records: &str| {
        format!("  written by {source}{since}: {records}, the last {place} at {time}\n")
    };
    let old_limit = told(&limit, "", "1 record");
    let old_fees = told(&by_old, "", "2 records");
    assert_eq!(deprecated(&[]), format!("{fees}{old_fees}{limits}{old_limit}"));

    // Since then nobody does, until the new one does it again.
    let carl = last(&site, "carl");
    let time = carl.time.as_str();
    let since = format!(" since {time}");
    let nobody = format!("  written by nobody{since}\n");
    assert_eq!(deprecated(&["--since", time]), format!("{fees}{nobody}{limits}{nobody}"));
    send(&site, "carl", "RecordEntry", &fee(Some("a letter")));
    let by_new = last(&site, "carl");
    assert_ne!(by_new.source, by_old.source);
    assert_eq!(by_new.source, carl.source);
    let new_fees = told(&by_new, &since, "1 record");
    assert_eq!(deprecated(&["--since", time]), format!("{fees}{new_fees}{limits}{nobody}"));

    let writer = |Written { source, place, time }: &Written, records: u64| json!({ "source": source, "records": records, "last": place, "last_recorded": time });
    let mut both = [writer(&by_old, 2), writer(&by_new, 1)];
    both.sort_by_key(|writer| writer["source"].to_string());
    let lines = deprecated(&["--json"]);
    let writers = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["writers"].take());
    assert_eq!(writers.collect::<Vec<_>>(), [json!(both), json!([writer(&limit, 1)])]);
    new.stop();
}
