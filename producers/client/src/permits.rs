//! How many commands of a client are in flight.

use factum_core::{Error, Result};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the commands from their submission until their requester is told.
#[derive(Debug)]
pub(crate) struct Permits {
    in_flight: Arc<AtomicUsize>,
    max: usize,
}

/// A place in flight; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Permits {
    pub(crate) fn new(max: usize) -> Self {
        Permits { in_flight: Arc::default(), max }
    }

    /// The most that there are at a time.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Takes a place.
    ///
    /// # Errors
    /// `Unavailable` (overloaded) when there is none.
    pub(crate) fn take(&self) -> Result<Permit> {
        let more = |taken| (taken < self.max).then_some(taken + 1);
        match self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Permit(self.in_flight.clone())),
            Err(taken) => {
                Err(Error::unavailable(format!("overloaded: {taken} commands are in flight; try again later")))
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
