//! Versions of the bank's handler side by side in one group while commands
//! flow: upgraded, rolled back, and where one cannot read what another wrote.

use crate::{
    books::Books,
    process::until,
    site::{BANK, Site},
    traffic::{ACCOUNTS, Fields, Traffic, accounts},
    versions::{one, two},
};
use factum::{
    Aggregate,
    handler::{Activity, Granted},
    host::{AggregateHost, HandlerOptions, Running, Stop, Typed, WorkerStatus},
    schemas::{AvroMessage, AvroSchema},
    wire::AnswerCode,
};
use serde::{Serialize, de::DeserializeOwned};
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
    fn start<A>(site: &Site) -> Self
    where
        A: Aggregate + AvroSchema + Serialize + DeserializeOwned,
        A::Command: AvroMessage,
        A::Event: AvroMessage,
    {
        let options = HandlerOptions {
            granted: Granted::All,
            session_timeout: Duration::from_secs(6),
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

    /// Leaves the group in good order, as at the end of a roll-out.
    fn end(self) {
        self.stop.stop();
        self.running.join().unwrap();
    }
}

/// What each account is told in a round. A balance that is a cent too high lets the last one pass.
const ROUND: [(&str, &str); 4] = [
    ("Deposit", r#"{"cents": 3}"#),
    ("RecordEntry", r#"{"kind": "Fee", "cents": 1, "reason": "a card"}"#),
    ("Withdraw", r#"{"cents": 2}"#),
    ("Withdraw", r#"{"cents": 1}"#),
];

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
    let site = Site::new(2);
    let accounts = ACCOUNTS as u64;
    let expected = [(AnswerCode::Accepted, 3 * accounts), (AnswerCode::Refused, accounts)];
    let first = Instance::start::<one::Account>(&site);
    let second = Instance::start::<one::Account>(&site);
    let traffic = Traffic::of(&site, round, expected.into());
    side_by_side(&traffic, [&first, &second]);

    // Upgraded: an old one goes before the new one comes.
    first.end();
    let third = Instance::start::<two::Account>(&site);
    side_by_side(&traffic, [&second, &third]);
    // The other way round.
    let fourth = Instance::start::<two::Account>(&site);
    second.end();
    side_by_side(&traffic, [&third, &fourth]);

    // Rolled back: the first version reads what the second wrote, and writes beside it.
    third.end();
    let fifth = Instance::start::<one::Account>(&site);
    side_by_side(&traffic, [&fourth, &fifth]);
    let sixth = Instance::start::<one::Account>(&site);
    fourth.end();
    side_by_side(&traffic, [&fifth, &sixth]);

    // And the upgrade once more, from both at once.
    let last = Instance::start::<two::Account>(&site);
    fifth.end();
    sixth.end();
    until("one has both", || last.has(2, |activity| *activity == Activity::Ready).then_some(()));
    traffic.goes_on();
    let rounds = traffic.end();
    last.end();

    let books = Books::read(&site);
    for (account, balance) in books.balances() {
        assert_eq!((balance.version, balance.cents), (u64::try_from(3 * rounds).unwrap(), 0), "{account}");
    }
    assert_eq!(books.balances().len(), ACCOUNTS);
    // Both versions decided in each partition.
    for partition in [0, 1] {
        let schemas = books.schemas("bank.account.FeeCharged", partition);
        assert!(schemas.len() >= 4, "partition {partition}: the schemas were, one after the other, {schemas:?}");
    }
    let letters = site.run(&["dead-letters", "list", BANK, "--json"]);
    assert!(letters.ok && letters.stdout.is_empty(), "{letters:?}");
}
