//! What is known of a run: the checker's input.

use crate::{Rule, Violation};
use factum_bank::Command;
use factum_core::{CommandId, Offset, Partition, TimestampMs, Version, wire::Answer};
use std::collections::BTreeMap;

/// All that is known of a run of the bank.
#[derive(Debug, Clone)]
pub struct History {
    /// How many partitions each topic has.
    pub partitions: u32,
    /// How many commands of an account the handler remembers.
    pub window: usize,
    /// What clients asked for, and what they were told.
    pub commands: BTreeMap<CommandId, Asked>,
    /// Transfers that were begun.
    pub transfers: Vec<Transfer>,
    /// What lies in the commands topic; those of a partition in their order.
    pub requests: Vec<Request>,
    /// The committed events; those of a partition in their order.
    pub events: Vec<Event>,
    /// The rows of the view of balances, by account.
    pub balances: BTreeMap<String, Row>,
    /// The one row of a view that sums up all accounts, if there is such a view.
    pub totals: Option<Row>,
    /// Reads of a view with a token that it had passed.
    pub looks: Vec<Look>,
    /// Commands that were dead-lettered and do not deserve it.
    pub dead_letters: usize,
    /// What somebody saw go wrong before the end.
    pub seen: Vec<Violation>,
}

/// A command that a client sent at least once.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Whom it was for.
    pub account: String,
    /// What it asked.
    pub command: Command,
    /// The version that the account was to have.
    pub expected: Option<Version>,
    /// Until when it was to be decided.
    pub deadline: Option<TimestampMs>,
    /// Every answer that came for it, in the order in which they came.
    pub answers: Vec<Answer>,
}

/// A transfer between two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// The withdrawal.
    pub withdrawal: CommandId,
    /// The deposit that follows it; none was sent yet.
    pub deposit: Option<CommandId>,
    /// How much, in cents.
    pub cents: i64,
}

/// A record of the commands topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its key.
    pub account: Vec<u8>,
    /// In which partition.
    pub partition: Partition,
    /// Where in it.
    pub offset: Offset,
    /// The command's id.
    pub id: CommandId,
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose.
    pub account: String,
    /// In which partition.
    pub partition: Partition,
    /// Where in it.
    pub offset: Offset,
    /// When it was recorded.
    pub at: TimestampMs,
    /// The account's version with it.
    pub version: Version,
    /// The command that caused it.
    pub command: CommandId,
    /// Where that command lies in the commands topic's partition.
    pub command_offset: Offset,
    /// Which of the command's events it is, from 0 on.
    pub index: u32,
    /// What happened.
    pub event: factum_bank::Event,
}

/// A row of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row {
    /// The balance, in cents.
    pub balance_cents: i64,
    /// How many events it has in it.
    pub entries: i64,
}

/// A look at a row of the view of balances, once the view had passed a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// At this account's row.
    pub account: String,
    /// What the token was for: the account's version.
    pub version: Version,
    /// How many events the row had in it.
    pub entries: i64,
}

impl History {
    /// Nothing yet, of topics with so many partitions and a handler with such a window of recent commands.
    pub fn new(partitions: u32, window: usize) -> Self {
        History {
            partitions,
            window,
            commands: BTreeMap::new(),
            transfers: Vec::new(),
            requests: Vec::new(),
            events: Vec::new(),
            balances: BTreeMap::new(),
            totals: None,
            looks: Vec::new(),
            dead_letters: 0,
            seen: Vec::new(),
        }
    }

    /// Notes an answer, whoever waits for it.
    pub fn answered(&mut self, answer: Answer) {
        match self.commands.get_mut(&answer.command) {
            Some(asked) => asked.answers.push(answer),
            None => self.saw(Rule::NothingInvented, format!("an answer that nobody asked for: {answer:?}")),
        }
    }

    /// Notes what goes wrong now.
    pub fn saw(&mut self, rule: Rule, what: String) {
        self.seen.push(Violation { rule, what });
    }
}
