//! Processors on threads of their own.

use factum_core::{Error, Result};
use std::{
    sync::{Arc, OnceLock},
    thread::JoinHandle,
};

/// A processor on its thread.
#[derive(Debug)]
pub struct Running {
    name: String,
    thread: JoinHandle<Result<()>>,
    failed: Arc<OnceLock<String>>,
}

impl Running {
    /// Runs `work` on a thread of that name.
    ///
    /// # Errors
    /// `Unavailable` when there is no thread to be had.
    pub fn spawn(name: &str, work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<Self> {
        let failed = Arc::new(OnceLock::new());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn({
                let failed = failed.clone();
                move || {
                    let result = work();
                    if let Err(error) = &result {
                        // The first failure is the one that counts.
                        failed.set(error.to_string()).unwrap_or_default();
                    }
                    result
                }
            })
            .map_err(|error| Error::unavailable(format!("no thread for {name}: {error}")))?;
        Ok(Running { name: name.to_owned(), thread, failed })
    }

    /// Why it ended, if it ended by itself.
    pub fn failure(&self) -> Option<String> {
        if let Some(failed) = self.failed.get() {
            return Some(format!("{}: {failed}", self.name));
        }
        self.thread.is_finished().then(|| format!("{} ended", self.name))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// What it ended with.
    pub fn join(self) -> Result<()> {
        match self.thread.join() {
            Ok(result) => result.map_err(|error| error.context(&self.name)),
            Err(_) => Err(Error::invalid(format!("{} panicked; its message is above", self.name))),
        }
    }
}
