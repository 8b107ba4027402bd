//! Commands sent from within the test process.

use crate::{
    process::{DEADLINE, until},
    site::{BANK, Site},
};
use factum::{
    AggregateId, Result,
    client::ClientConfig,
    environment::Environment,
    host::{AggregateHost, CommandEncoder, Typed},
    send::{self, Client, Outgoing, Request, Tally},
    wire::AnswerCode,
};
use factum_bank::Account;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::JoinHandle,
};

/// A command of one field: for whom, which, how many cents.
pub(crate) type Order = (String, &'static str, i64);

/// A command of any fields: for whom, which, its fields.
pub(crate) type Fields = (String, &'static str, Value);

/// Sends orders and waits for their answers.
pub(crate) fn send(environment: &Environment, orders: &[Order]) -> Result<Tally> {
    send_fields(environment, fields(orders))
}

/// The same of commands with any fields.
pub(crate) fn send_fields(environment: &Environment, commands: Vec<Fields>) -> Result<Tally> {
    send_by(&send::connect(environment, BANK)?, environment, commands)
}

/// The same by a client that never repeats a command: once all are answered, nothing is on its way to the log.
pub(crate) fn send_once(environment: &Environment, orders: &[Order]) -> Result<Tally> {
    let never = i64::try_from(2 * DEADLINE.as_millis()).expect("two deadlines are no era");
    let config = ClientConfig { retry_after_ms: never, max_retry_after_ms: never, ..ClientConfig::default() };
    let client = Client::connect(&*environment.log, environment.topics(BANK), &environment.schemas, config)?;
    send_by(&client, environment, fields(orders))
}

fn send_by(client: &Client, environment: &Environment, commands: Vec<Fields>) -> Result<Tally> {
    let encode = Typed::<Account>::default().encoder(environment)?;
    send::send_all(client, commands.into_iter().map(|command| request(&encode, command)), |_| {})
}

fn fields(orders: &[Order]) -> Vec<Fields> {
    orders.iter().map(|(account, record, cents)| (account.clone(), *record, json!({ "cents": cents }))).collect()
}

fn request(encode: &CommandEncoder, (account, record, fields): Fields) -> Result<Request> {
    let command = Outgoing {
        id: None,
        aggregate: AggregateId::new(account)?,
        record: record.to_owned(),
        fields,
        occurred: None,
        expected_version: None,
    };
    send::request(encode, &command, DEADLINE)
}

/// The same on a thread of its own.
pub(crate) fn send_aside(site: &Site, orders: Vec<Order>) -> JoinHandle<Result<Tally>> {
    let environment = site.environment();
    std::thread::spawn(move || send(&environment, &orders))
}

/// The same commands, round after round.
#[derive(Debug)]
pub(crate) struct Traffic {
    rounds: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How many accounts get a deposit in each round.
pub(crate) const ACCOUNTS: usize = 20;

impl Traffic {
    /// Deposits of one cent each to the same accounts.
    pub(crate) fn start(site: &Site) -> Self {
        let deposits = || accounts().map(|account| (account, "Deposit", json!({ "cents": 1 }))).collect();
        Self::of(site, deposits, vec![(AnswerCode::Accepted, ACCOUNTS as u64)])
    }

    /// The commands of each round, and how often each answer is to come.
    pub(crate) fn of(site: &Site, round: fn() -> Vec<Fields>, expected: Vec<(AnswerCode, u64)>) -> Self {
        let (rounds, stop) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (rounds, stop, environment) = (rounds.clone(), stop.clone(), site.environment());
            move || {
                let client = send::connect(&environment, BANK).unwrap();
                let encode = Typed::<Account>::default().encoder(&environment).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let requests = round().into_iter().map(|command| request(&encode, command));
                    let tally = send::send_all(&client, requests, |_| {}).unwrap();
                    for (code, count) in &expected {
                        assert_eq!(tally.count(*code), *count, "{code}: {tally}: {:?}", tally.samples);
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Traffic { rounds, stop, thread: Some(thread) }
    }

    /// Waits until some more rounds were answered, of which the first may have begun before.
    pub(crate) fn goes_on(&self) {
        let before = self.rounds.load(Ordering::Relaxed);
        until("commands are answered", || {
            assert!(self.thread.as_ref().is_some_and(|thread| !thread.is_finished()), "the sender failed");
            (self.rounds.load(Ordering::Relaxed) > before + 3).then_some(())
        });
    }

    /// Ends it; returns how many deposits every account got.
    pub(crate) fn end(mut self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("only the end takes it").join().unwrap();
        self.rounds.load(Ordering::Relaxed)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The accounts' ids.
pub(crate) fn accounts() -> impl Iterator<Item = String> {
    (0..ACCOUNTS).map(|number| format!("account-{number}"))
}
