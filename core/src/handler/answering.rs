//! The answers of commands: of those just decided, and of those known from before.

use super::{
    batch::Pending,
    decide::{Decider, Incoming},
    effect::Reply,
    window::EntryOutcome,
};
use crate::{
    Aggregate, AggregateCodec, Offset, Partition, RecordRef, Version,
    wire::{Answer, AnswerCode, CommandHeaders, Token},
};

impl<A: Aggregate, C: AggregateCodec<A>> Decider<'_, A, C> {
    /// A command that was delivered again: never decided again, answered if its answer is known.
    pub(super) fn already_handled(&mut self, record: RecordRef<'_>) {
        self.batch.stats.already_handled += 1;
        let headers = CommandHeaders::read(record).unwrap_or_else(|wrong| wrong.1);
        let Some(id) = headers.id.filter(|_| headers.reply_to.is_some()) else { return };
        let command = Incoming { record, headers, id };
        let slot = record.key().and_then(|key| self.tenure.aggregates.find(key));
        if slot.is_some_and(|slot| self.answer_from_window(&command, slot)) {
            return;
        }
        let why = "the command was handled before and its answer is no longer kept";
        self.answer(&command, AnswerCode::AlreadyHandled, 0, slot, || Some(why.into()));
    }

    /// Repeats the stored answer; false if there is none.
    pub(super) fn answer_from_window(&mut self, command: &Incoming<'_>, slot: usize) -> bool {
        let found = self.tenure.aggregates.get(slot);
        let Some(entry) = found.window.find(command.id) else { return false };
        if command.headers.reply_to.is_none() {
            return true;
        }
        let (code, events, detail) = match &entry.outcome {
            EntryOutcome::Accepted { events, .. } => (AnswerCode::Accepted, *events, None),
            EntryOutcome::Refused(json) => (AnswerCode::Refused, 0, Some(json.to_string())),
        };
        let position = match &entry.outcome {
            EntryOutcome::Accepted { last_event: Some(offset), .. } => Some(Position::At(*offset)),
            // It may have been decided in this very batch.
            EntryOutcome::Accepted { events: 1.., last_event: None } => self
                .batch
                .accepted
                .iter()
                .rev()
                .find(|a| a.slot == slot && a.partition == self.partition && a.command == command.id)
                .map_or_else(|| self.last_event(slot), |accepted| Some(Position::Staged(accepted.record))),
            _ => self.last_event(slot),
        };
        let version = entry.version;
        self.reply(command, code, version, events, position, detail);
        true
    }

    /// Answers with the aggregate's version and its last event as the position.
    pub(super) fn answer(
        &mut self,
        command: &Incoming<'_>,
        code: AnswerCode,
        events: u32,
        slot: Option<usize>,
        detail: impl FnOnce() -> Option<String>,
    ) {
        if command.headers.reply_to.is_none() {
            return;
        }
        let version = slot.map_or(Version::NONE, |slot| self.tenure.aggregates.get(slot).version);
        let position = slot.and_then(|slot| self.last_event(slot));
        self.reply(command, code, version, events, position, detail());
    }

    /// Where the aggregate's last event lies; none if it has no events.
    fn last_event(&self, slot: usize) -> Option<Position> {
        let found = self.tenure.aggregates.get(slot);
        if found.version == Version::NONE {
            return None;
        }
        let staged = found.staged_event.filter(|_| found.touched_in == self.batch.number);
        Some(match staged {
            Some(record) => Position::Staged(record),
            // An offset that was not kept lies below the end of the events that were read.
            None => Position::At(found.last_event.unwrap_or(Offset(self.tenure.events_end.0 - 1))),
        })
    }

    fn reply(
        &mut self,
        command: &Incoming<'_>,
        code: AnswerCode,
        version: Version,
        events: u32,
        position: Option<Position>,
        detail: Option<String>,
    ) {
        let Some(partition) = command.headers.reply_to else { return };
        let token = position.map(|position| Token {
            place: self.config.topics.events.partition(self.partition),
            offset: match position {
                Position::At(offset) => offset,
                // The commit tells.
                Position::Staged(_) => Offset(0),
            },
            topic_id: Some(self.tenure.events_id),
        });
        let record = match position {
            Some(Position::Staged(record)) => Some(record),
            _ => None,
        };
        let answer = Answer { command: command.id, code, version, events, token, detail };
        self.batch.pending.push(Pending { reply: Reply { partition: Partition(partition), answer }, record });
    }
}

/// The position that an answer names.
#[derive(Clone, Copy)]
enum Position {
    At(Offset),
    /// The index in the plan of an event whose offset the commit tells.
    Staged(usize),
}
