//! Checkpoints: every changed aggregate into the snapshots topic, then a marker.

use super::{
    batch::{Batch, Scribe},
    config::HandlerConfig,
    tenure::Tenure,
};
use crate::{Aggregate, AggregateCodec, Offset, Result, TimestampMs};

/// A checkpoint under way, perhaps over several transactions.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// The marker's offset: events below it were in memory when it began.
    events: Offset,
    queue: Vec<usize>,
    /// The queue up to here is in committed snapshots.
    done: usize,
    /// The queue up to here is in the batch under way.
    staged: usize,
    marker_staged: bool,
}

impl Checkpoint {
    /// Takes the end of a transaction; true when the checkpoint is complete.
    pub(super) fn committed(&mut self) -> bool {
        self.done = self.staged;
        self.marker_staged
    }

    pub(super) fn aborted(&mut self) {
        self.staged = self.done;
        self.marker_staged = false;
    }
}

impl<A: Aggregate> Tenure<A> {
    /// Whether a checkpoint is to begin.
    pub(super) fn is_checkpoint_due(&self, config: &HandlerConfig, now: TimestampMs) -> bool {
        let events = self.events_since_checkpoint;
        events >= config.checkpoint_every_events
            || (events > 0 && now.0 - self.checkpoint_at.0 >= config.checkpoint_every_ms)
    }

    /// Begins a checkpoint if one is due; true while one is under way.
    pub(super) fn checkpoint_due(&mut self, config: &HandlerConfig, now: TimestampMs) -> bool {
        if self.checkpoint.is_none() && self.is_checkpoint_due(config, now) {
            self.events_since_checkpoint = 0;
            let queue = self.aggregates.take_dirty();
            let checkpoint = Checkpoint { events: self.events_end, queue, done: 0, staged: 0, marker_staged: false };
            self.checkpoint = Some(checkpoint);
        }
        self.checkpoint.is_some()
    }

    /// Adds the next snapshots of the checkpoint under way, and the marker after the last.
    pub(super) fn stage_checkpoint<C: AggregateCodec<A>>(
        &mut self,
        scribe: &mut Scribe<'_, C>,
        batch: &mut Batch<A>,
        now: TimestampMs,
    ) -> Result<()> {
        let Some(mut checkpoint) = self.checkpoint.take() else { return Ok(()) };
        let staged = self.stage_snapshots(scribe, batch, &mut checkpoint, now);
        self.checkpoint = Some(checkpoint);
        staged
    }

    fn stage_snapshots<C: AggregateCodec<A>>(
        &mut self,
        scribe: &mut Scribe<'_, C>,
        batch: &mut Batch<A>,
        checkpoint: &mut Checkpoint,
        now: TimestampMs,
    ) -> Result<()> {
        let (mut end, mut snapshots) = (checkpoint.done, 0);
        while end < checkpoint.queue.len() && snapshots < scribe.config.checkpoint_chunk.max(1) {
            let slot = checkpoint.queue[end];
            // Those that have theirs already do not count: a transaction without records does not
            // happen, and the checkpoint would stand still.
            if self.aggregates.get(slot).snapshot_version < self.aggregates.get(slot).version {
                scribe.snapshot(&mut self.aggregates, slot, batch)?;
                snapshots += 1;
            }
            end += 1;
        }
        checkpoint.staged = end;
        if end == checkpoint.queue.len() {
            let clock = self.record_time(now);
            scribe.marker(self.progress(checkpoint.events, clock));
            checkpoint.marker_staged = true;
        }
        Ok(())
    }
}
