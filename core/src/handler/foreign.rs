//! Records in an events partition that its owner did not write.
//!
//! Between two of its transactions an owner finds one offset that it did not
//! get for a record: the transaction's marker (KIP-98). The delivery reports
//! tell every offset, so a wider hole is seen without a request. It may hold
//! aborted records and their marker, which nobody reads; so it is read as any
//! reader would, and only a record that comes out of it is a stranger's.

use super::{
    Handler,
    aggregates::{Aggregates, Slot},
    effect::{Effect, Notice},
};
use crate::{
    Aggregate, AggregateCodec, CommandId, Offset, Partition, RecordBatch, RecordRef, TopicPartition, Version,
    handler::window::EntryOutcome,
    wire::{CONTESTED, EventHeader, pass_over},
};
use std::{collections::VecDeque, ops::Range};

/// The most holes that wait to be read; of more, the widest range that has all of them.
const MAX_HOLES: usize = 64;

/// What lies between the records that the owner wrote.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// Where the next record of the owner has to come to lie at the latest; none where it is not known.
    next: Option<Offset>,
    waiting: VecDeque<Range<Offset>>,
    is_read: bool,
}

impl Holes {
    /// Everything below was read.
    pub(super) fn begin(&mut self, end: Offset) {
        *self = Holes { next: Some(end), ..Holes::default() };
    }

    /// Takes the offset of a record that the owner wrote after the ones below `end`.
    fn written(&mut self, offset: Offset, end: Offset) {
        match self.next {
            Some(next) if offset > next => {
                let are_many = self.waiting.len() >= MAX_HOLES;
                match self.waiting.back_mut().filter(|_| are_many) {
                    Some(last) => last.end = offset,
                    None => self.waiting.push_back(end..offset),
                }
            }
            // The log did not say where it is.
            Some(next) if offset < next => {
                self.next = None;
                return;
            }
            _ => {}
        }
        self.next = Some(offset.next());
    }

    /// The transaction's marker follows its records.
    fn marked(&mut self) {
        self.next = self.next.map(Offset::next);
    }
}

/// A version that an aggregate has by another command.
#[derive(Debug)]
pub(super) struct Rival {
    command: CommandId,
    last_event: Option<Offset>,
}

impl<A> Slot<A> {
    /// Whether an event claims a version that the aggregate has by another command, as far as its recent
    /// commands tell.
    pub(super) fn rival(&self, header: &EventHeader<'_>) -> Option<Rival> {
        let has = |version: Version, events: u32| {
            header.version <= version && header.version.0 + u64::from(events) > version.0
        };
        self.window.iter().find_map(|entry| match entry.outcome {
            EntryOutcome::Accepted { events, last_event } if has(entry.version, events) => {
                (entry.command != header.command).then_some(Rival { command: entry.command, last_event })
            }
            _ => None,
        })
    }
}

/// What is said of an event whose version is another's.
pub(super) fn contested(record: RecordRef<'_>, header: &EventHeader<'_>, rival: &Rival) -> String {
    let at = rival.last_event.map(|offset| format!(", whose last event is at offset {offset}")).unwrap_or_default();
    format!(
        "{record:?}: version {} of aggregate {} is claimed by command {} here and by command {}{at}: {CONTESTED}",
        header.version,
        String::from_utf8_lossy(record.key().unwrap_or_default()),
        header.command,
        rival.command,
    )
}

/// What a record in a hole means.
enum Found {
    /// Every reader passes it over.
    Harmless(String),
    /// Readers apply it, or stop at it.
    Harmful(String),
}

