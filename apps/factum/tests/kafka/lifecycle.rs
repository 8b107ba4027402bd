//! How handlers come and go: by SIGTERM, under a name that they keep, and one more.

use crate::{
    books::Books,
    process::{Process, until},
    site::Site,
    traffic::{Traffic, accounts},
};

/// Far longer than a test waits: nothing here is owed to a session that ended.
const LONG_SESSION: [&str; 2] = ["--session-timeout-ms", "600000"];
const PROTOCOLS: [&str; 2] = ["classic", "consumer"];

fn handler(site: &Site, protocol: &str, more: &[&str]) -> Process {
    site.start(&[&["run", "handler", "bank.account", "--group-protocol", protocol], &LONG_SESSION[..], more].concat())
}

/// What a handler has said of rebalances, one line each.
fn rebalances(handler: &Process) -> Vec<String> {
    handler.stderr().lines().filter(|line| line.contains("rebalance")).map(str::to_owned).collect()
}

/// The partitions in a line about a rebalance.
fn partitions(line: &str) -> Vec<u32> {
    let numbers = line.split("Partition(").skip(1).filter_map(|rest| rest.split(')').next()?.parse().ok());
    numbers.collect()
}

/// The partitions that a handler has, by what it has said.
fn owned(handler: &Process) -> Vec<u32> {
    let mut owned = Vec::new();
    for line in rebalances(handler) {
        let named = partitions(&line);
        owned.retain(|partition| !named.contains(partition));
        if line.contains("Assigned(") {
            owned.extend(named);
        }
    }
    owned.sort_unstable();
    owned
}

/// Waits until the handlers have that many partitions.
fn share(handlers: &[&Process], numbers: &[usize]) {
    until("the partitions are shared", || {
        let shares: Vec<usize> = handlers.iter().map(|handler| owned(handler).len()).collect();
        (shares == numbers).then_some(())
    });
}

/// Every deposit was applied once.
fn check(site: &Site, deposits: i64) {
    let balances = Books::read(site).balances();
    for account in accounts() {
        assert_eq!(balances[&account].cents, deposits, "{account}");
    }
}

/// It commits what is under way, leaves, and its partitions are another's long
/// before its session would have ended.
#[test]
fn a_handler_that_is_told_to_end_drains_and_hands_its_partitions_over() {
    for protocol in PROTOCOLS {
        let site = Site::new(2);
        let mut first = handler(&site, protocol, &[]);
        share(&[&first], &[2]);
        let traffic = Traffic::start(&site);
        let mut second = handler(&site, protocol, &[]);
        share(&[&first, &second], &[1, 1]);
        traffic.goes_on();
        first.stop();
        share(&[&second], &[2]);
        traffic.goes_on();
        check(&site, traffic.end());
        second.stop();
    }
}

/// A static member (KIP-345), as the pods of a StatefulSet are.
#[test]
fn a_handler_with_a_name_comes_back_to_its_partitions_and_no_other_notices() {
    for protocol in PROTOCOLS {
        let site = Site::new(4);
        let named = |name| handler(&site, protocol, &["--instance-id", name]);
        let (mut one, mut two) = (named("one"), named("two"));
        share(&[&one, &two], &[2, 2]);
        let traffic = Traffic::start(&site);
        traffic.goes_on();
        let (of_one, told) = (owned(&one), rebalances(&two));
        one.stop();
        let mut again = named("one");
        share(&[&again], &[2]);
        traffic.goes_on();
        assert_eq!(owned(&again), of_one, "{protocol}");
        assert_eq!(rebalances(&two), told, "{protocol}: the other noticed");
        check(&site, traffic.end());
        again.stop();
        two.stop();
    }
}

/// Cooperative: what stays is never given up, nor read again.
#[test]
fn a_handler_that_joins_stops_only_the_partitions_that_move_to_it() {
    for protocol in PROTOCOLS {
        let site = Site::new(4);
        let mut first = handler(&site, protocol, &[]);
        share(&[&first], &[4]);
        let traffic = Traffic::start(&site);
        traffic.goes_on();
        let mut second = handler(&site, protocol, &[]);
        share(&[&first, &second], &[2, 2]);
        traffic.goes_on();
        let moved: Vec<u32> = rebalances(&first)
            .iter()
            .filter(|line| !line.contains("Assigned("))
            .flat_map(|line| partitions(line))
            .collect();
        let mut given_up = moved.clone();
        given_up.sort_unstable();
        assert_eq!(given_up, owned(&second), "{protocol}: {:?}", rebalances(&first));
        let kept = owned(&first);
        let recoveries = |partition: &u32| first.stderr().matches(&format!("recovered partition={partition} ")).count();
        assert!(kept.iter().all(|partition| recoveries(partition) == 1), "{protocol}: {}", first.stderr());
        check(&site, traffic.end());
        second.stop();
        first.stop();
    }
}
