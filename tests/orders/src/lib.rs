//! Orders, payments and customers: what tests of views over several aggregate
//! types work on.
//!
//! What it is: three small aggregate types whose events name an order, and two
//! views of them. [`Overview`] has a row per order with its payments and its
//! customer; [`Outstanding`] has what is still to be paid, by order and in all.
//! Each row is fed from the partitions of three topics, so the views are
//! [`Scope::Shared`](factum::view::Scope::Shared).
//!
//! What it is not: a shop. Nothing is checked that a test does not need.
//!
//! Invariant: the order in which the partitions' events are folded makes no
//! difference to a row, so a test can say what the rows must be.

pub mod customer;
pub mod order;
pub mod payment;
mod views;

pub use views::{Event, Outstanding, Overview, Owed, Summary, TOTAL};

use std::fmt;

/// Why a command was not followed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    /// In words.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

fn refused<T>(why: &str) -> Result<T, Refusal> {
    Err(Refusal { why: why.to_owned() })
}
