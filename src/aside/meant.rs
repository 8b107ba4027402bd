//! Which parked aggregates are meant.

use crate::{errand::Here, host::ViewHost, replay::PartitionName};
use factum_core::{AggregateId, Error, ErrorKind, Offset, Result};
use factum_views::{Database, ParkedFilter, ParkedKey, Sink};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Parked keys that are asked for at once.
const PAGE_KEYS: usize = 500;
/// The longest text that is looked for in causes; a view keeps about half of that of each.
const MAX_CAUSE_BYTES: usize = 4_096;

/// Parked aggregates of a view: all that fit everything that is said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meant {
    pub(crate) view: String,
    /// This aggregate.
    pub(crate) key: Option<String>,
    /// Of this partition.
    pub(crate) partition: Option<PartitionName>,
    /// With this text in the cause.
    pub(crate) cause: Option<String>,
}

/// A view's parked aggregates, as they are asked for.
pub(super) struct Found<'a> {
    pub(super) host: &'a dyn ViewHost,
    pub(super) database: &'a Database,
    pub(super) sink: Box<dyn Sink>,
    filter: ParkedFilter,
}

impl Meant {
    /// Finds them in the view's database.
    ///
    /// # Errors
    /// `Invalid`: there is no such view, database, partition, or id; what the database says.
    pub(super) fn find<'a>(&self, here: &'a Here) -> Result<Found<'a>> {
        let host = here.app().view_host(&self.view)?;
        let aggregate = self.key.clone().map(AggregateId::new).transpose();
        let aggregate = aggregate.map_err(|error| Error::invalid(format!("--key: {error}")))?;
        if self.cause.as_ref().is_some_and(|cause| cause.len() > MAX_CAUSE_BYTES) {
            return Err(Error::invalid(format!(
                "--cause has more than {MAX_CAUSE_BYTES} bytes, and no cause is so long: give a part of it"
            )));
        }
        let database = here.database();
        if let Some(file) = database.path().filter(|file| !file.exists()) {
            return Err(Error::invalid(format!(
                "there is no file {}: view {} has not run with it; --views names another",
                file.display(),
                self.view
            )));
        }
        let mut sink = database.open(host.table()?)?;
        let place = match &self.partition {
            None => None,
            Some(name) => {
                let standing = sink.standing()?;
                Some(name.among(standing.rows.iter().map(|row| &row.place))?)
            }
        };
        Ok(Found { host, database, sink, filter: ParkedFilter { place, aggregate, cause: self.cause.clone() } })
    }
}

impl Found<'_> {
    /// Calls `each` for every key, at most `limit`, until it breaks off; answers how many there were.
    pub(super) fn for_each(
        &mut self,
        limit: usize,
        mut each: impl FnMut(&mut dyn Sink, &ParkedKey) -> Result<ControlFlow<()>>,
    ) -> Result<usize> {
        let (mut after, mut seen) = (None, 0);
        while seen < limit {
            let last = after.as_ref().map(|(topic, aggregate)| (topic, aggregate));
            let page = self.sink.parked_keys(&self.filter, last, PAGE_KEYS.min(limit - seen))?;
            let Some(end) = page.last() else { break };
            after = Some((end.first.place.topic.clone(), end.first.aggregate.clone()));
            for key in &page {
                seen += 1;
                if each(&mut *self.sink, key)?.is_break() {
                    return Ok(seen);
                }
            }
        }
        Ok(seen)
    }

    /// How many keys of the view are parked, meant or not.
    pub(super) fn count_all(&mut self) -> Result<u64> {
        Ok(self.sink.count_parked()?.values().sum())
    }
}

/// Refuses a key whose first record is not the one that was named.
pub(super) fn check_expected(key: &ParkedKey, expected: Option<u64>) -> Result<()> {
    match expected.and_then(|offset| i64::try_from(offset).ok()).map(Offset) {
        Some(offset) if offset != key.first.offset => Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "{} is parked at {}@{} and not at {offset}: it moved on; look at it again",
                key.first.aggregate, key.first.place, key.first.offset
            ),
        )),
        _ => Ok(()),
    }
}
