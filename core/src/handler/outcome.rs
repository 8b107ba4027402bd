//! What the outcome of a transaction means for the memory.

use super::{Effect, Handler, careful::Turn, tenure::Phase};
use crate::{
    Aggregate, AggregateCodec, Offset, TimestampMs,
    transaction::{GivenUp, Outcome, Transaction},
};

impl<A: Aggregate, C: AggregateCodec<A>> Handler<A, C> {
    /// The transaction that runs the plan.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(match self.protections.epoch_after_abort {
            true => GivenUp::ToSuccessor,
            false => GivenUp::ByAbort,
        })
    }

    /// Takes the outcome of the plan's transaction, and of a commit the
    /// offsets of the plan's records in their order.
    pub fn finished(&mut self, outcome: Outcome, offsets: &[Offset], now: TimestampMs) {
        let outcome = match outcome {
            Outcome::Unknown if !self.protections.unknown_outcome_recovery => Outcome::Aborted,
            outcome => outcome,
        };
        if let (Turn::Mark(marks), Outcome::Committed | Outcome::Unknown | Outcome::Broken) = (&self.turn, outcome) {
            let marks = marks.clone();
            self.marked(marks);
        }
        match outcome {
            Outcome::Committed if matches!(self.turn, Turn::Mark(_)) => self.careful_next = false,
            Outcome::Committed => self.committed(offsets, now),
            Outcome::Aborted | Outcome::Stale => {
                self.stats.aborted += 1;
                if outcome == Outcome::Aborted && self.protections.epoch_after_abort {
                    self.effects.push_back(Effect::RenewProducer);
                }
                if self.protections.pre_image_undo {
                    self.batch.undo(&mut self.tenures);
                } else {
                    self.tenures.values_mut().for_each(|tenure| tenure.unstage());
                    self.batch.clear();
                }
            }
            Outcome::Unknown => {
                self.stats.unknown += 1;
                self.begin_anew("the outcome of a commit is unknown", now);
            }
            Outcome::Broken => {
                self.stats.aborted += 1;
                self.begin_anew("the producer was fenced or broke", now);
            }
        }
        self.plan.records.clear();
        self.plan.offsets.clear();
    }

    /// Drops the state of every partition that the transaction may have
    /// written, and reads it again with a new producer.
    fn begin_anew(&mut self, reason: &str, now: TimestampMs) {
        // The new producer ends what the old one left open, which a survey would have to wait for.
        self.effects.push_back(Effect::RenewProducer);
        self.batch.clear();
        self.forget_inbox();
        let written = self.tenures.iter().filter(|(_, t)| matches!(t.phase, Phase::Ready | Phase::AwaitingSchema(_)));
        let written: Vec<_> = written.map(|(partition, _)| *partition).collect();
        for partition in written {
            self.effects.push_back(Effect::Pause(self.config.topics.commands.partition(partition)));
            self.recover_later(partition, reason.to_owned(), now);
        }
    }

    fn committed(&mut self, offsets: &[Offset], now: TimestampMs) {
        self.stats.transactions += 1;
        self.stats.snapshots += self.batch.snapshots_staged();
        for accepted in &self.batch.accepted {
            if let (Some(tenure), Some(&offset)) =
                (self.tenures.get_mut(&accepted.partition), offsets.get(accepted.record))
            {
                tenure.aggregates.get_mut(accepted.slot).window.set_offset(accepted.entry, offset);
            }
        }
        self.find_holes(offsets);
        for (partition, slot) in self.batch.touched() {
            let Some(tenure) = self.tenures.get_mut(&partition) else { continue };
            let found = tenure.aggregates.get_mut(slot);
            if let Some(&offset) = found.staged_event.take().and_then(|record| offsets.get(record)) {
                found.last_event = Some(offset);
                tenure.events_end = tenure.events_end.max(offset.next());
            }
        }
        for tenure in self.tenures.values_mut() {
            if tenure.batch_committed(now) {
                self.stats.checkpoints += 1;
            }
        }
        for (partition, slot) in &self.batch.created {
            if let Some(tenure) = self.tenures.get_mut(partition) {
                tenure.aggregates.list_eventless(*slot, self.config.max_eventless_aggregates);
            }
        }
        self.settle(offsets);
    }

    /// The batch is over: what was decided is told, and the inbox is done.
    pub(super) fn settle(&mut self, offsets: &[Offset]) {
        for mut pending in self.batch.pending.drain(..) {
            let offset = pending.record.and_then(|record| offsets.get(record));
            if let (Some(token), Some(&offset)) = (&mut pending.reply.answer.token, offset) {
                token.offset = offset;
            }
            self.replies.push(pending.reply);
        }
        self.effects.extend(self.batch.notices.drain(..).map(Effect::Tell));
        self.stats.add(&self.batch.stats);
        self.batch.clear();
        match self.turn {
            Turn::Alone(partition) => self.put_down(partition),
            Turn::Inbox | Turn::Mark(_) => {
                self.careful_next = true;
                self.forget_inbox();
            }
        }
    }
}
