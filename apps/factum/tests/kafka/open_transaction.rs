//! A handler that is silent within a transaction for longer than its session,
//! and goes on after another one has its partition.

use crate::{
    books::{Balance, Books},
    child::PausingHandler,
    process::Process,
    site::{BANK, Site},
    traffic::{Order, send_aside, send_once},
};
use factum::{Partition, log::Isolation, transaction::TxnStep, wire::AnswerCode};
use std::time::{Duration, Instant};

/// When the first handler goes on.
enum GoOn {
    /// After its partition was assigned to the second one, which waits for the open transaction.
    Assigned,
    /// After the second one has answered the same commands.
    Answered,
}

/// Runs the story; the first handler stops before `step`. Returns the steps
/// that followed, and whether anything of that transaction is in the log.
fn story(step: TxnStep, transaction_timeout: Duration, go_on: &GoOn) -> (Vec<String>, bool) {
    let site = Site::new(1);
    let mut first = PausingHandler::start(&site, step, transaction_timeout);
    let accepted = |orders: &[Order]| {
        let tally = send_once(&site.environment(), orders).unwrap();
        assert_eq!(tally.count(AnswerCode::Accepted), orders.len() as u64, "{tally}: {:?}", tally.samples);
    };
    // Once each: a repeat that came after its answer would make a transaction without events, and stop the handler there.
    accepted(&orders("Deposit", 100));
    first.arm();
    // Each twice: the second one is decided on what the first has changed.
    let withdrawals = [orders("Withdraw", 60), orders("Withdraw", 30)].concat();
    let count = withdrawals.len() as u64;
    let sender = send_aside(&site, withdrawals);
    first.wait_for_pause();
    assert_eq!(has_open_transaction(&site), step == TxnStep::Commit);

    let mut second: Process = site.handler(&[]);
    second.says("Assigned(", 1);
    if matches!(go_on, GoOn::Assigned) {
        assert!(!sender.is_finished());
    }
    let (steps, tally) = match go_on {
        GoOn::Assigned => {
            let steps = first.go_on();
            (steps, sender.join().unwrap().unwrap())
        }
        GoOn::Answered => {
            let tally = sender.join().unwrap().unwrap();
            (first.go_on(), tally)
        }
    };
    assert_eq!(tally.count(AnswerCode::Accepted), count, "{tally}: {:?}", tally.samples);
    accepted(&orders("Deposit", 7));
    // The first one is of use again, and does not need a checkpoint's minute to find out.
    second.stop();
    let stopped = Instant::now();
    accepted(&orders("Deposit", 8));
    let waited = stopped.elapsed();
    assert!(
        waited < Duration::from_secs(40),
        "the first handler took {waited:?} to answer:\n{}",
        first.process.stderr()
    );

    let books = Books::read(&site);
    let balances = books.balances();
    assert_eq!(balances.len(), 10);
    for (account, balance) in balances {
        assert_eq!(balance, Balance { version: 5, cents: 25 }, "{account}");
    }
    let owner = &books.entries[0].source;
    let withdrawn_by_first = books.entries.iter().any(|entry| entry.cents < 0 && entry.source == *owner);
    assert_eq!(books.writers(0).len(), 3, "{:?}", books.writers(0));
    first.stop();
    (steps, withdrawn_by_first)
}

fn orders(command: &'static str, cents: i64) -> Vec<Order> {
    (0..10).map(|number| (format!("account-{number}"), command, cents)).collect()
}

fn has_open_transaction(site: &Site) -> bool {
    let place = site.environment().topics(BANK).events.partition(Partition(0));
    let end = |isolation| site.admin().bounds(&place, isolation).unwrap().end;
    end(Isolation::ReadCommitted) < end(Isolation::ReadUncommitted)
}

/// Nothing but the generation is in the way: no time-out has passed.
#[test]
fn a_transaction_begun_after_the_session_is_refused_by_the_generation() {
    for step in [TxnStep::Begin, TxnStep::SendOffsets] {
        let (steps, by_first) = story(step, Duration::from_secs(600), &GoOn::Answered);
        assert_eq!(steps[steps.len() - 3..], ["SendOffsets", "Abort", "Finished(Stale)"]);
        assert!(!by_first);
    }
}

/// The offsets were taken under the right generation, and the transaction was aborted before its records came.
#[test]
fn records_after_the_transactions_time_out_do_not_commit() {
    let (steps, by_first) = story(TxnStep::Produce, Duration::from_secs(8), &GoOn::Answered);
    let end = steps.last().map(String::as_str);
    assert!(matches!(end, Some("Finished(Aborted)" | "Finished(Broken)")), "{steps:?}");
    assert!(!by_first);
}

#[test]
fn a_commit_after_the_transactions_time_out_does_not_commit() {
    let (steps, by_first) = story(TxnStep::Commit, Duration::from_secs(8), &GoOn::Answered);
    assert_eq!(steps, ["Commit", "Finished(Unknown)"]);
    assert!(!by_first);
}

/// The next owner waits for the outcome and goes on after it.
#[test]
fn a_commit_after_the_session_and_within_the_time_out_counts_once() {
    let (steps, by_first) = story(TxnStep::Commit, Duration::from_secs(600), &GoOn::Assigned);
    assert_eq!(steps, ["Commit", "Finished(Committed)"]);
    assert!(by_first);
}
