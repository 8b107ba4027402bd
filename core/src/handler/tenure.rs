//! One ownership of one partition, from its assignment to its end.

use super::{
    IDLE_POSITION_MS,
    aggregates::Aggregates,
    careful::{Careful, Mark},
    checkpoint::Checkpoint,
    config::HandlerConfig,
    effect::{Activity, PartitionHealth},
    foreign::Holes,
    recovery::{Recovered, Recovery},
};
use crate::{Aggregate, Offset, Partition, TimestampMs, TopicId, backoff::wait_ms, wire::Convicted};

/// What the partition does in this tenure.
#[derive(Debug)]
pub(super) enum Phase {
    /// It is to be looked at, or somebody is looking.
    Survey {
        /// Ask (again) at this time; none while an answer is awaited.
        ask_at: Option<TimestampMs>,
        reason: Option<String>,
    },
    Recovering(Box<Recovery>, Reading),
    Ready,
    /// A command cannot be decoded before this schema is known.
    AwaitingSchema(Wanted),
    Stopped(String),
}

/// Whether the reader reads for a recovery, or waits for a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    On,
    Awaiting(Wanted),
}

/// A schema that a partition waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) id: u32,
    /// Ask again at this time; none while an answer is awaited.
    pub(super) ask_at: Option<TimestampMs>,
    /// How often the registry has said that it does not have it.
    pub(super) denials: u32,
}

impl Wanted {
    /// It is asked for now.
    pub(super) fn new(id: u32) -> Self {
        Wanted { id, ask_at: None, denials: 0 }
    }
}

#[derive(Debug)]
pub(super) struct Tenure<A> {
    /// Distinguishes it from all others, also of the same partition.
    pub(super) number: u64,
    pub(super) phase: Phase,
    pub(super) aggregates: Aggregates<A>,
    /// The position after the last handled command, committed.
    pub(super) next_command: Offset,
    /// The same with the batch under way.
    pub(super) staged_next: Option<Offset>,
    /// Whether the last command of the batch under way had an event.
    pub(super) last_had_event: bool,
    /// How many events the batch under way has for this partition.
    pub(super) staged_events: u64,
    /// Whether the batch under way has a position record of this partition.
    pub(super) position_staged: bool,
    /// Whether the batch under way deletes the window records of forgotten aggregates.
    pub(super) forgetting_staged: bool,
    /// The end of the events as far as known.
    pub(super) events_end: Offset,
    /// What lies between its events.
    pub(super) holes: Holes,
    /// Events below were caused by commands of an earlier commands topic.
    pub(super) floor: Offset,
    /// The latest recorded time; it never goes back.
    pub(super) clock: TimestampMs,
    pub(super) commands_id: TopicId,
    pub(super) events_id: TopicId,
    /// Whether a position record is due that no command asks for: there was
    /// none yet, or the position moved past control records; since when.
    pub(super) position_due: Option<TimestampMs>,
    pub(super) events_since_checkpoint: u64,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) checkpoint_at: TimestampMs,
    /// Failed attempts in a row, for the backoff.
    pub(super) failures: u32,
    /// Whether the commands that a process before this one may have had in hand are handled: batches up
    /// to there are written down, and the first one in any case.
    pub(super) begun: bool,
    pub(super) begun_at: Offset,
    /// What processes before this one had in hand when they ended.
    pub(super) deaths: Option<Mark>,
    pub(super) careful: Option<Careful>,
    /// The last commands that were found to have ended the process.
    pub(super) convicted: Convicted,
}

/// The longest backoff, in first ones.
const LONGEST_BACKOFF: i64 = 10;

impl<A: Aggregate> Tenure<A> {
    pub(super) fn new(number: u64, now: TimestampMs, config: &HandlerConfig) -> Self {
        Tenure {
            number,
            phase: Phase::Survey { ask_at: Some(now), reason: None },
            aggregates: Aggregates::new(config.hash_seed, config.window_commands),
            next_command: Offset(0),
            staged_next: None,
            last_had_event: true,
            staged_events: 0,
            position_staged: false,
            forgetting_staged: false,
            events_end: Offset(0),
            holes: Holes::default(),
            floor: Offset(0),
            clock: TimestampMs::default(),
            commands_id: TopicId::default(),
            events_id: TopicId::default(),
            position_due: None,
            events_since_checkpoint: 0,
            checkpoint: None,
            checkpoint_at: now,
            failures: 0,
            begun: false,
            begun_at: Offset(0),
            deaths: None,
            careful: None,
            convicted: Convicted::default(),
        }
    }

