//! The keys and values of the snapshots topic.
//!
//! Keys begin with a tag and a layout version, so that new kinds can be added:
//! a reader passes over what it does not know. Integers are big endian.

use crate::{
    CommandId, Fingerprint, Offset, TimestampMs, TopicId, Version,
    handler::window::{Entry, EntryOutcome, Window},
};
use std::collections::VecDeque;

const SNAPSHOT: u8 = 1;
const MARKER: u8 = 2;
const POSITION: u8 = 3;
const WINDOW: u8 = 4;
const BEGUN: u8 = 5;
const CONVICTED: u8 = 6;
const PREPARED: u8 = 7;
const PREPARED_MARKER: u8 = 8;
const LAYOUT: u8 = 1;

/// What a key of the snapshots topic names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotKey<'a> {
    /// The latest snapshot of an aggregate, for one fingerprint:
    /// tag 1, layout, fingerprint (8), aggregate id.
    Snapshot(Fingerprint, &'a [u8]),
    /// The partition's checkpoint marker, for one fingerprint: tag 2, layout, fingerprint (8).
    Marker(Fingerprint),
    /// The partition's position record: tag 3, layout.
    Position,
    /// The recent-command window of an aggregate whose last commands caused no
    /// event: tag 4, layout, aggregate id.
    Window(&'a [u8]),
    /// What the partition's owner began last: tag 5, layout.
    Begun,
    /// Commands that ended the process: tag 6, layout.
    Convicted,
    /// A snapshot that was made ahead of the handlers of one fingerprint: tag 7,
    /// layout, fingerprint (8), aggregate id. Handlers write none, so that
    /// theirs and these never replace each other.
    Prepared(Fingerprint, &'a [u8]),
    /// The marker of those: tag 8, layout, fingerprint (8).
    PreparedMarker(Fingerprint),
}

impl<'a> SnapshotKey<'a> {
    /// Appends the key's bytes.
    pub fn write(&self, into: &mut Vec<u8>) {
        match self {
            SnapshotKey::Snapshot(fingerprint, id) => {
                into.extend_from_slice(&[SNAPSHOT, LAYOUT]);
                into.extend_from_slice(&fingerprint.0);
                into.extend_from_slice(id);
            }
            SnapshotKey::Marker(fingerprint) => {
                into.extend_from_slice(&[MARKER, LAYOUT]);
                into.extend_from_slice(&fingerprint.0);
            }
            SnapshotKey::Position => into.extend_from_slice(&[POSITION, LAYOUT]),
            SnapshotKey::Window(id) => {
                into.extend_from_slice(&[WINDOW, LAYOUT]);
                into.extend_from_slice(id);
            }
            SnapshotKey::Begun => into.extend_from_slice(&[BEGUN, LAYOUT]),
            SnapshotKey::Convicted => into.extend_from_slice(&[CONVICTED, LAYOUT]),
            SnapshotKey::Prepared(fingerprint, id) => {
                into.extend_from_slice(&[PREPARED, LAYOUT]);
                into.extend_from_slice(&fingerprint.0);
                into.extend_from_slice(id);
            }
            SnapshotKey::PreparedMarker(fingerprint) => {
                into.extend_from_slice(&[PREPARED_MARKER, LAYOUT]);
                into.extend_from_slice(&fingerprint.0);
            }
        }
    }

    /// Reads a key; none for a kind or layout that this version does not know.
    pub fn read(key: &'a [u8]) -> Option<Self> {
        let (&[tag, layout], rest) = key.split_first_chunk::<2>()?;
        if layout != LAYOUT {
            return None;
        }
        match tag {
            SNAPSHOT => rest.split_first_chunk().map(|(print, id)| SnapshotKey::Snapshot(Fingerprint(*print), id)),
            MARKER => rest.try_into().ok().map(|print| SnapshotKey::Marker(Fingerprint(print))),
            POSITION if rest.is_empty() => Some(SnapshotKey::Position),
            WINDOW => Some(SnapshotKey::Window(rest)),
            BEGUN if rest.is_empty() => Some(SnapshotKey::Begun),
            CONVICTED if rest.is_empty() => Some(SnapshotKey::Convicted),
            PREPARED => rest.split_first_chunk().map(|(print, id)| SnapshotKey::Prepared(Fingerprint(*print), id)),
            PREPARED_MARKER => rest.try_into().ok().map(|print| SnapshotKey::PreparedMarker(Fingerprint(print))),
            _ => None,
        }
    }
}

/// A snapshot without its state: layout, version (8), last event's offset (8,
/// -1 when it is written together with that event), window, then the state.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotHead {
    /// The aggregate's version.
    pub version: Version,
    /// The offset of its last event, if known.
    pub last_event: Option<Offset>,
    /// The recent commands.
    pub window: Window,
}

impl SnapshotHead {
    /// Appends the head; for a snapshot the state's bytes follow.
    pub fn write(version: Version, last_event: Option<Offset>, window: &Window, into: &mut Vec<u8>) {
        into.push(LAYOUT);
        into.extend_from_slice(&version.0.to_be_bytes());
        into.extend_from_slice(&last_event.map_or(-1, |o| o.0).to_be_bytes());
        // A window has far fewer entries than fit 16 bits.
        into.extend_from_slice(&u16::try_from(window.len()).unwrap_or(u16::MAX).to_be_bytes());
        for entry in window.iter() {
            into.extend_from_slice(&entry.command.0);
            into.extend_from_slice(&entry.version.0.to_be_bytes());
            match &entry.outcome {
                EntryOutcome::Accepted { events, last_event } => {
                    into.push(0);
                    into.extend_from_slice(&events.to_be_bytes());
                    into.extend_from_slice(&last_event.map_or(-1, |o| o.0).to_be_bytes());
                }
                EntryOutcome::Refused(refusal) => {
                    into.push(1);
                    into.extend_from_slice(&u32::try_from(refusal.len()).unwrap_or(0).to_be_bytes());
                    into.extend_from_slice(refusal.as_bytes());
                }
            }
        }
    }

    /// Reads the head and returns it with the bytes that follow; none when they are not of this layout.
    pub fn read(bytes: &[u8], window_limit: usize) -> Option<(Self, &[u8])> {
        let mut input = Input(bytes);
        if input.take::<1>()? != [LAYOUT] {
            return None;
        }
        let version = Version(input.u64()?);
        let last_event = input.offset()?;
        let count = u16::from_be_bytes(input.take()?);
        let mut window = Window::new(window_limit);
        for _ in 0..count {
            let command = CommandId(input.take()?);
            let version = Version(input.u64()?);
            let outcome = match input.take::<1>()? {
                [0] => {
                    EntryOutcome::Accepted { events: u32::from_be_bytes(input.take()?), last_event: input.offset()? }
                }
                [1] => {
                    let len = u32::from_be_bytes(input.take()?);
                    EntryOutcome::Refused(std::str::from_utf8(input.bytes(len as usize)?).ok()?.into())
                }
                _ => return None,
            };
            window.push(Entry { command, version, outcome });
        }
        Some((SnapshotHead { version, last_event, window }, input.0))
    }
}

/// The value of a checkpoint marker and of a position record: how far the
/// commands of the partition have been handled, and what was known then.
///
/// Layout, events offset (8), next command (8), floor (8), clock (8), commands topic id (16), events topic id (16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// In a marker: every event below is in a snapshot written before the
    /// marker. In a position record: the end of the events when it was written.
    pub events: Offset,
    /// The position after the last handled command.
    pub next_command: Offset,
    /// Events below this offset were caused by commands of an earlier commands topic.
    pub floor: Offset,
    /// The latest recorded time.
    pub clock: TimestampMs,
    /// The identity of the commands topic.
    pub commands_id: TopicId,
    /// The identity of the events topic.
    pub events_id: TopicId,
}

