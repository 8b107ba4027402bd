//! One command: checked, decoded, decided, and its events staged.

use super::{
    batch::{Accepted, Batch, Scribe},
    config::HandlerConfig,
    effect::{Notice, Plan},
    recovering::MissingSchema,
    tenure::Tenure,
    window::{Entry, EntryOutcome},
};
use crate::{
    Aggregate, AggregateCodec, AggregateId, CommandId, DecodeError, Error, Partition, Protections, RecordRef,
    TimestampMs, Version, panic_text, partition_of,
    wire::{AnswerCode, CommandHeaders, EventHeader},
};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What stands between a command and the next one.
pub(super) enum Hindrance {
    /// The command's schema has to be fetched.
    Schema(u32),
    /// `evolve` panicked, and the aggregate's state is broken: the whole batch
    /// is to be decided again, with [`Care::Copies`].
    Poison,
}

/// What protects states from an `evolve` that panics half way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// The pre-images of the batch, which then begins anew.
    PreImages,
    /// Each command's events evolve a copy first: slower, and only that
    /// command is lost. For a batch in which `evolve` did panic.
    Copies,
}

/// Why a command has no outcome.
enum Setback {
    Hindered(Hindrance),
    /// It is answered like this and not decided.
    Unfit {
        code: AnswerCode,
        cause: String,
        kept: Kept,
    },
}

/// Whether a command that was not decided is kept for people to look at.
#[derive(PartialEq)]
enum Kept {
    InDeadLetters,
    No,
}

impl Setback {
    fn dead(code: AnswerCode, cause: impl Into<String>) -> Self {
        Setback::Unfit { code, cause: cause.into(), kept: Kept::InDeadLetters }
    }

    fn declined(code: AnswerCode, cause: impl Into<String>) -> Self {
        Setback::Unfit { code, cause: cause.into(), kept: Kept::No }
    }
}

/// A command's record and who it is.
pub(super) struct Incoming<'r> {
    pub(super) record: RecordRef<'r>,
    pub(super) headers: CommandHeaders,
    pub(super) id: CommandId,
}

/// What the domain said.
enum Verdict<E> {
    Events(Vec<E>),
    /// The refusal as JSON.
    Refusal(String),
    /// The permission that is missing.
    Forbidden(&'static str),
}

/// Everything that deciding about the commands of one partition needs.
pub(super) struct Decider<'a, A: Aggregate, C> {
    pub(super) config: &'a HandlerConfig,
    pub(super) protections: &'a Protections,
    pub(super) codec: &'a C,
    pub(super) plan: &'a mut Plan,
    pub(super) batch: &'a mut Batch<A>,
    /// Schemas that the registry does not have, with its words.
    pub(super) missing_schemas: &'a BTreeMap<u32, MissingSchema>,
    pub(super) partition: Partition,
    pub(super) tenure: &'a mut Tenure<A>,
    pub(super) care: Care,
    pub(super) now: TimestampMs,
}

