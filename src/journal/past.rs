//! An aggregate's past: its events, and its state at a point.

use super::{
    Reader,
    entry::Entry,
    reader::PAGE,
    states::{self, KEPT_EVERY, KeepingFold},
};
use crate::{
    environment::Environment,
    host::{AggregateHost, rfc3339},
};
use factum_core::{Error, Result, TimestampMs, Version};
use factum_gateway::{At, EventFound, HistoryFound, HistoryRequest, MAX_EVENTS, StateFound, StateRequest};
use factum_handler::system_clock;
use factum_views::Database;
use std::ops::ControlFlow;
use tracing::debug;

/// The version behind every other.
const LAST: Version = Version(i64::MAX as u64);

/// An aggregate's events, a page of them.
///
/// # Errors
/// What log and database say.
pub(crate) fn history(reader: &Reader, environment: &Environment, request: &HistoryRequest) -> Result<HistoryFound> {
    let subject = reader.subject(&request.aggregate_type, &request.id)?;
    let limit = request.limit.min(MAX_EVENTS);
    let mut found = HistoryFound::default();
    reader.read(&subject, request.after, None, limit.saturating_add(1), |version, entry| {
        if found.events.len() >= limit {
            found.more = true;
            return Ok(ControlFlow::Break(()));
        }
        found.events.push(event_found(environment, version, entry)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// An aggregate's state, now or at a point in its past. At most twice
/// [`KEPT_EVERY`] events are folded for any version that the journal has, unless
/// the fold has changed: then its states are kept again by the first that asks
/// and may write to the database `keep_in`.
///
/// # Errors
/// `Invalid` when there is no such version, or the time is in the future; what
/// log and database say.
pub(crate) fn state(
    reader: &Reader,
    environment: &Environment,
    keep_in: Option<&Database>,
    host: &dyn AggregateHost,
    request: &StateRequest,
) -> Result<StateFound> {
    let subject = reader.subject(host.aggregate_type(), &request.id)?;
    let (until, wanted, kept_to) = match request.at {
        None => (None, LAST, LAST),
        Some(At::Version(version)) => (None, version, version),
        Some(At::Time(time, clock)) => {
            let now = system_clock();
            if time > now {
                return Err(Error::invalid(format!(
                    "{} is in the future: it is {} now; leave the time out for the state of now",
                    rfc3339(time),
                    rfc3339(now)
                )));
            }
            // Up to there every event is in it.
            let all_to = match reader.first_later(&subject, clock, time)? {
                Some(later) => Version(later.0.saturating_sub(1)),
                None => reader.last_version(&subject)?,
            };
            (Some((clock, time)), LAST, all_to)
        }
    };
    let fold = host.fold(environment)?;
    let mut fold = KeepingFold::begin(fold, reader.rows(), &subject.start, subject.topic_id, kept_to)?;
    let begun = fold.fold().version();
    if begun < wanted {
        reader.read(&subject, begun, until, PAGE, |version, entry| {
            if version > wanted {
                return Ok(ControlFlow::Break(()));
            }
            fold.apply(version, &entry.payload).map_err(|error| error.context(format!("version {version}")))?;
            Ok(if version < wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    }
    let version = fold.fold().version();
    if let Some(At::Version(wanted)) = request.at
        && version < wanted
    {
        return Err(Error::invalid(format!(
            "{} {} has version {version}: there is no version {wanted} yet",
            request.aggregate_type, request.id
        )));
    }
    let found = StateFound {
        id: request.id.as_str().to_owned(),
        version: version.0,
        state: fold.fold().state()?,
        folded: request.at.is_some().then(|| fold.folded()),
        left_out: Some(fold.left_out()).filter(|count| *count > 0),
    };
    // Where there is no journal, a reader makes no tables.
    if let Some(database) = keep_in.filter(|_| fold.folded() > 2 * KEPT_EVERY && subject.position.is_some()) {
        let kept =
            fold.into_kept(reader.rows()).and_then(|kept| states::keep(&mut *database.open(states::table()?)?, kept));
        if let Err(error) = kept {
            debug!(%error, "states were not kept; the next one who asks folds them again");
        }
    }
    Ok(found)
}

/// An event as it is told, decoded with the schema that it was written with.
///
/// # Errors
/// `Data` when it cannot be decoded, `Unavailable` when its schema cannot be had.
pub(crate) fn event_found(environment: &Environment, version: Version, entry: Entry) -> Result<EventFound> {
    let schemas = &environment.schemas;
    let decoded = schemas.with_schema(|| schemas.to_json(&entry.payload));
    let (record, event) = decoded.map_err(|error| error.context(format!("version {version}")))?;
    Ok(EventFound {
        version: version.0,
        record,
        event,
        occurred: rfc3339(TimestampMs(entry.occurred_ms)),
        recorded: rfc3339(TimestampMs(entry.recorded_ms)),
        id: format!("{}/{}", entry.command, entry.event_index),
        command: entry.command,
        correlation: entry.correlation,
        causation: entry.causation,
        source: entry.source,
        partition: entry.partition,
        offset: entry.offset,
        trace: entry.trace,
    })
}
