//! Whether every promise was kept: a history goes in, violations come out.
//!
//! Pure: it reads no topic, no table and no clock ([`crate::history`] does).

use crate::journal::{Answered, Looked, Order, Reply, Sent};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// All that is known of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// What clients were about to send, once each.
    pub(crate) sent: Vec<Sent>,
    /// What they were told, in the order in which they heard it.
    pub(crate) answers: Vec<Answered>,
    /// Reads of the view with a token that it had passed.
    pub(crate) looks: Vec<Looked>,
    /// The committed events; those of a partition in their order.
    pub(crate) events: Vec<Event>,
    /// The view's rows by account.
    pub(crate) rows: BTreeMap<String, Row>,
    /// Commands that were dead-lettered; none deserves it.
    pub(crate) dead_letters: usize,
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Whose.
    pub(crate) account: String,
    /// In which partition.
    pub(crate) partition: u32,
    /// Where in it.
    pub(crate) offset: i64,
    /// The account's version with it.
    pub(crate) version: u64,
    /// The command that caused it.
    pub(crate) command: String,
    /// What it adds to the balance, in cents.
    pub(crate) change_cents: i64,
}

/// A row of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Row {
    /// The balance, in cents.
    pub(crate) balance_cents: i64,
    /// How many events it has in it.
    pub(crate) entries: i64,
}

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// An accepted command's events are in the log.
    NothingLost,
    /// A command's events are in the log once.
    NothingTwice,
    /// A refused command has no event, nor has a conflicting one, nor one that nobody sent.
    NothingInvented,
    /// An account's versions are 1, 2, 3 …
    VersionsInOrder,
    /// Transfers neither make money nor destroy it.
    MoneyConserved,
    /// The view's rows are the fold of the log.
    ViewIsTheFold,
    /// An answer says what the log says, and a repeated one says the same.
    AnswersMatch,
    /// Every command was answered in the end.
    AllAnswered,
    /// A view that has passed a token shows what the token stands for.
    OwnWritesRead,
    /// No command was dead-lettered.
    NoDeadLetters,
}

impl Rule {
    /// All of them.
    pub(crate) const ALL: [Rule; 10] = [
        Rule::NothingLost,
        Rule::NothingTwice,
        Rule::NothingInvented,
        Rule::VersionsInOrder,
        Rule::MoneyConserved,
        Rule::ViewIsTheFold,
        Rule::AnswersMatch,
        Rule::AllAnswered,
        Rule::OwnWritesRead,
        Rule::NoDeadLetters,
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::NothingLost => "no acknowledged command lost",
            Rule::NothingTwice => "none applied twice",
            Rule::NothingInvented => "refused means no event",
            Rule::VersionsInOrder => "versions without gap or repeat",
            Rule::MoneyConserved => "money conserved",
            Rule::ViewIsTheFold => "view = fold(log)",
            Rule::AnswersMatch => "answers match the log",
            Rule::AllAnswered => "every command answered",
            Rule::OwnWritesRead => "read-your-writes of every token held",
            Rule::NoDeadLetters => "no dead letters",
        })
    }
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Which.
    pub(crate) rule: Rule,
    /// What was found.
    pub(crate) what: String,
}

/// Every violation of a history.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let mut check = Check { history, by_command: BTreeMap::new(), balances: BTreeMap::new(), found: Vec::new() };
    check.log();
    check.commands();
    check.money();
    check.view();
    check.looks();
    if history.dead_letters > 0 {
        check.violated(Rule::NoDeadLetters, format!("{} commands lie in the dead letters", history.dead_letters));
    }
    check.found
}

struct Check<'a> {
    history: &'a History,
    by_command: BTreeMap<&'a str, Vec<&'a Event>>,
    /// An account's balance after each of its versions, beginning with none.
    balances: BTreeMap<&'a str, Vec<i64>>,
    found: Vec<Violation>,
}

impl<'a> Check<'a> {
    fn violated(&mut self, rule: Rule, what: String) {
        self.found.push(Violation { rule, what });
    }

    /// The log in itself.
    fn log(&mut self) {
        for event in &self.history.events {
            self.by_command.entry(&event.command).or_default().push(event);
            let balances = self.balances.entry(&event.account).or_insert_with(|| vec![0]);
            let (known, balance) = (balances.len() as u64 - 1, balances.last().copied().unwrap_or_default());
            balances.push(balance + event.change_cents);
            if event.version != known + 1 {
                self.violated(Rule::VersionsInOrder, format!("version {known} is followed by {event:?}"));
            }
        }
    }

