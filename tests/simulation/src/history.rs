//! What clients asked for, and what they were told: the checker's input.

use factum_bank::Command;
use factum_core::{AggregateId, CommandId, Error, TimestampMs, Version, handler::HandlerStats, wire::Answer};
use std::collections::BTreeMap;

/// A command that a client sent at least once.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) account: AggregateId,
    pub(crate) command: Command,
    pub(crate) expected: Option<Version>,
    pub(crate) deadline: Option<TimestampMs>,
    /// Every answer that came for it.
    pub(crate) answers: Vec<Answer>,
}

/// What happened, as clients saw it.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) commands: BTreeMap<CommandId, Asked>,
    /// Transfers that were begun: the withdrawal's id, the deposit's, and the amount.
    pub(crate) transfers: Vec<(CommandId, CommandId, i64)>,
    /// Answers that the auditor has not looked at.
    pub(crate) fresh: Vec<(String, Answer)>,
    /// What somebody saw go wrong before the end.
    pub(crate) violations: Vec<String>,
    /// Workers that ended by themselves, with what they said.
    pub(crate) endings: BTreeMap<String, u64>,
    pub(crate) dead_letters: u64,
}

impl History {
    /// Notes a command before it is sent for the first time.
    pub(crate) fn asks(
        &mut self,
        id: CommandId,
        account: &AggregateId,
        command: &Command,
        expected: Option<Version>,
        deadline: Option<TimestampMs>,
    ) {
        let asked =
            Asked { account: account.clone(), command: command.clone(), expected, deadline, answers: Vec::new() };
        self.commands.insert(id, asked);
    }

    /// Notes an answer, whoever waits for it.
    pub(crate) fn answered(&mut self, answer: &Answer) {
        match self.commands.get_mut(&answer.command) {
            Some(asked) => {
                asked.answers.push(answer.clone());
                self.fresh.push((asked.account.to_string(), answer.clone()));
            }
            None => self.violations.push(format!("an answer to {}, which nobody asked: {answer:?}", answer.command)),
        }
    }

    pub(crate) fn stats(&mut self, stats: HandlerStats) {
        self.dead_letters = self.dead_letters.max(stats.dead_letters);
    }

    /// Notes that a worker ended by itself.
    pub(crate) fn ended(&mut self, name: &str, error: &Error) {
        *self.endings.entry(format!("{name}: {error}")).or_default() += 1;
    }
}
