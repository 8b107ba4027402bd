//! Writing without transactions.

use crate::log::Shared;
use factum_core::log::{Delivery, Producer};
use factum_core::{RecordBatch, Result};
use std::{collections::VecDeque, time::Duration};

/// A producer of the log in memory. A record has its offset as soon as it is
/// produced; the report waits for the next poll.
#[derive(Debug)]
pub(crate) struct MemoryProducer {
    shared: Shared,
    next: u64,
    reports: VecDeque<Delivery>,
}

impl MemoryProducer {
    pub(crate) fn new(shared: Shared) -> Self {
        MemoryProducer { shared, next: 0, reports: VecDeque::new() }
    }
}

impl Producer for MemoryProducer {
    fn produce(&mut self, records: &RecordBatch) -> Result<u64> {
        let first = self.next;
        let (next, reports) = (&mut self.next, &mut self.reports);
        self.shared.call(|broker, now| {
            for record in records.iter() {
                broker.check(record)?;
                let result = broker.append(record, now);
                reports.push_back(Delivery { sequence: *next, result });
                *next += 1;
            }
            Ok(first)
        })
    }

    fn poll(&mut self, _timeout: Duration, into: &mut Vec<Delivery>) -> Result<()> {
        into.extend(self.reports.drain(..));
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.reports.len()
    }

    fn flush(&mut self, _timeout: Duration) -> Result<()> {
        self.reports.clear();
        Ok(())
    }
}
