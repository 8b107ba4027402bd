//! What the examples of the client share: a small bank whose handler runs in
//! the same process, on a log in memory or, with `FACTUM_KAFKA=HOST:PORT`, on Kafka.

use factum::{
    Aggregate, KafkaConfig, Result, command,
    environment::Environment,
    event,
    host::{AggregateHost, HandlerOptions, Running, Stop, Typed},
};
use std::fmt;

/// Puts money in.
#[command("example.account")]
pub(crate) struct Deposit {
    /// How much, in cents.
    pub(crate) cents: i64,
}

/// Takes money out.
#[command("example.account")]
pub(crate) struct Withdraw {
    /// How much, in cents.
    pub(crate) cents: i64,
}

/// What an account may be asked for.
#[command]
pub(crate) enum Command {
    /// Puts money in.
    Deposit(Deposit),
    /// Takes money out.
    Withdraw(Withdraw),
}

/// The balance changed.
#[event("example.account")]
pub(crate) struct Changed {
    /// By how much, in cents.
    pub(crate) cents: i64,
}

/// What happened to an account.
#[event]
pub(crate) enum Event {
    /// The balance changed.
    Changed(Changed),
}

/// A withdrawal that the balance does not cover. `Deserialize` lets a client read it.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Insufficient {
    /// The balance, in cents.
    pub(crate) balance: i64,
}

impl fmt::Display for Insufficient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are only {} cents", self.balance)
    }
}

/// An account.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
pub(crate) struct Account {
    balance: i64,
}

impl Aggregate for Account {
    const TYPE: &'static str = "example.account";
    const FOLD_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Insufficient;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Insufficient> {
        match command {
            Command::Deposit(Deposit { cents }) => Ok(vec![Changed { cents }.into()]),
            Command::Withdraw(Withdraw { cents }) if cents > self.balance => {
                Err(Insufficient { balance: self.balance })
            }
            Command::Withdraw(Withdraw { cents }) => Ok(vec![Changed { cents: -cents }.into()]),
        }
    }

    fn evolve(&mut self, Event::Changed(Changed { cents }): &Event) {
        self.balance += cents;
    }
}

/// The bank while it runs.
#[derive(Debug)]
pub(crate) struct Bank {
    /// The log and the schemas.
    pub(crate) environment: Environment,
    /// Ends what runs.
    pub(crate) stop: Stop,
    handler: Running,
}

impl Bank {
    /// Makes the topics and starts the handler.
    pub(crate) fn open() -> Result<Self> {
        let environment = match std::env::var("FACTUM_KAFKA") {
            Ok(brokers) => Environment::on_kafka(KafkaConfig::bootstrap(&brokers))?,
            Err(_) => Environment::in_memory(),
        };
        environment.create_topics(Account::TYPE, 4, None)?;
        let stop = Stop::default();
        let options = HandlerOptions::default();
        let (handler, _) = Typed::<Account>::default().start_handler(&environment, options, &stop)?;
        Ok(Bank { environment, stop, handler })
    }

    /// Ends the handler in good order.
    pub(crate) fn close(self) -> Result<()> {
        self.stop.stop();
        self.handler.join()
    }
}
