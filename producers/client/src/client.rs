//! The client of one aggregate type, below the domain's types.

use crate::{
    Answers, Pending, Request,
    permits::Permits,
    worker::{AnswerDecoder, Message, Worker},
};
use factum_core::{
    Error, Partition, Result, Topics,
    client::{ClientConfig, Fate, Until},
    log::{Isolation, Log},
    wire::Answer,
};
use factum_schemas::{AnswerCodec, SchemaCache};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

/// A client for one aggregate type whose commands are bytes already. Code that
/// has the domain's types uses [`TypedClient`](crate::TypedClient).
///
/// It may be shared by threads. Dropping it ends its thread; commands without
/// answer resolve with an error.
#[derive(Debug)]
pub struct Client {
    requests: SyncSender<Message>,
    permits: Permits,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Connects, and waits until answers can be received.
    ///
    /// # Errors
    /// `Invalid` when the topics do not exist, else what the log says.
    pub fn connect(log: &dyn Log, topics: Topics, schemas: &Arc<SchemaCache>, config: ClientConfig) -> Result<Self> {
        let (answers, cache) = (AnswerCodec::for_reading(schemas)?, schemas.clone());
        let decode: AnswerDecoder = Box::new(move |value| cache.with_schema(|| answers.decode(value)));
        let mut admin = log.admin()?;
        let replies = admin.describe_topic(&topics.replies)?.ok_or_else(|| {
            Error::invalid(format!(
                "topic {} does not exist; create it with `factum topics create {}`",
                topics.replies, topics.arguments
            ))
        })?;
        // Any partition will do; clients spread over them by chance.
        let partition = Partition(u32::from(uuid::Uuid::new_v4().as_bytes()[15]) % replies.partitions);
        let place = topics.replies.partition(partition);
        let end = admin.bounds(&place, Isolation::ReadUncommitted)?.end;
        let mut reader = log.reader(Isolation::ReadUncommitted)?;
        reader.add(&place, end)?;
        let (requests, inbox) = sync_channel(config.max_in_flight);
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker::new(log.producer()?, reader, inbox, config, decode, topics, replies.partitions, partition);
        let thread = std::thread::Builder::new()
            .name("factum-client".into())
            .spawn({
                let stop = stop.clone();
                move || worker.run(&stop)
            })
            .map_err(|error| Error::unavailable(format!("no thread for the client: {error}")))?;
        Ok(Client { requests, permits: Permits::new(config.max_in_flight), stop, thread: Some(thread) })
    }

    /// The most commands in flight.
    pub fn max_in_flight(&self) -> usize {
        self.permits.max()
    }

    /// Sends a command and returns at once; the answer comes to the returned value.
    ///
    /// # Errors
    /// `Unavailable` (overloaded) when too many commands wait for an answer.
    pub fn submit(&self, request: Request) -> Result<Pending> {
        let aggregate = request.aggregate.clone();
        Ok(Pending { aggregate, fate: self.enqueue(request, Until::Answered)? })
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// `Unavailable` when there is no answer within the request's time-out
    /// (the command may have been handled or not) or too many wait (then it was
    /// not sent), `Invalid` when the log refuses the record.
    pub fn send(&self, request: Request) -> Result<Answer> {
        self.submit(request)?.wait()
    }

    /// Sends a command and waits until the log has it. No answer is asked for.
    ///
    /// # Errors
    /// As [`Client::send`], where the log takes the place of the handler.
    pub fn fire_and_forget(&self, request: Request) -> Result<()> {
        match self.enqueue(request, Until::Delivered)?.recv() {
            Ok(told) => told.map(|_| ()),
            Err(_) => Err(Error::unavailable("the client ended before the log had the command")),
        }
    }

    /// Sends commands in their order, with a bounded number in flight, and
    /// gives their answers in the same order. Nothing is sent before the first
    /// answer is asked for.
    pub fn send_all<I: Iterator<Item = Result<Request>>>(&self, requests: I) -> Answers<'_, I> {
        Answers::new(self, requests)
    }

    fn enqueue(&self, request: Request, until: Until) -> Result<Receiver<Result<Fate>>> {
        let (message, fate) = Message::new(request, until, self.permits.take()?);
        match self.requests.try_send(message) {
            Ok(()) => Ok(fate),
            // The queue has room for every permit, so it is never full.
            Err(_) => Err(Error::unavailable("the client has ended")),
        }
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
