//! The markers of ended transactions that are still to be written: the
//! coordinator decides first and tells partitions and groups one by one.

use crate::partition::{Ending, TxnNumber};
use crate::transactions::Open;
use factum_core::{TimestampMs, TopicPartition};

/// What a transaction's end is written to.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Place(TopicPartition),
    Group(String),
}

/// A marker to be written.
#[derive(Debug, Clone)]
pub(crate) struct Marker {
    pub(crate) number: TxnNumber,
    pub(crate) ending: Ending,
    pub(crate) target: Target,
    pub(crate) producer: String,
    due: TimestampMs,
}

/// All that are to be written.
#[derive(Debug, Default)]
pub(crate) struct Markers {
    slow: Option<i64>,
    waiting: Vec<Marker>,
}

impl Markers {
    /// The next commit's are written within so many milliseconds.
    pub(crate) fn delay_next(&mut self, within_ms: i64) {
        self.slow = Some(within_ms);
    }

    /// Takes a transaction's end, if it was ordered to be slow.
    pub(crate) fn take_slow(&mut self, producer: &str, open: &Open, ending: Ending, now: TimestampMs) -> bool {
        if ending == Ending::Abort {
            return false;
        }
        let Some(within_ms) = self.slow.take() else { return false };
        let groups = open.groups.iter().cloned().map(Target::Group);
        let mut targets: Vec<Target> = groups.chain(open.places.iter().cloned().map(Target::Place)).collect();
        if within_ms % 2 == 0 {
            targets.reverse();
        }
        let (steps, number) = (i64::try_from(targets.len()).unwrap_or(1).max(1), open.number);
        self.waiting.extend(targets.into_iter().zip(0..).map(|(target, step)| Marker {
            number,
            ending,
            target,
            producer: producer.to_owned(),
            due: TimestampMs(now.0.saturating_add(within_ms * step / steps)),
        }));
        true
    }

    /// Takes those that are due.
    pub(crate) fn due(&mut self, now: TimestampMs) -> Vec<Marker> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        self.waiting.extract_if(.., |marker| marker.due <= now).collect()
    }

    /// Takes those of a producer.
    pub(crate) fn of(&mut self, producer: &str) -> Vec<Marker> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        self.waiting.extract_if(.., |marker| marker.producer == producer).collect()
    }

    pub(crate) fn next_deadline(&self) -> Option<TimestampMs> {
        self.waiting.iter().map(|marker| marker.due).min()
    }
}
