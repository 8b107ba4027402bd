//! Code of a view that cannot apply some events, until a better one is deployed.

use factum_bank::Event;
use factum_core::DecodeError;
use std::{cell::Cell, panic::resume_unwind};

/// One in so many amounts is poison for code that has the fault.
const ONE_IN: i64 = 9;

/// What the programs of a view are able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Code {
    /// Everything.
    #[default]
    Good,
    /// The fold panics at amounts of this remainder.
    Panics(i64),
    /// Bytes with amounts of this remainder are no event to it.
    Misreads(i64),
}

impl Code {
    /// Code with a fault, by a number.
    pub(crate) fn bad(number: i64) -> Self {
        let remainder = number / 2 % ONE_IN;
        if number % 2 == 0 { Code::Panics(remainder) } else { Code::Misreads(remainder) }
    }
}

thread_local! {
    // Folds and codecs are plain functions of their input, so the program that runs them is found by its thread.
    static RUNS: Cell<Code> = const { Cell::new(Code::Good) };
}

/// Gives way to the code that ran before, also where the work unwinds.
struct Before(Code);

impl Drop for Before {
    fn drop(&mut self) {
        RUNS.set(self.0);
    }
}

/// Does something with a program. Others may have their turns meanwhile, with theirs.
pub(crate) fn running<T>(code: Code, work: impl FnOnce() -> T) -> T {
    let _before = Before(RUNS.replace(code));
    work()
}

fn is_hit(event: &Event, remainder: i64) -> bool {
    event.change_cents().abs() % ONE_IN == remainder
}

/// Whether the program that runs can read an event.
pub(crate) fn decodes(event: &Event) -> Result<(), DecodeError> {
    match RUNS.get() {
        Code::Misreads(remainder) if is_hit(event, remainder) => {
            Err(DecodeError::Malformed("this version of the view does not know such an amount".into()))
        }
        _ => Ok(()),
    }
}

/// Panics where the program that runs does at this event.
pub(crate) fn folds(event: &Event) {
    if let Code::Panics(remainder) = RUNS.get()
        && is_hit(event, remainder)
    {
        // As `panic!` does it, without a message on the terminal.
        resume_unwind(Box::new("this version of the view cannot apply such an amount"));
    }
}
