//! Versions of the bank's handler side by side in one group while commands
//! flow: upgraded, rolled back, and where one cannot read what another wrote.

use crate::{
    books::Books,
    process::until,
    site::{BANK, Site},
    traffic::{ACCOUNTS, Fields, Order, Traffic, accounts, send, send_aside, send_fields},
    versions::{Newest, between, one, two},
};
use factum::{
    Aggregate, Partition,
    handler::{Activity, Granted},
    host::{AggregateHost, HandlerOptions, Running, Stop, Typed, WorkerStatus},
    log::GroupProtocol,
    schemas::{AvroMessage, AvroSchema},
    wire::AnswerCode,
};

use factum_bank::Account;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// A handler in this process, which has nothing in common with the others but the cluster.
struct Instance {
    running: Running,
    stop: Stop,
    status: Arc<Mutex<WorkerStatus>>,
}

impl Instance {
    fn start<A>(site: &Site, protocol: GroupProtocol) -> Self
    where
        A: Aggregate + AvroSchema + Serialize + DeserializeOwned,
        A::Command: AvroMessage,
        A::Event: AvroMessage,
    {
        let options = HandlerOptions {
            granted: Granted::All,
            session_timeout: Duration::from_secs(6),
            protocol,
            ..HandlerOptions::default()
        };
        let stop = Stop::default();
        let (running, status) = Typed::<A>::default().start_handler(&site.environment(), options, &stop).unwrap();
        Instance { running, stop, status }
    }

    /// What it does with its partitions, of which it has as many.
    fn has(&self, partitions: usize, activity: impl Fn(&Activity) -> bool) -> bool {
        assert_eq!(self.running.failure(), None);
        let status = self.status.lock().unwrap();
        status.partitions.len() == partitions && status.partitions.iter().all(|health| activity(&health.activity))
    }

    /// The partition that stands still.
    fn stuck(&self) -> Partition {
        self.status.lock().unwrap().partitions[0].partition
    }

    /// Leaves the group in good order, as at the end of a roll-out.
    fn end(self) {
        self.stop.stop();
        self.running.join().unwrap();
    }
}

