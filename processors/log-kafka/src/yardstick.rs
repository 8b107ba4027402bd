//! The reference that the handler is measured against: a bare loop of
//! consumer, closure and transactional producer, with no framework around it.
//!
//! It reads, decides, writes and commits exactly once, with the client
//! settings that were measured to matter, and does nothing else: no version
//! check, no window, no answers, no recovery, no care for rebalances. On a quiet
//! machine of two cores it reaches about 265 000 commands a second with 5 000
//! to a transaction; below 150 000 the settings are wrong.

use factum_core::{Error, ErrorKind, Result};
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{DeliveryResult, Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
    types::RDKafkaErrorCode,
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// What the loop works on: a backlog that lies there completely.
#[derive(Debug, Clone)]
pub struct Yardstick {
    /// The broker.
    pub bootstrap: String,
    /// The topic that is read, from its start, by a group of its own.
    pub commands: String,
    /// The topic that is written, with at least as many partitions; an event goes to its command's partition.
    pub events: String,
    /// A new name: the consumer group and the transactional id.
    pub group: String,
    /// How many commands there are.
    pub records: u64,
    /// How many commands go into one transaction, at most.
    pub transaction_records: usize,
    /// More settings of the consumer, by librdkafka's names; they win over the loop's own.
    pub consumer_settings: BTreeMap<String, String>,
    /// More settings of the producer.
    pub producer_settings: BTreeMap<String, String>,
}

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Commands read; each gave one event.
    pub records: u64,
    /// Transactions committed.
    pub transactions: u64,
    /// From the first command to the end of the last commit, in seconds.
    pub seconds: f64,
    /// CPU time of this whole process in that time, in seconds; none where the system does not tell (not Linux).
    pub cpu_seconds: Option<f64>,
}

/// The headers of the event that is being written.
#[derive(Debug)]
pub struct EventHeaders(Option<OwnedHeaders>);

impl EventHeaders {
    /// Makes room for `count` headers, so that adding them does not grow the list.
    pub fn reserve(&mut self, count: usize) {
        self.0 = Some(OwnedHeaders::new_with_capacity(count));
    }

    /// Adds a header.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        let headers = self.0.take().unwrap_or_else(|| OwnedHeaders::new_with_capacity(1));
        self.0 = Some(headers.insert(Header { key: name, value: Some(value) }));
    }
}

/// How long the loop waits for the next command or for the broker before it gives up.
const STALL: Duration = Duration::from_secs(30);
/// Between two looks at what is in flight: a `poll` with a time-out below 1 ms would spin.
const DELIVERY_PAUSE: Duration = Duration::from_micros(300);

impl Yardstick {
    /// Runs the loop. `step` takes a command's key and value and appends the event's value.
    ///
    /// # Errors
    /// `Unavailable` when the broker fails or 30 s pass without a command.
    pub fn run(&self, mut step: impl FnMut(&[u8], &[u8], &mut Vec<u8>)) -> Result<Measured> {
        self.run_loop(|message, event, _| {
            step(message.key().unwrap_or_default(), message.payload().unwrap_or_default(), event);
        })
    }

    /// The same for commands with a header `ce_id`; `headers` takes its value
    /// and the event's key, and adds the event's headers.
    ///
    /// # Errors
    /// As [`Yardstick::run`].
    pub fn run_with_headers(
        &self,
        mut step: impl FnMut(&[u8], &[u8], &mut Vec<u8>),
        mut headers: impl FnMut(&[u8], &[u8], &mut EventHeaders),
    ) -> Result<Measured> {
        self.run_loop(|message, event, event_headers| {
            let key = message.key().unwrap_or_default();
            step(key, message.payload().unwrap_or_default(), event);
            let id = message.headers().and_then(|all| all.iter().find(|header| header.key == "ce_id"));
            headers(id.and_then(|header| header.value).unwrap_or_default(), key, event_headers);
        })
    }

