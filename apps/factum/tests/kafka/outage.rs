//! A cluster that is away: at the start, and in the middle.

use crate::{
    books::{Balance, Books},
    site::{BANK, Site},
    traffic::{Traffic, accounts},
};
use factum_test_broker::{OwnBrokers, bootstrap};
use std::time::{Duration, Instant};

#[test]
fn a_cluster_that_is_away_at_the_start_is_named_soon() {
    // A port that no server takes by chance.
    let site = Site::empty("127.0.0.1:1");
    for verb in [&["run", "handler", BANK][..], &["run", "view", "balances"], &["state", BANK, "anna"]] {
        let begun = Instant::now();
        site.run(verb).refused_with(&[site.kafka()]);
        assert!(begun.elapsed() < Duration::from_secs(60), "{verb:?}: {:?}", begun.elapsed());
    }
    let there = Site::new(1);
    let mut handler = there.handler(&[]);
    assert_eq!(there.deposit("anna", 1), 1);
    handler.stop();
    assert_eq!(there.kafka(), bootstrap());
}

/// On three brokers: a partition without any leader may lose the end of a
/// transaction for good, which is Kafka's flaw (ARCHITECTURE.md).
#[test]
fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    let brokers = OwnBrokers::start(3);
    let site = Site::on(brokers.bootstrap(), 2);
    let mut handler = site.handler(&[]);
    let mut view = site.start(&["run", "view", "balances"]);
    let traffic = Traffic::start(&site);
    traffic.goes_on();
    for broker in [1, 2] {
        brokers.kill(broker);
        traffic.goes_on();
        brokers.restart(broker);
        traffic.goes_on();
    }
    let deposits = traffic.end();
    let balances = Books::read(&site).balances();
    for account in accounts() {
        let expected = Balance { version: u64::try_from(deposits).unwrap(), cents: deposits };
        assert_eq!(balances[&account], expected, "{account}");
    }
    crate::process::until("the view", || {
        let shown = site.run(&["query", "balances", "--json", "--where", &format!("balance = {deposits}")]);
        (shown.stdout.lines().count() == balances.len()).then_some(())
    });
    // The same processes all the time.
    handler.stop();
    view.stop();
}
