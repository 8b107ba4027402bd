//! From the inbox to a plan.

use super::{
    Effect, Handler, Notice, Plan,
    batch::Scribe,
    careful::Turn,
    config::Snapshots,
    decide::{Care, Decider, Hindrance},
    tenure::{Phase, Tenure, Wanted},
};
use crate::{Aggregate, AggregateCodec, CommitOffset, Error, Membership, Partition, RecordBatch, TimestampMs};
use std::collections::BTreeMap;

/// A decider, the inbox, and the tenure of each of its commands.
type Deciding<'a, A, C> = (Decider<'a, A, C>, &'a RecordBatch, &'a [u64]);

impl<A: Aggregate, C: AggregateCodec<A>> Handler<A, C> {
    /// Decides about the inbox and fills [`Handler::current_plan`]. False:
    /// there is nothing to commit (now); poll on. Nothing may be polled
    /// between this and [`Handler::finished`].
    ///
    /// `member` is to be read after the last poll.
    pub fn plan(&mut self, member: &Membership, now: TimestampMs) -> bool {
        self.plan.traces.clear();
        if !self.may_write_as(member, now) {
            return false;
        }
        self.set_aside();
        self.turn = self.next_turn();
        if let Turn::Mark(marks) = &self.turn {
            let marks = marks.clone();
            self.stage_marks(&marks);
            self.plan.member = Some(member.clone());
            return true;
        }
        let mut care = Care::PreImages;
        loop {
            if self.decide_turn(care, now).is_err() {
                self.batch.undo(&mut self.tenures);
                care = Care::Copies;
                continue;
            }
            let Err((partition, error)) = self.stage_duties(now) else { break };
            // A state that cannot be written is a bug that somebody has to mend; the others go on.
            self.batch.undo(&mut self.tenures);
            self.stop(partition, format!("a snapshot cannot be encoded: {error}"));
        }
        if self.plan.offsets.is_empty() {
            self.settle(&[]);
            return false;
        }
        self.plan.member = Some(member.clone());
        true
    }

    /// The transaction to run, after [`Handler::plan`] returned true. Its
    /// traces are those of the last call in any case.
    pub fn current_plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether the broker would fence a transaction of this member, and the tenures are this member's.
    fn may_write_as(&mut self, member: &Membership, now: TimestampMs) -> bool {
        if !member.is_joined() && self.protections.sentinel_refusal {
            return false;
        }
        if self.member_id.as_ref().is_some_and(|known| *known != member.member_id)
            && self.protections.state_dropped_on_revocation
        {
            // Another member id is another ownership of everything.
            let all: Vec<_> = self.tenures.keys().copied().collect();
            for partition in all {
                self.effects.push_back(Effect::Pause(self.config.topics.commands.partition(partition)));
                self.stop_reading(partition);
                let number = self.next_number();
                self.tenures.insert(partition, Tenure::new(number, now, &self.config));
            }
            self.forget_inbox();
        }
        self.member_id = Some(member.member_id.clone());
        true
    }

    /// Decides about what the plan is about.
    fn decide_turn(&mut self, care: Care, now: TimestampMs) -> Result<(), ()> {
        self.plan.records.clear();
        self.plan.offsets.clear();
        self.plan.traces.clear();
        match self.turn {
            Turn::Alone(partition) => self.decide_alone(partition, care, now),
            Turn::Inbox | Turn::Mark(_) => self.decide_inbox(care, now),
        }
    }

