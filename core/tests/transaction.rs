//! Every step of a transaction with every class of result.

#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use factum_core::{
    Error,
    log::TxnError,
    transaction::{GivenUp, Outcome, Transaction, TxnStep},
};

const STEPS: [TxnStep; 5] = [TxnStep::Begin, TxnStep::SendOffsets, TxnStep::Produce, TxnStep::Deliver, TxnStep::Commit];

fn errors() -> [(&'static str, TxnError); 4] {
    let error = || Error::unavailable("x");
    [
        ("retry", TxnError::Retry(error())),
        ("abort", TxnError::Abort(error())),
        ("stale", TxnError::StaleMember(error())),
        ("fatal", TxnError::Fatal(error())),
    ]
}

/// A transaction in which everything before `step` went well.
fn at(step: TxnStep) -> Transaction {
    given_up_at(GivenUp::default(), step)
}

fn given_up_at(given_up: GivenUp, step: TxnStep) -> Transaction {
    let mut transaction = Transaction::new(given_up);
    for earlier in STEPS {
        if earlier == step {
            break;
        }
        transaction.result(Ok(()));
    }
    assert_eq!(transaction.step(), step);
    transaction
}

/// One that its producer is to abort because of `cause`.
fn aborting(cause: &TxnError) -> Transaction {
    let mut transaction = given_up_at(GivenUp::ByAbort, TxnStep::SendOffsets);
    transaction.result(Err(cause));
    assert_eq!(transaction.step(), TxnStep::Abort);
    transaction
}

#[test]
fn each_result_leads_where_the_table_says() {
    use Outcome::{Aborted, Broken, Committed, Stale, Unknown};
    use TxnStep::{Abort, Begin, Commit, Deliver, Finished, Produce, SendOffsets};
    // step; ok, retry, abort, stale member, fatal
    let table = [
        (Begin, [SendOffsets, Begin, Finished(Broken), Finished(Broken), Finished(Broken)]),
        (Produce, [Deliver, Finished(Aborted), Finished(Aborted), Abort, Finished(Broken)]),
        (Deliver, [Commit, Finished(Aborted), Finished(Aborted), Abort, Finished(Broken)]),
        (SendOffsets, [Produce, SendOffsets, Finished(Aborted), Abort, Finished(Broken)]),
        (Commit, [Finished(Committed), Commit, Finished(Unknown), Finished(Unknown), Finished(Unknown)]),
    ];
    for (step, [ok, after @ ..]) in table {
        let mut transaction = at(step);
        transaction.result(Ok(()));
        assert_eq!(transaction.step(), ok, "{step:?}, ok");
        for ((name, error), expected) in errors().iter().zip(after) {
            let mut transaction = at(step);
            transaction.result(Err(error));
            assert_eq!(transaction.step(), expected, "{step:?}, {name}");
        }
    }
    let [retry, abort, stale, fatal] = errors().map(|(_, error)| error);
    for (cause, outcome) in [(&abort, Aborted), (&stale, Stale)] {
        let mut transaction = aborting(cause);
        transaction.result(Ok(()));
        assert_eq!(transaction.step(), Finished(outcome));
        let mut transaction = aborting(cause);
        transaction.result(Err(&retry));
        assert_eq!(transaction.step(), Abort);
        for broken in [&abort, &stale, &fatal] {
            let mut transaction = aborting(cause);
            transaction.result(Err(broken));
            assert_eq!(transaction.step(), Finished(Broken));
        }
    }
}

#[test]
fn a_step_is_repeated_20_times_and_then_given_up() {
    use TxnStep::{Begin, Commit, Finished, SendOffsets};
    let [(_, retry), ..] = errors();
    let cases = [
        (Begin, Finished(Outcome::Broken)),
        (SendOffsets, Finished(Outcome::Aborted)),
        (Commit, Finished(Outcome::Unknown)),
    ];
    for (step, end) in cases {
        let mut transaction = at(step);
        for _ in 0..20 {
            transaction.result(Err(&retry));
            assert_eq!(transaction.step(), step);
        }
        transaction.result(Err(&retry));
        assert_eq!(transaction.step(), end, "{step:?}");
    }
    // The count begins anew with each step.
    let mut transaction = at(Begin);
    (0..20).for_each(|_| transaction.result(Err(&retry)));
    transaction.result(Ok(()));
    (0..20).for_each(|_| transaction.result(Err(&retry)));
    assert_eq!(transaction.step(), SendOffsets);
}

#[test]
fn what_is_finished_stays_finished() {
    let [_, (_, abort), ..] = errors();
    let mut transaction = at(TxnStep::Commit);
    transaction.result(Ok(()));
    transaction.result(Err(&abort));
    transaction.result(Ok(()));
    assert_eq!(transaction.step(), TxnStep::Finished(Outcome::Committed));
}
