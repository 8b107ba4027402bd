//! What is told of statuses that were made up.

use super::{
    board::Member,
    ends::Ends,
    health, metrics, names,
    snapshot::{Snapshot, State},
};
use crate::host::ViewProgress;
use expect_test::expect;
use factum_core::{
    Offset, Partition, TimestampMs, Topic, TopicPartition,
    handler::{Activity, PartitionHealth},
    measure::Since,
};
use factum_handler::WorkerStatus;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

const NOW: TimestampMs = TimestampMs(1_800_000_000_000);

/// A worker with one partition that is ready at 5.
fn status() -> WorkerStatus {
    let mut status = WorkerStatus { joined: Some(TimestampMs(NOW.0 - 60_000)), turned: NOW, ..WorkerStatus::default() };
    status.partitions.push(PartitionHealth {
        partition: Partition(2),
        activity: Activity::Ready,
        next_command: Offset(5),
        aggregates: 3,
        size_bytes: 4_096,
        careful: None,
    });
    let since = Since { state: TimestampMs(NOW.0 - 9_000), progress: TimestampMs(NOW.0 - 1_000) };
    status.since.insert(Partition(2), since);
    status.stats.events = 7;
    status.stats.transactions = 2;
    status.stats.repeats = 1;
    status.transaction_seconds.record(0.004);
    status.transaction_seconds.record(60.0);
    status
}

fn place() -> TopicPartition {
    Topic::new("bank.account.commands").partition(Partition(2))
}

/// The log ends at this offset, as was seen just now.
fn ends(end: i64) -> Ends {
    Ends { known: [(place(), Offset(end))].into(), looked: Some(NOW), trouble: None }
}

fn snapshot(statuses: &[WorkerStatus], ends: Ends, stopping: bool) -> Snapshot {
    let members: Vec<_> = statuses
        .iter()
        .map(|status| Member::Handler {
            aggregate_type: "bank.account",
            commands: Topic::new("bank.account.commands"),
            status: Arc::new(Mutex::new(status.clone())),
        })
        .collect();
    Snapshot::take(&members, ends, 10, stopping, NOW)
}

fn ready(status: &WorkerStatus, ends: Ends) -> Value {
    serde_json::to_value(health::ready(&snapshot(std::slice::from_ref(status), ends, false))).unwrap()
}

/// The lines about one metric.
fn lines(text: &str, name: &str) -> String {
    let about = |line: &&str| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with(name);
    text.lines().filter(about).collect::<Vec<_>>().join("\n")
}

