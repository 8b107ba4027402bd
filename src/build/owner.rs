//! Asking the process that holds the log.

use super::{
    BuildRequest, Built, Listed, Tables, Told,
    lines::{Asked, Line, Wish, name_of},
};
use crate::{
    host::Stop,
    service::{RemoteService, error_of},
};
use factum_core::{Error, Result};
use factum_views::Database;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    net::SocketAddr,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use uuid::Uuid;

/// Between two looks at whether to end.
const LOOK: Duration = Duration::from_millis(50);

/// The tables of the process that holds the embedded log.
#[derive(Debug)]
pub(crate) struct AtOwner {
    service: RemoteService,
    views: Option<String>,
}

impl AtOwner {
    /// At that address; `views` is where the user says that they are.
    ///
    /// # Errors
    /// `Unavailable` when no HTTP client can be made.
    pub(crate) fn new(address: SocketAddr, views: Option<&Database>) -> Result<Self> {
        Ok(AtOwner { service: RemoteService::new(address)?, views: views.map(name_of) })
    }

    fn ask<T: DeserializeOwned>(
        &self,
        view: &str,
        wish: Wish,
        stop: &Stop,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<T> {
        let asked = Asked { id: Uuid::new_v4().to_string(), views: self.views.clone(), wish };
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    if stop.is_stopped() {
                        // The request's own answer tells what came of it, so what this is answered does not
                        // matter; if it came before the request itself, it is said again.
                        let wish = Asked { id: asked.id.clone(), views: None, wish: Wish::Stop };
                        self.read::<()>(view, &wish, &mut |_| {}).unwrap_or_default();
                    }
                    std::thread::sleep(LOOK);
                }
            });
            let answer = self.read(view, &asked, tell);
            is_over.store(true, Ordering::Relaxed);
            answer
        })
    }

    /// Reads lines up to the last one.
    fn read<T: DeserializeOwned>(
        &self,
        view: &str,
        asked: &impl Serialize,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<T> {
        let mut answer = None;
        self.service.post_for_lines(&["views", view, "tables"], asked, &mut |line: Line<T>| {
            match line {
                Line::Progress(progress) => tell(Told::Progress(&progress)),
                Line::Note(note) => tell(Told::Note(&note)),
                Line::Done(done) => answer = Some(Ok(done)),
                Line::Failed { kind, detail } => answer = Some(Err(error_of(&kind, detail))),
            }
            ControlFlow::Continue(())
        })?;
        answer.unwrap_or_else(|| {
            Err(Error::unavailable(
                "the process that holds the log ended before this was done; what it built stays, and the same command \
                 goes on",
            ))
        })
    }
}

impl Tables for AtOwner {
    fn list(&self, view: &str) -> Result<Listed> {
        self.ask(view, Wish::List, &Stop::default(), &mut |_| {})
    }

    fn roll_back(&self, view: &str) -> Result<()> {
        self.ask(view, Wish::RollBack, &Stop::default(), &mut |_| {})
    }

    fn drop_tables(&self, view: &str, suffix: &str) -> Result<String> {
        self.ask(view, Wish::Drop { suffix: suffix.to_owned() }, &Stop::default(), &mut |_| {})
    }

    fn build(&self, view: &str, request: &BuildRequest, stop: &Stop, tell: &mut dyn FnMut(Told<'_>)) -> Result<Built> {
        self.ask(view, Wish::Build(request.clone()), stop, tell)
    }
}
