//! The transaction coordinator: transactional ids, their epochs, and what is open.

use crate::partition::TxnNumber;
use factum_core::{TimestampMs, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

/// All transactional ids.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    ids: BTreeMap<String, Entry>,
    begun: u64,
}

#[derive(Debug)]
struct Entry {
    epoch: Epoch,
    timeout_ms: i64,
    open: Option<Open>,
}

/// Which of the producers with the same transactional id is alive: the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(i32);

/// An open transaction. It begins at the broker with the first record or
/// offset, so the timeout counts from there.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) producer: String,
    pub(crate) number: TxnNumber,
    pub(crate) places: BTreeSet<TopicPartition>,
    pub(crate) groups: BTreeSet<String>,
    deadline: TimestampMs,
}

impl Open {
    /// One that is read from a journal: its producer is gone.
    pub(crate) fn orphan(number: TxnNumber) -> Self {
        Open {
            producer: String::new(),
            number,
            places: BTreeSet::new(),
            groups: BTreeSet::new(),
            deadline: TimestampMs(0),
        }
    }
}

/// Another producer has the transactional id, or the broker ended the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superseded;

impl Transactions {
    /// How many transactions have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// No transaction to come gets one of the first `begun` numbers.
    pub(crate) fn set_begun(&mut self, begun: u64) {
        self.begun = self.begun.max(begun);
    }

    /// Registers a producer; what its predecessor left open is returned, to be aborted.
    pub(crate) fn init(&mut self, id: &str, timeout_ms: i64) -> (Epoch, Option<Open>) {
        let entry = self.ids.entry(id.to_owned()).or_insert(Entry { epoch: Epoch(-1), timeout_ms, open: None });
        entry.epoch.0 += 1;
        entry.timeout_ms = timeout_ms;
        (entry.epoch, entry.open.take())
    }

    pub(crate) fn check(&self, id: &str, epoch: Epoch) -> Result<(), Superseded> {
        match self.ids.get(id) {
            Some(entry) if entry.epoch == epoch => Ok(()),
            _ => Err(Superseded),
        }
    }

    /// The transaction that an id has open in a partition.
    pub(crate) fn open_in(&self, id: &str, place: &TopicPartition) -> Option<TxnNumber> {
        let open = self.ids.get(id)?.open.as_ref()?;
        open.places.contains(place).then_some(open.number)
    }

    /// The number of a transaction that no coordinator knows.
    pub(crate) fn unknown(&mut self) -> TxnNumber {
        self.begun += 1;
        TxnNumber(self.begun)
    }

    /// Whether the id has an open transaction.
    pub(crate) fn has_open(&self, id: &str) -> bool {
        self.ids.get(id).is_some_and(|entry| entry.open.is_some())
    }

    /// The open transaction of a producer, opened if it is not yet.
    pub(crate) fn open(&mut self, id: &str, epoch: Epoch, now: TimestampMs) -> Result<&mut Open, Superseded> {
        let entry = self.ids.get_mut(id).filter(|entry| entry.epoch == epoch).ok_or(Superseded)?;
        Ok(entry.open.get_or_insert_with(|| {
            self.begun += 1;
            Open {
                producer: id.to_owned(),
                number: TxnNumber(self.begun),
                places: BTreeSet::new(),
                groups: BTreeSet::new(),
                deadline: TimestampMs(now.0.saturating_add(entry.timeout_ms)),
            }
        }))
    }

    /// Takes the open transaction of a producer, to be ended. None when it wrote nothing.
    pub(crate) fn take(&mut self, id: &str, epoch: Epoch) -> Result<Option<Open>, Superseded> {
        let entry = self.ids.get_mut(id).filter(|entry| entry.epoch == epoch).ok_or(Superseded)?;
        Ok(entry.open.take())
    }

    /// Fences the current producer of an id and returns what it left open.
    pub(crate) fn fence(&mut self, id: &str) -> Option<Open> {
        let entry = self.ids.get_mut(id)?;
        entry.epoch.0 += 1;
        entry.open.take()
    }

    /// Forgets an id without an open transaction (`transactional.id.expiration.ms`):
    /// its producer is refused from now on.
    pub(crate) fn forget(&mut self, id: &str) {
        if let Some(entry) = self.ids.get_mut(id).filter(|entry| entry.open.is_none()) {
            entry.epoch.0 += 1;
        }
    }

    /// Fences the producers whose transaction is overdue and returns what they left open.
    pub(crate) fn expire(&mut self, now: TimestampMs) -> Vec<Open> {
        let overdue = |entry: &Entry| entry.open.as_ref().is_some_and(|open| open.deadline <= now);
        self.ids
            .values_mut()
            .filter(|entry| overdue(entry))
            .filter_map(|entry| {
                entry.epoch.0 += 1;
                entry.open.take()
            })
            .collect()
    }

    /// When the next open transaction is overdue.
    pub(crate) fn next_deadline(&self) -> Option<TimestampMs> {
        self.ids.values().filter_map(|entry| entry.open.as_ref()).map(|open| open.deadline).min()
    }
}
