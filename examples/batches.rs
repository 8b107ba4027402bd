//! Sends many commands with a bounded number in flight, and reads their
//! replies in the same order.
//!
//! `cargo run --example batches`; with `FACTUM_KAFKA=HOST:PORT` on Kafka.
#![allow(clippy::print_stdout)] // an example shows what it does

#[path = "bank/mod.rs"]
mod bank;

use bank::{Account, Bank, Command, Deposit, Withdraw};
use factum::{Reply, Result, TypedClient, to};

const COMMANDS: u64 = 10_000;

fn main() -> Result<()> {
    let bank = Bank::open()?;
    // Other accounts in each run: on Kafka the log outlives the program.
    let run = uuid::Uuid::new_v4();
    let client: TypedClient<Account> = bank.environment.client()?;

    // The iterator is read as commands are sent: it may be longer than memory.
    let commands = (0..COMMANDS).map(|n| {
        let account = format!("{run}-{}", n % 100);
        to(
            account,
            if n % 10 == 9 { Command::from(Withdraw { cents: 1_000_000 }) } else { Deposit { cents: 1 }.into() },
        )
    });
    let (mut accepted, mut refused) = (0, 0);
    for reply in client.send_all(commands) {
        match reply? {
            Reply::Accepted(_) => accepted += 1,
            Reply::Refused(_) => refused += 1,
            other => println!("{other:?}"),
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert_eq!((accepted, refused), (9_000, 1_000));

    // Two at a time, by hand: each reply is asked for when it is needed.
    let first = client.submit(to(format!("{run}-a"), Deposit { cents: 1 }))?;
    let second = client.submit(to(format!("{run}-b"), Deposit { cents: 1 }))?;
    assert!(matches!((first.wait()?, second.wait()?), (Reply::Accepted(_), Reply::Accepted(_))));
    bank.close()
}

#[test]
fn it_runs() {
    main().unwrap();
}
