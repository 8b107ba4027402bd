//! What a client reads: its partitions and its position in each.

use crate::broker::Broker;
use crate::topic::out_of_range;
use factum_core::log::Isolation;
use factum_core::{Offset, RecordBatch, Result, TopicPartition};

/// Positions of a client, read in turns so that no partition starves another.
#[derive(Debug)]
pub(crate) struct Fetcher {
    isolation: Isolation,
    cursors: Vec<Cursor>,
    next: usize,
}

#[derive(Debug)]
struct Cursor {
    place: TopicPartition,
    position: Offset,
    delivering: bool,
}

/// What a fetch found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    Nothing,
    /// Records, or control records that moved a position.
    Progress,
}

impl Fetcher {
    pub(crate) fn new(isolation: Isolation) -> Self {
        Fetcher { isolation, cursors: Vec::new(), next: 0 }
    }

    /// Reads a partition from `offset` on.
    pub(crate) fn start(&mut self, place: &TopicPartition, offset: Offset) {
        self.remove(place);
        self.cursors.push(Cursor { place: place.clone(), position: offset, delivering: true });
    }

    /// Stops delivering and keeps the position.
    pub(crate) fn pause(&mut self, place: &TopicPartition) {
        if let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.place == *place) {
            cursor.delivering = false;
        }
    }

    pub(crate) fn remove(&mut self, place: &TopicPartition) {
        self.cursors.retain(|cursor| cursor.place != *place);
    }

    pub(crate) fn clear(&mut self) {
        self.cursors.clear();
    }

    pub(crate) fn position(&self, place: &TopicPartition) -> Option<Offset> {
        self.cursors.iter().find(|cursor| cursor.place == *place).map(|cursor| cursor.position)
    }

    /// Appends up to `max` records. A position out of the log's range is told
    /// once, before anything is read, and its partition stops.
    pub(crate) fn fetch(&mut self, broker: &mut Broker, max: usize, into: &mut RecordBatch) -> Result<Fetched> {
        if self.isolation == Isolation::ReadUncommitted {
            broker.recorder.want_everything();
        }
        let sees = (self.isolation, broker.recorder.durable());
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.delivering) {
            let log = broker.topics.partition(&cursor.place).inspect_err(|_| cursor.delivering = false)?;
            if !log.in_range(cursor.position) {
                cursor.delivering = false;
                let bounds = log.bounds_at(Isolation::ReadUncommitted, sees.1);
                return Err(out_of_range(&cursor.place, cursor.position, bounds));
            }
        }
        let mut fetched = Fetched::Nothing;
        let full = into.len().saturating_add(max);
        let count = self.cursors.len();
        for turn in 0..count {
            let index = (self.next + turn) % count;
            let cursor = &mut self.cursors[index];
            if !cursor.delivering {
                continue;
            }
            let log = broker.topics.partition(&cursor.place)?;
            let position = log.read(cursor.position, sees, full - into.len(), into);
            if position != cursor.position {
                cursor.position = position;
                fetched = Fetched::Progress;
            }
            if into.len() == full {
                self.next = index + 1;
                break;
            }
        }
        Ok(fetched)
    }
}
