//! Driving the recoveries of partitions: what to look at, what to read, and
//! what to do when that does not work.

use super::{
    Handler, Snapshots,
    careful::{Careful, Mark},
    effect::{Effect, Notice, Survey},
    recovery::{Halt, Recovery},
    tenure::{Phase, Reading, Tenure, Wanted},
};
use crate::{
    Aggregate, AggregateCodec, Error, ErrorKind, Offset, Partition, RecordBatch, Result, Retry, TimestampMs,
    TopicPartition, careful::in_hand_until, log::Isolation,
};

/// The most schemas remembered as missing in the registry.
const MAX_MISSING_SCHEMAS: usize = 1_000;
/// How often the registry has to deny a command's schema before it counts as missing: one of several instances
/// may not have yet what another has given out.
const DENIALS: u32 = 3;
/// After so long the registry is asked once more about a schema that is missing.
const MISSING_MS: i64 = 60_000;

/// A schema that the registry does not have.
#[derive(Debug)]
pub(super) struct MissingSchema {
    words: String,
    until: TimestampMs,
}

impl MissingSchema {
    /// The registry's words, while they hold.
    pub(super) fn words(&self, now: TimestampMs) -> Option<&str> {
        (now < self.until).then_some(self.words.as_str())
    }
}

impl<A: Aggregate, C: AggregateCodec<A>> Handler<A, C> {
    pub(super) fn ask_again(&mut self, now: TimestampMs) {
        let isolation = match self.protections.high_watermark_recovery {
            true => Isolation::ReadUncommitted,
            false => Isolation::ReadCommitted,
        };
        let mut stalled = Vec::new();
        for (&partition, tenure) in &mut self.tenures {
            match &mut tenure.phase {
                Phase::Survey { ask_at, .. } if ask_at.is_some_and(|at| at <= now) => {
                    *ask_at = None;
                    self.effects.push_back(Effect::Survey(partition, isolation));
                }
                Phase::AwaitingSchema(wanted) | Phase::Recovering(_, Reading::Awaiting(wanted))
                    if wanted.ask_at.is_some_and(|at| at <= now) =>
                {
                    wanted.ask_at = None;
                    self.effects.push_back(Effect::FetchSchema(wanted.id));
                }
                Phase::Recovering(recovery, Reading::On)
                    if now.0 - recovery.moved_at.0 > self.config.recovery_stall_ms =>
                {
                    stalled.push((
                        partition,
                        format!(
                            "reading {}/{partition} stands still at offset {} before {}: a transaction that its owner left open hides the rest until the broker ends it (if that goes on, see `Known flaws of Kafka` in ARCHITECTURE.md)",
                            recovery.topic(&self.config),
                            recovery.next,
                            recovery.until(&self.protections)
                        ),
                    ));
                }
                _ => {}
            }
        }
        for (partition, reason) in stalled {
            self.recover_later(partition, reason, now);
        }
    }

    /// Drops a partition's state and looks again after a while.
    pub(super) fn recover_later(&mut self, partition: Partition, reason: String, now: TimestampMs) {
        self.stop_reading(partition);
        if let Some(tenure) = self.tenures.get_mut(&partition) {
            let (number, failures) = (tenure.number, tenure.failures);
            *tenure = Tenure { failures, ..Tenure::new(number, now, &self.config) };
            let ask_at = Some(tenure.retry_at(partition, now, &self.config));
            tenure.phase = Phase::Survey { ask_at, reason: Some(reason.clone()) };
            self.effects.push_back(Effect::Tell(Notice::Waiting { partition, reason }));
        }
    }

    pub(super) fn stop_reading(&mut self, partition: Partition) {
        self.forget_holes(partition);
        if let Some(Phase::Recovering(recovery, Reading::On)) = self.tenures.get(&partition).map(|t| &t.phase)
            && recovery.is_read
        {
            let place = recovery.topic(&self.config).partition(partition);
            self.effects.push_back(Effect::StopReading(place));
        }
    }

