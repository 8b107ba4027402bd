//! A customer, who checks orders out.

use crate::Refusal;
use factum::{Aggregate, command, event};

/// The customer checks an order out.
#[command("shop.customer")]
pub struct CheckOut {
    /// The order.
    pub order: String,
    /// The name to write on it.
    pub name: String,
}

/// What a customer may ask for.
#[command]
pub enum Command {
    /// Checks an order out.
    CheckOut(CheckOut),
}

/// The customer checked an order out.
#[event("shop.customer")]
pub struct CheckedOut {
    /// The order.
    pub order: String,
    /// The name to write on it.
    pub name: String,
}

/// What happened to a customer.
#[event]
pub enum Event {
    /// An order was checked out.
    CheckedOut(CheckedOut),
}

/// A customer.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
pub struct Customer {
    orders: i64,
}

impl Aggregate for Customer {
    const TYPE: &'static str = "shop.customer";
    const FOLD_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, Command::CheckOut(CheckOut { order, name }): Command) -> Result<Vec<Event>, Refusal> {
        Ok(vec![CheckedOut { order, name }.into()])
    }

    fn evolve(&mut self, _: &Event) {
        self.orders += 1;
    }
}