#[test]
fn workers_of_a_type_are_told_together() {
    let text = metrics::render(snapshot(&[status(), status()], ends(8), false)).unwrap();
    expect![[r##"
        # HELP factum_events Events committed
        # TYPE factum_events counter
        factum_events_total{aggregate_type="bank.account"} 14"##]]
    .assert_eq(&lines(&text, "factum_events"));
    expect![[r##"
        # HELP factum_transactions Transactions by what became of them
        # TYPE factum_transactions counter
        factum_transactions_total{aggregate_type="bank.account",outcome="committed"} 4
        factum_transactions_total{aggregate_type="bank.account",outcome="aborted"} 0
        factum_transactions_total{aggregate_type="bank.account",outcome="unknown"} 0"##]]
    .assert_eq(&lines(&text, "factum_transactions"));
    expect![[r##"
        # HELP factum_transaction_seconds How long transactions took
        # TYPE factum_transaction_seconds histogram
        factum_transaction_seconds_sum{aggregate_type="bank.account"} 120.008
        factum_transaction_seconds_count{aggregate_type="bank.account"} 4
        factum_transaction_seconds_bucket{le="0.001",aggregate_type="bank.account"} 0
        factum_transaction_seconds_bucket{le="0.0025",aggregate_type="bank.account"} 0
        factum_transaction_seconds_bucket{le="0.005",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="0.01",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="0.025",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="0.05",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="0.1",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="0.25",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="0.5",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="1.0",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="2.5",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="5.0",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="10.0",aggregate_type="bank.account"} 2
        factum_transaction_seconds_bucket{le="+Inf",aggregate_type="bank.account"} 4"##]]
    .assert_eq(&lines(&text, "factum_transaction_seconds"));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_partition_is_told_with_its_lag_its_progress_and_its_size() {
    let text = metrics::render(snapshot(&[status()], ends(8), false)).unwrap();
    let of = |name| lines(&text, name).lines().last().unwrap_or_default().to_owned();
    let partition =
        ["factum_lag", "factum_position", "factum_last_progress", "factum_state_aggregates", "factum_state_bytes"];
    expect![[r#"
        factum_lag_records{processor="handler",name="bank.account",topic="bank.account.commands",partition="2"} 3.0
        factum_position_offset{processor="handler",name="bank.account",topic="bank.account.commands",partition="2"} 5.0
        factum_last_progress_timestamp_seconds{processor="handler",name="bank.account",topic="bank.account.commands",partition="2"} 1799999999.0
        factum_state_aggregates{aggregate_type="bank.account",partition="2"} 3.0
        factum_state_bytes{aggregate_type="bank.account",partition="2"} 4096.0"#]].assert_eq(&partition.map(of).join("\n"));
    expect![[r##"
        # HELP factum_partitions Partitions of this process by their state
        # TYPE factum_partitions gauge
        factum_partitions{processor="handler",name="bank.account",state="ready"} 1.0
        factum_partitions{processor="handler",name="bank.account",state="catching-up"} 0.0
        factum_partitions{processor="handler",name="bank.account",state="joining"} 0.0
        factum_partitions{processor="handler",name="bank.account",state="recovering"} 0.0
        factum_partitions{processor="handler",name="bank.account",state="waiting-for-log"} 0.0
        factum_partitions{processor="handler",name="bank.account",state="waiting-for-registry"} 0.0
        factum_partitions{processor="handler",name="bank.account",state="waiting-for-database"} 0.0
        factum_partitions{processor="handler",name="bank.account",state="waiting-for-owner"} 0.0
        factum_partitions{processor="handler",name="bank.account",state="stopped"} 0.0"##]]
    .assert_eq(&lines(&text, "factum_partitions"));
}

#[test]
fn every_metric_of_the_table_is_told_and_no_other() {
    let text = metrics::render(snapshot(&[status()], ends(8), false)).unwrap();
    let told: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let known: BTreeSet<&str> = names::ALL.iter().map(|m| m.name.strip_suffix("_total").unwrap_or(m.name)).collect();
    assert_eq!(told, known);
    for metric in names::ALL {
        let ends_well = metric.name.ends_with("_total");
        assert_eq!(ends_well, metric.kind == names::Kind::Counter, "{}", metric.name);
    }
}

#[test]
fn the_page_is_the_table() {
    let page = include_str!("../../docs/metrics.md");
    let rows = names::ALL.iter().map(|metric| {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = format!("{:?}", metric.kind).to_lowercase();
        format!("| `{}` | {kind} | {} | {} |\n", metric.name, labels.join(", "), metric.help)
    });
    let table = format!("| metric | kind | labels | meaning |\n|---|---|---|---|\n{}", rows.collect::<String>());
    assert!(page.contains(&table), "docs/metrics.md is to hold:\n{table}");
}

#[test]
fn a_ready_partition_is_ready_with_its_position_and_its_end() {
    let told = ready(&status(), ends(8));
    expect![[r#"
        {
          "members": [
            {
              "name": "bank.account",
              "partitions": [
                {
                  "end": 8,
                  "lag_records": 3,
                  "last_progress": "2027-01-15T07:59:59.000Z",
                  "partition": 2,
                  "position": 5,
                  "since": "2027-01-15T07:59:51.000Z",
                  "state": "ready",
                  "topic": "bank.account.commands"
                }
              ],
              "processor": "handler",
              "state": "ready"
            }
          ],
          "ready": true
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&told).unwrap());
}

#[test]
fn what_keeps_a_partition_from_being_ready_has_a_class_and_a_reason() {
    let with = |activity: Activity| {
        let mut status = status();
        status.partitions[0].activity = activity;
        ready(&status, ends(8))["reason"].as_str().unwrap_or("ready").to_owned()
    };
    let reasons = [
        with(Activity::Ready),
        with(Activity::Recovering),
        with(Activity::Surveying(None)),
        with(Activity::Surveying(Some("no broker answers".into()))),
        with(Activity::AwaitingSchema(7)),
        with(Activity::Stopped("version 3 is missing".into())),
    ];
    expect![[r#"
        ready
        bank.account.commands/2: recovering
        bank.account.commands/2: recovering
        bank.account.commands/2: waiting-for-log: no broker answers
        bank.account.commands/2: waiting-for-registry: schema id 7 is not known yet
        bank.account.commands/2: stopped: version 3 is missing"#]]
    .assert_eq(&reasons.join("\n"));
}

#[test]
fn a_log_that_cannot_be_asked_or_is_far_ahead_makes_not_ready() {
    let reason = |ends: Ends| ready(&status(), ends)["reason"].as_str().unwrap_or("ready").to_owned();
    let away = Ends { trouble: Some("no broker answers".into()), ..ends(8) };
    let stale = Ends { looked: Some(TimestampMs(NOW.0 - 10_001)), ..ends(8) };
    let reasons = [reason(ends(15)), reason(ends(16)), reason(away), reason(stale), reason(Ends::default())];
    expect![[r#"
        ready
        bank.account.commands/2: catching-up: 11 records behind; a ready one is at most 10 behind
        bank.account.commands/2: waiting-for-log: no broker answers
        bank.account.commands/2: waiting-for-log: the log has not told its end for 10001 ms
        bank.account.commands/2: waiting-for-log: the end of the log has not been looked at yet"#]]
    .assert_eq(&reasons.join("\n"));
}

#[test]
fn a_member_without_partitions_is_ready_once_it_is_a_spare_one() {
    let reason = |joined: Option<i64>| {
        let joined = joined.map(|ago| TimestampMs(NOW.0 - ago));
        let status = WorkerStatus { joined, turned: NOW, ..WorkerStatus::default() };
        ready(&status, Ends::default())["reason"].as_str().unwrap_or("ready").to_owned()
    };
    expect![[r#"
        bank.account: joining: it is not a member of its group yet
        bank.account: joining: it has no partitions yet
        ready"#]]
    .assert_eq(&[reason(None), reason(Some(2_999)), reason(Some(3_000))].join("\n"));
}

#[test]
fn a_process_that_stops_or_has_nothing_is_not_ready() {
    let reason = |snapshot: &Snapshot| serde_json::to_value(health::ready(snapshot)).unwrap()["reason"].clone();
    assert_eq!(reason(&snapshot(&[status()], ends(8), true)), json!("stopping"));
    assert_eq!(reason(&snapshot(&[], ends(8), false)), json!("no processor was started yet"));
}

#[test]
fn a_process_lives_as_long_as_all_its_loops_turn() {
    let mut hanging = status();
    let alive =
        |status: &WorkerStatus| health::alive(&snapshot(&[self::status(), status.clone()], ends(8), false)).alive;
    assert!(alive(&hanging));
    hanging.turned = TimestampMs(NOW.0 - 300_001);
    assert!(!alive(&hanging));
}

#[test]
fn a_view_that_failed_makes_the_process_unready_and_not_dead() {
    let mut failed = ViewProgress::new("balances", &["bank.account"]);
    failed.failure = Some("it failed, and is started again after 2 s: no such table".to_owned());
    let ends = Ends { looked: Some(NOW), ..Ends::default() };
    let snapshot = Snapshot::take(&[Member::View(failed)], ends, 10, false, NOW);
    let told = serde_json::to_value(health::ready(&snapshot)).unwrap();
    assert_eq!(told["ready"], false);
    assert_eq!(told["reason"], "balances: stopped: it failed, and is started again after 2 s: no such table");
    assert!(health::alive(&snapshot).alive);
}

#[test]
fn a_journal_that_catches_up_keeps_nothing_else_from_being_ready() {
    let mut both = snapshot(&[status()], ends(8), false);
    let mut journal = both.members[0].clone();
    journal.name = "journal";
    journal.partitions[0].state = State::CatchingUp;
    both.members.push(journal);
    assert!(health::is_ready(&both));
    both.members[1].partitions[0].state = State::WaitingForDatabase;
    assert!(!health::is_ready(&both), "it cannot work");
    both.members[1].partitions[0].state = State::CatchingUp;
    both.members.remove(0);
    assert!(!health::is_ready(&both), "it is all there is");
    both.members[0].name = "balances";
    both.members.push(both.members[0].clone());
    assert!(!health::is_ready(&both), "another view is waited for");
}

#[test]
fn a_process_that_only_serves_is_ready_without_processors() {
    let snapshot = Snapshot::take(&[], Ends::default(), 10, false, NOW);
    assert!(!health::is_ready(&snapshot), "one that has not started its processors yet");
    assert!(health::is_ready(&Snapshot { expects_members: false, ..snapshot.clone() }));
    assert!(!health::is_ready(&Snapshot { expects_members: false, stopping: true, ..snapshot }));
}