    fn run_loop(
        &self,
        mut step: impl FnMut(&rdkafka::message::BorrowedMessage<'_>, &mut Vec<u8>, &mut EventHeaders),
    ) -> Result<Measured> {
        let consumer: BaseConsumer = self.consumer()?;
        let producer: BaseProducer<Deliveries> = self.producer()?;
        let mut first: Option<(Instant, Option<f64>)> = None;
        let mut event = Vec::with_capacity(256);
        let (mut records, mut transactions) = (0, 0);
        while records < self.records {
            let mut positions: BTreeMap<i32, i64> = BTreeMap::new();
            let mut open = 0;
            while open < self.transaction_records && records < self.records {
                let message = self.next(&consumer)?;
                first.get_or_insert_with(|| (Instant::now(), cpu_seconds()));
                if open == 0 {
                    producer.begin_transaction().map_err(|e| self.failed("begin", e))?;
                }
                event.clear();
                let mut headers = EventHeaders(None);
                step(&message, &mut event, &mut headers);
                self.send(&producer, &message, &event, headers)?;
                positions.insert(message.partition(), message.offset() + 1);
                open += 1;
                records += 1;
            }
            self.drain(&producer)?;
            self.commit(&consumer, &producer, &positions)?;
            transactions += 1;
        }
        let failed = producer.context().failed.load(Ordering::Relaxed);
        if failed > 0 {
            return Err(Error::unavailable(format!("{failed} events of topic {} were not delivered", self.events)));
        }
        let (start, start_cpu) = first.unwrap_or_else(|| (Instant::now(), cpu_seconds()));
        Ok(Measured {
            records,
            transactions,
            seconds: start.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds().zip(start_cpu).map(|(end, start)| end - start),
        })
    }

    fn consumer(&self) -> Result<BaseConsumer> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            // A partition whose queue is full would not be fetched for a second.
            .set("fetch.queue.backoff.ms", "10");
        config.extend(self.consumer_settings.clone());
        let consumer: BaseConsumer = config.create().map_err(|e| self.failed("consumer", e))?;
        consumer.subscribe(&[&self.commands]).map_err(|e| self.failed("subscribe", e))?;
        Ok(consumer)
    }

    fn producer(&self) -> Result<BaseProducer<Deliveries>> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("transactional.id", &self.group)
            .set("transaction.timeout.ms", "10000")
            // It paces the retry that follows each commit (CONCURRENT_TRANSACTIONS).
            .set("retry.backoff.ms", "5");
        config.extend(self.producer_settings.clone());
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(Deliveries::default()).map_err(|e| self.failed("producer", e))?;
        producer.init_transactions(STALL).map_err(|e| self.failed("init", e))?;
        Ok(producer)
    }

    fn next<'c>(&self, consumer: &'c BaseConsumer) -> Result<rdkafka::message::BorrowedMessage<'c>> {
        let deadline = Instant::now() + STALL;
        loop {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => return Ok(message),
                Some(Err(e)) => return Err(self.failed("poll", e)),
                None if Instant::now() < deadline => {}
                None => return Err(Error::unavailable(format!("topic {} delivers nothing", self.commands))),
            }
        }
    }

    fn send(
        &self,
        producer: &BaseProducer<Deliveries>,
        message: &rdkafka::message::BorrowedMessage<'_>,
        event: &[u8],
        headers: EventHeaders,
    ) -> Result<()> {
        let mut record = BaseRecord::to(&self.events)
            .partition(message.partition())
            .key(message.key().unwrap_or_default())
            .payload(event);
        record.headers = headers.0;
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    producer.poll(Duration::from_millis(1));
                }
                Err((e, _)) => return Err(self.failed("produce", e)),
            }
        }
    }

    /// Serves every delivery report. A commit with messages in flight would take 100 ms.
    fn drain(&self, producer: &BaseProducer<Deliveries>) -> Result<()> {
        let deadline = Instant::now() + STALL;
        let mut in_flight = producer.in_flight_count();
        while in_flight > 0 {
            producer.poll(Duration::ZERO);
            let now = producer.in_flight_count();
            if now == in_flight {
                if Instant::now() > deadline {
                    return Err(Error::unavailable(format!(
                        "{now} events of topic {} are still in flight",
                        self.events
                    )));
                }
                std::thread::sleep(DELIVERY_PAUSE);
            }
            in_flight = now;
        }
        Ok(())
    }

    fn commit(
        &self,
        consumer: &BaseConsumer,
        producer: &BaseProducer<Deliveries>,
        positions: &BTreeMap<i32, i64>,
    ) -> Result<()> {
        let mut offsets = TopicPartitionList::with_capacity(positions.len());
        for (&partition, &offset) in positions {
            offsets
                .add_partition_offset(&self.commands, partition, Offset::Offset(offset))
                .map_err(|e| self.failed("offsets", e))?;
        }
        let member = consumer.group_metadata().ok_or_else(|| Error::invalid("the consumer is in no group"))?;
        producer.send_offsets_to_transaction(&offsets, &member, STALL).map_err(|e| self.failed("send offsets", e))?;
        producer.commit_transaction(STALL).map_err(|e| self.failed("commit", e))
    }

    fn failed(&self, what: &str, error: KafkaError) -> Error {
        Error::with_source(ErrorKind::Unavailable, format!("{what}, topic {} to {}", self.commands, self.events), error)
    }
}

/// Reads every delivery report, as the handler must, and counts the bad ones.
#[derive(Debug, Default)]
struct Deliveries {
    failed: AtomicU64,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The CPU time of this process, user and system; `/proc/self/stat` counts it in hundredths of a second (proc(5)).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(f64::from(ticks()? + ticks()?) / 100.0)
}
