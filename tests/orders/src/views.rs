//! Views over the events of all three aggregate types.

use crate::{customer, order, payment};
use factum::{
    event,
    view::{Recorded, Scope, View},
};
use serde::{Deserialize, Serialize};

const INPUTS: &[&str] = &["shop.order", "shop.payment", "shop.customer"];

/// The events of orders, payments and customers that make the rows. Two of
/// these records are named `Cancelled`; their namespaces tell them apart.
#[event]
pub enum Event {
    /// An order was placed.
    Placed(order::Placed),
    /// An order was cancelled.
    OrderCancelled(order::Cancelled),
    /// Money came in.
    Received(payment::Received),
    /// A payment was taken back.
    PaymentCancelled(payment::Cancelled),
    /// A customer checked an order out.
    CheckedOut(customer::CheckedOut),
}

/// The order that an event is about.
fn order_of(event: &Recorded<Event>) -> String {
    match &event.event {
        Event::Placed(_) | Event::OrderCancelled(_) => event.aggregate.to_string(),
        Event::Received(payment) => payment.order.clone(),
        Event::PaymentCancelled(payment) => payment.order.clone(),
        Event::CheckedOut(order) => order.order.clone(),
    }
}

/// An order with its payments and its customer: a row by order.
#[derive(Debug)]
pub struct Overview;

/// A row of [`Overview`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What it costs; none until it is placed.
    pub cents: Option<i64>,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// What came in and was not taken back.
    pub paid_cents: i64,
    /// In how many payments.
    pub payments: i64,
    /// Who checked it out.
    pub customer: Option<String>,
    /// The name on it.
    pub name: Option<String>,
}

impl View for Overview {
    const NAME: &'static str = "orders";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = INPUTS;
    const SCOPE: Scope = Scope::Shared;
    type Event = Event;
    type Row = Summary;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        vec![order_of(event)]
    }

    fn fold(_: &str, row: Option<Summary>, event: &Recorded<Event>) -> Option<Summary> {
        let mut row = row.unwrap_or_default();
        match &event.event {
            Event::Placed(placed) => row.cents = Some(placed.cents),
            Event::OrderCancelled(_) => row.cancelled = true,
            Event::Received(payment) => {
                row.paid_cents += payment.cents;
                row.payments += 1;
            }
            Event::PaymentCancelled(payment) => {
                row.paid_cents -= payment.cents;
                row.payments -= 1;
            }
            Event::CheckedOut(order) => {
                row.customer = Some(event.aggregate.to_string());
                row.name = Some(order.name.clone());
            }
        }
        Some(row)
    }
}

/// The key of what is owed in all.
pub const TOTAL: &str = "total";

/// What is still to be paid: a row by order and one in all; what is settled has no row.
#[derive(Debug)]
pub struct Outstanding;

/// A row of [`Outstanding`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Owed {
    /// How much; below zero for what was paid before the order was placed.
    pub cents: i64,
}

impl View for Outstanding {
    const NAME: &'static str = "outstanding";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = INPUTS;
    const SCOPE: Scope = Scope::Shared;
    type Event = Event;
    type Row = Owed;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        match event.event {
            Event::CheckedOut(_) => Vec::new(),
            _ => vec![order_of(event), TOTAL.to_owned()],
        }
    }

    fn fold(_: &str, row: Option<Owed>, event: &Recorded<Event>) -> Option<Owed> {
        let more = match &event.event {
            Event::Placed(order) => order.cents,
            Event::OrderCancelled(order) => -order.cents,
            Event::Received(payment) => -payment.cents,
            Event::PaymentCancelled(payment) => payment.cents,
            Event::CheckedOut(_) => 0,
        };
        let cents = row.map_or(0, |row| row.cents) + more;
        (cents != 0).then_some(Owed { cents })
    }
}
