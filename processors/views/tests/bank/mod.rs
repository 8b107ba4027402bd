//! A bank's events on a log in memory, and a view of them.

use factum_core::{
    CommandId, DecodeError, Decoded, Error, Message, MessageCodec, Offset, Partition, Protections, RecordBatch, Result,
    Throttle, TimestampMs, Topic, TopicId, TopicPartition, Version,
    log::{Log, TopicSpec, TransactionOptions},
    view::{Claim, Commit, CommitOutcome, LoadRequest, Loaded, Recorded, Scope, Value, View, ViewTable},
    wire::EventHeader,
};
use factum_log_memory::MemoryLog;
use factum_views::{AroundSink, Query, Rows, Sink, SqliteRows, SqliteSink, ViewOptions, ViewRunner, ViewStatus};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

pub(crate) const ACCOUNTS: &str = "bank.account.events";
pub(crate) const CARDS: &str = "bank.card.events";

/// What a test waits for comes within this time, or never.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Deposited(i64),
    Charged { account: String, cents: i64 },
    Closed,
    Poison,
}

impl Message for Event {
    const RECORDS: &'static [&'static str] = &["Deposited", "Charged", "Closed", "Poison"];
    fn record(&self) -> usize {
        match self {
            Event::Deposited(_) => 0,
            Event::Charged { .. } => 1,
            Event::Closed => 2,
            Event::Poison => 3,
        }
    }
}

/// Text; a value that begins with `new ` needs a schema that has to be fetched.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextCodec {
    pub(crate) known: Arc<Mutex<BTreeSet<u32>>>,
}

pub(crate) const NEW_SCHEMA: u32 = 9;

impl MessageCodec<Event> for TextCodec {
    fn encode(&self, _: &Event, _: &mut Vec<u8>) -> Result<(), Error> {
        Err(Error::invalid("only read here"))
    }

    fn decode(&self, value: &[u8]) -> Result<Decoded<Event>, DecodeError> {
        let mut text = std::str::from_utf8(value).unwrap();
        if let Some(rest) = text.strip_prefix("new ") {
            if !self.known.lock().unwrap().contains(&NEW_SCHEMA) {
                return Err(DecodeError::UnknownSchema(NEW_SCHEMA));
            }
            text = rest;
        }
        match text.split(' ').collect::<Vec<_>>()[..] {
            ["deposited", cents] => Ok(Decoded::One(Event::Deposited(cents.parse().unwrap()))),
            ["charged", account, cents] => {
                Ok(Decoded::One(Event::Charged { account: account.into(), cents: cents.parse().unwrap() }))
            }
            ["closed"] => Ok(Decoded::One(Event::Closed)),
            ["poison"] => Ok(Decoded::One(Event::Poison)),
            _ => Err(DecodeError::UnknownRecord(text.into())),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) cents: i64,
    /// The event's name that is last in the alphabet.
    pub(crate) last: Option<String>,
}

/// The balance of each account, of deposits and of charges on its cards, and of the bank in `total`.
#[derive(Debug)]
pub(crate) struct Balances;

impl View for Balances {
    const NAME: &'static str = "balances";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = &["bank.account", "bank.card"];
    const SCOPE: Scope = Scope::Shared;
    type Event = Event;
    type Row = Balance;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        match &event.event {
            Event::Deposited(_) => vec![event.aggregate.to_string(), "total".into()],
            Event::Charged { account, .. } => vec![account.clone(), "total".into()],
            Event::Closed | Event::Poison => vec![event.aggregate.to_string()],
        }
    }

    fn fold(_: &str, row: Option<Balance>, event: &Recorded<Event>) -> Option<Balance> {
        let (cents, before) = row.map_or((0, None), |row| (row.cents, row.last));
        // No row depends on the order between partitions.
        let last = before.max(Some(event.event.record_name().to_owned()));
        match &event.event {
            Event::Deposited(more) => Some(Balance { cents: cents + more, last }),
            Event::Charged { cents: less, .. } => Some(Balance { cents: cents - less, last }),
            Event::Closed => None,
            Event::Poison => panic!("cannot digest this"),
        }
    }
}

pub(crate) fn place(topic: &str, partition: u32) -> TopicPartition {
    Topic::from(topic).partition(Partition(partition))
}

/// A log with the bank's topics and a clock that the test moves; it keeps the versions as a handler does.
pub(crate) struct Bank {
    pub(crate) log: MemoryLog,
    clock_ms: Arc<AtomicI64>,
    versions: BTreeMap<(String, String), u64>,
    commands: u32,
}

