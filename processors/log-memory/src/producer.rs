//! Writing without transactions.

use crate::log::Shared;
use factum_core::log::{Delivery, Producer};
use factum_core::{Error, RecordBatch, Result};
use std::{collections::VecDeque, time::Duration};

/// A producer of the log in memory. A record has its offset as soon as it is
/// produced; the report waits for the next poll, which waits for the journal.
#[derive(Debug)]
pub(crate) struct MemoryProducer {
    shared: Shared,
    next: u64,
    reports: VecDeque<Delivery>,
    /// The group of the journal that makes all of them durable.
    group: u64,
}

impl MemoryProducer {
    pub(crate) fn new(shared: Shared) -> Self {
        MemoryProducer { shared, next: 0, reports: VecDeque::new(), group: 0 }
    }
}

impl Producer for MemoryProducer {
    fn produce(&mut self, records: &RecordBatch) -> Result<u64> {
        let first = self.next;
        let (next, reports, group) = (&mut self.next, &mut self.reports, &mut self.group);
        self.shared.write(|broker, now| {
            for record in records.iter() {
                broker.check(record)?;
                let result = broker.append(record, now);
                reports.push_back(Delivery { sequence: *next, result });
                *next += 1;
                *group = broker.recorder.wanted();
            }
            Ok(first)
        })
    }

    fn poll(&mut self, _timeout: Duration, into: &mut Vec<Delivery>) -> Result<()> {
        let synced = if self.reports.is_empty() { Ok(()) } else { self.shared.sync(self.group) };
        into.extend(self.reports.drain(..).map(|report| match &synced {
            Ok(()) => report,
            Err(error) => {
                let text = format!("the record may yet become durable: {error}");
                Delivery { result: Err(Error::new(error.kind(), text)), ..report }
            }
        }));
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.reports.len()
    }

    fn flush(&mut self, _timeout: Duration) -> Result<()> {
        self.reports.clear();
        self.shared.sync(self.group)
    }
}
