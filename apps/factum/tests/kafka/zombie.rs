//! A handler that is silent for longer than its session, and comes back.

use crate::{
    books::{Balance, Books},
    site::Site,
    traffic::{Traffic, accounts},
};

const ASSIGNED: &str = "Assigned(";

/// Both in the middle of their work: what the first one has polled and not
/// committed is decided by the second, and by nobody else.
#[test]
fn a_handler_that_was_stopped_past_its_session_commits_nothing_and_works_again() {
    let site = Site::new(2);
    let mut first = site.handler(&[]);
    let traffic = Traffic::start(&site);
    traffic.goes_on();

    first.signal("STOP");
    let mut second = site.handler(&[]);
    traffic.goes_on();
    let before = first.stderr().matches(ASSIGNED).count();
    first.signal("CONT");
    first.says(ASSIGNED, before + 1);
    traffic.goes_on();
    second.stop();
    traffic.goes_on();

    let deposits = traffic.end();
    let books = Books::read(&site);
    let balances = books.balances();
    for account in accounts() {
        let expected = Balance { version: u64::try_from(deposits).unwrap(), cents: deposits };
        assert_eq!(balances[&account], expected, "{account}");
    }
    for partition in [0, 1] {
        let writers = books.writers(partition);
        assert!(
            matches!(writers[..], [a, b, again] if a == again && a != b),
            "partition {partition} was written by {writers:?}"
        );
    }
    first.stop();
}
