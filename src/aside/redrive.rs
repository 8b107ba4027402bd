//! Trying parked records again.

use super::{Meant, meant::check_expected, stopped};
use crate::{
    errand::{Errand, Here},
    host::{Doing, RedriveRequest, Stop},
};
use factum_core::{ErrorKind, Result, view::ended_its_process};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Tries parked records again, in their order, with the code of the program that does it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedriveParked {
    pub(crate) meant: Meant,
    /// Only if the first parked record is at this offset.
    pub(crate) expect: Option<u64>,
    /// Folds the first records of each, and changes nothing.
    pub(crate) dry_run: bool,
}

/// What is heard of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Redriving {
    /// So many aggregates of the view are parked.
    Begun { aggregates: u64 },
    /// So many records of an aggregate are done.
    Progress { key: String, records: u64 },
    /// An aggregate is done, as far as it can be.
    Tried { key: String, offset: i64, applied: u64, of: u64, failed: Option<String> },
    /// It was left alone, and why.
    LeftAlone { key: String, why: String },
}

/// What became of all of them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Redriven {
    /// Aggregates that were found.
    pub(crate) seen: usize,
    /// Aggregates that were tried.
    pub(crate) keys: u64,
    pub(crate) records: u64,
    /// Aggregates that stay parked since a record failed again.
    pub(crate) failed: u64,
    /// Aggregates that somebody else took on meanwhile.
    pub(crate) moved_on: u64,
    /// Aggregates that are not tried beside handlers and views unless they are named.
    pub(crate) dangerous: u64,
}

impl Errand for RedriveParked {
    const NAME: &'static str = "redrive-parked";
    type Told = Redriving;
    type Done = Redriven;

    fn run(&self, here: &Here, stop: &Stop, tell: &mut dyn FnMut(Redriving)) -> Result<Redriven> {
        let environment = here.environment()?;
        let mut found = self.meant.find(here)?;
        let doing = if self.dry_run { Doing::Try } else { Doing::Apply };
        tell(Redriving::Begun { aggregates: found.count_all()? });
        let mut redriven = Redriven::default();
        let (host, database) = (found.host, found.database);
        redriven.seen = found.for_each(usize::MAX, |_, key| {
            if stop.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            check_expected(key, self.expect)?;
            let name = || key.first.aggregate.to_string();
            // What ended a process may end this one, with everything that runs in it: only if it is asked for by name.
            if here.serves_others() && self.meant.key.is_none() && ended_its_process(&key.first.cause) {
                redriven.dangerous += 1;
                let why = format!("{}: left alone, since it may end the process that holds the log", name());
                tell(Redriving::LeftAlone { key: name(), why });
                return Ok(ControlFlow::Continue(()));
            }
            let request = RedriveRequest { first: &key.first, doing, stop };
            let done = host.redrive(environment, database, &request, &mut |records| {
                tell(Redriving::Progress { key: name(), records });
            });
            match done {
                Ok(tally) => {
                    redriven.keys += 1;
                    redriven.records += tally.records;
                    redriven.failed += u64::from(tally.failed.is_some());
                    tell(Redriving::Tried {
                        key: name(),
                        offset: key.first.offset.0,
                        applied: tally.records,
                        of: key.records,
                        failed: tally.failed.map(|head| head.cause),
                    });
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    redriven.moved_on += 1;
                    tell(Redriving::LeftAlone { key: name(), why: error.to_string() });
                }
                Err(error) => return Err(error),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        match stop.is_stopped() && redriven.seen > 0 {
            true => Err(stopped()),
            false => Ok(redriven),
        }
    }

    fn is_said_again(told: &Redriving) -> bool {
        matches!(told, Redriving::Progress { .. })
    }
}
