//! Beside the process that holds the embedded log: that one reads it, and others ask.

use super::{Marked, Progress, Seen, Source, Written, find_writers};
use crate::{
    environment::Environment,
    host::Stop,
    service::{RemoteService, error_of},
};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use factum_core::{Error, Result, TimestampMs};
use factum_gateway::{Lines, in_lines};
use factum_schemas::Deprecation;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::ControlFlow,
    sync::{Arc, Mutex, TryLockError},
};
use tracing::warn;

/// Where it is asked.
const PATH: &str = "deprecated";
/// The most marks of a request, and the most topics.
const MAX_ASKED: usize = 1_000;

/// The body of `POST /deprecated`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    sources: Vec<Source>,
    since: Option<TimestampMs>,
    /// By the full name of their record.
    marks: Vec<(String, Deprecation)>,
}

/// A line of the answer; the last one is `Done` or `Failed`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Progress(Progress),
    /// Who wrote what the mark of this index is on. A line for each, so that lines stay short.
    Writers(usize, BTreeMap<String, Written>),
    Done(Seen),
    Failed {
        kind: String,
        detail: String,
    },
}

/// Has the process at `address` do what [`find_writers`] does.
///
/// # Errors
/// Those of [`find_writers`]; `Invalid` for too many marks; `Unavailable` when it was stopped, for a part of the
/// answer would look like all of it, or when the process does not answer.
pub(crate) fn ask_owner(
    address: SocketAddr,
    sources: &[Source],
    since: Option<TimestampMs>,
    marked: &mut [Marked],
    stop: &Stop,
    tell: &mut dyn FnMut(Progress),
) -> Result<Seen> {
    let marks = marked.iter().map(|marked| (marked.record.clone(), marked.mark.clone())).collect();
    let asked = Asked { sources: sources.to_vec(), since, marks };
    let mut outcome = None;
    RemoteService::new(address)?.post_for_lines(&[PATH], &asked, &mut |line: Line| {
        match line {
            Line::Progress(progress) => tell(progress),
            Line::Writers(mark, writers) => {
                if let Some(marked) = marked.get_mut(mark) {
                    marked.writers = writers;
                }
            }
            Line::Done(seen) => outcome = Some(Ok(seen)),
            Line::Failed { kind, detail } => outcome = Some(Err(error_of(&kind, detail))),
        }
        if stop.is_stopped() && outcome.is_none() {
            outcome = Some(Err(Error::unavailable("stopped before the log was read to its end")));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    outcome.unwrap_or_else(|| Err(Error::unavailable("the process that holds the log ended before it had read all")))
}

/// Answers the requests of other processes.
#[derive(Debug, Clone)]
struct Desk {
    environment: Environment,
    /// One at a time: each reads the whole log.
    reading: Arc<Mutex<()>>,
    /// Ends them.
    serving: Stop,
}

/// The path `POST /deprecated`. What is asked there ends when its asker goes away, or `serving` says so.
pub(crate) fn router(environment: Environment, serving: &Stop) -> Router {
    let desk = Desk { environment, reading: Arc::default(), serving: serving.clone() };
    Router::new().route(&format!("/{PATH}"), post(answer)).with_state(desk)
}

async fn answer(State(desk): State<Desk>, Json(asked): Json<Asked>) -> Response {
    let answered = in_lines(PATH, move |lines| {
        let last = desk.read(asked, lines).map_or_else(
            |error| Line::Failed { kind: error.kind().to_string(), detail: error.to_string() },
            Line::Done,
        );
        lines.send(&text(&last));
    });
    // Without a thread nothing was begun.
    answered.unwrap_or_else(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response())
}

impl Desk {
    /// Reads the log, and writes all lines but the last.
    fn read(&self, asked: Asked, lines: &Lines) -> Result<Seen> {
        let Asked { sources, since, marks } = asked;
        if marks.len().max(sources.len()) > MAX_ASKED {
            return Err(Error::invalid(format!(
                "{} marks and {} topics are asked for at once, the limit is {MAX_ASKED}: end the process that holds \
                 the log, and ask again",
                marks.len(),
                sources.len()
            )));
        }
        let _reading = match self.reading.try_lock() {
            // It guards nothing that a panic could have left half done.
            Ok(reading) => reading,
            Err(TryLockError::Poisoned(reading)) => reading.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::unavailable("somebody else asks for the same at the moment: try again later"));
            }
        };
        let marked = |(record, mark)| Marked { record, mark, writers: BTreeMap::new() };
        let mut marked: Vec<Marked> = marks.into_iter().map(marked).collect();
        let stop = Stop::default();
        let seen = find_writers(&self.environment, &sources, since, &mut marked, &stop, &mut |progress| {
            if lines.are_unread() || self.serving.is_stopped() {
                stop.stop();
            }
            lines.offer(&text(&Line::Progress(progress)));
        })?;
        if seen.is_stopped {
            return Err(Error::unavailable("the process that holds the log ended before it had read all"));
        }
        for (mark, marked) in marked.into_iter().enumerate() {
            lines.send(&text(&Line::Writers(mark, marked.writers)));
        }
        Ok(seen)
    }
}

fn text(line: &Line) -> String {
    serde_json::to_string(line).unwrap_or_else(|error| {
        warn!(%error, "an answer is no JSON");
        String::new()
    })
}
