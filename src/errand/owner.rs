//! Asking the process that holds the log.

use super::{
    Errand,
    lines::{Asked, Line, PATH, STOP, Stopping, name_of},
    watched::watched,
};
use crate::{
    host::Stop,
    service::{RemoteService, error_of},
};
use factum_core::{Error, Result};
use factum_views::Database;
use std::{fmt, net::SocketAddr, ops::ControlFlow};
use uuid::Uuid;

/// The process that holds the embedded log.
#[derive(Debug)]
pub(crate) struct AtOwner {
    service: RemoteService,
    address: SocketAddr,
    views: Option<String>,
}

impl AtOwner {
    /// At that address; `views` is where the user says that they are.
    ///
    /// # Errors
    /// `Unavailable` when no HTTP client can be made.
    pub(crate) fn new(address: SocketAddr, views: Option<&Database>) -> Result<Self> {
        Ok(AtOwner { service: RemoteService::new(address)?, address, views: views.map(name_of) })
    }

    pub(super) fn ask<E: Errand>(&self, errand: E, stop: &Stop, tell: &mut dyn FnMut(E::Told)) -> Result<E::Done> {
        let asked = Asked { id: Uuid::new_v4().to_string(), views: self.views.clone(), errand };
        let stopping = Stopping { id: asked.id.clone() };
        let end_it = || {
            if stop.is_stopped() {
                // The errand's own answer tells what came of it, so what this is answered does not matter; if it
                // came before the errand itself, it is said again.
                let path = [PATH, STOP];
                let mut each = |_: Line<(), ()>| ControlFlow::Continue(());
                self.service.post_for_lines(&path, &stopping, &mut each).unwrap_or_default();
            }
        };
        watched(end_it, || self.read(&asked, tell))?
    }

    /// Reads lines up to the last one.
    fn read<E: Errand>(&self, asked: &Asked<E>, tell: &mut dyn FnMut(E::Told)) -> Result<E::Done> {
        let mut answer = None;
        let mut each = |line: Line<E::Told, E::Done>| {
            match line {
                Line::Told(told) => tell(told),
                Line::Done(done) => answer = Some(Ok(done)),
                Line::Failed { kind, detail } => answer = Some(Err(error_of(&kind, detail))),
            }
            ControlFlow::Continue(())
        };
        self.service.post_for_lines(&[PATH, E::NAME], asked, &mut each)?;
        answer.unwrap_or_else(|| {
            Err(Error::unavailable(
                "the process that holds the log ended before this was done; what it did stays, and the same command \
                 goes on",
            ))
        })
    }
}

impl fmt::Display for AtOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the process at {} that holds the log", self.address)
    }
}
