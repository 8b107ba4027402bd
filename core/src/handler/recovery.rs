//! Reading a partition's state back: snapshots, then events, then a look at
//! commands that might have been lost (DESIGN §4).

use super::{
    aggregates::Aggregates,
    careful::Mark,
    config::{AcceptLost, HandlerConfig, Snapshots},
    effect::Survey,
    foreign::contested,
    window::{Entry, EntryOutcome},
};
use crate::{
    Aggregate, AggregateCodec, CommandId, DecodeError, Offset, Protections, RecordRef, TimestampMs, Topic, panic_text,
    wire::{Begun, Convicted, EventHeader, Progress, SnapshotHead, SnapshotKey, pass_over},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What to do where an event is of a record that this version has not.
const NEWER: &str = "a newer version of this program wrote it, and nothing is decided here before an instance of that version has the partition: upgrade this instance, or stop it so that another takes over";

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Snapshots,
    Events,
    /// Commands between the handled position and where the group would go on.
    Gap,
}

/// Why a recovery does not go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// It can go on from this record once the schema is known.
    Schema(u32),
    /// Somebody has to act.
    Stop(String),
}

/// What is known once everything was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recovered {
    /// Everything below was handled.
    pub(super) next_command: Offset,
    /// Where delivery begins: not above `next_command`.
    pub(super) start: Offset,
    /// Commands that are gone although nothing tells that they were handled.
    pub(super) lost: i64,
    pub(super) floor: Offset,
    pub(super) clock: TimestampMs,
    /// Whether a position record or a marker exists, which tells the topics' identities.
    pub(super) identified: bool,
    /// What was begun and not done.
    pub(super) begun: Option<Mark>,
}

#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) survey: Survey,
    pub(super) stage: Stage,
    /// The next offset to read in this stage.
    pub(super) next: Offset,
    /// Whether the reader was asked to read this stage.
    pub(super) is_read: bool,
    /// When `next` moved last.
    pub(super) moved_at: TimestampMs,
    pub(super) snapshots: u64,
    pub(super) events: u64,
    pub(super) repeated: u64,
    marker: Option<Progress>,
    /// The marker of snapshots that were made ahead.
    prepared: Option<Progress>,
    position: Option<Progress>,
    begun: Option<Begun>,
    pub(super) convicted: Convicted,
    snapshots_usable: bool,
    handled_by_events: Option<Offset>,
    open_batch: Option<(CommandId, u32)>,
    clock: TimestampMs,
    gap_records: i64,
}

impl Recovery {
    pub(super) fn new(survey: Survey, now: TimestampMs) -> Self {
        let next = survey.snapshots.start;
        Recovery {
            survey,
            stage: Stage::Snapshots,
            next,
            is_read: false,
            moved_at: now,
            snapshots: 0,
            events: 0,
            repeated: 0,
            marker: None,
            prepared: None,
            position: None,
            begun: None,
            convicted: Convicted::default(),
            snapshots_usable: true,
            handled_by_events: None,
            open_batch: None,
            clock: TimestampMs::default(),
            gap_records: 0,
        }
    }

    /// Where this stage ends.
    pub(super) fn until(&self, protections: &Protections) -> Offset {
        match self.stage {
            Stage::Snapshots => match self.marker {
                Some(_) if !protections.snapshots_to_their_end => self.next,
                _ => self.survey.snapshots.end,
            },
            Stage::Events => self.survey.events.end,
            Stage::Gap => self.start(),
        }
    }

