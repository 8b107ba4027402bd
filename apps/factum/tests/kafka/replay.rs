//! Views whose group's offsets are reset with Kafka's own tool while they are down, and `replay`.

use crate::{
    process::{Process, until},
    site::{BANK, Site},
};
use factum_test_broker::kafka_tool;
use factum_test_database::TestDatabase;
use serde_json::{Value, json};

const HONOURED: &str = "an operator set the group's offset, which is honoured";

/// A bank whose view has seen anna's three deposits and carl's one, and is down.
struct Bank {
    site: Site,
    /// Where the view is; none for a SQLite file.
    database: Option<TestDatabase>,
    _handler: Process,
    /// Anna's partition.
    partition: u64,
    events: Vec<Value>,
}

impl Bank {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(database: Option<TestDatabase>) -> Self {
        let site = Site::new(2);
        let handler = site.handler(&[]);
        for cents in [100, 20, 3] {
            site.deposit("anna", cents);
        }
        site.deposit("carl", 7);
        let history = site.run(&["history", BANK, "anna", "--json"]);
        let events: Vec<Value> = history.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let partition = events[0]["partition"].as_u64().unwrap();
        let bank = Bank { site, database, _handler: handler, partition, events };
        bank.runs_until("anna", 123).stop();
        bank
    }

    /// Starts the view, and waits until it shows this.
    fn runs_until(&self, account: &str, balance: i64) -> Process {
        let views = self.views();
        let mut view = self.site.start(&["run", "view", "balances", "--views", &views]);
        view.says("starts", 2);
        until(&format!("{account} has {balance}"), || {
            assert!(view.is_running(), "{}", view.stderr());
            (self.balance(account) == Some(balance)).then_some(())
        });
        view
    }

    fn balance(&self, account: &str) -> Option<i64> {
        let key = format!("key = '{account}'");
        let ran = self.site.run(&["query", "balances", "--where", &key, "--json", "--views", &self.views()]);
        let row: Value = serde_json::from_str(ran.stdout.lines().next()?).ok()?;
        row["balance"].as_i64()
    }

    fn views(&self) -> String {
        match &self.database {
            Some(database) => database.url(),
            None => self.site.path("views.sqlite").to_str().unwrap().to_owned(),
        }
    }

    fn sql(&self, statement: &str) {
        let changed = match &self.database {
            Some(database) => database.client().execute(statement, &[]).unwrap(),
            None => {
                let file = rusqlite::Connection::open(self.site.path("views.sqlite")).unwrap();
                u64::try_from(file.execute(statement, []).unwrap()).unwrap()
            }
        };
        assert!(changed > 0);
    }

    /// The outcome of `replay`, once the session of the view that was stopped just now has ended.
    fn replay(&self, arguments: &[&str]) -> Value {
        let views = self.views();
        let arguments = [&["replay", "balances", "--json", "--views", &views], arguments].concat();
        until("the group is empty", || Some(self.site.run(&arguments)).filter(|ran| ran.ok)).json()["outcome"].clone()
    }

    fn group(&self) -> String {
        format!("{}balances_v1.view", self.site.environment().prefix)
    }

    /// Anna's partition as the tool names it.
    fn place(&self) -> String {
        format!("{}:{}", self.site.topics().events, self.partition)
    }

    /// Kafka's own tool, which waits for nobody: the group's last member may not be gone yet.
    fn reset(&self, topic: &str, how: &[&str]) {
        let group = self.group();
        let arguments =
            ["--bootstrap-server", self.site.kafka(), "--group", &group, "--topic", topic, "--reset-offsets"];
        let arguments = [&arguments, how, &["--execute"]].concat();
        until("the offsets are reset", || {
            let tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
            let said = kafka_tool(tool, &arguments).ok()?;
            // With members in the group it says so and changes nothing.
            (!said.stdout.contains("inactive") && !said.stderr.contains("inactive")).then_some(())
        });
    }

    /// Offsets of the view's group with the log's ends, as Kafka sees them.
    fn is_at_the_end(&self) -> bool {
        let mut admin = self.site.admin();
        let places = admin.partitions(&self.site.topics().events).unwrap();
        let committed = admin.group_offsets(&self.group(), &places).unwrap();
        places.iter().all(|place| {
            let end = admin.bounds(place, factum::log::Isolation::ReadCommitted).unwrap().end;
            end.0 == 0 || committed.iter().any(|(at, committed)| at == place && committed.offset == end)
        })
    }
}

#[test]
fn kafkas_reset_to_earliest_builds_the_view_again_once() {
    let bank = Bank::new();
    bank.sql("UPDATE balances_v1 SET balance = 1");
    bank.reset(bank.site.topics().events.as_str(), &["--to-earliest"]);
    let mut view = bank.runs_until("anna", 123);
    // He may be of the other partition.
    until("carl has 7", || (bank.balance("carl") == Some(7)).then_some(()));
    assert!(view.stderr().contains("so the whole view is built again"), "{}", view.stderr());
    view.stop();
    bank.sql("UPDATE balances_v1 SET balance = 1 WHERE key = 'carl'");
    let mut view = bank.runs_until("anna", 123);
    assert!(!view.stderr().contains(HONOURED), "once: {}", view.stderr());
    assert_eq!(bank.balance("carl"), Some(1));
    view.stop();
}

