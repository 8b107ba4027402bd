//! A history that keeps every promise, and what the checker says when one is broken.
#![allow(clippy::unwrap_used)] // a test's failure is its panic

use factum_bank::{Command, Deposit, Deposited, Refusal, Withdraw, Withdrawn};
use factum_core::{
    CommandId, Offset, TimestampMs, Topic, Version, partition_of,
    wire::{Answer, AnswerCode, Token},
};
use factum_history::{Asked, Event, History, Look, Request, Row, Rule, Transfer, check};
use std::collections::BTreeSet;

const PARTITIONS: u32 = 4;
const OPEN_A: u128 = 1;
const OPEN_B: u128 = 2;
const TAKE: u128 = 3;
const PAY: u128 = 4;
const MUCH: u128 = 5;
const LATE: u128 = 6;

fn id(number: u128) -> CommandId {
    CommandId(number.to_be_bytes())
}

fn answer(number: u128, code: AnswerCode, version: u64) -> Answer {
    Answer { command: id(number), code, version: Version(version), events: 0, token: None, detail: None }
}

fn accepted(number: u128, account: &str, version: u64, offset: i64) -> Answer {
    let place = Topic::from("bank.account.events").partition(partition_of(account.as_bytes(), PARTITIONS));
    let token = Some(Token { place, offset: Offset(offset), topic_id: None });
    Answer { events: 1, token, ..answer(number, AnswerCode::Accepted, version) }
}

fn refused(balance_cents: i64, asked_cents: i64) -> Answer {
    let detail = serde_json::to_string(&Refusal::Insufficient { balance_cents, asked_cents }).ok();
    Answer { detail, ..answer(MUCH, AnswerCode::Refused, 2) }
}

fn event(account: &str, offset: i64, version: u64, command: u128, event: impl Into<factum_bank::Event>) -> Event {
    Event {
        account: account.to_owned(),
        partition: partition_of(account.as_bytes(), PARTITIONS),
        offset: Offset(offset),
        at: TimestampMs(offset),
        version: Version(version),
        command: id(command),
        command_offset: Offset(offset),
        index: 0,
        event: event.into(),
    }
}

/// Two accounts, a transfer, a refusal and a conflict.
fn sound() -> History {
    let mut history = History::new(PARTITIONS, 64);
    let mut ask = |number: u128, account: &str, command: Command, answers: Vec<Answer>| {
        let account = account.to_owned();
        history.commands.insert(id(number), Asked { account, command, expected: None, deadline: None, answers });
    };
    ask(OPEN_A, "a", Deposit { cents: 100 }.into(), vec![accepted(OPEN_A, "a", 1, 0)]);
    ask(OPEN_B, "b", Deposit { cents: 100 }.into(), vec![accepted(OPEN_B, "b", 1, 1)]);
    // The second time it came with a later token, after the offset was forgotten.
    let told = vec![accepted(TAKE, "a", 2, 2), accepted(TAKE, "a", 2, 9)];
    ask(TAKE, "a", Withdraw { cents: 30 }.into(), told);
    ask(PAY, "b", Deposit { cents: 30 }.into(), vec![accepted(PAY, "b", 2, 3)]);
    ask(MUCH, "a", Withdraw { cents: 1_000 }.into(), vec![refused(70, 1_000)]);
    ask(LATE, "a", Withdraw { cents: 1 }.into(), vec![answer(LATE, AnswerCode::Conflict, 2)]);
    history.commands.get_mut(&id(LATE)).unwrap().expected = Some(Version(9));
    history.transfers.push(Transfer { withdrawal: id(TAKE), deposit: Some(id(PAY)), cents: 30 });
    history.events = vec![
        event("a", 0, 1, OPEN_A, Deposited { cents: 100 }),
        event("b", 1, 1, OPEN_B, Deposited { cents: 100 }),
        event("a", 2, 2, TAKE, Withdrawn { cents: 30 }),
        event("b", 3, 2, PAY, Deposited { cents: 30 }),
    ];
    history.balances = [("a", 70), ("b", 130)]
        .map(|(account, balance_cents)| (account.to_owned(), Row { balance_cents, entries: 2 }))
        .into();
    history.totals = Some(Row { balance_cents: 200, entries: 4 });
    history.looks = vec![Look { account: "a".to_owned(), version: Version(2), entries: 2 }];
    history
}

/// The rules that a history breaks which was sound before `change`.
fn broken(change: impl FnOnce(&mut History)) -> Vec<Rule> {
    let mut history = sound();
    change(&mut history);
    let rules: BTreeSet<Rule> = check(&history).violations.into_iter().map(|violation| violation.rule).collect();
    rules.into_iter().collect()
}

fn row(history: &mut History, account: &str, balance_cents: i64, entries: i64) {
    history.balances.insert(account.to_owned(), Row { balance_cents, entries });
    history.totals = None;
}

#[test]
fn a_sound_history_breaks_nothing() {
    assert_eq!(check(&sound()).violations, []);
}

#[test]
fn an_accepted_command_without_its_event_is_lost() {
    let rules = broken(|history| drop(history.events.pop()));
    assert_eq!(rules, [Rule::NothingLost, Rule::MoneyConserved, Rule::ViewIsTheFold]);
}

