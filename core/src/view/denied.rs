//! Schemas that the registry says it does not have.
//!
//! It may be wrong for a while: one that was restored from a copy, or one of several instances that is behind. So
//! a partition waits first, and says why. A schema that is denied for long is that of a stranger's record, or is
//! lost: the record's aggregate is parked then, as with any event that cannot be read, and the others go on.

use crate::{Error, TimestampMs};
use std::collections::BTreeMap;

/// For how long and how often the registry has to deny a schema before records are put aside for it.
const DENIED_MS: i64 = 120_000;
const DENIALS: u32 = 5;
/// After so long it is asked once more.
const ASK_AGAIN_MS: i64 = 60_000;
/// The most schemas that are remembered; beyond it they have to be denied anew.
const MAX_SCHEMAS: usize = 1_000;

/// What the registry has said.
#[derive(Debug, Default)]
pub(super) struct Denied {
    schemas: BTreeMap<u32, Denial>,
}

#[derive(Debug)]
struct Denial {
    since: TimestampMs,
    times: u32,
    /// Until when it counts as missing, once it does.
    until: Option<TimestampMs>,
    words: String,
}

impl Denied {
    /// The registry has the schema.
    pub(super) fn forget(&mut self, id: u32) {
        self.schemas.remove(&id);
    }

    /// The registry does not have the schema; answers whether it counts as missing from now on.
    pub(super) fn note(&mut self, id: u32, error: &Error, now: TimestampMs) -> bool {
        if self.schemas.len() >= MAX_SCHEMAS && !self.schemas.contains_key(&id) {
            self.schemas.clear();
        }
        let new = || Denial { since: now, times: 0, until: None, words: String::new() };
        let denial = self.schemas.entry(id).or_insert_with(new);
        denial.times = denial.times.saturating_add(1);
        denial.words = error.to_string();
        let is_missing =
            denial.until.is_some() || (denial.times >= DENIALS && now.0.saturating_sub(denial.since.0) >= DENIED_MS);
        if is_missing {
            denial.until = Some(TimestampMs(now.0 + ASK_AGAIN_MS));
        }
        is_missing
    }

    /// Why a record of this schema cannot be read, while it counts as missing.
    pub(super) fn why(&self, id: u32, now: TimestampMs) -> Option<String> {
        let denial = self.schemas.get(&id).filter(|denial| denial.until.is_some_and(|until| now < until))?;
        Some(format!("it has schema {id}: {}", denial.words))
    }
}