#[test]
fn kafkas_reset_to_an_offset_or_a_datetime_delivers_again_and_applies_nothing_twice() {
    let bank = Bank::new();
    let second = bank.events[1]["offset"].to_string();
    bank.reset(&bank.place(), &["--to-offset", &second]);
    let mut view = bank.runs_until("anna", 123);
    view.says(HONOURED, 1);
    assert!(view.stderr().contains("so the records between are delivered again"), "{}", view.stderr());
    until("it is at the end again", || bank.is_at_the_end().then_some(()));
    view.stop();
    let third = bank.events[2]["recorded"].as_str().unwrap();
    bank.reset(&bank.place(), &["--to-datetime", third]);
    let mut view = bank.runs_until("anna", 123);
    view.says(HONOURED, 1);
    until("it is at the end again", || bank.is_at_the_end().then_some(()));
    assert_eq!((bank.balance("anna"), bank.balance("carl")), (Some(123), Some(7)));
    view.stop();
}

#[test]
fn kafkas_reset_to_latest_leaves_events_out_and_what_follows_is_no_gap() {
    let bank = Bank::new();
    bank.site.deposit("anna", 1_000);
    bank.reset(bank.site.topics().events.as_str(), &["--to-latest"]);
    bank.site.deposit("anna", 5);
    let mut view = bank.runs_until("anna", 128);
    assert!(view.stderr().contains("so the records between are left out"), "{}", view.stderr());
    view.stop();
    // Known to a later process, too.
    bank.site.deposit("anna", 2);
    bank.runs_until("anna", 130).stop();
}

#[test]
fn where_the_fold_changed_a_reset_says_what_to_do_and_replay_folds_the_rows_again() {
    let bank = Bank::new();
    bank.sql("UPDATE factum_folds SET fold_version = 0 WHERE view = 'balances_v1'");
    bank.sql("UPDATE balances_v1 SET balance = 0 WHERE key = 'anna'");
    let (second, partition) = (bank.events[1]["offset"].to_string(), bank.partition.to_string());
    bank.reset(&bank.place(), &["--to-offset", &second]);
    let mut view = bank.site.start(&["run", "view", "balances"]);
    view.says("to deliver again would not be enough", 1);
    assert!(view.stderr().contains("`factum views rebuild balances`"), "{}", view.stderr());
    let replay = ["replay", "balances", "--to", &second, "--partition", &partition, "--json"];
    bank.site.run(&replay).refused_with(&[
        "view balances runs",
        "end every process that runs it",
        "nothing was changed",
    ]);
    view.stop();
    let done = until("the group is empty", || Some(bank.site.run(&replay)).filter(|ran| ran.ok)).json();
    assert_eq!(done["outcome"]["rows_folded"], 1, "{done}");
    let mut view = bank.runs_until("anna", 123);
    assert!(!view.stderr().contains("would not be enough"), "{}", view.stderr());
    view.stop();
}

#[test]
fn replay_on_kafka_rebuilds_delivers_again_and_leaves_out() {
    let bank = Bank::new();
    bank.sql("UPDATE balances_v1 SET balance = 1");
    let outcome = bank.replay(&["--to", "earliest"]);
    assert_eq!((&outcome["delivered"], &outcome["applied"]), (&json!(4), &json!(4)));
    assert_eq!((bank.balance("anna"), bank.balance("carl")), (Some(123), Some(7)));
    let (second, partition) = (bank.events[1]["offset"].to_string(), bank.partition.to_string());
    let outcome = bank.replay(&["--to", &second, "--partition", &partition]);
    assert_eq!(outcome["applied"], 0);
    assert!(outcome["already_applied"].as_u64() >= Some(2), "{outcome}");
    bank.site.deposit("anna", 1_000);
    let outcome = bank.replay(&["--to", "latest"]);
    assert_eq!(outcome["left_out"].as_array().unwrap().len(), 1);
    assert_eq!(bank.balance("anna"), Some(123));
}

#[test]
fn in_postgresql_kafkas_resets_and_replay_do_the_same() {
    let bank = Bank::with(Some(TestDatabase::new()));
    bank.sql("UPDATE balances_v1 SET balance = 1");
    bank.reset(bank.site.topics().events.as_str(), &["--to-earliest"]);
    let mut view = bank.runs_until("anna", 123);
    until("carl has 7", || (bank.balance("carl") == Some(7)).then_some(()));
    assert!(view.stderr().contains("so the whole view is built again"), "{}", view.stderr());
    view.stop();
    let second = bank.events[1]["offset"].to_string();
    let third = bank.events[2]["recorded"].as_str().unwrap();
    for how in [["--to-offset", second.as_str()], ["--to-datetime", third]] {
        bank.reset(&bank.place(), &how);
        let mut view = bank.runs_until("anna", 123);
        view.says(HONOURED, 1);
        until("it is at the end again", || bank.is_at_the_end().then_some(()));
        view.stop();
    }
    let partition = bank.partition.to_string();
    let outcome = bank.replay(&["--to", &second, "--partition", &partition]);
    assert_eq!((&outcome["delivered"], &outcome["applied"]), (&outcome["already_applied"], &json!(0)), "{outcome}");
    assert!(outcome["delivered"].as_u64() >= Some(2), "{outcome}");
    let outcome = bank.replay(&["--to", "earliest"]);
    assert_eq!((&outcome["delivered"], &outcome["applied"]), (&json!(4), &json!(4)));
    assert_eq!((bank.balance("anna"), bank.balance("carl")), (Some(123), Some(7)));
}
