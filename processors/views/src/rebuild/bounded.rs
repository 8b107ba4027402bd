//! A consumer of a whole log up to a bound, in no group.

use factum_core::{
    Error, Offset, Rate, RecordBatch, RecordRef, Result, TopicPartition,
    log::{CommitOffset, Committed, GroupConsumer, GroupEvent, Membership, Reader},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What a rebuild tells its consumer while a runner has it.
#[derive(Debug, Clone)]
pub(super) struct Bounds(Arc<Mutex<Told>>);

#[derive(Debug)]
struct Told {
    /// The offset of each partition's first record that is not delivered.
    ends: BTreeMap<TopicPartition, Offset>,
    rate: Rate,
    /// Whether everything below the ends was delivered at the last poll.
    are_reached: bool,
    /// Whether the next poll assigns the partitions.
    assigns: bool,
}

impl Bounds {
    /// Nothing yet of these partitions.
    pub(super) fn new(places: impl IntoIterator<Item = TopicPartition>, rate: Rate) -> Self {
        let ends = places.into_iter().map(|place| (place, Offset(0))).collect();
        Bounds(Arc::new(Mutex::new(Told { ends, rate, are_reached: false, assigns: true })))
    }

    /// Delivers up to these offsets from now on.
    pub(super) fn set(&self, ends: &BTreeMap<TopicPartition, Offset>) {
        let mut told = self.get();
        told.ends.extend(ends.iter().map(|(place, end)| (place.clone(), *end)));
        told.are_reached = false;
    }

    /// Delivers at this rate from now on.
    pub(super) fn limit(&self, rate: Rate) {
        self.get().rate = rate;
    }

    /// Assigns the partitions anew: the runner claims them, and goes on from what is written down.
    pub(super) fn assign(&self) {
        let mut told = self.get();
        (told.assigns, told.are_reached) = (true, false);
    }

    /// The partitions that the next poll assigns.
    fn assigned(&self) -> Vec<TopicPartition> {
        let told = self.get();
        if told.assigns { told.ends.keys().cloned().collect() } else { Vec::new() }
    }

    /// Whether everything was delivered, and the runner came back for more.
    pub(super) fn are_reached(&self) -> bool {
        self.get().are_reached
    }

    fn get(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waiting for bounds that move.
const IDLE: Duration = Duration::from_millis(5);

/// Looks to a runner like the only member of a group that no broker knows, so
/// that the live view's group is left alone.
pub(super) struct BoundedConsumer {
    reader: Box<dyn Reader>,
    bounds: Bounds,
    places: Vec<Delivery>,
    /// What the reader brought, before the bounds were looked at.
    fetched: RecordBatch,
    /// Times of the rate are since then.
    begun: Instant,
}

/// A started partition.
#[derive(Debug)]
struct Delivery {
    place: TopicPartition,
    /// The first offset that is not delivered, at this poll.
    end: Offset,
    /// Beyond everything delivered, and never beyond the bound.
    position: Offset,
    /// Whether the reader has it.
    is_read: bool,
}

impl BoundedConsumer {
    pub(super) fn new(reader: Box<dyn Reader>, bounds: Bounds) -> Self {
        let begun = Instant::now();
        BoundedConsumer { reader, bounds, places: Vec::new(), fetched: RecordBatch::new(), begun }
    }

    /// Has the reader read what is below its bound, and nothing else.
    fn attach(&mut self, ends: &BTreeMap<TopicPartition, Offset>) -> Result<()> {
        for delivery in &mut self.places {
            delivery.end = ends.get(&delivery.place).copied().unwrap_or(Offset(0));
            let wanted = delivery.position < delivery.end;
            if wanted && !delivery.is_read {
                self.reader.add(&delivery.place, delivery.position)?;
            } else if !wanted && delivery.is_read {
                self.reader.remove(&delivery.place)?;
            }
            delivery.is_read = wanted;
        }
        Ok(())
    }

    /// Hands on what is below the bounds.
    fn deliver(&mut self, into: &mut RecordBatch) -> Result<usize> {
        let (mut delivered, mut last) = (0, 0);
        let mut is_below = |record: RecordRef<'_>| {
            // Records of a partition come in runs.
            let is_of = |at: &Delivery| at.place.partition == record.partition() && at.place.topic == *record.topic();
            if !self.places.get(last).is_some_and(is_of) {
                last = self.places.iter().position(is_of).unwrap_or(usize::MAX);
            }
            let below = self.places.get_mut(last).filter(|delivery| record.offset() < delivery.end);
            below.map(|delivery| delivery.position = record.offset().next()).is_some()
        };
        let kept: Vec<bool> = self.fetched.iter().map(&mut is_below).collect();
        if into.is_empty() && kept.iter().all(|kept| *kept) {
            delivered = kept.len();
            std::mem::swap(into, &mut self.fetched);
        } else {
            for (record, _) in self.fetched.iter().zip(&kept).filter(|(_, kept)| **kept) {
                into.push(record);
                delivered += 1;
            }
        }
        // Control records and aborted ones take offsets and are not delivered.
        for delivery in self.places.iter_mut().filter(|delivery| delivery.is_read) {
            let read = self.reader.position(&delivery.place)?.unwrap_or(delivery.position);
            delivery.position = delivery.position.max(read.min(delivery.end));
            if read > delivery.position {
                // What was read and not delivered is read again when the end moves.
                self.reader.remove(&delivery.place)?;
                delivery.is_read = false;
            }
        }
        Ok(delivered)
    }
}

impl GroupConsumer for BoundedConsumer {
    fn poll(&mut self, max_records: usize, timeout: Duration, into: &mut RecordBatch) -> Result<Option<GroupEvent>> {
        let assigned = self.bounds.assigned();
        if !assigned.is_empty() {
            // Each is started where its claim says.
            assigned.iter().try_for_each(|place| self.pause(place))?;
            self.bounds.get().assigns = false;
            return Ok(Some(GroupEvent::Assigned(assigned)));
        }
        let (ends, allowed) = {
            let mut told = self.bounds.get();
            (told.ends.clone(), told.rate.allow(self.begun.elapsed(), max_records))
        };
        self.attach(&ends)?;
        if !self.places.iter().any(|delivery| delivery.is_read) {
            self.bounds.get().are_reached = self.places.len() == ends.len();
            std::thread::sleep(timeout.min(IDLE));
            return Ok(None);
        }
        let allowed = match allowed {
            Ok(allowed) => allowed,
            Err(wait) => {
                std::thread::sleep(timeout.min(wait));
                return Ok(None);
            }
        };
        self.fetched.clear();
        self.reader.poll(allowed, timeout.min(IDLE), &mut self.fetched)?;
        let delivered = self.deliver(into)?;
        self.bounds.get().rate.pay(delivered);
        Ok(None)
    }

    fn membership(&mut self) -> Result<Membership> {
        Err(Error::invalid("a rebuild is no member of a group"))
    }

    fn start(&mut self, place: &TopicPartition, offset: Offset) -> Result<()> {
        self.pause(place)?;
        self.places.push(Delivery { place: place.clone(), end: Offset(0), position: offset, is_read: false });
        Ok(())
    }

    fn pause(&mut self, place: &TopicPartition) -> Result<()> {
        let Some(index) = self.places.iter().position(|delivery| delivery.place == *place) else { return Ok(()) };
        if self.places.swap_remove(index).is_read {
            self.reader.remove(place)?;
        }
        Ok(())
    }

    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>> {
        Ok(self.places.iter().find(|delivery| delivery.place == *place).map(|delivery| delivery.position))
    }

    fn committed(&mut self, places: &[TopicPartition]) -> Result<Vec<Option<Committed>>> {
        Ok(places.iter().map(|_| None).collect())
    }

    fn commit(&mut self, _: &[CommitOffset]) -> Result<()> {
        // The live group's offsets are not this one's.
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for BoundedConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundedConsumer").field("places", &self.places).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::Topic;

    /// A partition of 100 records, all of which are read at once.
    #[derive(Debug, Default)]
    struct Hasty {
        position: Option<Offset>,
    }

    impl Reader for Hasty {
        fn add(&mut self, _: &TopicPartition, offset: Offset) -> Result<()> {
            self.position = Some(offset);
            Ok(())
        }

        fn remove(&mut self, _: &TopicPartition) -> Result<()> {
            self.position = None;
            Ok(())
        }

        fn poll(&mut self, _: usize, _: Duration, into: &mut RecordBatch) -> Result<()> {
            let Some(position) = &mut self.position else { return Ok(()) };
            for offset in position.0..100 {
                let mut record = into.start(&place().topic, place().partition);
                record.offset(Offset(offset));
                record.finish();
            }
            *position = Offset(100);
            Ok(())
        }

        fn position(&mut self, _: &TopicPartition) -> Result<Option<Offset>> {
            Ok(self.position)
        }
    }

    fn place() -> TopicPartition {
        Topic::from("events").partition(factum_core::Partition(0))
    }

    #[test]
    fn what_was_read_beyond_the_end_is_delivered_when_the_end_moves() {
        let bounds = Bounds::new([place()], Rate::new(None));
        let mut consumer = BoundedConsumer::new(Box::<Hasty>::default(), bounds.clone());
        let mut delivered = Vec::new();
        for end in [0, 30, 31, 31, 64, 100] {
            bounds.set(&[(place(), Offset(end))].into());
            let mut records = RecordBatch::new();
            if consumer.poll(1_000, Duration::ZERO, &mut records).unwrap().is_some() {
                consumer.start(&place(), Offset(0)).unwrap();
            }
            delivered.extend(records.iter().map(|record| record.offset().0));
            assert_eq!(consumer.position(&place()).unwrap(), Some(Offset(end)));
        }
        assert_eq!(delivered, (0..100).collect::<Vec<_>>());
    }
}
