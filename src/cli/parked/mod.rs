//! `parked`: what views have left aside, and what becomes of it.

mod change;
mod show;

use super::{FormatArgs, connect::LogArgs};
use crate::{
    App,
    host::{ViewHost, rfc3339},
    replay::PartitionName,
};
use clap::{Args, Subcommand};
use factum_core::{AggregateId, Error, ErrorKind, Offset, Result};
use factum_views::{Database, ParkedFilter, ParkedKey, Sink};
use serde_json::{Value, json};

/// Parked keys that are asked for at once.
const PAGE_KEYS: usize = 500;
/// What is shown of a cause in a list.
const CAUSE_CHARACTERS: usize = 100;

/// Look at what views have left aside, try it again, or give it up.
///
/// An event that a view cannot apply (it cannot be decoded, or the view's code panics) parks its
/// aggregate: this event and the later ones of the aggregate wait, in their order, and all other
/// aggregates go on. Nothing is skipped. Deploy code that can apply the event, then `redrive`.
///
/// Examples:
///   factum parked list balances --kafka localhost:9092
///   factum parked show balances --key acc-7 --kafka localhost:9092
///   factum parked redrive balances --kafka localhost:9092
///   factum parked drop balances --key acc-7 --first --kafka localhost:9092
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum ParkedVerb {
    List(show::ListArgs),
    Show(show::ShowArgs),
    Redrive(change::RedriveArgs),
    Drop(change::DropArgs),
}

pub(super) fn parked(app: &App, verb: &ParkedVerb) -> Result<()> {
    match verb {
        ParkedVerb::List(args) => show::list(app, args),
        ParkedVerb::Show(args) => show::show(app, args),
        ParkedVerb::Redrive(args) => change::redrive(app, args),
        ParkedVerb::Drop(args) => change::drop(app, args),
    }
}

/// A view, and where it is.
#[derive(Debug, Args)]
struct Which {
    /// The view's name.
    view: String,
    /// Where the views are: a SQLite file, or postgres://USER@HOST/DATABASE. Without it the data folder's file, with --kafka factum-views.sqlite.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    #[command(flatten)]
    log: LogArgs,
}

/// Which of its parked aggregates.
#[derive(Debug, Clone, Args)]
struct Filters {
    /// Only this aggregate.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Only this partition: its number, with its topic where the view reads several (bank.account.events/3).
    #[arg(long, value_name = "P")]
    partition: Option<PartitionName>,
    /// Only where the cause has this text in it.
    #[arg(long, value_name = "TEXT")]
    cause: Option<String>,
}

impl Which {
    fn host<'a>(&self, app: &'a App) -> Result<&'a dyn ViewHost> {
        app.view_host(&self.view)
    }

    fn database(&self) -> Result<Database> {
        let database = self.views.clone().unwrap_or_else(|| self.log.default_views());
        match database.path().filter(|file| !file.exists()) {
            Some(file) => Err(Error::invalid(format!(
                "there is no file {}: view {} has not run with it; --views names another",
                file.display(),
                self.view
            ))),
            None => Ok(database),
        }
    }
}

impl Filters {
    fn filter(&self, sink: &mut dyn Sink) -> Result<ParkedFilter> {
        let aggregate = self.key.clone().map(AggregateId::new).transpose();
        let aggregate = aggregate.map_err(|error| Error::invalid(format!("--key: {error}")))?;
        let place = match &self.partition {
            None => None,
            Some(name) => {
                let standing = sink.standing()?;
                Some(name.among(standing.rows.iter().map(|row| &row.place))?)
            }
        };
        Ok(ParkedFilter { place, aggregate, cause: self.cause.clone() })
    }
}

/// Calls `each` for every parked key that is meant, at most `limit`; answers how many there were.
fn for_each(
    sink: &mut dyn Sink,
    filter: &ParkedFilter,
    limit: usize,
    mut each: impl FnMut(&ParkedKey) -> Result<()>,
) -> Result<usize> {
    let (mut after, mut seen) = (None, 0);
    while seen < limit {
        let last = after.as_ref().map(|(topic, aggregate)| (topic, aggregate));
        let page = sink.parked_keys(filter, last, PAGE_KEYS.min(limit - seen))?;
        let Some(end) = page.last() else { break };
        after = Some((end.first.place.topic.clone(), end.first.aggregate.clone()));
        seen += page.len();
        page.iter().try_for_each(&mut each)?;
    }
    Ok(seen)
}

/// Refuses a key whose first record is not the one that was named.
fn check_expected(key: &ParkedKey, expected: Option<u64>) -> Result<()> {
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

fn nothing_parked(view: &str, filters: &Filters) -> String {
    match (&filters.key, &filters.partition, &filters.cause) {
        (None, None, None) => format!("{view}: nothing is parked"),
        _ => format!("{view}: nothing like that is parked"),
    }
}

fn as_json(key: &ParkedKey) -> Value {
    let first = &key.first;
    json!({
        "key": first.aggregate.as_str(), "topic": first.place.topic.as_str(), "partition": first.place.partition.0,
        "offset": first.offset.0, "version": first.version.0, "records": key.records, "attempts": first.attempts,
        "parked_at": rfc3339(first.at), "cause": first.cause,
    })
}
