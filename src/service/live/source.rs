//! What live updates are made of.

use super::positions::Positions;
use factum_core::{
    RecordBatch, Result,
    log::{Isolation, Log, Reader},
};
use factum_gateway::Told;
use std::time::Duration;

/// The most records of one step.
const MAX_RECORDS: usize = 500;

/// Where updates come from: events of a topic, or rows that events touch.
pub(super) trait Origin: Send + Sync {
    /// Reads from these positions on.
    ///
    /// # Errors
    /// What the log says.
    fn open(&self, at: Positions) -> Result<Box<dyn Source>>;

    /// What a step says to a stream of that key that is at these positions; none where it says nothing.
    ///
    /// # Errors
    /// `Data` when a record cannot be decoded, `Unavailable` when its schema cannot be had.
    fn tell(&self, step: &Step, key: &[u8], at: &Positions) -> Result<Option<Told>>;
}

/// Reads step by step.
pub(super) trait Source: Send {
    /// The next step, waiting so long for it; none is no end.
    ///
    /// # Errors
    /// What the log says; `Unavailable` also when a view does not come to what was read.
    fn read(&mut self, wait: Duration) -> Result<Option<Step>>;

    /// Behind everything that was read.
    fn positions(&self) -> &Positions;
}

/// What was read at once.
pub(super) struct Step {
    /// Where its source is behind it.
    pub(super) after: Positions,
    pub(super) content: Content,
}

pub(super) enum Content {
    /// Events, which are told to who follows their keys.
    Records(RecordBatch),
    /// Text for whoever follows.
    Told(Told),
}

impl Step {
    /// The keys that it says something about; the empty one is everybody.
    pub(super) fn keys(&self) -> Vec<&[u8]> {
        match &self.content {
            Content::Records(records) => records.iter().filter_map(|record| record.key()).collect(),
            Content::Told(_) => vec![&[]],
        }
    }

    /// What it takes to keep it.
    pub(super) fn size_bytes(&self) -> usize {
        match &self.content {
            Content::Records(records) => records.size_bytes(),
            Content::Told(told) => told.size_bytes(),
        }
    }
}

/// A reader of the log that knows where it is.
pub(super) struct Tail {
    reader: Box<dyn Reader>,
    positions: Positions,
}

impl Tail {
    pub(super) fn open(log: &dyn Log, at: Positions) -> Result<Self> {
        let mut reader = log.reader(Isolation::ReadCommitted)?;
        for (place, at) in &at.0 {
            reader.add(place, at.next)?;
        }
        Ok(Tail { reader, positions: at })
    }

    /// The next records; none is no end.
    pub(super) fn poll(&mut self, wait: Duration) -> Result<RecordBatch> {
        let mut batch = RecordBatch::new();
        self.reader.poll(MAX_RECORDS, wait, &mut batch)?;
        for (place, at) in &mut self.positions.0 {
            at.next = self.reader.position(place)?.unwrap_or(at.next).max(at.next);
        }
        Ok(batch)
    }

    pub(super) fn positions(&self) -> &Positions {
        &self.positions
    }
}
