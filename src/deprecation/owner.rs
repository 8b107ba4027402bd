//! Beside the process that holds the embedded log: that one reads it, and others ask.

use super::{Marked, Progress, Seen, Source, Written, find_writers};
use crate::{
    errand::{AtOwner, Desk, Doer, Errand, Here, taking},
    host::Stop,
};
use axum::Router;
use factum_core::{Error, Result, TimestampMs};
use factum_schemas::Deprecation;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};

/// The most marks of a request, and the most topics.
const MAX_ASKED: usize = 1_000;

/// Finds who wrote what is marked. `Invalid` for too many marks; `Unavailable` when it was stopped, for a part of the
/// answer would look like all of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FindWriters {
    sources: Vec<Source>,
    since: Option<TimestampMs>,
    /// By the full name of their record.
    marks: Vec<(String, Deprecation)>,
}

/// What is heard meanwhile.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Progress(Progress),
    /// Who wrote what the mark of this index is on. A word for each, so that lines stay short.
    Writers(usize, BTreeMap<String, Written>),
}

/// Has the process at `address` do what [`find_writers`] does.
///
/// # Errors
/// Those of [`FindWriters`], and of an [`Errand`] for another process.
pub(crate) fn ask_owner(
    address: SocketAddr,
    sources: &[Source],
    since: Option<TimestampMs>,
    marked: &mut [Marked],
    stop: &Stop,
    tell: &mut dyn FnMut(Progress),
) -> Result<Seen> {
    let marks = marked.iter().map(|marked| (marked.record.clone(), marked.mark.clone())).collect();
    let errand = FindWriters { sources: sources.to_vec(), since, marks };
    Doer::AtOwner(AtOwner::new(address, None)?).run(errand, stop, &mut |told| match told {
        Told::Progress(progress) => tell(progress),
        Told::Writers(mark, writers) => {
            if let Some(marked) = marked.get_mut(mark) {
                marked.writers = writers;
            }
        }
    })
}

/// Adds it to a desk's.
pub(crate) fn errands(router: Router<Desk>) -> Router<Desk> {
    taking::<FindWriters>(router)
}

impl Errand for FindWriters {
    const NAME: &'static str = "find-writers";
    // Each reads the whole log.
    const IS_ALONE: bool = true;
    type Told = Told;
    type Done = Seen;

    fn run(&self, here: &Here, stop: &Stop, tell: &mut dyn FnMut(Told)) -> Result<Seen> {
        let FindWriters { sources, since, marks } = self;
        if marks.len().max(sources.len()) > MAX_ASKED {
            return Err(Error::invalid(format!(
                "{} marks and {} topics are asked for at once, the limit is {MAX_ASKED}: end the process that holds \
                 the log, and ask again",
                marks.len(),
                sources.len()
            )));
        }
        let marked = |(record, mark)| Marked { record, mark, writers: BTreeMap::new() };
        let mut marked: Vec<Marked> = marks.iter().cloned().map(marked).collect();
        let mut progress = |progress| tell(Told::Progress(progress));
        let seen = find_writers(here.environment()?, sources, *since, &mut marked, stop, &mut progress)?;
        if seen.is_stopped {
            return Err(Error::unavailable("stopped before the log was read to its end"));
        }
        for (mark, marked) in marked.into_iter().enumerate() {
            tell(Told::Writers(mark, marked.writers));
        }
        Ok(seen)
    }

    fn is_said_again(told: &Told) -> bool {
        matches!(told, Told::Progress(_))
    }
}
