//! The binary `factum`: every verb for the reference systems.

mod simulate;

use factum_bank::{Account, Balances, Year};
use std::process::ExitCode;

fn main() -> ExitCode {
    factum::app("factum")
        .aggregate::<Account>()
        .view::<Balances>()
        .sample(Year::default().sample())
        .verb(simulate::command(), simulate::run)
        .main()
}
