//! Reading partitions by name.

use crate::fetcher::{Fetched, Fetcher};
use crate::log::Shared;
use factum_core::log::{Isolation, Reader};
use factum_core::{Offset, RecordBatch, Result, TopicPartition};
use std::{ops::ControlFlow, time::Duration};

/// A reader of the log in memory.
#[derive(Debug)]
pub(crate) struct MemoryReader {
    shared: Shared,
    fetcher: Fetcher,
}

impl MemoryReader {
    pub(crate) fn new(shared: Shared, isolation: Isolation) -> Self {
        MemoryReader { shared, fetcher: Fetcher::new(isolation) }
    }
}

impl Reader for MemoryReader {
    fn add(&mut self, place: &TopicPartition, offset: Offset) -> Result<()> {
        self.shared.call(|broker, _| broker.topics.partition(place).map(|_| ()))?;
        self.fetcher.start(place, offset);
        Ok(())
    }

    fn remove(&mut self, place: &TopicPartition) -> Result<()> {
        self.fetcher.remove(place);
        Ok(())
    }

    fn poll(&mut self, max_records: usize, timeout: Duration, into: &mut RecordBatch) -> Result<()> {
        let fetcher = &mut self.fetcher;
        self.shared
            .wait(timeout, |broker, _| match fetcher.fetch(broker, max_records, into) {
                Ok(Fetched::Nothing) => ControlFlow::Continue(()),
                Ok(Fetched::Progress) => ControlFlow::Break(Ok(())),
                Err(error) => ControlFlow::Break(Err(error)),
            })
            .unwrap_or(Ok(()))
    }

    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>> {
        Ok(self.fetcher.position(place))
    }
}
