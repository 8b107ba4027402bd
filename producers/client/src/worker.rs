//! The client's thread: executes what the pure machine asks for.

use crate::{Pending, Request};
use factum_core::{
    CommandId, Partition, RecordBatch, Result, TimestampMs, Topics,
    client::{ClientConfig, ClientEffect, ClientMachine},
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
pub type AnswerDecoder = Box<dyn Fn(&[u8]) -> Result<Answer> + Send>;

/// Waiting for answers; a new request waits at most this long to be sent.
const POLL_WAIT: Duration = Duration::from_millis(1);
/// Waiting for a request while none is in flight.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Requests taken, and answers read, before the other is looked after.
const ROUND: usize = 1_000;

/// A request and where its answer goes.
#[derive(Debug)]
pub(crate) struct Message {
    request: Request,
    answer: SyncSender<Result<Answer>>,
}

impl Message {
    pub(crate) fn new(request: Request) -> (Self, Pending) {
        let (answer, receiver) = sync_channel(1);
        (Message { request, answer }, Pending(receiver))
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
            match self.machine.submit(id, now, TimestampMs(now.0 + timeout)) {
                Ok(()) => drop(self.waiting.insert(id, message)),
                Err(error) => tell(&message.answer, Err(error)),
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
                        write(&message.request, &self.topics, self.partitions, &self.reply_to, &mut self.outbox);
                        ids.push(id);
                    }
                }
                ClientEffect::Resolve(id, result) => {
                    if let Some(message) = self.waiting.remove(&id) {
                        tell(&message.answer, result);
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
        write(&message.request, &self.topics, self.partitions, &self.reply_to, &mut self.outbox);
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
            if let (Ok(index), Err(error)) = (found, delivery.result) {
                self.machine.failed(self.sent[index].1, error);
            }
        }
        // Reports come about in order; what is long behind will not fail any more.
        let settled = self.sent.len().saturating_sub(self.producer.in_flight() + ROUND);
        self.sent.drain(..settled);
    }
}

fn write(request: &Request, topics: &Topics, partitions: u32, reply_to: &str, into: &mut RecordBatch) {
    let key = request.aggregate.as_str().as_bytes();
    let mut record = into.start(&topics.commands, partition_of(key, partitions));
    record.key(key);
    record.value(&request.value);
    record.header(header::ID, request.id.to_string().as_bytes());
    record.header(header::REPLY_TO, reply_to.as_bytes());
    if let Some(version) = request.expected_version {
        record.header(header::EXPECTED_VERSION, version.to_string().as_bytes());
    }
    if let Some(time) = request.occurred.and_then(rfc3339) {
        record.header(header::TIME, time.as_bytes());
    }
    if let Some(correlation) = request.correlation {
        record.header(header::CORRELATION_ID, correlation.to_string().as_bytes());
    }
    record.finish();
}

fn rfc3339(time: TimestampMs) -> Option<String> {
    jiff::Timestamp::from_millisecond(time.0).ok().map(|time| time.to_string())
}

fn tell(answer: &SyncSender<Result<Answer>>, result: Result<Answer>) {
    // A requester that no longer waits has dropped its end.
    answer.try_send(result).unwrap_or_default();
}

fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
