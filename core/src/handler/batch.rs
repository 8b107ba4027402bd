//! What one transaction changes in memory, how that is undone, and how its
//! records are written.

use super::{
    aggregates::Aggregates,
    config::{HandlerConfig, Snapshots},
    effect::{HandlerStats, Notice, Plan, Reply},
    tenure::Tenure,
    window::Entry,
};
use crate::{
    Aggregate, AggregateCodec, CommandId, Offset, Partition, RecordRef, Result, TimestampMs, Version,
    wire::{AnswerCode, Begun, Convicted, Progress, SnapshotHead, SnapshotKey},
};
use std::{collections::BTreeMap, convert::Infallible};

/// An aggregate as it was before the batch.
#[derive(Debug)]
struct PreImage<A> {
    partition: Partition,
    slot: usize,
    state: A,
    version: Version,
    last_event: Option<Offset>,
}

/// An accepted command whose last event's offset is not known before the commit.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) partition: Partition,
    pub(super) slot: usize,
    /// The entry's number in the aggregate's window.
    pub(super) entry: u64,
    /// Its last event's index in the plan.
    pub(super) record: usize,
    pub(super) command: CommandId,
}

/// An answer that waits for the commit.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) reply: Reply,
    /// The index in the plan of the command's last event, whose offset the token needs.
    pub(super) record: Option<usize>,
}

/// Everything that one transaction changes in memory.
#[derive(Debug)]
pub(super) struct Batch<A> {
    /// Counts up; a slot that was touched in it has its pre-image.
    pub(super) number: u64,
    pre_images: Vec<PreImage<A>>,
    /// Window entries added: where, and what left for it.
    pushed: Vec<(Partition, usize, Option<Entry>)>,
    /// Snapshots staged: where, and the version of the one before.
    snapshots: Vec<(Partition, usize, Version)>,
    /// Slots made, for ids that had none.
    pub(super) created: Vec<(Partition, usize)>,
    /// Slots with a snapshot or a window due at the end.
    pub(super) due: Vec<(Partition, usize)>,
    pub(super) accepted: Vec<Accepted>,
    pub(super) pending: Vec<Pending>,
    /// What is to be told once it has really happened.
    pub(super) notices: Vec<Notice>,
    pub(super) stats: HandlerStats,
}

impl<A: Aggregate> Batch<A> {
    pub(super) fn new() -> Self {
        Batch {
            number: 1,
            pre_images: Vec::new(),
            pushed: Vec::new(),
            snapshots: Vec::new(),
            created: Vec::new(),
            due: Vec::new(),
            accepted: Vec::new(),
            pending: Vec::new(),
            notices: Vec::new(),
            stats: HandlerStats::default(),
        }
    }

    /// Forgets how to undo; what was done stays.
    pub(super) fn clear(&mut self) {
        self.number += 1;
        self.pre_images.clear();
        self.pushed.clear();
        self.snapshots.clear();
        self.created.clear();
        self.due.clear();
        self.accepted.clear();
        self.pending.clear();
        self.notices.clear();
        self.stats = HandlerStats::default();
    }

    /// Keeps a slot's pre-image, the first time that the batch touches it.
    pub(super) fn touch(&mut self, partition: Partition, slots: &mut Aggregates<A>, slot: usize) {
        let found = slots.get_mut(slot);
        if found.touched_in == self.number {
            return;
        }
        found.touched_in = self.number;
        found.staged_event = None;
        self.pre_images.push(PreImage {
            partition,
            slot,
            state: found.state.clone(),
            version: found.version,
            last_event: found.last_event,
        });
    }

    /// Adds a window entry in a way that can be undone; returns its number.
    pub(super) fn push(&mut self, partition: Partition, slots: &mut Aggregates<A>, slot: usize, entry: Entry) -> u64 {
        let number = slots.get(slot).window.next_number();
        let left = slots.remember(slot, entry);
        self.pushed.push((partition, slot, left));
        number
    }

    /// The slots that the batch touched.
    pub(super) fn touched(&self) -> impl Iterator<Item = (Partition, usize)> {
        self.pre_images.iter().map(|pre| (pre.partition, pre.slot))
    }

    /// How many snapshots the batch has.
    pub(super) fn snapshots_staged(&self) -> u64 {
        self.snapshots.len() as u64
    }

    /// Puts everything back as it was before the batch.
    pub(super) fn undo(&mut self, tenures: &mut BTreeMap<Partition, Tenure<A>>) {
        for (partition, slot) in self.due.drain(..) {
            if let Some(tenure) = tenures.get_mut(&partition) {
                let slot = tenure.aggregates.get_mut(slot);
                (slot.snapshot_due, slot.window_due) = (false, false);
            }
        }
        for (partition, slot, left) in self.pushed.drain(..).rev() {
            if let Some(tenure) = tenures.get_mut(&partition) {
                tenure.aggregates.unremember(slot, left);
            }
        }
        for (partition, slot, version) in self.snapshots.drain(..).rev() {
            if let Some(tenure) = tenures.get_mut(&partition) {
                tenure.aggregates.get_mut(slot).snapshot_version = version;
                tenure.aggregates.mark_dirty(slot);
            }
        }
        for pre in self.pre_images.drain(..).rev() {
            if let Some(tenure) = tenures.get_mut(&pre.partition) {
                let slot = tenure.aggregates.get_mut(pre.slot);
                slot.state = pre.state;
                slot.version = pre.version;
                slot.last_event = pre.last_event;
                slot.staged_event = None;
            }
        }
        for &(partition, slot) in self.created.iter().rev() {
            if let Some(tenure) = tenures.get_mut(&partition) {
                tenure.aggregates.remove(slot);
            }
        }
        if !self.created.is_empty() {
            tenures.values_mut().for_each(|tenure| tenure.aggregates.tidy_dirty());
        }
        tenures.values_mut().for_each(Tenure::unstage);
        self.clear();
    }
}

