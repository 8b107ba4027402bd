//! The thread that cleans while the log is open.

use crate::disk::failed;
use factum_core::Result;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Does something again and again until it is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Only its end says something.
    alive: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start(every: Duration, work: impl Fn() + Send + 'static) -> Result<Self> {
        let (alive, ended) = sync_channel(0);
        let thread = thread::Builder::new().name("factum-log-keeper".to_owned()).spawn(move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                work();
            }
        });
        let thread = thread.map_err(|error| failed("start", "the thread that cleans the log", error))?;
        Ok(Keeper { alive: Some(alive), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that cleaned the log had panicked");
        }
    }
}
