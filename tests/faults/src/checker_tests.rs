//! A history that keeps every promise, and what the checker says when one is broken.

use super::*;

fn sent(id: &str, account: &str, order: Order) -> Sent {
    Sent { id: id.to_owned(), account: account.to_owned(), order, expected: None }
}

fn answered(id: &str, reply: Reply) -> Answered {
    Answered { id: id.to_owned(), at_ms: 0, reply }
}

fn event(account: &str, offset: i64, version: u64, command: &str, change_cents: i64) -> Event {
    Event { account: account.to_owned(), partition: 0, offset, version, command: command.to_owned(), change_cents }
}

fn accepted(version: u64, offset: i64) -> Reply {
    Reply::Accepted { version, events: 1, token: Some((0, offset)) }
}

/// Two accounts, a transfer, a refusal and a conflict.
fn sound() -> History {
    let refused = Reply::Refused { version: 2, balance_cents: 70 };
    History {
        sent: vec![
            sent("open-a", "a", Order::Open(100)),
            sent("open-b", "b", Order::Open(100)),
            sent("take", "a", Order::TakeOut(30, "b".to_owned())),
            sent("pay", "b", Order::PayIn(30, "take".to_owned())),
            sent("much", "a", Order::TakeOut(1_000, "b".to_owned())),
            Sent { expected: Some(9), ..sent("late", "a", Order::TakeOut(1, "b".to_owned())) },
        ],
        answers: vec![
            answered("open-a", accepted(1, 0)),
            answered("open-b", accepted(1, 1)),
            answered("take", accepted(2, 2)),
            answered("take", accepted(2, 2)),
            answered("pay", accepted(2, 3)),
            answered("much", refused),
            answered("late", Reply::Conflict(2)),
        ],
        looks: vec![Looked { account: "a".to_owned(), version: 2, entries: 2 }],
        events: vec![
            event("a", 0, 1, "open-a", 100),
            event("b", 1, 1, "open-b", 100),
            event("a", 2, 2, "take", -30),
            event("b", 3, 2, "pay", 30),
        ],
        rows: [
            ("a".to_owned(), Row { balance_cents: 70, entries: 2 }),
            ("b".to_owned(), Row { balance_cents: 130, entries: 2 }),
        ]
        .into(),
        dead_letters: 0,
    }
}

/// The rules that a history breaks which was sound before `change`.
fn broken(change: impl FnOnce(&mut History)) -> Vec<Rule> {
    let mut history = sound();
    change(&mut history);
    let rules: BTreeSet<Rule> = check(&history).into_iter().map(|violation| violation.rule).collect();
    rules.into_iter().collect()
}

#[test]
fn a_sound_history_breaks_nothing() {
    assert_eq!(check(&sound()), []);
}

#[test]
fn an_accepted_command_without_its_event_is_lost() {
    let rules = broken(|history| drop(history.events.pop()));
    assert_eq!(rules, [Rule::NothingLost, Rule::MoneyConserved, Rule::ViewIsTheFold]);
}

#[test]
fn a_command_with_two_events_was_applied_twice() {
    let rules = broken(|history| {
        history.events.push(event("b", 4, 3, "pay", 30));
        history.rows.insert("b".to_owned(), Row { balance_cents: 160, entries: 3 });
    });
    assert_eq!(rules, [Rule::NothingTwice, Rule::MoneyConserved]);
}

#[test]
fn an_event_of_a_refused_a_conflicting_or_an_unknown_command_is_invented() {
    for command in ["much", "late", "nobody's"] {
        let rules = broken(|history| history.events.push(event("a", 4, 3, command, -1)));
        assert!(rules.contains(&Rule::NothingInvented), "{command}: {rules:?}");
    }
}

#[test]
fn a_version_that_is_missing_or_there_twice_is_found() {
    for version in [1, 3, 0] {
        let rules = broken(|history| history.events[3].version = version);
        assert!(rules.contains(&Rule::VersionsInOrder), "{version}: {rules:?}");
    }
}

#[test]
fn a_transfer_that_was_never_paid_in_is_missing_money() {
    let rules = broken(|history| {
        history.sent.retain(|sent| sent.id != "pay");
        history.answers.retain(|answer| answer.id != "pay");
        history.events.pop();
        history.rows.insert("b".to_owned(), Row { balance_cents: 100, entries: 1 });
    });
    assert_eq!(rules, [Rule::MoneyConserved]);
}

#[test]
fn a_row_that_is_missing_invented_or_different_is_found() {
    assert_eq!(broken(|history| history.rows.retain(|account, _| account != "a")), [Rule::ViewIsTheFold]);
    assert_eq!(broken(|history| history.rows.extend([("c".to_owned(), Row::default())])), [Rule::ViewIsTheFold]);
    let twice = Row { balance_cents: 40, entries: 3 };
    assert_eq!(broken(|history| history.rows.extend([("a".to_owned(), twice)])), [Rule::ViewIsTheFold]);
}

#[test]
fn an_answer_that_the_log_does_not_bear_out_is_found() {
    let wrong: [(usize, Reply); 6] = [
        (2, accepted(3, 2)),
        (2, accepted(2, 7)),
        // The repeated one.
        (3, Reply::Refused { version: 2, balance_cents: 70 }),
        (5, Reply::Refused { version: 2, balance_cents: 71 }),
        (6, Reply::Conflict(9)),
        (6, Reply::Other("already-handled".to_owned())),
    ];
    for (index, reply) in wrong {
        let told = format!("{reply:?}");
        assert_eq!(broken(|history| history.answers[index].reply = reply), [Rule::AnswersMatch], "{told}");
    }
}

#[test]
fn a_command_without_an_answer_is_found() {
    assert_eq!(broken(|history| drop(history.answers.pop())), [Rule::AllAnswered]);
}

#[test]
fn a_view_that_had_passed_a_token_and_did_not_show_it_is_found() {
    assert_eq!(broken(|history| history.looks[0].entries = 1), [Rule::OwnWritesRead]);
}

#[test]
fn a_dead_letter_is_found() {
    assert_eq!(broken(|history| history.dead_letters = 1), [Rule::NoDeadLetters]);
}
