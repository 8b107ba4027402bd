//! What a verb has done where the log is: in this process, or in the one that
//! holds the embedded log, which is asked over HTTP and tells line by line how
//! it goes.
//!
//! An [`Errand`] says once what is done. [`Doer`] has it done: [`Here`], or
//! [`AtOwner`], where a [`Desk`] has a [`Here`] do it. So a verb says the same
//! beside a running process and without one.

mod desk;
mod here;
mod lines;
mod owner;
mod watched;

pub(crate) use desk::{Desk, taking};
pub(crate) use here::Here;
pub(crate) use owner::AtOwner;

use crate::host::Stop;
use factum_core::Result;
use serde::{Serialize, de::DeserializeOwned};

/// Something to be done where the log is. It comes from another process, so [`Errand::run`] checks all that it says.
pub(crate) trait Errand: Serialize + DeserializeOwned + Send + 'static {
    /// The last part of its path.
    const NAME: &'static str;

    /// Whether the process that holds the log does one of them at a time.
    const IS_ALONE: bool = false;

    /// What is heard while it is done.
    type Told: Serialize + DeserializeOwned;

    /// What came of it.
    type Done: Serialize + DeserializeOwned;

    /// Does it.
    ///
    /// # Errors
    /// What is wrong with it; what log, registry and database say; `Unavailable` when it was stopped before it was done.
    fn run(&self, here: &Here, stop: &Stop, tell: &mut dyn FnMut(Self::Told)) -> Result<Self::Done>;

    /// Whether a later word says it again, so that it may be left out where words are heard slowly.
    fn is_said_again(_: &Self::Told) -> bool {
        false
    }
}

/// Who does errands.
#[derive(Debug)]
pub(crate) enum Doer {
    /// This process.
    Here(Here),
    /// The process that holds the embedded log.
    AtOwner(AtOwner),
}

impl Doer {
    /// Has it done.
    ///
    /// # Errors
    /// Those of [`Errand::run`]; `Unavailable` when the other process does not answer or ends.
    pub(crate) fn run<E: Errand>(&self, errand: E, stop: &Stop, tell: &mut dyn FnMut(E::Told)) -> Result<E::Done> {
        match self {
            Doer::Here(here) => errand.run(here, stop, tell),
            Doer::AtOwner(owner) => owner.ask(errand, stop, tell),
        }
    }

    /// Has something done that tells nothing on the way and is not stopped.
    ///
    /// # Errors
    /// As of [`Doer::run`].
    pub(crate) fn ask<E: Errand<Told = ()>>(&self, errand: E) -> Result<E::Done> {
        self.run(errand, &Stop::default(), &mut |()| {})
    }

    /// The process that is asked, in words, if it is another one.
    pub(crate) fn other_process(&self) -> Option<String> {
        match self {
            Doer::Here(_) => None,
            Doer::AtOwner(owner) => Some(owner.to_string()),
        }
    }
}