impl Bank {
    pub(crate) fn new(partitions: u32) -> Self {
        let clock_ms = Arc::new(AtomicI64::new(1_000_000));
        let clock = clock_ms.clone();
        let log = MemoryLog::new(Arc::new(move || TimestampMs(clock.load(Ordering::SeqCst))));
        let bank = Bank { log, clock_ms, versions: BTreeMap::new(), commands: 0 };
        bank.create(ACCOUNTS, partitions);
        bank.create(CARDS, 1);
        bank
    }

    pub(crate) fn create(&self, topic: &str, partitions: u32) {
        let settings = [("retention.ms".to_owned(), "-1".to_owned())].into();
        let spec = TopicSpec { topic: topic.into(), partitions, replication: None, settings };
        self.log.admin().unwrap().create_topics(&[spec]).unwrap();
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock_ms.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Events of one aggregate, caused by one command, in one transaction.
    pub(crate) fn write(&mut self, at: &TopicPartition, aggregate: &str, values: &[&str]) {
        let last = self.versions.entry((at.topic.to_string(), aggregate.into())).or_default();
        let first = *last + 1;
        *last += values.len() as u64;
        self.write_from(at, aggregate, first, values);
    }

    /// The same from a version on, whatever came before.
    pub(crate) fn write_from(&mut self, at: &TopicPartition, aggregate: &str, first: u64, values: &[&str]) {
        self.commands += 1;
        let mut batch = RecordBatch::new();
        for (value, index) in values.iter().zip(0u32..) {
            let mut record = batch.start(&at.topic, at.partition);
            record.key(aggregate.as_bytes());
            record.value(value.as_bytes());
            let header = EventHeader {
                version: Version(first + u64::from(index)),
                command: CommandId(u128::from(self.commands).to_be_bytes()),
                command_offset: Offset(self.commands.into()),
                index,
                size: u32::try_from(values.len()).unwrap(),
                occurred: TimestampMs(0),
                correlation: CommandId([0; 16]),
                cause: None,
                trace: None,
                source: "test",
            };
            header.write(&mut record);
            record.finish();
        }
        let id = format!("handler-{}", self.commands);
        let options = TransactionOptions { transactional_id: id, timeout: Duration::from_secs(60) };
        let mut producer = self.log.transactional_producer(&options).unwrap();
        producer.init().unwrap();
        producer.begin().unwrap();
        producer.produce(&batch).unwrap();
        producer.deliver(&mut Vec::new()).unwrap();
        producer.commit().unwrap();
    }

    /// Writes the last command's event once more, as a transaction that is torn might.
    #[allow(dead_code, reason = "not every test program does")]
    pub(crate) fn write_again(&mut self, at: &TopicPartition, aggregate: &str, version: u64, value: &str) {
        self.commands -= 1;
        self.write_from(at, aggregate, version, &[value]);
    }

    /// Every partition's end, past the last transaction's marker.
    pub(crate) fn ends(&self) -> Vec<(TopicPartition, Offset)> {
        let mut admin = self.log.admin().unwrap();
        let mut ends = Vec::new();
        for topic in [ACCOUNTS, CARDS] {
            for place in admin.partitions(&topic.into()).unwrap() {
                let end = admin.bounds(&place, factum_core::log::Isolation::ReadCommitted).unwrap().end;
                ends.push((place, end));
            }
        }
        ends
    }

    pub(crate) fn has_passed(&self, status: &ViewStatus) -> bool {
        let ends = self.ends();
        status.has_passed(ends.iter().map(|(place, end)| (place, *end)))
    }
}

/// A runner with what a test looks at.
pub(crate) struct Instance<V: View = Balances> {
    pub(crate) runner: ViewRunner<V, TextCodec>,
}

/// The runner's own clock is the system's: retries are paced by real time.
fn system_ms() -> TimestampMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    TimestampMs(i64::try_from(since.as_millis()).unwrap())
}

impl Instance {
    pub(crate) fn new(bank: &Bank, sink: impl Sink + 'static) -> Self {
        Self::protected(bank, sink, Protections::ALL)
    }

    /// The same with a sink that is opened already.
    #[allow(dead_code, reason = "not every test program opens its own")]
    pub(crate) fn boxed(bank: &Bank, sink: Box<dyn Sink>) -> Self {
        Self::over(bank, sink, Protections::ALL)
    }

    pub(crate) fn protected(bank: &Bank, sink: impl Sink + 'static, protections: Protections) -> Self {
        Self::over(bank, Box::new(sink), protections)
    }