impl<A: Aggregate, C: AggregateCodec<A>> Handler<A, C> {
    /// Looks at where the records of a committed plan came to lie.
    pub(super) fn find_holes(&mut self, offsets: &[Offset]) {
        let mut ends: Option<(Partition, Offset)> = None;
        for (record, &offset) in self.plan.records.iter().zip(offsets) {
            if *record.topic() != self.config.topics.events {
                continue;
            }
            let partition = record.partition();
            let Some(tenure) = self.tenures.get_mut(&partition) else { continue };
            let end = ends.filter(|(known, _)| *known == partition).map_or(tenure.events_end, |(_, end)| end);
            tenure.holes.written(offset, end);
            ends = Some((partition, offset.next()));
        }
        for (&partition, tenure) in self.tenures.iter_mut().filter(|(_, tenure)| tenure.staged_events > 0) {
            tenure.holes.marked();
            if let (false, Some(hole)) = (tenure.holes.is_read, tenure.holes.waiting.front()) {
                tenure.holes.is_read = true;
                let place = self.config.topics.events.partition(partition);
                self.effects.push_back(Effect::Read(place, hole.start));
            }
        }
    }

    /// Events partitions whose holes are read.
    pub(super) fn reading_holes(&self) -> impl Iterator<Item = TopicPartition> {
        let read = self.tenures.iter().filter(|(_, tenure)| tenure.holes.is_read);
        read.map(|(partition, _)| self.config.topics.events.partition(*partition))
    }

    /// Takes what the reader brought of holes, and its positions.
    pub(super) fn read_holes(&mut self, records: &RecordBatch, positions: &[(TopicPartition, Offset)]) {
        let mut stops = Vec::new();
        for record in records.iter().filter(|record| *record.topic() == self.config.topics.events) {
            let partition = record.partition();
            let Some(tenure) = self.tenures.get(&partition).filter(|tenure| tenure.holes.is_read) else { continue };
            if tenure.holes.waiting.front().is_none_or(|hole| !hole.contains(&record.offset())) {
                continue;
            }
            match judge(record, &tenure.aggregates) {
                Found::Harmful(why) => stops.push((partition, why)),
                Found::Harmless(what) => self.effects.push_back(Effect::Tell(Notice::ForeignRecord { what })),
            }
        }
        for (place, position) in positions.iter().filter(|(place, _)| place.topic == self.config.topics.events) {
            let Some(tenure) = self.tenures.get_mut(&place.partition).filter(|tenure| tenure.holes.is_read) else {
                continue;
            };
            if tenure.holes.waiting.front().is_some_and(|hole| *position >= hole.end) {
                tenure.holes.waiting.pop_front();
                self.effects.push_back(Effect::StopReading(place.clone()));
                match tenure.holes.waiting.front() {
                    Some(next) => self.effects.push_back(Effect::Read(place.clone(), next.start)),
                    None => tenure.holes.is_read = false,
                }
            }
        }
        // The first one of a partition is what is told.
        for (partition, why) in stops {
            if self.tenures.get(&partition).is_some_and(|tenure| tenure.can_stop()) {
                self.stop(partition, why);
            }
        }
    }

    /// Reads no more of a partition's holes.
    pub(super) fn forget_holes(&mut self, partition: Partition) {
        let Some(tenure) = self.tenures.get_mut(&partition) else { return };
        if std::mem::take(&mut tenure.holes).is_read {
            self.effects.push_back(Effect::StopReading(self.config.topics.events.partition(partition)));
        }
    }
}

/// What a stranger's record means, by the aggregate as the owner has it.
fn judge<A: Aggregate>(record: RecordRef<'_>, aggregates: &Aggregates<A>) -> Found {
    let header = match EventHeader::read(record) {
        Ok(header) => header,
        Err(error) => return Found::Harmful(error.to_string()),
    };
    let id = record.key().unwrap_or_default();
    let slot = aggregates.find(id).map(|slot| aggregates.get(slot));
    let version = slot.map_or(Version::NONE, |slot| slot.version);
    if let Some(rival) = slot.and_then(|slot| slot.rival(&header)) {
        return Found::Harmful(contested(record, &header, &rival));
    }
    let what = format!(
        "{record:?} was not written by this partition's handler: version {} of aggregate {} by command {}, and the \
         aggregate has version {version}",
        header.version,
        String::from_utf8_lossy(id),
        header.command
    );
    match header.version > version {
        true => Found::Harmful(format!("{what}; {}", pass_over(&record.place(), record.offset()))),
        false => Found::Harmless(format!("{what}; every reader passes it over; see who may write to the topic")),
    }
}
