//! Topics, transactions and groups together: the state machine behind the
//! clients. It has no thread and no clock; time comes in with every call.

use crate::faults::CommitFault;
use crate::group::{CommitKind, Group, Join, Refusal, Step};
use crate::journal::{Effect, Recorder};
use crate::late::{Late, LateWrites};
use crate::markers::{Marker, Markers, Target as MarkerTarget};
use crate::partition::{Ending, TxnNumber};
use crate::topic::{Target, TopicState, Topics, unknown_topic};
use crate::transactions::{Epoch, Open, Superseded, Transactions};
use factum_core::log::{CommitOffset, Committed, Isolation, Membership, TopicSpec};
use factum_core::{Error, Offset, RecordRef, Result, TimestampMs, Topic, TopicPartition};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// The state of a log.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    pub(crate) topics: Topics,
    pub(crate) transactions: Transactions,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) recorder: Recorder,
    pub(crate) faults: VecDeque<CommitFault>,
    pub(crate) markers: Markers,
    pub(crate) late: LateWrites,
    changed: bool,
}

/// Why offsets were not taken into a transaction.
#[derive(Debug)]
pub(crate) enum OffsetsRefused {
    Superseded,
    Member(Refusal),
    Invalid(Error),
}

impl Broker {
    /// Does what is due: overdue transactions are aborted, silent members removed.
    pub(crate) fn tick(&mut self, now: TimestampMs) {
        for open in self.transactions.expire(now) {
            self.end_fenced(&open);
        }
        for late in self.late.due(now) {
            self.arrived(&late, now);
        }
        for marker in self.markers.due(now) {
            self.write(&marker);
        }
        for group in self.groups.values_mut() {
            self.changed |= group.expire(now);
        }
    }