impl<A: Aggregate, C: AggregateCodec<A>> Decider<'_, A, C> {
    /// Handles one command of the partition.
    pub(super) fn handle(&mut self, record: RecordRef<'_>) -> Result<(), Hindrance> {
        if record.offset() < self.tenure.next() && self.protections.handled_position {
            self.already_handled(record);
            return Ok(());
        }
        let (headers, wrong) = match CommandHeaders::read(record) {
            Ok(headers) => (headers, None),
            Err(wrong) => (wrong.1, Some(wrong.0)),
        };
        let place = || CommandId::of_place(self.tenure.commands_id, self.partition, record.offset());
        let command = Incoming { record, headers, id: headers.id.unwrap_or_else(place) };
        let decided = match wrong {
            None if let Some(cause) = self.tenure.killer(record.offset(), self.config.max_deaths) => {
                self.convict(command.id);
                Err(Setback::dead(AnswerCode::Failed, cause))
            }
            None if self.tenure.convicted.contains(command.id) => {
                Err(Setback::dead(AnswerCode::Failed, "a repeat of a command that ended the process".to_owned()))
            }
            None => self.decide(&command),
            Some(cause) => Err(Setback::dead(AnswerCode::InvalidHeader, cause)),
        };
        self.tenure.last_had_event = match decided {
            Ok(had_event) => had_event,
            Err(Setback::Hindered(hindrance)) => return Err(hindrance),
            Err(Setback::Unfit { code, cause, kept }) => {
                self.not_decided(&command, code, cause, &kept);
                false
            }
        };
        if let Some(trace) = headers.trace {
            self.plan.traces.push(command.id, trace);
        }
        self.tenure.staged_next = Some(record.offset().next());
        Ok(())
    }

    /// Remembers a command that ended the process, for the owners after this one too.
    fn convict(&mut self, command: CommandId) {
        self.tenure.convicted.insert(command);
        let mut scribe = Scribe { config: self.config, codec: self.codec, plan: self.plan, partition: self.partition };
        scribe.convicted(&self.tenure.convicted);
    }

    fn not_decided(&mut self, command: &Incoming<'_>, code: AnswerCode, cause: String, kept: &Kept) {
        self.batch.stats.outcomes.count(code);
        if *kept == Kept::InDeadLetters {
            self.batch.stats.dead_letters += 1;
            let now = self.tenure.record_time(self.now);
            let mut scribe =
                Scribe { config: self.config, codec: self.codec, plan: self.plan, partition: self.partition };
            scribe.dead_letter(command.record, code, &cause, now);
            self.batch.notices.push(Notice::DeadLettered {
                place: self.config.topics.commands.partition(self.partition),
                offset: command.record.offset(),
                cause: cause.clone(),
            });
        }
        // The answer names the actual version.
        let slot = command.record.key().and_then(|key| self.tenure.aggregates.find(key));
        self.answer(command, code, 0, slot, || Some(cause));
    }

    /// Decides about a command; whether it had an event.
    fn decide(&mut self, command: &Incoming<'_>) -> Result<bool, Setback> {
        let Incoming { record, headers, .. } = command;
        let key = record.key().unwrap_or_default();
        AggregateId::check(key).map_err(|error| Setback::dead(AnswerCode::InvalidKey, error.to_string()))?;
        self.check_partition(key)?;
        let payload = self.decode(*record)?;
        let known = self.tenure.aggregates.find(key);
        let version = known.map_or(Version::NONE, |slot| self.tenure.aggregates.get(slot).version);
        if self.protections.recent_commands
            && headers.id.is_some()
            && known.is_some_and(|slot| self.answer_from_window(command, slot))
        {
            self.batch.stats.repeats += 1;
            return Ok(false);
        }
        if headers.deadline.is_some_and(|deadline| deadline < self.now) {
            self.batch.stats.expired += 1;
            let cause = "the deadline passed before the command was decided";
            return Err(Setback::declined(AnswerCode::DeadlineExceeded, cause));
        }
        if let Some(expected) = headers.expected_version.filter(|expected| *expected != version) {
            self.batch.stats.conflicts += 1;
            let cause = format!("expected version {expected}, the actual one is {version}");
            return Err(Setback::declined(AnswerCode::Conflict, cause));
        }
        match self.judge(known, payload)? {
            Verdict::Forbidden(permission) => {
                let cause =
                    format!("the command needs the permission {permission:?}, which this handler was not granted");
                Err(Setback::declined(AnswerCode::Forbidden, cause))
            }
            Verdict::Refusal(json) => {
                self.batch.stats.commands += 1;
                self.batch.stats.refusals += 1;
                let slot = known.unwrap_or_else(|| self.create(key));
                self.refuse(command, slot, json);
                Ok(false)
            }
            Verdict::Events(events) => {
                self.batch.stats.commands += 1;
                let slot = known.unwrap_or_else(|| self.create(key));
                self.stage(command, slot, events)
            }
        }
    }

    fn check_partition(&self, key: &[u8]) -> Result<(), Setback> {
        let right = partition_of(key, self.config.partitions);
        if right == self.partition || !self.protections.wrong_partition_check {
            return Ok(());
        }
        let cause = format!(
            "key {:?} belongs to partition {right} of {} (murmur2, as Kafka's Java client) and came in partition {}: \
             set the producer's partitioner to murmur2_random",
            String::from_utf8_lossy(key),
            self.config.topics.commands,
            self.partition
        );
        Err(Setback::dead(AnswerCode::WrongPartition, cause))
    }

    fn decode(&self, record: RecordRef<'_>) -> Result<A::Command, Setback> {
        self.codec.decode_command(record.value().unwrap_or_default()).map_err(|error| match error {
            DecodeError::UnknownSchema(schema) => {
                match self.missing_schemas.get(&schema).and_then(|missing| missing.words(self.now)) {
                    None => Setback::Hindered(Hindrance::Schema(schema)),
                    Some(words) => Setback::dead(AnswerCode::Undecodable, words.to_owned()),
                }
            }
            error => Setback::dead(AnswerCode::Undecodable, error.to_string()),
        })
    }

    /// Asks the domain. An id that nobody knows yet is asked with the initial
    /// state, and gets a slot only when there is something to remember.
    fn judge(&self, known: Option<usize>, payload: A::Command) -> Result<Verdict<A::Event>, Setback> {
        let initial;
        let state = match known {
            Some(slot) => &self.tenure.aggregates.get(slot).state,
            None => {
                initial = A::default();
                &initial
            }
        };
        let judged = catch_unwind(AssertUnwindSafe(|| {
            if let Some(needed) = A::permission(&payload).filter(|needed| !self.config.granted.includes(needed)) {
                return Verdict::Forbidden(needed);
            }
            match state.decide(payload) {
                Ok(events) => Verdict::Events(events),
                // A refusal is a value that says something: where JSON cannot hold it, its text does.
                Err(refusal) => Verdict::Refusal(
                    serde_json::to_string(&refusal)
                        .unwrap_or_else(|_| serde_json::Value::String(refusal.to_string()).to_string()),
                ),
            }
        }));
        judged.map_err(|panic| Setback::dead(AnswerCode::Failed, format!("decide panicked: {}", panic_text(&*panic))))
    }

    fn create(&mut self, key: &[u8]) -> usize {
        let slot = self.tenure.aggregates.create(key);
        self.batch.created.push((self.partition, slot));
        slot
    }

    /// Adds the events to the plan and evolves the state; whether there was one.
    fn stage(&mut self, command: &Incoming<'_>, slot: usize, events: Vec<A::Event>) -> Result<bool, Setback> {
        self.batch.touch(self.partition, &mut self.tenure.aggregates, slot);
        let first_record = self.plan.records.len();
        let size = u32::try_from(events.len()).unwrap_or(u32::MAX);
        if let Err(error) = self.encode(command, slot, &events, size) {
            self.plan.records.truncate(first_record);
            return Err(Setback::dead(AnswerCode::Failed, format!("an event cannot be encoded: {error}")));
        }
        let snapshot = match self.evolve(slot, &events) {
            Ok(snapshot) => snapshot,
            Err(_) if self.care == Care::PreImages => return Err(Setback::Hindered(Hindrance::Poison)),
            Err(text) => {
                self.plan.records.truncate(first_record);
                return Err(Setback::dead(AnswerCode::Failed, format!("evolve panicked: {text}")));
            }
        };
        let found = self.tenure.aggregates.get_mut(slot);
        found.version = found.version.plus(events.len() as u64);
        let version = found.version;
        let last = self.plan.records.len().checked_sub(1).filter(|_| !events.is_empty());
        if last.is_some() {
            found.staged_event = last;
            if snapshot || version.0 - found.snapshot_version.0 >= self.config.snapshot_every_events {
                self.snapshot_due(slot);
            }
            self.tenure.aggregates.mark_dirty(slot);
        } else {
            self.window_due(slot);
        }
        self.batch.stats.events += events.len() as u64;
        self.batch.stats.outcomes.count(AnswerCode::Accepted);
        self.tenure.staged_events += events.len() as u64;
        let entry =
            Entry { command: command.id, version, outcome: EntryOutcome::Accepted { events: size, last_event: None } };
        let entry = self.batch.push(self.partition, &mut self.tenure.aggregates, slot, entry);
        if let Some(record) = last {
            let partition = self.partition;
            self.batch.accepted.push(Accepted { partition, slot, entry, record, command: command.id });
        }
        self.answer(command, AnswerCode::Accepted, size, Some(slot), || None);
        Ok(last.is_some())
    }

    /// Adds the events to the plan.
    fn encode(&mut self, command: &Incoming<'_>, slot: usize, events: &[A::Event], size: u32) -> Result<(), Error> {
        let Incoming { record, headers, id } = command;
        let recorded = self.tenure.record_time(self.now);
        let found = self.tenure.aggregates.get(slot);
        for (event, index) in events.iter().zip(0..) {
            let mut staged = self.plan.records.start(&self.config.topics.events, self.partition);
            staged.key(&found.id);
            staged.timestamp(recorded);
            staged.value_with(|value| self.codec.encode_event(event, value))?;
            EventHeader {
                version: found.version.plus(u64::from(index) + 1),
                command: *id,
                command_offset: record.offset(),
                index,
                size,
                occurred: headers.time.unwrap_or(recorded),
                correlation: headers.correlation.unwrap_or(*id),
                cause: headers.cause,
                trace: headers.trace,
                source: &self.config.source,
            }
            .write(&mut staged);
            staged.finish();
        }
        Ok(())
    }

    /// Takes the events into the state; whether they call for a snapshot. The
    /// error is a panic's text: with [`Care::Copies`] the state is then as before.
    fn evolve(&mut self, slot: usize, events: &[A::Event]) -> Result<bool, String> {
        let state = &mut self.tenure.aggregates.get_mut(slot).state;
        let mut copy = (self.care == Care::Copies).then(|| state.clone());
        let evolving = copy.as_mut().unwrap_or(state);
        let evolved = catch_unwind(AssertUnwindSafe(|| {
            let mut snapshot = false;
            for event in events {
                evolving.evolve(event);
                snapshot |= evolving.snapshot_after(event);
            }
            snapshot
        }));
        let snapshot = evolved.map_err(|panic| panic_text(&*panic).to_owned())?;
        if let Some(copy) = copy {
            self.tenure.aggregates.get_mut(slot).state = copy;
        }
        Ok(snapshot)
    }

    fn refuse(&mut self, command: &Incoming<'_>, slot: usize, json: String) {
        self.batch.stats.outcomes.count(AnswerCode::Refused);
        self.batch.touch(self.partition, &mut self.tenure.aggregates, slot);
        self.window_due(slot);
        let version = self.tenure.aggregates.get(slot).version;
        let outcome = EntryOutcome::Refused(json.as_str().into());
        let entry = Entry { command: command.id, version, outcome };
        self.batch.push(self.partition, &mut self.tenure.aggregates, slot, entry);
        self.answer(command, AnswerCode::Refused, 0, Some(slot), || Some(json));
    }

    fn snapshot_due(&mut self, slot: usize) {
        let found = self.tenure.aggregates.get_mut(slot);
        if !(found.snapshot_due || found.window_due) {
            self.batch.due.push((self.partition, slot));
        }
        found.snapshot_due = true;
    }

    /// A command without event is known after a restart only by its window.
    fn window_due(&mut self, slot: usize) {
        let found = self.tenure.aggregates.get_mut(slot);
        if !(found.snapshot_due || found.window_due) {
            self.batch.due.push((self.partition, slot));
        }
        found.window_due = true;
    }
}