/// What each account is told in a round. A balance or limit that is a cent too high lets the last one
/// pass; without the limit one before it is refused.
const ROUND: [(&str, &str); 8] = [
    ("Deposit", r#"{"cents": 3}"#),
    ("RecordEntry", r#"{"kind": "Fee", "cents": 1, "reason": "a card"}"#),
    ("SetOverdraftLimit", r#"{"cents": 5}"#),
    ("Withdraw", r#"{"cents": 7}"#),
    ("RecordEntry", r#"{"kind": "OverdraftInterest", "cents": 1}"#),
    ("Deposit", r#"{"cents": 6}"#),
    ("SetOverdraftLimit", r#"{"cents": 0}"#),
    ("Withdraw", r#"{"cents": 1}"#),
];

/// How often each answer comes in a round.
fn answers() -> Vec<(AnswerCode, u64)> {
    let accounts = ACCOUNTS as u64;
    vec![(AnswerCode::Accepted, 7 * accounts), (AnswerCode::Refused, accounts)]
}

fn round() -> Vec<Fields> {
    let of_account = |account: String| {
        ROUND.map(|(record, fields)| (account.clone(), record, serde_json::from_str(fields).unwrap()))
    };
    accounts().flat_map(of_account).collect()
}

/// Waits until both have a partition of the two and commands are answered.
fn side_by_side(traffic: &Traffic, instances: [&Instance; 2]) {
    let ready = |instance: &&Instance| instance.has(1, |activity| *activity == Activity::Ready);
    until("each has a partition", || instances.iter().all(ready).then_some(()));
    traffic.goes_on();
}

#[test]
fn two_versions_are_upgraded_and_rolled_back_side_by_side_and_every_command_is_decided_once_and_right() {
    upgraded_and_rolled_back(GroupProtocol::Classic);
}

#[test]
fn two_versions_are_upgraded_and_rolled_back_side_by_side_where_the_broker_assigns() {
    upgraded_and_rolled_back(GroupProtocol::Consumer);
}

fn upgraded_and_rolled_back(protocol: GroupProtocol) {
    let site = Site::new(2);
    let first = Instance::start::<one::Account>(&site, protocol);
    let second = Instance::start::<one::Account>(&site, protocol);
    let traffic = Traffic::of(&site, round, answers());
    side_by_side(&traffic, [&first, &second]);

    // Upgraded: an old one goes before the new one comes.
    first.end();
    let third = Instance::start::<two::Account>(&site, protocol);
    side_by_side(&traffic, [&second, &third]);
    // The other way round.
    let fourth = Instance::start::<two::Account>(&site, protocol);
    second.end();
    side_by_side(&traffic, [&third, &fourth]);

    // Rolled back: the first version reads what the second wrote, and writes beside it.
    third.end();
    let fifth = Instance::start::<one::Account>(&site, protocol);
    side_by_side(&traffic, [&fourth, &fifth]);
    let sixth = Instance::start::<one::Account>(&site, protocol);
    fourth.end();
    side_by_side(&traffic, [&fifth, &sixth]);

    // And the upgrade once more, from both at once.
    let last = Instance::start::<two::Account>(&site, protocol);
    fifth.end();
    sixth.end();
    until("one has both", || last.has(2, |activity| *activity == Activity::Ready).then_some(()));
    traffic.goes_on();
    let rounds = traffic.end();
    last.end();

    let books = every_round_is_there(&site, rounds);
    // Both versions decided in each partition.
    for partition in [0, 1] {
        let schemas = books.schemas("bank.account.FeeCharged", partition);
        assert!(schemas.len() >= 4, "partition {partition}: the schemas were, one after the other, {schemas:?}");
    }
    no_dead_letters(&site);
}

/// Reads what so many rounds have written.
fn every_round_is_there(site: &Site, rounds: i64) -> Books {
    let books = Books::read(site);
    for (account, balance) in books.balances() {
        assert_eq!((balance.version, balance.cents), (u64::try_from(7 * rounds).unwrap(), 0), "{account}");
    }
    assert_eq!(books.balances().len(), ACCOUNTS);
    books
}

#[test]
fn in_two_releases_a_breaking_change_is_rolled_out_and_back_without_a_stop() {
    let site = Site::new(2);
    let old = Instance::start::<two::Account>(&site, GroupProtocol::Classic);
    let traffic = Traffic::of(&site, round, answers());
    // The first release reads the new events and writes the old ones.
    let first = Instance::start::<between::Account>(&site, GroupProtocol::Classic);
    side_by_side(&traffic, [&old, &first]);
    old.end();
    // The second one writes the new ones.
    let second = Instance::start::<Account>(&site, GroupProtocol::Classic);
    side_by_side(&traffic, [&first, &second]);
    first.end();
    traffic.goes_on();
    // Rolled back to the first.
    let back = Instance::start::<between::Account>(&site, GroupProtocol::Classic);
    side_by_side(&traffic, [&second, &back]);
    second.end();
    until("one has both", || back.has(2, |activity| *activity == Activity::Ready).then_some(()));
    traffic.goes_on();
    let rounds = traffic.end();
    back.end();

    every_round_is_there(&site, rounds);
    for record in ["OverdraftLimitSet", "OverdraftLimitChanged"] {
        let written = written(&site, &format!("bank.account.{record}"));
        assert!(written.iter().all(|events| *events > 0), "{record}: {written:?} in the partitions");
    }
    no_dead_letters(&site);
}

fn no_dead_letters(site: &Site) {
    let letters = site.run(&["dead-letters", "list", BANK, "--json"]);
    assert!(letters.ok && letters.stdout.is_empty(), "{letters:?}");
}

/// Whether it stands still because somebody newer wrote an event, and says what to do.
fn met_a_newer_event(activity: &Activity) -> bool {
    let Activity::Stopped(reason) = activity else { return false };
    assert!(reason.contains("record type bank.account.OverdraftLimitChanged is not one of this topic's; "), "{reason}");
    assert!(
        reason.contains("a newer version of this program wrote it, and nothing is decided here before"),
        "{reason}"
    );
    assert!(reason.contains("upgrade this instance, or stop it so that another takes over"), "{reason}");
    true
}

/// The same commands for each account.
fn to_all(commands: &[(&'static str, i64)]) -> Vec<Order> {
    let of_account = |account: String| commands.iter().map(move |(record, cents)| (account.clone(), *record, *cents));
    accounts().flat_map(of_account).collect()
}

/// How many of each partition's events are of a record.
fn written(site: &Site, record: &str) -> [usize; 2] {
    let books = Books::read(site);
    [0, 1].map(|partition| books.entries.iter().filter(|it| it.partition == partition && it.record == record).count())
}

#[test]
fn an_instance_that_does_not_know_an_event_decides_nothing_there_and_a_newer_one_goes_on() {
    beside_an_older_one(GroupProtocol::Classic);
}

#[test]
fn an_instance_that_does_not_know_an_event_decides_nothing_where_the_broker_assigns() {
    beside_an_older_one(GroupProtocol::Consumer);
}

fn beside_an_older_one(protocol: GroupProtocol) {
    let site = Site::new(2);
    let environment = site.environment();
    let old = Instance::start::<two::Account>(&site, protocol);
    let interest = r#"{"kind": "OverdraftInterest", "cents": 2}"#;
    let entry = |account| (account, "RecordEntry", serde_json::from_str(interest).unwrap());
    let limit = |account| (account, "SetOverdraftLimit", json!({ "cents": 10 }));
    let tally = send_fields(&environment, accounts().map(entry).chain(accounts().map(limit)).collect()).unwrap();
    assert_eq!(tally.count(AnswerCode::Accepted), 2 * ACCOUNTS as u64, "{tally}: {:?}", tally.samples);
    old.end();

    // After a stop the new one goes on from what the old one wrote.
    let new = Instance::start::<Newest>(&site, protocol);
    let tally = send(&environment, &to_all(&[("SetOverdraftLimit", 20), ("ChargeOverdraftInterest", 1)])).unwrap();
    assert_eq!(tally.count(AnswerCode::Accepted), 2 * ACCOUNTS as u64, "{tally}: {:?}", tally.samples);

    // An old one beside it gets a partition that it cannot read.
    let old = Instance::start::<two::Account>(&site, protocol);
    until("the old one stands still", || {
        (old.has(1, met_a_newer_event) && new.has(1, |activity| *activity == Activity::Ready)).then_some(())
    });
    // Under the limit of the old events the first one would be refused, without their interest the second accepted.
    let sender = send_aside(&site, to_all(&[("Withdraw", 17), ("Withdraw", 1)]));
    let readable = usize::try_from(old.stuck().0).map(|stuck| 1 - stuck).unwrap();
    let of_partition = Books::read(&site).accounts(readable);
    until("the new one decides", || (written(&site, "bank.account.Withdrawn")[readable] == of_partition).then_some(()));
    assert_eq!(written(&site, "bank.account.Withdrawn")[1 - readable], 0);
    assert!(!sender.is_finished());
    old.end();
    let tally = sender.join().unwrap().unwrap();
    let counts = [AnswerCode::Accepted, AnswerCode::Refused].map(|code| tally.count(code));
    assert_eq!(counts, [ACCOUNTS as u64; 2], "{tally}: {:?}", tally.samples);

    // Rolled back too far: nothing is decided anywhere, and nothing is lost by it.
    let old = Instance::start::<one::Account>(&site, protocol);
    new.end();
    until("the old one stands still", || old.has(2, met_a_newer_event).then_some(()));
    let sender = send_aside(&site, to_all(&[("Deposit", 5)]));
    let new = Instance::start::<Newest>(&site, protocol);
    old.end();
    let tally = sender.join().unwrap().unwrap();
    assert_eq!(tally.count(AnswerCode::Accepted), ACCOUNTS as u64, "{tally}: {:?}", tally.samples);
    new.end();

    no_dead_letters(&site);
    for (account, balance) in Books::read(&site).balances() {
        // A stored event has one version, also where it stands for two.
        assert_eq!((balance.version, balance.cents), (7, -15), "{account}");
    }
    // A view counts an entry for each event that moved money, whichever version wrote it.
    let mut view = site.start(&["run", "view", "balances"]);
    let mut rows = String::new();
    until("the view has all", || {
        assert!(view.is_running(), "{}", view.stderr());
        rows = site.run(&["query", "balances", "--json"]).stdout;
        (rows.matches(r#""entries":4"#).count() == ACCOUNTS).then_some(())
    });
    assert_eq!(rows.matches(r#""balance":-15"#).count(), ACCOUNTS, "{rows}");
    view.stop();
}
