//! What clients asked for, and what they were told, as the simulation notes it.

use crate::deliveries::Deliveries;
use factum_bank::Command;
use factum_core::{
    AggregateId, CommandId, Error, Offset, TimestampMs, TopicPartition, Version, handler::HandlerStats, wire::Answer,
};
use factum_history::{Asked, Transfer};
use std::collections::{BTreeMap, BTreeSet};

/// What happened, as those saw it who are not under test.
#[derive(Debug)]
pub(crate) struct Notes {
    /// The checker's input, as far as it is known before the end.
    pub(crate) history: factum_history::History,
    /// Answers that the auditor has not looked at.
    pub(crate) fresh: Vec<(String, Answer)>,
    /// Workers that ended by themselves, with what they said.
    pub(crate) endings: BTreeMap<String, u64>,
    pub(crate) dead_letters: u64,
    /// What resets of the views' groups have brought.
    pub(crate) deliveries: Deliveries,
    /// Parked events that were given up, by view.
    pub(crate) given_up: BTreeMap<String, BTreeSet<(TopicPartition, Offset)>>,
    /// Views that stand still because their progress is of another topic.
    pub(crate) of_other_topics: BTreeSet<&'static str>,
    /// What else was seen to be wrong before the end.
    pub(crate) wrong: Vec<String>,
}

impl Notes {
    /// Nothing yet.
    pub(crate) fn new(partitions: u32, window: usize) -> Self {
        let history = factum_history::History::new(partitions, window);
        Notes {
            history,
            fresh: Vec::new(),
            endings: BTreeMap::new(),
            dead_letters: 0,
            deliveries: Deliveries::default(),
            given_up: BTreeMap::new(),
            of_other_topics: BTreeSet::new(),
            wrong: Vec::new(),
        }
    }

    /// Notes a command before it is sent for the first time.
    pub(crate) fn asks(
        &mut self,
        id: CommandId,
        account: &AggregateId,
        command: &Command,
        expected: Option<Version>,
        deadline: Option<TimestampMs>,
    ) {
        let (account, command) = (account.to_string(), command.clone());
        self.history.commands.insert(id, Asked { account, command, expected, deadline, answers: Vec::new() });
    }

    /// Notes that a transfer was begun.
    pub(crate) fn transfers(&mut self, withdrawal: CommandId, deposit: CommandId, cents: i64) {
        self.history.transfers.push(Transfer { withdrawal, deposit: Some(deposit), cents });
    }

    /// Notes an answer, whoever waits for it.
    pub(crate) fn answered(&mut self, answer: &Answer) {
        if let Some(asked) = self.history.commands.get(&answer.command) {
            self.fresh.push((asked.account.clone(), answer.clone()));
        }
        self.history.answered(answer.clone());
    }

    pub(crate) fn stats(&mut self, stats: HandlerStats) {
        self.dead_letters = self.dead_letters.max(stats.dead_letters);
    }

    /// Notes that a worker ended by itself.
    pub(crate) fn ended(&mut self, name: &str, error: &Error) {
        *self.endings.entry(format!("{name}: {error}")).or_default() += 1;
    }
}
