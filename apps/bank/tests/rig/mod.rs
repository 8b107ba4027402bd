//! The bank on the log in memory: the real codec, handler and client.

use factum::{
    AggregateId, Error, MemoryLog, Offset, Result, TimestampMs, Topic, Topics,
    environment::Environment,
    handler::Granted,
    host::{AggregateHost, HandlerOptions, Running, Stop, Typed},
    import::{Mapping, read_rows},
    log::Isolation,
    schemas::{MemoryRegistry, SchemaCache},
    send::{self, Client, Outgoing, Request, Tally},
    wire::{Answer, AnswerCode},
};
use factum_bank::Account;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// The mapping that the bank ships.
pub(crate) const MAPPING: &str = include_str!("../../import.toml");

/// The bank's aggregate type.
pub(crate) const BANK: &str = "bank.account";

/// Longer than anything here takes; a test that waits so long has failed.
const DEADLINE: Duration = Duration::from_secs(120);

/// A bank with a handler that runs.
pub(crate) struct Bank {
    pub(crate) environment: Environment,
    pub(crate) client: Client,
    pub(crate) stop: Stop,
    handler: Option<Running>,
}

impl Bank {
    /// An empty bank whose handler grants these permissions.
    pub(crate) fn open(granted: Granted) -> Self {
        let environment = Environment {
            log: Arc::new(MemoryLog::with_system_clock()),
            schemas: Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new()))),
            prefix: String::new(),
        };
        environment.create_topics(BANK, 6, None).unwrap();
        let stop = Stop::default();
        let options = HandlerOptions { granted, ..HandlerOptions::default() };
        let (handler, _) = Typed::<Account>::default().start_handler(&environment, options, &stop).unwrap();
        let client = send::connect(&environment, BANK).unwrap();
        Bank { environment, client, stop, handler: Some(handler) }
    }

    pub(crate) fn topics(&self) -> Topics {
        self.environment.topics(BANK)
    }

    /// A request with a command given as JSON.
    pub(crate) fn request(&self, account: &str, record: &str, fields: Value) -> Result<Request> {
        let encode = Typed::<Account>::default().encoder(&self.environment)?;
        let command = Outgoing {
            id: None,
            aggregate: AggregateId::new(account)?,
            record: record.to_owned(),
            fields,
            occurred: None::<TimestampMs>,
            expected_version: None,
        };
        send::request(&encode, &command, DEADLINE)
    }

    /// Sends a command and returns its answer.
    pub(crate) fn send(&self, account: &str, record: &str, fields: Value) -> Answer {
        self.client.send(self.request(account, record, fields).unwrap()).unwrap()
    }

    /// Deposits, which succeeds, and returns the account's version.
    #[track_caller]
    pub(crate) fn deposit(&self, account: &str, cents: i64) -> u64 {
        let answer = self.send(account, "Deposit", json!({ "cents": cents }));
        assert_eq!(answer.code, AnswerCode::Accepted, "{:?}", answer.detail);
        answer.version.0
    }

    /// Imports a file as the command line does.
    pub(crate) fn import(&self, csv: &[u8], mapping: &str) -> Result<Tally> {
        let rows = read_rows(csv, BANK, &Mapping::parse(mapping).map_err(Error::from)?).map_err(Error::from)?;
        send::import(&self.environment, &Typed::<Account>::default(), rows, DEADLINE, |_| {})
    }

    /// The end of each partition of a topic, control records included.
    pub(crate) fn ends(&self, topic: &Topic) -> Vec<Offset> {
        let mut admin = self.environment.log.admin().unwrap();
        let places = admin.partitions(topic).unwrap();
        places.iter().map(|place| admin.bounds(place, Isolation::ReadCommitted).unwrap().end).collect()
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.handler.take().expect("it is taken here only").join();
        // A second panic would hide the first one.
        assert!(thread::panicking() || ended.is_ok(), "the handler ended with {ended:?}");
    }
}

/// Asks until the answer is there.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}