#[test]
fn a_command_with_two_events_was_applied_twice() {
    let again = |history: &mut History| {
        history.events.push(event("b", 4, 3, PAY, Deposited { cents: 30 }));
        row(history, "b", 160, 3);
    };
    assert_eq!(broken(again), [Rule::NothingTwice, Rule::MoneyConserved]);
    // Nobody promises it of a command that was forgotten since.
    let forgotten = broken(|history| {
        again(history);
        history.window = 1;
        let (account, partition) = (b"b".to_vec(), partition_of(b"b", PARTITIONS));
        history.requests.push(Request { account, partition, offset: Offset(3), id: id(PAY) });
    });
    assert_eq!(forgotten, [Rule::MoneyConserved]);
}

#[test]
fn an_event_of_a_refused_a_conflicting_or_an_unknown_command_is_invented() {
    for command in [MUCH, LATE, 99] {
        let rules = broken(|history| history.events.push(event("a", 4, 3, command, Withdrawn { cents: 1 })));
        assert!(rules.contains(&Rule::NothingInvented), "{command}: {rules:?}");
    }
}

#[test]
fn an_event_that_the_account_would_not_decide_is_invented() {
    let other = broken(|history| history.events[3].event = Deposited { cents: 31 }.into());
    assert!(other.contains(&Rule::NothingInvented), "{other:?}");
    let account = broken(|history| history.commands.get_mut(&id(PAY)).unwrap().account = "a".to_owned());
    assert_eq!(account, [Rule::NothingInvented]);
}

#[test]
fn a_version_that_is_missing_or_there_twice_is_found() {
    for version in [1, 3, 0] {
        let rules = broken(|history| history.events[3].version = Version(version));
        assert!(rules.contains(&Rule::VersionsInOrder), "{version}: {rules:?}");
    }
}

#[test]
fn an_event_in_another_partition_or_without_the_first_of_its_batch_is_found() {
    let elsewhere = (partition_of(b"b", PARTITIONS).0 + 1) % PARTITIONS;
    let rules = broken(|history| history.events[1].partition.0 = elsewhere);
    assert!(rules.contains(&Rule::BatchesWhole), "{rules:?}");
    let rules = broken(|history| history.events[3].index = 1);
    assert!(rules.contains(&Rule::BatchesWhole), "{rules:?}");
}

#[test]
fn a_time_that_goes_back_is_found() {
    assert_eq!(broken(|history| history.events[2].at = TimestampMs(-1)), [Rule::TimeGoesOn]);
}

#[test]
fn a_transfer_that_was_never_paid_in_is_missing_money() {
    let rules = broken(|history| {
        history.commands.remove(&id(PAY));
        history.transfers[0].deposit = None;
        history.events.pop();
        row(history, "b", 100, 1);
    });
    assert_eq!(rules, [Rule::MoneyConserved]);
}

#[test]
fn a_row_that_is_missing_invented_or_different_is_found() {
    let rules: [fn(&mut History); 4] = [
        |history| history.balances.retain(|account, _| account != "a"),
        |history| row(history, "c", 0, 0),
        |history| row(history, "a", 40, 3),
        |history| history.totals = Some(Row { balance_cents: 199, entries: 4 }),
    ];
    for change in rules {
        assert_eq!(broken(change), [Rule::ViewIsTheFold]);
    }
}

#[test]
fn an_answer_that_the_log_does_not_bear_out_is_found() {
    let wrong = [
        (TAKE, accepted(TAKE, "a", 3, 2)),
        // The token is before the event.
        (TAKE, accepted(TAKE, "a", 2, 1)),
        (TAKE, Answer { token: None, ..accepted(TAKE, "a", 2, 2) }),
        (MUCH, refused(71, 1_000)),
        (LATE, answer(LATE, AnswerCode::Conflict, 9)),
        (LATE, answer(LATE, AnswerCode::Conflict, 3)),
        (LATE, answer(LATE, AnswerCode::DeadlineExceeded, 2)),
        (LATE, answer(LATE, AnswerCode::Undecodable, 0)),
    ];
    for (number, told) in wrong {
        let rules = broken(|history| history.commands.get_mut(&id(number)).unwrap().answers = vec![told.clone()]);
        assert_eq!(rules, [Rule::AnswersMatch], "{told:?}");
    }
}

#[test]
fn a_repeated_answer_with_another_outcome_is_found() {
    let rules = broken(|history| {
        let answers = &mut history.commands.get_mut(&id(TAKE)).unwrap().answers;
        answers[1] = Answer { command: id(TAKE), ..refused(70, 30) };
    });
    assert_eq!(rules, [Rule::NothingInvented, Rule::AnswersMatch]);
}

#[test]
fn a_command_without_an_answer_and_an_answer_without_a_command_are_found() {
    assert_eq!(broken(|history| history.commands.get_mut(&id(LATE)).unwrap().answers.clear()), [Rule::AllAnswered]);
    let unasked = answer(99, AnswerCode::Accepted, 1);
    assert_eq!(broken(|history| history.answered(unasked)), [Rule::NothingInvented]);
}

#[test]
fn a_view_that_had_passed_a_token_and_did_not_show_it_is_found() {
    assert_eq!(broken(|history| history.looks[0].entries = 1), [Rule::OwnWritesRead]);
}

#[test]
fn a_dead_letter_is_found() {
    assert_eq!(broken(|history| history.dead_letters = 1), [Rule::NoDeadLetters]);
}