    /// Who decides about commands of a partition, beside the inbox and the tenures of what is in it.
    fn decider(&mut self, partition: Partition, care: Care, now: TimestampMs) -> Option<Deciding<'_, A, C>> {
        let decider = Decider {
            config: &self.config,
            protections: &self.protections,
            codec: &self.codec,
            plan: &mut self.plan,
            batch: &mut self.batch,
            missing_schemas: &self.missing_schemas,
            partition,
            tenure: self.tenures.get_mut(&partition)?,
            care,
            now,
        };
        Some((decider, &self.inbox, &self.stamps))
    }

    /// Decides about the command of a careful partition that waits first.
    fn decide_alone(&mut self, partition: Partition, care: Care, now: TimestampMs) -> Result<(), ()> {
        let Some((mut decider, ..)) = self.decider(partition, care, now) else { return Ok(()) };
        let Some(first) = decider.tenure.first_waiting() else { return Ok(()) };
        match decider.handle(first.get(0)) {
            Ok(()) => Ok(()),
            Err(Hindrance::Poison) => Err(()),
            Err(Hindrance::Schema(id)) => {
                self.await_schema(partition, id);
                Ok(())
            }
        }
    }

    /// A partition's next command has a schema that is not known.
    fn await_schema(&mut self, partition: Partition, id: u32) {
        let Some(tenure) = self.tenures.get_mut(&partition) else { return };
        tenure.forget_waiting();
        tenure.phase = Phase::AwaitingSchema(Wanted::new(id));
        self.effects.push_back(Effect::Pause(self.config.topics.commands.partition(partition)));
        self.effects.push_back(Effect::FetchSchema(id));
    }

    /// Decides about every command of the inbox whose tenure goes on. An error
    /// is a panic of `evolve` that only [`Care::Copies`] can confine.
    fn decide_inbox(&mut self, care: Care, now: TimestampMs) -> Result<(), ()> {
        let mut known: BTreeMap<Partition, u64> = BTreeMap::new();
        let mut index = 0;
        while index < self.inbox.len() {
            let partition = self.inbox.get(index).partition();
            let run = index
                ..(index..self.inbox.len())
                    .find(|&other| self.inbox.get(other).partition() != partition)
                    .unwrap_or(self.inbox.len());
            index = run.end;
            let before = self.batch.stats.already_handled;
            let Some((mut decider, inbox, stamps)) = self.decider(partition, care, now) else { continue };
            if !decider.tenure.is_ready() {
                continue;
            }
            for at in run {
                if decider.tenure.number != stamps[at] && decider.protections.tenure_check {
                    continue;
                }
                match decider.handle(inbox.get(at)) {
                    Ok(()) => {}
                    Err(Hindrance::Poison) => return Err(()),
                    Err(Hindrance::Schema(id)) => {
                        self.await_schema(partition, id);
                        break;
                    }
                }
            }
            let skipped = self.batch.stats.already_handled - before;
            if skipped > 0 {
                *known.entry(partition).or_default() += skipped;
            }
        }
        let notices = known.into_iter().map(|(partition, commands)| Notice::AlreadyHandled { partition, commands });
        self.batch.notices.extend(notices);
        Ok(())
    }

    /// Adds what is due besides events: snapshots, windows, checkpoints,
    /// positions, and the offsets. An error names the partition whose state
    /// cannot be encoded.
    fn stage_duties(&mut self, now: TimestampMs) -> Result<(), (Partition, Error)> {
        self.stage_due()?;
        for (&partition, tenure) in &mut self.tenures {
            // Beside a command that may end the process nothing else is done.
            let is_meant = match self.turn {
                Turn::Alone(alone) => alone == partition,
                Turn::Inbox | Turn::Mark(_) => true,
            };
            if !is_meant || !matches!(tenure.phase, Phase::Ready | Phase::AwaitingSchema(_)) {
                continue;
            }
            let before = self.plan.records.len();
            let mut scribe = Scribe { config: &self.config, codec: &self.codec, plan: &mut self.plan, partition };
            if tenure.checkpoint_due(&self.config, now) {
                tenure.stage_checkpoint(&mut scribe, &mut self.batch, now).map_err(|error| (partition, error))?;
            }
            let handled = tenure.staged_next.is_some();
            let silent = handled && !tenure.last_had_event && self.protections.position_record;
            // The first transaction of a partition's life notes the topics' identities.
            let first = handled && tenure.position_due.is_some();
            let prepares = self.config.snapshots == Snapshots::Prepared;
            if !prepares && (silent || first || tenure.is_position_idle(now)) {
                let clock = tenure.record_time(now);
                scribe.position(tenure.progress(tenure.events_end, clock));
                tenure.position_staged = true;
            }
            let mut written = scribe.plan.records.len() > before || handled;
            if written && !prepares {
                for id in tenure.aggregates.forgotten() {
                    scribe.forget(id);
                }
                tenure.forgetting_staged = true;
            }
            written &= handled || self.protections.offset_of_written_partition;
            if written {
                self.plan.offsets.push(CommitOffset {
                    place: self.config.topics.commands.partition(partition),
                    offset: tenure.next(),
                    metadata: format!("factum:{}", tenure.commands_id),
                });
            }
        }
        Ok(())
    }

    /// Adds the snapshots and windows that the batch's commands called for.
    fn stage_due(&mut self) -> Result<(), (Partition, Error)> {
        for index in 0..self.batch.due.len() {
            let (partition, slot) = self.batch.due[index];
            let Some(tenure) = self.tenures.get_mut(&partition) else { continue };
            let mut scribe = Scribe { config: &self.config, codec: &self.codec, plan: &mut self.plan, partition };
            let found = tenure.aggregates.get_mut(slot);
            let (snapshot, window) = (found.snapshot_due, found.window_due);
            (found.snapshot_due, found.window_due) = (false, false);
            if snapshot {
                scribe.snapshot(&mut tenure.aggregates, slot, &mut self.batch).map_err(|error| (partition, error))?;
            }
            if window {
                scribe.window(&tenure.aggregates, slot);
            }
        }
        Ok(())
    }
}
