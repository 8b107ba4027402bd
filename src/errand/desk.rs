//! The process that holds the log does errands for others.

use super::{
    Errand, Here,
    lines::{Asked, Line, MAX_ID_BYTES, PATH, STOP, Stopping, name_of},
    watched::watched,
};
use crate::host::Stop;
use axum::{
    Json, Router,
    extract::State,
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

/// The most errands at a time.
const MAX_ERRANDS: usize = 16;

/// Takes the errands of other processes. One ends when its asker goes away.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    here: Arc<Here>,
    /// What is being done, by the asker's id, and what ends it.
    running: Arc<Mutex<BTreeMap<String, (&'static str, Stop)>>>,
    /// Ends all of it.
    serving: Stop,
}

/// An errand that is being done.
struct Running<'a> {
    desk: &'a Desk,
    id: &'a str,
    stop: Stop,
}

impl Desk {
    /// Has them done there, until `serving` says that they end.
    pub(crate) fn new(here: Here, serving: &Stop) -> Self {
        Desk { here: Arc::new(here.for_others()), running: Arc::default(), serving: serving.clone() }
    }

    /// The paths of these errands, each of them added by [`taking`].
    pub(crate) fn router(self, errands: Router<Desk>) -> Router {
        errands.route(&format!("/{PATH}/{STOP}"), post(stop)).with_state(self)
    }

    fn fulfil<E: Errand>(&self, asked: &Asked<E>, lines: &Lines) -> Result<E::Done> {
        let ours = name_of(self.here.database());
        if let Some(views) = asked.views.as_ref().filter(|views| **views != ours) {
            return Err(Error::invalid(format!(
                "--views names {views}, and the process that holds the log keeps its views in {ours}: leave --views \
                 out, or end that process first"
            )));
        }
        let running = self.begin::<E>(&asked.id)?;
        let end_it = || {
            if lines.are_unread() || self.serving.is_stopped() {
                running.stop.stop();
            }
        };
        let mut tell = |told| {
            let said_again = E::is_said_again(&told);
            let line = text(&Line::<E::Told, ()>::Told(told));
            if said_again { lines.offer(&line) } else { lines.send(&line) }
        };
        watched(end_it, || asked.errand.run(&self.here, &running.stop, &mut tell))?
    }

    /// Notes that something is being done.
    fn begin<'a, E: Errand>(&'a self, id: &'a str) -> Result<Running<'a>> {
        if id.len() > MAX_ID_BYTES {
            return Err(Error::invalid(format!("an errand's id has at most {MAX_ID_BYTES} bytes")));
        }
        let mut running = self.running();
        if running.contains_key(id) {
            return Err(Error::invalid(format!("errand {id} is being done: give this one an id of its own")));
        }
        if running.len() >= MAX_ERRANDS {
            return Err(Error::unavailable(format!(
                "{MAX_ERRANDS} requests of other processes are under way: try again when one has ended"
            )));
        }
        if E::IS_ALONE && running.values().any(|(name, _)| *name == E::NAME) {
            return Err(Error::unavailable("somebody else asks for the same at the moment: try again later"));
        }
        let stop = Stop::default();
        running.insert(id.to_owned(), (E::NAME, stop.clone()));
        Ok(Running { desk: self, id, stop })
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, (&'static str, Stop)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.desk.running().remove(self.id);
    }
}

/// Adds the path of an errand.
pub(crate) fn taking<E: Errand>(router: Router<Desk>) -> Router<Desk> {
    router.route(&format!("/{PATH}/{}", E::NAME), post(take::<E>))
}

async fn take<E: Errand>(State(desk): State<Desk>, Json(asked): Json<Asked<E>>) -> Response {
    let answered = in_lines(E::NAME, move |lines| {
        let last: Line<(), E::Done> = match desk.fulfil(&asked, lines) {
            Ok(done) => Line::Done(done),
            Err(error) => Line::failed(&error),
        };
        lines.send(&text(&last));
    });
    // Without a thread nothing was begun.
    answered.unwrap_or_else(|error| (axum::http::StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response())
}

async fn stop(State(desk): State<Desk>, Json(asked): Json<Stopping>) -> Response {
    if let Some((_, stop)) = desk.running().get(&asked.id) {
        stop.stop();
    }
    text(&Line::<(), ()>::Done(())).into_response()
}

fn text(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap_or_else(|error| {
        warn!(%error, "an answer is no JSON");
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Database, MemoryDatabase, app};
    use serde::Deserialize;

    #[derive(Serialize, Deserialize)]
    struct Any;

    impl Errand for Any {
        const NAME: &'static str = "any";
        type Told = ();
        type Done = ();

        fn run(&self, _: &Here, _: &Stop, _: &mut dyn FnMut(())) -> Result<()> {
            Ok(())
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Alone;

    impl Errand for Alone {
        const NAME: &'static str = "alone";
        const IS_ALONE: bool = true;
        type Told = ();
        type Done = ();

        fn run(&self, _: &Here, _: &Stop, _: &mut dyn FnMut(())) -> Result<()> {
            Ok(())
        }
    }

    fn desk() -> Desk {
        let here = Here::without_log(Arc::new(app("shop")), Database::Memory(MemoryDatabase::new("views")));
        Desk::new(here, &Stop::default())
    }

    #[test]
    fn of_what_is_done_alone_there_is_one_at_a_time_and_others_go_on_beside_it() {
        let desk = desk();
        let first = desk.begin::<Alone>("first").unwrap();
        let refused = desk.begin::<Alone>("second").err().unwrap().to_string();
        assert!(refused.contains("somebody else asks for the same at the moment"), "{refused}");
        assert!(desk.begin::<Any>("another").is_ok());
        drop(first);
        assert!(desk.begin::<Alone>("second").is_ok());
    }

    #[test]
    fn so_many_errands_are_done_at_a_time_and_the_next_one_when_one_of_them_has_ended() {
        let desk = desk();
        let ids: Vec<String> = (0..MAX_ERRANDS).map(|number| number.to_string()).collect();
        let mut running: Vec<Running<'_>> = ids.iter().map(|id| desk.begin::<Any>(id).unwrap()).collect();
        let refused = |id: &str| desk.begin::<Any>(id).err().unwrap().to_string();
        assert!(refused("one more").contains("16 requests of other processes are under way"));
        assert!(refused("3").contains("errand 3 is being done"));
        assert!(refused(&"x".repeat(65)).contains("at most 64 bytes"));
        running.pop();
        assert!(desk.begin::<Any>("one more").is_ok());
    }
}