/// Writes the records of a plan for one partition.
pub(super) struct Scribe<'a, C> {
    pub(super) config: &'a HandlerConfig,
    pub(super) codec: &'a C,
    pub(super) plan: &'a mut Plan,
    pub(super) partition: Partition,
}

impl<C> Scribe<'_, C> {
    /// The latest snapshot of an aggregate.
    pub(super) fn snapshot<A: Aggregate>(
        &mut self,
        slots: &mut Aggregates<A>,
        slot: usize,
        batch: &mut Batch<A>,
    ) -> Result<()>
    where
        C: AggregateCodec<A>,
    {
        let found = slots.get_mut(slot);
        let mut record = self.plan.records.start(&self.config.topics.snapshots, self.partition);
        let fingerprint = self.codec.fingerprint();
        let key = match self.config.snapshots {
            Snapshots::Prepared => SnapshotKey::Prepared(fingerprint, &found.id),
            Snapshots::Used | Snapshots::FoldedAgain => SnapshotKey::Snapshot(fingerprint, &found.id),
        };
        record.key_with(|into| key.write(into));
        // The offset of an event of this same transaction is not known yet.
        let last_event = found.last_event.filter(|_| found.staged_event.is_none());
        record.value_with(|value| {
            SnapshotHead::write(found.version, last_event, &found.window, value);
            self.codec.encode_state(&found.state, value)
        })?;
        record.finish();
        batch.snapshots.push((self.partition, slot, found.snapshot_version));
        found.snapshot_version = found.version;
        Ok(())
    }

    /// The window of an aggregate whose last commands caused no event.
    pub(super) fn window<A: Aggregate>(&mut self, slots: &Aggregates<A>, slot: usize) {
        let found = slots.get(slot);
        let mut record = self.plan.records.start(&self.config.topics.snapshots, self.partition);
        record.key_with(|key| SnapshotKey::Window(&found.id).write(key));
        record
            .value_with(|value| {
                SnapshotHead::write(found.version, None, &found.window, value);
                Ok::<_, Infallible>(())
            })
            .unwrap_or_else(|never| match never {});
        record.finish();
    }

    /// Deletes the window record of an aggregate that was forgotten.
    pub(super) fn forget(&mut self, id: &[u8]) {
        let mut record = self.plan.records.start(&self.config.topics.snapshots, self.partition);
        record.key_with(|key| SnapshotKey::Window(id).write(key));
        record.finish();
    }

    /// The marker that ends a checkpoint.
    pub(super) fn marker<A: Aggregate>(&mut self, progress: Progress)
    where
        C: AggregateCodec<A>,
    {
        let fingerprint = self.codec.fingerprint();
        let key = match self.config.snapshots {
            Snapshots::Prepared => SnapshotKey::PreparedMarker(fingerprint),
            Snapshots::Used | Snapshots::FoldedAgain => SnapshotKey::Marker(fingerprint),
        };
        self.progress(key, progress);
    }

    /// How far commands have been handled.
    pub(super) fn position(&mut self, progress: Progress) {
        self.progress(SnapshotKey::Position, progress);
    }

    /// What is begun next.
    pub(super) fn begun(&mut self, begun: Begun) {
        self.note(SnapshotKey::Begun, |value| begun.write(value));
    }

    /// Which commands ended the process.
    pub(super) fn convicted(&mut self, convicted: &Convicted) {
        self.note(SnapshotKey::Convicted, |value| convicted.write(value));
    }

    fn progress(&mut self, key: SnapshotKey<'_>, progress: Progress) {
        self.note(key, |value| progress.write(value));
    }

    fn note(&mut self, key: SnapshotKey<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut value = Vec::with_capacity(Progress::BYTES);
        write(&mut value);
        let mut record = self.plan.records.start(&self.config.topics.snapshots, self.partition);
        record.key_with(|into| key.write(into));
        record.value(&value);
        record.finish();
    }

    /// The original bytes and headers of a command that cannot be handled, with the cause.
    pub(super) fn dead_letter(&mut self, command: RecordRef<'_>, code: AnswerCode, cause: &str, now: TimestampMs) {
        let mut record = self.plan.records.start(&self.config.topics.dead_letters, self.partition);
        record.timestamp(now);
        if let Some(key) = command.key() {
            record.key(key);
        }
        if let Some(value) = command.value() {
            record.value(value);
        }
        for (name, value) in command.headers() {
            record.header_opt(name, value);
        }
        record.header("dead-letter-code", code.as_str().as_bytes());
        record.header("dead-letter-cause", cause.as_bytes());
        record.header("dead-letter-topic", command.topic().as_str().as_bytes());
        record.header("dead-letter-partition", self.partition.to_string().as_bytes());
        record.header("dead-letter-offset", command.offset().to_string().as_bytes());
        record.finish();
    }
}

impl<A: Aggregate> Tenure<A> {
    /// How far this partition's commands are handled with the batch under way.
    pub(super) fn progress(&self, events: Offset, clock: TimestampMs) -> Progress {
        Progress {
            events,
            next_command: self.next(),
            floor: self.floor,
            clock,
            commands_id: self.commands_id,
            events_id: self.events_id,
        }
    }
}