    /// Each command, its answers and its events.
    fn commands(&mut self) {
        let mut answers: BTreeMap<&str, Vec<&Answered>> = BTreeMap::new();
        for answer in &self.history.answers {
            answers.entry(&answer.id).or_default().push(answer);
        }
        for sent in &self.history.sent {
            let events = self.by_command.remove(sent.id.as_str()).unwrap_or_default();
            if events.len() > 1 {
                self.violated(Rule::NothingTwice, format!("{sent:?} has the events {events:?}"));
            }
            for event in &events {
                if event.account != sent.account || event.change_cents != sent.order.change_cents() {
                    self.violated(Rule::AnswersMatch, format!("{sent:?} has the event {event:?}"));
                }
            }
            let told = answers.remove(sent.id.as_str()).unwrap_or_default();
            match told.first() {
                None => self.violated(Rule::AllAnswered, format!("{sent:?} was never answered")),
                Some(first) => {
                    self.answer(sent, &first.reply, events.first().copied());
                    for other in told.iter().filter(|other| other.reply != first.reply) {
                        let what = format!("{sent:?} was answered {:?}, and later {:?}", first.reply, other.reply);
                        self.violated(Rule::AnswersMatch, what);
                    }
                }
            }
        }
        let invented: Vec<String> =
            self.by_command.values().flatten().map(|event| format!("nobody sent the command of {event:?}")).collect();
        invented.into_iter().for_each(|what| self.violated(Rule::NothingInvented, what));
    }

    fn answer(&mut self, sent: &Sent, reply: &Reply, event: Option<&Event>) {
        let balance_at = |version: u64| {
            let balances = self.balances.get(sent.account.as_str());
            match usize::try_from(version) {
                Ok(0) => Some(0),
                Ok(version) => balances.and_then(|balances| balances.get(version)).copied(),
                Err(_) => None,
            }
        };
        match (reply, event) {
            (Reply::Accepted { .. }, None) => {
                self.violated(Rule::NothingLost, format!("{sent:?} was answered {reply:?} and has no event"));
            }
            (Reply::Accepted { version, events, token }, Some(event)) => {
                let same = *version == event.version && *events == 1;
                if !same || token.is_none_or(|token| token != (event.partition, event.offset)) {
                    self.violated(Rule::AnswersMatch, format!("{sent:?} was answered {reply:?} and has {event:?}"));
                }
                if sent.expected.is_some_and(|expected| expected + 1 != *version) {
                    self.violated(Rule::AnswersMatch, format!("{sent:?} was accepted with version {version}"));
                }
            }
            (Reply::Refused { .. } | Reply::Conflict(_) | Reply::Other(_), Some(event)) => {
                self.violated(Rule::NothingInvented, format!("{sent:?} was answered {reply:?} and has {event:?}"));
            }
            (Reply::Refused { version, balance_cents }, None) => {
                let covered = *balance_cents + sent.order.change_cents() >= 0;
                if balance_at(*version) != Some(*balance_cents) || covered {
                    self.violated(Rule::AnswersMatch, format!("{sent:?} was answered {reply:?}, and the log differs"));
                }
            }
            (Reply::Conflict(actual), None) => {
                if balance_at(*actual).is_none() || sent.expected.is_none_or(|expected| expected == *actual) {
                    self.violated(Rule::AnswersMatch, format!("{sent:?} was answered {reply:?}, and the log differs"));
                }
            }
            (Reply::Other(_), None) => {
                self.violated(
                    Rule::AnswersMatch,
                    format!("{sent:?} was answered {reply:?}, which it does not deserve"),
                );
            }
        }
    }

    /// Every cent of the openings is somewhere once all transfers are whole.
    fn money(&mut self) {
        let paid: BTreeSet<&str> = self
            .history
            .sent
            .iter()
            .filter_map(|sent| match &sent.order {
                Order::PayIn(_, taken) => Some(taken.as_str()),
                _ => None,
            })
            .collect();
        let in_log: BTreeSet<&str> = self.history.events.iter().map(|event| event.command.as_str()).collect();
        let mut expected = 0;
        let mut half_done = Vec::new();
        for sent in self.history.sent.iter().filter(|sent| in_log.contains(sent.id.as_str())) {
            match &sent.order {
                Order::Open(cents) => expected += cents,
                Order::TakeOut(..) if !paid.contains(sent.id.as_str()) => half_done.push(format!("{sent:?}")),
                _ => {}
            }
        }
        half_done.into_iter().for_each(|sent| self.violated(Rule::MoneyConserved, format!("{sent} was never paid in")));
        let actual: i64 = self.balances.values().filter_map(|balances| balances.last()).sum();
        if actual != expected {
            self.violated(Rule::MoneyConserved, format!("{expected} cents were opened with, and {actual} are there"));
        }
    }

    /// Rows and log.
    fn view(&mut self) {
        let fold = |balances: &Vec<i64>| Row {
            balance_cents: balances.last().copied().unwrap_or_default(),
            entries: i64::try_from(balances.len() - 1).unwrap_or(i64::MAX),
        };
        let folded: BTreeMap<&str, Row> = self.balances.iter().map(|(account, all)| (*account, fold(all))).collect();
        let accounts: BTreeSet<&str> =
            folded.keys().copied().chain(self.history.rows.keys().map(String::as_str)).collect();
        for account in accounts {
            let (log, row) = (folded.get(account), self.history.rows.get(account));
            if log != row {
                self.violated(Rule::ViewIsTheFold, format!("{account}: the log says {log:?}, the view {row:?}"));
            }
        }
    }

    fn looks(&mut self) {
        for look in &self.history.looks {
            if u64::try_from(look.entries).unwrap_or_default() < look.version {
                self.violated(Rule::OwnWritesRead, format!("{look:?}"));
            }
        }
    }
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