    /// When [`Broker::tick`] has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<TimestampMs> {
        let sessions = self.groups.values().filter_map(Group::next_deadline);
        let transactions = self.transactions.next_deadline().into_iter();
        sessions.chain(transactions).chain(self.markers.next_deadline()).chain(self.late.next_deadline()).min()
    }

    /// Whether something changed, since the last call, that a waiting client may be waiting for.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether the log would take the record.
    pub(crate) fn check(&mut self, record: RecordRef<'_>) -> Result<()> {
        self.topics.target(record.topic(), record.partition())?.rules.check(record)
    }

    /// Appends a record outside a transaction.
    pub(crate) fn append(&mut self, record: RecordRef<'_>, now: TimestampMs) -> Result<Offset> {
        self.append_owned(record, None, now)
    }

    fn append_owned(&mut self, record: RecordRef<'_>, owner: Option<TxnNumber>, now: TimestampMs) -> Result<Offset> {
        let (topic, partition) = (record.topic(), record.partition());
        let Target { number, rules, log } = self.topics.target(topic, partition)?;
        let timestamp = rules.timestamp(record, now);
        let offset = log.append((topic, partition), record, timestamp, owner, rules.segment);
        let transaction = owner.map(|owner| owner.0);
        log.written(self.recorder.record(|| Effect::Appended {
            topic: number,
            record,
            offset,
            timestamp,
            transaction,
        }));
        self.changed = true;
        Ok(offset)
    }

    /// Creates a topic; one that exists is left alone.
    pub(crate) fn create_topic(&mut self, spec: &TopicSpec) -> Result<()> {
        if self.topics.create(spec)?
            && let Some(state) = self.topics.get(&spec.topic)
        {
            self.recorder.record(|| Effect::TopicCreated {
                topic: state.number,
                id: state.id,
                name: spec.topic.clone(),
                partitions: spec.partitions,
                replication: state.replication,
                settings: Cow::Borrowed(&state.settings),
            });
            self.changed = true;
        }
        Ok(())
    }

    /// Deletes a topic and the offsets that groups have in it.
    pub(crate) fn delete_topic(&mut self, topic: &Topic) {
        if let Some(state) = self.topics.delete(topic) {
            self.recorder.record(|| Effect::TopicDeleted { topic: state.number });
            self.groups.values_mut().for_each(|group| group.offsets.forget(topic));
            self.changed = true;
        }
    }

    /// Changes settings of a topic.
    pub(crate) fn alter_topic(&mut self, topic: &Topic, changes: &BTreeMap<String, String>) -> Result<()> {
        self.topics.alter(topic, changes)?;
        if let Some(state) = self.topics.get(topic) {
            let settings = Cow::Borrowed(&state.settings);
            self.recorder.record(|| Effect::TopicAltered { topic: state.number, settings });
        }
        Ok(())
    }

    /// Adds partitions until the topic has `partitions`.
    pub(crate) fn add_partitions(&mut self, topic: &Topic, partitions: u32) -> Result<()> {
        self.topics.add_partitions(topic, partitions)?;
        if let Some(state) = self.topics.get(topic) {
            self.recorder.record(|| Effect::PartitionsAdded { topic: state.number, partitions });
        }
        self.changed = true;
        Ok(())
    }

    /// Deletes the records before an offset.
    pub(crate) fn delete_records(&mut self, place: &TopicPartition, before: Offset) -> Result<()> {
        if self.topics.get(&place.topic).is_none() {
            return Err(unknown_topic(&place.topic));
        }
        let Target { number, rules, log } = self.topics.target(&place.topic, place.partition)?;
        if !rules.delete {
            return Err(Error::invalid(format!("{place} is compacted, its records cannot be deleted")));
        }
        let end = log.bounds(Isolation::ReadUncommitted).end;
        if before > end {
            return Err(Error::invalid(format!("{place}@{before} is beyond the end at {end}")));
        }
        log.delete_before(before);
        self.recorder.record(|| Effect::RecordsDeleted { topic: number, partition: place.partition, before });
        self.changed = true;
        Ok(())
    }

    /// Registers a transactional producer; its predecessor is fenced and what it left open is aborted.
    pub(crate) fn init_transactions(&mut self, id: &str, timeout_ms: i64) -> Epoch {
        self.write_markers_of(id);
        let (epoch, open) = self.transactions.init(id, timeout_ms);
        if let Some(open) = open {
            self.end_fenced(&open);
        }
        epoch
    }

    pub(crate) fn check_epoch(&self, id: &str, epoch: Epoch) -> Result<(), Superseded> {
        self.transactions.check(id, epoch)
    }

    /// Appends a record in a producer's transaction, which it opens if need be.
    pub(crate) fn append_in_transaction(
        &mut self,
        (id, epoch): (&str, Epoch),
        record: RecordRef<'_>,
        now: TimestampMs,
    ) -> Result<Result<Offset>, Superseded> {
        let place = record.place();
        let number = self.add_partition((id, epoch), &place, now)?;
        for late in self.late.before_write((id, epoch), &place) {
            self.arrived(&late, now);
        }
        Ok(self.append_owned(record, Some(number), now))
    }

    /// Adds a partition to a producer's transaction, which it opens if need be.
    pub(crate) fn add_partition(
        &mut self,
        (id, epoch): (&str, Epoch),
        place: &TopicPartition,
        now: TimestampMs,
    ) -> Result<TxnNumber, Superseded> {
        self.write_markers_of(id);
        let open = self.transactions.open(id, epoch, now)?;
        open.places.insert(place.clone());
        Ok(open.number)
    }

    /// A late write arrives, in whatever transaction its producer has there by now.
    fn arrived(&mut self, late: &Late, now: TimestampMs) {
        let Late { producer, place, records, .. } = late;
        let known = self.transactions.open_in(producer, place).or_else(|| self.late.hanging(producer, place));
        let number = known.unwrap_or_else(|| {
            let number = self.transactions.unknown();
            self.late.hangs(producer, place, number);
            number
        });
        for record in records.iter() {
            // Its topic may have been deleted since, and then nobody misses it.
            if self.append_owned(record, Some(number), now).is_err() {
                return;
            }
        }
    }

    /// Adds a group's offsets to a producer's transaction.
    pub(crate) fn send_offsets(
        &mut self,
        (id, epoch): (&str, Epoch),
        member: &Membership,
        offsets: &[CommitOffset],
        now: TimestampMs,
    ) -> Result<(), OffsetsRefused> {
        self.check_epoch(id, epoch).map_err(|_| OffsetsRefused::Superseded)?;
        self.check_places(offsets).map_err(OffsetsRefused::Invalid)?;
        let group = self.group_for(member).map_err(OffsetsRefused::Member)?;
        group.validate_commit(member, CommitKind::Transactional).map_err(OffsetsRefused::Member)?;
        self.write_markers_of(id);
        let open = self.transactions.open(id, epoch, now).map_err(|_| OffsetsRefused::Superseded)?;
        open.groups.insert(member.group.clone());
        let number = open.number;
        if let Some(group) = self.groups.get_mut(&member.group) {
            group.offsets.hold(number, offsets);
            let (transaction, offsets) = (number.0, Cow::Borrowed(offsets));
            self.recorder.record(|| Effect::OffsetsHeld { transaction, group: &member.group, offsets });
        }
        Ok(())
    }

    /// Ends a producer's transaction; one without records and offsets needs no marker.
    pub(crate) fn end_transaction(
        &mut self,
        id: &str,
        epoch: Epoch,
        ending: Ending,
        now: TimestampMs,
    ) -> Result<(), Superseded> {
        let Some(open) = self.transactions.take(id, epoch)? else { return Ok(()) };
        if !self.markers.take_slow(id, &open, ending, now) {
            self.end(&open, ending);
        }
        Ok(())
    }

    /// Writes what is left of a producer's last transaction: its next one, and
    /// its successor, wait for that.
    fn write_markers_of(&mut self, id: &str) {
        for marker in self.markers.of(id) {
            self.write(&marker);
        }
    }

    fn write(&mut self, marker: &Marker) {
        match &marker.target {
            MarkerTarget::Place(place) => {
                // A topic may have been deleted since.
                if let Ok(log) = self.topics.partition_mut(place) {
                    log.end_transaction(marker.number, marker.ending);
                    if let Some(hanging) = self.late.end(&marker.producer, place) {
                        log.end_transaction(hanging, marker.ending);
                    }
                }
            }
            MarkerTarget::Group(group) => {
                if let Some(group) = self.groups.get_mut(group) {
                    group.offsets.end_transaction(marker.number, marker.ending);
                }
            }
        }
        self.changed = true;
    }

    /// The fault that the commit of this producer is to meet.
    pub(crate) fn take_fault(&mut self, id: &str) -> Option<CommitFault> {
        if self.transactions.has_open(id) { self.faults.pop_front() } else { None }
    }

    /// Forgets a transactional id that has been idle for too long.
    pub(crate) fn forget_producer(&mut self, id: &str) {
        self.transactions.forget(id);
    }

    /// Fences a producer as another one with its transactional id would.
    pub(crate) fn fence(&mut self, id: &str) {
        if let Some(open) = self.transactions.fence(id) {
            self.end_fenced(&open);
        }
    }

    /// Aborts a transaction with a higher epoch than its own: its markers tell
    /// every leader to refuse what its producer still sends.
    fn end_fenced(&mut self, open: &Open) {
        self.end(open, Ending::Abort);
        self.late.refuse(&open.producer, &open.places);
    }

    pub(crate) fn end(&mut self, open: &Open, ending: Ending) {
        let written = self.recorder.record(|| Effect::TransactionEnded { transaction: open.number.0, ending });
        for place in &open.places {
            // A topic may have been deleted since.
            if let Ok(log) = self.topics.partition_mut(place) {
                log.end_transaction(open.number, ending);
                if let Some(hanging) = self.late.end(&open.producer, place) {
                    log.end_transaction(hanging, ending);
                }
                log.written(written);
            }
        }
        for group in &open.groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.offsets.end_transaction(open.number, ending);
            }
        }
        self.changed = true;
    }

    /// Commits offsets outside a transaction.
    pub(crate) fn commit_offsets(
        &mut self,
        member: &Membership,
        offsets: &[CommitOffset],
    ) -> Result<Result<(), Refusal>> {
        self.check_places(offsets)?;
        let committed = self.group_for(member).and_then(|group| {
            group.validate_commit(member, CommitKind::Plain)?;
            group.offsets.commit(offsets);
            Ok(())
        });
        if committed.is_ok() {
            let offsets = Cow::Borrowed(offsets);
            self.recorder.record(|| Effect::OffsetsCommitted { group: &member.group, offsets });
        }
        Ok(committed)
    }

    /// The committed offsets of a group; none while an open transaction holds one of them.
    pub(crate) fn committed(&self, group: &str, places: &[TopicPartition]) -> Option<Vec<Option<Committed>>> {
        let Some(group) = self.groups.get(group) else { return Some(vec![None; places.len()]) };
        places.iter().map(|place| group.offsets.stable(place).ok().map(Option::<&Committed>::cloned)).collect()
    }

    /// Sets a group's offsets as an operator does.
    pub(crate) fn reset_offsets(&mut self, name: &str, offsets: &[CommitOffset]) -> Result<()> {
        self.check_places(offsets)?;
        let group = self.groups.entry(name.to_owned()).or_default();
        if group.has_members() {
            return Err(Error::new(
                factum_core::ErrorKind::Conflict,
                format!("group {name} has members, its offsets cannot be reset"),
            ));
        }
        group.offsets.commit(offsets);
        self.recorder.record(|| Effect::OffsetsCommitted { group: name, offsets: Cow::Borrowed(offsets) });
        Ok(())
    }

    pub(crate) fn join(&mut self, name: &str, join: Join, now: TimestampMs) -> Result<String, Refusal> {
        self.changed = true;
        self.groups.entry(name.to_owned()).or_default().join(name, join, now)
    }

    pub(crate) fn poll_member(
        &mut self,
        group: &str,
        (id, instance_id): (&str, Option<&str>),
        now: TimestampMs,
    ) -> Result<Step, Refusal> {
        let topics = &self.topics;
        let count = |topic: &Topic| topics.get(topic).map_or(0, TopicState::count);
        let group = self.groups.get_mut(group).ok_or(Refusal::UnknownMember)?;
        let (step, moved) = group.poll(id, instance_id, &count, now)?;
        self.changed |= moved;
        Ok(step)
    }

    pub(crate) fn set_polling(&mut self, group: &str, id: &str, polling: bool, now: TimestampMs) {
        if let Some(group) = self.groups.get_mut(group) {
            group.set_polling(id, polling, now);
        }
    }

    /// A static member goes away for a while.
    pub(crate) fn release(&mut self, group: &str, id: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group.release(id);
        }
    }

    pub(crate) fn leave(&mut self, group: &str, id: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group.leave(id);
            self.changed = true;
        }
    }

    /// The group of a committing member. Kafka makes one for a client that
    /// is no member, and knows no generation of a group that never was.
    fn group_for(&mut self, member: &Membership) -> Result<&mut Group, Refusal> {
        if member.generation >= 0 && !self.groups.contains_key(&member.group) {
            return Err(Refusal::IllegalGeneration);
        }
        Ok(self.groups.entry(member.group.clone()).or_default())
    }

    fn check_places(&self, offsets: &[CommitOffset]) -> Result<()> {
        for offset in offsets {
            self.topics.partition(&offset.place)?;
        }
        Ok(())
    }
}
