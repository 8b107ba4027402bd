//! The client's thread: executes what the pure machine asks for.

use crate::{Request, permits::Permit};
use factum_core::{
    CommandId, Partition, RecordBatch, Result, TimestampMs, Topics,
    client::{ClientConfig, ClientEffect, ClientMachine, Fate, Until},
    log::{Delivery, Producer, Reader},
    partition_of,
    wire::{Answer, header},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tracing::debug;

/// Reads an answer's wire bytes.
pub(crate) type AnswerDecoder = Box<dyn Fn(&[u8]) -> Result<Answer> + Send>;

/// Waiting for answers; a new request waits at most this long to be sent.
const POLL_WAIT: Duration = Duration::from_millis(1);
/// Waiting for a request while none is in flight.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Requests taken, and answers read, before the other is looked after.
const ROUND: usize = 1_000;

/// A request and where its fate is told.
#[derive(Debug)]
pub(crate) struct Message {
    request: Request,
    until: Until,
    permit: Permit,
    fate: SyncSender<Result<Fate>>,
}

impl Message {
    pub(crate) fn new(request: Request, until: Until, permit: Permit) -> (Self, Receiver<Result<Fate>>) {
        let (fate, receiver) = sync_channel(1);
        (Message { request, until, permit, fate }, receiver)
    }

    /// Tells the requester; one that no longer waits has dropped its end.
    fn tell(self, result: Result<Fate>, topics: &Topics, partitions: u32) {
        let Request { id, aggregate, .. } = &self.request;
        let place = topics.commands.partition(partition_of(aggregate.as_str().as_bytes(), partitions));
        let result = result.map_err(|error| error.context(format_args!("command {id} for {aggregate} at {place}")));
        // First: the requester may send another command as soon as it knows.
        drop(self.permit);
        self.fate.try_send(result).unwrap_or_default();
    }
}

pub(crate) struct Worker {
    machine: ClientMachine,
    producer: Box<dyn Producer>,
    reader: Box<dyn Reader>,
    inbox: Receiver<Message>,
    decode: AnswerDecoder,
    topics: Topics,
    partitions: u32,
    reply_to: String,
    source: String,
    waiting: BTreeMap<CommandId, Message>,
    /// Records handed to the log, in the order of their sequence numbers.
    sent: VecDeque<(u64, CommandId)>,
    outbox: RecordBatch,
    deliveries: Vec<Delivery>,
}

impl Worker {
    #[allow(clippy::too_many_arguments)] // the parts of one object, put together once
    pub(crate) fn new(
        producer: Box<dyn Producer>,
        reader: Box<dyn Reader>,
        inbox: Receiver<Message>,
        config: ClientConfig,
        decode: AnswerDecoder,
        topics: Topics,
        partitions: u32,
        replies: Partition,
    ) -> Self {
        Worker {
            machine: ClientMachine::new(config),
            producer,
            reader,
            inbox,
            decode,
            topics,
            partitions,
            reply_to: replies.to_string(),
            source: source(),
            waiting: BTreeMap::new(),
            sent: VecDeque::new(),
            outbox: RecordBatch::new(),
            deliveries: Vec::new(),
        }
    }

    pub(crate) fn run(mut self, stop: &AtomicBool) {
        let mut answers = RecordBatch::new();
        while !stop.load(Ordering::Relaxed) {
            self.take_requests();
            self.machine.tick(now());
            self.execute();
            self.serve_deliveries();
            self.execute();
            if self.machine.in_flight() == 0 {
                continue;
            }
            answers.clear();
            if let Err(error) = self.reader.poll(ROUND, POLL_WAIT, &mut answers) {
                debug!(%error, "answers cannot be read at the moment");
                std::thread::sleep(IDLE_WAIT);
            }
            for record in answers.iter() {
                match (self.decode)(record.value().unwrap_or_default()) {
                    Ok(answer) => self.machine.answered(answer),
                    Err(error) => debug!(?record, %error, "an answer cannot be read"),
                }
            }
            self.execute();
        }
    }

    fn take_requests(&mut self) {
        let mut wait = if self.machine.in_flight() == 0 { IDLE_WAIT } else { Duration::ZERO };
        for _ in 0..ROUND {
            let message = match wait.is_zero() {
                true => self.inbox.try_recv().ok(),
                false => self.inbox.recv_timeout(wait).ok(),
            };
            wait = Duration::ZERO;
            let Some(message) = message else { return };
            let id = message.request.id;
            let now = now();
            let timeout = i64::try_from(message.request.timeout.as_millis()).unwrap_or(i64::MAX / 2);
            let deadline = TimestampMs(now.0.saturating_add(timeout));
            match self.machine.submit(id, &message.request.aggregate, message.until, now, deadline) {
                Ok(()) => drop(self.waiting.insert(id, message)),
                Err(error) => message.tell(Err(error), &self.topics, self.partitions),
            }
        }
    }

    fn execute(&mut self) {
        self.outbox.clear();
        let mut ids = Vec::new();
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                ClientEffect::Send(id) => {
                    if let Some(message) = self.waiting.get(&id) {
                        write(message, &self.topics, self.partitions, &self.reply_to, &self.source, &mut self.outbox);
                        ids.push(id);
                    }
                }
                ClientEffect::Resolve(id, result) => {
                    if let Some(message) = self.waiting.remove(&id) {
                        message.tell(result, &self.topics, self.partitions);
                    }
                }
            }
        }
        if ids.is_empty() {
            return;
        }
        match self.producer.produce(&self.outbox) {
            Ok(first) => self.sent.extend((first..).zip(ids)),
            // The log refuses one of them; which one shows when each is sent alone.
            Err(error) if ids.len() == 1 => self.machine.failed(ids[0], error),
            Err(_) => ids.into_iter().for_each(|id| self.send_alone(id)),
        }
    }

    fn send_alone(&mut self, id: CommandId) {
        let Some(message) = self.waiting.get(&id) else { return };
        self.outbox.clear();
        write(message, &self.topics, self.partitions, &self.reply_to, &self.source, &mut self.outbox);
        match self.producer.produce(&self.outbox) {
            Ok(sequence) => self.sent.push_back((sequence, id)),
            Err(error) => self.machine.failed(id, error),
        }
    }

    fn serve_deliveries(&mut self) {
        self.deliveries.clear();
        if let Err(error) = self.producer.poll(Duration::ZERO, &mut self.deliveries) {
            debug!(%error, "deliveries are not confirmed");
        }
        for delivery in self.deliveries.drain(..) {
            let found = self.sent.binary_search_by_key(&delivery.sequence, |(sequence, _)| *sequence);
            let Some((_, id)) = found.ok().and_then(|index| self.sent.get(index)) else { continue };
            match delivery.result {
                Ok(_) => self.machine.delivered(*id),
                Err(error) => self.machine.failed(*id, error),
            }
        }
        // Reports come about in order; what is long behind will not fail any more.
        let settled = self.sent.len().saturating_sub(self.producer.in_flight() + ROUND);
        self.sent.drain(..settled);
    }
}