    /// When to try again what has failed just now.
    pub(super) fn retry_at(&mut self, partition: Partition, now: TimestampMs, config: &HandlerConfig) -> TimestampMs {
        let (first, last) = (config.retry_ms, config.retry_ms.saturating_mul(LONGEST_BACKOFF));
        let wait = wait_ms(first, last, self.failures, (config.hash_seed, partition, now.0));
        self.failures = self.failures.saturating_add(1);
        TimestampMs(now.0 + wait)
    }

    /// Begins to handle commands.
    pub(super) fn ready(&mut self, recovery: &Recovery, recovered: &Recovered, now: TimestampMs) {
        self.next_command = recovered.next_command;
        self.floor = recovered.floor;
        self.clock = recovered.clock;
        self.events_end = recovery.survey.events.end;
        self.holes.begin(self.events_end);
        self.commands_id = recovery.survey.commands_id;
        self.events_id = recovery.survey.events_id;
        self.events_since_checkpoint = recovery.events;
        self.checkpoint_at = now;
        // What nothing in the log tells yet is written down soon.
        if !recovered.identified || recovered.lost > 0 {
            self.position_due = Some(now);
        }
        self.failures = 0;
        self.phase = Phase::Ready;
    }

    /// The schema that it waits for.
    pub(super) fn wanted(&mut self) -> Option<&mut Wanted> {
        match &mut self.phase {
            Phase::AwaitingSchema(wanted) | Phase::Recovering(_, Reading::Awaiting(wanted)) => Some(wanted),
            _ => None,
        }
    }

    /// Forgets what the batch under way would have changed beside the aggregates.
    pub(super) fn unstage(&mut self) {
        self.staged_next = None;
        self.staged_events = 0;
        (self.position_staged, self.forgetting_staged) = (false, false);
        if let Some(checkpoint) = &mut self.checkpoint {
            checkpoint.aborted();
        }
    }

    /// Whether it does not stand still already.
    pub(super) fn can_stop(&self) -> bool {
        !matches!(self.phase, Phase::Stopped(_))
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// Takes the commit of the batch under way; whether a checkpoint is complete with it.
    pub(super) fn batch_committed(&mut self, now: TimestampMs) -> bool {
        self.events_since_checkpoint += self.staged_events;
        if self.position_staged {
            self.position_due = None;
        }
        if self.forgetting_staged {
            self.aggregates.forgotten_is_written();
        }
        if let Some(next) = self.staged_next {
            self.next_command = self.next_command.max(next);
            self.begun |= self.next_command >= self.begun_at;
        }
        let complete = self.checkpoint.as_mut().is_some_and(Checkpoint::committed);
        if complete {
            self.checkpoint = None;
            self.checkpoint_at = now;
        }
        self.unstage();
        complete
    }

    /// Whether a position that moved has waited long enough for a command.
    pub(super) fn is_position_idle(&self, now: TimestampMs) -> bool {
        self.position_due.is_some_and(|since| now.0 - since.0 >= IDLE_POSITION_MS)
    }

    /// The position after the last command, also of the batch under way.
    pub(super) fn next(&self) -> Offset {
        self.staged_next.unwrap_or(self.next_command)
    }

    /// The time to record now: the clock, but never before the last one.
    pub(super) fn record_time(&mut self, now: TimestampMs) -> TimestampMs {
        self.clock = self.clock.max(now);
        self.clock
    }

    pub(super) fn health(&self, partition: Partition) -> PartitionHealth {
        let activity = match &self.phase {
            Phase::Survey { reason, .. } => Activity::Surveying(reason.clone()),
            Phase::Recovering(_, Reading::On) => Activity::Recovering,
            Phase::Recovering(_, Reading::Awaiting(wanted)) | Phase::AwaitingSchema(wanted) => {
                Activity::AwaitingSchema(wanted.id)
            }
            Phase::Ready => Activity::Ready,
            Phase::Stopped(reason) => Activity::Stopped(reason.clone()),
        };
        PartitionHealth {
            partition,
            activity,
            next_command: self.next_command,
            aggregates: self.aggregates.len(),
            size_bytes: self.aggregates.size_bytes(),
            careful: self.careful.as_ref().map(|careful| careful.why.clone()),
        }
    }
}
