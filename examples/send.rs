//! Sends commands and reads their replies: accepted, refused and in conflict
//! with an expected version; then waits until a view shows what was written.
//!
//! `cargo run --example send`; with `FACTUM_KAFKA=HOST:PORT` on Kafka.
#![allow(clippy::print_stdout)] // an example shows what it does

#[path = "bank/mod.rs"]
mod bank;

use bank::{Account, Bank, Deposit, Event, Insufficient, Withdraw};
use factum::{
    Database, ErrorKind, Reply, Result, TypedClient, Version,
    host::{TypedView, ViewHost},
    to,
    view::{Recorded, Value, View, view_topics},
    views::{Query, Tokens},
    wire::Token,
};
use std::time::Duration;

fn main() -> Result<()> {
    let bank = Bank::open()?;
    // Another account in each run: on Kafka the log outlives the program.
    let anna = format!("anna-{}", uuid::Uuid::new_v4());
    let client: TypedClient<Account> = bank.environment.client()?;

    // Only one kind of reply is good here, so the others become errors.
    let accepted = client.send(to(&anna, Deposit { cents: 100 }))?.accepted()?;
    println!("deposited: version {}", accepted.version);

    // An account that changes in between is not what we looked at: reload and decide again.
    let withdraw = to(&anna, Withdraw { cents: 30 }).expected_version(accepted.version);
    let accepted = client.send(withdraw.timeout(Duration::from_secs(10)))?.accepted()?;
    println!("withdrawn: version {}", accepted.version);
    match client.send(to(&anna, Withdraw { cents: 30 }).expected_version(Version(1)))? {
        Reply::Conflict(conflict) => println!("conflict: the account is at version {}", conflict.actual),
        other => return unexpected(other),
    }

    // A refusal is the domain's value, with the domain's type.
    match client.send(to(&anna, Withdraw { cents: 130 }))? {
        Reply::Refused(refused) => println!("refused: {}", refused.refusal()?),
        other => return unexpected(other),
    }

    // A clone has the same command id: it gets the first reply and is not decided again.
    let deposit = to(&anna, Deposit { cents: 50 });
    let first = client.send(deposit.clone())?;
    assert_eq!(client.send(deposit)?, first);

    // Read your writes: the token is text that another program can wait with.
    let token = first.accepted()?.token.map(|token| token.to_string()).unwrap_or_default();
    let folder = tempfile::tempdir().map_err(|error| factum::Error::unavailable(error.to_string()))?;
    let balance = balance_at(&bank, &Database::file(folder.path().join("views.sqlite")), &anna, token.parse()?)?;
    println!("the view at {token}: {balance} cents");
    assert_eq!(balance, 120);
    bank.close()
}

fn unexpected(reply: Reply<Insufficient>) -> Result<()> {
    Err(factum::Error::new(ErrorKind::Invalid, format!("not the reply that the example is about: {reply:?}")))
}

/// An account's balance in a view that has passed the token.
fn balance_at(bank: &Bank, database: &Database, account: &str, token: Token) -> Result<i64> {
    let view = TypedView::<Balances>::default();
    let (running, _) = view.start(&bank.environment, database, &bank.stop)?;
    let (rows, table, topics) = (database.rows(), view.table()?, view_topics::<Balances>());
    // The view says in its database how far it is, so it may as well run in another process.
    let passed = Tokens { table: &table, topics: &topics, tokens: &[token] }.wait(&*rows, Duration::from_secs(30));
    if let Some(failure) = running.failure() {
        return Err(factum::Error::invalid(failure));
    }
    passed?;
    let page = rows.page(&Query::of_key(&table, account).projected("balance")?)?;
    match page.rows.first().map(Vec::as_slice) {
        Some([Value::Integer(balance)]) => Ok(*balance),
        other => Err(factum::Error::invalid(format!("not the row of an account: {other:?}"))),
    }
}

/// A row for each account.
struct Balances;

/// The row of an account.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Balance {
    balance: i64,
}

impl View for Balances {
    const NAME: &'static str = "example_balances";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = &["example.account"];
    type Event = Event;
    type Row = Balance;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        vec![event.aggregate.to_string()]
    }

    fn fold(_account: &str, row: Option<Balance>, event: &Recorded<Event>) -> Option<Balance> {
        let Event::Changed(changed) = &event.event;
        Some(Balance { balance: row.map_or(0, |row| row.balance) + changed.cents })
    }
}

#[test]
fn it_runs() {
    main().unwrap();
}