/// Who sends the commands: the program, the client in it, and the version of Factum.
fn source() -> String {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_stem()).unwrap_or_default().to_string_lossy();
    // With what follows it is no longer than a source may be, whatever its letters are.
    let program: String = program.chars().take(24).collect();
    let client = uuid::Uuid::new_v4().simple().to_string();
    // Eight characters tell instances apart, as those of handlers do.
    format!("{program}/{}/{}", &client[..8], env!("CARGO_PKG_VERSION"))
}

fn write(message: &Message, topics: &Topics, partitions: u32, reply_to: &str, source: &str, into: &mut RecordBatch) {
    let request = &message.request;
    let key = request.aggregate.as_str().as_bytes();
    let mut record = into.start(&topics.commands, partition_of(key, partitions));
    record.key(key);
    record.value(&request.value);
    record.header(header::ID, request.id.to_string().as_bytes());
    record.header(header::SOURCE, source.as_bytes());
    if message.until == Until::Answered {
        record.header(header::REPLY_TO, reply_to.as_bytes());
    }
    if let Some(version) = request.expected_version {
        record.header(header::EXPECTED_VERSION, version.to_string().as_bytes());
    }
    if let Some(time) = request.occurred.and_then(rfc3339) {
        record.header(header::TIME, time.as_bytes());
    }
    if let Some(correlation) = request.correlation {
        record.header(header::CORRELATION_ID, correlation.to_string().as_bytes());
    }
    if let Some(cause) = request.cause {
        record.header(header::CAUSATION_ID, cause.to_string().as_bytes());
    }
    if let Some(trace) = request.trace {
        record.header(header::TRACEPARENT, trace.to_string().as_bytes());
    }
    record.finish();
}

fn rfc3339(time: TimestampMs) -> Option<String> {
    jiff::Timestamp::from_millisecond(time.0).ok().map(|time| time.to_string())
}

fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
