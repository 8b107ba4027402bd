//! The command client: sends commands and waits for their answers.
//!
//! What it is: a shell around the pure machine in `factum_core::client`. It
//! takes the log's interface, so it works on every log. One thread per client
//! owns the producer and the reader of its replies partition.
//!
//! What it is not: it knows no domain and no schema language; it is given the
//! command's wire bytes and a function that reads answers.
//!
//! Invariant: a command is only ever repeated under its own id, so the
//! handler's window answers a repeat with the first outcome.

mod request;
mod worker;

pub use request::{Pending, Request};
pub use worker::AnswerDecoder;

use factum_core::{
    Error, Partition, Result, Topics,
    client::ClientConfig,
    log::{Isolation, Log},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

/// A client for one aggregate type. Dropping it ends its thread; commands
/// without answer resolve with an error.
#[derive(Debug)]
pub struct Client {
    requests: SyncSender<worker::Message>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Connects, and waits until answers can be received.
    ///
    /// # Errors
    /// `Invalid` when the topics do not exist, else what the log says.
    pub fn connect(log: &dyn Log, topics: Topics, config: ClientConfig, decode: AnswerDecoder) -> Result<Self> {
        let mut admin = log.admin()?;
        let replies = admin.describe_topic(&topics.replies)?.ok_or_else(|| {
            Error::invalid(format!("topic {} does not exist; create it with `factum topics create`", topics.replies))
        })?;
        // Any partition will do; clients spread over them by chance.
        let partition = Partition(u32::from(uuid::Uuid::new_v4().as_bytes()[15]) % replies.partitions);
        let place = topics.replies.partition(partition);
        let end = admin.bounds(&place, Isolation::ReadUncommitted)?.end;
        let mut reader = log.reader(Isolation::ReadUncommitted)?;
        reader.add(&place, end)?;
        let (requests, inbox) = sync_channel(config.max_in_flight);
        let stop = Arc::new(AtomicBool::new(false));
        let worker =
            worker::Worker::new(log.producer()?, reader, inbox, config, decode, topics, replies.partitions, partition);
        let thread = std::thread::Builder::new()
            .name("factum-client".into())
            .spawn({
                let stop = stop.clone();
                move || worker.run(&stop)
            })
            .map_err(|error| Error::unavailable(format!("no thread for the client: {error}")))?;
        Ok(Client { requests, stop, thread: Some(thread) })
    }

    /// Sends a command and returns at once; the answer comes to the returned value.
    ///
    /// # Errors
    /// `Unavailable` (overloaded) when too many commands wait for an answer.
    pub fn submit(&self, request: Request) -> Result<Pending> {
        let (message, pending) = worker::Message::new(request);
        match self.requests.try_send(message) {
            Ok(()) => Ok(pending),
            Err(TrySendError::Full(_)) => {
                Err(Error::unavailable("overloaded: the client's queue is full; try again later"))
            }
            Err(TrySendError::Disconnected(_)) => Err(Error::unavailable("the client has ended")),
        }
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// `Unavailable` when there is no answer within the request's time-out
    /// (the command may have been handled or not), `Invalid` when the log refuses the record.
    pub fn send(&self, request: Request) -> Result<factum_core::wire::Answer> {
        self.submit(request)?.wait()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A client thread that panicked has nothing left to tell.
            thread.join().unwrap_or_default();
        }
    }
}

/// The default time that a request waits for its answer.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