    /// Which topic this stage reads.
    pub(super) fn topic<'a>(&self, config: &'a HandlerConfig) -> &'a Topic {
        match self.stage {
            Stage::Snapshots => &config.topics.snapshots,
            Stage::Events => &config.topics.events,
            Stage::Gap => &config.topics.commands,
        }
    }

    /// Takes a record of the stage's topic.
    pub(super) fn take<A: Aggregate, C: AggregateCodec<A>>(
        &mut self,
        record: RecordRef<'_>,
        codec: &C,
        aggregates: &mut Aggregates<A>,
        config: &HandlerConfig,
        protections: &Protections,
    ) -> Result<(), Halt> {
        match self.stage {
            Stage::Snapshots => {
                self.snapshots += 1;
                self.snapshot(record, codec, aggregates, config)
            }
            Stage::Events => self.event(record, codec, aggregates, protections),
            Stage::Gap => {
                self.gap_records += 1;
                Ok(())
            }
        }
    }

    fn snapshot<A: Aggregate, C: AggregateCodec<A>>(
        &mut self,
        record: RecordRef<'_>,
        codec: &C,
        aggregates: &mut Aggregates<A>,
        config: &HandlerConfig,
    ) -> Result<(), Halt> {
        let (Some(key), Some(value)) = (record.key().and_then(SnapshotKey::read), record.value()) else {
            return Ok(());
        };
        // Without these, commands would be decided again: there is no longer way to know them.
        let unreadable = |what: &str| {
            let why = "it is not of a layout that this version reads; start the version that wrote it";
            Halt::Stop(format!("{record:?}: the {what} cannot be read: {why}"))
        };
        match key {
            SnapshotKey::Snapshot(fingerprint, id)
                if fingerprint == codec.fingerprint() && config.snapshots != Snapshots::Used =>
            {
                // Its recent commands are in no other place; one that cannot be read has none to give.
                if let Some((head, _)) = SnapshotHead::read(value, config.window_commands) {
                    let index = aggregates.find_or_create(id);
                    if head.version >= aggregates.get(index).window_version {
                        aggregates.set_window(index, head.window, head.version);
                    }
                }
            }
            SnapshotKey::Snapshot(fingerprint, id) | SnapshotKey::Prepared(fingerprint, id)
                if fingerprint == codec.fingerprint() && config.snapshots == Snapshots::Used =>
            {
                let is_own = matches!(key, SnapshotKey::Snapshot(..));
                // A snapshot is only a shortcut: one that cannot be read means the longer way.
                let read = SnapshotHead::read(value, config.window_commands);
                let Some((head, Ok(state))) = read.map(|(head, state)| (head, codec.decode_state(state))) else {
                    self.snapshots_usable = false;
                    return Ok(());
                };
                let index = aggregates.find_or_create(id);
                let slot = aggregates.get_mut(index);
                // The newer one of a handler's and a prepared one; of the same version it is the handler's.
                if head.version < slot.version || (!is_own && head.version == slot.version) {
                    return Ok(());
                }
                slot.state = state;
                slot.version = head.version;
                slot.snapshot_version = head.version;
                slot.last_event = head.last_event;
                // A snapshot made later of an earlier version knows less than the window record, and a
                // prepared one perhaps also of the same version.
                if head.version > slot.window_version || (is_own && head.version == slot.window_version) {
                    aggregates.set_window(index, head.window, head.version);
                }
            }
            SnapshotKey::Window(id) => {
                let (head, _) =
                    SnapshotHead::read(value, config.window_commands).ok_or_else(|| unreadable("window record"))?;
                let index = aggregates.find_or_create(id);
                aggregates.set_window(index, head.window, head.version);
            }
            SnapshotKey::Marker(fingerprint) if fingerprint == codec.fingerprint() => {
                self.marker = Progress::read(value)
            }
            SnapshotKey::PreparedMarker(fingerprint)
                if fingerprint == codec.fingerprint() && config.snapshots == Snapshots::Used =>
            {
                self.prepared = Progress::read(value);
            }
            SnapshotKey::Position => {
                self.position = Some(Progress::read(value).ok_or_else(|| unreadable("position record"))?);
            }
            // One that cannot be read is as good as none: a process that ends again writes another.
            SnapshotKey::Begun => self.begun = Begun::read(value),
            SnapshotKey::Convicted => self.convicted = Convicted::read(value).unwrap_or_default(),
            SnapshotKey::Snapshot(..)
            | SnapshotKey::Marker(_)
            | SnapshotKey::Prepared(..)
            | SnapshotKey::PreparedMarker(_) => {}
        }
        Ok(())
    }

    fn event<A: Aggregate, C: AggregateCodec<A>>(
        &mut self,
        record: RecordRef<'_>,
        codec: &C,
        aggregates: &mut Aggregates<A>,
        protections: &Protections,
    ) -> Result<(), Halt> {
        let stop = |why: String| Halt::Stop(format!("{record:?}: {why}"));
        let header = EventHeader::read(record).map_err(|e| Halt::Stop(e.to_string()))?;
        if protections.version_check {
            let expected_index = match self.open_batch {
                Some((command, index)) if command == header.command => index,
                Some((command, _)) => {
                    return Err(stop(format!(
                        "the events of command {command} before it are torn: its last ones are missing"
                    )));
                }
                None => 0,
            };
            if header.index != expected_index {
                return Err(stop(format!(
                    "event {} of command {} comes where event {expected_index} is expected: a batch is torn",
                    header.index, header.command
                )));
            }
        }
        let id = record.key().filter(|id| !id.is_empty()).ok_or_else(|| {
            stop(format!("it has no key: not written by a handler; {}", pass_over(&record.place(), record.offset())))
        })?;
        let index = aggregates.find_or_create(id);
        let slot = aggregates.get_mut(index);
        if header.version > slot.version.plus(1) && protections.version_check {
            return Err(stop(format!(
                "version {} of aggregate {} follows version {}: events are missing, or no handler wrote this one; {}",
                header.version,
                String::from_utf8_lossy(id),
                slot.version,
                pass_over(&record.place(), record.offset())
            )));
        }
        if header.version > slot.version || !protections.version_check {
            let events = codec.decode_event(record.value().unwrap_or_default()).map_err(|e| match e {
                DecodeError::UnknownSchema(id) => Halt::Schema(id),
                DecodeError::UnknownRecord(_) => stop(format!("{e}; {NEWER}")),
                other => stop(other.to_string()),
            })?;
            catch_unwind(AssertUnwindSafe(|| events.as_slice().iter().for_each(|event| slot.state.evolve(event))))
                .map_err(|panic| stop(format!("evolve panicked: {}", panic_text(&*panic))))?;
            slot.version = header.version;
            slot.last_event = Some(record.offset());
            aggregates.mark_dirty(index);
        } else {
            if let Some(rival) = slot.rival(&header).filter(|_| protections.version_check) {
                return Err(Halt::Stop(contested(record, &header, &rival)));
            }
            if header.version == slot.version {
                slot.last_event = Some(record.offset());
            }
            // Below the snapshot's version is what the snapshot stands for; above it is a repeat.
            self.repeated += u64::from(header.version > slot.snapshot_version);
        }
        let slot = aggregates.get_mut(index);
        if header.is_last() && header.version > slot.window_version {
            slot.window_version = header.version;
            let outcome = EntryOutcome::Accepted { events: header.size, last_event: Some(record.offset()) };
            aggregates.remember(index, Entry { command: header.command, version: header.version, outcome });
        } else if header.is_last() {
            // A window that was written together with its last event could not name the event's offset.
            slot.window.learn_offset(header.command, record.offset());
        }
        self.events += 1;
        self.open_batch = (!header.is_last()).then_some((header.command, header.index + 1));
        if record.offset() >= self.floor() {
            self.handled_by_events = self.handled_by_events.max(Some(header.command_offset.next()));
        }
        self.clock = self.clock.max(record.timestamp().unwrap_or_default());
        Ok(())
    }

    /// Goes to the next stage; none when there is none.
    pub(super) fn next_stage(
        &mut self,
        now: TimestampMs,
        config: &HandlerConfig,
        protections: &Protections,
    ) -> Result<Option<Stage>, Halt> {
        self.moved_at = now;
        match self.stage {
            Stage::Snapshots => {
                self.check_identity(config, protections).map_err(Halt::Stop)?;
                // Both sets are in memory, so each of the two markers is true of it.
                let markers = [self.marker, self.prepared].into_iter().flatten();
                let from = match self.snapshots_usable && config.snapshots == Snapshots::Used {
                    true => markers.map(|marker| marker.events).max().unwrap_or(Offset(0)),
                    false => Offset(0),
                };
                let events = self.survey.events;
                if from < events.start {
                    return Err(Halt::Stop(format!(
                        "topic {} begins at offset {} and events from offset {from} on are needed: they were deleted; restore the topic from a backup",
                        config.topics.events, events.start
                    )));
                }
                if from > events.end {
                    return Err(Halt::Stop(format!(
                        "the checkpoint names offset {from} of topic {}, which ends at {}: the topic was truncated; restore it from a backup",
                        config.topics.events, events.end
                    )));
                }
                (self.stage, self.next) = (Stage::Events, from);
                Ok(Some(Stage::Events))
            }
            Stage::Events => {
                if let Some((command, _)) = self.open_batch {
                    return Err(Halt::Stop(format!(
                        "the last events of command {command} are missing: its batch is torn"
                    )));
                }
                if self.handled().is_some_and(|handled| handled > self.survey.commands.end)
                    && protections.topic_identity
                {
                    return Err(Halt::Stop(format!(
                        "topic {} ends at offset {} and commands up to {} were handled: it was truncated or recreated; {}",
                        config.topics.commands,
                        self.survey.commands.end,
                        self.handled().unwrap_or(Offset(0)),
                        adopt(config)
                    )));
                }
                if self.start() > self.survey.commands.end && protections.topic_identity {
                    return Err(Halt::Stop(format!(
                        "topic {} ends at offset {} and the group's offset is {}: it was truncated or recreated, or the offset was set beyond its end; \
                         set the group's offset with kafka-consumer-groups",
                        config.topics.commands,
                        self.survey.commands.end,
                        self.start()
                    )));
                }
                let from = self.handled().unwrap_or(Offset(0)).max(self.survey.commands.start);
                if from < self.start() {
                    (self.stage, self.next) = (Stage::Gap, from);
                    return Ok(Some(Stage::Gap));
                }
                Ok(None)
            }
            Stage::Gap => Ok(None),
        }
    }

    fn check_identity(&self, config: &HandlerConfig, protections: &Protections) -> Result<(), String> {
        if !protections.topic_identity {
            return Ok(());
        }
        for known in self.known() {
            if known.events_id != self.survey.events_id {
                return Err(format!(
                    "topic {} has the id {}, and snapshots were made from one with the id {}: it was recreated; restore it, or delete topic {} too to begin anew",
                    config.topics.events, self.survey.events_id, known.events_id, config.topics.snapshots
                ));
            }
        }
        // The newest floor tells which commands topic was the last one.
        if let Some(known) = self.last_known()
            && known.commands_id != self.survey.commands_id
        {
            return Err(format!(
                "topic {} has the id {}, and commands up to offset {} were handled of one with the id {}: it was recreated; {}",
                config.topics.commands,
                self.survey.commands_id,
                known.next_command,
                known.commands_id,
                adopt(config)
            ));
        }
        Ok(())
    }

    fn last_known(&self) -> Option<Progress> {
        let floor = self.floor();
        self.known().find(|known| known.floor == floor)
    }

    fn floor(&self) -> Offset {
        self.known().map(|known| known.floor).max().unwrap_or(Offset(0))
    }

    /// What position record and markers say.
    fn known(&self) -> impl Iterator<Item = Progress> + use<> {
        [self.position, self.marker, self.prepared].into_iter().flatten()
    }

    /// The position after the last handled command; none if nothing was handled.
    fn handled(&self) -> Option<Offset> {
        // A marker of an earlier commands topic counts offsets that mean nothing in this one.
        let newest = self.last_known();
        let same =
            |known: &Progress| newest.is_some_and(|n| n.floor == known.floor && n.commands_id == known.commands_id);
        let known = self.known().filter(same);
        known.map(|known| known.next_command).max().max(self.handled_by_events)
    }

    /// Where the group would go on.
    fn start(&self) -> Offset {
        let start = self.survey.committed.as_ref().map(|committed| committed.offset).or(self.handled());
        start.unwrap_or(self.survey.commands.start).max(self.survey.commands.start)
    }

    /// The result, once there is no further stage.
    pub(super) fn finish(&self, config: &HandlerConfig) -> Result<Recovered, Halt> {
        let handled = self.handled().unwrap_or(Offset(0));
        let start = self.start();
        let deleted = (self.survey.commands.start.0 - handled.0).max(0);
        let lost = deleted + self.gap_records;
        if lost > 0 && config.accept_lost_commands == AcceptLost::No {
            return Err(Halt::Stop(format!(
                "up to {lost} commands of topic {} between offset {handled} and {start} were never handled: they were deleted by retention or skipped by an offset reset; \
                 set the group's offset back with kafka-consumer-groups, or go on without them with --accept-lost-commands",
                config.topics.commands
            )));
        }
        let known = self.known();
        let is_true = |begun: &Begun| {
            begun.commands_id == self.survey.commands_id && begun.command >= handled.max(start) && begun.tries > 0
        };
        Ok(Recovered {
            next_command: handled.max(start),
            begun: self.begun.filter(is_true).map(|begun| Mark { offset: begun.command, tries: begun.tries }),
            start,
            lost,
            floor: self.floor(),
            clock: known.map(|known| known.clock).max().unwrap_or_default().max(self.clock),
            identified: self.position.or(self.marker).is_some(),
        })
    }
}

fn adopt(config: &HandlerConfig) -> String {
    format!("if its commands are new ones, run `factum topics adopt {}`", config.topics.arguments)
}