    pub(super) fn stop(&mut self, partition: Partition, reason: String) {
        self.stop_reading(partition);
        if let Some(tenure) = self.tenures.get_mut(&partition) {
            if tenure.is_ready() {
                self.effects.push_back(Effect::Pause(self.config.topics.commands.partition(partition)));
            }
            tenure.phase = Phase::Stopped(reason.clone());
            self.effects.push_back(Effect::Tell(Notice::Stopped { partition, reason }));
        }
    }

    /// Takes the answer to [`Effect::Survey`].
    pub fn surveyed(&mut self, partition: Partition, survey: Result<Survey>, now: TimestampMs) {
        let asked = self.tenures.get(&partition).is_some_and(|t| matches!(t.phase, Phase::Survey { ask_at: None, .. }));
        if !asked {
            return;
        }
        let survey = match survey {
            Ok(survey) => survey,
            Err(error) if error.kind().retry() == Retry::No => {
                return self.stop(partition, error.to_string());
            }
            Err(error) => return self.recover_later(partition, error.to_string(), now),
        };
        if !self.partitions_counted(&survey.partitions) {
            return;
        }
        let Some(tenure) = self.tenures.get_mut(&partition) else { return };
        tenure.phase = Phase::Recovering(Box::new(Recovery::new(survey, now)), Reading::On);
        self.read_stage(partition);
        self.advance(partition, now);
    }

    /// Takes how many partitions topics have now. Another number than this
    /// handler was started with stops everything; false then.
    pub fn partitions_counted(&mut self, counts: &[(String, u32)]) -> bool {
        let Some((topic, count)) = counts.iter().find(|(_, count)| *count != self.config.partitions) else {
            return true;
        };
        let reason = format!(
            "topic {topic} has {count} partitions and this handler was started with {}: keys would change their partition; \
             all topics of an aggregate type keep the same number for ever",
            self.config.partitions
        );
        let going = self.tenures.iter().filter(|(_, tenure)| !matches!(tenure.phase, Phase::Stopped(_)));
        let going: Vec<_> = going.map(|(partition, _)| *partition).collect();
        going.into_iter().for_each(|partition| self.stop(partition, reason.clone()));
        false
    }

    /// Has the reader read the stage that a recovery is in, if there is something to read.
    fn read_stage(&mut self, partition: Partition) {
        let Some(tenure) = self.tenures.get_mut(&partition) else { return };
        let Phase::Recovering(recovery, Reading::On) = &mut tenure.phase else { return };
        recovery.is_read = recovery.next < recovery.until(&self.protections);
        if recovery.is_read {
            let place = recovery.topic(&self.config).partition(partition);
            self.effects.push_back(Effect::Read(place, recovery.next));
        }
    }

    /// Places that are being read for recoveries.
    pub fn reading(&self) -> Vec<TopicPartition> {
        self.tenures
            .iter()
            .filter_map(|(partition, tenure)| match &tenure.phase {
                Phase::Recovering(recovery, Reading::On) => Some(recovery.topic(&self.config).partition(*partition)),
                _ => None,
            })
            .chain(self.reading_holes())
            .collect()
    }

