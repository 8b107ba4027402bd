//! A payment for an order: received once, perhaps cancelled.

use crate::{Refusal, refused};
use factum::{Aggregate, command, event};

/// Money came in.
#[command("shop.payment")]
pub struct Receive {
    /// The order that it is for.
    pub order: String,
    /// How much.
    pub cents: i64,
}

/// The payment is taken back.
#[command("shop.payment")]
pub struct Cancel {}

/// What a payment may be asked for.
#[command]
pub enum Command {
    /// Money came in.
    Receive(Receive),
    /// It is taken back.
    Cancel(Cancel),
}

/// Money came in.
#[event("shop.payment")]
pub struct Received {
    /// The order that it is for.
    pub order: String,
    /// How much.
    pub cents: i64,
}

/// The payment was taken back. An order has a record of this name too, in its own namespace.
#[event("shop.payment")]
pub struct Cancelled {
    /// The order that it was for.
    pub order: String,
    /// How much.
    pub cents: i64,
}

/// What happened to a payment.
#[event]
pub enum Event {
    /// Money came in.
    Received(Received),
    /// It was taken back.
    Cancelled(Cancelled),
}

/// A payment.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
pub struct Payment {
    order: String,
    /// What is held; none before it came and after it was taken back.
    cents: Option<i64>,
}

impl Aggregate for Payment {
    const TYPE: &'static str = "shop.payment";
    const FOLD_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Refusal> {
        match (command, self.cents) {
            (Command::Receive(Receive { order, cents }), None) => Ok(vec![Received { order, cents }.into()]),
            (Command::Receive(_), Some(_)) => refused("it was received"),
            (Command::Cancel(_), Some(cents)) => Ok(vec![Cancelled { order: self.order.clone(), cents }.into()]),
            (Command::Cancel(_), None) => refused("there is nothing to take back"),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Received(Received { order, cents }) => {
                self.order.clone_from(order);
                self.cents = Some(*cents);
            }
            Event::Cancelled(_) => self.cents = None,
        }
    }
}
