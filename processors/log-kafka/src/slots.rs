//! The partitions of a consumer: which deliver, and up to where they have.

use crate::{places, sys::RawMessage};
use factum_core::{Offset, RecordBatch, TimestampMs, TopicPartition};

/// The partitions of one consumer.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    // Records come in runs of one partition.
    last: usize,
}

/// One partition.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) place: TopicPartition,
    number: i32,
    /// What librdkafka does with it.
    pub(crate) fetch: Fetch,
    /// Nothing below is delivered; the position. Negative before the first start.
    pub(crate) next: i64,
}

/// What librdkafka does with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetch {
    /// It does not know of it yet: this member's, and never started.
    Held,
    /// Assigned and paused.
    Paused,
    /// Delivering.
    Running,
    /// Given up after an error: needs to be assigned anew.
    Stopped,
}

impl Slots {
    /// Adds a partition in place of an earlier one.
    pub(crate) fn insert(&mut self, place: TopicPartition, fetch: Fetch, next: i64) {
        let number = places::number(&place).unwrap_or(i32::MAX);
        self.remove(&place);
        self.slots.push(Slot { place, number, fetch, next });
    }

    pub(crate) fn remove(&mut self, place: &TopicPartition) -> bool {
        let before = self.slots.len();
        self.slots.retain(|slot| slot.place != *place);
        before != self.slots.len()
    }

    pub(crate) fn find(&mut self, place: &TopicPartition) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.place == *place)
    }

    /// Copies a record of a delivering partition; true if it was one. Records
    /// that were fetched before a pause, a revocation or a move are dropped:
    /// librdkafka drops them too, and this does not rely on it.
    pub(crate) fn take(&mut self, message: &RawMessage<'_>, into: &mut RecordBatch) -> bool {
        let Some(index) = self.index(message.topic(), message.partition()) else { return false };
        let slot = &mut self.slots[index];
        let offset = message.offset();
        if slot.fetch != Fetch::Running || offset < slot.next {
            return false;
        }
        slot.next = offset + 1;
        let mut record = into.start(&slot.place.topic, slot.place.partition);
        record.offset(Offset(offset));
        if let Some(timestamp) = message.timestamp() {
            record.timestamp(TimestampMs(timestamp));
        }
        if let Some(key) = message.key() {
            record.key(key);
        }
        if let Some(value) = message.value() {
            record.value(value);
        }
        message.headers(|name, value| record.header_opt(name, value));
        record.finish();
        true
    }

    /// The end of a partition was reached at `offset`.
    pub(crate) fn end(&mut self, topic: &str, partition: i32, offset: i64) {
        if let Some(index) = self.index(topic.as_bytes(), partition) {
            let slot = &mut self.slots[index];
            if slot.fetch == Fetch::Running {
                slot.next = slot.next.max(offset);
            }
        }
    }

    pub(crate) fn places(&self) -> Vec<TopicPartition> {
        self.slots.iter().map(|slot| slot.place.clone()).collect()
    }

    /// Notes that librdkafka gave a partition up; false if it did not deliver.
    pub(crate) fn stop(&mut self, place: &TopicPartition) -> bool {
        match self.find(place) {
            Some(slot) => {
                let delivered = slot.fetch == Fetch::Running;
                slot.fetch = Fetch::Stopped;
                delivered
            }
            None => false,
        }
    }

    /// The position of a partition that was started.
    pub(crate) fn position(&mut self, place: &TopicPartition) -> Option<Offset> {
        self.find(place).filter(|slot| slot.next >= 0).map(|slot| Offset(slot.next))
    }

    fn index(&mut self, topic: &[u8], partition: i32) -> Option<usize> {
        let fits = |slot: &Slot| slot.number == partition && slot.place.topic.as_str().as_bytes() == topic;
        if self.slots.get(self.last).is_some_and(fits) {
            return Some(self.last);
        }
        let index = self.slots.iter().position(fits)?;
        self.last = index;
        Some(index)
    }
}