    /// Takes what the reader brought, and then its position on each place that is read.
    pub fn read(&mut self, records: &RecordBatch, positions: &[(TopicPartition, Offset)], now: TimestampMs) {
        let mut stopped: Vec<(Partition, Halt, Offset)> = Vec::new();
        for record in records.iter() {
            let partition = record.partition();
            let Some(tenure) = self.tenures.get_mut(&partition) else { continue };
            let Phase::Recovering(recovery, Reading::On) = &mut tenure.phase else { continue };
            let wanted = record.topic() == recovery.topic(&self.config)
                && record.offset() >= recovery.next
                && record.offset() < recovery.until(&self.protections)
                && !stopped.iter().any(|(p, ..)| *p == partition);
            if !wanted {
                continue;
            }
            let taken = recovery.take(record, &self.codec, &mut tenure.aggregates, &self.config, &self.protections);
            match taken {
                Ok(()) => {
                    recovery.next = record.offset().next();
                    recovery.moved_at = now;
                }
                Err(halt) => stopped.push((partition, halt, record.offset())),
            }
        }
        for (partition, halt, at) in stopped {
            self.halt(partition, halt, at);
        }
        self.read_holes(records, positions);
        for (place, position) in positions {
            let Some(tenure) = self.tenures.get_mut(&place.partition) else { continue };
            let Phase::Recovering(recovery, Reading::On) = &mut tenure.phase else { continue };
            if place.topic == *recovery.topic(&self.config) && *position > recovery.next {
                recovery.next = *position;
                recovery.moved_at = now;
            }
        }
        let all: Vec<_> = self.tenures.keys().copied().collect();
        all.into_iter().for_each(|partition| self.advance(partition, now));
    }

    fn halt(&mut self, partition: Partition, halt: Halt, at: Offset) {
        match halt {
            Halt::Stop(reason) => self.stop(partition, reason),
            Halt::Schema(id) => {
                self.stop_reading(partition);
                if let Some(Phase::Recovering(recovery, reading)) =
                    self.tenures.get_mut(&partition).map(|t| &mut t.phase)
                {
                    recovery.next = at;
                    *reading = Reading::Awaiting(Wanted::new(id));
                    self.effects.push_back(Effect::FetchSchema(id));
                }
            }
        }
    }

    /// The reader cannot go on at a place: recover again, or stop where that cannot help.
    pub fn reading_failed(&mut self, error: &Error, now: TimestampMs) {
        for place in self.reading() {
            match error.kind().retry() {
                Retry::No => self.stop(place.partition, error.to_string()),
                _ => self.recover_later(place.partition, error.to_string(), now),
            }
        }
    }

    /// Goes on with a recovery whose stage is at its end.
    fn advance(&mut self, partition: Partition, now: TimestampMs) {
        loop {
            let Some(tenure) = self.tenures.get_mut(&partition) else { return };
            let Phase::Recovering(recovery, Reading::On) = &mut tenure.phase else { return };
            if recovery.next < recovery.until(&self.protections) {
                return;
            }
            let at = recovery.next;
            self.stop_reading(partition);
            let Some(tenure) = self.tenures.get_mut(&partition) else { return };
            let Phase::Recovering(recovery, Reading::On) = &mut tenure.phase else { return };
            recovery.is_read = false;
            match recovery.next_stage(now, &self.config, &self.protections) {
                Err(halt) => return self.halt(partition, halt, at),
                Ok(Some(_)) => self.read_stage(partition),
                Ok(None) => return self.recovered(partition, now),
            }
        }
    }

