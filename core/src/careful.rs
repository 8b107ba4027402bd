//! What handlers and views have in common where a record ends the process
//! (`docs/decisions/0010-records-that-kill.md`).

use crate::{Offset, RecordBatch, RecordRef};

/// How often a process may end with the same record in hand before it is given up, as a rule.
pub const MAX_DEATHS: u32 = 3;

/// Records of one partition that wait for their turn, in the order of their offsets.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    records: RecordBatch,
    /// Those before were taken.
    from: usize,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len() - self.from
    }

    pub(crate) fn first(&self) -> Option<RecordRef<'_>> {
        self.iter().next()
    }

    /// The offset of the last one.
    pub(crate) fn last(&self) -> Option<Offset> {
        (!self.is_empty()).then(|| self.records.get(self.records.len() - 1).offset())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.records.iter().skip(self.from)
    }

    /// Puts a record behind the others; what is delivered again is there already.
    pub(crate) fn push(&mut self, record: RecordRef<'_>) {
        if self.last().is_none_or(|last| last < record.offset()) {
            self.records.push(record);
        }
    }

    /// Leaves the first ones out.
    pub(crate) fn skip(&mut self, count: usize) {
        self.from += count.min(self.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Takes the first ones out.
    pub(crate) fn take(&mut self, count: usize) -> RecordBatch {
        let mut taken = RecordBatch::new();
        self.iter().take(count).for_each(|record| taken.push(record));
        self.skip(count);
        taken
    }

    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.from = 0;
    }
}

/// Up to where a process before this one may have had records in hand: a batch that was decided, and one that was
/// polled behind it, but not what came after the log's `end` at the start.
pub(crate) fn in_hand_until(position: Offset, end: Offset, batch: usize) -> Offset {
    end.min(Offset(position.0 + 2 * i64::try_from(batch).unwrap_or(i64::MAX / 4)))
}

/// `once`, `2 times`, for people.
pub(crate) fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
