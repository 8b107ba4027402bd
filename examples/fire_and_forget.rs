//! Hands commands over to the log without waiting for what becomes of them.
//! An error means that the log may not have the command; a clone has the same
//! id, so sending it again is safe.
//!
//! `cargo run --example fire_and_forget`; with `FACTUM_KAFKA=HOST:PORT` on Kafka.
#![allow(clippy::print_stdout)] // an example shows what it does

#[path = "bank/mod.rs"]
mod bank;

use bank::{Account, Bank, Deposit, Withdraw};
use factum::{Result, TypedClient, to};

fn main() -> Result<()> {
    let bank = Bank::open()?;
    // Another account in each run: on Kafka the log outlives the program.
    let anna = format!("anna-{}", uuid::Uuid::new_v4());
    let client: TypedClient<Account> = bank.environment.client()?;

    client.fire_and_forget(to(&anna, Deposit { cents: 100 }))?;
    println!("the log has the deposit");

    // Nobody hears of this refusal.
    client.fire_and_forget(to(&anna, Withdraw { cents: 130 }))?;

    // The same command twice, as after an error: it is decided once.
    let deposit = to(&anna, Deposit { cents: 20 });
    client.fire_and_forget(deposit.clone())?;
    client.fire_and_forget(deposit)?;

    // A command that waits for its reply comes behind them, as it is for the same account.
    let accepted = client.send(to(&anna, Withdraw { cents: 120 }))?.accepted()?;
    println!("all of it was handled: version {}", accepted.version);
    assert_eq!(accepted.version.0, 3);
    bank.close()
}

#[test]
fn it_runs() {
    main().unwrap();
}