    /// A static member with that name.
    #[allow(dead_code, reason = "not every test program has one")]
    pub(crate) fn named(bank: &Bank, sink: impl Sink + 'static, name: &str) -> Self {
        Self::with(bank, Box::new(sink), |options| ViewOptions { instance_id: Some(name.to_owned()), ..options })
    }

    /// One that takes no more than that.
    #[allow(dead_code, reason = "not every test program has one")]
    pub(crate) fn throttled(bank: &Bank, sink: impl Sink + 'static, throttle: Throttle) -> Self {
        Self::with(bank, Box::new(sink), |options| ViewOptions { throttle, ..options })
    }
}

impl<V: View<Event = Event>> Instance<V> {
    pub(crate) fn over(bank: &Bank, sink: Box<dyn Sink>, protections: Protections) -> Self {
        Self::with(bank, sink, |options| ViewOptions { protections, ..options })
    }

    fn with(bank: &Bank, sink: Box<dyn Sink>, change: impl FnOnce(ViewOptions) -> ViewOptions) -> Self {
        let codec = TextCodec::default();
        let known = codec.known.clone();
        let fetch = Arc::new(move |id| {
            known.lock().unwrap().insert(id);
            Ok(())
        });
        let ends_interval = Duration::ZERO;
        let options = change(ViewOptions { ends_interval, ..ViewOptions::new(fetch, system_ms) });
        Instance { runner: ViewRunner::start(Arc::new(bank.log.clone()), codec, sink, options).unwrap() }
    }

    pub(crate) fn status(&self) -> ViewStatus {
        self.runner.status().lock().unwrap().clone()
    }

    pub(crate) fn step(&mut self) {
        self.runner.step(Duration::from_millis(1)).unwrap();
    }

    /// Steps until the status is as wanted.
    pub(crate) fn until(&mut self, what: &str, mut wanted: impl FnMut(&ViewStatus) -> bool) {
        let start = Instant::now();
        loop {
            self.step();
            let status = self.status();
            if wanted(&status) {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "not {what}: {status:#?}");
        }
    }

    /// Steps until everything that is in the log was applied.
    pub(crate) fn until_idle(&mut self, bank: &Bank) {
        self.until("at the ends", |status| bank.has_passed(status));
    }
}

/// The rows as `key=cents`.
pub(crate) fn balances(rows: &dyn Rows) -> String {
    balances_in(rows, &table())
}

/// The same in a table beside the live one.
pub(crate) fn balances_in(rows: &dyn Rows, table: &ViewTable) -> String {
    let page = rows.page(&Query::new(table).limited(1_000).unwrap()).unwrap();
    let rows = page.rows.iter().map(|row| match &row[..] {
        [Value::Text(key), Value::Integer(cents), ..] => format!("{key}={cents}"),
        other => panic!("not a key and an integer: {other:?}"),
    });
    rows.collect::<Vec<_>>().join(" ")
}

pub(crate) fn table() -> ViewTable {
    ViewTable::of::<Balances>().unwrap()
}

/// Opens the view's tables; a test that meets a lock does not wait for it long.
pub(crate) fn sqlite(directory: &Path) -> SqliteSink {
    SqliteSink::open_with(&directory.join("views.db"), table(), Duration::from_millis(1)).unwrap()
}

/// The rows in those tables.
pub(crate) fn sqlite_rows(directory: &Path) -> SqliteRows {
    SqliteRows::new(&directory.join("views.db"))
}

/// A sink that does something else, once, between a batch's load and its commit.
pub(crate) struct Interrupted<S> {
    pub(crate) sink: S,
    pub(crate) between: Option<Box<dyn FnOnce() + Send>>,
}

impl<S: Sink> std::fmt::Debug for Interrupted<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.sink.fmt(f)
    }
}

impl<S: Sink> AroundSink for Interrupted<S> {
    fn within<R>(&mut self, ask: impl FnOnce(&mut dyn Sink) -> Result<R>) -> Result<R> {
        ask(&mut self.sink)
    }
}

impl<S: Sink> Sink for Interrupted<S> {
    fn database_id(&self) -> &str {
        self.sink.database_id()
    }

    fn table(&self) -> &ViewTable {
        self.sink.table()
    }

    fn claim(&mut self, place: &TopicPartition, topic_id: TopicId) -> Result<Claim> {
        self.sink.claim(place, topic_id)
    }

    fn load(&mut self, request: &LoadRequest) -> Result<Loaded> {
        let loaded = self.sink.load(request)?;
        if let Some(between) = self.between.take() {
            between();
        }
        Ok(loaded)
    }

    fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome> {
        self.sink.commit(commit)
    }

    fn rollback(&mut self) -> Result<()> {
        self.sink.rollback()
    }
}