impl Progress {
    /// How many bytes it takes.
    pub const BYTES: usize = 65;

    /// Appends the value's bytes.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.push(LAYOUT);
        for number in [self.events.0, self.next_command.0, self.floor.0, self.clock.0] {
            into.extend_from_slice(&number.to_be_bytes());
        }
        into.extend_from_slice(&self.commands_id.0);
        into.extend_from_slice(&self.events_id.0);
    }

    /// Reads a value; none when the bytes are not of this layout.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        if input.take::<1>()? != [LAYOUT] {
            return None;
        }
        let progress = Progress {
            events: Offset(i64::from_be_bytes(input.take()?)),
            next_command: Offset(i64::from_be_bytes(input.take()?)),
            floor: Offset(i64::from_be_bytes(input.take()?)),
            clock: TimestampMs(i64::from_be_bytes(input.take()?)),
            commands_id: TopicId(input.take()?),
            events_id: TopicId(input.take()?),
        };
        input.0.is_empty().then_some(progress)
    }
}

/// What a partition's owner wrote down before it decided: a command, and how
/// often it was begun. It says nothing once the command is handled.
///
/// Layout, offset of the command (8), times (4), commands topic id (16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The first command that was in hand.
    pub command: Offset,
    /// How often it was begun, with this time.
    pub tries: u32,
    /// The identity of the commands topic.
    pub commands_id: TopicId,
}

impl Begun {
    /// Appends the value's bytes.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.push(LAYOUT);
        into.extend_from_slice(&self.command.0.to_be_bytes());
        into.extend_from_slice(&self.tries.to_be_bytes());
        into.extend_from_slice(&self.commands_id.0);
    }

    /// Reads a value; none when the bytes are not of this layout.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        if input.take::<1>()? != [LAYOUT] {
            return None;
        }
        let command = Offset(i64::from_be_bytes(input.take()?));
        let tries = u32::from_be_bytes(input.take()?);
        let commands_id = TopicId(input.take()?);
        input.0.is_empty().then_some(Begun { command, tries, commands_id })
    }
}

/// The last commands of a partition that were found to end the process: layout, then their ids (16 each), oldest
/// first. Whoever waits for an answer repeats the command, and each repeat would be a killer of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Convicted(VecDeque<CommandId>);

impl Convicted {
    /// How many commands are remembered at most.
    pub const LIMIT: usize = 64;

    /// Remembers a command, in the place of the oldest one if need be.
    pub fn insert(&mut self, command: CommandId) {
        if self.contains(command) {
            return;
        }
        if self.0.len() == Self::LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(command);
    }

    /// Whether it is a repeat of one of them.
    pub fn contains(&self, command: CommandId) -> bool {
        self.0.contains(&command)
    }

    /// Appends the value's bytes.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.push(LAYOUT);
        self.0.iter().for_each(|command| into.extend_from_slice(&command.0));
    }

    /// Reads a value; none when the bytes are not of this layout.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let ([LAYOUT], ids) = bytes.split_first_chunk()? else { return None };
        let (ids, []) = ids.as_chunks() else { return None };
        (ids.len() <= Self::LIMIT).then(|| Convicted(ids.iter().copied().map(CommandId).collect()))
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn offset(&mut self) -> Option<Option<Offset>> {
        let number = i64::from_be_bytes(self.take()?);
        Some((number >= 0).then_some(Offset(number)))
    }
}
