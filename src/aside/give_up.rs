//! Giving parked records up.

use super::{Meant, meant::check_expected, stopped};
use crate::{
    errand::{Errand, Here},
    host::{Doing, RedriveRequest, Stop},
};
use factum_core::Result;
use factum_views::drop_parked;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Gives parked records up: they count as applied, and no row knows of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropParked {
    pub(crate) meant: Meant,
    /// Only the events of each aggregate's first parked command, which have to be found in the log.
    pub(crate) first: bool,
    /// Only if the first parked record is at this offset.
    pub(crate) expect: Option<u64>,
    /// Says what would be given up, and changes nothing.
    pub(crate) dry_run: bool,
}

/// So many records of an aggregate were given up, or would be.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Dropped {
    pub(crate) key: String,
    pub(crate) records: u64,
}

impl DropParked {
    /// Whether the log is needed for it.
    pub(crate) fn needs_log(&self) -> bool {
        self.first && !self.dry_run
    }
}

impl Errand for DropParked {
    const NAME: &'static str = "drop-parked";
    type Told = Dropped;
    /// How many aggregates were found.
    type Done = usize;

    fn run(&self, here: &Here, stop: &Stop, tell: &mut dyn FnMut(Dropped)) -> Result<usize> {
        let mut found = self.meant.find(here)?;
        let (host, database) = (found.host, found.database);
        let mut worker = database.open(host.table()?)?;
        let seen = found.for_each(usize::MAX, |_, key| {
            if stop.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            check_expected(key, self.expect)?;
            let records = if self.dry_run {
                key.records
            } else if self.first {
                let request = RedriveRequest { first: &key.first, doing: Doing::GiveUpFirst, stop };
                host.redrive(here.environment()?, database, &request, &mut |_| {})?.records
            } else {
                drop_parked(&mut *worker, &key.first, &|| stop.is_stopped(), &mut |_| {})?
            };
            tell(Dropped { key: key.first.aggregate.to_string(), records });
            Ok(ControlFlow::Continue(()))
        })?;
        match stop.is_stopped() && seen > 0 {
            true => Err(stopped()),
            false => Ok(seen),
        }
    }
}
