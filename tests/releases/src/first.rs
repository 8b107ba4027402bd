//! The first release: it wrote what the second one has to read.

use factum::{Aggregate, command, event};
use std::fmt;

/// Begins an account.
#[command("till.account")]
pub struct Open {
    /// Whose it is.
    pub owner: String,
}

/// Puts money in.
#[command("till.account")]
pub struct Deposit {
    /// How much.
    pub cents: i64,
}

/// Takes money out, for a fee.
#[command("till.account")]
pub struct Pay {
    /// How much.
    pub cents: i64,
}

/// Lets an account be overdrawn.
#[command("till.account")]
pub struct Limit {
    /// How far.
    pub euros: i64,
}

/// Notes that the owner came by.
#[command("till.account")]
pub struct Visit {}

/// What may be asked for.
#[command]
pub enum Command {
    /// See there.
    Open(Open),
    /// See there.
    Deposit(Deposit),
    /// See there.
    Pay(Pay),
    /// See there.
    Limit(Limit),
    /// See there.
    Visit(Visit),
}

/// An account began.
#[event("till.account")]
pub struct Opened {
    /// Whose it is.
    pub owner: String,
}

/// Money was put in.
#[event("till.account")]
pub struct Deposited {
    /// How much.
    pub cents: i64,
}

/// Money was taken out.
#[event("till.account")]
pub struct Paid {
    /// How much.
    pub cents: i64,
    /// What that cost.
    pub fee_cents: i64,
}

/// The account may be overdrawn.
#[event("till.account")]
pub struct Limited {
    /// How far.
    pub euros: i64,
}

/// The owner came by.
#[event("till.account")]
pub struct Visited {}

/// What happened.
#[event]
pub enum Event {
    /// See there.
    Opened(Opened),
    /// See there.
    Deposited(Deposited),
    /// See there.
    Paid(Paid),
    /// See there.
    Limited(Limited),
    /// See there.
    Visited(Visited),
}

/// There is nothing to refuse in the first release.
#[derive(Debug, serde::Serialize)]
pub enum Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// The first release counts money only.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
pub struct Account {
    /// What there is.
    pub cents: i64,
}

impl Aggregate for Account {
    const TYPE: &'static str = "till.account";
    const FOLD_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Refusal> {
        Ok(vec![match command {
            Command::Open(Open { owner }) => Opened { owner }.into(),
            Command::Deposit(Deposit { cents }) => Deposited { cents }.into(),
            Command::Pay(Pay { cents }) => Paid { cents, fee_cents: 1 }.into(),
            Command::Limit(Limit { euros }) => Limited { euros }.into(),
            Command::Visit(Visit {}) => Visited {}.into(),
        }])
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Deposited(deposited) => self.cents += deposited.cents,
            Event::Paid(paid) => self.cents -= paid.cents + paid.fee_cents,
            Event::Opened(_) | Event::Limited(_) | Event::Visited(_) => {}
        }
    }
}
