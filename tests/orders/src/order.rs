//! An order: placed once, perhaps cancelled.

use crate::{Refusal, refused};
use factum::{Aggregate, command, event};

/// Places the order.
#[command("shop.order")]
pub struct Place {
    /// What it costs.
    pub cents: i64,
}

/// Cancels the order.
#[command("shop.order")]
pub struct Cancel {}

/// What an order may be asked for.
#[command]
pub enum Command {
    /// Places it.
    Place(Place),
    /// Cancels it.
    Cancel(Cancel),
}

/// The order was placed.
#[event("shop.order")]
pub struct Placed {
    /// What it costs.
    pub cents: i64,
}

/// The order was cancelled.
#[event("shop.order")]
pub struct Cancelled {
    /// What is not to be paid any more.
    pub cents: i64,
}

/// What happened to an order.
#[event]
pub enum Event {
    /// It was placed.
    Placed(Placed),
    /// It was cancelled.
    Cancelled(Cancelled),
}

/// An order.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
pub struct Order {
    cents: Option<i64>,
    cancelled: bool,
}

impl Aggregate for Order {
    const TYPE: &'static str = "shop.order";
    const FOLD_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Refusal> {
        match (command, self.cents) {
            (Command::Place(Place { cents }), None) => Ok(vec![Placed { cents }.into()]),
            (Command::Place(_), Some(_)) => refused("it is placed"),
            (Command::Cancel(_), Some(cents)) if !self.cancelled => Ok(vec![Cancelled { cents }.into()]),
            (Command::Cancel(_), _) => refused("there is nothing to cancel"),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Placed(Placed { cents }) => self.cents = Some(*cents),
            Event::Cancelled(_) => self.cancelled = true,
        }
    }
}
