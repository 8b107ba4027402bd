//! Looking at what a view has parked.

use super::{Meant, content, stopped};
use crate::{
    environment::Environment,
    errand::{Errand, Here},
    history::read_range,
    host::{Stop, rfc3339},
};
use factum_core::{AggregateId, Error, Offset, Result, log::Isolation, view::Parked};
use factum_views::ParkedKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::ControlFlow;

/// Records of a key that are asked for at once.
const PAGE_RECORDS: usize = 500;

/// Which aggregates a view has parked, and why; answers how many it has parked in all, meant or not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParked {
    pub(crate) meant: Meant,
    /// The most that are told.
    pub(crate) limit: usize,
}

/// A parked aggregate: its first record, which says why.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ParkedKeyLine {
    pub(crate) key: String,
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    pub(crate) version: u64,
    /// How many of its records are parked.
    pub(crate) records: u64,
    pub(crate) attempts: u32,
    pub(crate) parked_at: String,
    pub(crate) cause: String,
}

impl ParkedKeyLine {
    fn new(key: &ParkedKey) -> Self {
        let first = &key.first;
        ParkedKeyLine {
            key: first.aggregate.to_string(),
            topic: first.place.topic.to_string(),
            partition: first.place.partition.0,
            offset: first.offset.0,
            version: first.version.0,
            records: key.records,
            attempts: first.attempts,
            parked_at: rfc3339(first.at),
            cause: first.cause.clone(),
        }
    }
}

impl Errand for ListParked {
    const NAME: &'static str = "list-parked";
    type Told = ParkedKeyLine;
    type Done = u64;

    fn run(&self, here: &Here, stop: &Stop, tell: &mut dyn FnMut(ParkedKeyLine)) -> Result<u64> {
        let mut found = self.meant.find(here)?;
        found.for_each(self.limit, |_, key| {
            if stop.is_stopped() {
                return Err(stopped());
            }
            tell(ParkedKeyLine::new(key));
            Ok(ControlFlow::Continue(()))
        })?;
        found.count_all()
    }
}

/// What is in the parked records of one aggregate.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowParked {
    pub(crate) view: String,
    pub(crate) key: String,
    /// The most records that are told.
    pub(crate) limit: usize,
}

/// What is told of it, once for each topic in which it is parked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shown {
    /// Why it is parked.
    Key(ParkedKeyLine),
    /// A record; its content, as far as it can be read, is JSON.
    Record { place: String, offset: i64, version: u64, cause: String, content: Value },
    /// So many records were left out at the limit.
    More(u64),
}

impl Errand for ShowParked {
    const NAME: &'static str = "show-parked";
    type Told = Shown;
    type Done = ();

    fn run(&self, here: &Here, stop: &Stop, tell: &mut dyn FnMut(Shown)) -> Result<()> {
        let meant = Meant { view: self.view.clone(), key: Some(self.key.clone()), ..Meant::default() };
        let environment = here.environment()?;
        let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
        let seen = meant.find(here)?.for_each(usize::MAX, |sink, key| {
            tell(Shown::Key(ParkedKeyLine::new(key)));
            let (topic, aggregate) = (&key.first.place.topic, &key.first.aggregate);
            let (mut left, mut after) = (self.limit, None);
            while left > 0 {
                let page = sink.parked_records(topic, aggregate, after, left.min(PAGE_RECORDS))?;
                let Some(last) = page.last() else { break };
                (left, after) = (left.saturating_sub(page.len()), Some(last.offset));
                for record in &page {
                    if stop.is_stopped() {
                        return Err(stopped());
                    }
                    tell(shown(environment, record)?);
                }
            }
            tell(Shown::More(key.records.saturating_sub(limit)));
            Ok(ControlFlow::Continue(()))
        })?;
        if seen > 0 {
            return Ok(());
        }
        let aggregate = AggregateId::new(self.key.clone())?;
        Err(Error::invalid(format!("{aggregate} of view {} is not parked", self.view)))
    }
}

fn shown(environment: &Environment, record: &Parked) -> Result<Shown> {
    Ok(Shown::Record {
        place: record.place.to_string(),
        offset: record.offset.0,
        version: record.version.0,
        cause: record.cause.clone(),
        content: in_its_topic(environment, record)?,
    })
}

fn in_its_topic(environment: &Environment, record: &Parked) -> Result<Value> {
    let bounds = environment.log.admin()?.bounds(&record.place, Isolation::ReadCommitted)?;
    let mut found = json!("not in its topic any more");
    if record.offset < bounds.start || record.offset >= bounds.end {
        return Ok(found);
    }
    read_range(environment, &record.place, record.offset..Offset(record.offset.0 + 1), |read| {
        if read.offset() == record.offset {
            found = content(environment, read, "event");
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}
