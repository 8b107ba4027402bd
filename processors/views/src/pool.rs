//! A few connections for many threads.

use factum_core::{Error, Result};
use std::{
    fmt,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// At most so many connections; who finds none free waits for a while.
pub(crate) struct Pool<C> {
    slots: Mutex<Slots<C>>,
    freed: Condvar,
    size: usize,
    wait: Duration,
}

struct Slots<C> {
    idle: Vec<C>,
    lent: usize,
}

impl<C> Pool<C> {
    pub(crate) fn new(size: usize, wait: Duration) -> Self {
        Pool { slots: Mutex::new(Slots { idle: Vec::new(), lent: 0 }), freed: Condvar::new(), size, wait }
    }

    /// Runs with a connection, an idle one or a new one. One whose run failed is not used again.
    ///
    /// # Errors
    /// `Unavailable` when none becomes free in time; what `open` and `run` say.
    pub(crate) fn with<T>(&self, open: impl FnOnce() -> Result<C>, run: impl FnOnce(&mut C) -> Result<T>) -> Result<T> {
        let mut lent = Lent { pool: self, connection: self.take()? };
        let mut connection = match lent.connection.take() {
            Some(connection) => connection,
            None => open()?,
        };
        let outcome = run(&mut connection)?;
        lent.connection = Some(connection);
        Ok(outcome)
    }

    fn take(&self) -> Result<Option<C>> {
        let begun = Instant::now();
        let mut slots = self.lock();
        while slots.lent == self.size {
            let left = self.wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let size = self.size;
                return Err(Error::unavailable(format!(
                    "all {size} connections to the database are in use: ask again"
                )));
            }
            (slots, _) = self.freed.wait_timeout(slots, left).unwrap_or_else(PoisonError::into_inner);
        }
        slots.lent += 1;
        Ok(slots.idle.pop())
    }

    fn lock(&self) -> MutexGuard<'_, Slots<C>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot in use; whatever happens, it becomes free again.
struct Lent<'a, C> {
    pool: &'a Pool<C>,
    connection: Option<C>,
}

impl<C> Drop for Lent<'_, C> {
    fn drop(&mut self) {
        let mut slots = self.pool.lock();
        slots.lent -= 1;
        slots.idle.extend(self.connection.take());
        drop(slots);
        self.pool.freed.notify_one();
    }
}

impl<C> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_used_again_unless_its_run_failed() {
        let pool = Pool::new(1, Duration::ZERO);
        let mut opened = 0;
        let mut run = |outcome: Result<()>| {
            let open = || {
                opened += 1;
                Ok(opened)
            };
            pool.with(open, |connection| outcome.map(|()| *connection)).ok()
        };
        assert_eq!(run(Ok(())), Some(1));
        assert_eq!(run(Ok(())), Some(1));
        assert_eq!(run(Err(Error::unavailable("gone"))), None);
        assert_eq!(run(Ok(())), Some(2));
    }

    #[test]
    fn more_than_its_size_wait_and_are_told() {
        let pool: Pool<()> = Pool::new(1, Duration::from_millis(5));
        let open = || Ok(());
        let error = pool.with(open, |()| pool.with(open, |()| Ok(()))).unwrap_err();
        assert_eq!(error.to_string(), "all 1 connections to the database are in use: ask again");
        pool.with(open, |()| Ok(())).unwrap();
    }
}
