//! The process that holds the log does it for others.

use super::{
    Here, Tables, Told,
    lines::{Asked, Line, Wish, name_of},
};
use crate::host::Stop;
use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::post,
};
use factum_core::{Error, Result};
use factum_gateway::{Lines, in_lines};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tracing::warn;

/// The most requests at a time. A view has one build at a time anyway.
const MAX_REQUESTS: usize = 16;

/// Answers the requests of other processes.
#[derive(Debug, Clone)]
struct Desk {
    here: Arc<Here>,
    /// What is being done, by the asker's id.
    running: Arc<Mutex<BTreeMap<String, Stop>>>,
    /// Ends all of it.
    serving: Stop,
}

/// The path `POST /views/{name}/tables`. What is asked there ends when its asker goes away, or `serving` says so.
pub(crate) fn router(here: Here, serving: &Stop) -> Router {
    let desk = Desk { here: Arc::new(here), running: Arc::default(), serving: serving.clone() };
    Router::new().route("/views/{name}/tables", post(tables)).with_state(desk)
}

async fn tables(State(desk): State<Desk>, Path(view): Path<String>, Json(asked): Json<Asked>) -> Response {
    let answered = in_lines("tables", move |lines| {
        let outcome = desk.answer(&view, &asked, lines);
        lines.send(&outcome.unwrap_or_else(|error| text(&Line::<()>::failed(&error))));
    });
    // Without a thread nothing was begun.
    answered.unwrap_or_else(|error| (axum::http::StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response())
}

impl Desk {
    /// The last line.
    fn answer(&self, view: &str, asked: &Asked, lines: &Lines) -> Result<String> {
        if let Wish::Stop = asked.wish {
            if let Some(stop) = self.running().get(&asked.id) {
                stop.stop();
            }
            return Ok(done(()));
        }
        let ours = name_of(self.here.database());
        if let Some(views) = asked.views.as_ref().filter(|views| **views != ours) {
            return Err(Error::invalid(format!(
                "--views names {views}, and the process that holds the log keeps its views in {ours}: leave --views \
                 out, or end that process first"
            )));
        }
        let stop = self.begin(&asked.id)?;
        let outcome = self.fulfil(view, &asked.wish, &stop, lines);
        self.running().remove(&asked.id);
        outcome
    }

    fn fulfil(&self, view: &str, wish: &Wish, stop: &Stop, lines: &Lines) -> Result<String> {
        let here = &*self.here;
        match wish {
            Wish::List => here.list(view).map(done),
            Wish::RollBack => here.roll_back(view).map(done),
            Wish::Drop { suffix } => here.drop_tables(view, suffix).map(done),
            Wish::Build(request) => {
                let built = here.build(view, request, stop, &mut |told| {
                    if lines.are_unread() || self.serving.is_stopped() {
                        stop.stop();
                    }
                    lines.offer(&text(&match told {
                        Told::Progress(progress) => Line::<()>::Progress(progress.clone()),
                        Told::Note(note) => Line::Note(note.to_owned()),
                    }));
                });
                built.map(done)
            }
            // Answered before anything began.
            Wish::Stop => Ok(done(())),
        }
    }

    /// Notes that something is being done.
    fn begin(&self, id: &str) -> Result<Stop> {
        let mut running = self.running();
        if running.len() >= MAX_REQUESTS {
            return Err(Error::unavailable(format!("{MAX_REQUESTS} requests for tables of views are under way")));
        }
        Ok(running.entry(id.to_owned()).or_default().clone())
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Stop>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn done(what: impl Serialize) -> String {
    text(&Line::Done(what))
}

fn text(line: &Line<impl Serialize>) -> String {
    serde_json::to_string(line).unwrap_or_else(|error| {
        warn!(%error, "an answer is no JSON");
        String::new()
    })
}