    fn recovered(&mut self, partition: Partition, now: TimestampMs) {
        let Some(tenure) = self.tenures.get_mut(&partition) else { return };
        let phase = std::mem::replace(&mut tenure.phase, Phase::Survey { ask_at: None, reason: None });
        let Phase::Recovering(mut recovery, _) = phase else { return };
        let recovered = match recovery.finish(&self.config) {
            Ok(recovered) => recovered,
            Err(halt) => {
                tenure.phase = Phase::Recovering(recovery, Reading::On);
                return self.halt(partition, halt, Offset(0));
            }
        };
        tenure.ready(&recovery, &recovered, now);
        // What this very process began has not ended it.
        let own = self.marks.get(&partition).copied();
        let begun = recovered.begun.map(|mark| Mark { tries: mark.tries - u32::from(own == Some(mark)), ..mark });
        tenure.deaths = begun.filter(|mark| mark.tries > 0);
        tenure.convicted = std::mem::take(&mut recovery.convicted);
        let (until, left) = (recovery.survey.commands.end, self.config.max_batch_commands);
        tenure.begun_at = in_hand_until(tenure.next_command, until, left);
        tenure.careful = tenure.deaths.map(|mark| Careful::new(mark, until, left));
        if let Some(careful) = &tenure.careful {
            let reason = careful.why.clone();
            self.effects.push_back(Effect::Tell(Notice::Careful { partition, reason }));
        }
        tenure.aggregates.list_all_eventless(self.config.max_eventless_aggregates);
        self.stats.recovered_snapshots += recovery.snapshots;
        self.stats.recovered_events += recovery.events;
        if recovery.repeated > 0 {
            self.effects.push_back(Effect::Tell(Notice::RepeatedVersions { partition, events: recovery.repeated }));
        }
        if recovered.lost > 0 {
            self.effects.push_back(Effect::Tell(Notice::LostCommands { partition, commands: recovered.lost }));
        }
        self.effects.push_back(Effect::Tell(Notice::Recovered {
            partition,
            snapshots: recovery.snapshots,
            events: recovery.events,
            next_command: recovered.next_command,
        }));
        if self.config.snapshots == Snapshots::Used {
            let place = self.config.topics.commands.partition(partition);
            self.effects.push_back(Effect::Start(place, recovered.start));
        }
    }

    /// Takes the result of [`Effect::FetchSchema`]: the codec knows the schema now, or the registry's error.
    ///
    /// A command whose schema the registry denies is dead-lettered after some tries. Every other error (the
    /// registry is away, or wants other credentials), and every one about an event's schema, is waited out.
    pub fn schema_fetched(&mut self, id: u32, result: Result<()>, now: TimestampMs) {
        if result.is_ok() {
            self.missing_schemas.remove(&id);
        }
        let waiting: Vec<_> = self.tenures.keys().copied().collect();
        for partition in waiting {
            let Some(tenure) = self.tenures.get_mut(&partition) else { continue };
            let is_command = matches!(tenure.phase, Phase::AwaitingSchema(_));
            let Some(wanted) = tenure.wanted().filter(|wanted| wanted.id == id) else { continue };
            let Err(error) = &result else {
                self.go_on(partition, now);
                continue;
            };
            let is_denied = is_command && error.kind() == ErrorKind::Data;
            wanted.denials += u32::from(is_denied);
            if is_denied && (wanted.denials >= DENIALS || self.missing_schemas.contains_key(&id)) {
                if self.missing_schemas.len() >= MAX_MISSING_SCHEMAS {
                    self.missing_schemas.clear();
                }
                let until = TimestampMs(now.0 + MISSING_MS);
                self.missing_schemas.insert(id, MissingSchema { words: error.to_string(), until });
                self.go_on(partition, now);
                continue;
            }
            let ask_at = Some(tenure.retry_at(partition, now, &self.config));
            if let Some(wanted) = tenure.wanted() {
                wanted.ask_at = ask_at;
            }
            let reason = error.to_string();
            self.effects.push_back(Effect::Tell(Notice::Waiting { partition, reason }));
        }
    }

    /// Goes on where a schema was waited for, which is known now or, for a command, missing.
    fn go_on(&mut self, partition: Partition, now: TimestampMs) {
        let Some(tenure) = self.tenures.get_mut(&partition) else { return };
        match &mut tenure.phase {
            // A command whose schema is missing is dead-lettered when it comes again.
            Phase::AwaitingSchema(_) => {
                (tenure.phase, tenure.failures) = (Phase::Ready, 0);
                let place = self.config.topics.commands.partition(partition);
                self.effects.push_back(Effect::Start(place, tenure.next_command));
            }
            Phase::Recovering(recovery, reading) => {
                (*reading, tenure.failures) = (Reading::On, 0);
                recovery.moved_at = now;
                self.read_stage(partition);
            }
            _ => {}
        }
    }
}
