//! What was put aside because it could not be done: the aggregates that a view
//! has parked, and the commands that a handler has dead-lettered. They are
//! looked at, tried again and given up by errands, so by the same code whether
//! the verb's process has the log or another one.

mod give_up;
mod letters;
mod meant;
mod parked;
mod redrive;

pub(crate) use give_up::{DropParked, Dropped};
pub(crate) use letters::{Letter, LetterLine, ListLetters, ShowLetter};
pub(crate) use meant::Meant;
pub(crate) use parked::{ListParked, ShowParked, Shown};
pub(crate) use redrive::{RedriveParked, Redriven, Redriving};

use crate::{
    environment::Environment,
    errand::{Desk, taking},
    history::event_json,
};
use axum::Router;
use factum_core::{Error, RecordRef};
use serde_json::{Value, json};

/// Adds the errands to a desk's.
pub(crate) fn errands(router: Router<Desk>) -> Router<Desk> {
    let router = taking::<ShowParked>(taking::<ListParked>(router));
    let router = taking::<DropParked>(taking::<RedriveParked>(router));
    taking::<ShowLetter>(taking::<ListLetters>(router))
}

/// What is in a record, as far as it can be read: `named` is what its name is called.
fn content(environment: &Environment, record: RecordRef<'_>, named: &str) -> Value {
    match event_json(environment, record) {
        Ok((name, value)) => json!({ named: name, "value": value }),
        Err(error) => json!({ "error": error.to_string(), "bytes": record.value().map_or(0, <[u8]>::len) }),
    }
}

fn stopped() -> Error {
    Error::unavailable("stopped on the way: the same command goes on")
}
